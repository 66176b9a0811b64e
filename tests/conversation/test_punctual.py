"""A caller never waits in silence: a slow answer gets a filler by its time, a late one the fallback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from tests.virtual_time import virtual
from voicebot.channels.phone.punctual import FALLBACK_S, FILLER_S, punctual
from voicebot.core.conversation import Clause

FILLER = Clause(text="One moment.", fixed=True)
FALLBACK = Clause(text="I could not find that out in time.", fixed=True)


class Slow:
    """Clauses that come after the given waits, in seconds; knows whether it was closed."""

    def __init__(self, *waits_s: float) -> None:
        self._waits_s = waits_s
        self.closed = False

    async def clauses(self) -> AsyncIterator[Clause]:
        try:
            for n, wait_s in enumerate(self._waits_s):
                await asyncio.sleep(wait_s)
                yield Clause(text=f"clause {n}")
        finally:
            self.closed = True


async def heard(source: Slow) -> list[tuple[str, float]]:
    """What comes out, with the seconds since the start."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    out = punctual(source.clauses(), filler=FILLER, fallback=FALLBACK)
    return [(clause.text, round(loop.time() - began, 2)) async for clause in out]


@virtual
async def test_a_quick_answer_passes_unchanged():
    assert await heard(Slow(0.2, 0.2)) == [("clause 0", 0.2), ("clause 1", 0.4)]


@virtual
async def test_a_slow_first_clause_gets_one_filler_and_then_itself():
    assert await heard(Slow(2.0, 0.1)) == [(FILLER.text, FILLER_S), ("clause 0", 2.0), ("clause 1", 2.1)]


@virtual
async def test_a_late_answer_ends_with_the_fallback_and_its_source_is_closed():
    source = Slow(60.0)
    assert await heard(source) == [(FILLER.text, FILLER_S), (FALLBACK.text, FALLBACK_S)]
    assert source.closed


@virtual
async def test_a_stall_in_the_middle_does_not_leave_the_caller_waiting():
    source = Slow(0.1, 60.0)
    assert await heard(source) == [("clause 0", 0.1), (FALLBACK.text, round(0.1 + FALLBACK_S, 2))]
    assert source.closed


@virtual
async def test_an_answer_that_is_cut_closes_its_source():
    source = Slow(0.1, 0.1, 0.1)
    out = punctual(source.clauses(), filler=FILLER, fallback=FALLBACK)
    await anext(out)
    await out.aclose()  # type: ignore[attr-defined]
    assert source.closed
