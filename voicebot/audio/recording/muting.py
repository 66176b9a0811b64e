"""The copy of a recording that ordinary roles have: what was masked in the words is silent here. Pure.

Events of type ``masked`` say from when to when (``at_ms``, ``until_ms``, media clock) and on which channel.
Without word times a span is the whole utterance, so that nothing of a value is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from voicebot.audio.mulaw import SILENCE
from voicebot.audio.recording.format import CHANNELS, RATE_HZ
from voicebot.audio.recording.reader import Recording
from voicebot.audio.recording.wirelog import WITHHELD, What

_EVIDENCE = ("engine.", "outside.", "call.facts")
"""How the types of such events begin."""

MARGIN_MS = 200
"""On both sides: a voice is heard before it is recognised, and echoes after it."""


@dataclass(frozen=True, slots=True)
class Mute:
    """A stretch of one channel that is silent, in samples; ``last`` None: to the end."""

    column: int
    first: int
    last: int | None

    @property
    def channel(self) -> str:
        """Its name."""
        return CHANNELS[self.column]


def masked(channel: str, at_ms: int, until_ms: int) -> dict[str, Any]:
    """The event that says so."""
    return {"type": "masked", "channel": channel, "at_ms": at_ms, "until_ms": until_ms}


def muted(recording: Recording) -> Recording:
    """The same call with silence where something personal was said, by the caller or read back by the bot.

    A span whose end is not known mutes its channel to the end of the call. What engines and systems answered,
    and which keys were pressed, is not in it: those are values, not tokens.
    """
    pcm16, ulaw = recording.pcm16.copy(), recording.ulaw.copy()
    for mute in mutes(recording.events):
        pcm16[mute.first : mute.last, mute.column] = 0
        ulaw[mute.first : mute.last, mute.column] = SILENCE
    wire = tuple(m._replace(name=WITHHELD) if m.what is What.KEY else m for m in recording.wire)
    return replace(recording, pcm16=pcm16, ulaw=ulaw, wire=wire, events=moments(recording.events))


def hushed(ulaw: npt.NDArray[np.uint8], first: int, stretches: Iterable[Mute]) -> npt.NDArray[np.uint8]:
    """Mu-law ``[n, 2]`` whose row 0 is sample ``first``, silent in the stretches; a copy where needed."""
    found = ulaw
    for mute in stretches:
        begin = max(0, mute.first - first)
        end = ulaw.shape[0] if mute.last is None else min(ulaw.shape[0], mute.last - first)
        if begin < end:
            found = found.copy() if found is ulaw else found
            found[begin:end, mute.column] = SILENCE
    return found


def moments(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events without what only running the call again needs, which holds what people said as it was."""
    return [event for event in events if not str(event.get("type")).startswith(_EVIDENCE)]


def mutes(events: Iterable[dict[str, Any]]) -> Sequence[Mute]:
    """The stretches that the events say, with `MARGIN_MS` on both sides."""
    return tuple(
        mute(event["channel"], event["at_ms"], event.get("until_ms"))
        for event in events
        if event.get("type") == "masked"
    )


def mute(channel: str, at_ms: int, until_ms: int | None) -> Mute:
    """One, with its margins."""
    first = max(0, at_ms - MARGIN_MS) * RATE_HZ // 1000
    last = None if until_ms is None else (until_ms + MARGIN_MS) * RATE_HZ // 1000
    return Mute(CHANNELS.index(channel), first, last)


def unchecked(events: Sequence[dict[str, Any]], *, whole: bool) -> Sequence[Mute]:
    """Stretches of which nobody knows yet whether something personal was said: they count as personal.

    What the caller said after the last turn that was committed became no turn (they hung up, a crash): it was
    never looked at. Where the events end early, nothing is known of what came after the last one.

    Args:
        events: of one media session, as they are in the file.
        whole: whether these are all of them.
    """
    times = [int(event["at_ms"]) for event in events if event.get("at_ms") is not None]
    turns = [int(event["at_ms"]) for event in events if event.get("type") == "turn.committed"]
    last_turn = max(turns, default=None)
    found: list[Mute] = []
    begun = [
        int(event["at_ms"])
        for event in events
        if event.get("type") == "hearing.SpeechStarted"
        and (last_turn is None or int(event["at_ms"]) > last_turn)
    ]
    if begun:
        found.append(mute("caller", min(begun), None))
    if not whole:
        found += [mute(channel, max(times, default=0), None) for channel in CHANNELS]
        found.append(mute("caller", 0 if last_turn is None else last_turn, None))
    return tuple(found)
