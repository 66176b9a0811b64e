"""The media clock tells Twilio's time from arrivals: bursts do not move it, slow drift is followed."""

from __future__ import annotations

import random

from voicebot.audio.media_clock import MediaClock


def test_before_the_first_frame_there_is_no_time() -> None:
    clock = MediaClock()
    assert clock.at_ms(5.0) is None
    assert not clock.known


def test_the_fastest_frame_tells_the_time() -> None:
    clock = MediaClock()
    for number in range(100):
        late = 0.2 if number % 10 else 0.03
        clock.observe((number + 1) * 20, 100 + (number + 1) * 0.02 + late)
    assert clock.at_ms(102.03) == 2000


def test_a_burst_after_a_stall_moves_nothing() -> None:
    clock = MediaClock()
    for number in range(100):
        arrival = (number + 1) * 0.02
        if 50 <= number < 62:
            arrival = 62 * 0.02  # 233 ms late, then all at once
        clock.observe((number + 1) * 20, arrival)
    assert clock.at_ms(2.0) == 2000


def test_an_hour_of_drift_jitter_and_loss_stays_within_20_ms() -> None:
    """Two clocks 60 ppm apart part by 216 ms an hour; the estimate may not."""
    clock = MediaClock()
    dice = random.Random(3)
    worst = 0.0
    for number in range(3600 * 50):
        if dice.random() < 0.02:
            continue
        true_ms = (number + 1) * 20
        ours = true_ms / 1000 * (1 + 60e-6) + 0.04
        clock.observe(true_ms, ours + dice.expovariate(1 / 0.008))
        if number > 250 and number % 50 == 0:
            worst = max(worst, abs((clock.at_ms(ours) or 0) - true_ms))
    assert worst < 20
