"""A person who takes over gets everything in front of them, composed from what happened and nothing else."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from deployment_kit import LIBRARY
from pydantic import ValidationError

from voicebot.core.conversation import (
    Action,
    CallStarted,
    Channel,
    Confidences,
    Decision,
    FiredTrigger,
    Heard,
    Keys,
    MonitorScores,
    NotHeard,
    Route,
    Source,
    ToolRead,
    Utterance,
)
from voicebot.core.conversation import HearingFailure as Failure
from voicebot.core.store.conversations import Snapshot
from voicebot.dialogue.handover import HandoverRequest
from voicebot.dialogue.monitor.monitor import Want
from voicebot.dialogue.state import ConversationState
from voicebot.handoff.compose import as_heard, compose
from voicebot.handoff.patterns import PatternsError
from voicebot.handoff.payload import Payload, UnknownPayload, plain, read, schema
from voicebot.handoff.reasons import Reasons
from voicebot.safety.identity import GateProgress, Match

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
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
    assert set(plain(compose(request(), LIBRARY, NOW))) == {
        "version", "conversation", "transcript", "tool_calls", "scores", "trigger", "urgency", "identity", "tried",  # noqa: E501
        "citations", "next_action", "summary", "policy_version", "specialist", "form", "similar", "channel",
        "reason", "about", "choice",
    }  # fmt: skip


def test_the_transcript_holds_what_was_heard_not_what_was_meant() -> None:
    """A cut greeting stands as far as the caller heard it; what is not confirmed yet is marked."""
    lines = [(line.who, line.text, line.heard) for line in compose(request(), LIBRARY, NOW).transcript]
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
    payload = compose(request(), LIBRARY, NOW)
    assert payload.tried == (
        "answered opening hours from Opening hours",
        "not heard, empty, 1",
        "order status: shipped",
    )
    summary = payload.summary
    assert summary.issue == (
        "Verified customer, order 427103. Called about opening hours and where an order is. "
        "Handed over because: the caller asked for a person."
    )
    assert summary.tried.startswith("So far: answered opening hours from Opening hours; not heard, empty, 1;")
    assert (summary.mood, summary.next, summary.written_by) == (
        "Mood not known.",
        payload.next_action,
        "composed",
    )
    assert [call.turn for call in payload.tool_calls] == [4]
    assert [score.turn for score in payload.scores.turns] == [2, 4]
    assert [source.article for source in payload.citations] == ["opening-hours"]


def test_identity_is_only_what_the_gate_checked() -> None:
    """An unverified caller has a number to call back, no customer."""
    identity = compose(request(state=ConversationState(gate=GateProgress(tries=2))), LIBRARY, NOW).identity
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
    assert words in compose(request(trigger=trigger, decision=made), LIBRARY, NOW).next_action


def test_a_call_that_never_got_going_has_a_payload_too() -> None:
    """Key zero in the greeting: nothing tried, nothing known, and it says so."""
    first = request(
        turns=(), turn=1, state=ConversationState(), caller="(keys 0)", said=None, trigger="key_zero"
    )
    payload = compose(first, LIBRARY, NOW)
    assert payload.summary.issue.startswith("Caller not verified. Did not say what it is about.")
    assert [line.text for line in payload.transcript] == ["(keys 0)"]


def test_unknown_fields_and_other_versions_are_refused() -> None:
    """Strict: a desk never shows half of a payload it does not understand."""
    stored = plain(compose(request(), LIBRARY, NOW))
    for change in ({"mood": "bad"}, {"version": 4}):
        with pytest.raises(ValidationError):
            Payload.model_validate({**stored, **change})
        with pytest.raises(UnknownPayload):
            read({**stored, **change}, NOW)


def test_what_is_stored_opens_as_it_was() -> None:
    payload = compose(request(), LIBRARY, NOW)
    assert read(json.loads(json.dumps(plain(payload))), NOW) == payload


def test_a_payload_of_the_version_before_opens_as_todays() -> None:
    """A handoff that waits over an upgrade is not lost: what was not kept then is said to be missing."""
    stored = plain(compose(request(), LIBRARY, NOW))
    old = {
        key: stored[key]
        for key in ("conversation", "transcript", "tool_calls", "urgency", "identity", "tried", "citations")
    } | {
        "version": 2,
        "scores": stored["scores"]["turns"],
        "trigger": "policy:complaint",
        "next_action": "Ring back.",
        "summary": "Verified customer.",
        "policy_version": "p0",
        "specialist": None,
        "form": {},
        "similar": [],
    }
    payload = read(old, NOW)
    assert (payload.version, payload.trigger.name, payload.trigger.at) == (3, "policy:complaint", NOW)
    assert (payload.summary.issue, payload.next_action) == ("Verified customer.", "Ring back.")
    assert payload.choice.pattern == "version 2"
    with pytest.raises(UnknownPayload, match="reads 2 and 3"):
        read({**old, "version": 1}, NOW)


def test_the_published_schema_names_the_fields_of_the_contract() -> None:
    """Outside desks are built against it; a field more or less is another version."""
    published = schema()
    contract = {
        "transcript",
        "tool_calls",
        "scores",
        "trigger",
        "urgency",
        "identity",
        "tried",
        "citations",
        "next_action",
        "summary",
    }
    assert contract <= set(published["required"])
    assert published["additionalProperties"] is False
    assert published["properties"]["version"]["const"] == 3
    assert set(published["properties"]) == set(plain(compose(request(), LIBRARY, NOW)))


def test_the_scores_of_the_moment_are_those_of_the_turn_that_handed_over() -> None:
    """All three confidences and the sentiment, and how they came about before."""
    scores = MonitorScores(sentiment=-0.5)
    made = decision(
        "complaint",
        confidences=Confidences(classification=0.8, grounding=0.3, answer=0.6),
        scores=scores,
        trigger="policy:complaint",
    )
    payload = compose(request(decision=made, trigger="policy:complaint"), LIBRARY, NOW)
    moment = payload.scores.moment
    assert moment is not None
    assert (moment.turn, moment.classification, moment.grounding, moment.answer, moment.sentiment) == (
        5, 0.8, 0.3, 0.6, -0.5,
    )  # fmt: skip
    assert [one.turn for one in payload.scores.turns] == [2, 4, 5]
    assert payload.summary.mood == "Upset."


def test_the_trigger_comes_with_its_evidence_and_a_failure_is_its_own_first_sign() -> None:
    fired = FiredTrigger(
        name="loop", evidence={"times": 3}, at=NOW, first_sign_at=SNAPSHOT.created_at, first_sign="circle"
    )
    assert compose(request(trigger="loop", fired=fired), LIBRARY, NOW).trigger == fired
    failed = compose(request(trigger="database_down", decision=None), LIBRARY, NOW)
    assert (failed.trigger.name, failed.trigger.first_sign, failed.trigger.at) == (
        "database_down",
        "database_down",
        NOW,
    )
    assert failed.scores.moment is None


def test_what_is_still_open_counts_where_nothing_was_taken_up() -> None:
    """A wish in the same breath as "a person please": the next action is for that wish."""
    wish = Want(intent="parcel_lost", confidence=0.8, text="my parcel is lost")
    asked = request(turns=(), turn=1, state=ConversationState(waiting=(wish,)))
    payload = compose(asked, LIBRARY, NOW)
    assert payload.choice.pattern == "parcel_lost"
    assert "Still open: a parcel that did not arrive." in payload.summary.issue


def test_lines_that_were_being_spoken_then_show_what_was_heard_since() -> None:
    """The agent reads what the caller heard, not what the bot meant to say."""
    payload = compose(request(), LIBRARY, NOW)
    since = [{"turn": 5, "heard": {"text": "I'll", "complete": False}}, {"turn": 2, "heard": None}]
    last = as_heard(payload, since).transcript[-1]
    assert (last.text, last.heard) == ("I'll", True)
    silent = as_heard(payload, [{"turn": 5, "heard": {"text": "", "complete": False}}])
    assert silent.transcript[-1].who == "caller", "nothing of it was heard"


def test_a_broken_library_names_file_and_key(tmp_path: Path) -> None:
    """Typos are found at boot."""
    path = tmp_path / "handoff.yaml"
    path.write_text("reason: {}\nreasons: {}\ntopics: {}\n")
    with pytest.raises(PatternsError, match=r"handoff\.yaml.*reason"):
        Reasons.read(path)
    path.write_text("next_actions: {}\nreasons: {}\ntopics: {}\n")
    with pytest.raises(PatternsError, match=r"stand in patterns\.yaml"):
        Reasons.read(path)
    path.write_text("reasons: {}\ntopics: {}\nreveals: [address, card]\n")
    with pytest.raises(PatternsError, match=r"card.*never"):
        Reasons.read(path)
    with pytest.raises(PatternsError, match="No such file"):
        Reasons.read(tmp_path / "none.yaml")
