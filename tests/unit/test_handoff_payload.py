"""A person who takes over gets everything in front of them, composed from what happened and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from voicebot.core.conversation import (
    Action,
    CallStarted,
    Channel,
    Confidences,
    Decision,
    Heard,
    Keys,
    NotHeard,
    Route,
    Source,
    ToolRead,
    Utterance,
)
from voicebot.core.conversation import HearingFailure as Failure
from voicebot.core.store.conversations import Snapshot
from voicebot.dialogue.handover import HandoverRequest
from voicebot.dialogue.state import ConversationState
from voicebot.handoff.compose import compose
from voicebot.handoff.patterns import HandoffPatterns, PatternsError
from voicebot.handoff.payload import Payload, plain
from voicebot.safety.identity import GateProgress, Match

ROOT = Path(__file__).resolve().parent.parent.parent
PATTERNS = HandoffPatterns.read(ROOT / "business" / "handoff.yaml")
SNAPSHOT = Snapshot(
    id="cv_1",
    channel=Channel.PHONE,
    call_sid="CA1",
    caller="+12025550100",
    called=None,
    subject_id="sb_1",
    status="live",
    version=3,
    epoch=0,
    turn=3,
    state={},
    created_at=datetime(2026, 11, 20, tzinfo=UTC),
    ended_at=None,
    end_reason=None,
)


def decision(intent: str, **more: object) -> Decision:
    facts = {"intent": intent, "tier": 0, "action": Action.ANSWER, "route": Route.FIXED, "policy_row": "r"}
    return Decision.model_validate({**facts, **more})


def row(turn: int, given: object, made: Decision, heard: Heard | None, spoken: str | None = None) -> dict:
    return {
        "turn": turn,
        "transaction_id": f"tx_{turn}",
        "input": given.model_dump(mode="json"),  # type: ignore[attr-defined]
        "decision": made.model_dump(mode="json"),
        "spoken": spoken,
        "heard": heard.model_dump(mode="json") if heard else None,
        "timings": None,
        "created_at": SNAPSHOT.created_at,
    }


SHIPPED = ToolRead(tool="order_status", arguments={"order_number": "427103"}, result={"outcome": "shipped"})
HOURS = Source(article="opening-hours", title="Opening hours", version="1", score=1.0)
SURE = Confidences(classification=0.9, grounding=0.8)
TURNS = (
    row(1, CallStarted(), decision("call_started"), Heard(text="Hello, this is", complete=False), "Hello, this is us."),  # noqa: E501
    row(2, Utterance(text="when are you open"), decision("opening_hours", sources=(HOURS,), confidences=SURE), None, "Nine."),  # noqa: E501
    row(3, NotHeard(reason=Failure.EMPTY), decision("not_heard", policy_row="not_heard/empty/1"), Heard(text="Sorry?", complete=True)),  # noqa: E501
    row(4, Keys(digits="94107"), decision("order_status", tools=(SHIPPED,), confidences=SURE), Heard(text="It is on its way.", complete=True)),  # noqa: E501
)  # fmt: skip


def request(**more: object) -> HandoverRequest:
    facts: dict = {
        "snapshot": SNAPSHOT,
        "turn": 5,
        "state": ConversationState(
            gate=GateProgress(
                match=Match(customer_id="cu_00001", reference="427103", method=("order_number", "post_code"))
            )
        ),
        "decision": decision(
            "person", action=Action.ESCALATE, route=Route.PERSON, trigger="asked_for_person"
        ),
        "trigger": "asked_for_person",
        "urgency": "normal",
        "caller": "a person please",
        "said": "I'll connect you.",
        "turns": TURNS,
        "policy_version": "p1",
    }
    return HandoverRequest(**{**facts, **more})


def test_the_payload_has_every_field_of_its_version() -> None:
    """The schema's names are a contract with agent desks."""
    assert set(plain(compose(request(), PATTERNS))) == {
        "version", "conversation", "transcript", "tool_calls", "scores", "trigger", "urgency", "identity", "tried",  # noqa: E501
        "citations", "next_action", "summary", "policy_version", "specialist", "form", "similar",
    }  # fmt: skip


def test_the_transcript_holds_what_was_heard_not_what_was_meant() -> None:
    """A cut greeting stands as far as the caller heard it; what is not confirmed yet is marked."""
    lines = [(line.who, line.text, line.heard) for line in compose(request(), PATTERNS).transcript]
    assert lines == [
        ("bot", "Hello, this is", True),
        ("caller", "when are you open", True),
        ("bot", "Nine.", False),
        ("bot", "Sorry?", True),
        ("caller", "(keys 94107)", True),
        ("bot", "It is on its way.", True),
        ("caller", "a person please", True),
        ("bot", "I'll connect you.", False),
    ]


def test_summary_and_tried_are_made_of_what_happened() -> None:
    """Who, about what, what was done, why a person."""
    payload = compose(request(), PATTERNS)
    assert payload.tried == (
        "answered opening_hours from Opening hours",
        "not_heard/empty/1",
        "order_status: shipped",
    )
    assert payload.summary == (
        "Verified customer, order 427103. Called about opening hours and where an order is. So far: "
        "answered opening_hours from Opening hours; not_heard/empty/1; order_status: shipped. "
        "Handed over because: the caller asked for a person."
    )
    assert [call.turn for call in payload.tool_calls] == [4]
    assert [score.turn for score in payload.scores] == [2, 4]
    assert [source.article for source in payload.citations] == ["opening-hours"]


def test_identity_is_only_what_the_gate_checked() -> None:
    """An unverified caller has a number to call back, no customer."""
    identity = compose(request(state=ConversationState(gate=GateProgress(tries=2))), PATTERNS).identity
    assert (identity.verified, identity.customer, identity.reference, identity.tries) == (
        False,
        None,
        None,
        2,
    )
    assert identity.caller == "+12025550100"


@pytest.mark.parametrize(
    ("trigger", "intent", "words"),
    [
        ("policy:cancel_order", "cancel_order", "left the warehouse"),
        ("identity_not_verified", "order_status", "Verify the caller"),
        ("asked_for_person", "person", "Greet the caller"),
        ("something_new", "something_new", "Greet the caller"),
    ],
)
def test_the_next_action_comes_from_the_reviewed_library(trigger: str, intent: str, words: str) -> None:
    """By trigger, else by intent, else the default line."""
    made = decision(intent, trigger=trigger)
    assert words in compose(request(trigger=trigger, decision=made), PATTERNS).next_action


def test_a_call_that_never_got_going_has_a_payload_too() -> None:
    """Key zero in the greeting: nothing tried, nothing known, and it says so."""
    first = request(
        turns=(), turn=1, state=ConversationState(), caller="(keys 0)", said=None, trigger="key_zero"
    )
    payload = compose(first, PATTERNS)
    assert payload.summary.startswith("Caller not verified. Did not say what it is about.")
    assert [line.text for line in payload.transcript] == ["(keys 0)"]


def test_unknown_fields_and_other_versions_are_refused() -> None:
    """Strict: a desk never shows half of a payload it does not understand."""
    stored = plain(compose(request(), PATTERNS))
    for change in ({"mood": "bad"}, {"version": 2}):
        with pytest.raises(ValidationError):
            Payload.model_validate({**stored, **change})


def test_a_broken_library_names_file_and_key(tmp_path: Path) -> None:
    """Typos are found at boot."""
    path = tmp_path / "handoff.yaml"
    path.write_text("default_action: x\nnext_action: {}\nreasons: {}\ntopics: {}\n")
    with pytest.raises(PatternsError, match=r"handoff\.yaml.*next_action"):
        HandoffPatterns.read(path)
    with pytest.raises(PatternsError, match="No such file"):
        HandoffPatterns.read(tmp_path / "none.yaml")
