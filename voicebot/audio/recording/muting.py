"""The copy of a recording that ordinary roles have: what was masked in the words is silent here. Pure.

Events of type ``masked`` say from when to when (``at_ms``, ``until_ms``, media clock) and on which channel.
Without word times a span is the whole utterance, so that nothing of a value is left.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from voicebot.audio.mulaw import SILENCE
from voicebot.audio.recording.format import CHANNELS, RATE_HZ
from voicebot.audio.recording.reader import Recording
from voicebot.audio.recording.wirelog import WITHHELD, What

_EVIDENCE = ("engine.", "outside.", "call.facts")
"""How the types of such events begin."""

MARGIN_MS = 200
"""On both sides: a voice is heard before it is recognised, and echoes after it."""


def masked(channel: str, at_ms: int, until_ms: int) -> dict[str, Any]:
    """The event that says so."""
    return {"type": "masked", "channel": channel, "at_ms": at_ms, "until_ms": until_ms}


def muted(recording: Recording) -> Recording:
    """The same call with silence where something personal was said, by the caller or read back by the bot.

    A span whose end is not known mutes its channel to the end of the call. What engines and systems answered,
    and which keys were pressed, is not in it: those are values, not tokens.
    """
    pcm16, ulaw = recording.pcm16.copy(), recording.ulaw.copy()
    for column, first, last in _spans(recording.events):
        pcm16[first:last, column] = 0
        ulaw[first:last, column] = SILENCE
    wire = tuple(replace(m, name=WITHHELD) if m.what is What.KEY else m for m in recording.wire)
    return replace(recording, pcm16=pcm16, ulaw=ulaw, wire=wire, events=moments(recording.events))


def moments(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events without what only running the call again needs, which holds what people said as it was."""
    return [event for event in events if not str(event.get("type")).startswith(_EVIDENCE)]


def _spans(events: Iterable[dict[str, Any]]) -> Iterable[tuple[int, int, int | None]]:
    for event in events:
        if event.get("type") != "masked":
            continue
        until_ms = event.get("until_ms")
        first = max(0, event["at_ms"] - MARGIN_MS) * RATE_HZ // 1000
        last = None if until_ms is None else (until_ms + MARGIN_MS) * RATE_HZ // 1000
        yield CHANNELS.index(event["channel"]), first, last
