"""Where a line of a leg lies in its sound is known, also of one that was not well understood."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest
from sound_fakes import QUIET, TONE, FakeEars, FakeJudge, FakeRecognition, ToneVoice
from virtual_time import virtual

from voicebot.audio.engines.types import Transcript
from voicebot.channels.phone.leg import LegEar, LegKit
from voicebot.channels.phone.leg_lines import HeardLine, Held, LegLines, may_be_heard
from voicebot.channels.twilio.leg_media import LEG_PARAMETER
from voicebot.channels.twilio.wire import Media
from voicebot.core.bus import Bus
from voicebot.core.conversation import Expects
from voicebot.safety.pii.finding import Shapes


class Unsure(FakeRecognition):
    """Does not trust what it has heard."""

    async def _decode(self, *, final: bool) -> Transcript:
        return Transcript(self.text, final, confidence=0.01)


class UnsureEars(FakeEars):
    async def open(
        self, call: str, expects: Expects, on_partial: Callable[[Transcript], None]
    ) -> FakeRecognition:
        return Unsure(self, next(iter(self.texts)), expects, on_partial)


class Source:
    """A second of voice from 1.0 s on."""

    conversation_id, stream_sid, epoch = "cv_test", "MZ", 1
    custom = {LEG_PARAMETER: "caller"}  # noqa: RUF012

    async def messages(self) -> AsyncIterator[object]:
        for number in range(200):
            loud = 50 <= number < 100
            yield Media("MZ", TONE if loud else QUIET, number * 20, number, number, "inbound")
            await asyncio.sleep(0.02)

    async def close(self) -> None:
        return None


@pytest.mark.parametrize("sure", [True, False])
def test_every_line_has_its_times(sure: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(self: LegLines, line: HeardLine | None = None) -> Held:
        return "nothing"

    monkeypatch.setattr(LegLines, "store", nothing)
    monkeypatch.setattr(LegLines, "check", nothing)
    told: list[tuple[HeardLine, Held]] = []

    @virtual
    async def check() -> None:
        ears = (FakeEars if sure else UnsureEars)(["my number is oh seven"])
        none = cast("Any", None)
        kit = LegKit(none, none, Bus(), ears, FakeJudge(), ToneVoice, Shapes({}, frozenset()), lambda: None)
        clock = asyncio.get_running_loop().time
        await LegEar(kit, Source(), clock, lambda line, held: told.append((line, held))).run()

    check()
    ((line, held),) = told
    assert line.sure == sure
    assert line.from_ms == pytest.approx(1000, abs=60)
    assert line.until_ms == pytest.approx(2000, abs=60)
    assert may_be_heard(line, held) == sure
