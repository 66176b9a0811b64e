"""Puts a language model's summary in place of the composed one, if it comes in time. Holds nothing up.

The handoff is committed, told and rung for with the composed summary; this runs behind it, on the node that
wrote it. If that node dies, the composed one stays.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from voicebot.core import metrics
from voicebot.core.bus import Bus
from voicebot.core.clock import Clock, monotonic
from voicebot.core.conversation import Event
from voicebot.core.store import audit, handoffs
from voicebot.core.store.database import Database, DatabaseDown
from voicebot.core.store.handoffs import UnknownHandoff
from voicebot.core.store.keys import KeyRing, SubjectErased
from voicebot.dialogue.generation.breaker import Breaker
from voicebot.dialogue.generation.request import ENDPOINT_FAILURES
from voicebot.dialogue.prompts import Composed
from voicebot.handoff import payload as payloads
from voicebot.handoff.claims import tell
from voicebot.handoff.payload import UnknownPayload
from voicebot.handoff.summary import Llm, summarise

log = structlog.get_logger(__name__)

AT_ONCE = 4
"""Summaries under way on one node: a rush of handoffs waits for its own, never for the model's others."""
_ENDPOINT = frozenset({"late", *(failure.value for failure in ENDPOINT_FAILURES)})


class Summaries:
    """Watches for handoffs of this node. One per node.

    Args:
        database: ours.
        keys: opens and seals payloads.
        bus: tells of handoffs once they are committed.
        llm: the deployment's language model.
        prompt: how a summary is asked for.
        within_s: seconds for one.
        clock: seconds.
    """

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        bus: Bus,
        llm: Llm,
        prompt: Composed,
        *,
        within_s: float,
        clock: Clock = monotonic,
    ) -> None:
        self._database = database
        self._keys = keys
        self._bus = bus
        self._llm = llm
        self._prompt = prompt
        self._within_s = within_s
        self._clock = clock
        self._breaker = Breaker()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Watches until cancelled."""
        news = self._bus.subscribe()
        try:
            async for event in news:
                if event.type == "handoff.requested":
                    task = asyncio.create_task(self._one(event))
                    self._under_way.add(task)
                    task.add_done_callback(self._under_way.discard)
        finally:
            news.close()
            for task in tuple(self._under_way):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _one(self, event: Event) -> None:
        handoff_id = str(event.data.get("handoff"))
        try:
            async with self._room:
                await self.write(handoff_id)
        except (UnknownHandoff, UnknownPayload, SubjectErased, DatabaseDown) as error:
            log.warning("handoff.not_summarised", handoff=handoff_id, reason=type(error).__name__)

    async def write(self, handoff_id: str) -> str:
        """The summary of one handoff.

        Returns:
            What came of it: ``model``, ``done`` (nobody needs it any more), ``left_alone``, or why the
            composed one stays.

        Raises:
            UnknownHandoff, UnknownPayload, SubjectErased: there is nothing to read.
            DatabaseDown: Postgres does not answer.
        """
        if not self._breaker.allows(self._clock()):
            return "left_alone"
        began_s = self._clock()
        async with self._database.transaction() as tx:
            row = await handoffs.get(tx, self._keys, handoff_id)
            await audit.access(
                tx,
                actor=f"model:{self._llm.name}",
                resource="handoff",
                purpose="handoff.summary",
                conversation_id=row["conversation_id"],
            )
        payload = payloads.read(row["payload"], row["created_at"])
        told = await summarise(payload, self._llm, self._prompt, within_s=self._within_s)
        fell_back = told.fell_back
        if fell_back in _ENDPOINT:
            self._breaker.failed(self._clock())
        else:
            self._breaker.succeeded()
        outcome = "model" if fell_back is None else "fell_back"
        metrics.handoff_summary_s.labels(outcome).observe(self._clock() - began_s)
        if fell_back is not None:
            log.warning("handoff.summary_composed", handoff=handoff_id, reason=fell_back)
            return fell_back
        fresh = payload.model_copy(update={"summary": told.summary})
        async with self._database.transaction() as tx:
            if not await handoffs.resummarise(tx, self._keys, handoff_id, payloads.plain(fresh)):
                return "done"
            facts = {"handoff": handoff_id, "written_by": self._llm.name}
            event_id = f"ev_{handoff_id[3:]}_summarised"
            await tell(tx, self._keys, row["conversation_id"], event_id, "handoff.summarised", facts)
        return "model"
