"""LocalAgreement: a word stands once two readings in a row, of growing audio, begin with it. Pure.

After "Low-Latency Sequence-to-Sequence Speech Recognition and Translation by Partial Hypothesis Selection"
(Liu, Spanakis, Niehues 2020). One thing is added: the last word of a reading never stands while the caller
speaks on, since it may be cut in two ("open" of "opening").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class HeardWord:
    """A word of a reading.

    Attributes:
        text: as the model writes it, without the space in front.
        tokens: its tokens, to be forced in the next decode.
        start_ms, end_ms: in the audio that was decoded.
        probability: mean of its tokens', 0..1.
    """

    text: str
    tokens: tuple[int, ...] = ()
    start_ms: int = 0
    end_ms: int = 0
    probability: float | None = None

    @property
    def key(self) -> str:
        """What is compared: letters and digits, case apart."""
        kept = "".join(c for c in self.text.casefold() if c.isalnum())
        return kept or self.text


def agreed(before: Sequence[str], now: Sequence[str]) -> int:
    """How many words from the front two readings have in common."""
    count = 0
    for one, other in zip(before, now, strict=False):
        if one != other:
            break
        count += 1
    return count


@dataclass(frozen=True)
class LocalAgreement:
    """Readings in, standing words out. A value: ``hear`` returns the next one.

    ::

        agreement = LocalAgreement().hear(words("i would like")).hear(words("i would like to"))
        [w.text for w in agreement.standing]    # ["i", "would", "like"]
    """

    reading: tuple[HeardWord, ...] = ()
    standing_count: int = 0
    _keys: tuple[str, ...] = field(default=(), repr=False)

    @property
    def standing(self) -> tuple[HeardWord, ...]:
        """Words that will not change any more."""
        return self.reading[: self.standing_count]

    @property
    def open(self) -> tuple[HeardWord, ...]:
        """Words of the newest reading that may still change."""
        return self.reading[self.standing_count :]

    def hear(self, words: Sequence[HeardWord], *, ended: bool = False) -> LocalAgreement:
        """The next reading of the same window, grown.

        Args:
            words: what was read, standing words included (they were forced).
            ended: the audio ends in silence, so the last word is whole.
        """
        keys = tuple(w.key for w in words)
        limit = len(words) if ended else max(0, len(words) - 1)
        count = min(agreed(self._keys, keys), limit)
        kept = self.standing_count
        if agreed(self._keys[:kept], keys) < kept:
            # The model did not repeat what was forced: what stands, stands.
            return replace(self, _keys=(*self._keys[:kept], *keys[kept:]))
        return LocalAgreement(tuple(words), max(kept, count), keys)

    def without(self, words: int, earlier_ms: int) -> LocalAgreement:
        """After the window lost its first ``words`` words and ``earlier_ms`` of audio."""
        rest = tuple(
            replace(w, start_ms=max(0, w.start_ms - earlier_ms), end_ms=max(0, w.end_ms - earlier_ms))
            for w in self.reading[words:]
        )
        return LocalAgreement(rest, max(0, self.standing_count - words), self._keys[words:])
