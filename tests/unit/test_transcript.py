"""What a watcher is told of each event: the words of three speakers, and nothing that is not open."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from voicebot.core.conversation import Event
from voicebot.core.transcript import Saying, Told, is_told, told

AT = datetime(2026, 1, 1, tzinfo=UTC)


def event(kind: str, data: dict[str, Any], *, seq: int | None = 7, turn: int | None = 3) -> Event:
    return Event(
        id="ev_1", type=kind, conversation_id="cv_1", turn=turn, time=AT, data=data, seq=seq
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        (
            "turn.committed",
            {
                "input": {"kind": "utterance", "text": "where is [order number 1]"},
                "decision": {"intent": "order_status", "action": "answer", "reason": "private"},
                "said": "It is on its way.",
            },
            ("line", "caller", "where is [order number 1]", None, "order_status", "answer"),
        ),
        (
            "turn.committed",
            {"input": {"kind": "keys", "digits": "******"}, "decision": {}},
            ("line", "caller", "******", None, None, None),
        ),
        (
            "turn.committed",
            {"input": {"kind": "not_heard", "reason": "unsure", "text": "uh huh"}, "decision": {}},
            ("line", "caller", "uh huh", "unsure", None, None),
        ),
        (
            "turn.heard",
            {"heard": {"text": "It is on its way.", "complete": True}},
            ("line", "bot", "It is on its way.", "all", None, None),
        ),
        (
            "turn.heard",
            {"heard": {"text": "It is on", "complete": False}},
            ("line", "bot", "It is on", "part", None, None),
        ),
        ("turn.heard", {"heard": {"text": "", "complete": False}}, ("line", "bot", "", "none", None, None)),
        (
            "leg.line",
            {"who": "agent", "text": "hello, this is Sam"},
            ("line", "agent", "hello, this is Sam", None, None, None),
        ),
    ],
)
def test_words_become_lines_with_the_events_number(
    kind: str, data: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    entry = told(event(kind, data))
    assert entry is not None
    assert is_told(kind)
    assert entry.id == 7
    found = (entry.type, entry.who, entry.text, entry.heard, entry.intent, entry.action)
    assert found == expected


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("turn.committed", {"input": {"kind": "call_started"}, "decision": {}}),
        ("turn.committed", {"input": {"kind": "silence", "nth": 1}, "decision": {}}),
        ("turn.committed", {"input": {"kind": "late_result", "text": "secret"}, "decision": {}}),
        ("turn.committed", {}),
        ("turn.heard", {"heard": {"text": "", "complete": True}}),
        ("leg.line", {"who": "bot", "text": "nobody says so"}),
        ("leg.line", {"who": "agent", "text": ""}),
        ("act.done", {"text": "refund"}),
        ("draft.requested", {"words": "not yet approved"}),
        ("identity.verified", {"customer": "c_1"}),
    ],
)
def test_what_is_no_word_of_anyone_is_not_told(kind: str, data: dict[str, Any]) -> None:
    assert told(event(kind, data)) is None


@pytest.mark.parametrize(
    ("kind", "type_", "what"),
    [
        ("call.media_started", "state", "media_started"),
        ("call.ended", "state", "ended"),
        ("chat.ended", "state", "ended"),
        ("transfer.ringing", "transfer", "ringing"),
        ("handoff.requested", "handoff", "requested"),
    ],
)
def test_what_happened_is_told_with_open_facts_only(kind: str, type_: str, what: str) -> None:
    data = {"handoff": "ho_1", "reason": "busy", "to": "+15550100", "name": "Sam", "status": {"no": "word"}}
    entry = told(event(kind, data))
    assert entry is not None
    assert is_told(kind)
    assert (entry.type, entry.what, entry.text) == (type_, what, "")
    assert entry.facts == {"handoff": "ho_1", "reason": "busy"}


def test_words_so_far_have_no_number() -> None:
    for kind, data in (
        ("caller.partial", {"text": "where is"}),
        ("bot.clause", {"turn": 3, "text": "It is"}),
        ("leg.partial", {"who": "agent", "text": "hello"}),
    ):
        entry = told(event(kind, data, seq=None))
        assert entry is not None
        assert (entry.id, entry.type) == (None, "partial")


def test_the_bots_partial_is_the_whole_of_its_turn_so_far() -> None:
    saying = Saying()

    def said(turn: int, text: str) -> str:
        return saying.whole(Told(id=None, type="partial", who="bot", turn=turn, text=text, at=AT)).text

    assert [said(1, "Hello."), said(1, "How are you?"), said(2, "I see.")] == [
        "Hello.",
        "Hello. How are you?",
        "I see.",
    ]
    caller = Told(id=None, type="partial", who="caller", text="well", at=AT)
    assert saying.whole(caller) is caller
