"""What the allocator keeps is given back when nobody calls, once, and never beside a call."""

from __future__ import annotations

import pytest

from voicebot.runtime.heap import QUIET, Idle


@pytest.mark.parametrize(
    ("calls", "given_back"),
    [
        pytest.param([0] * (QUIET - 1), 0, id="not yet quiet"),
        pytest.param([0] * 100, 1, id="once after the start"),
        pytest.param([1] * 100, 0, id="never beside a call"),
        pytest.param(([0] * (QUIET - 1) + [1]) * 9, 0, id="calls come again and again"),
        pytest.param([0] * 50 + [3] * 9 + [0] * 50, 2, id="and once after calls"),
    ],
)
def test_only_quiet_after_calls_gives_back(calls: list[int], given_back: int) -> None:
    idle = Idle()
    assert sum(idle.look(n) for n in calls) == given_back
