"""Over the bot, a sound far below the caller's voice or no louder than a noise that lasts is no onset."""

from __future__ import annotations

import pytest

from voicebot.audio.hearing.foreground import LASTING_MS, NOISE_KNOWN_MS, Foreground


def test_before_the_caller_has_spoken_nothing_is_known() -> None:
    levels = Foreground()
    assert levels.floor_dbfs(0) == -100
    assert levels.below_caller_db(-60) == 0


@pytest.mark.parametrize(("caller", "floor"), [(-14.0, -36.0), (-20.0, -40.0), (-30.0, -50.0)])
def test_the_floor_follows_the_caller_and_never_drowns_a_soft_one(caller: float, floor: float) -> None:
    levels = Foreground()
    levels.turn(caller)
    assert levels.floor_dbfs(0) == floor
    assert levels.below_caller_db(caller - 18) == 18
    assert levels.below_caller_db(caller + 3) == 0


def test_a_noise_that_lasted_raises_the_floor_for_a_while() -> None:
    levels = Foreground()
    levels.noise(-33.0, LASTING_MS, 1000)
    assert levels.floor_dbfs(1000 + NOISE_KNOWN_MS - 1) == -30
    assert levels.floor_dbfs(1000 + NOISE_KNOWN_MS) == -100


def test_a_cough_does_not() -> None:
    levels = Foreground()
    levels.noise(-12.0, LASTING_MS - 32, 1000)
    assert levels.floor_dbfs(1100) == -100


@pytest.mark.parametrize(("caller", "floor"), [(None, -28.0), (-14.0, -22.0), (-26.0, -34.0)])
def test_a_caller_of_their_usual_level_is_heard_over_any_noise(caller: float | None, floor: float) -> None:
    levels = Foreground()
    if caller is not None:
        levels.turn(caller)
    levels.noise(-10.0, 2000, 1000)
    assert levels.floor_dbfs(1100) == floor
