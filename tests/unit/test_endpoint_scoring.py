"""The score of an end-of-turn rule: every pause is played, cut-offs and delays counted from the truth."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from scripts.turn_corpus import fitting, patterns, scoring
from voicebot.audio.hearing.completeness import Completeness
from voicebot.audio.hearing.endpointing import DEFAULT_RULES, EndpointFacts, EndpointRules, decide
from voicebot.core.conversation import Expects

FLAT = EndpointRules(
    silence_alone=800,
    sounds=((0.5, 0.5), (0.0, 1.0)),
    worth=dict.fromkeys(Completeness, 1.0),
    longest=1500,
    digits_open=1750,
)
"""400 ms where it sounds finished, 800 otherwise."""


def pause(begin_ms: int, length_ms: int | None, words: str, *verdicts: tuple[int, float]) -> dict[str, Any]:
    return {
        "begin_ms": begin_ms,
        "length_ms": length_ms,
        "words": words,
        "verdicts": [list(v) for v in verdicts],
    }


def turn(
    *pauses: dict[str, Any], end_ms: int = 3000, asked: str = "free", length: int | None = None
) -> dict[str, Any]:
    return {"asked": asked, "length": length, "end_ms": end_ms, "pauses": list(pauses), "voice": "a"}


FINISHED = ((128, 0.9), (256, 0.9))
UNFINISHED = ((128, 0.1), (256, 0.1), (512, 0.1))


@pytest.mark.parametrize(
    ("pauses", "cut", "delay_ms"),
    [
        # (inner pauses), cut off?, delay: seen 40 ms late, whole windows of 32 ms
        ([pause(3040, None, "x", *FINISHED)], False, 40 + 416),
        ([pause(3040, None, "x", *UNFINISHED)], False, 40 + 800),
        ([pause(2960, None, "x", *FINISHED)], False, 416 - 40),
        ([pause(900, 410, "x", *FINISHED), pause(3000, None, "x", *FINISHED)], False, 416),
        ([pause(900, 430, "x", *FINISHED), pause(3000, None, "x", *FINISHED)], True, 416),
        ([pause(900, 790, "x", *UNFINISHED), pause(3000, None, "x", *FINISHED)], False, 416),
        # a later verdict changes it: unfinished at first, finished from 512 + 64 on
        ([pause(3000, None, "x", (128, 0.1), (256, 0.1), (512, 0.9))], False, 576),
    ],
)
def test_cut_offs_and_delays(pauses: list[dict[str, Any]], cut: bool, delay_ms: int) -> None:
    score = scoring.ours(scoring.turns([turn(*pauses)]), FLAT)
    assert score.cut.tolist() == [cut]
    assert score.delay.tolist() == [delay_ms]


def test_smart_turn_alone_asks_once_and_falls_back() -> None:
    turns = scoring.turns(
        [
            turn(pause(3000, None, "x", (128, 0.1), (256, 0.9))),
            turn(pause(3000, None, "x", (128, 0.9), (256, 0.1), (512, 0.9))),
            turn(pause(900, 2900, "x", (256, 0.1)), pause(3000, None, "x", (256, 0.9))),
            turn(pause(900, 600, "x", (256, 0.9)), pause(3000, None, "x", (256, 0.9))),
        ]
    )
    score = scoring.smart_turn_alone(turns)
    assert score.delay.tolist() == [320, 3000, 320, 320]
    assert score.cut.tolist() == [False, False, False, True]


def test_silence_alone_cuts_what_is_longer() -> None:
    turns = scoring.turns([turn(pause(900, 500, "x"), pause(3000, None, "x"))])
    assert scoring.silence_alone(turns, 480).cut.tolist() == [True]
    assert scoring.silence_alone(turns, 500).cut.tolist() == [False]


WORDS = ["where is my order", "my number is", "yes", "four two seven", "four two seven one oh three", ""]


@pytest.mark.parametrize("expects", [Expects(), Expects(kind="digits", length=6), Expects(kind="yes_no")])
def test_the_score_is_of_the_decision_that_calls_make(expects: Expects) -> None:
    """Window by window through ``decide``, a turn ends where the arrays say."""
    rng = random.Random(3)
    for words in WORDS:
        verdicts = [(at, rng.random()) for at in (128, 256, 512, 900, 1300)]
        entry = turn(pause(3000, None, words, *verdicts), asked=expects.kind, length=expects.length)
        scored = scoring.ours(scoring.turns([entry]), DEFAULT_RULES).delay[0]
        for silence_ms in range(32, 4000, 32):
            known = [p for at, p in verdicts if at + scoring.VERDICT_TAKES_MS <= silence_ms]
            facts = EndpointFacts(
                silence_ms,
                1000,
                words=words if silence_ms >= scoring.WORDS_AT_MS else None,
                words_current=silence_ms >= scoring.WORDS_AT_MS,
                complete=known[-1] if known else None,
                verdict_due=not known and silence_ms >= 128,
                expects=expects,
            )
            if decide(facts).over:
                break
        assert silence_ms == scored


def test_a_fit_finds_the_silence_between_pauses_and_ends() -> None:
    """Sentences pause for 600 ms where the words are open and never where they are whole."""
    open_ones = [
        turn(pause(900, 600, "my number is", *FINISHED), pause(3000, None, "where is my order", *FINISHED))
        for _ in range(20)
    ]
    rules = fitting.rounded(fitting.fit(fitting.material(open_ones), 2000, fitting.START))
    score = scoring.ours(scoring.turns(open_ones), rules)
    assert score.cut_share == 0
    assert score.delay_ms(0.5) <= 320


def test_no_fitted_turn_has_a_held_out_pattern_and_digits_have_their_length() -> None:
    rng = random.Random(1)
    drawn = {split: [patterns.drawn(split, rng) for _ in range(300)] for split in ("fit", "held_out")}
    texts = {split: {t.pattern for t in turns if "{" in t.pattern} for split, turns in drawn.items()}
    shared = texts["fit"] & texts["held_out"]
    assert all(set(pattern) & set("{}") and len(pattern) <= 6 for pattern in shared), "bare slots only"
    for t in drawn["fit"]:
        assert not {"|", "/", "{"} & set(t.text)
        if t.pattern == "{d6}":
            assert (t.asked, t.length) == ("digits", 6)
            assert len(t.text.split()) == 6


def test_arrays_keep_missing_stretches_empty() -> None:
    turns = scoring.turns([turn(pause(3000, None, "x"))])
    assert not np.isnan(turns.begins).any()
    assert scoring.ours(turns, FLAT).delay.tolist() == [800]
