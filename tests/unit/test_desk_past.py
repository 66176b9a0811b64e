"""A conversation that is over is told in order, with what was heard of it and why the bot did what it did."""

from __future__ import annotations

from typing import Any

from voicebot.console.desk import past

DECISION: dict[str, Any] = {
    "intent": "order_status",
    "action": "answer",
    "route": "fixed",
    "policy_row": "order_status/tier1/sure",
    "confidences": {"classification": 0.9456, "grounding": None},
    "reasons": ["classification 0.95"],
    "sources": [{"article": "returns", "title": "Returning an item"}],
    "tools": [
        {
            "tool": "order_status",
            "result": {"outcome": "shipped"},
            "arguments": {"order": "[order number 1]"},
        }
    ],
    "trigger": None,
}


def turn(number: int, at: str, **more: Any) -> dict[str, Any]:
    return {
        "turn": number,
        "input": {"kind": "utterance", "text": "where is it"},
        "decision": DECISION,
        "spoken": "It is on its way.",
        "heard": {"text": "It is on its way.", "complete": True},
        "created_at": at,
        **more,
    }


def detail(*turns: dict[str, Any], events: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {"turns": [*turns], "events": [*events]}


def test_a_turn_is_its_lines_and_its_reasons() -> None:
    (step,) = past.story(detail(turn(2, "2026-11-21T10:00:05Z")))
    assert [(line.who, line.text, line.how) for line in step.lines] == [
        ("caller", "where is it", ""),
        ("bot", "It is on its way.", ""),
    ]
    why = dict(step.why)
    assert (why["Intent"], why["Policy"]) == ("order status", "order_status/tier1/sure")
    assert why["Sure of classification"] == "0.95"
    assert "Sure of grounding" not in why
    assert step.tools == (("order status", "shipped (Order: [order number 1])"),)
    assert step.sources == ("Returning an item",)


def test_what_was_not_heard_to_the_end_is_told_as_it_was_heard() -> None:
    cut = turn(2, "2026-11-21T10:00:05Z", heard={"text": "It is", "complete": False})
    lost = turn(3, "2026-11-21T10:00:09Z", heard={"text": "", "complete": False})
    first, second = past.story(detail(cut, lost))
    assert (first.lines[1].text, first.lines[1].how) == ("It is", "interrupted")
    assert (second.lines[1].text, second.lines[1].how) == ("It is on its way.", "not heard")


def test_what_people_said_stands_where_it_was_said() -> None:
    asked = {
        "type": "handoff.requested",
        "time": "2026-11-21T10:00:06Z",
        "data": {"trigger": "asked_for_person"},
    }
    said = {
        "type": "leg.line",
        "time": "2026-11-21T10:01:00Z",
        "data": {"who": "agent", "text": "This is Ada."},
    }
    beside = {"type": "tool.called", "time": "2026-11-21T10:00:07Z", "data": {}}
    steps = past.story(detail(turn(2, "2026-11-21T10:00:05Z"), events=(said, beside, asked)))
    assert [step.happened or step.lines[0].text for step in steps] == [
        "where is it",
        "A person was asked for",
        "This is Ada.",
    ]
    assert steps[2].turn is None, "nothing is noted on what a person said"


def test_keys_are_shown_as_words_are() -> None:
    (step,) = past.story(
        detail(turn(2, "2026-11-21T10:00:05Z", input={"kind": "keys", "digits": "3"}, spoken=""))
    )
    assert [(line.who, line.text) for line in step.lines] == [("caller", "3")]


def test_the_whole_in_short() -> None:
    whole = {
        "channel": "phone",
        "created_at": "2026-11-21T10:00:00Z",
        "ended_at": "2026-11-21T10:02:00Z",
        "end_reason": "caller_hung_up",
        "turn": 7,
    }
    outcome = {"resolution": "handed_over", "disposition": "left_queue", "csat": 4}
    assert past.facts(whole, outcome) == (
        ("Channel", "phone"),
        ("Began", "21 November 2026, 10:00 UTC"),
        ("Lasted", "2 min"),
        ("Ended", "the caller hung up"),
        ("Turns", "7"),
        ("Outcome", "handed over"),
        ("How", "left queue"),
        ("Rated", "4 of 5"),
    )
    going_on = past.facts({**whole, "ended_at": None}, None)
    assert [name for name, _ in going_on] == ["Channel", "Began", "Turns"]
