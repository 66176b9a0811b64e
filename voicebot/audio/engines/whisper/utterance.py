"""One caller's turn on its way through Whisper: audio in, windows out; readings in, transcripts out.

Synchronous, no model, no clock: it says which decode is worth making and what is known so far. Times are ms
from the first sample fed; a window begins where the last cut was.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from voicebot.audio.engines.types import Transcript, Word
from voicebot.audio.engines.whisper import windows
from voicebot.audio.engines.whisper.agreement import HeardWord, LocalAgreement
from voicebot.audio.engines.whisper.gate import Invented, Signals, compression_ratio, invented
from voicebot.audio.engines.whisper.levels import Levels
from voicebot.audio.engines.whisper.line import Urgency
from voicebot.audio.engines.whisper.model import Reading, Window, joined
from voicebot.audio.engines.whisper.pace import FIRST_MS
from voicebot.core.conversation import Expects

TAIL_MS = 80
"""Silence after which the words so far are read without being asked for: then they are there when the turn
ends. Pauses inside sentences this long are few."""

ENDED_MS = 60
"""Silence in a window from which the last word is known to be whole."""

READINGS = 5
ASKED_READINGS = frozenset({"digits", "name", "date"})
"""What is checked against a record: other readings are wanted, too."""

_SENTENCE = (".", "?", "!", "。", "？", "！")


@dataclass(frozen=True)
class Moment:
    """A point of the audio: how much there was, and whether it ended in silence."""

    at_ms: int
    ended: bool


@dataclass(frozen=True)
class Asked:
    """A decode under way: the window, from where, up to where, and whether it ends in silence."""

    window: Window
    from_ms: int
    to_ms: int
    ended: bool


@dataclass(frozen=True)
class _Done:
    """A stretch that was cut off: its words will not change."""

    words: tuple[HeardWord, ...] = ()
    logprob_sum: float = 0.0
    tokens: int = 0
    no_speech_prob: float | None = None
    compression_ratio: float = 0.0


class Utterance:
    """See the module. One decode is under way at a time: ``ask``, then ``hear`` or ``failed``.

    Args:
        expects: what was asked; for some of it other readings are made with the final.
        free_ends: read the end of a turn without forcing what stands (no cheaper, see ``docs/whisper.md``).
    """

    def __init__(self, expects: Expects, *, free_ends: bool = True) -> None:
        self.levels = Levels()
        self.stopped: Counter[Invented] = Counter()
        self._dropped: Invented | None = None
        self.fed_ms = 0
        self.lost_ms = 0
        self._reads_more = expects.kind in ASKED_READINGS
        self._free_ends = free_ends
        self._pcm: npt.NDArray[np.int16] = np.zeros(0, np.int16)
        self._samples = 0
        self._from = 0  # sample at which the window begins
        self._read_ms = 0
        self._asked_ms = 0
        self._agreement = LocalAgreement()
        self._reading = Reading()
        self._has_readings = False
        self._done = _Done()
        self._told = ""

    # --- audio in ---------------------------------------------------------------------

    def feed(self, pcm16_8k: bytes) -> None:
        """More audio; an odd byte at the end is dropped."""
        pcm = np.frombuffer(pcm16_8k[: len(pcm16_8k) & ~1], dtype=np.int16)
        self.levels.feed(pcm)
        self._pcm = np.concatenate((self._pcm, pcm))
        self._samples += pcm.size
        self.fed_ms = self._samples // 8
        self._bound()

    @property
    def held_ms(self) -> int:
        """Audio that is kept: the window."""
        return self._pcm.size // 8

    def settled(self, at_ms: int | None = None) -> bool:
        """Was everything up to ``at_ms`` (default: everything fed) read, but for silence?"""
        at_ms = self.fed_ms if at_ms is None else at_ms
        if not self.levels.voiced_ms:
            return True
        if self._reads_more and self._agreement.reading and not self._has_readings:
            return False
        return self._read_ms >= at_ms or self.levels.voiced_to_ms + ENDED_MS <= self._read_ms

    def due(self, partial_ms: int) -> Urgency | None:
        """The decode that is worth making unasked, ``partial_ms`` of new audio after the last."""
        if not self.levels.voiced_ms or self.levels.voiced_to_ms + ENDED_MS <= self._asked_ms:
            return None
        silence_ms = self.levels.fed_ms - self.levels.voiced_to_ms
        if silence_ms >= TAIL_MS:
            return Urgency.PEEK
        if self._asked_ms == 0:
            return Urgency.PARTIAL if self.fed_ms >= FIRST_MS else None
        return Urgency.PARTIAL if self.fed_ms - self._asked_ms >= partial_ms else None

    # --- decodes ----------------------------------------------------------------------

    def mark_asked(self, at_ms: int | None = None) -> None:
        """A decode of everything up to ``at_ms`` is on its way; ``due`` counts from there."""
        self._asked_ms = max(self._asked_ms, self.fed_ms if at_ms is None else at_ms)

    def moment(self) -> Moment:
        """Now, for a decode that is made later as if it were now."""
        return Moment(self.fed_ms, self.levels.voiced_to_ms + ENDED_MS <= self.fed_ms)

    def ask(self, *, final: bool, moment: Moment | None = None) -> Asked:
        """The window to read: all that was fed until now, or until ``moment``."""
        moment = moment or self.moment()
        to_ms, ended = moment.at_ms, moment.ended or final
        self.mark_asked(to_ms)
        begin_ms = self._from // 8
        pcm = self._pcm[: max(0, to_ms - begin_ms) * 8]
        forced = () if ended and self._free_ends else self._agreement.standing
        wanted = READINGS if ended and self._reads_more else 1
        window = Window(
            pcm.copy(),
            standing=() if wanted > 1 else tuple(t for w in forced for t in w.tokens),
            previous=tuple(t for w in self._done.words[-24:] for t in w.tokens),
            readings=wanted,
            ended=ended,
        )
        return Asked(window, begin_ms, to_ms, ended)

    def hear(self, asked: Asked, reading: Reading) -> bool:
        """Takes what was read; returns whether the words so far have changed."""
        if asked.from_ms != self._from // 8:
            return False  # the window was cut meanwhile
        self._read_ms = max(self._read_ms, asked.to_ms)
        why = self._invented(reading)
        if why is not None:
            # At the onset of speech a reading may be doubtful and yet become true: only ends count.
            self.stopped[why] += asked.ended
            self._dropped = why if asked.ended else self._dropped
            reading = replace(reading, words=(), alternatives=())
        elif asked.ended:
            self._dropped = None
        agreement = self._agreement.hear(reading.words, ended=asked.ended)
        if agreement.reading != reading.words and (asked.ended and self._free_ends):
            # Read anew with all of its audio: better than what stood.
            agreement = LocalAgreement().hear(reading.words)
        self._agreement = agreement
        self._reading = reading
        self._has_readings = asked.window.readings > 1
        self._cut(asked)
        text = self.text
        changed, self._told = text != self._told, text
        return changed

    # --- what is known ----------------------------------------------------------------

    @property
    def text(self) -> str:
        """The words so far."""
        return " ".join(filter(None, (joined(self._done.words), joined(self._agreement.reading))))

    @property
    def standing(self) -> int:
        """How many of the words so far will not change (but at the end of a turn)."""
        return len(self._done.words) + self._agreement.standing_count

    def transcript(self, *, final: bool) -> Transcript:
        """What is known now, with its signals."""
        begin_ms = self._from // 8
        words = [*self._done.words]
        words += [
            replace(w, start_ms=w.start_ms + begin_ms, end_ms=w.end_ms + begin_ms)
            for w in self._agreement.reading
        ]
        tokens, total = self._done.tokens, self._done.logprob_sum
        if self._reading.avg_logprob is not None:
            count = 1 + sum(len(w.tokens) for w in self._reading.words)
            tokens, total = tokens + count, total + count * self._reading.avg_logprob
        silences = [p for p in (self._done.no_speech_prob, self._reading.no_speech_prob) if p is not None]
        text = " ".join(w.text for w in words if w.text)
        believed = [w.probability for w in words if w.probability is not None]
        ratio = max(self._done.compression_ratio, compression_ratio(joined(self._agreement.reading)))
        return Transcript(
            text,
            final=final,
            words=tuple(Word(w.text, w.start_ms, w.end_ms, w.probability) for w in words),
            confidence=round(sum(believed) / len(believed), 4) if believed else (0.0 if final else None),
            alternatives=self._alternatives() if self._has_readings else (),
            avg_logprob=total / tokens if tokens else None,
            no_speech_prob=min(silences) if silences else (1.0 if not self.levels.voiced_ms else None),
            compression_ratio=ratio,
            audio_ms=self.fed_ms,
            standing=len(words) if final else self.standing,
            dropped=self._dropped,
            language=self._reading.language,
            language_prob=self._reading.language_prob,
        )

    def _alternatives(self) -> tuple[str, ...]:
        earlier = joined(self._done.words)
        return tuple(f"{earlier} {other}".strip() for other in self._reading.alternatives)

    # --- bounds -----------------------------------------------------------------------

    def _invented(self, reading: Reading) -> Invented | None:
        return invented(
            Signals(reading.text, reading.avg_logprob, reading.no_speech_prob, self.levels.voiced_ms)
        )

    def _cut(self, asked: Asked) -> None:
        """Takes a long window's standing words and their audio out of it."""
        reading = self._agreement.reading
        spans = [(w.start_ms, w.end_ms) for w in reading]
        ends = [n for n, w in enumerate(reading) if w.text.endswith(_SENTENCE)]
        found = windows.cut(asked.to_ms - asked.from_ms, spans, self._agreement.standing_count, ends)
        if found is None:
            return
        self._finish_words(found.words, asked.from_ms)
        self._agreement = self._agreement.without(found.words, found.ms)
        self._reading = replace(self._reading, words=self._agreement.reading)
        self._drop(found.ms)

    def _finish_words(self, words: int, begin_ms: int) -> None:
        """The first words of the window are final, whatever is read from now on."""
        kept = self._agreement.reading[:words]
        count = sum(len(w.tokens) for w in kept)
        self._done = _Done(
            (
                *self._done.words,
                *(replace(w, start_ms=w.start_ms + begin_ms, end_ms=w.end_ms + begin_ms) for w in kept),
            ),
            self._done.logprob_sum + count * (self._reading.avg_logprob or 0.0),
            self._done.tokens + count,
            _least(self._done.no_speech_prob, self._reading.no_speech_prob if kept else None),
            max(self._done.compression_ratio, compression_ratio(joined(kept))),
        )

    def _bound(self) -> None:
        """The model fell so far behind that the window would not fit: the oldest audio goes unread."""
        most = windows.MOST_FRAMES * 80
        if self._pcm.size > most:
            lost_ms = (self._pcm.size - most) // 8 + 1000
            self.lost_ms += lost_ms
            self._finish_words(len(self._agreement.reading), self._from // 8)
            self._agreement = LocalAgreement()
            self._reading = Reading()
            self._drop(lost_ms)

    def _drop(self, ms: int) -> None:
        self._pcm = self._pcm[ms * 8 :].copy()
        self._from += ms * 8


def _least(one: float | None, other: float | None) -> float | None:
    there = [p for p in (one, other) if p is not None]
    return min(there) if there else None
