"""May the words of a turn be used, and why not? Pure: facts in, a verdict out.

Recognisers differ in what they say of themselves. Whisper gives a mean log probability and, by its
alignment, a probability for each word; PocketSphinx a posterior, and none where a grammar listened; a
cloud service mostly nothing. Each is held to its own limit (``Limits``), and one that says nothing is
believed.
"""

from __future__ import annotations

from dataclasses import dataclass

from voicebot.audio.engines.types import Transcript
from voicebot.audio.hearing.completeness import Completeness, completeness
from voicebot.audio.hearing.noise import NOTHING_KNOWN, LineFacts
from voicebot.core.conversation import FREE, Expects, HearingFailure


@dataclass(frozen=True)
class Limits:
    """Below these, words are not acted upon.

    Read off 144 recorded lines of five synthetic voices, clean and in noise (``scripts/bench/unheard.py``):
    no clean one that Whisper reads right is refused. ``foreign``, ``foreign_ms`` and ``clipped`` are not
    measured.

    Attributes:
        whisper: mean probability of a Whisper's words.
        whisper_logprob: its mean log probability.
        posterior: PocketSphinx' mean posterior.
        deaf_db: the voice's ratio to the noise below which PocketSphinx is believed nothing: there it has its
            highest posteriors for words that nobody said, and its digit grammar finds digits in anything.
        foreign: probability from which another language is believed.
        foreign_ms: voiced sound from which a language can be told at all.
        noisy_db: the voice's ratio to the noise below which failed words are blamed on the noise.
        clipped: share of samples at full scale from which they are blamed on clipping.
    """

    whisper: float = 0.45
    whisper_logprob: float = -1.0
    posterior: float = 0.25
    deaf_db: float = 14.0
    foreign: float = 0.80
    foreign_ms: int = 1000
    noisy_db: float = 8.0
    clipped: float = 0.05


DEFAULT_LIMITS = Limits()

SUBTITLES = frozenset({"loop", "too_much_text", "phrase"})
"""What Whisper's gate drops as made up. Its ``no_speech`` says that nobody spoke, which is no invention."""


@dataclass(frozen=True)
class Heard:
    """What is known of one turn's sound and words. ``text`` without the spaces around it.

    ``aligned``: its words have times, as Whisper's and PocketSphinx' have and a cloud's have not.
    ``engine_up`` is False when the recogniser was lost or late; everything else may be empty then.
    """

    text: str = ""
    confidence: float | None = None
    avg_logprob: float | None = None
    dropped: str | None = None
    language: str | None = None
    language_prob: float | None = None
    aligned: bool = False
    expects: Expects = FREE
    voiced_ms: int = 0
    line: LineFacts = NOTHING_KNOWN
    engine_up: bool = True

    @classmethod
    def of(cls, transcript: Transcript | None, expects: Expects, *, voiced_ms: int, line: LineFacts) -> Heard:
        """From what the recogniser gave; None: it is gone."""
        if transcript is None:
            return cls(expects=expects, voiced_ms=voiced_ms, line=line, engine_up=False)
        return cls(
            text=transcript.text.strip(),
            confidence=transcript.confidence,
            avg_logprob=transcript.avg_logprob,
            dropped=transcript.dropped,
            language=transcript.language,
            language_prob=transcript.language_prob,
            aligned=bool(transcript.words),
            expects=expects,
            voiced_ms=voiced_ms,
            line=line,
        )


@dataclass(frozen=True)
class Verdict:
    """``failure`` None: the words may be used. ``why`` names the rule, for logs and tests."""

    failure: HearingFailure | None
    why: str


USABLE = Verdict(None, "words")


def judge(heard: Heard, limits: Limits = DEFAULT_LIMITS) -> Verdict:
    """Whether the words may be acted upon.

    What fits exactly what was asked (six digits of six, a yes) is used however doubtful it is: the question
    itself speaks for it, and what it leads to is checked or confirmed.
    """
    if not heard.engine_up:
        return Verdict(HearingFailure.ENGINE_DOWN, "engine_down")
    if _foreign(heard, limits):
        return Verdict(HearingFailure.WRONG_LANGUAGE, "language")
    if not heard.text:
        if _noisy(heard.line, limits):
            return Verdict(HearingFailure.TOO_NOISY, "empty_in_noise")
        if heard.dropped in SUBTITLES:
            return Verdict(HearingFailure.HALLUCINATION, f"dropped_{heard.dropped}")
        return Verdict(HearingFailure.EMPTY, "empty")
    if _deaf(heard, limits):
        return Verdict(HearingFailure.TOO_NOISY, "deaf_in_noise")
    if fits(heard.text, heard.expects) or not (doubt := _doubt(heard, limits)):
        return USABLE
    if _noisy(heard.line, limits):
        return Verdict(HearingFailure.TOO_NOISY, f"{doubt}_in_noise")
    return Verdict(HearingFailure.LOW_CONFIDENCE, doubt)


_ANSWERS = frozenset({Completeness.ANSWERED, Completeness.COUNTED, Completeness.AGREED})


def fits(text: str, expects: Expects) -> bool:
    """Whether the words are exactly what was asked for: so many digits, a yes or no, a date."""
    if expects.kind not in {"digits", "yes_no", "date"}:
        return False
    return completeness(text, expects) in _ANSWERS


def _foreign(heard: Heard, limits: Limits) -> bool:
    sure = heard.language_prob is not None and heard.language_prob >= limits.foreign
    return heard.language is not None and sure and heard.voiced_ms >= limits.foreign_ms


def _doubt(heard: Heard, limits: Limits) -> str:
    """Why the recogniser does not believe its words; empty: it does, or does not say."""
    if heard.avg_logprob is not None:
        if heard.avg_logprob < limits.whisper_logprob:
            return "logprob"
        return "confidence" if heard.confidence is not None and heard.confidence < limits.whisper else ""
    if heard.confidence is not None and heard.confidence < limits.posterior:
        return "posterior"
    return ""


def _deaf(heard: Heard, limits: Limits) -> bool:
    """PocketSphinx in noise."""
    ratio = heard.line.snr_db
    return heard.aligned and heard.avg_logprob is None and ratio is not None and ratio < limits.deaf_db


def _noisy(line: LineFacts, limits: Limits) -> bool:
    return (line.snr_db is not None and line.snr_db < limits.noisy_db) or line.clipped >= limits.clipped
