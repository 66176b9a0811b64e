"""Words that mean something only where they are said: why, follow-ups, call backs, other languages."""

# ruff: noqa: E501  # rows of tables
from __future__ import annotations

import doctest
from datetime import UTC, datetime
from types import ModuleType

import pytest

from voicebot.dialogue.flow import asides, bare, calling_back, following
from voicebot.dialogue.flow.asides import asks_why, asks_why_of, content_words, doubts
from voicebot.dialogue.flow.bare import is_bare
from voicebot.dialogue.flow.calling_back import beside_the_call, wants_call_back, wished_at, wished_time
from voicebot.dialogue.flow.following import completed, points_back
from voicebot.dialogue.monitor import language
from voicebot.dialogue.monitor.language import (
    asks_for_language,
    foreign,
    thumb,
    unreadable,
    yes_or_no_abroad,
)

NOW = datetime(2026, 11, 18, 10, 30, tzinfo=UTC)  # a Wednesday


@pytest.mark.parametrize("module", [asides, bare, calling_back, following, language])
def test_docstring_examples_are_true(module: ModuleType) -> None:
    """Each module's own examples."""
    found = doctest.testmod(module)
    assert (found.failed, found.attempted > 0) == (0, True)


@pytest.mark.parametrize(
    "text",
    ["why?", "Why not?", "but why", "how come", "and why is that", "what's the reason for that", "can you explain",
     "why do you need that", "why so much?", "why though"],
)  # fmt: skip
def test_why_in_its_many_forms(text: str) -> None:
    assert asks_why(text)
    assert content_words(text) == 0 or "much" in text


@pytest.mark.parametrize(
    "text",
    ["why can't I return it", "why is my order late", "why are you closed on sundays", "because", "tell me more",
     "explain the warranty", "no", ""],
)  # fmt: skip
def test_a_question_with_a_matter_of_its_own_is_no_bare_why(text: str) -> None:
    assert not asks_why(text)


@pytest.mark.parametrize(
    ("text", "said", "asks"),
    [
        ("why thirty days", "Within thirty days of delivery.", True),
        ("why not sixty", "Within thirty days of delivery.", True),
        ("how come it's so late", "Your sofa is late.", True),
        ("why was my card charged", "Within thirty days of delivery.", False),
        ("thirty days", "Within thirty days of delivery.", False),
    ],
)
def test_the_reason_of_what_was_said(text: str, said: str, asks: bool) -> None:
    assert asks_why_of(text, said) is asks


@pytest.mark.parametrize(
    ("text", "expected"),
    [("really?", True), ("are you sure about that", True), ("is that right", True), ("really good sofa", False),
     ("are you sure you have my order", False), ("i am sure", False)],
)  # fmt: skip
def test_doubt(text: str, expected: bool) -> None:
    assert doubts(text) is expected


@pytest.mark.parametrize(
    ("text", "before", "question"),
    [
        ("and on a mattress?", "how long is the warranty on a sofa", "how long is the warranty on a mattress"),
        ("is that so also for lamps?", "how many years is a bed under guarantee", "how many years is lamps under guarantee"),
        ("and to hawaii?", "what does delivery of a sofa cost", "what does delivery of a sofa cost to hawaii"),
        ("and for a small parcel?", "what does delivery of a sofa cost", "what does delivery of a small parcel cost"),
        ("and sundays?", "when are you open on saturday", "when are you open on sundays"),
        ("what about the velvet armchair", "is the linen sofa in stock", "is the velvet armchair in stock"),
        ("how often should i do it", "how do i clean a wool rug", "how often should i clean a wool rug"),
    ],
)  # fmt: skip
def test_a_follow_up_is_put_together_with_the_question_before(text: str, before: str, question: str) -> None:
    kind = points_back(text)
    assert kind is not None
    assert completed(text, before, kind, "the warranty") == question


@pytest.mark.parametrize(
    "text",
    ["and when do you open?", "that's all", "that is ridiculous", "this sofa is damaged", "it arrived broken", "and?",
     "thanks", "where is my order", "and what if i lost the box that my brother had put in the cellar"],
)  # fmt: skip
def test_what_stands_alone_is_no_follow_up(text: str) -> None:
    assert points_back(text) is None


@pytest.mark.parametrize(
    ("text", "wanted", "when"),
    [
        ("call me back please", True, None),
        ("please call me tomorrow at 3", True, "tomorrow at 3"),
        ("could a colleague phone me this afternoon", True, "this afternoon"),
        ("can i get a call back", True, None),
        ("please arrange a callback for friday at noon", True, "friday at noon"),
        ("nobody called me back", False, None),
        ("you promised to call me back", False, None),
        ("can i call you back", False, None),
        ("i will call back later", False, None),
        ("don't call me", False, None),
        ("call me Bob", False, None),
        ("will the driver call me before they come", False, None),
    ],
)
def test_a_call_back_is_asked_for_or_only_spoken_of(text: str, wanted: bool, when: str | None) -> None:
    assert wants_call_back(text) is wanted
    assert wished_time(text) == when


@pytest.mark.parametrize(
    ("wish", "at"),
    [
        ("tomorrow at 3", datetime(2026, 11, 19, 15, tzinfo=UTC)),
        ("tomorrow at 10 am", datetime(2026, 11, 19, 10, tzinfo=UTC)),
        ("friday at noon", datetime(2026, 11, 20, 12, tzinfo=UTC)),
        ("this afternoon", datetime(2026, 11, 18, 17, tzinfo=UTC)),
        ("after 5", datetime(2026, 11, 18, 18, tzinfo=UTC)),
        ("sunday at 3", None),
        ("tonight at 10", None),
        ("at nine", None),
        ("monday", None),
    ],
)
def test_only_a_time_that_can_be_kept_is_promised(wish: str, at: datetime | None) -> None:
    """In working time, to come, and within a week."""
    assert wished_at(wish, NOW) == at


def test_what_is_said_beside_the_call_stays() -> None:
    assert "kill myself" in beside_the_call("call me tonight at 10 or i will kill myself")


@pytest.mark.parametrize(
    "text", ["my account", "a refund", "invoice please", "it's about the sofa", "what's the charge"]
)
def test_a_bare_noun(text: str) -> None:
    assert is_bare(text)


@pytest.mark.parametrize(
    "text", ["cancel my order", "can i cancel it", "i want to return it", "my lamp is broken", "why"]
)
def test_a_wish_is_no_bare_noun(text: str) -> None:
    assert not is_bare(text)


@pytest.mark.parametrize(
    "text",
    ["hola", "danke", "merci beaucoup", "¿dónde está mi pedido?", "ich will mein sofa zurückgeben", "où est", "где мой заказ",
     "no hablo inglés", "je ne comprends pas", "退货", "siparişim nerede"],
)  # fmt: skip
def test_another_language(text: str) -> None:
    assert foreign(text)


@pytest.mark.parametrize(
    "text",
    ["", "635192", "do you have the Söderhamn sofa", "my name is José García", "café table", "no", "die", "sofa", "😀",
     "i can't find la table", "where is my order", "naïve question about my order"],
)  # fmt: skip
def test_english_with_foreign_words_is_english(text: str) -> None:
    assert not foreign(text)


def test_yes_and_no_abroad_and_in_pictures() -> None:
    assert [yes_or_no_abroad(t) for t in ("sí", "ja bitte", "nein danke", "non merci", "where", "")] == [
        True, True, False, False, None, None,
    ]  # fmt: skip
    assert [thumb(t) for t in ("👍", "👎", "😀", "ok 👍", "")] == [True, False, None, None, None]
    assert [unreadable(t) for t in ("😀😀", "...", "", "ok", "7")] == [True, True, True, False, False]
    assert asks_for_language("can you speak german?")
    assert not asks_for_language("i bought a german shelf")
