"""The playout ledger: which words of an answer the caller has heard. Pure, clock passed in.

Twilio returns each mark when the audio before it has played, and all of them at once after a ``clear``:
"played" and "dropped" look alike. So marks are named by generation, and a generation ends with the clear:
what returns afterwards says nothing. Between two marks the time since the last one tells. An answer that
was paused goes on in a new generation, from the word that was interrupted: what was heard stays heard.

Times are ms of our own clock, as a mark would arrive here: playing a sample "at t" means that a mark
behind it would have come back at t. A sample sent into an empty buffer plays one round trip later.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from voicebot.audio.engines.types import SpokenWord
from voicebot.audio.speaking.heard_words import heard_characters, word_starts
from voicebot.core.conversation import Heard

SAMPLES_PER_MS = 8

SETTLING_MARKS = 3
"""Marks of a run after which its beginning is known: one alone may be late by its own jitter."""

LATE_MARK_MS = 80
"""A mark later than this is not jitter: the audio itself began later than thought."""

WORDS_HEARD = 2
"""Fewer words of a clause than this were heard: it begins anew after a pause, not in its second word."""

WORD_MARGIN_MS = 30
"""A word is said again from a little before its time: engines place its beginning, not its first breath."""

_MARK = re.compile(r"g([0-9]{1,9})\.([0-9]{1,9})")


@dataclass
class _Stretch:
    """Audio of one attempt at one clause, on the axis of all samples of this answer."""

    clause: int
    first: int
    samples: int = 0
    whole: bool = False
    words: list[SpokenWord] = field(default_factory=list[SpokenWord])

    def heard(self, text: str, played: int) -> int:
        """Characters of ``text`` heard once ``played`` samples of the answer were."""
        mine = max(0, min(self.samples, played - self.first))
        audio_ms = self.samples / SAMPLES_PER_MS
        return heard_characters(text, self.words, mine / SAMPLES_PER_MS, audio_ms, self.whole)

    def interrupted_word(self, text: str, played: int) -> int:
        """Where the word begins (on the answer's axis) in which ``played`` lies; ``played`` between words."""
        at_ms = (played - self.first) / SAMPLES_PER_MS
        starts = word_starts(text, self.words, self.samples / SAMPLES_PER_MS, self.whole)
        begun = [start for start in starts if start <= at_ms]
        if self.whole and self.words and at_ms >= self.words[-1].end_ms:
            return played
        if len(begun) <= WORDS_HEARD:
            return self.first
        if self.words and at_ms >= self.words[len(begun) - 1].end_ms:
            return played
        return self.first + max(0, int((begun[-1] - WORD_MARGIN_MS) * SAMPLES_PER_MS))

    def finished(self, played: int) -> bool:
        """Whether its last word was heard to the end."""
        end = self.samples
        if self.words:
            end = min(end, self.words[-1].end_ms * SAMPLES_PER_MS)
        return self.whole and played - self.first >= end


class PlayoutLedger:
    """One answer. Clauses are written, audio is added, messages are sent, marks come back.

    ``round_trip_ms`` is what an earlier answer of the call measured; None for the first.
    """

    def __init__(self, generation: int, round_trip_ms: float | None = None) -> None:
        self.generation = generation
        self._texts: list[str] = []
        self._stretches: list[_Stretch] = []
        self._made = 0  # samples synthesised
        self._sent = 0  # samples sent, of this generation's pass
        self._sent_ends: list[int] = []  # of message n of this generation
        self._marked = 0  # samples known to have played, by marks
        self._heard_to = 0  # samples heard before the last pause
        self._first_sent_ms: float | None = None
        self._first_played_ms: float | None = None
        self._any_returned = False
        self._was_paused = False
        self._next_mark = 0
        self._run_first = 0  # the stretch of uninterrupted playing: its first sample ...
        self._run_began_ms = 0.0  # ... and when that played
        self._run_marked = False
        self._round_trip_ms = round_trip_ms

    # --- writing ----------------------------------------------------------------------

    def clause(self, text: str) -> int:
        """A clause begins; its audio follows. Returns its number. ``text`` "" is not part of the answer."""
        self._texts.append(text)
        number = len(self._texts) - 1
        self._stretches.append(_Stretch(number, self._made))
        return number

    def again(self, number: int) -> None:
        """The same clause begins anew (the engine was lost on the way)."""
        self._stretches.append(_Stretch(number, self._made))

    def audio(self, samples: int, words: Iterable[SpokenWord] = ()) -> None:
        """More audio of the clause at hand; ``words`` on the axis of this clause's audio."""
        stretch = self._stretches[-1]
        stretch.samples += samples
        stretch.words.extend(words)
        self._made += samples

    def clause_made(self) -> None:
        """All audio of the clause at hand is there."""
        self._stretches[-1].whole = True

    # --- playing ----------------------------------------------------------------------

    def sent(self, samples: int, now_ms: float) -> str:
        """The next message leaves; returns the name of the mark that must follow it."""
        if self._first_sent_ms is None:
            self._first_sent_ms = now_ms
        if not self._sent_ends or now_ms > self.plays_until_ms:
            self._run_first = self._sent
            self._run_began_ms = now_ms + (self._round_trip_ms or 0.0)
            self._run_marked = False
        self._sent += samples
        self._sent_ends.append(self._sent)
        return f"g{self.generation}.{len(self._sent_ends) - 1}"

    def returned(self, name: str, now_ms: float) -> bool:
        """A mark came back. False if it is not of this answer, or is known already."""
        parts = _MARK.fullmatch(name)
        if parts is None or int(parts[1]) != self.generation:
            return False
        number = int(parts[2])
        if not self._next_mark <= number < len(self._sent_ends):
            return False
        self._next_mark = number + 1
        self._any_returned = True
        self._marked = self._sent_ends[number]
        if self._marked <= self._run_first:
            return True  # of an earlier run: that it played is all it tells
        began_ms = now_ms - (self._marked - self._run_first) / SAMPLES_PER_MS
        if not self._run_marked:
            late_ms = began_ms - self._run_began_ms
            self._round_trip_ms = max(0.0, (self._round_trip_ms or 0.0) + late_ms)
            self._run_began_ms, self._run_marked = began_ms, True
        elif not 0 <= began_ms - self._run_began_ms <= LATE_MARK_MS:
            self._run_began_ms = began_ms
        if self._first_played_ms is None:
            self._first_played_ms = self._first_began_ms()
        return True

    def _first_began_ms(self) -> float:
        if self._was_paused:  # before any mark came back: this mark tells the round trip only
            return (self._first_sent_ms or 0.0) + self.round_trip_ms
        return self.plays_at_ms(0)

    def paused(self, now_ms: float, generation: int) -> int:
        """A ``clear`` is being sent: this generation is over. Returns the samples played by then.

        What is sent from now on begins at ``resumes_at`` and is marked with the new ``generation``.
        """
        played = self.played_when_cut(now_ms)
        self._was_paused = True
        self._heard_to = max(self._heard_to, played)
        self._sent = self._marked = self._run_first = self.resumes_at(played)
        self._sent_ends.clear()
        self._next_mark = 0
        self.generation = generation
        return played

    def resumes_at(self, played: int) -> int:
        """From which sample the answer goes on when it was paused at ``played``: the interrupted word's."""
        for stretch in self._stretches:
            if stretch.first <= played < stretch.first + stretch.samples:
                return min(played, stretch.interrupted_word(self._texts[stretch.clause], played))
        return played

    @property
    def all_returned(self) -> bool:
        """Whether the mark behind the last message sent has come back."""
        return self._next_mark == len(self._sent_ends)

    @property
    def marked(self) -> int:
        """Samples that marks prove to have played."""
        return self._marked

    @property
    def settled(self) -> int:
        """Of these, the samples whose moment is known well: ``SETTLING_MARKS`` came back since."""
        number = self._next_mark - SETTLING_MARKS
        return self._sent_ends[number] if number >= 0 else 0

    @property
    def first_returned(self) -> bool:
        """Whether any mark has come back: something was heard for certain."""
        return self._any_returned

    @property
    def first_played_ms(self) -> float:
        """When the answer's first sample played; known once a mark has come back."""
        return self._run_began_ms if self._first_played_ms is None else self._first_played_ms

    @property
    def made(self) -> int:
        """Samples synthesised."""
        return self._made

    @property
    def round_trip_ms(self) -> float:
        """To the caller's buffer and back, from the last run's first mark; 0 before any."""
        return self._round_trip_ms or 0.0

    @property
    def plays_until_ms(self) -> float:
        """When the last sample sent will have played."""
        return self._run_began_ms + (self._sent - self._run_first) / SAMPLES_PER_MS

    def plays_at_ms(self, sample: int) -> float:
        """When a sample of the present run plays (or played)."""
        return self._run_began_ms + (sample - self._run_first) / SAMPLES_PER_MS

    def played(self, now_ms: float) -> int:
        """Samples played by ``now_ms``: as far as marks say, and by time beyond them."""
        if not self._sent_ends:
            return self._sent
        by_time = self._run_first + int((now_ms - self._run_began_ms) * SAMPLES_PER_MS)
        return max(self._marked, min(self._sent, by_time))

    def played_when_cut(self, now_ms: float) -> int:
        """Samples that will have played when a ``clear`` sent now takes effect."""
        return self.played(now_ms + self.round_trip_ms)

    # --- reading ----------------------------------------------------------------------

    def heard(self, played: int, *, ended: bool) -> Heard:
        """What the caller heard once ``played`` samples were played, and what they heard before a pause.

        The text is a prefix of the answer, cut at a word. ``complete`` needs more than all of the text:
        ``ended`` (no further clause was to come), and the last word to its end.
        """
        played = max(played, self._heard_to)
        parts: list[str] = []
        complete = ended
        for number, text in enumerate(self._texts):
            if not text:
                continue
            tries = [stretch for stretch in self._stretches if stretch.clause == number]
            heard = max(stretch.heard(text, played) for stretch in tries)
            complete = complete and any(stretch.finished(played) for stretch in tries)
            if heard:
                parts.append(text[:heard])
            if heard < len(text):
                complete = False
                break
        return Heard(text=" ".join(parts), complete=complete)
