"""Early plans under way on this node: offered, kept or dropped, and counted. One event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from voicebot.core import metrics
from voicebot.core.conversation import Clause, TurnInput, Utterance
from voicebot.core.store.conversations import UnknownConversation
from voicebot.core.store.database import DatabaseDown
from voicebot.dialogue.flow.reads import NotNow
from voicebot.dialogue.generation.utterance import UtteranceStream
from voicebot.dialogue.plan import Plan
from voicebot.dialogue.speculation import ALIVE, Fate, Gist, Verdict, gist, weigh
from voicebot.dialogue.state import UnknownState

log = structlog.get_logger(__name__)

MakePlan = Callable[[str, TurnInput, bool], Awaitable[Plan]]
"""(conversation, input, whether the end of the turn is likely) -> a plan made with what that allows."""


@dataclass
class _Eager:
    gist: Gist
    likely: bool
    allowed: bool  # to read what waits for a likely end
    began_s: float
    work: asyncio.Task[Plan] = field(init=False)
    ended_s: float | None = None

    def done(self, _: object) -> None:
        """The plan stands, or never will."""
        self.ended_s = time.monotonic()

    @property
    def stream(self) -> UtteranceStream | None:
        """Its words; None while there are none, and for a turn that acts: those come after the act."""
        work = self.work
        made = work.done() and not work.cancelled() and work.exception() is None
        return work.result().stream if made else None


class EagerPlans:
    """The early plans of a node: at most one a conversation, at most ``limit`` in all.

    Args:
        make: plans early; raises `NotNow` when a read has to wait.
        drop: throws a plan away.
        wants: the intents that the monitor reads.
        busy: the node has no time to give away.
        sparing: it has little: what is planned has to be the end of the turn, probably.
        limit: most plans under way.
    """

    def __init__(
        self,
        make: MakePlan,
        drop: Callable[[Plan], Awaitable[None]],
        wants: Callable[[Utterance], tuple[str, ...]],
        *,
        busy: Callable[[], bool] = lambda: False,
        sparing: Callable[[], bool] = lambda: False,
        limit: int = ALIVE,
    ) -> None:
        self._make = make
        self._drop = drop
        self._wants = wants
        self._busy = busy
        self._sparing = sparing
        self._limit = limit
        self._at_hand: dict[str, _Eager] = {}
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def alive(self) -> int:
        """How many early plans are under way or wait to be taken."""
        return len(self._at_hand)

    async def offer(self, conversation_id: str, given: TurnInput, *, likely: bool) -> Verdict:
        """Begins to plan the words so far, unless they are being planned, or there is no room."""
        offered = gist(given, self._wants)
        one = self._at_hand.get(conversation_id)
        at_hand = None if one is None or (likely and not one.allowed and _refused(one)) else one.gist
        busy = self._busy() or (self._sparing() and not likely)
        verdict = weigh(offered, at_hand, alive=self.alive, busy=busy, limit=self._limit)
        metrics.eager_offers.labels(verdict.value).inc()
        if verdict is Verdict.SAME and one is not None:
            one.likely = one.likely or likely
        if verdict not in {Verdict.START, Verdict.REPLACE}:
            return verdict
        if one is not None:
            await self.drop(conversation_id, Fate.OTHER_WORDS)
            if conversation_id in self._at_hand:  # newer words were offered meanwhile
                return verdict
        assert offered is not None
        self._at_hand[conversation_id] = one = _Eager(offered, likely, likely, time.monotonic())
        one.work = asyncio.ensure_future(self._plan(conversation_id, given, one))
        one.work.add_done_callback(one.done)
        metrics.eager_alive.set(self.alive)
        return verdict

    async def _plan(self, conversation_id: str, given: TurnInput, one: _Eager) -> Plan:
        try:
            return await self._make(conversation_id, given, one.allowed)
        except NotNow:
            if one.allowed or not one.likely:
                raise
        one.allowed = True  # the end became likely while it was planned
        return await self._make(conversation_id, given, True)

    async def first_clause(
        self, conversation_id: str, on_planned: Callable[[Plan], None] = lambda _: None
    ) -> Clause | None:
        """What the early plan at hand would say first, once that stands. It stays with the plan.

        None: there is no plan (any more), it has no words before its act, or they cost too much to be written
        while the end of the turn is not likely.
        """
        one = self._at_hand.get(conversation_id)
        if one is None:
            return None
        await asyncio.wait({one.work})
        stream = one.stream
        if self._at_hand.get(conversation_id) is not one:
            return None
        if one.work.cancelled() or one.work.exception() is not None:
            return None
        on_planned(one.work.result())
        if stream is None:
            return None
        if one.likely:
            stream.start()
        clause = await stream.first(paid=one.likely)
        return clause if self._at_hand.get(conversation_id) is one else None

    async def settle(self, conversation_id: str, given: TurnInput) -> Plan | None:
        """The early plan, if the final words agree with those it was made from; else it is dropped.

        A caller of this that is cancelled leaves the early plan dropped.
        """
        one = self._at_hand.get(conversation_id)
        if one is None:
            return None
        if gist(given, self._wants) != one.gist:
            await self.drop(conversation_id, Fate.OTHER_WORDS)
            return None
        try:
            await asyncio.wait({one.work})
        except asyncio.CancelledError:
            await self.drop(conversation_id, Fate.FAILED)
            raise
        if self._at_hand.get(conversation_id) is not one:  # dropped while it was waited for
            return None
        if one.work.cancelled() or one.work.exception() is not None:
            await self.drop(conversation_id, Fate.FAILED)
            return None
        del self._at_hand[conversation_id]
        self._count(one, Fate.KEPT)
        return one.work.result().of(given)

    async def drop(self, conversation_id: str, fate: Fate) -> None:
        """Throws the early plan of a conversation away, if there is one."""
        one = self._at_hand.pop(conversation_id, None)
        if one is None:
            return
        one.work.cancel()
        ending = asyncio.ensure_future(self._end(conversation_id, one, fate))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        await asyncio.shield(ending)  # whoever drops it may be cancelled: it is thrown away all the same

    async def close(self) -> None:
        """Drops them all."""
        for conversation_id in list(self._at_hand):
            await self.drop(conversation_id, Fate.STALE)
        if self._ending:
            await asyncio.wait(self._ending)

    async def _end(self, conversation_id: str, one: _Eager, fate: Fate) -> None:
        await asyncio.wait({one.work})
        failure = None if one.work.cancelled() else one.work.exception()
        if failure is None and not one.work.cancelled():
            await self._drop(one.work.result())
            _count_cost(one.stream)
        if isinstance(failure, NotNow):
            fate = Fate.REFUSED
        elif failure is not None:
            fate = Fate.FAILED
            if not isinstance(failure, DatabaseDown | UnknownConversation | UnknownState):
                log.error("eager_plan.failed", conversation=conversation_id, error=type(failure).__name__)
        self._count(one, fate)

    def _count(self, one: _Eager, fate: Fate) -> None:
        metrics.eager_plans.labels(fate.value).inc()
        metrics.eager_alive.set(self.alive)
        if fate is not Fate.KEPT:
            metrics.eager_wasted_s.inc((one.ended_s or time.monotonic()) - one.began_s)


def _count_cost(stream: UtteranceStream | None) -> None:
    """What models were paid for words that nobody will hear."""
    for report in () if stream is None else stream.reports:
        metrics.eager_wasted_tokens.inc(report.tokens_in + report.tokens_out)
        metrics.eager_wasted_usd.inc(report.cost_usd or 0.0)


def _refused(one: _Eager) -> bool:
    """It came to a read that waits: the same words are worth another try once more is allowed."""
    return one.work.done() and not one.work.cancelled() and isinstance(one.work.exception(), NotNow)
