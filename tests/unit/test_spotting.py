"""An intent known by its words alone is found in those words, and in no others."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest
from deployment_kit import REFERENCE
from pydantic import ValidationError

from voicebot.core.conversation import Utterance
from voicebot.dialogue import spotting
from voicebot.dialogue.intents import IntentCatalog
from voicebot.dialogue.monitor.monitor import Monitor
from voicebot.dialogue.spotting import SURENESS, Spotter

ROOT = Path(__file__).resolve().parent.parent.parent
SPOTTER = Spotter(REFERENCE.intents.phrases)
MONITOR = Monitor(
    REFERENCE.classifier,
    is_content=REFERENCE.intents.is_content,
    priority=lambda intent: rule.priority if (rule := REFERENCE.policy.rule(intent)) else 0,
    sure=REFERENCE.policy.table.thresholds.sure,
    spotter=SPOTTER,
)


def test_its_examples_hold() -> None:
    assert doctest.testmod(spotting).failed == 0


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("Track my parcel, please.", "tracking"),
        ("hello um could you track my package for me", "tracking"),
        ("what's the tracking say", "tracking"),
        ("which carrier has my order", "tracking"),
        ("I'd like to keep my Plus membership after all", "membership_renewal"),
        ("please turn off the renewal", "membership_renewal"),
        ("renew my membership", "membership_renewal"),
        ("I want to return the wool rug", "start_return"),
        ("hi I'd like to send this back please", "start_return"),
        ("I need to return an item from my order", "start_return"),
        ("I want to exchange an item from my order", "exchange_item"),
    ],
)
def test_a_phrase_is_found_among_a_few_other_words(text: str, intent: str) -> None:
    assert SPOTTER.spot(text) == intent
    assert [(want.intent, want.confidence) for want in MONITOR.read(Utterance(text=text)).wants] == [
        (intent, SURENESS)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "where is my order",
        "cancel my membership",
        "how much is the plus membership",
        "i do not want to keep my membership",
        "what if i want to return the wool rug",
        "who pays when i want to return the wool rug",
        "how long do i have to return the wool rug",
        "why did you not track my parcel",
        "i am a very old customer of yours and my neighbour told me that you even track my parcel",
        "my track record with your parcels is bad",
    ],
)
def test_near_misses_are_left_to_the_classifier(text: str) -> None:
    assert SPOTTER.spot(text) is None


def test_two_wants_of_a_sentence_are_both_heard() -> None:
    """One of them spotted, one classified."""
    reading = MONITOR.read(Utterance(text="track my parcel and also when are you open on sunday"))
    assert {want.intent for want in reading.wants} == {"tracking", "opening_hours"}


def test_who_is_in_distress_wants_nothing_else() -> None:
    reading = MONITOR.read(Utterance(text="track my parcel please i am going to kill myself"))
    assert reading.first.intent == "distress"


def test_a_name_stands_once_and_in_a_category_that_exists() -> None:
    data = REFERENCE.intents.model_dump()
    one = {"means": "it", "category": "store", "phrases": ("a b", "c d", "e f")}
    for spotted in ({"opening_hours": one}, {"new_one": {**one, "category": "nowhere"}}):
        with pytest.raises(ValidationError, match="spotted"):
            IntentCatalog.model_validate({**data, "spotted": spotted})


@pytest.mark.parametrize("name", sorted(REFERENCE.intents.spotted))
def test_policy_has_its_row_in_the_same_category(name: str) -> None:
    rule = REFERENCE.policy.rule(name)
    assert rule is not None
    assert rule.category == REFERENCE.intents.category(name)
    assert name not in REFERENCE.classifier.labels
