"""The grounded responder quotes, never invents; values are spoken as what they are."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from voicebot.core.conversation import Route, Source
from voicebot.dialogue.generation.grounded import GroundedResponder, quote
from voicebot.dialogue.generation.request import GenerationRequest
from voicebot.dialogue.generation.spoken import amount, cardinal, day, digits, ordinal, spoken
from voicebot.dialogue.knowledge.search import Passage, grounding

BODY = (
    "We are open Monday to Saturday from nine to eight. On Sunday we are open from eleven to six. "
    "On Thanksgiving we are closed. Parking is free."
)


def request(question: str, *bodies: str, sentences: int = 2) -> GenerationRequest:
    passages = tuple(
        Passage(
            source=Source(article=f"a{nth}", title="T", version="1", score=1.0),
            heading="",
            body=body,
            grounding=1.0,
            tagged=True,
        )
        for nth, body in enumerate(bodies)
    )
    return GenerationRequest(
        conversation_id="cv_1",
        turn=1,
        intent="opening_hours",
        route=Route.GROUNDED,
        question=question,
        passages=passages,
        sentences=sentences,
    )


@pytest.mark.parametrize(
    ("question", "start"),
    [
        ("when are you open", "We are open Monday"),
        ("are you open on thanksgiving", "On Thanksgiving"),
        ("is parking free", "Parking is free."),
        ("hello", "We are open Monday"),
    ],
)
def test_it_quotes_the_sentences_that_answer(question: str, start: str) -> None:
    """The sentence that answers; the first ones when none does more than another."""
    assert quote(request(question, BODY)).startswith(start)


async def test_it_says_only_whole_sentences_of_the_best_article_and_at_most_two() -> None:
    """Every word stands in the article, in its order."""
    answer = quote(request("when are you open", BODY, "Another article."))
    assert answer in BODY
    assert answer.count(".") == 2
    tokens = [token async for token in GroundedResponder().stream(request("when are you open", BODY))]
    assert len(tokens) > 10
    assert "".join(tokens) == answer


def test_without_a_passage_it_says_nothing() -> None:
    """Silence here becomes "I don't know" before it: it never makes something up."""
    assert quote(request("when are you open")) == ""


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (date(2026, 11, 20), "Friday the twentieth of November"),
        (date(2026, 1, 1), "Thursday the first of January"),
        (date(2026, 3, 31), "Tuesday the thirty first of March"),
        (Decimal("12.50"), "twelve dollars and fifty cents"),
        (Decimal("1.01"), "one dollar and one cent"),
        (Decimal("1299"), "one thousand two hundred ninety nine dollars"),
        (Decimal("0"), "zero dollars"),
        ("427103", "four two seven, one zero three"),
        ("wool rug", "wool rug"),
        (3, "three"),
        (True, "yes"),
    ],
)
def test_values_are_spoken(value: object, words: str) -> None:
    """Dates, amounts, digits, counts."""
    assert spoken(value) == words


def test_numbers_in_words() -> None:
    """Cardinals and ordinals at their edges."""
    assert [cardinal(n) for n in (0, 13, 40, 99, 100, 101, 1000, 1_000_001)] == [
        "zero", "thirteen", "forty", "ninety nine", "one hundred", "one hundred one", "one thousand",
        "one million one",
    ]  # fmt: skip
    assert [ordinal(n) for n in (1, 2, 3, 5, 8, 9, 12, 20, 21, 30)] == [
        "first", "second", "third", "fifth", "eighth", "ninth", "twelfth", "twentieth", "twenty first", "thirtieth",  # noqa: E501
    ]  # fmt: skip
    assert day(date(2026, 2, 2)).endswith("second of February")
    assert amount(Decimal("-2")) == "minus two dollars"
    assert digits("00") == "zero zero"


def test_a_value_nobody_decided_how_to_say_is_refused() -> None:
    """A list or None never becomes "None" in a caller's ear."""
    for value in (None, ["a"], 1.5):
        with pytest.raises(TypeError):
            spoken(value)


def test_grounding_is_the_covered_share_of_what_was_asked() -> None:
    """Rare words weigh more; the tag of an article is a start, not the whole."""
    weights = {"sofa": 1.0, "warranti": 3.0}
    assert grounding(["warranti"], weights) == 0.75
    assert grounding(["warranti"], weights, start=0.5) == 0.875
    assert grounding([], {}) == 0.0
