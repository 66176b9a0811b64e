"""A caller never waits in silence: a slow answer gets a filler by its time, a late one the fallback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

from tests.virtual_time import virtual
from voicebot.channels.phone.punctual import (
    AGAIN_S,
    FALLBACK_S,
    FILLER_S,
    SILENT_S,
    SOON_S,
    Patience,
    punctual,
)
from voicebot.core.conversation import Clause

FILLERS = ("One moment.", "Still at it.")
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


class Mouth:
    """Speaks each clause for ``long_s`` as soon as it comes, without waiting for its end."""

    def __init__(self, long_s: float = 0.0) -> None:
        self._loop = asyncio.get_running_loop()
        self.began = self._loop.time()
        self._long_s = long_s
        self.until = float("-inf")
        self.heard: list[tuple[str, float]] = []
        self.silent = False

    def clock(self) -> float:
        return self._loop.time()

    def sounds_until(self) -> float:
        return self.until

    async def says(self, source: Slow, patience: Patience | None = None) -> list[tuple[str, float]]:
        """What comes out, with the seconds since the start at which it is passed on."""
        fillers = iter(FILLERS * 4)
        out = punctual(
            source.clauses(),
            filler=lambda: Clause(text=next(fillers)),
            fallback=FALLBACK,
            patience=patience,
            sounds_until=self.sounds_until,
            may_speak=lambda: not self.silent,
            clock=self.clock,
        )
        async for clause in out:
            self.heard.append((clause.text, round(self.clock() - self.began, 2)))
            self.until = max(self.until, self.clock()) + self._long_s
        return self.heard


@virtual
async def test_a_quick_answer_passes_unchanged():
    assert await Mouth().says(Slow(0.2, 0.2)) == [("clause 0", 0.2), ("clause 1", 0.4)]


@virtual
async def test_a_slow_first_clause_gets_one_filler_and_then_itself():
    assert await Mouth().says(Slow(2.0, 0.1)) == [
        (FILLERS[0], FILLER_S),
        ("clause 0", 2.0),
        ("clause 1", 2.1),
    ]


@virtual
async def test_a_late_answer_ends_with_the_fallback_and_its_source_is_closed():
    source = Slow(60.0)
    heard = await Mouth().says(source)
    assert heard == [(FILLERS[0], FILLER_S), (FALLBACK.text, FALLBACK_S)]
    assert source.closed


@virtual
async def test_a_stall_counts_from_the_end_of_what_is_heard():
    """Two seconds of sound are on their way when the model stalls: nobody is bothered before they end."""
    source = Slow(0.1, 60.0)
    heard = await Mouth(2.0).says(source)
    assert heard == [("clause 0", 0.1), (FILLERS[0], 2.1 + FILLER_S), (FALLBACK.text, 2.1 + FALLBACK_S)]
    assert source.closed


@virtual
async def test_a_stall_that_ends_while_words_are_still_heard_is_not_noticed():
    assert await Mouth(5.0).says(Slow(0.1, 4.0)) == [("clause 0", 0.1), ("clause 1", 4.1)]


@virtual
async def test_every_stall_of_an_answer_has_its_own_filler():
    heard = await Mouth(0.5).says(Slow(2.0, 2.5, 2.5))
    assert [text for text, _ in heard] == [
        FILLERS[0], "clause 0", FILLERS[1], "clause 1", FILLERS[0], "clause 2",
    ]  # fmt: skip


@virtual
async def test_nothing_is_said_over_a_caller_who_has_begun_to_speak():
    mouth = Mouth()
    mouth.silent = True
    assert await mouth.says(Slow(2.0)) == [("clause 0", 2.0)]


@virtual
async def test_a_wait_that_began_before_the_answer_goes_on_in_it():
    """A second went into the plan: the filler comes half a second after the words were asked for."""
    mouth = Mouth()
    heard = await mouth.says(Slow(2.0), Patience(mouth.clock() - 1.0))
    assert heard == [(FILLERS[0], FILLER_S - 1.0), ("clause 0", 2.0)]


@virtual
async def test_an_answer_that_is_cut_closes_its_source():
    source = Slow(0.1, 0.1, 0.1)
    out = punctual(source.clauses(), filler=lambda: Clause(text="x"), fallback=FALLBACK)
    await anext(out)
    await out.aclose()  # type: ignore[attr-defined]
    assert source.closed


def test_a_turn_that_ended_after_a_long_silence_gets_its_filler_sooner():
    """Who paused for 2.3 s in a number has waited that long already when it is our turn."""
    assert Patience(10.0).next(0.0, 10.0).in_s == FILLER_S
    assert abs(Patience(10.0, silent_s=2.3).next(0.0, 10.0).in_s - (SILENT_S - 2.3)) < 1e-9
    assert abs(Patience(10.0, silent_s=2.7).next(0.0, 10.0).in_s - SOON_S) < 1e-9


def test_who_waits_for_what_was_promised_hears_fillers_without_an_end():
    patience = Patience(0.0)
    said = []
    now = until = 0.0
    for _ in range(6):
        due = patience.next(until, now, gives_up=False)
        assert due.what == "filler"
        now += due.in_s
        patience.filled(until)
        until = now + 1.0
        said.append(now)
    assert all(round(later - earlier - 1.0, 6) <= AGAIN_S for earlier, later in pairwise(said))
