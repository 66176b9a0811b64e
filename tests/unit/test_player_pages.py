"""What an address asks of the list of recordings, and a replay beside its call, turn by turn."""

from __future__ import annotations

from datetime import date
from typing import Any, get_args

import pytest

from voicebot.console.desk.recordings_asked import PAGE, Asked
from voicebot.console.desk.replay_view import beside, summary
from voicebot.console.player.worth import WORDS, Reason
from voicebot.core.store.recordings import WORTH

HERE = f"2026-11-21T10:00:00+00:00,cv_{'0' * 32}"


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ({}, Asked()),
        ({"intent": "order_status", "over_s": "2.5"}, Asked(intent="order_status", over_s=2.5)),
        ({"day": "2026-11-21", "marked": "1"}, Asked(day=date(2026, 11, 21), marked=True)),
        ({"day": "soon", "over_s": "-1", "channel": "fax", "skip": "x", "intent": "<b>"}, Asked()),
        ({"before": HERE}, Asked(before=HERE)),
        ({"before": HERE.replace("+", " ")}, Asked(before=HERE)),
        ({"before": "1; DROP"}, Asked()),
        ({"worth": "1", "skip": "50"}, Asked(worth=True, skip=50)),
    ],
)
def test_what_an_address_has_wrong_is_left_out(query: dict[str, str], asked: Asked) -> None:
    assert Asked.of(query) == asked


def test_a_view_comes_back_from_its_address_and_is_asked_of_the_api() -> None:
    asked = Asked(intent="refund", over_s=2.5, day=date(2026, 11, 21), marked=True)
    assert asked.to() == "/recordings?intent=refund&over_s=2.5&day=2026-11-21&marked=1"
    assert asked.query() == {
        "limit": PAGE, "intent": "refund", "over_ms": 2500, "day": "2026-11-21", "marked": True,
    }  # fmt: skip
    assert Asked(worth=True, skip=50).query() == {"limit": PAGE, "worth": True, "skip": 50}
    assert Asked().to() == "/recordings"


def test_every_reason_to_listen_has_its_words() -> None:
    assert {*WORTH} == {*WORDS} == {*get_args(Reason)}


def turn(number: int, **other: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"turn": number, "input": "utterance", "words": "where is it", "ended_ms": 4000}
    made |= {"intent": "order_status", "action": "answer", "row": "a/b", "after": "continue"}
    made |= {"tools": [{"tool": "order_status", "outcome": "shipped"}], "waited_ms": 640}
    made |= {"heard": "It left.", "heard_whole": True}
    return made | other


def call(**other: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "recorded": [turn(1), turn(2)], "turns": [turn(1), turn(2)], "pairs": [[1, 1], [2, 2]],
        "differences": [], "virtual_s": 20.0, "real_s": 4.0,
    }  # fmt: skip
    return made | other


def test_a_call_that_goes_as_it_did() -> None:
    assert summary(call()) == "It goes as it did. 20 s of call in 4 s."
    assert not any(one.differs for one in beside(call()))


def test_what_differs_stands_beside_what_was() -> None:
    differences = [
        {"what": "words", "turn": 2, "was": "", "now": "", "beyond": True},
        {"what": "latency", "turn": 1, "was": "", "now": "", "beyond": False},
    ]
    again = [turn(1, waited_ms=900), turn(2, words="where was it", after="hand_over")]
    found = call(turns=again, differences=differences)
    assert summary(found).startswith("1 of 2 turns go otherwise: words.")
    first, second = beside(found)
    assert (first.differs, second.differs) == (False, True)
    assert [(cell.was, cell.now) for cell in first.cells if cell.name == "Waited"] == [("0.64 s", "0.90 s")]
    words = next(cell for cell in second.cells if cell.name == "Caller")
    assert [(piece.kind, piece.text) for piece in words.pieces] == [
        ("same", "where"), ("gone", "is"), ("new", "was"), ("same", "it"),
    ]  # fmt: skip
    assert next(cell for cell in second.cells if cell.name == "Decision").now.endswith("then hand over")


def test_a_turn_that_only_one_of_them_has() -> None:
    found = call(turns=[turn(1), turn(2), turn(3)], pairs=[[1, 1], [None, 2], [2, 3]])
    only = beside(found)[1]
    assert (only.only, only.number, only.at_ms, only.differs) == ("now", 2, None, True)
    assert all(not cell.was for cell in only.cells)
