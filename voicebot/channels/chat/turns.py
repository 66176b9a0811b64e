"""One turn of a chat: planned, committed, its words sent, and what was sent written down."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import structlog

from voicebot.channels.chat import idle
from voicebot.channels.chat.errors import ChatUnavailable
from voicebot.channels.chat.reply import (
    ChatDecision,
    ChatEvent,
    ClauseWritten,
    DecisionMade,
    TurnStarted,
)
from voicebot.channels.chat.telling import ChatTurn
from voicebot.channels.phone.waterfall import Waterfall
from voicebot.core import metrics
from voicebot.core.conversation import Action, Heard, TurnInput, TurnTimings, Utterance
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database, DatabaseDown
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.orchestrator import Committed, Orchestrator, StalePlan
from voicebot.dialogue.phrases import Phrases

log = structlog.get_logger(__name__)

TRIES = 5
"""A plan loses its turn only to a message that reached another node at the same moment."""


_UNTIMED = TurnTimings()


class Turns:
    """Runs turns; one per node.

    Args:
        orchestrator: plans and commits.
        database: ours.
        keys: opens and seals what people write.
        phrases: the lines as a chat puts them.
        poke: called after a commit that put events into the outbox.
        waits: called with the conversation as soon as a turn stands that waits for a colleague.
    """

    def __init__(
        self,
        orchestrator: Orchestrator,
        database: Database,
        keys: KeyRing,
        phrases: Phrases,
        poke: Callable[[], None],
        waits: Callable[[str], None],
    ) -> None:
        self._orchestrator = orchestrator
        self._database = database
        self._keys = keys
        self._phrases = phrases
        self._poke = poke
        self._waits = waits
        self._conversations = Conversations(keys)
        self._unwritten: dict[str, dict[int, tuple[Heard, TurnTimings]]] = {}
        self._keeping: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Waits until what was sent is written down."""
        if self._keeping:
            await asyncio.wait(self._keeping, timeout=5.0)

    async def run(
        self, conversation_id: str, given: TurnInput, *, quiet: bool = False
    ) -> AsyncGenerator[ChatEvent | ChatTurn]:
        """One turn's events, the turn itself last. ``quiet``: its decision is not told.

        Closing it stops the writing; what was sent until then is what the customer has read.
        """
        began_s = time.monotonic()
        moments = Waterfall(lambda: round((time.monotonic() - began_s) * 1000), turn_ended_ms=0)
        committed = await self.commit(conversation_id, given, moments)
        if committed.silent and not isinstance(given, Utterance):  # who writes always gets an answer
            return
        at, turn = conversation_id, committed.turn
        sent: list[str] = []
        complete = False
        try:
            yield TurnStarted(conversation_id=at, turn=turn)
            if not quiet:
                yield DecisionMade(
                    conversation_id=at, turn=turn, decision=ChatDecision.of(committed.decision)
                )
            async with aclosing(self._words(committed)) as clauses:
                async for text in clauses:
                    moments.note("first_clause_ms")
                    sent.append(text)
                    yield ClauseWritten(conversation_id=at, turn=turn, text=text)
            complete = True
            moments.note("finished_ms")
        finally:
            heard = Heard(text=" ".join(sent), complete=complete)
            over = committed.after == "hang_up"
            writing = asyncio.create_task(self.sent(conversation_id, turn, heard, over, moments.timings()))
            self._keeping.add(writing)
            writing.add_done_callback(self._keeping.discard)
            await asyncio.shield(writing)  # a customer who leaves takes nothing with him
        yield ChatTurn(turn, committed.decision, " ".join(sent), committed.handoff)

    async def commit(
        self, conversation_id: str, given: TurnInput, moments: Waterfall | None = None
    ) -> Committed:
        """Makes a turn true; its words are not sent yet. ``moments``: what is timed is noted there.

        Raises:
            ChatUnavailable: other messages came first, again and again.
            DatabaseDown: nothing is certain.
        """
        for attempt in range(TRIES):
            plan = await self._orchestrator.plan(conversation_id, given)
            if moments is not None:
                moments.note("planned_ms")
            try:
                try:
                    committed = await self._orchestrator.commit(plan)
                except DatabaseDown:
                    committed = await self._orchestrator.commit(plan)  # it may have happened: twice is once
            except StalePlan:
                metrics.stale_plans.inc()
                if attempt == TRIES - 1:
                    raise ChatUnavailable("another message came in between: send it again") from None
                continue
            except BaseException:
                await self._orchestrator.discard(plan)
                raise
            if moments is not None:
                moments.note("committed_ms")
            metrics.turns.labels(given.kind, committed.decision.action).inc()
            if committed.decision.action is Action.DRAFT:  # also for a customer who has left by now
                self._waits(conversation_id)
            return committed
        raise AssertionError("unreachable")

    async def sent(
        self,
        conversation_id: str,
        turn: int,
        heard: Heard,
        over: bool,
        timings: TurnTimings = _UNTIMED,
    ) -> None:
        """Writes what was sent; a goodbye ends the chat. No fault takes back words that were sent."""
        try:
            await self._orchestrator.heard(conversation_id, turn, heard, timings)
        except DatabaseDown:
            log.error("turn.heard_not_stored", conversation=conversation_id, turn=turn)
            self._unwritten.setdefault(conversation_id, {})[turn] = (heard, timings)
            return  # and a goodbye that cannot be written ends as idle
        if over:
            try:
                async with self._database.transaction() as tx:
                    snapshot = await self._conversations.load(tx, conversation_id, lock=True)
                    await idle.end(tx, self._keys, self._conversations, snapshot, "goodbye")
            except DatabaseDown:
                log.error("chat.end_not_stored", conversation=conversation_id)
        self._poke()

    async def write_late(self, conversation_id: str) -> None:
        """Writes down what was sent while the database was away.

        Raises:
            DatabaseDown: it still is.
        """
        late = self._unwritten.get(conversation_id, {})
        for turn, (heard, timings) in list(late.items()):
            await self._orchestrator.heard(conversation_id, turn, heard, timings)
            del late[turn]
        self._unwritten.pop(conversation_id, None)

    async def _words(self, committed: Committed) -> AsyncGenerator[str]:
        """The clauses; one line at least."""
        said = False
        async with aclosing(self._orchestrator.words(committed)) as clauses:  # pyright: ignore[reportArgumentType]  # an async generator
            async for clause in clauses:
                said = True
                yield clause.text
        if not said:
            yield self._phrases.fallback().text
