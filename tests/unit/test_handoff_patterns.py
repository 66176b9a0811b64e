"""The next action is one reviewed line, chosen by its conditions, and the choice is explained."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from voicebot.handoff.patterns import Facts, Pattern, Patterns, PatternsError, conditions
from voicebot.handoff.reasons import Library
from voicebot.safety.policy.reading import read_policy

ROOT = Path(__file__).resolve().parent.parent.parent
LIBRARY = Library.read(ROOT)
REVIEWED = {"by": "ada", "date": date(2026, 11, 1)}


def pattern(name: str, **when: Any) -> dict[str, Any]:
    return {"name": name, "when": when, "next": f"Do {name}.", "reviewed": REVIEWED}


def library(*patterns: dict[str, Any]) -> Patterns:
    return Patterns.model_validate({"patterns": (*patterns, pattern("rest"))})


SMALL = library(
    pattern("by_intent", intent=("refund",)),
    pattern("by_trigger", trigger=("policy",)),
    pattern("later_trigger", trigger=("policy:refund",)),
    pattern("two", intent=("refund",), verified=True),
    pattern("angry", intent=("refund",), sentiment_below=-0.4),
    pattern("too_late", intent=("cancel",), result=("cancel_order: too_late", "move_order")),
    pattern("urgent_chat", urgency=("critical",), channel=("chat",)),
)


@pytest.mark.parametrize(
    ("facts", "chosen"),
    [
        (Facts("asked_for_person"), "rest"),
        (Facts("asked_for_person", "refund"), "by_intent"),
        (Facts("policy:refund", "refund"), "by_trigger"),
        (Facts("policy:other"), "by_trigger"),
        (Facts("policyholder"), "rest"),
        (Facts("policy:refund", "refund", verified=True), "two"),
        (Facts("asked_for_person", "refund", sentiment=-0.5), "angry"),
        (Facts("asked_for_person", "refund", sentiment=-0.4), "by_intent"),
        (Facts("asked_for_person", "refund", sentiment=None), "by_intent"),
        (Facts("asked_for_person", "cancel", tools=(("cancel_order", "too_late"),)), "too_late"),
        (Facts("asked_for_person", "cancel", tools=(("cancel_order", "done"),)), "rest"),
        (Facts("asked_for_person", "cancel", tools=(("move_order", "done"),)), "too_late"),
        (Facts("distress", urgency="critical", channel="chat"), "urgent_chat"),
        (Facts("distress", urgency="critical"), "rest"),
    ],
)
def test_most_conditions_then_the_trigger_then_the_first(facts: Facts, chosen: str) -> None:
    text, choice = SMALL.choose(facts)
    assert (choice.pattern, text) == (chosen, f"Do {chosen}.")


def test_the_choice_says_what_held_and_what_lost_and_why() -> None:
    choice = SMALL.choose(Facts("policy:refund", "refund", verified=True))[1]
    assert choice.matched == ("intent is refund", "verified is true")
    assert {(one.pattern, one.why) for one in choice.lost} >= {
        ("by_intent", "says less: 1 of its conditions against 2"),
        ("angry", "not so: sentiment is below -0.4"),
    }
    assert (choice.reviewed_by, choice.reviewed_on) == ("ada", date(2026, 11, 1))
    choice = SMALL.choose(Facts("policy:refund", "refund"))[1]
    why = {one.pattern: one.why for one in choice.lost}
    assert why["later_trigger"] == "stands further down"
    assert why["by_intent"] == "looks at no trigger"


@pytest.mark.parametrize(
    ("patterns", "problem"),
    [
        ([pattern("a", intent=("x",))], "no other, has no conditions"),
        ([pattern("a"), pattern("b")], "no other, has no conditions"),
        ([pattern("a", intent=("x",)), pattern("a", intent=("y",)), pattern("b")], "twice"),
        ([], "at least 1 item"),
        ([{**pattern("a"), "next": "one\ntwo"}], "one line"),
        ([{**pattern("a"), "next": "x" * 161}], "at most 160"),
        ([{**pattern("a"), "reviewed": {"by": "", "date": "2026-11-01"}}], "reviewed.by"),
        ([{**pattern("a"), "when": {"colour": "red"}}], "when.colour"),
    ],
)
def test_a_library_that_cannot_be_used_is_refused_and_the_place_named(
    tmp_path: Path, patterns: list[dict[str, Any]], problem: str
) -> None:
    import yaml

    for one in patterns:
        one["reviewed"] = {**one["reviewed"], "date": str(one["reviewed"]["date"])}
        one["when"] = {key: list(v) if isinstance(v, tuple) else v for key, v in one["when"].items()}
    path = tmp_path / "patterns.yaml"
    path.write_text(yaml.safe_dump({"patterns": patterns}))
    with pytest.raises(PatternsError, match=problem) as refused:
        Patterns.read(path)
    assert "patterns.yaml" in str(refused.value)


def test_what_nobody_has_looked_at_for_a_year_is_named() -> None:
    assert SMALL.overdue(date(2027, 10, 1)) == ()
    assert len(SMALL.overdue(date(2027, 12, 1))) == len(SMALL.patterns)


def test_every_trigger_of_the_policy_has_a_reason_and_what_to_do() -> None:
    """The reference deployment: no agent reads a name with underscores, or the default for a failure."""
    rules = read_policy(ROOT / "business" / "policy.yaml")
    triggers = getattr(rules, "triggers", None)
    names = set(triggers.names()) if triggers is not None else set()
    wishes = {"asked_for_person", "key_zero", "accepted_offer", "policy"}
    for name in sorted(names):
        assert LIBRARY.reasons.reason(name) != name.replace("_", " "), name
        if name not in wishes:
            assert LIBRARY.patterns.choose(Facts(name))[1].pattern != "else", name


def test_the_shops_own_library_names_intents_that_exist() -> None:
    intents = set(read_policy(ROOT / "business" / "policy.yaml").intents)
    used = {intent for one in LIBRARY.patterns.patterns for intent in one.when.intent}
    assert used <= intents
    assert all(
        isinstance(one, Pattern) and (conditions(one) or one.name == "else")
        for one in LIBRARY.patterns.patterns
    )
