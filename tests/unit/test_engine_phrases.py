"""A deployment's phrases become sentences: bounded, fair to every pattern, and a mistake names its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from voicebot.audio.engines.phrases import (
    MAX_SENTENCES,
    WEIGHT,
    Recognition,
    build_language_model,
    expand,
    normalise,
    read_phrases,
    select,
    weigh,
)
from voicebot.audio.engines.types import EngineUnavailable

SHOP = Recognition(
    phrases=["What are your opening hours?", "hello"],
    patterns=["where is my {item}", "can i {verb} my {item} {please}"],
    slots={"item": ["order", "parcel"], "verb": ["return", "cancel"], "please": ["", "please"]},
)


def test_patterns_are_multiplied_out_and_an_empty_value_leaves_no_gap():
    sentences = expand(SHOP)
    assert len(sentences) == 2 + 2 + 8 == len(set(sentences))
    assert {"where is my order", "can i cancel my parcel", "can i return my order please"} <= set(sentences)
    assert all("  " not in s and s == s.strip() for s in sentences)


def test_a_huge_pattern_is_bounded_keeps_every_value_and_leaves_small_ones_whole():
    many = Recognition(
        patterns=["{a} {b} {c} {d}", "where is my {a}"],
        slots={n: [f"{n}{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(40)] for n in "abcd"},
    )
    sentences = expand(many, limit=500)
    assert len(sentences) <= 500
    words = {w for s in sentences for w in s.split()}
    assert all(value in words for values in many.slots.values() for value in values)
    assert sum(s.startswith("where is my") for s in sentences) == 40
    assert sentences == expand(many, limit=500)


def test_a_pattern_with_many_slots_does_not_drown_a_plain_phrase():
    recognition = Recognition(
        phrases=["hello"],
        patterns=["say {a} {b}"],
        slots={n: ["x" * (i + 1) for i in range(70)] for n in "ab"},
    )
    weighed = weigh(recognition)
    assert weighed.count("hello") == WEIGHT + 1
    assert len(weighed) <= MAX_SENTENCES + 2 * WEIGHT + 1


def test_as_a_recogniser_writes():
    assert normalise("I’d like -- a refund, PLEASE!") == "i'd like a refund please"


def test_unknown_words_are_named_and_only_their_sentences_dropped():
    known = dict.fromkeys(["where", "is", "my", "order"])
    kept = select(["where is my order", "where is my flurbel", "flurbel flurbel"], known)
    assert (kept.sentences, kept.unknown) == (("where is my order",), ("flurbel",))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("recognition: {patterns: ['where is my {item}']}", "the slot 'item'"),
        ("recognition: {phrase: [hello]}", "phrase"),
        ("recognition: {phrases: [1]}", "phrases.0"),
        ("- a list", "recognition"),
        ("recognition: [", "cannot be used"),
    ],
)
def test_a_mistake_in_the_file_names_its_place(tmp_path: Path, text: str, says: str):
    path = tmp_path / "phrases.yaml"
    path.write_text(text)
    with pytest.raises(EngineUnavailable, match=r"phrases\.yaml") as refused:
        read_phrases(path)
    assert says in str(refused.value)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(EngineUnavailable, match=r"nowhere\.yaml"):
        read_phrases(tmp_path / "nowhere.yaml")


def test_other_keys_of_the_file_are_somebody_elses(tmp_path: Path):
    path = tmp_path / "phrases.yaml"
    path.write_text("spoken: {greeting: hi}\nrecognition: {phrases: [hello there]}")
    assert expand(read_phrases(path)) == ("hello there",)


def test_the_model_is_written_and_an_empty_one_is_refused(tmp_path: Path):
    build_language_model(expand(SHOP), tmp_path / "lm.arpa")
    assert "\\data\\" in (tmp_path / "lm.arpa").read_text()
    with pytest.raises(EngineUnavailable, match="no phrase"):
        build_language_model([], tmp_path / "none.arpa")
