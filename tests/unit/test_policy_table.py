"""The policy gives one action for every combination of facts, and never more freedom for less certainty."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from voicebot.core.conversation import Action, Confidences, Route
from voicebot.safety.policy import Policy, PolicyError, PolicyFacts, PolicyTable, Reads, check_policy

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENT = json.loads(json.dumps(yaml.safe_load((ROOT / "business" / "policy.yaml").read_text())))


def table(document: dict | None = None) -> PolicyTable:
    return PolicyTable.model_validate_json(json.dumps(document or DOCUMENT))


POLICY = Policy(table())
FREEDOM = {Action.ACT: 5, Action.ANSWER: 4, Action.PROPOSE: 3, Action.CLARIFY: 2, Action.ABSTAIN: 2}


def decide(
    intent: str, classification: float | None, grounding: float | None = None, verified: bool = False
) -> Action:
    confidences = Confidences(classification=classification, grounding=grounding)
    return POLICY.decide(PolicyFacts(intent, confidences, verified)).action


@pytest.mark.parametrize(
    ("intent", "classification", "grounding", "verified", "action"),
    [
        ("opening_hours", 0.95, 0.9, False, Action.ANSWER),
        ("opening_hours", 0.70, 0.45, False, Action.ANSWER),
        ("opening_hours", 0.95, 0.44, False, Action.ABSTAIN),
        ("opening_hours", 0.95, None, False, Action.ABSTAIN),
        ("opening_hours", 0.69, 0.9, False, Action.CLARIFY),
        ("opening_hours", 0.10, 0.9, False, Action.CLARIFY),
        ("opening_hours", None, 0.9, False, Action.CLARIFY),
        ("order_status", 0.95, None, False, Action.CLARIFY),
        ("order_status", 0.95, None, True, Action.ANSWER),
        ("cancel_order", 0.95, None, True, Action.ESCALATE),
        ("cancel_order", 0.50, None, True, Action.CLARIFY),
        ("complaint", 0.95, None, False, Action.ESCALATE),
        ("complaint", 0.50, None, False, Action.ESCALATE),
        ("complaint", 0.20, None, False, Action.CLARIFY),
        ("person", 0.60, None, False, Action.ESCALATE),
        ("goodbye", 0.95, None, False, Action.END),
        ("out_of_scope", 0.95, None, False, Action.ABSTAIN),
        ("something_nobody_listed", 0.99, 1.0, True, Action.ESCALATE),
    ],
)
def test_what_the_shipped_policy_says(
    intent: str, classification: float | None, grounding: float | None, verified: bool, action: Action
) -> None:
    """The rows a reviewer can check by eye."""
    assert decide(intent, classification, grounding, verified) is action


def test_every_combination_has_an_action_and_less_certainty_is_never_freer() -> None:
    """Goes through the whole finite domain: intents x bands x verification."""
    scores = [None, 0.0, 0.39, 0.4, 0.55, 0.6, 0.69, 0.7, 1.0]
    for intent, verified in itertools.product(POLICY.table.intents, (False, True)):
        freedom = [FREEDOM.get(decide(intent, score, 1.0, verified), 0) for score in scores]
        best = freedom[-1]
        assert all(value <= max(best, 2) for value in freedom), intent
        assert FREEDOM.get(decide(intent, 1.0, 0.0, verified), 0) <= best
        assert FREEDOM.get(decide(intent, 1.0, 1.0, False), 0) <= FREEDOM.get(
            decide(intent, 1.0, 1.0, True), 0
        )


def test_tier_three_is_never_answered() -> None:
    """Security, billing and complaints end with a person or a question, whatever the scores."""
    for intent, rule in POLICY.table.intents.items():
        if rule.tier == 3:
            for score in (None, 0.3, 0.5, 0.8, 1.0):
                assert decide(intent, score, 1.0, True) in {Action.ESCALATE, Action.CLARIFY}


def test_the_ruling_names_its_row_and_reason() -> None:
    """A turn can be explained: which row, which band, which number fell short."""
    ruling = POLICY.decide(PolicyFacts("warranty", Confidences(classification=0.9, grounding=0.1), False))
    assert ruling.row == "warranty/tier0/ungrounded"
    assert "0.10" in ruling.reasons[0]
    assert ruling.route is Route.FIXED


def edited(path: str, value: object) -> dict:
    document = json.loads(json.dumps(DOCUMENT))
    at = document
    *parents, last = path.split(".")
    for key in parents:
        at = at[int(key)] if isinstance(at, list) else at.setdefault(key, {})
    at[last] = value
    return document


@pytest.mark.parametrize(
    ("path", "value", "names"),
    [
        ("threshold", 0.5, "threshold"),
        ("intents.warranty.tiers", 1, "tiers"),
        ("intents.warranty.tier", 7, "tier"),
        ("intents.warranty.reads", "rumours", "reads"),
        ("intents.order_status.tool", None, "tool"),
        ("intents.order_status.identity", False, "identity"),
        ("tiers.0.sure", "guess", "sure"),
        ("tiers.0.unsure", "act", "freedom"),
        ("tiers.3.sure", "answer", "tier 3"),
        ("tiers.2.ungrounded", "answer", "freedom"),
        ("thresholds.unsure", 0.9, "unsure"),
        ("thresholds.sure", 1.5, "sure"),
        ("intents.goodbye.then", "act", "then"),
        ("lost", "answer", "lost"),
        ("identity.max_tries", 50, "max_tries"),
        ("identity.factors", [{"name": "order_number", "digits": 6}], "factors"),
    ],
)
def test_an_unusable_table_is_refused_by_name(path: str, value: object, names: str) -> None:
    """Unknown keys, impossible values, inversions: the message names what is wrong."""
    with pytest.raises(ValidationError) as caught:
        table(edited(path, value))
    assert names in str(caught.value)


def test_a_tier_without_a_row_is_refused() -> None:
    """Every tier in use must say what it allows."""
    document = json.loads(json.dumps(DOCUMENT))
    del document["tiers"]["3"]
    with pytest.raises(ValidationError, match="no row under"):
        table(document)


def test_intents_rows_and_tools_must_agree() -> None:
    """An intent without a row, a row without an intent, a tool nobody wrote: refused, with what to do."""
    intents = set(DOCUMENT["intents"])
    check_policy(POLICY.table, intents=intents, tools={"order_status"})
    for known, tools, what in (
        (intents | {"new"}, {"order_status"}, "new"),
        (intents - {"warranty"}, {"order_status"}, "warranty"),
        (intents, set(), "order_status"),
    ):
        with pytest.raises(PolicyError, match=what):
            check_policy(POLICY.table, intents=known, tools=tools)


def test_tools_above_tier_zero_stand_behind_the_gate() -> None:
    """No row of the shipped policy reads personal data without identity."""
    for rule in POLICY.table.intents.values():
        assert rule.reads is not Reads.TOOL or rule.identity
