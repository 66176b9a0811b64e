"""The policy gives one ruling for all facts: an action, who writes the words, how urgent it is, and why."""

from __future__ import annotations

from datetime import date, time
from pathlib import Path
from typing import Any

import pytest
from policy_kit import BUSINESS, CASES, INTENTS, boot, edited, shipped

from voicebot.core.conversation import Action, Confidences, Route, Urgency
from voicebot.safety.identity import VerifiedCustomer
from voicebot.safety.policy import (
    Band,
    Health,
    Policy,
    PolicyError,
    PolicyFacts,
    Ruling,
    Segment,
    read_policy,
    run_cases,
    untested,
)
from voicebot.safety.policy.segment import supposed

POLICY = Policy(read_policy(BUSINESS / "policy.yaml"))


def ruling(
    intent: str,
    sure: float | None = 0.95,
    grounding: float | None = None,
    answer: float | None = None,
    *,
    verified: bool = False,
    policy: Policy = POLICY,
    **facts: Any,
) -> Ruling:
    confidences = Confidences(classification=sure, grounding=grounding, answer=answer)
    return policy.decide(PolicyFacts(intent, confidences, verified, **facts))


# --- the shipped table ---------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES.cases, ids=lambda case: case.name)
def test_the_shipped_policy_says_what_was_agreed(case: Any) -> None:
    """The policy tests that stand beside the policy."""
    only = type(CASES)(cases=(case,))
    assert [str(failure) for failure in run_cases(POLICY, only)] == []


def test_every_row_is_named_by_a_policy_test() -> None:
    """An intent, override or grant that no test speaks of could be changed without anybody noticing."""
    assert untested(POLICY, CASES) == ()


def test_the_table_speaks_of_every_intent_of_the_deployment() -> None:
    """A row for each intent, an intent for each row."""
    assert set(POLICY.table.intents) == INTENTS


# --- bands ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sure", "grounding", "answer", "action", "band"),
    [
        (0.95, 0.90, None, Action.ANSWER, Band.SURE),
        (0.70, 0.45, 0.85, Action.ANSWER, Band.SURE),
        (0.95, 0.44, None, Action.ABSTAIN, Band.UNGROUNDED),
        (0.95, None, None, Action.ABSTAIN, Band.UNGROUNDED),
        (0.95, 0.90, 0.84, Action.ABSTAIN, Band.DOUBTFUL),
        (0.69, 0.90, 0.99, Action.CLARIFY, Band.UNSURE),
        (0.40, 0.90, 0.99, Action.CLARIFY, Band.UNSURE),
        (0.39, 0.90, 0.99, Action.CLARIFY, Band.LOST),
        (None, 0.90, 0.99, Action.CLARIFY, Band.LOST),
    ],
)
def test_three_confidences_are_kept_apart(
    sure: float | None, grounding: float | None, answer: float | None, action: Action, band: Band
) -> None:
    """Each has its own limit, and its own band when it falls short."""
    got = ruling("opening_hours", sure, grounding, answer)
    assert (got.action, got.band) == (action, band)
    assert got.row == f"opening_hours/tier0/{band}"


def test_the_reason_names_the_number_that_fell_short() -> None:
    """A turn can be explained: which band, which number, which limit."""
    assert ruling("warranty", 0.9, 0.1).reasons == ("grounding 0.10 below 0.45",)
    assert ruling("warranty", None).reasons == ("classification unknown below 0.4",)
    assert ruling("order_status").reasons == ("identity needed",)


@pytest.mark.parametrize(
    ("sure", "grounding", "answer", "band"),
    [
        (float("nan"), 0.9, 0.9, Band.LOST),
        (0.9, float("nan"), 0.9, Band.UNGROUNDED),
        (0.9, 0.9, float("nan"), Band.DOUBTFUL),
        (float("-inf"), 0.9, 0.9, Band.LOST),
    ],
)
def test_a_number_that_is_none_is_never_enough(
    sure: float, grounding: float, answer: float, band: Band
) -> None:
    """A model that breaks says NaN, which no comparison notices: it counts as too low, and as distress."""
    assert ruling("opening_hours", sure, grounding, answer).band is band
    assert ruling("opening_hours", 0.9, 0.9, 0.9, distress=float("nan")).action is Action.ESCALATE


def test_a_weekday_that_is_none_is_refused() -> None:
    """Somebody counts from one: the message says from where it is counted."""
    with pytest.raises(ValueError, match="0 is Monday"):
        ruling("opening_hours", weekday=7)


def test_whatever_is_not_listed_ends_with_a_person() -> None:
    """Nobody thought about it: the strictest outcome, owned by who owns tier 3."""
    got = ruling("horoscope", 1.0, 1.0, 1.0, verified=True)
    assert (got.action, got.route, got.tier, got.row) == (Action.ESCALATE, Route.PERSON, 3, "unlisted")
    assert got.owner == "head of customer service"


@pytest.mark.parametrize("intent", ["opening_hours", "goodbye", "order_status", "horoscope"])
@pytest.mark.parametrize(
    ("distress", "vulnerable", "person"),
    [(0.5, False, True), (0.49, False, False), (0.3, True, True), (0.29, True, False)],
)
def test_distress_goes_straight_to_a_person(
    intent: str, distress: float, vulnerable: bool, person: bool
) -> None:
    """Whatever was asked, and sooner for somebody who is known to be vulnerable."""
    got = ruling(intent, 0.95, 0.9, verified=True, distress=distress, vulnerable=vulnerable)
    assert (got.urgency is Urgency.CRITICAL) is person
    if person:
        assert (got.action, got.route) == (Action.ESCALATE, Route.PERSON)


# --- circumstances ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clock", "weekday", "action"),
    [
        (time(19, 59), 0, Action.ESCALATE),
        (time(20, 0), 0, Action.FOLLOW_UP),
        (time(0, 0), 6, Action.FOLLOW_UP),
        (time(7, 59), 2, Action.FOLLOW_UP),
        (time(8, 0), 2, Action.ESCALATE),
        (None, None, Action.ESCALATE),
    ],
)
def test_hours_run_over_midnight_and_leave_out_their_end(
    clock: time | None, weekday: int | None, action: Action
) -> None:
    """20:00 to 08:00; without a clock nobody is put off until the morning."""
    got = ruling("invoice_copy", local_time=clock, weekday=weekday)
    assert got.action is action
    assert got.row == ("desk_closed>" if action is Action.FOLLOW_UP else "") + "invoice_copy/tier1/sure"


def test_days_count(tmp_path: Path) -> None:
    """An override for a Sunday holds on Sundays."""
    document = shipped()
    document["overrides"]["desk_closed"]["when"]["days"] = ["sun"]
    policy = boot(document, tmp_path)
    got = [ruling("invoice_copy", local_time=time(21), weekday=day, policy=policy).action for day in range(7)]
    assert got == [Action.ESCALATE] * 6 + [Action.FOLLOW_UP]


def test_the_override_that_had_the_last_word_is_named_with_its_reason() -> None:
    """Row, reason and owner are the override's; an unknown region is spared."""
    got = ruling("shipping_cost", 0.95, 0.9, region="hawaii")
    assert (got.action, got.route, got.owner) == (Action.ROUTE, Route.PERSON, "delivery desk")
    assert got.row == "overseas_delivery>shipping_cost/tier0/sure"
    assert got.reasons[-1].startswith("overseas_delivery: we do not deliver there")
    for region in (None, "oregon"):
        assert ruling("shipping_cost", 0.95, 0.9, region=region).action is Action.ANSWER


def test_a_degraded_channel_needs_more() -> None:
    """The override's limit counts, and its number stands in the reason."""
    got = ruling("order_status", 0.75, verified=True, healthy=Health.DEGRADED)
    assert (got.action, got.reasons, got.in_force) == (
        Action.CLARIFY,
        ("classification 0.75 below 0.8",),
        ("overrides.degraded_line",),
    )


# --- the customer's segment -------------------------------------------------------------------


def test_a_segment_comes_from_the_system_of_record_only() -> None:
    """Not from a word, not without a verified customer, not by making one."""
    with pytest.raises(TypeError, match="never a word"):
        ruling("cancel_order", segment="plus")
    with pytest.raises(TypeError, match="VerifiedCustomer"):
        Segment.of_record("cu_00001", "plus")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"Segment\.of_record"):
        Segment(object(), "plus")
    with pytest.raises(TypeError):
        VerifiedCustomer(object(), "cu_00001", "427103", ("order_number",))


def test_a_segment_counts_for_verified_callers_only() -> None:
    """Before the gate it is as if nobody knew it."""
    plus = supposed("plus")
    assert ruling("cancel_order", verified=True, segment=plus).urgency is Urgency.HIGH
    assert ruling("cancel_order", verified=False, segment=plus).urgency is Urgency.NORMAL
    assert ruling("cancel_order", verified=True, segment=supposed("gold")).urgency is Urgency.NORMAL


# --- who writes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("intent", "grounding", "answer", "healthy", "route"),
    [
        ("product_advice", 0.90, None, Health.OK, Route.STRONG),
        ("product_advice", 0.60, None, Health.OK, Route.STRONG),
        ("product_advice", 0.59, None, Health.OK, Route.GROUNDED),
        ("product_advice", 0.90, None, Health.DEGRADED, Route.GROUNDED),
        ("product_advice", 0.90, 0.10, Health.OK, Route.FIXED),
        ("care_advice", 0.90, 0.95, Health.OK, Route.SMALL),
        ("opening_hours", 0.90, None, Health.OK, Route.GROUNDED),
        ("return_policy", 0.99, 0.99, Health.OK, Route.GROUNDED),
        ("thanks", None, None, Health.OK, Route.FIXED),
        ("complaint", 0.90, 0.99, Health.OK, Route.PERSON),
    ],
)
def test_who_writes_follows_intent_confidence_and_tier(
    intent: str, grounding: float | None, answer: float | None, healthy: Health, route: Route
) -> None:
    """A model writes where it may and where there is enough to write from; everything else is quoted."""
    assert ruling(intent, 0.95, grounding, answer, healthy=healthy).route is route


def test_in_tier_one_a_model_writes_only_what_was_judged(tmp_path: Path) -> None:
    """What is said about somebody's own affairs is quoted, unless its answer was judged good enough."""
    document = shipped()
    document["intents"]["newsletter"] |= {"route": "small", "compliance": "none"}
    policy = boot(document, tmp_path, tested=False)
    assert ruling("newsletter", 0.95, 0.9, None, policy=policy).route is Route.GROUNDED
    assert ruling("newsletter", 0.95, 0.9, 0.9, policy=policy).route is Route.SMALL


@pytest.mark.parametrize(
    ("record", "action"),
    [
        (None, Action.ANSWER),
        ({"calls": 49, "resolved": 0.10}, Action.ANSWER),
        ({"calls": 50, "resolved": 0.69}, Action.DRAFT),
        ({"calls": 50, "resolved": 0.70}, Action.ANSWER),
        ({"calls": 50, "resolved": 0.95}, Action.ANSWER),
    ],
)
def test_an_intent_that_automation_did_poorly_with_is_drafted(
    record: dict[str, Any] | None, action: Action, tmp_path: Path
) -> None:
    """A person approves the words until the record is better; a good one gives no freedom by itself."""
    document = shipped()
    if record is not None:
        document["intents"]["opening_hours"]["record"] = {**record, "reviewed": date(2026, 11, 1)}
    policy = boot(document, tmp_path)
    got = ruling("opening_hours", 0.95, 0.9, policy=policy)
    assert got.action is action
    assert (got.route is Route.DRAFT) is (action is Action.DRAFT)


def test_an_intent_in_draft_mode_waits_for_a_person(tmp_path: Path) -> None:
    """`route: draft` in a row: the answer is written, and approved before it is said."""
    policy = boot(edited("intents.opening_hours.route", "draft"), tmp_path)
    got = ruling("opening_hours", 0.95, 0.9, policy=policy)
    assert (got.action, got.route) == (Action.DRAFT, Route.DRAFT)


# --- tools and grants -----------------------------------------------------------------------------


def with_a_grant(**grant: Any) -> dict[str, Any]:
    """Cancelling an order as a tool, reviewed until the end of the year."""
    document = shipped()
    document["grants"] = {}
    document["intents"]["cancel_order"] |= {
        "reads": "tool",
        "tool": "order_status",
        "act": "cancel_order",
        "identity": True,
    }
    if grant:
        document["grants"] = {
            "cancelling": {
                "why": "three months of approved cancellations without a mistake",
                "intents": ["cancel_order"],
                "reviewed_by": ["Ada Lane", "Joe Ruiz"],
                "reviewed": date(2026, 11, 1),
                "until": date(2026, 12, 31),
                **grant,
            }
        }
    return document


IN_FORCE = {"verified": True, "today": date(2026, 12, 24)}


def granted(tmp_path: Path, **grant: Any) -> Policy:
    return boot(
        with_a_grant(**grant),
        tmp_path,
        tested=False,
    )


def test_without_a_grant_a_person_approves_the_act(tmp_path: Path) -> None:
    """The tool is there; nobody reviewed letting the bot use it."""
    got = ruling("cancel_order", policy=granted(tmp_path), **IN_FORCE)
    assert (got.action, got.route) == (Action.DRAFT, Route.DRAFT)
    assert got.tools == ()
    assert "no grant: a person approves it" in got.reasons


def test_a_grant_lets_the_bot_propose_and_names_the_tool(tmp_path: Path) -> None:
    """`may: propose`: read back, and done on a yes."""
    got = ruling("cancel_order", policy=granted(tmp_path, may="propose"), **IN_FORCE)
    assert (got.action, got.tools) == (Action.PROPOSE, ("order_status", "cancel_order"))
    assert "granted by cancelling" in got.reasons


@pytest.mark.parametrize(
    ("facts", "action"),
    [
        ({"today": date(2026, 11, 1)}, Action.ACT),
        ({"today": date(2026, 12, 31)}, Action.ACT),
        ({"today": date(2027, 1, 1)}, Action.DRAFT),
        ({"today": date(2026, 10, 31)}, Action.DRAFT),
        ({"today": None}, Action.DRAFT),
        ({"healthy": Health.DEGRADED}, Action.DRAFT),
        ({"vulnerable": True}, Action.DRAFT),
        ({"verified": False}, Action.CLARIFY),
        ({"segment": supposed("standard")}, Action.DRAFT),
        ({"segment": None}, Action.DRAFT),
        ({"distress": 0.9}, Action.ESCALATE),
        ({"sure": 0.69}, Action.CLARIFY),
    ],
)
def test_a_grant_holds_only_as_it_was_reviewed(facts: dict[str, Any], action: Action, tmp_path: Path) -> None:
    """For its segment, within its dates, for a verified caller, with everything healthy."""
    policy = granted(tmp_path, may="act", segments=["plus"])
    got = ruling("cancel_order", policy=policy, **{**IN_FORCE, "segment": supposed("plus"), **facts})
    assert got.action is action


def test_a_grant_never_overrules_a_restriction(tmp_path: Path) -> None:
    """Overrides have the last word."""
    document = with_a_grant(may="act")
    document["overrides"]["stock_taking"] = {
        "why": "while stock is taken nothing may be cancelled",
        "when": {"hours": ["18:00", "20:00"]},
        "intents": ["cancel_order"],
        "at_most": "follow_up",
    }
    policy = boot(
        document,
        tmp_path,
        tested=False,
    )
    assert ruling("cancel_order", policy=policy, local_time=time(17), **IN_FORCE).action is Action.ACT
    assert ruling("cancel_order", policy=policy, local_time=time(18), **IN_FORCE).action is Action.FOLLOW_UP


def test_a_tool_that_writes_cannot_pass_for_one_that_reads(tmp_path: Path) -> None:
    """What a tool does is the tool's word, not the table's."""
    document = shipped()
    document["intents"]["order_status"]["tool"] = "cancel_order"
    with pytest.raises(PolicyError, match=r"order_status.*cancel_order.*changes something"):
        boot(document, tmp_path)


def test_two_tables_never_share_a_version(tmp_path: Path) -> None:
    """A turn tells which table decided it, also when somebody forgot to change the version."""
    other = boot(edited("intents.gift_card.priority", 1), tmp_path)
    assert other.version != POLICY.version
    assert other.version.split(".")[0] == POLICY.version.split(".")[0]
