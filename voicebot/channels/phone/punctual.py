"""No dead air: what the caller hears while the bot works and says nothing, and when we stop waiting.

``Patience`` decides, from when the line falls silent; it is pure. ``punctual`` applies it between the clauses
of an answer, ``waiting`` before its first, and the speaker while a clause is being made.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from voicebot.core.clock import Clock, monotonic
from voicebot.core.conversation import Clause

FILLER_S = 1.5
"""After so much silence the caller hears that we are at it."""

AGAIN_S = 2.2
"""After so much silence behind a filler they hear it again, in other words."""

FALLBACK_S = 4.0
"""So long after the line fell silent we stop waiting and say so."""

AT_LEAST_S = 1.5
"""A plan has so long, however late the words came; and its first clause, however late the plan."""

APART_S = 1.0
"""A filler this short before the fallback is left out."""

SILENT_S = 2.8
"""The longest silence, the end of the caller's own turn included: below 3 s by what it takes to begin."""

SOON_S = 0.4
"""But so long after the end of their turn an answer may still come first."""


@dataclass(frozen=True)
class Due:
    """What is due when: ``in_s`` 0 is now."""

    what: Literal["filler", "fallback"]
    in_s: float


class Patience:
    """The caller waits for the bot: from the end of their turn, or between two clauses. Pure.

    Times are seconds of one clock. ``sounds_until`` is when the line falls silent, or fell: the end of the
    audio that is on its way to the caller's ear.
    """

    def __init__(self, now: float, *, silent_s: float = 0.0) -> None:
        """The bot's turn begins; the caller has been silent for ``silent_s``."""
        self._began = now
        self._silent_s = silent_s
        self._fillers = 0
        self._quiet_from = now

    @property
    def fillers(self) -> int:
        """How many were handed out in this wait."""
        return self._fillers

    def content(self, now: float) -> None:
        """A piece of the answer came: what is waited for now is the next."""
        self._began, self._silent_s, self._fillers = now, 0.0, 0
        self._quiet_from = now

    def at_least(self, left_s: float, now: float) -> None:
        """However long it took so far, it is not given up within ``left_s``."""
        self._quiet_from = max(self._quiet_from, now + left_s - FALLBACK_S)

    def filled(self, sounds_until: float) -> None:
        """A filler was handed out; what was heard before it ended at ``sounds_until``."""
        if self._fillers == 0:
            self._quiet_from = max(self._began, sounds_until)
        self._fillers += 1

    def next(self, sounds_until: float, now: float, *, gives_up: bool = True) -> Due:
        """What is due next, as things stand; ask again when that time has come.

        ``gives_up``: there is an end to it; else fillers only.
        """
        if self._fillers == 0:
            quiet_from = max(self._began, sounds_until)
            at = quiet_from + FILLER_S
            if sounds_until <= self._began:  # nothing sounded since the caller's last word
                at = max(self._began + SOON_S, min(at, self._began - self._silent_s + SILENT_S))
            return Due("filler", max(0.0, at - now))
        at = max(self._quiet_from, sounds_until) + AGAIN_S
        end = max(self._quiet_from + FALLBACK_S, sounds_until)
        if gives_up and end <= at + APART_S:
            return Due("fallback", max(0.0, end - now))
        return Due("filler", max(0.0, at - now))

    def left_s(self, now: float) -> float:
        """Seconds until a plan that is not there yet is given up."""
        return self._began + FALLBACK_S - now


async def punctual(
    clauses: AsyncIterator[Clause],
    *,
    filler: Callable[[], Clause],
    fallback: Clause,
    patience: Patience | None = None,
    sounds_until: Callable[[], float] = lambda: float("-inf"),
    may_speak: Callable[[], bool] = lambda: True,
    clock: Clock = monotonic,
) -> AsyncIterator[Clause]:
    """Passes ``clauses`` on, and keeps the line from falling silent before the first and between them.

    Args:
        clauses: the answer; closed in every case.
        filler: gives the next filler.
        fallback: ends the answer when the next clause does not come.
        patience: of the wait that is under way; else it begins now.
        sounds_until: when what was passed on will have been heard.
        may_speak: whether a filler may be said: not over a caller who has begun to speak.
        clock: seconds.
    """
    patience = patience or Patience(clock())
    patience.at_least(AT_LEAST_S, clock())
    source = aiter(clauses)
    pending: asyncio.Future[Clause] | None = None
    try:
        while True:
            pending = asyncio.ensure_future(anext(source))  # type: ignore[arg-type]
            async with aclosing(_meanwhile(pending, patience, sounds_until, clock)) as waits:
                async for due in waits:
                    if due.what == "fallback":
                        yield fallback
                        return
                    patience.filled(sounds_until())
                    if may_speak():
                        yield filler()
            try:
                clause = pending.result()
            except StopAsyncIteration:
                return
            yield clause  # asked for the next one, the speaker has made this one's sound
            patience.content(clock())
    finally:
        if pending is not None and not pending.done():
            pending.cancel()
            await asyncio.wait({pending})
        closer = getattr(clauses, "aclose", None)
        if closer is not None:
            await closer()


async def _meanwhile(
    work: asyncio.Future[Clause], patience: Patience, sounds_until: Callable[[], float], clock: Clock
) -> AsyncGenerator[Due]:
    """What falls due until ``work`` is done."""
    while True:
        due = patience.next(sounds_until(), clock())
        if due.in_s > 0:
            done, _ = await asyncio.wait({work}, timeout=due.in_s)
            if done:
                return
            due = patience.next(sounds_until(), clock())  # more may have been sounding than was known
            if due.in_s > 0:
                continue
        yield due
