"""What the desk's pages say of a conversation, in words."""

from __future__ import annotations

from typing import Any

import pytest

from voicebot.console.desk import words


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
