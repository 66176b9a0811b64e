"""Not knowing, and asking back, are put in other words each time; "tell me more" is understood."""

from __future__ import annotations

import pytest
from generation_kit import shop_phrases

from voicebot.dialogue.flow.speech import text_of
from voicebot.dialogue.generation.abstaining import did_you_mean, dont_know, is_it_about, next_wording
from voicebot.dialogue.generation.more import sentences_for, wants_more
from voicebot.dialogue.generation.request import Exchange
from voicebot.dialogue.phrases import Phrases


@pytest.fixture(scope="module")
def phrases() -> Phrases:
    return shop_phrases()


def test_no_wording_comes_twice_before_all_were_heard(phrases: Phrases) -> None:
    """Read from what was heard, so a wording that was cut off before it was said may come again."""
    history: tuple[Exchange, ...] = ()
    said: list[str] = []
    for _ in range(phrases.variants("know.not")):
        text = text_of(dont_know(phrases, history), phrases) or ""
        said.append(text)
        history = (*history, Exchange(caller="?", bot=f"{text} Anything else?"))
    assert len(set(said)) == len(said) > 2
    assert text_of(dont_know(phrases, history), phrases) == said[0]


def test_slots_do_not_make_a_wording_a_new_one(phrases: Phrases) -> None:
    """It asked "did you mean A or B", so C or D is asked in other words."""
    first = did_you_mean(phrases, "gift cards", "returning something", ())
    words = text_of(first, phrases) or ""
    assert words.endswith("Is it about gift cards, or about returning something?")
    assert first.question
    history = (Exchange(caller="the card thing", bot=words),)
    second = text_of(did_you_mean(phrases, "the warranty", "ways to pay", history), phrases)
    assert second == "Did you mean the warranty, or ways to pay?"
    assert (
        text_of(is_it_about(phrases, "assembly", history), phrases)
        == "Just to be sure: is it about assembly?"
    )


def test_what_is_known_is_offered_instead(phrases: Phrases) -> None:
    """A near article is named; neither line asks a question."""
    line = dont_know(phrases, (), about="the warranty")
    assert text_of(line, phrases) == "I don't know that, but I can tell you about the warranty."
    assert not line.question


def test_the_wording_heard_longest_ago_comes_round(phrases: Phrases) -> None:
    """When all were heard, the oldest."""
    lines = phrases.spoken["know.not"]
    assert not isinstance(lines, str)
    assert next_wording(phrases, "know.not", [lines[1], lines[0], lines[3], lines[2]]) == 1
    assert next_wording(phrases, "know.not", [lines[0], lines[1], lines[0]]) == 2
    assert next_wording(phrases, "tool.failed", ["anything"]) == 0


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("tell me more", True),
        ("can you tell me a bit more about that", True),
        ("okay more details please", True),
        ("go on", True),
        ("is that all", True),
        ("I'd like to know more", True),
        ("tell me more slowly", False),
        ("how much more does it cost", False),
        ("anything else about my order", False),
        ("i want to order one more chair", False),
        ("no more questions", False),
        ("", False),
    ],
)
def test_who_wants_to_hear_on(text: str, more: bool) -> None:
    """Only words that name no new matter."""
    assert wants_more(text) is more


def test_detail_is_given_where_it_is_asked_for() -> None:
    """Two sentences, four when the caller wants it all."""
    assert sentences_for("how long can i return it") == 2
    assert sentences_for("please explain the whole process step by step") == 4
    assert sentences_for("tell me everything about your warranty") == 4
