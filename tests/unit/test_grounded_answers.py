"""The grounded responder quotes, never invents; values are spoken as what they are."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from generation_kit import shop_phrases

from voicebot.core.conversation import Route, Source
from voicebot.dialogue.generation.grounded import GroundedResponder, compose, quote
from voicebot.dialogue.generation.polarity import polarity
from voicebot.dialogue.generation.request import Exchange, GenerationRequest
from voicebot.dialogue.generation.sentences import sentences_of
from voicebot.dialogue.generation.spoken import amount, cardinal, day, digits, ordinal, spoken
from voicebot.dialogue.generation.spoken_text import speakable
from voicebot.dialogue.knowledge.passage import Passage
from voicebot.dialogue.phrases import Phrases

BODY = (
    "We are open Monday to Saturday from nine to eight. On Sunday we are open from eleven to six. "
    "On Thanksgiving we are closed. Parking is free."
)


def request(question: str, *bodies: str, sentences: int = 2, title: str = "T") -> GenerationRequest:
    passages = tuple(
        Passage(
            source=Source(article=f"a{nth}", title=title, version="1", score=1.0),
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


@pytest.fixture(scope="module")
def phrases() -> Phrases:
    return shop_phrases()


RETURNS = (
    "Small items go back by post. They are free to return. Furniture is picked up by us, and that costs $49. "
    "The fee is kept because the driver comes twice. Mattresses can't be returned once opened."
)


def test_a_sentence_that_leans_on_another_brings_it_along() -> None:
    """By itself "they are free" says nothing."""
    answer = quote(request("are small items free to return", RETURNS))
    assert answer == "Small items go back by post. They are free to return."
    cards = "Gift cards come in any amount. They never expire."
    assert quote(request("is there a day on which they expire", cards)) == cards


def test_two_parts_of_a_question_are_answered_from_two_articles() -> None:
    """How much, and how long: one sentence each, and both articles are cited."""
    cost, time = (
        "Delivery costs five dollars. Lamps are fragile.",
        "Delivery takes two days. Rugs are rolled.",
    )
    answer = compose(request("how much is delivery and how long does it take", cost, time))
    assert answer.text == "Delivery costs five dollars. Delivery takes two days."
    assert [source.article for source in answer.sources] == ["a0", "a1"]


def test_only_what_was_said_is_cited() -> None:
    """The best passage is not the source of a sentence from another."""
    answer = compose(request("do you have parking", "The store is in Portland.", "There is parking below."))
    assert [source.article for source in answer.sources] == ["a1"]


def test_figures_of_an_article_are_spoken_as_words() -> None:
    """Quoted by value, read as a person would."""
    assert quote(request("what does picking up furniture cost", RETURNS)) == (
        "Furniture is picked up by us, and that costs forty nine dollars."
    )


@pytest.mark.parametrize(
    ("tier", "said"),
    [
        (0, "Furniture is picked up by us, and that costs $49."),
        (1, "Our page on returning things says: Furniture is picked up by us, and that costs $49."),
        (
            2,
            "Our page on returning things says: Furniture is picked up by us, and that costs $49. "
            "The fee is kept because the driver comes twice.",
        ),
    ],
)
def test_more_risk_says_where_it_stands_and_then_why(phrases: Phrases, tier: int, said: str) -> None:
    """The article's own reason, if it gives one."""
    asked = request("what does picking up furniture cost", RETURNS, title="Returning things")
    assert compose(asked.model_copy(update={"tier": tier}), phrases).text == said


def test_without_a_reason_of_its_own_the_rule_is_the_reason(phrases: Phrases) -> None:
    """An approved line; nothing is made up."""
    asked = request(
        "how long is the warranty", "Furniture has a warranty of five years.", title="Hearth Plus"
    )
    answer = compose(asked.model_copy(update={"tier": 2}), phrases).text
    assert answer.startswith("Our page on Hearth Plus says: Furniture has")
    assert answer.endswith(phrases.text("answer.reason"))


def test_tell_me_more_goes_on_where_it_stopped(phrases: Phrases) -> None:
    """What was heard, in spoken form, is not said again; at the end it says that this was all."""
    asked = request("what does it cost to return furniture", RETURNS)
    heard: tuple[Exchange, ...] = ()
    answers: list[str] = []
    for _ in range(4):
        more = asked.model_copy(update={"history": heard, "more": bool(heard)})
        answers.append(quote(more, phrases))
        heard = (*heard, Exchange(caller="?", bot=answers[-1]))
    said = " ".join(answers[:-1])
    assert answers[-1] == phrases.text("answer.all")
    assert sorted(sentences_of(said)) == sorted(sentences_of(speakable(RETURNS)))


@pytest.mark.parametrize(
    ("question", "sentence", "answer"),
    [
        ("do you deliver to hawaii", "We don't deliver to Alaska, Hawaii, or other countries.", "no"),
        ("can i borrow a wheelchair", "You can borrow a wheelchair at the welcome desk.", "yes"),
        ("do i have to be home", "You don't have to be home for a small parcel.", "no"),
        ("are you open on thanksgiving", "We are closed on Thanksgiving and on Christmas Day.", "no"),
        ("are you open on sunday", "On Sunday we are open from eleven to six.", "yes"),
        ("is there a minimum order", "There is no minimum order.", "no"),
        ("can i return sale items", "Sale items can be returned like all others.", "yes"),
        ("can i return an opened mattress", "Opened mattresses and lamps can't be returned.", "no"),
        # Near misses: saying yes or no here would be wrong, or more than is known.
        ("can i return a mattress", "Opened mattresses and lamps can't be returned.", None),
        ("can i return it after forty days", "You can return almost anything within thirty days.", None),
        ("can i order forty five chairs", "You can order chairs on our website.", None),
        ("is delivery free", "Delivery is free for orders above seventy five dollars.", None),
        ("do you deliver on sunday", "We deliver furniture from Monday to Saturday.", None),
        ("can i pay cash", "You can pay by card, and in the store also in cash.", None),
        ("can i bring my dog", "You can bring a dog unless the cafe is open.", None),
        ("are you always open", "We are open on Sunday.", None),
        ("do you sell lamps or rugs", "We sell lamps.", None),
        ("how long do you deliver", "We deliver from nine.", None),
        ("are you open at eight on sunday", "On Sunday we are open from eleven to six.", None),
    ],
)
def test_a_plain_yes_or_no_only_where_the_article_says_so(
    question: str, sentence: str, answer: str | None
) -> None:
    """The sentence mirrors the question and nothing narrows it; else it stands by itself."""
    assert polarity(question, sentence) == answer


def test_yes_comes_before_the_quote(phrases: Phrases) -> None:
    """And only then."""
    asked = request("can i borrow a wheelchair", "You can borrow a wheelchair at the desk.")
    assert quote(asked, phrases) == "Yes. You can borrow a wheelchair at the desk."
    assert quote(asked) == "You can borrow a wheelchair at the desk."


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
