"""The copy that ordinary roles hear is silent where a value was said, and as it was everywhere else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from voicebot.audio.recording.muting import MARGIN_MS, masked, muted
from voicebot.audio.recording.reader import Recording
from voicebot.audio.recording.wirelog import Message, What


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


def test_the_copy_has_no_values_of_engines_systems_and_keys() -> None:
    """They are there to run the call again, and hold what was said as it was."""
    told: list[dict[str, object]] = [
        {"type": "call.facts", "caller": "+14155550123"},
        {"type": "engine.stt", "answers": [["final", 900, 1.0, {"text": "four two seven"}]]},
        {"type": "outside.rows", "rows": [{"name": "Ana"}]},
        {"type": "turn.committed", "input": {"text": "[order number 1]"}},
        masked("caller", 0, 1000),
    ]
    recording = replace(
        recorded(*told),
        ulaw=np.full((8000 * 4, 2), 0x55, dtype=np.uint8),
        wire=(Message(What.KEY, 5.0, 3, name="7"), Message(What.MARK, 6.0, 4, name="1.1")),
    )
    copy = muted(recording)
    assert [event["type"] for event in copy.events] == ["turn.committed", "masked"]
    assert [one.name for one in copy.wire] == ["?", "1.1"]
    assert (copy.ulaw[: 1200 * 8, 0] == 0xFF).all()
    assert (copy.ulaw[1200 * 8 :] == 0x55).all()
    assert [one.name for one in recording.wire] == ["7", "1.1"]
