"""A flood of refusals is summed up, and none disappears without a trace."""

from __future__ import annotations

from voicebot.channels.twilio.audit_budget import AuditBudget


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_burst_then_a_trickle() -> None:
    """Fifty at once, then ten a second."""
    clock = Clock()
    budget = AuditBudget(clock, per_s=10, burst=50)
    assert sum(budget.spend() for _ in range(500)) == 50
    clock.now_s += 2.0
    assert sum(budget.spend() for _ in range(500)) == 20
    clock.now_s += 3600
    assert sum(budget.spend() for _ in range(500)) == 50


def test_what_was_not_written_is_counted_once() -> None:
    """The number goes with the next one that is written."""
    clock = Clock()
    budget = AuditBudget(clock, per_s=1, burst=1)
    assert [budget.spend() for _ in range(4)] == [True, False, False, False]
    clock.now_s += 1
    assert budget.spend()
    assert budget.take_denied() == 3
    assert budget.take_denied() == 0
