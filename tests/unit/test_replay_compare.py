"""What differs between a call and its replay is named, turn by turn, and counts only beyond its tolerance."""

from __future__ import annotations

from typing import Any

import pytest

from voicebot.core.conversation import TurnTimings
from voicebot.proof.replay.compare import Tolerance, aligned, differences, error_rate
from voicebot.proof.replay.expected import Expected
from voicebot.proof.replay.log import event_log
from voicebot.proof.replay.turns import ReplayTurn, turns_in


def turn(number: int, text: str = "hello", **changed: Any) -> ReplayTurn:
    decision = {
        "intent": changed.pop("intent", "opening_hours"),
        "action": "answer",
        "policy_row": "row",
        "tools": changed.pop("tools", []),
    }
    ended = changed.pop("ended_ms", number * 10_000)
    waited = changed.pop("waited_ms", 800)
    made = ReplayTurn(number, ended, {"kind": changed.pop("kind", "utterance"), "text": text}, decision)
    made.heard = changed.pop("heard", "we are open from nine")
    made.complete = True
    made.timings = TurnTimings(
        last_voiced_ms=ended - 500, turn_ended_ms=ended, first_heard_ms=ended - 500 + waited
    )
    for name, value in changed.items():
        setattr(made, name, value)
    return made


CALL = [turn(1, kind="call_started", text=""), turn(2), turn(3, "where is it")]


def found(now: list[ReplayTurn], **tolerance: Any) -> list[tuple[str, int, bool]]:
    return [(d.what, d.turn, d.beyond) for d in differences(CALL, now, Tolerance(**tolerance))]


def test_the_same_call_does_not_differ() -> None:
    assert found([*CALL]) == []


@pytest.mark.parametrize(
    ("changed", "what", "beyond"),
    [
        ({"text": "hollow"}, "words", True),
        ({"ended_ms": 20_300}, "boundary", False),
        ({"ended_ms": 20_500}, "boundary", True),
        ({"intent": "returns"}, "decision", True),
        ({"after": "hand_over"}, "decision", True),
        ({"tools": [{"tool": "order", "result": {"outcome": "found"}}]}, "tools", True),
        ({"heard": "we are open from"}, "spoken", True),
        ({"waited_ms": 1200}, "latency", False),
        ({"waited_ms": 1500}, "latency", True),
        ({"waited_ms": 100}, "latency", False),
    ],
)
def test_each_difference_has_its_name_and_its_limit(changed: dict[str, Any], what: str, beyond: bool) -> None:
    assert found([CALL[0], turn(2, **changed), CALL[2]]) == [(what, 2, beyond)]


def test_what_is_tolerated_is_shown_all_the_same() -> None:
    changed = [CALL[0], turn(2, "hollow", intent="returns"), CALL[2]]
    assert found(changed, words=1.0, decisions=1) == [("words", 2, False), ("decision", 2, False)]
    both = [CALL[0], turn(2, intent="returns"), turn(3, "where is it", intent="returns")]
    assert found(both, decisions=1) == [("decision", 2, False), ("decision", 3, True)]


def test_a_turn_more_or_less_does_not_shift_the_others() -> None:
    more = [CALL[0], CALL[1], turn(3, "um", ended_ms=24_000), turn(4, "where is it", ended_ms=30_000)]
    assert [(p.was and p.was.number, p.now and p.now.number) for p in aligned(CALL, more)] == [
        (1, 1), (2, 2), (None, 3), (3, 4),
    ]  # fmt: skip
    assert found(more) == [("turns", 3, True)]
    assert found([CALL[0], CALL[2]]) == [("turns", 2, True)]


def test_only_the_turns_that_are_asked_for_count() -> None:
    changed = [CALL[0], turn(2, "hollow"), turn(3, "hollow")]
    assert [d.turn for d in differences(CALL, changed, Tolerance(), first=3)] == [3]
    assert [d.turn for d in differences(CALL, changed, Tolerance(), last=2)] == [2]


@pytest.mark.parametrize(
    ("was", "now", "rate"),
    [("a b c d", "a b c d", 0.0), ("a b c d", "a x c", 0.5), ("", "", 0.0), ("", "a", 1.0), ("A", "a", 0.0)],
)
def test_the_word_error_rate(was: str, now: str, rate: float) -> None:
    assert error_rate(was, now) == rate


def test_tolerances_are_read_and_unknown_ones_named() -> None:
    assert Tolerance.parse("words=0.2, latency_ms=900") == Tolerance(words=0.2, latency_ms=900)
    assert Tolerance.parse("") == Tolerance()
    with pytest.raises(ValueError, match=r"no tolerance 'speed'; there are words"):
        Tolerance.parse("speed=1")
    with pytest.raises(ValueError, match="needs a number"):
        Tolerance.parse("turns=few")


def test_ids_and_real_times_are_not_in_the_log_and_everything_else_is() -> None:
    def log(name: str, took: float, word: str = "a") -> bytes:
        told = [{"type": "x", "at_ms": 5, "draft": f"dr_{name * 32}", "took_ms": took, "word": word}]
        return event_log(
            told, [], [{"type": "y", "id": f"ev_{name * 32}", "data": {"of": f"dr_{name * 32}"}}]
        )

    assert log("a", 1.0) == log("b", 2.0)
    assert log("a", 1.0) != log("a", 1.0, word="b")
    assert b'"of": "dr#1"' in log("a", 1.0)


def test_turns_are_read_from_what_a_call_told() -> None:
    events = [
        {"type": "turn.committed", "at_ms": 3, "turn": 1, "input": {"kind": "utterance", "text": "hi"},
         "decision": {"intent": "x", "action": "answer", "policy_row": "r"}, "after": "continue",
         "card": True},
        {"type": "speaking.ClauseStarted", "turn": 1, "at_ms": 9, "text": "Hello there."},
        {"type": "turn.heard", "turn": 1, "heard": {"text": "Hello", "complete": False}, "timings": {}},
        {"type": "turn.heard", "turn": 9, "heard": {"text": "?", "complete": True}, "timings": {}},
    ]  # fmt: skip
    (one,) = turns_in(events)
    assert (one.words, one.said, one.heard, one.complete, one.withheld) == (
        "hi", ["Hello there."], "Hello", False, True,
    )  # fmt: skip


def test_what_must_be_is_held_against_what_is() -> None:
    expected = Expected.model_validate(
        {
            "outcome": "ended*",
            "never_says": "dollars",
            "turns": [
                {"input": "call_started"},
                {"intent": ["opening_*", "other"], "says": ["nine"], "tools": []},
                {"words": "where*", "tools": ["order_status:found"], "whole": True},
            ],
        }
    )
    assert list(expected.missed(CALL, "ended (goodbye)")) == [
        "turn 3: tools are none, not order_status:found"
    ]
    wrong = [CALL[0], turn(2, intent="returns", heard="five dollars"), turn(3, "what", complete=False)]
    assert len(list(expected.missed(wrong, "lost (media ended)"))) == 7
    assert next(expected.missed(CALL[:2], "ended")).startswith("has 2 turns, not 3")
