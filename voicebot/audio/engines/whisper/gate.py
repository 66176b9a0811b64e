"""Words that Whisper invents: loops, text where nobody spoke, and the phrases it knows from film subtitles.

Pure. What is stopped here shows as a clean failure: an empty transcript with its signals filled, so that the
caller is asked again instead of being answered to something they never said.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from enum import StrEnum

SQUEEZABLE = 2.4
"""Whisper's own bound on the compression ratio; above it a text repeats itself."""

NO_SPEECH = 0.6
DOUBTFUL_LOGPROB = -1.0
"""Whisper's own bounds: nobody spoke if the model says so and does not believe its words either."""

CERTAIN_NO_SPEECH = 0.9
CERTAIN_LOGPROB = -0.5
"""So sure that nobody spoke, the model needs less doubt about its words."""

VOICED_AT_LEAST_MS = 60
"""Less sound above the noise than this is no word."""

CHARACTERS_PER_S = 45
"""Of voiced sound. The fastest readers reach 25."""

REPEATS = 4
WORD_REPEATS = 8
"""The same two to eight words so often in a row are a loop. One word may come oftener: numbers have runs."""

_NEVER_ON_THE_PHONE = tuple(
    re.compile(p)
    for p in (
        r"^(thanks|thank you)( so much| very much)? for (watching|listening|viewing|your viewing)\b",
        r"\bplease subscribe\b|\bsubscribe to (my|our|the) channel\b|\blike and subscribe\b",
        r"\b(subtitles|captions|transcribed|transcription) (by|provided by)\b|\bamara org\b",
        r"^(see|catch) you (in the )?next (time|video|one)$",
        r"^copyright\b|\ball rights reserved\b",
        r"^(music|applause|laughter|silence|blank audio|inaudible|foreign)$",
    )
)
"""Phrases from the subtitles that Whisper was trained on, collected from field reports of its noise."""

_ALSO_SAID_BY_PEOPLE = frozenset(
    {"you", "thank you", "thanks", "thank you very much", "thank you so much", "bye", "bye bye"}
    | {"okay", "ok", "oh", "so", "the", "i", "uh", "um", "hmm", "yeah", "the end", "i m sorry"}
)
"""What it says of noise that people say, too: dropped only if there are other doubts."""

SUSPECT_NO_SPEECH = 0.3
SUSPECT_LOGPROB = -0.8
SUSPECT_VOICED_MS = 120


class Invented(StrEnum):
    """Why a text was stopped."""

    LOOP = "loop"
    NO_SPEECH = "no_speech"
    TOO_MUCH_TEXT = "too_much_text"
    PHRASE = "phrase"


@dataclass(frozen=True)
class Signals:
    """What is known of a text. ``voiced_ms`` is how much of its audio was above the noise."""

    text: str
    avg_logprob: float | None
    no_speech_prob: float | None
    voiced_ms: int

    @property
    def compression_ratio(self) -> float:
        """See ``compression_ratio``."""
        return compression_ratio(self.text)


def compression_ratio(text: str) -> float:
    """Bytes of the text by bytes of it compressed (zlib), as Whisper computes it; 0 for no text."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 0.0


def invented(signals: Signals) -> Invented | None:
    """Why this text should not be believed, or None."""
    words = re.sub(r"[^\w]+", " ", signals.text.casefold()).split()
    if not words:
        return None
    if signals.compression_ratio > SQUEEZABLE or _loops(words):
        return Invented.LOOP
    if _nobody_spoke(signals):
        return Invented.NO_SPEECH
    if len("".join(words)) > CHARACTERS_PER_S * max(signals.voiced_ms, 300) / 1000:
        return Invented.TOO_MUCH_TEXT
    plain = " ".join(words)
    if any(p.search(plain) for p in _NEVER_ON_THE_PHONE):
        return Invented.PHRASE
    if plain in _ALSO_SAID_BY_PEOPLE and _suspect(signals):
        return Invented.PHRASE
    return None


def _nobody_spoke(signals: Signals) -> bool:
    if signals.voiced_ms < VOICED_AT_LEAST_MS:
        return True
    silence, belief = signals.no_speech_prob, signals.avg_logprob
    if silence is None or belief is None:
        return False
    return (silence > NO_SPEECH and belief < DOUBTFUL_LOGPROB) or (
        silence > CERTAIN_NO_SPEECH and belief < CERTAIN_LOGPROB
    )


def _suspect(signals: Signals) -> bool:
    silence, belief = signals.no_speech_prob, signals.avg_logprob
    return (
        (silence is not None and silence > SUSPECT_NO_SPEECH)
        or (belief is not None and belief < SUSPECT_LOGPROB)
        or signals.voiced_ms < SUSPECT_VOICED_MS
    )


def _loops(words: list[str]) -> bool:
    """Does any run of words repeat at once, again and again?"""
    for period in range(1, 9):
        matched = 0
        for at in range(period, len(words)):
            matched = matched + 1 if words[at] == words[at - period] else 0
            unit = words[at - period + 1 : at + 1]
            repeats = 1 + matched // period
            if repeats > WORD_REPEATS or (repeats >= REPEATS and len(set(unit)) > 1):
                return True
    return False
