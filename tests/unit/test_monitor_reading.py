"""One utterance can hold several wants, one want can be unclear, and yes is not no."""

from __future__ import annotations

import pytest
from deployment_kit import REFERENCE

from voicebot.core.conversation import Urgency, Utterance
from voicebot.dialogue.monitor.features import MAX_READ, MAX_WORDS, features_of
from voicebot.dialogue.monitor.monitor import Monitor, yes_or_no

MONITOR = Monitor(
    REFERENCE.classifier,
    is_content=REFERENCE.intents.is_content,
    priority=lambda intent: rule.priority if (rule := REFERENCE.policy.rule(intent)) else 0,
    sure=0.7,
)


def wants(text: str, *alternatives: str) -> list[str]:
    reading = MONITOR.read(Utterance(text=text, alternatives=alternatives))
    return [want.intent for want in reading.wants]


def test_the_more_important_want_comes_first() -> None:
    """Said second, taken first: an order before a price, a person before everything."""
    assert wants("how much is shipping and where is my order") == ["order_status", "shipping_cost"]
    assert wants("where is my order and also i want to talk to a person") == ["person", "order_status"]


def test_wants_of_equal_weight_keep_their_order() -> None:
    """First said, first answered."""
    assert wants("when are you open on sunday and do you have gift cards") == ["opening_hours", "gift_card"]


@pytest.mark.parametrize(
    "text", ["i ordered a lamp and a sofa and they did not come", "where is my order", "yes and no"]
)
def test_an_and_alone_makes_no_second_want(text: str) -> None:
    """Near misses: one want stays one."""
    assert len(wants(text)) == 1


def test_a_second_choice_of_the_recogniser_can_save_the_turn() -> None:
    """The first choice is rubbish, an alternative makes sense: it is read, a little less surely."""
    reading = MONITOR.read(Utterance(text="fnord grumble bla", alternatives=("where is my order",)))
    assert reading.first.intent == "order_status"
    assert reading.first.text == "where is my order"
    assert reading.first.confidence < MONITOR.read(Utterance(text="where is my order")).first.confidence


def test_a_reading_says_how_the_caller_sounds() -> None:
    """Category, likeliest intents, mood and hurry go with every turn, and the weights that said so."""
    scores = MONITOR.read(Utterance(text="this is outrageous where is my order")).scores
    assert scores.sentiment < -0.3
    assert scores.distress < 0.5
    assert len(scores.guesses) == 3
    calm = MONITOR.read(Utterance(text="when are you open on sunday")).scores
    assert (calm.category, calm.urgency) == ("store", Urgency.NORMAL)
    assert abs(calm.sentiment) < 0.3
    assert MONITOR.version == REFERENCE.classifier.version != ""


def test_distress_comes_before_everything_and_alone() -> None:
    """Who is in danger wants nothing else, whatever else was said."""
    reading = MONITOR.read(
        Utterance(text="where is my order and please call an ambulance my son is not breathing")
    )
    assert [want.intent for want in reading.wants] == ["distress"]
    assert reading.first.confidence == reading.scores.distress >= 0.5
    assert reading.scores.urgency is Urgency.CRITICAL


def test_what_only_sounds_like_danger_is_read_as_what_it_is() -> None:
    """A near miss goes its ordinary way."""
    reading = MONITOR.read(Utterance(text="the waiting is killing me where is my order"))
    assert reading.first.intent != "distress"
    assert reading.scores.urgency is not Urgency.CRITICAL


@pytest.mark.parametrize("text", ["", "\x00\x01", "日本語", "and " * 50_000, "where is my order, " * 5_000])
def test_odd_text_is_read(text: str) -> None:
    """Empty, binary, foreign, enormous: one want at least, no error, in no time."""
    reading = MONITOR.read(Utterance(text=text, alternatives=(text, "")))
    assert reading.wants


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("yes", True),
        ("yeah sure", True),
        ("yes please", True),
        ("okay", True),
        ("no", False),
        ("nope", False),
        ("no thanks", False),
        ("no that's fine", False),
        ("not now", False),
        ("that's right", True),
        ("that's not right", None),
        ("maybe", None),
        ("yes no wait", None),
        ("where is my order please tell me now okay", None),
        ("", None),
    ],
)
def test_yes_and_no(text: str, answer: bool | None) -> None:
    """What is neither or both is asked again, never guessed."""
    assert yes_or_no(text) is answer


@pytest.mark.parametrize(
    "text", ["qzxjvkw " * 250, "x" * 2000, ("q" * 23 + " ") * 83, "where is my order " * 110]
)
def test_however_long_the_text_what_is_looked_at_is_bounded(text: str) -> None:
    """A loop that others share is held for no longer by gibberish than by two minutes of speech."""
    assert sum(1 for _ in features_of(text)) <= 3 * MAX_WORDS + 3 * MAX_READ


def test_of_a_long_speech_its_beginning_and_its_end_count() -> None:
    """What somebody wants stands there, whatever lies between."""
    seen = set(features_of("refund " + "qzxjvkw " * 240 + "parcel"))
    assert {"w:refund", "w:parcel"} <= seen
