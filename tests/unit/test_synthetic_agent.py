"""A synthetic agent does one thing after the other: it lets others finish, and never waits for ever."""

from __future__ import annotations

import pytest

from voicebot.proof.simulation import HangUp, Listen, Press, Talk, Wait
from voicebot.proof.simulation.agent import AgentMind


def run(mind: AgentMind, *, loud: range, busy: range = range(0), until_ms: int = 8000) -> dict[int, object]:
    """The acts by the time at which they began."""
    acts = {t: mind.tick(t, loud=t in loud, busy=t in busy) for t in range(0, until_ms, 20)}
    return {t: act for t, act in acts.items() if act is not None}


def test_it_presses_after_the_briefing_not_in_its_pauses():
    """Half a second of pause is within the briefing; 700 ms after its end the key is pressed."""
    listen, press = Listen(), Press("1")
    mind = AgentMind((listen, press))
    first = {t: mind.tick(t, loud=500 <= t < 2000, busy=False) for t in range(0, 2500, 20)}
    second = {t: mind.tick(t, loud=2500 <= t < 4000, busy=False) for t in range(2500, 6000, 20)}
    done = {t: act for t, act in (first | second).items() if act is not None}
    assert done == {0: listen, 4680: press}


@pytest.mark.parametrize(("act", "at_ms"), [(Listen(at_most_s=2.0), 2000), (Wait(1.5), 1500)])
def test_it_goes_on_when_nobody_speaks(act, at_ms):
    assert list(run(AgentMind((act, HangUp())), loud=range(0))) == [0, at_ms]


def test_it_speaks_out_before_the_next_act():
    talk = Talk(b"x" * 160)
    assert list(run(AgentMind((talk, HangUp())), loud=range(0), busy=range(0, 1000, 20))) == [1000, 1020]
