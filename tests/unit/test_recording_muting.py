"""The copy that ordinary roles hear is silent where a value was said, and as it was everywhere else."""

from __future__ import annotations

import numpy as np

from voicebot.audio.recording.muting import MARGIN_MS, masked, muted
from voicebot.audio.recording.reader import Recording


def recorded(*events: dict[str, object]) -> Recording:
    return Recording("cv", np.full((8000 * 4, 2), 1000, dtype=np.int16), list(events), whole=True)


def test_the_callers_value_is_silent_and_the_bots_channel_is_not() -> None:
    """From 1.0 s to 2.0 s, with a margin; the original stays as it is."""
    recording = recorded(masked("caller", 1000, 2000))
    copy = muted(recording)
    first, last = (1000 - MARGIN_MS) * 8, (2000 + MARGIN_MS) * 8
    assert not copy.pcm16[first:last, 0].any()
    assert (copy.pcm16[:first, 0] == 1000).all()
    assert (copy.pcm16[last:, 0] == 1000).all()
    assert (copy.pcm16[:, 1] == 1000).all()
    assert (recording.pcm16 == 1000).all()


def test_a_span_without_an_end_is_silent_to_the_end() -> None:
    """The call broke off in the middle of a read-back."""
    copy = muted(recorded({"type": "masked", "channel": "bot", "at_ms": 3000}))
    assert not copy.pcm16[3000 * 8 :, 1].any()


def test_other_events_mute_nothing() -> None:
    """A near miss: a key, a turn."""
    assert (muted(recorded({"type": "key", "at_ms": 10})).pcm16 == 1000).all()
