"""Ranking, doubt, and what is kept of a question: each piece of evidence counts, and nobody is named."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from voicebot.core.conversation import Source
from voicebot.dialogue.knowledge.ambiguity import nearly_alike
from voicebot.dialogue.knowledge.candidates import Candidate
from voicebot.dialogue.knowledge.fusion import fused
from voicebot.dialogue.knowledge.gaps import masked
from voicebot.dialogue.knowledge.passage import Passage
from voicebot.dialogue.knowledge.rerank import DEFAULT, features_of, numbers_of, rerank, weights_for
from voicebot.dialogue.knowledge.similar import Shape, likeness
from voicebot.dialogue.knowledge.words import Lexeme, places_in

LEXEMES = (Lexeme(word="sofa", chunks=1, weight=3.0), Lexeme(word="return", chunks=9, weight=1.0))


def candidate(article: str = "a", **given: object) -> Candidate:
    facts: dict[str, object] = {
        "near": 1, "worded": 1, "tagged": None, "article": article, "version": "v", "position": 1,
        "heading": "", "body": "Thirty days.", "title": article, "intents": (), "stale": False,
        "cosine": 0.5, "found": (), "headed": (),
    }  # fmt: skip
    return Candidate.model_validate({**facts, **given})


def passage(article: str, grounding: float, *, tagged: bool = False) -> Passage:
    source = Source(article=article, title=article, version="v", score=1.0)
    return Passage(source=source, heading="", body="", grounding=grounding, tagged=tagged)


def test_fusion_rewards_agreement_of_lists() -> None:
    """Second in both lists beats first in one; the constant is 60."""
    assert fused([2, 2]) > fused([1, None])
    assert fused([1, None]) == pytest.approx(0.5)
    assert fused([61, 61]) == pytest.approx(61 / 121)
    assert fused([]) == fused([None]) == 0.0


@pytest.mark.parametrize(
    ("better", "worse", "question", "intent"),
    [
        ({"found": (1,)}, {"found": (2,)}, "return sofa", None),  # the rarer word
        ({"headed": (1,)}, {}, "return sofa", None),
        ({"cosine": 0.8}, {"cosine": 0.4}, "return sofa", None),
        ({"near": 1, "worded": 1}, {"near": 9, "worded": None}, "return sofa", None),
        ({"body": "Thirty days."}, {"body": "Sixty days."}, "is it 30 days", None),
        ({"position": 0}, {"position": 3}, "return sofa", None),
        ({"intents": ("r",)}, {"intents": ("q", "r")}, "return sofa", "r"),
        ({"intents": ("q", "r")}, {"intents": ("q",)}, "return sofa", "r"),
    ],
)
def test_each_kind_of_evidence_counts(
    better: dict[str, object], worse: dict[str, object], question: str, intent: str | None
) -> None:
    """All else equal, it decides; with the order of the candidates turned round too."""
    pair = [candidate("b", **better), candidate("a", **worse)]
    for order in (pair, pair[::-1]):
        ranked = rerank(order, question, LEXEMES, intent, DEFAULT)
        assert [one.candidate.article for one in ranked] == ["b", "a"]
        assert ranked[0].grounding > ranked[1].grounding


def test_grounding_is_a_probability_and_a_tie_has_one_order() -> None:
    """Whatever the features are; a cosine that is no number counts as far."""
    pair = [candidate("b"), candidate("a", cosine=float("nan")), candidate("a", position=2)]
    ranked = rerank(pair, "", (), None, DEFAULT)
    assert all(0.0 < one.grounding < 1.0 for one in ranked)
    assert [(one.candidate.article, one.candidate.position) for one in ranked] == [
        ("a", 2),
        ("b", 1),
        ("a", 1),
    ]
    assert features_of(candidate(), (), frozenset(), None).coverage == 0.0


def test_numbers_are_compared_by_value() -> None:
    """Figures and words alike; "one" is a word."""
    assert numbers_of("within thirty days or 2,500 dollars, one sofa") == {"30", "2500"}


def test_weights_of_another_embedding_are_not_used() -> None:
    """Cosines of different embeddings do not compare."""
    fitted = {"lsa": DEFAULT.model_copy(update={"offset": -9.0})}
    assert weights_for("lsa-96-0f", fitted).offset == -9.0
    assert weights_for("minilm-l6-0f", fitted) is DEFAULT


@pytest.mark.parametrize(
    ("passages", "alike"),
    [
        ([("a", 0.6), ("b", 0.55)], ["a", "b"]),
        ([("a", 0.6), ("b", 0.3)], []),  # b is clearly behind
        ([("a", 0.9), ("b", 0.89)], []),  # a simply answers
        ([("a", 0.2), ("b", 0.19)], []),  # neither is a reading of the question
        ([("a", 0.6), ("a", 0.59)], []),  # one article
        ([("a", 0.6), ("a", 0.59), ("b", 0.58), ("c", 0.57), ("d", 0.56)], ["a", "b", "c"]),
        ([], []),
    ],
)
def test_two_articles_nearly_alike_are_asked_about(
    passages: list[tuple[str, float]], alike: list[str]
) -> None:
    """One question, between at most three."""
    found = nearly_alike([passage(article, grounding) for article, grounding in passages])
    assert [one.source.article for one in found] == alike


def test_the_intent_decides_between_articles_before_anybody_is_asked() -> None:
    """An article off the intent is no rival of one about it."""
    assert nearly_alike([passage("a", 0.6, tagged=True), passage("b", 0.59)]) == ()
    both = [passage("a", 0.6, tagged=True), passage("b", 0.59, tagged=True)]
    assert len(nearly_alike(both)) == 2


def test_a_region_is_known_by_its_name_in_the_question() -> None:
    """One word or two."""
    assert {"vermont", "new-york"} <= set(places_in("from Vermont to New York"))


@pytest.mark.parametrize(
    ("question", "kept"),
    [
        ("do you insure boats", ("boats", "insure")),
        ("My name is Ann Miller and I want boat insurance", ("boat", "insurance")),
        ("i'm called bob and i sell boats", ("boats", "sell")),
        ("Can I pay at 12 Oak Road like Mrs. Miller?", ("pay",)),
        ("write to ann.miller@example.com or call 202 555 0100 about boats", ("boats", "call", "write")),
        ("order four two seven one zero three", ("order",)),
        ("does Hawthorne deliver boats", ("boats", "deliver")),
        ("", ()),
        ("\0\x07 日本 ###", ()),
    ],
)
def test_what_is_kept_of_a_question_names_nobody(question: str, kept: tuple[str, ...]) -> None:
    """No digits, no addresses, nothing after a name's cue, no capitals within a sentence."""
    assert set(masked(question)) - {"and", "does"} == set(kept)


def test_a_shape_takes_names_of_ours_only() -> None:
    """Words of a caller do not fit; likeness weighs the intent most."""
    with pytest.raises(ValidationError):
        Shape(intents=("where is my sofa",))
    with pytest.raises(ValidationError):
        Shape(tools=("Ann Miller",))
    assert Shape(intents=("b", "a")).features() == ["intent:a", "intent:b", "mood:even", "urgency:normal"]
    same_intent = likeness(["intent:a", "mood:low"], ["intent:a", "mood:even"])
    same_mood = likeness(["intent:a", "mood:low"], ["intent:b", "mood:low"])
    assert same_intent > same_mood
