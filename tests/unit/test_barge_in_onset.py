"""Onset: a voice within 2-3 windows; clicks and the bot's own soft echo are none."""

from __future__ import annotations

import pytest

from voicebot.audio.hearing.bargein import OVER_BOT, TURN, Onset, OnsetRules

LOUD, ECHO, HUM = -20.0, -48.0, -60.0


def onset_at(rules: OnsetRules, windows: list[tuple[float, float]]) -> int | None:
    onset = Onset(rules)
    for number, (probability, level) in enumerate(windows):
        if onset.push(probability, level, number * 32):
            return number
    return None


@pytest.mark.parametrize(
    ("rules", "windows", "expected"),
    [
        (TURN, [(0.6, LOUD), (0.6, LOUD)], 1),
        (TURN, [(0.6, LOUD), (0.1, LOUD), (0.6, LOUD), (0.6, LOUD)], 3),
        (TURN, [(0.9, LOUD), (0.1, LOUD)] * 5, None),  # clicks
        (TURN, [(0.9, HUM)] * 10, None),
        (OVER_BOT, [(0.6, LOUD), (0.6, LOUD), (0.6, LOUD)], 2),
        (OVER_BOT, [(0.6, LOUD), (0.6, LOUD), (0.4, LOUD)], None),
        (OVER_BOT, [(0.9, LOUD), (0.9, LOUD)], 1),  # certain: two are enough
        (OVER_BOT, [(0.95, ECHO)] * 20, None),
        (TURN, [(0.95, ECHO)] * 2, 1),  # the same soft voice counts while the bot is silent
    ],
)
def test_onset(rules: OnsetRules, windows: list[tuple[float, float]], expected: int | None) -> None:
    assert onset_at(rules, windows) == expected


def test_it_says_where_the_run_began() -> None:
    onset = Onset(TURN)
    for at_ms, probability in ((0, 0.9), (32, 0.0), (64, 0.7), (96, 0.7)):
        onset.push(probability, LOUD, at_ms)
    assert onset.start_ms == 64
