"""A recording begins with the program that took the call; no caller waits for what is not known yet."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from twilio_kit import eventually

from voicebot.audio.engines.types import EngineDown
from voicebot.core.conversation import Channel
from voicebot.core.settings import load_settings
from voicebot.core.store.conversations import Snapshot
from voicebot.proof.replay.facts import FACTS, facts_in
from voicebot.runtime import call_facts
from voicebot.runtime.call_facts import NodeFacts

SNAPSHOT = Snapshot(
    id="cv_1", channel=Channel.PHONE, call_sid="CA1", caller="+14155550123", called=None, subject_id="sb_1",
    status="live", version=1, epoch=2, turn=3, state={}, created_at=datetime.now(UTC), ended_at=None,
    end_reason=None,
)  # fmt: skip


class Engine:
    """Is away at first."""

    def __init__(self, kind: str, model: str, away: bool = False) -> None:
        self.told = SimpleNamespace(kind=kind, model=model, voice_id="")
        self.away = away

    async def describe(self) -> Any:
        if self.away:
            raise EngineDown("stt", "unavailable")
        return self.told


async def test_what_is_known_by_now_is_written_and_the_rest_with_the_next_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def code_of(deployment: object, settings: object) -> dict[str, str]:
        return {"policy": "7"}

    monkeypatch.setattr(call_facts, "code_of", code_of)
    ears = Engine("whisper", "/somewhere/models/base.en", away=True)
    engines = {"stt": ears, "turn": Engine("smart-turn", "v3")}
    settings = load_settings(stt="whisper:base.en", llm="grounded")
    facts = NodeFacts(settings, cast("Any", None), cast("Any", engines), lambda: frozenset({"tool:x"}))
    first = facts.of(SNAPSHOT)
    assert (first["type"], first["engines"], first["versions"]) == (FACTS, {}, {})
    await eventually(lambda: bool(facts.of(SNAPSHOT)["engines"]))  # a thread reads the versions
    ears.away = False
    await eventually(lambda: len(facts.of(SNAPSHOT)["engines"]) == 2)  # asks again
    await eventually(lambda: bool(facts.of(SNAPSHOT)["versions"]))
    known = facts_in([facts.of(SNAPSHOT)])
    assert known is not None
    assert known.engines == {
        "stt": {"kind": "whisper", "model": "base.en"},
        "turn": {"kind": "smart-turn", "model": "v3"},
    }
    assert (known.versions, known.off, known.resumed, known.epoch) == ({"policy": "7"}, ("tool:x",), True, 2)
    assert known.settings["stt"] == "whisper:base.en"
    assert not any("key" in name or "token" in name for name in known.settings)
