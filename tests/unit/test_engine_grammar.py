"""Grammars say what kind of answer fits and never which; each lets the caller leave the question."""

from __future__ import annotations

from pathlib import Path

import pocketsphinx
import pytest

from voicebot.audio.engines.grammar import LEAVES, all_grammars, grammar_of
from voicebot.audio.engines.sphinx import EXTRA_PRONUNCIATIONS, on_the_telephone, read_dictionary
from voicebot.core.conversation import Expects


@pytest.fixture(scope="module")
def decoder() -> pocketsphinx.Decoder:
    return pocketsphinx.Decoder(lm=None, loglevel="FATAL")


@pytest.mark.parametrize("kind", ["free", "name"])
def test_what_has_no_form_has_no_grammar(kind: str):
    assert grammar_of(Expects.model_validate({"kind": kind})) is None


@pytest.mark.parametrize("length", [None, 1, 2, 3, 6, 16, 32])
def test_digits_of_every_length_parse(decoder: pocketsphinx.Decoder, length: int | None):
    grammar = grammar_of(Expects(kind="digits", length=length))
    assert grammar is not None
    text = grammar.jsgf.replace("postcode", "code")  # its pronunciation is our own
    assert decoder.parse_jsgf(text) is not None
    assert {"oh", "zero", "double", "triple", "it's"} <= grammar.words()


def test_another_length_than_asked_for_can_be_heard():
    grammar = grammar_of(Expects(kind="digits", length=6))
    assert grammar is not None
    assert "<n6>" in grammar.jsgf
    assert "<piece>+" in grammar.jsgf


def test_every_word_of_every_grammar_has_a_pronunciation():
    known = read_dictionary(Path(pocketsphinx.get_model_path("en-us/cmudict-en-us.dict")))
    known |= EXTRA_PRONUNCIATIONS
    assert not [w for g in all_grammars() for w in g.words() if w not in known]


def test_a_person_can_be_asked_for_instead_of_answering():
    assert "a person please" in LEAVES
    assert all(f"| {leave}" in g.jsgf for g in all_grammars() for leave in LEAVES[1:])


def test_a_hiss_is_known_as_the_telephone_leaves_it():
    heard = on_the_telephone({"six": ["S IH K S"], "two": ["T UW"]}, ["six", "two", "unheard"])
    assert heard == {"six": ["S IH K S", "TH IH K TH"], "two": ["T UW"]}
