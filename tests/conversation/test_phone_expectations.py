"""Who speaks over an answer is not held to the question before it, nor to one that was not asked yet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

from sound_fakes import TONE, Ear, FakeEars, FakeJudge, FakeSpeech, ToneVoice, clauses_of
from virtual_time import virtual

from voicebot.audio.recording.writer import Recorder
from voicebot.audio.speaking.phrases import PhraseCache
from voicebot.channels.phone.call import PhoneCall, PhoneKit
from voicebot.channels.phone.waterfall import Waterfall
from voicebot.core.bus import Bus
from voicebot.core.conversation import FREE, Expects

POST_CODE = Expects(kind="digits", length=5)
QUIET = b"\xff" * 160


class Line(Ear):
    """The session of a call, as its parts see it."""

    conversation_id = "cv_test"


class Unwatched:
    """An orchestrator whose calls nobody watches."""

    def veil(self, conversation_id: str, text: str, *, so_far: bool = False) -> str:
        return text


def a_call(ears: FakeEars, folder: Path) -> PhoneCall:
    async def recorder(conversation_id: str) -> Recorder:
        raise AssertionError("the call is given its recorder")

    nothing = cast("Any", None)
    kit = PhoneKit(
        dialogue=cast("Any", Unwatched()),
        phrases=nothing,
        transcriber=ears,
        speech=FakeSpeech(),
        judge=FakeJudge(),
        vad=ToneVoice,
        phrase_cache=PhraseCache(None),
        bus=Bus(),
        recorder=recorder,
        silence_s=30.0,
    )
    line = Line()
    clock = asyncio.get_running_loop().time
    call = PhoneCall(kit, cast("Any", line), Recorder(folder / "call", bytes(32), "cv_test"), clock)
    line.on_mark = call.speaker.mark_returned
    return call


async def talks(call: PhoneCall, voiced: Callable[[int], bool]) -> AsyncIterator[int]:
    """The caller's frames, 20 ms at a time; ``voiced`` says which of them are speech."""
    for number in range(1000):
        call.listener.feed(TONE if voiced(number) else QUIET, number * 20)
        await asyncio.sleep(0.02)
        yield number


async def heard_with(folder: Path, before: Expects, asks: Expects, speaks_at_s: float) -> Expects:
    """The grammar with which a caller is heard who speaks ``speaks_at_s`` into a two-clause answer."""
    ears = FakeEars(texts=["words"] * 3)
    call = a_call(ears, folder)
    call.asked(before)
    begins = round(speaks_at_s / 0.02) + 25
    frames = talks(call, lambda number: number >= begins)
    for _ in range(25):
        await anext(frames)
    call.begin_answer(Waterfall(call.now_ms), asks)
    speaking = asyncio.ensure_future(call.speaker.say(2, clauses_of("one two three four", "five six seven")))
    async for number in frames:
        if number > begins + 25:
            break
    await call.speaker.cut()
    await speaking
    await call.close()
    return ears.opened[0].expects


@virtual
async def test_speaking_over_the_answer_after_a_number_is_not_taken_for_the_number(tmp_path: Path):
    assert await heard_with(tmp_path, before=POST_CODE, asks=FREE, speaks_at_s=0.9) == FREE


@virtual
async def test_speaking_over_the_start_of_a_question_is_not_taken_for_its_answer(tmp_path: Path):
    assert await heard_with(tmp_path, before=FREE, asks=POST_CODE, speaks_at_s=0.3) == FREE


@virtual
async def test_answering_a_question_before_it_ends_counts_as_its_answer(tmp_path: Path):
    assert await heard_with(tmp_path, before=FREE, asks=POST_CODE, speaks_at_s=1.9) == POST_CODE
