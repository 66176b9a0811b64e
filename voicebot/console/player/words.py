"""When each word of a transcript was said, so that one can listen from there. Pure.

The words are those that are stored, masked. Their times come from what the recogniser and the voice told of
words that are not shown; where the two do not match (a token, a correction) the times lie evenly between.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from voicebot.audio.recording.engine_notes import STT, TTS, text_key

PREROLL_MS = 416
"""What a recogniser gets of the sound before it was opened (`hearing.listener`: 13 windows)."""

_NEAR_MS = 600
_TOKEN_OR_WORD = re.compile(r"\[[^\]]*\]\S*|\S+")
_BARE = re.compile(r"[^\w\[\] ]")


@dataclass(frozen=True, slots=True)
class Timed:
    """A word with its place on the media clock, ms. ``exact``: an engine said when; else it lies between."""

    text: str
    at_ms: int
    until_ms: int
    exact: bool = False


def split(text: str) -> list[str]:
    """A text's words; a token such as ``[order number 1]`` is one."""
    return _TOKEN_OR_WORD.findall(text)


def spread(texts: Sequence[str], from_ms: int, until_ms: int) -> list[Timed]:
    """Words over a stretch, each as long as it is written."""
    sizes = [len(text) + 1 for text in texts]
    whole, at, found = sum(sizes), 0, list[Timed]()
    length = max(0, until_ms - from_ms)
    for text, size in zip(texts, sizes, strict=True):
        begin, at = from_ms + length * at // whole, at + size
        found.append(Timed(text, begin, from_ms + length * at // whole))
    return found


def placed(texts: Sequence[str], known: Sequence[Timed], from_ms: int, until_ms: int) -> list[Timed]:
    """Words that are shown, at the times of those ``known`` words that are the same, in order."""
    matcher = SequenceMatcher(None, [_bare(one) for one in texts], [_bare(k.text) for k in known], False)
    found: list[Timed] = []
    edge = from_ms
    for what, a, b, c, d in matcher.get_opcodes():
        if what == "equal":
            pairs = zip(texts[a:b], known[c:d], strict=True)
            found += [Timed(text, k.at_ms, k.until_ms, k.exact) for text, k in pairs]
            edge = known[d - 1].until_ms
        elif a < b:
            if c < d:
                begin, end = known[c].at_ms, known[d - 1].until_ms
            else:
                begin, end = edge, known[c].at_ms if c < len(known) else until_ms
            found += spread(texts[a:b], begin, max(begin, end))
            edge = max(edge, end)
    return found


def caller_words(text: str, started_ms: int, ended_ms: int, events: Sequence[dict[str, Any]]) -> list[Timed]:
    """What the caller said in one turn.

    Args:
        text: as it is stored.
        started_ms: when they began.
        ended_ms: their last sound.
        events: of the recording.
    """
    known: list[Timed] = []
    for event in events:
        if event.get("type") != STT or not started_ms - _NEAR_MS <= event["at_ms"] <= ended_ms:
            continue
        final = next((made for what, _, _, made in reversed(event["answers"]) if what == "final"), {})
        origin = event["at_ms"] - PREROLL_MS
        known += [
            Timed(str(word[0]), origin + int(word[1]), origin + int(word[2]), True)
            for word in final.get("words", ())
        ]
    return placed(split(text), known, started_ms, ended_ms)


def bot_words(
    heard: str,
    clauses: Sequence[tuple[int, str]],
    first_ms: int,
    until_ms: int,
    events: Sequence[dict[str, Any]],
) -> list[Timed]:
    """What the caller heard of one answer.

    Args:
        heard: as it is stored.
        clauses: of the answer, each with when its sound left, in order.
        first_ms: when the caller heard the first sound.
        until_ms: when they heard the last.
        events: of the recording.
    """
    made = {event["key"]: event for event in events if event.get("type") == TTS}
    known: list[Timed] = []
    at = first_ms
    for number, (left_ms, text) in enumerate(clauses):
        at = max(at, left_ms)
        texts = split(text)
        fact = made.get(text_key(text))
        if fact is not None:
            if len(fact["words"]) == len(texts):
                pairs = zip(texts, fact["words"], strict=True)
                known += [Timed(word, at + a, at + b, True) for word, (a, b) in pairs]
            else:
                known += spread(texts, at, at + fact["audio_ms"])
            at += fact["audio_ms"]
            continue
        # its words stand masked, so what the voice told of it is not found: it lasts until the next one
        later = clauses[number + 1][0] if number + 1 < len(clauses) else until_ms
        known += spread(texts, at, max(at, later))
        at = max(at, later)
    return placed(split(heard), known, first_ms, max(first_ms, until_ms))


def _bare(text: str) -> str:
    return _BARE.sub("", text).lower()
