"""What happens when a writer fails, how long one is waited for, and when one is left alone: as tables."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.dialogue.generation.breaker import FIRST_S, LONGEST_S, TRIAL_S, Breaker
from voicebot.dialogue.generation.deadlines import Deadlines
from voicebot.dialogue.generation.prices import Models, ModelsError, Price
from voicebot.dialogue.generation.refusals import is_refusal
from voicebot.dialogue.generation.request import Failure, ToolResult
from voicebot.dialogue.generation.slots import UnknownSlot, fill, names, without
from voicebot.dialogue.generation.writing import Said, after


@pytest.mark.parametrize(
    ("clauses", "failure", "then"),
    [
        ([], Failure.STALL, "again"),
        ([], Failure.BLOCKED, "again"),
        (["We are open from nine,"], Failure.STALL, "repair"),
        (["We are open from nine,"], Failure.BLOCKED, "repair"),
        (["We are open from nine,", "and close at eight."], Failure.CUT, "stop"),
        (["We are open."], Failure.BLOCKED, "stop"),
        (["We are open.", "On Sunday,"], Failure.TOO_LONG, "repair"),
        (["Let me look."], Failure.TOOL, "again"),
        (["I see."], Failure.REFUSAL, "again"),
    ],
)
def test_what_follows_a_failure(clauses: list[str], failure: Failure, then: str) -> None:
    """Nothing said: the next writer. Half a sentence: a line first. A whole one stands unless it promised."""
    said = Said()
    for clause in clauses:
        said.add(clause)
    assert after(said, failure) == then


def test_a_second_writer_gets_what_the_first_left() -> None:
    """The first clause of all writers together comes before the call's own fallback at four seconds."""
    deadlines = Deadlines()
    assert deadlines.patience_s(0.0, began=False) == deadlines.first_clause_s < 4
    assert deadlines.patience_s(2.5, began=False) == pytest.approx(0.9)
    assert deadlines.patience_s(2.8, began=False) is None
    assert deadlines.patience_s(9.0, began=True) == deadlines.between_clauses_s


@pytest.mark.parametrize(
    ("waited", "age", "limit", "tokens", "step"),
    [
        (0.0, 0.0, 3.4, False, 2.5),
        (0.5, 0.5, 3.4, True, 2.0),
        (3.0, 3.0, 3.4, True, 0.4),
        (14.5, 0.0, 3.4, True, 0.5),
        (16.0, 0.0, 3.4, True, 0.0),
    ],
)
def test_a_token_waits_for_the_nearest_deadline(
    waited: float, age: float, limit: float, tokens: bool, step: float
) -> None:
    """First token, gap, clause, whole: whichever is over first."""
    given_s = Deadlines().step_s(waited_s=waited, clause_age_s=age, clause_limit_s=limit, tokens=tokens)
    assert given_s == pytest.approx(step)


def test_two_failures_in_a_row_open_the_circuit_and_one_success_closes_it() -> None:
    """A single failure between successes changes nothing."""
    breaker = Breaker()
    for now in (0.0, 1.0, 2.0):
        breaker.failed(now)
        breaker.succeeded()
        assert breaker.allows(now)
    breaker.failed(3.0)
    breaker.failed(4.0)
    assert not breaker.allows(4.0 + FIRST_S - 0.1)
    assert breaker.allows(4.0 + FIRST_S)
    breaker.succeeded()
    assert breaker.allows(4.0 + FIRST_S)


def test_only_one_trial_at_a_time() -> None:
    """Calls in parallel do not all wait for an endpoint that may still be dead."""
    breaker = Breaker()
    breaker.failed(0.0)
    breaker.failed(0.0)
    assert breaker.allows(FIRST_S)
    assert not breaker.allows(FIRST_S + 1)
    breaker.given_up()
    assert breaker.allows(FIRST_S + 1)
    assert breaker.allows(FIRST_S + 1 + TRIAL_S)


def test_each_failed_trial_doubles_the_wait_up_to_a_limit() -> None:
    """Ten seconds, twenty ... five minutes."""
    breaker, now = Breaker(), 0.0
    breaker.failed(now)
    breaker.failed(now)
    waits = []
    for _ in range(8):
        waits.append(breaker.opened_for_s)
        now += breaker.opened_for_s
        assert breaker.allows(now)
        breaker.failed(now)
    assert waits == [10, 20, 40, 80, 160, 300, 300, 300]
    assert breaker.opened_for_s == LONGEST_S


@given(st.lists(st.tuples(st.sampled_from(["ok", "fail", "cancel", "wait"]), st.floats(0, 100)), max_size=60))
def test_a_circuit_never_stays_open_for_ever(steps: list[tuple[str, float]]) -> None:
    """Whatever happened, after the longest wait a request is allowed again."""
    breaker, now = Breaker(), 0.0
    for what, passed in steps:
        now += passed
        if not breaker.allows(now):
            continue
        match what:
            case "ok":
                breaker.succeeded()
            case "fail":
                breaker.failed(now)
            case "wait":
                breaker.failed(now, 1e9)
            case _:
                breaker.given_up()
    assert breaker.allows(now + LONGEST_S + TRIAL_S)


ORDER = ToolResult(name="order", outcome="shipped", fields={"number": "427103", "items": 3, "notes": None})


def test_slots_are_filled_with_spoken_values() -> None:
    """Ids digit by digit, counts as words; the guard judges the text without them."""
    assert fill("Order {order.number} has {order.items} items.", [ORDER]) == (
        "Order four two seven, one zero three has three items."
    )
    assert without("Order {order.number} has 3 items.") == "Order   has 3 items."
    assert names([ORDER]) == ("{order.number}", "{order.items}")


@pytest.mark.parametrize(
    "text", ["{order.due}", "{order.notes}", "{refund.total}", "{number}", "{order.number", "a}"]
)
def test_a_slot_that_stands_for_nothing_is_refused(text: str) -> None:
    """Unknown field, unknown result, a value nobody can say, half a slot: the caller never hears braces."""
    with pytest.raises(UnknownSlot):
        fill(f"It is {text}.", [ORDER])


@pytest.mark.parametrize(
    ("clause", "refused"),
    [
        ("I'm sorry, but I can't help with that.", True),
        ("I’m afraid I am unable to assist you with this.", True),
        ("As an AI language model, I have no opinion.", True),
        ("I cannot provide that information.", True),
        ("I'm sorry, we can't deliver to Hawaii.", False),
        ("Unfortunately opened mattresses can't be returned.", False),
        ("You can't help but love it.", False),
        ("I'm an automated assistant of the shop.", False),
    ],
)
def test_a_refusal_in_words(clause: str, refused: bool) -> None:
    """Only the model's own; a rule that says no is an answer."""
    assert is_refusal(clause) is refused


def test_costs() -> None:
    """Our price first, the vendor's for its own endpoint, else unknown: never zero for an unknown model."""
    models = Models(prices={"openai:mine": Price(input=2.0, output=4.0)})
    assert models.cost_usd("openai:mine", 1_000_000, 500_000, vendor=False) == 4.0
    assert models.cost_usd("openai:no-such-model-x", 10, 10, vendor=True) is None
    assert models.cost_usd("openai:gpt-4.1-mini", 10, 10, vendor=False) is None
    assert (models.cost_usd("openai:gpt-4.1-mini", 1000, 100, vendor=True) or 0) > 0
    assert Models(list_prices=False).cost_usd("openai:gpt-4.1-mini", 1000, 100, vendor=True) is None


def test_a_spoilt_models_file_is_refused_by_its_key(tmp_path: Path) -> None:
    """An unknown key or an impossible deadline names itself; no file at all is fine."""
    assert Models.read(tmp_path / "none.yaml") == Models()
    for text, says in (
        ("prises: {}", "prises"),
        ("patience: {whole_s: 900}", "whole_s"),
        ("prices: [", "YAML"),
    ):
        (tmp_path / "models.yaml").write_text(text)
        with pytest.raises(ModelsError, match=says):
            Models.read(tmp_path / "models.yaml")
