"""The copy of a recording that ordinary roles have: what was masked in the words is silent here. Pure.

Events of type ``masked`` say from when to when (``at_ms``, ``until_ms``, media clock) and on which channel.
Without word times a span is the whole utterance, so that nothing of a value is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
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

TALK, CHECKED = "talk", "checked"
"""Events of a caller's talk with a person: it begins; a stretch of a channel stands in the transcript."""

_COMMITTED = "turn.committed"


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


def checked(channel: str, at_ms: int, until_ms: int) -> dict[str, Any]:
    """The event that says that words of a talk were looked at, and hold nothing personal."""
    return {"type": CHECKED, "channel": channel, "at_ms": at_ms, "until_ms": until_ms}


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
    """Stretches of which nobody knows whether something personal was said: they count as personal.

    Beside the bot a sound of the caller was looked at if its words became a turn, or a backchannel; else
    (not understood, a commit that failed, they hung up) it is silent until their next sound begins. Beside a
    person only what became a line of the transcript was looked at. Where the events end early, nothing is
    known of what came after the last ones.

    Args:
        events: of one media session, as they are in the file.
        whole: whether these are all of them.
    """
    if any(event.get("type") == TALK for event in events):
        return [mute for channel in CHANNELS for mute in _between(channel, events)]
    words = _words(events)
    found = [
        _sound(first, last) for first, last in _sounds(events) if not _looked_at(first, last, words, events)
    ]
    if not whole:
        found.append(mute("caller", max((last for _, last in words), default=0), None))
        found.append(mute("bot", _last_clause_ms(events), None))
    return tuple(found)


def _words(events: Sequence[dict[str, Any]]) -> list[tuple[int, int]]:
    """From when to when the caller said what became a turn of words."""
    given = [event["input"] for event in events if event.get("type") == _COMMITTED]
    return [
        (int(one["started_ms"]), int(one["last_voiced_ms"]))
        for one in given
        if one.get("kind") == "utterance" and None not in (one.get("started_ms"), one.get("last_voiced_ms"))
    ]


def _sounds(events: Sequence[dict[str, Any]]) -> list[tuple[int, int | None]]:
    """When each sound of the caller began, and when the next one did."""
    begun = sorted(int(event["at_ms"]) for event in events if event.get("type") == "hearing.SpeechStarted")
    return list(zip_longest(begun, begun[1:]))


def _looked_at(
    first: int, last: int | None, words: Sequence[tuple[int, int]], events: Sequence[dict[str, Any]]
) -> bool:
    return any(begin <= first <= end for begin, end in words) or any(
        event.get("verdict") == "backchannel"
        and first <= int(event["at_ms"])
        and (last is None or int(event["at_ms"]) <= last)
        for event in events
        if event.get("type") == "hearing.OverlapEnded"
    )


def _sound(first: int, last: int | None) -> Mute:
    """A sound that began at ``first``, until the next one, which keeps its beginning."""
    return replace(mute("caller", first, None), last=None if last is None else last * RATE_HZ // 1000)


def _last_clause_ms(events: Sequence[dict[str, Any]]) -> int:
    """The bot's last clause that is not known to be over: whether it is personal is told when it is.

    A clause in the very last event ends the one before it, of which that was to be told next.
    """
    clauses = [event for event in events[:-1] if event.get("type") == "speaking.ClauseStarted"]
    return int(clauses[-1]["at_ms"] or 0) if clauses else 0


def _between(channel: str, events: Sequence[dict[str, Any]]) -> Sequence[Mute]:
    """All of a channel but the stretches that `checked` says."""
    told = sorted(
        (int(event["at_ms"]), int(event["until_ms"]))
        for event in events
        if event.get("type") == CHECKED and event["channel"] == channel
    )
    column, at, found = CHANNELS.index(channel), 0, list[Mute]()
    for first_ms, last_ms in told:
        first, last = (ms * RATE_HZ // 1000 for ms in (first_ms, last_ms))
        if at < first:
            found.append(Mute(column, at, first))
        at = max(at, last)
    return (*found, Mute(column, at, None))
