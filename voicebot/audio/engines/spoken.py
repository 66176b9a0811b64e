"""When each word of a clause is spoken. Pure.

A voice either says where its words begin (eSpeak NG: events with positions in the text), or says
nothing (Piper) and the time is shared out in proportion to the letters. Either way the words are the
text's own, split at white space, each exactly once and in order.
"""

from __future__ import annotations

import re

from voicebot.audio.engines.types import SpokenWord

_TOKEN = re.compile(r"\S+")


class WordClock:
    """Turns word events into ``SpokenWord`` s as soon as the next one is known.

    Args:
        text: the clause as it was given to the voice.
    """

    def __init__(self, text: str) -> None:
        self._tokens = [(m.start(), m.end(), m.group()) for m in _TOKEN.finditer(text)]
        self._starts: list[int | None] = [None] * len(self._tokens)
        self._told = 0

    def event(self, position: int, start_ms: int) -> None:
        """A word that begins at character ``position`` (from 0) is spoken at ``start_ms``.

        Only the first event of a token counts: "4711" is spoken as several words.
        """
        for nth, (begin, end, _) in enumerate(self._tokens):
            if begin <= position < end:
                if self._starts[nth] is None:
                    self._starts[nth] = start_ms
                return

    def known(self) -> tuple[SpokenWord, ...]:
        """The words that became certain since the last call: those followed by one that has begun."""
        last = max((i for i, s in enumerate(self._starts) if s is not None), default=0)
        end = self._starts[last]
        return self._tell(last, end) if end is not None else ()

    def rest(self, end_ms: int) -> tuple[SpokenWord, ...]:
        """The remaining words, the audio being ``end_ms`` long."""
        return self._tell(len(self._tokens), end_ms)

    def _tell(self, until: int, end_ms: int) -> tuple[SpokenWord, ...]:
        """Words ``_told..until``; one without an event of its own ("-") shares the end of the one before."""
        ends: list[int] = []
        following = end_ms
        for nth in range(until - 1, self._told - 1, -1):
            ends.append(following)
            start = self._starts[nth]
            if start is not None:
                following = min(start, following)
        ends.reverse()
        words: list[SpokenWord] = []
        for nth, end in zip(range(self._told, until), ends, strict=True):
            start = self._starts[nth]
            begin = end if start is None else min(start, end)
            words.append(SpokenWord(self._tokens[nth][2], begin, end))
        self._told = max(self._told, until)
        return tuple(words)


def in_proportion(text: str, audio_ms: int, offset_ms: int = 0) -> tuple[SpokenWord, ...]:
    """Words of ``text`` over ``audio_ms`` of audio that begins at ``offset_ms``, by their letters.

    A word weighs its letters plus one; a digit weighs a whole short word (it is spoken as one) and a
    closing ``. , ; : ! ?`` adds a pause. An estimate: the ledger claims no better than a word anyway.
    """
    tokens = text.split()
    weights = [_weight(token) for token in tokens]
    total = sum(weights)
    words: list[SpokenWord] = []
    done = 0.0
    for token, weight in zip(tokens, weights, strict=True):
        start = offset_ms + round(audio_ms * done / total)
        done += weight
        words.append(SpokenWord(token, start, offset_ms + round(audio_ms * done / total)))
    return tuple(words)


def _weight(token: str) -> float:
    digits = sum(c.isdigit() for c in token)
    return 1 + (len(token) - digits) + 4 * digits + (3 if token[-1] in ".,;:!?" else 0)
