"""An agent's line is gone: no caller is left in silence, nor for ever. What is passed on never piles up."""

from __future__ import annotations

import numpy as np
import pytest

from voicebot.audio import mulaw
from voicebot.channels.talk.pacing import (
    CUSHION_MS,
    MOST_MS,
    TARGET_MS,
    WINDOW,
    Backlog,
    Playhead,
    frames,
    is_quiet,
)
from voicebot.console.desk.panels.audio import SAID, WRONG, wrong_words
from voicebot.console.desk.talk_line import OVER
from voicebot.handoff.talk import GRACE_S, HOLD_AFTER_S, Line, Standing, next_look_s, standing

LOUD = mulaw.encode(np.full(160, 8000, np.int16))
QUIET = bytes([mulaw.SILENCE]) * 160


@pytest.mark.parametrize(
    ("here", "gone_s", "expected", "look_s"),
    [
        (True, 0.0, "connected", None),
        (True, 999.0, "connected", None),
        (False, 0.0, "patience", HOLD_AFTER_S),
        (False, HOLD_AFTER_S - 0.1, "patience", 0.1),
        (False, HOLD_AFTER_S, "hold", GRACE_S - HOLD_AFTER_S),
        (False, GRACE_S - 1.0, "hold", 1.0),
        (False, GRACE_S, "given_up", None),
    ],
)
def test_what_the_caller_gets(here: bool, gone_s: float, expected: Standing, look_s: float | None) -> None:
    """A hiccup is passed over, a reload is held for, and after the time of grace the bot has the caller."""
    line = Line(here, 0.0)
    assert standing(line, gone_s) == expected
    found = next_look_s(line, gone_s)
    assert found == (None if look_s is None else pytest.approx(look_s))


def test_the_hold_line_comes_within_two_seconds() -> None:
    """With the node's look once a second, and the socket's own end seen at once."""
    assert HOLD_AFTER_S <= 1.0


def test_a_steady_stream_passes_whole() -> None:
    """Frames that wait as the cushion makes them wait are all sent, however long it goes on."""
    backlog, clock, playhead = Backlog(), 0.0, Playhead()
    for nth in range(500):
        late_s = 0.015 if nth % 7 == 0 else 0.0
        assert backlog.offer(LOUD, playhead.ahead_ms(clock + late_s)) == "send"
        playhead.send(LOUD, clock + late_s)
        clock += 0.02


def test_what_a_burst_leaves_behind_is_given_up_in_pauses() -> None:
    """300 ms came late at once: a second later the next pause takes it, all of it."""
    backlog, playhead, clock = Backlog(), Playhead(), 0.0
    for _ in range(15):
        if backlog.offer(LOUD, playhead.ahead_ms(clock)) == "send":
            playhead.send(LOUD, clock)
    assert playhead.ahead_ms(clock) == pytest.approx(CUSHION_MS + 300)
    late = 0
    for _ in range(WINDOW + 20):
        verdict = backlog.offer(QUIET, playhead.ahead_ms(clock))
        late += verdict == "late"
        if verdict == "send":
            playhead.send(QUIET, clock)
        clock += 0.02
    assert late >= 10
    assert playhead.ahead_ms(clock) <= TARGET_MS + 20


def test_words_are_spared_while_they_can_be() -> None:
    """Whoever speaks on without a pause loses a frame a second at most."""
    backlog = Backlog()
    verdicts = [backlog.offer(LOUD, TARGET_MS + 60) for _ in range(WINDOW * 8)]
    assert 3 <= verdicts.count("late") <= 7
    assert "late" not in verdicts[: WINDOW + 40]
    assert backlog.offer(LOUD, MOST_MS) == "over", "there is no room at all"


def test_the_playhead_begins_with_a_cushion_and_after_each_pause() -> None:
    """Two frames may then come late without a gap."""
    playhead = Playhead()
    assert playhead.send(LOUD, 1.0) == bytes([mulaw.SILENCE]) * CUSHION_MS * 8 + LOUD
    assert playhead.send(LOUD, 1.02) == LOUD
    assert playhead.send(LOUD, 1.075) == LOUD, "more than one late"
    assert len(playhead.send(LOUD, 9.0)) == 160 + CUSHION_MS * 8
    playhead.cleared()
    assert playhead.ahead_ms(9.0) == 0.0


def test_quiet_is_what_no_word_is_in() -> None:
    assert is_quiet(QUIET)
    assert is_quiet(mulaw.encode(np.full(160, 300, np.int16)))
    assert not is_quiet(LOUD)
    assert [len(one) for one in frames(b"x" * 400)] == [160, 160, 80]


@pytest.mark.parametrize("name", ["NotAllowedError", "NotFoundError", "NotReadableError", "insecure"])
def test_a_microphone_that_cannot_be_had_is_told_in_words(name: str) -> None:
    """With what to do, and no name of a browser's."""
    words = wrong_words(name)
    assert "Error" not in words
    assert words == WRONG[name]


def test_an_error_that_nobody_has_seen_is_named() -> None:
    assert "OverconstrainedError" in wrong_words("OverconstrainedError")


def test_every_end_of_a_talk_has_its_words() -> None:
    assert {*SAID} >= OVER
