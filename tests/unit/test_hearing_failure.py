"""Whether words may be used, and why not: each recogniser by its own limits, and what fits is used."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from voicebot.audio.engines.types import Transcript, Word
from voicebot.audio.hearing.failure import DEFAULT_LIMITS, Heard, fits, judge
from voicebot.audio.hearing.noise import FLOOR_DBFS, LineFacts, LineNoise
from voicebot.audio.hearing.vad import WINDOW, level_dbfs
from voicebot.core.conversation import FREE, Expects, HearingFailure

SIX = Expects(kind="digits", length=6)
YES_NO = Expects(kind="yes_no")
DATE = Expects(kind="date")
QUIET = LineFacts(snr_db=45.0)
LOUD = LineFacts(snr_db=4.0)

WHISPER = Heard(
    text="where is my order",
    confidence=0.85,
    avg_logprob=-0.2,
    aligned=True,
    voiced_ms=1500,
    line=QUIET,
)
SPHINX = Heard(text="where is my order", confidence=0.7, aligned=True, voiced_ms=1500, line=QUIET)
GRAMMAR = Heard(text="four two seven one", aligned=True, expects=SIX, voiced_ms=1500, line=QUIET)
CLOUD = Heard(text="where is my order", voiced_ms=1500, line=QUIET)


@pytest.mark.parametrize(
    ("heard", "failure", "why"),
    [
        # What is clear is used.
        (WHISPER, None, "words"),
        (SPHINX, None, "words"),
        (GRAMMAR, None, "words"),
        (CLOUD, None, "words"),
        # The same numbers mean different things.
        (replace(WHISPER, confidence=0.40), "low_confidence", "confidence"),
        (replace(SPHINX, confidence=0.40), None, "words"),
        (replace(SPHINX, confidence=0.20), "low_confidence", "posterior"),
        (replace(WHISPER, avg_logprob=-1.3), "low_confidence", "logprob"),
        (replace(WHISPER, confidence=0.46, avg_logprob=-0.9), None, "words"),
        # Noise: PocketSphinx is deaf in it, a Whisper and a cloud are asked for themselves.
        (replace(SPHINX, confidence=1.0, line=LOUD), "too_noisy", "deaf_in_noise"),
        (replace(GRAMMAR, text="four two seven one zero three", line=LOUD), "too_noisy", "deaf_in_noise"),
        (replace(WHISPER, line=LOUD), None, "words"),
        (replace(CLOUD, line=LOUD), None, "words"),
        (replace(WHISPER, confidence=0.3, line=LOUD), "too_noisy", "confidence_in_noise"),
        (replace(WHISPER, text="", line=LOUD), "too_noisy", "empty_in_noise"),
        (replace(WHISPER, text="", line=LineFacts(40.0, 0.2)), "too_noisy", "empty_in_noise"),
        (replace(SPHINX, line=LineFacts(None)), None, "words"),
        # No words.
        (replace(WHISPER, text=""), "empty", "empty"),
        (replace(WHISPER, text="", dropped="no_speech"), "empty", "empty"),
        (replace(WHISPER, text="", dropped="loop"), "hallucination", "dropped_loop"),
        (replace(WHISPER, text="", dropped="phrase"), "hallucination", "dropped_phrase"),
        (replace(WHISPER, text="", dropped="too_much_text"), "hallucination", "dropped_too_much_text"),
        (replace(WHISPER, dropped="phrase"), None, "words"),
        # Another language.
        (replace(WHISPER, language="es", language_prob=0.95), "wrong_language", "language"),
        (replace(WHISPER, text="", language="es", language_prob=0.95), "wrong_language", "language"),
        (replace(WHISPER, language="es", language_prob=0.6), None, "words"),
        (replace(WHISPER, language="es", language_prob=0.95, voiced_ms=500), None, "words"),
        # What fits the question is used, however doubtful.
        (replace(WHISPER, text="four two seven one zero three", confidence=0.2, expects=SIX), None, "words"),
        (
            replace(WHISPER, text="four two seven", confidence=0.2, expects=SIX),
            "low_confidence",
            "confidence",
        ),
        (replace(WHISPER, text="yes please", confidence=0.2, expects=YES_NO), None, "words"),
        (replace(WHISPER, text="yes please", confidence=0.2), "low_confidence", "confidence"),
        (replace(WHISPER, text="next tuesday", confidence=0.2, expects=DATE), None, "words"),
    ],
)
def test_the_verdict(heard: Heard, failure: str | None, why: str) -> None:
    verdict = judge(heard)
    assert (verdict.failure, verdict.why) == (failure and HearingFailure(failure), why)


def test_a_recogniser_that_is_gone_explains_everything() -> None:
    """No transcript at all, whatever the line was like."""
    heard = Heard.of(None, FREE, voiced_ms=2000, line=LOUD)
    assert judge(heard).failure is HearingFailure.ENGINE_DOWN


def test_the_facts_come_from_the_transcript() -> None:
    transcript = Transcript(
        " hello ", True, words=(Word("hello", 0, 300),), confidence=0.9, avg_logprob=-0.1, dropped="loop"
    )
    heard = Heard.of(transcript, SIX, voiced_ms=300, line=QUIET)
    assert heard == Heard("hello", 0.9, -0.1, "loop", aligned=True, expects=SIX, voiced_ms=300, line=QUIET)


@pytest.mark.parametrize(
    ("text", "expects", "whole"),
    [
        ("four two seven one zero three", SIX, True),
        ("four two seven one zero", SIX, False),
        ("four two seven one zero three nine", SIX, False),
        ("i don't have it", SIX, False),
        ("yes", YES_NO, True),
        ("where is my order", YES_NO, False),
        ("yes", FREE, False),
        ("anna smith", Expects(kind="name"), False),
    ],
)
def test_what_fits_is_what_was_asked_and_nothing_else(text: str, expects: Expects, whole: bool) -> None:
    assert fits(text, expects) is whole


def tone(level_dbfs_: float, seed: int = 0) -> np.ndarray:
    """A window of noise at a level."""
    noise = np.random.default_rng(seed).normal(0, 32768 * 10 ** (level_dbfs_ / 20), WINDOW)
    return noise.clip(-32768, 32767).astype(np.int16)


def line(noise_dbfs: float | None, voice_dbfs: float, windows: int = 20) -> LineFacts:
    """A second of noise, then a voice above it, with pauses."""
    known = LineNoise()
    silence = np.zeros(WINDOW, np.int16)
    for n in range(windows):
        window = silence if noise_dbfs is None else tone(noise_dbfs, n)
        known.push(window, level_dbfs(window), voiced=False)
    known.turn_begins()
    for n in range(30):
        pause = n % 10 > 6
        window = (silence if noise_dbfs is None else tone(noise_dbfs, n)) if pause else tone(voice_dbfs, n)
        known.push(window, level_dbfs(window), voiced=not pause)
    return known.of_turn()


@pytest.mark.parametrize("ratio", [5, 10, 20, 40])
def test_the_ratio_of_voice_to_noise_is_what_it_was_made_with(ratio: int) -> None:
    snr = line(-50.0, -50.0 + ratio).snr_db
    assert snr is not None
    assert abs(snr - ratio) <= 1.0


def test_a_silent_line_has_a_floor_of_its_own() -> None:
    """Digital silence is no proof of an endless ratio."""
    assert line(None, -20.0).snr_db == pytest.approx(-20.0 - FLOOR_DBFS, abs=1.0)


def test_too_little_sound_says_nothing() -> None:
    known = LineNoise()
    for _ in range(5):
        known.push(tone(-20), -20.0, voiced=True)
    assert known.of_turn().snr_db is None
    assert LineNoise().of_turn() == LineFacts()


def test_clipping_is_the_share_of_samples_at_the_top() -> None:
    """A voice driven into the rails, and one that is only loud."""
    assert line(-60.0, -3.0).clipped > DEFAULT_LIMITS.clipped
    assert line(-60.0, -18.0).clipped == 0.0


def test_a_new_turn_measures_its_own_voice() -> None:
    known = LineNoise()
    for n in range(20):
        known.push(tone(-5, n), -5.0, voiced=True)
    known.turn_begins()
    assert known.of_turn() == LineFacts()
