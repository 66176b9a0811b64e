"""A difference is found in every field that an expectation names and in no other; no fact is invented."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any

import pytest

from voicebot.proof.evals.clock import ConversationClock
from voicebot.proof.evals.compare import differences
from voicebot.proof.evals.conversation import Expect, SetRules
from voicebot.proof.evals.facts import Known
from voicebot.proof.evals.got import Got
from voicebot.proof.evals.standing import Standing
from voicebot.proof.evals.words import occurs

TOOL: dict[str, Any] = {
    "tool": "order_status",
    "arguments": {"order_number": "427103"},
    "result": {"outcome": "shipped", "due_on": "2026-11-20", "total": "189.00"},
}
GOT: dict[str, Any] = {
    "intent": "order_status",
    "category": "orders",
    "tier": 1,
    "action": "answer",
    "route": "grounded",
    "expects": "digits(6)",
    "row": "order_status/tier1/sure",
    "urgency": "high",
    "sentiment": -0.6,
    "sources": ["returns", "refunds"],
    "tools": [TOOL],
    "after": "continue",
    "verified": True,
    "said": "It's on its way: 30-day e-mail, $49.",
}
HANDOFF = {"trigger": "policy:complaint", "urgency": "high", "tells": "An order. Apologise."}


def got(**changes: Any) -> Got:
    return Got.model_validate_json(json.dumps({**GOT, **changes}))


def expect(**fields: Any) -> Expect:
    return Expect.model_validate(_tuples(fields))


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tuples(part) for key, part in value.items()}
    return tuple(_tuples(part) for part in value) if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("field", "right", "wrong"),
    [
        ("intent", "order_*", "refund_status"),
        ("intent", ["a", "order_status"], ["a", "b"]),
        ("category", "orders", "*s_"),
        ("tier", [0, 1], 2),
        ("action", "*", "clarify"),
        ("route", ["small", "grounded"], "fixed"),
        ("expects", "digits", "digits(5)"),
        ("expects", "digits(6)", "free"),
        ("row", "order_status/*", "*/lost"),
        ("urgency", ["high", "critical"], "low"),
        ("sentiment", "negative", "neutral"),
        ("sentiment", "not_positive", "positive"),
        ("sources", {"any_of": "ret*"}, {"any_of": "care"}),
        ("sources", {"only": ["returns", "refunds"]}, {"only": "returns"}),
        ("sources", {"any_of": "refunds"}, "none"),
        ("tools", [{"tool": "order_status", "arguments": {"order_number": "4271*"}, "outcome": "shipped"}],
         [{"tool": "order_status", "arguments": {"order_number": "1*"}}]),
        ("tools", [{"tool": "*"}], [{"tool": "order_status", "outcome": "delayed"}]),
        ("tools", [{"tool": "*"}], [{"tool": "order_status", "arguments": {"name": "*"}}]),
        ("tools", [{"tool": "*"}], [{"tool": "order_status", "failed": True}]),
        ("tools", [{"tool": "order_status"}], "none"),
        ("after", "continue", "hang_up"),
        ("verified", True, False),
        ("handoff", "none", {"trigger": "*"}),
        ("says", ["thirty day email"], ["thirty days"]),
        ("says", [["nothing of it", "on its way"]], [["on the way", "arrived"]]),
        ("says", ["/forty \\w+ dollars/"], ["/fifty \\w+/"]),
        ("never_says", ["way on"], ["its on"]),
        ("says_again", False, True),
    ],
)  # fmt: skip
def test_each_field_is_compared(field: str, right: Any, wrong: Any) -> None:
    """The near miss beside the hit."""
    assert differences(expect(**{field: right}), got(), before="something else") == ()
    found = differences(expect(**{field: wrong}), got(), before="something else")
    assert [difference.field.split(".")[0].split("[")[0] for difference in found] == [field]
    assert found[0].expected
    assert found[0].got


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        ({"trigger": "policy*", "urgency": "high", "tells": ["apologise"]}, True),
        ({"urgency": "critical"}, False),
        ({"tells": ["cancel"]}, False),
        ("none", False),
    ],
)
def test_a_handoff_is_compared(wanted: Any, fits: bool) -> None:
    assert (differences(expect(handoff=wanted), got(handoff=HANDOFF)) == ()) is fits


def test_what_is_not_named_is_not_compared() -> None:
    assert differences(Expect(), got()) == ()


def test_a_star_is_not_nothing_and_an_unmeasured_mood_fits_nothing() -> None:
    assert differences(expect(trigger="*"), got(trigger=None))
    assert differences(expect(sentiment="not_positive"), got(sentiment=None))


@pytest.mark.parametrize(
    ("pattern", "text", "there"),
    [
        ("thirty days", "Within 30 days.", True),
        ("don't deliver", "we DONT deliver", True),
        ("eleven to six", "from eleven, to six", True),
        ("four two seven one zero three", "I have 427103.", True),
        ("forty nine dollars", "It costs $49.00", True),
        ("one thousand two hundred dollars", "$1,200", True),
        ("open", "opening", False),
        ("/\\bopen/", "opening", True),
        ("five dollars", "twenty five dollars", True),
        ("/^five dollars/", "twenty five dollars", False),
    ],
)
def test_words_are_the_same_however_they_are_written(pattern: str, text: str, there: bool) -> None:
    assert occurs(pattern, text) is there


ARTICLE = "Delivery costs fifty nine dollars, two hundred and five above. Open on Friday from nine."


@pytest.mark.parametrize(
    ("said", "invented"),
    [
        ("It is fifty nine dollars.", ()),
        ("It is $59.", ()),
        ("It is nine dollars.", ()),
        ("It is forty nine dollars.", ("forty nine",)),
        ("Two hundred and five, on Friday.", ()),
        ("We come on Monday.", ("monday",)),
        ("Which one is it, in one or two words?", ()),
        ("By the twenty fifth of March.", ("twenty fifth", "march")),
        ("I have four two seven, one zero three.", ()),
        ("I have four two seven, one zero four.", ("four two seven one zero four",)),
    ],
)
def test_a_figure_or_day_must_come_from_somewhere(said: str, invented: tuple[str, ...]) -> None:
    """From an article, or from the caller, who said "forty two seventy one oh three"."""
    known = Known([ARTICLE, "it's forty two, seventy one, oh three"])
    assert known.invented(said) == invented


def test_what_a_tool_gave_may_be_said_from_then_on_and_only_in_its_conversation() -> None:
    known = Known()
    mine = known.copy()
    mine.add_result(TOOL["result"])
    said = "It comes on Friday the twentieth of November and cost one hundred eighty nine dollars."
    assert mine.invented(said) == ()
    assert known.invented(said)


RULES = Standing(
    rules=SetRules(today=date(2026, 11, 18), most_words=20, never_says=("as an ai",)),
    personal_tools=frozenset({"order_status"}),
)
KNOWN = Known(["30 $49"])


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({}, []),
        ({"said": " ... "}, ["silent"]),
        ({"tier": 3}, ["unattended"]),
        ({"tier": 3, "action": "escalate"}, []),
        ({"tier": 3, "action": "draft"}, []),
        ({"verified": False}, ["unverified"]),
        ({"verified": False, "tools": [{**TOOL, "result": None, "error": "refused"}]}, []),
        ({"said": "As an AI, I cannot"}, ["never_says"]),
        ({"said": "word " * 21}, ["too_long"]),
        ({"said": "It costs $48."}, ["invented"]),
    ],
)
def test_standing_rules_hold_for_every_turn(changes: dict[str, Any], broken: list[str]) -> None:
    found = RULES.differences(Expect(), got(**changes), KNOWN)
    assert [difference.field for difference in found] == broken


def test_a_turn_may_have_a_length_of_its_own() -> None:
    assert RULES.differences(Expect(most_words=30), got(said="word " * 25), KNOWN) == ()


def test_a_conversation_has_its_own_time_in_the_deployments_zone() -> None:
    clock = ConversationClock(date(2026, 11, 18), "America/Los_Angeles")
    told = [clock.now().isoformat()]
    for at in (datetime.fromisoformat("2026-07-04T03:40"), None):
        clock.set(at)
        told.append(clock.now().isoformat())
    usual = "2026-11-18T10:30:00-08:00"
    assert told == [usual, "2026-07-04T03:40:00-07:00", usual]


def test_everyday_numbers_are_no_facts() -> None:
    """The words one and two are said without meaning a figure; three is meant."""
    assert Known().invented("Which one? In one or two words.") == ()
    assert Known().invented("In three words.") == ("three",)
