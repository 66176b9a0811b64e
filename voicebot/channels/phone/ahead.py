"""What is made of a turn before it has ended: its plan, and the sound of its first clause."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from voicebot.channels.phone.call import PhoneCall
from voicebot.channels.phone.waterfall import Waterfall
from voicebot.core.conversation import TurnInput, Utterance
from voicebot.dialogue.orchestrator import Plan
from voicebot.dialogue.speculation import Verdict

log = structlog.get_logger(__name__)

_AT_WORK = frozenset({Verdict.START, Verdict.REPLACE, Verdict.SAME})


class Ahead:
    """One per call. Offers and voids are taken in their order; none of them is waited for.

    Nothing is offered while the turn before is not closed: what is heard of it changes the state, and a plan
    made against the old one would be stale.

    Args:
        call: the call's parts.
    """

    def __init__(self, call: PhoneCall) -> None:
        self._call = call
        self._dialogue = call.kit.dialogue
        self._id = call.conversation_id
        self._last: asyncio.Task[None] | None = None
        self._holding: asyncio.Task[None] | None = None
        self._moments: dict[str, int] = {}
        self._over = False

    def offer(self, words: Utterance, at_ms: int, *, likely: bool) -> None:
        """The caller has paused behind ``words`` (at ``at_ms``, media clock)."""
        if self._call.kit.speculation and not self._over:
            self._then(self._offer(words, at_ms, likely))

    def void(self) -> None:
        """They went on: what was made is waste."""
        self._then(self._void())

    def let_go(self) -> None:
        """The turn has no words to speak: what is held is waste."""
        self._then(self._let_go())

    async def settle(self, final: TurnInput) -> Plan:
        """The plan of the turn that has ended: the early one if the words agree, else a new one.

        Raises:
            UnknownConversation, UnknownState, DatabaseDown: as ``Orchestrator.settle``.
        """
        if self._last is not None:
            await asyncio.wait({self._last})
        return await self._dialogue.settle(self._id, final)

    def note(self, plan: Plan, waterfall: Waterfall) -> None:
        """The plan was committed: when its parts were made, if that was early."""
        waterfall.early = plan.early
        if plan.early:
            for name, at_ms in self._moments.items():
                waterfall.note(name, at_ms)

    async def close(self) -> None:
        """The call is over: nothing is left running, planned or held."""
        self._over = True
        self.void()
        assert self._last is not None
        await asyncio.wait({self._last})

    # --- in order -----------------------------------------------------------------------

    def _then(self, work: Coroutine[Any, Any, None]) -> None:
        before = self._last

        async def run() -> None:
            if before is not None:
                await asyncio.wait({before})
            try:
                await work
            except Exception as error:  # the turn itself is planned all the same
                log.error("ahead.failed", conversation=self._id, error=type(error).__name__)

        self._last = asyncio.ensure_future(run())

    async def _offer(self, words: Utterance, at_ms: int, likely: bool) -> None:
        if self._over or not self._call.turn_closed.is_set():
            return
        verdict = await self._dialogue.offer(self._id, words, likely=likely)
        if verdict not in _AT_WORK:
            return
        if verdict is not Verdict.SAME:
            self._moments = {"eager_ms": at_ms}
        await self._stop_holding()
        self._holding = asyncio.ensure_future(self._hold(words.text))

    async def _void(self) -> None:
        await self._stop_holding()
        self._moments = {}
        await self._dialogue.withdraw(self._id)
        await self._call.speaker.let_go()

    async def _let_go(self) -> None:
        await self._stop_holding()
        await self._call.speaker.let_go()

    async def _hold(self, text: str) -> None:
        clause = await self._dialogue.first_clause(self._id, lambda plan: self._planned(text, plan))
        if clause is not None:
            await self._call.speaker.hold(clause, lambda: self._note("held_ms"))

    async def _stop_holding(self) -> None:
        holding, self._holding = self._holding, None
        if holding is None:
            return
        holding.cancel()
        await asyncio.wait({holding})
        error = None if holding.cancelled() else holding.exception()
        if error is not None:
            log.error("ahead.failed", conversation=self._id, error=type(error).__name__)

    def _planned(self, text: str, plan: Plan) -> None:
        self._note("eager_planned_ms")
        self._call.listener.understood(text, plan.understood)

    def _note(self, moment: str) -> None:
        self._moments.setdefault(moment, self._call.now_ms())
