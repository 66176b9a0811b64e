"""What the desk's pages say of a conversation, in words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from voicebot.console.desk import words
from voicebot.console.desk.panels.words import may_judge


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 s"), (89.4, "89 s"), (90, "2 min"), (3570, "1 h 00 min"), (3900, "1 h 05 min")],
)
def test_a_wait(seconds: float, shown: str) -> None:
    assert words.waited(seconds) == shown


@pytest.mark.parametrize(
    ("entry", "shown"),
    [
        ({"who": "bot", "heard": "all"}, "Bot"),
        ({"who": "bot", "heard": "part"}, "Bot (interrupted)"),
        ({"who": "caller", "heard": "unsure"}, "Caller (not understood well)"),
        ({"who": "agent"}, "Agent"),
    ],
)
def test_who_said_it(entry: dict[str, Any], shown: str) -> None:
    assert words.said_by(entry) == shown


@pytest.mark.parametrize(
    ("entry", "shown"),
    [
        ({"type": "transfer", "what": "ringing"}, "A phone rings"),
        ({"type": "state", "what": "put_on_hold"}, "Put on hold"),
        (
            {"type": "handoff", "what": "requested", "facts": {"trigger": "asked_for_person"}},
            "A person was asked for",
        ),
        (
            {"type": "handoff", "what": "requested", "facts": {"trigger": "danger"}},
            "A person was asked for: danger",
        ),
    ],
)
def test_what_happened(entry: dict[str, Any], shown: str) -> None:
    assert words.happened(entry) == shown


NONE_DUE = {"last": None, "calls": 0, "oldest": None, "overdue": False, "articles": 0}


@pytest.mark.parametrize(
    ("review", "shown"),
    [
        ({}, []),
        (
            {"overdue": True, "calls": 1, "oldest": "2026-11-10T12:00:00Z"},
            ["The weekly review is overdue: nobody has listened in four weeks; 1 call since is worth it."],
        ),
        (
            {"overdue": True, "calls": 12, "last": "2026-11-10T12:00:00Z"},
            ["The weekly review is overdue: nobody has listened for 9 days; 12 calls since are worth it."],
        ),
        ({"articles": 1}, ["1 article is past the day on which somebody was to look again."]),
        ({"articles": 3}, ["3 articles are past the day on which somebody was to look again."]),
    ],
)
def test_reviews_that_are_overdue(review: dict[str, Any], shown: list[str]) -> None:
    assert words.reviews_due({**NONE_DUE, **review}, datetime(2026, 11, 20, 11, tzinfo=UTC)) == shown


NOBODY = {"verified": False, "locked": False, "tries": 0, "method": []}


@pytest.mark.parametrize(
    ("known", "shown"),
    [
        (NOBODY, "not verified"),
        ({**NOBODY, "tries": 2}, "not verified after 2 tries"),
        ({**NOBODY, "tries": 3, "locked": True}, "not verified: locked out after too many tries"),
        ({**NOBODY, "verified": True, "method": ["order_number", "name"]}, "verified by order number, name"),
    ],
)
def test_identity(known: dict[str, Any], shown: str) -> None:
    assert words.identity({"identity": known}) == shown


def test_scores_that_were_not_measured_are_left_out() -> None:
    moment = {"classification": 0.91, "grounding": None, "answer": None, "sentiment": -0.5}
    assert words.scores({"scores": {"moment": moment}}) == (("Understood", "0.91"), ("Mood", "-0.50"))
    assert words.scores({"scores": {"moment": None}}) == ()


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (["complaint", "return"], "complaint, return"),
        (None, ""),
        (True, "yes"),
        (0.9985, "1"),
        (-0.4, "-0.4"),
        ({"callback_number": "[phone number 1]"}, "Callback number: [phone number 1]"),
        ([], ""),
    ],
)
def test_values_are_words_not_code(value: Any, told: str) -> None:
    assert words.shown(value) == told


def test_names_lose_their_dots_and_numbers_keep_theirs() -> None:
    assert words.plain("sentiment is below -0.4") == "sentiment is below -0.4"
    assert words.plain("orders.order_status") == "orders order status"


NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "told"),
    [
        ("2026-11-21T12:20:00Z", "in 20 min"),
        ("2026-11-21T11:59:00Z", "60 s overdue"),
        ("2026-11-18T12:00:00Z", "3 days overdue"),
    ],
)
def test_when_a_promise_is_due(at: str, told: str) -> None:
    assert words.due(at, NOW) == told


def test_how_long_it_is_past() -> None:
    assert words.ago("2026-11-21T11:40:00Z", NOW) == "20 min ago"
    assert words.ago("2026-11-21T12:00:01Z", NOW) == "0 s ago", "clocks of two machines differ a little"


def handed_over(status: str, who: str | None, *accepted: str) -> dict[str, Any]:
    changes = [{"what": "requested", "who": None}, *({"what": "accepted", "who": one} for one in accepted)]
    return {"status": status, "claimed_by": who, "changes": changes}


@pytest.mark.parametrize(
    ("one", "supervisor", "may"),
    [
        (handed_over("accepted", "ada", "ada"), False, True),
        (handed_over("waiting", None, "ada"), False, True),  # gave it back
        (handed_over("accepted", "ben", "ben"), False, False),
        (handed_over("waiting", None), False, False),
        (handed_over("waiting", None), True, False),  # nothing is to be judged yet
        (handed_over("missed", None), True, True),
        (handed_over("done", "ben", "ben"), True, True),
    ],
)
def test_who_judges_a_hand_over(one: dict[str, Any], supervisor: bool, may: bool) -> None:
    assert may_judge(one, "ada", supervisor=supervisor) is may
