"""How far into a clause the caller heard, to the word. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from voicebot.audio.engines.types import SpokenWord

_WORD = re.compile(r"\S+")

MS_PER_CHARACTER = 62
"""Speed of speech where nothing better is known: about 175 words of 5.5 characters a minute."""


def heard_characters(
    text: str, words: Sequence[SpokenWord], played_ms: float, audio_ms: float, whole: bool
) -> int:
    """Length of the prefix of ``text`` that was heard, always at the end of a word.

    Args:
        text: the clause.
        words: times of its words on the axis of its audio, as far as known; may be empty.
        played_ms: how much of its audio was played.
        audio_ms: how much audio there is so far.
        whole: whether that is all of its audio.

    A word counts once half of it was played, so the answer is off by one word at the most where the
    engine gave times, and estimated by the number of characters where it did not.
    """
    if whole and played_ms >= audio_ms:
        return len(text)
    if played_ms <= 0:
        return 0
    spans = [match.span() for match in _WORD.finditer(text)]
    heard = 0
    for (_, end), middle_ms in zip(spans, _middles(text, spans, words, audio_ms, whole), strict=True):
        if middle_ms > played_ms:
            break
        heard = end
    return heard


def word_starts(text: str, words: Sequence[SpokenWord], audio_ms: float, whole: bool) -> list[float]:
    """Where each word begins in the clause's audio, ms, ascending; those not known yet are left out.

    Arguments as ``heard_characters``. The engine's own words count here, however it splits the text.
    """
    if words:
        return _ascending([float(word.start_ms) for word in words])
    scale = _ms_a_character(text, audio_ms, whole)
    return [match.start() * scale for match in _WORD.finditer(text)]


def _middles(
    text: str,
    spans: Sequence[tuple[int, int]],
    words: Sequence[SpokenWord],
    audio_ms: float,
    whole: bool,
) -> list[float]:
    """The middle of each word of ``text``, ms, ascending."""
    if words and (len(words) == len(spans) or not whole):
        # One to one; words whose times are not known yet lie beyond the audio that exists.
        known = [(word.start_ms + word.end_ms) / 2 for word in words[: len(spans)]]
        return _ascending(known + [float("inf")] * (len(spans) - len(known)))
    if words:
        # The engine splits words differently ("427" is three): take its word at the same share.
        share = len(words) / len(spans)
        picked = [words[min(len(words) - 1, int((i + 0.5) * share))] for i in range(len(spans))]
        return _ascending([(word.start_ms + word.end_ms) / 2 for word in picked])
    scale = _ms_a_character(text, audio_ms, whole)
    return [(start + end) / 2 * scale for start, end in spans]


def _ms_a_character(text: str, audio_ms: float, whole: bool) -> float:
    total_ms = audio_ms if whole else max(audio_ms, len(text) * MS_PER_CHARACTER)
    return total_ms / max(1, len(text))


def _ascending(times: list[float]) -> list[float]:
    for i in range(1, len(times)):
        times[i] = max(times[i], times[i - 1])
    return times
