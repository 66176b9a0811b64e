"""How a conversation ended follows from what is stored: who left is never contained, a repeat un-resolves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from voicebot.core.conversation import Action
from voicebot.dialogue.outcome import Facts, TurnFact, decide

AT = datetime(2026, 11, 21, 10, tzinfo=UTC)


def turn(intent: str, action: Action = Action.ANSWER, *, at: int = 0, **more: object) -> TurnFact:
    facts: dict[str, object] = {
        "intent": intent,
        "category": "orders",
        "action": action,
        "row": f"{intent}/tier0/sure",
        "tier": 0,
        "topic": intent not in {"goodbye", "thanks", "call_started", "unknown", "person"},
        "asked_at": AT + timedelta(seconds=at),
        "told_at": AT + timedelta(seconds=at + 8),
    }
    return TurnFact(**{**facts, **more})  # type: ignore[arg-type]


BYE = turn("goodbye", Action.END, at=60)


@pytest.mark.parametrize(
    ("facts", "resolution", "disposition"),
    [
        (Facts((turn("warranty"), BYE), "goodbye"), "resolved", "answered"),
        (Facts((turn("warranty"),), "caller_hung_up"), "resolved", "answered"),
        (Facts((turn("warranty", heard=False),), "caller_hung_up"), "abandoned", "left"),
        (Facts((turn("warranty", heard=False), BYE), "goodbye"), "resolved", "answered"),
        (
            Facts(
                (turn("warranty"), turn("goodbye", Action.END, at=60, heard=False)),
                "caller_hung_up",
            ),
            "resolved",
            "answered",
        ),
        (
            Facts((turn("goodbye", Action.END, at=60, heard=False),), "caller_hung_up"),
            "unknown",
            "nothing_wanted",
        ),
        (Facts((turn("cancel_order", Action.PROPOSE),), "caller_hung_up"), "abandoned", "left"),
        (Facts((turn("cancel_order", Action.PROPOSE), BYE), "goodbye"), "unresolved", "not_settled"),
        (Facts((turn("cancel_order", Action.ACT), BYE), "goodbye"), "resolved", "acted"),
        (Facts((turn("warranty", Action.ABSTAIN), BYE), "goodbye"), "unresolved", "not_settled"),
        (Facts((turn("warranty", Action.ACT, promised=True), BYE), "goodbye"), "handed_over", "promised"),
        (Facts((turn("warranty"), turn("cancel_order", Action.CLARIFY, at=20)), "idle"), "abandoned", "left"),
        (Facts((turn("warranty"), BYE), "goodbye", again=frozenset({"warranty"})), "unresolved", "answered"),
        (Facts((turn("warranty"), BYE), "goodbye", again=frozenset({"gift_card"})), "resolved", "answered"),
        (Facts((), "caller_hung_up"), "abandoned", "left"),
        (Facts((turn("call_started", by_caller=False), BYE), "goodbye"), "unknown", "nothing_wanted"),
        (Facts((turn("unknown", Action.CLARIFY), BYE), "goodbye"), "unresolved", "not_settled"),
        (
            Facts((turn("person", Action.ESCALATE),), "person_took_over", handoffs=1),
            "handed_over",
            "handed_over",
        ),
        (Facts((turn("person", Action.ESCALATE),), "caller_hung_up", handoffs=1), "abandoned", "left_queue"),
        (
            Facts((turn("person", Action.ESCALATE),), "caller_hung_up", handoffs=1, reached=True),
            "handed_over",
            "handed_over",
        ),
        (
            Facts((turn("person", Action.ACT, promised=True),), "caller_hung_up", handoffs=1),
            "handed_over",
            "handed_over",
        ),
        (Facts((turn("person", Action.ESCALATE),), None, handoffs=1), "handed_over", "handed_over"),
        (Facts((turn("warranty"),), "a reason nobody has thought of"), "resolved", "answered"),
        (Facts((turn("warranty", Action.CLARIFY),), "a reason nobody has thought of"), "abandoned", "left"),
    ],
)  # fmt: skip
def test_how_it_ended(facts: Facts, resolution: str, disposition: str) -> None:
    outcome = decide(facts)
    assert (outcome.resolution, outcome.disposition) == (resolution, disposition)


def test_each_intent_has_an_outcome_of_its_own() -> None:
    """What was answered before the caller asked for a person stays answered; the last one went there."""
    told = (turn("warranty"), turn("invoice_copy", at=20), turn("person", Action.ESCALATE, at=40))
    outcome = decide(Facts(told, "person_took_over", handoffs=1, reached=True))
    assert {one.intent: one.resolution for one in outcome.intents} == {
        "warranty": "resolved",
        "invoice_copy": "handed_over",
    }
    assert outcome.main is not None
    assert outcome.main.intent == "invoice_copy"


def test_a_guess_of_the_monitor_is_nothing_the_caller_asked() -> None:
    outcome = decide(Facts((turn("warranty", row="warranty/tier0/unsure"), BYE), "goodbye"))
    assert outcome.intents == ()


def test_time_to_resolution_runs_from_the_question_to_the_end_of_what_settled_it() -> None:
    """Asked at 0 s and clarified, answered with the turn at 30 s, which had been said at 38 s."""
    turns = (turn("order_status", Action.CLARIFY), turn("order_status", tier=1, at=30), BYE)
    (one,) = decide(Facts(turns, "goodbye")).intents
    assert one.resolved_at is not None
    assert (one.resolved_at - one.asked_at).total_seconds() == 38
    assert not one.complex
    (acted,) = decide(Facts((turn("cancel_order", Action.ACT), BYE), "goodbye")).intents
    assert acted.complex


def test_what_is_still_being_looked_up_or_paid_is_open_and_what_says_nothing_is_no_turn() -> None:
    """Who hangs up meanwhile has left; the result that came too late for somebody who moved on is no gap."""
    looking = turn("order_status", row="order_status/tier1/sure/pending")
    assert decide(Facts((looking,), "caller_hung_up")).resolution == "abandoned"
    paying = turn("pay", Action.ACT, row="payment/ahead")
    assert decide(Facts((paying,), "caller_hung_up")).resolution == "abandoned"
    told = turn("order_status", at=9)
    assert decide(Facts((looking, told, BYE), "goodbye")).resolution == "resolved"
    moved_on = turn("order_status", Action.ABSTAIN, at=20, row="late/moved_on", by_caller=False)
    (one, _) = decide(Facts((told, moved_on, turn("warranty", at=30), BYE), "goodbye")).intents
    assert (one.intent, one.resolution, one.gaps) == ("order_status", "resolved", 0)


def test_the_first_useful_response_is_no_question_back_and_no_filler() -> None:
    """Asked at 0 s; clarified, looked up, and told at 30 s, heard from 31 s on."""
    began = {"begun_at": AT + timedelta(seconds=31)}
    turns = (
        turn("order_status", Action.CLARIFY, begun_at=AT + timedelta(seconds=1), waited_ms=900),
        turn("order_status", at=10, row="order_status/tier1/pending", begun_at=AT + timedelta(seconds=11)),
        turn("order_status", at=30, waited_ms=1100, **began),
        turn("warranty", at=40, begun_at=AT + timedelta(seconds=42)),
        BYE,
    )
    outcome = decide(Facts(turns, "goodbye"))
    assert [one.first_useful_s for one in outcome.intents] == [31.0, 2.0]
    assert (outcome.first_useful_s, outcome.waited_ms) == (31.0, (900, 1100))
    unheard = decide(Facts((turn("warranty"), BYE), "goodbye"))
    assert unheard.first_useful_s is None


@pytest.mark.parametrize(
    ("action", "handoffs", "missed"),
    [(Action.ABSTAIN, 0, True), (Action.ANSWER, 0, False), (Action.ABSTAIN, 1, False)],
)
def test_an_escalation_was_missed_where_trouble_stood_and_nobody_was_called(
    action: Action, handoffs: int, missed: bool
) -> None:
    facts = Facts((turn("complaint", action), BYE), "goodbye", handoffs=handoffs, sign_standing=True)
    assert decide(facts).missed_sign is missed


def test_gaps_are_questions_without_an_article() -> None:
    told = (turn("warranty", Action.ABSTAIN, gap=True), turn("care_advice", grounded=True, at=9), BYE)
    outcome = decide(Facts(told, "goodbye"))
    assert (outcome.gaps, outcome.grounded) == (1, 1)
