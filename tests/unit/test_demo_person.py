"""The demo's last act finds what was missing: a step left out, a long silence, words nobody wrote down."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from scripts.demo_person import WAY, LastAct
from voicebot.proof.simulation import CallRecording, murmur
from voicebot.runtime.phone import PhoneReport

SILENT = b"\xff" * 8
"""1 ms."""


def act(
    *,
    states: tuple[str, ...] = WAY,
    heard: bytes = b"",
    together_ms: float | None = 6000.0,
    agent_said: str = "yes on monday at ten",
    agent_written: str = "yes on monday at ten",
    read_at_ms: int = 8000,
) -> LastAct:
    """A call of 10 s whose caller asked for a person at 1 s."""
    events = [
        {"type": f"transfer.{state}", "time": f"2026-11-21T10:00:0{n}Z", "data": {}}
        for n, state in enumerate(states)
    ]
    for who, text in (("agent", agent_written), ("caller", "thank you")):
        events.append({"type": "leg.line", "time": "-", "data": {"who": who, "text": text, "sure": True}})
    result = SimpleNamespace(
        steps=[SimpleNamespace(step="a person", began_ms=1000, done=True)],
        agents=[],
        together_ms=together_ms,
        duration_ms=10_000,
        recording=CallRecording(bytearray(SILENT * 10_000), bytearray(heard.ljust(80_000, b"\xff"))),
        transcript=[
            {"who": "agent", "text": "an earlier call's words", "at_ms": 500},
            {"who": "agent", "text": agent_said, "at_ms": 7000},
            {"who": "caller", "text": "Thank you.", "at_ms": 7500},
        ],
        read_live=[
            {"who": who, "text": "-", "at_ms": read_at_ms, "sure": True} for who in ("agent", "caller")
        ],
    )
    return LastAct(PhoneReport(cast("Any", result), {"events": events}))


@pytest.mark.parametrize(
    ("states", "well"),
    [
        (WAY, True),
        ((*WAY, "caller_left"), True),
        (WAY[:-1], False),
        (("requested", "ringing", "ringing", "briefing", "accepted", "bridged"), False),
        (("requested", "ringing", "no_answer", "requested", *WAY[1:]), False),
    ],
)
def test_one_dial_and_every_state_in_order(states: tuple[str, ...], *, well: bool) -> None:
    """A second dial is no transfer that went well, even if it ended well."""
    assert act(states=states).went_its_way is well


@pytest.mark.parametrize(("pause_ms", "well"), [(2800, True), (3200, False)])
def test_the_line_may_be_silent_for_less_than_3_s(pause_ms: int, *, well: bool) -> None:
    """Counted from the wish until somebody is there: what follows is between two people."""
    heard = SILENT * 1000 + murmur(500) + SILENT * pause_ms + murmur(5000 - pause_ms - 500)
    found = act(heard=heard)
    assert found.never_silent is well
    assert found.silence is not None
    assert found.silence.length_ms == pytest.approx(pause_ms, abs=60)
    assert found.silence.start_ms == pytest.approx(1500, abs=60)


def test_nobody_came() -> None:
    """Then no silence was measured, and that is no success."""
    found = act(together_ms=None)
    assert found.silence is None
    assert not found.never_silent
    assert not found.talked


def test_words_count_in_their_order_and_only_after_the_bridge() -> None:
    """What was said before somebody was there is in no leg's transcript."""
    assert act().transcribed("agent") == 1.0
    assert act(agent_written="ten yes at on monday").transcribed("agent") == pytest.approx(3 / 5)
    assert act(agent_written="").transcribed("agent") == 0.0
    assert np.isclose(act(agent_said="").transcribed("agent"), 0.0)


def test_both_legs_and_live() -> None:
    """Few right words are no transcript; one that came after the call was not live."""
    assert act().both_transcribed
    assert not act(agent_written="hello ten").both_transcribed
    assert not act(read_at_ms=10_001).both_transcribed
