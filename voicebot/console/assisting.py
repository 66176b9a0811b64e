"""Keeps what is suggested in a conversation up to date, on whichever node is asked. Any number of readers.

A node reads finished lines from the store, whether it holds the call or not, so a board is the same
everywhere. It works only for conversations that somebody looks at: readers of one share its work, and for one
conversation the articles are searched at most once in `EVERY_S`.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import structlog

from voicebot.core import metrics
from voicebot.core.bus import Bus, Subscription
from voicebot.core.clock import Clock, monotonic
from voicebot.core.conversation import Event, Route, Utterance
from voicebot.core.store import assist, audit, handoffs, outbox
from voicebot.core.store.assist import Mark, Offer
from voicebot.core.store.database import Database, DatabaseDown, Transaction
from voicebot.core.store.handoffs import HELD
from voicebot.core.store.keys import KeyRing
from voicebot.core.transcript import ENDINGS
from voicebot.dialogue.generation.speech_guard import SpeechGuard
from voicebot.dialogue.generation.writers import Writers
from voicebot.dialogue.generation.writing import Writing
from voicebot.dialogue.knowledge.embedding import EmbeddingMismatch
from voicebot.dialogue.knowledge.passage import Retrieval
from voicebot.dialogue.knowledge.retriever import COMPARED, Retriever
from voicebot.dialogue.monitor.monitor import Monitor
from voicebot.handoff import payload as payloads
from voicebot.handoff.assist.articles import key_of
from voicebot.handoff.assist.board import Rules, Talk, asked, board, latest_answer
from voicebot.handoff.assist.lines import LOOKED_AT, Line, Read, line_of
from voicebot.handoff.assist.replies import Answered, request_for
from voicebot.handoff.assist.suggestion import Board, Suggestion
from voicebot.handoff.assist.topics import Ask
from voicebot.handoff.patterns import Facts
from voicebot.handoff.payload import UnknownPayload
from voicebot.safety.guard_in import InputGuard

log = structlog.get_logger(__name__)

EVERY_S = 1.0
"""The articles are searched for one conversation at most this often; on a node with much to do, `BUSY_S`."""
BUSY_S = 5.0
GATHER_S = 0.1
"""Lines of one moment are looked at together."""
LOOK_S = 5.0
"""The store is looked at so often even when nobody said that there is something new."""
AT_ONCE = 2
"""Boards that a node works on at a time, and replies that a model writes at a time."""
KEPT_S = 120.0
"""What is known of a conversation is forgotten when nobody has looked at it for so long."""
_PAGE = 50
_WRITTEN = "assist.written"
"""Live, on this node only: a model has written a reply."""


@dataclass(frozen=True)
class AssistKit:
    """What a node lends. Made once.

    ``writers``: who writes replies; without a language model among them they are quoted. ``speech``: what the
    output guard knows. ``busy``: the node has no time to spare.
    """

    database: Database
    keys: KeyRing
    bus: Bus
    rules: Rules
    retriever: Retriever
    monitor: Monitor
    guard: InputGuard
    writers: Writers
    speech: Callable[[], SpeechGuard] = SpeechGuard
    busy: Callable[[], bool] = lambda: False
    clock: Clock = monotonic


@dataclass(frozen=True)
class Look:
    """A conversation as it stands. ``rows``: its handoffs. ``again_s``: look again then; None: no need."""

    board: Board
    rows: Sequence[Mapping[str, Any]]
    again_s: float | None = None
    over: bool = False

    @property
    def held(self) -> bool:
        """Whether a person speaks with the caller, or has the handoff."""
        return any(row["status"] in HELD for row in self.rows)


@dataclass
class _Session:
    """What is known of one conversation on this node."""

    id: str
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    seq: int = 0
    handed_over_at: datetime | None = None
    handoff: str | None = None
    facts: Facts = field(default_factory=lambda: Facts(trigger=""))
    lines: list[Line] = field(default_factory=list[Line])
    reads: dict[int, Read] = field(default_factory=dict[int, Read])
    found: dict[str, Retrieval] = field(default_factory=dict[str, Retrieval])
    written: dict[str, Suggestion] = field(default_factory=dict[str, Suggestion])
    asked_model: set[str] = field(default_factory=set[str])
    offered: set[str] = field(default_factory=set[str])
    marks: dict[str, Mark] = field(default_factory=dict[str, Mark])
    board: Board = field(default_factory=Board)
    last: Look | None = None
    written_anew: bool = False
    searched_s: float | None = None
    looked_s: float = 0.0
    over: bool = False


class Assisting:
    """One per node. Needs a running event loop.

    Args:
        kit: what it works with.
    """

    def __init__(self, kit: AssistKit) -> None:
        self._kit = kit
        self._sessions: dict[str, _Session] = {}
        self._room = asyncio.Semaphore(AT_ONCE)
        self._writing_room = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Ends what is being written."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def look(self, conversation_id: str) -> Look:
        """What is suggested now.

        Raises:
            LookupError: there is no such conversation.
            SubjectErased: its data was erased.
            DatabaseDown: it cannot be known now.
        """
        session = self._session(conversation_id)
        async with session.lock, self._room:
            return await self._look(session)

    async def looks(self, conversation_id: str, first: Look) -> AsyncGenerator[Look | None]:
        """How it goes on after ``first``: a look whenever something may have changed; None: nothing did.

        Ends when the conversation is over. While the database is away it waits.
        """
        look = first
        news = self._kit.bus.subscribe(conversation_id, capacity=_PAGE)
        wait_s = 0.0  # what came before there was a subscription
        try:
            while not look.over:
                if await _stored_news(news, wait_s):
                    await asyncio.sleep(GATHER_S)
                    while await _stored_news(news, 0):
                        pass
                try:
                    after = await self.look(conversation_id)
                except DatabaseDown:
                    wait_s = EVERY_S
                    yield None
                    continue
                changed = (after.board, after.rows) != (look.board, look.rows)
                look = after
                wait_s = LOOK_S if look.again_s is None else min(LOOK_S, look.again_s)
                yield look if changed else None
        finally:
            news.close()

    def _session(self, conversation_id: str) -> _Session:
        now = self._kit.clock()
        if conversation_id not in self._sessions:
            for one in list(self._sessions.values()):
                if now - one.looked_s > KEPT_S and not one.lock.locked():
                    del self._sessions[one.id]
        session = self._sessions.setdefault(conversation_id, _Session(conversation_id))
        session.looked_s = now
        return session

    async def _look(self, session: _Session) -> Look:
        kit = self._kit
        async with kit.database.transaction() as tx:
            rows = await handoffs.list(tx, conversation_id=session.id, limit=100)
            if not rows:
                await self._kit.keys.cipher_of(tx, session.id)
                return Look(Board(), ())
            anew = await self._read_handoff(tx, session, rows[-1])
            fresh = await self._read_events(tx, session)
            marks = await assist.marks(tx, session.id)
        anew = anew or fresh > 0 or marks != session.marks or session.written_anew
        session.marks, session.written_anew = marks, False
        if not anew and session.last is not None and session.last.again_s is None:
            session.last = replace(session.last, rows=rows, over=session.over)
            if session.last.held:
                await self._offer(session)
            return session.last
        await asyncio.to_thread(self._read_lines, session)
        talk = self._talk(session)
        wanted = await asyncio.to_thread(asked, talk, kit.rules)
        again_s = await self._search(session, wanted)
        began_s = kit.clock()
        session.board = await asyncio.to_thread(board, talk, kit.rules, session.found, session.written)
        metrics.assist_board_s.observe(kit.clock() - began_s)
        look = session.last = Look(session.board, rows, again_s, over=session.over and not fresh)
        if look.held:
            await self._offer(session)
            await self._have_written(session, talk)
        return look

    async def _read_handoff(self, tx: Transaction, session: _Session, row: Mapping[str, Any]) -> bool:
        """What was handed over, once for each handoff; the newest counts. Whether it is another one."""
        if session.handoff == row["id"]:
            return False
        session.handed_over_at = session.handed_over_at or row["created_at"]
        try:
            stored = (await handoffs.get(tx, self._kit.keys, row["id"]))["payload"]
            payload = payloads.read(stored, row["created_at"])
        except UnknownPayload:
            session.facts = Facts(trigger=row["trigger"], urgency=row["urgency"])
        else:
            session.facts = Facts(
                trigger=row["trigger"],
                verified=payload.identity.verified,
                urgency=payload.urgency,
                channel=payload.channel,
                tools=tuple(
                    (one.call.tool, one.call.error or str((one.call.result or {}).get("outcome", "")))
                    for one in payload.tool_calls
                ),
            )
        session.handoff = row["id"]
        return True

    async def _read_events(self, tx: Transaction, session: _Session) -> int:
        """Takes what was stored since; returns how many events."""
        assert session.handed_over_at is not None
        count = 0
        while True:
            page = await outbox.events_of(tx, self._kit.keys, session.id, after_seq=session.seq, limit=_PAGE)
            for event in page:
                line = line_of(event, session.handed_over_at)
                if line is not None:
                    session.lines.append(line)
                session.over = session.over or event.type in ENDINGS
                session.seq = event.seq or session.seq
            count += len(page)
            if len(page) < _PAGE:
                break
            await asyncio.sleep(0)
        del session.lines[:-LOOKED_AT]
        return count

    def _read_lines(self, session: _Session) -> None:
        """The monitor's reading of lines that it has not read. In a thread."""
        kept = {line.id for line in session.lines}
        session.reads = {at: read for at, read in session.reads.items() if at in kept}
        for line in session.lines:
            if line.who != "bot" and line.id not in session.reads:
                session.reads[line.id] = read_line(self._kit.monitor, self._kit.rules, line.text)

    def _talk(self, session: _Session) -> Talk:
        nothing = Read(intent="", confidence=0.0, wants=False)
        reads = dict(session.reads)
        return Talk(
            conversation_id=session.id,
            lines=tuple(session.lines),
            reads=lambda line: reads.get(line.id, nothing),
            facts=session.facts,
            marks=dict(session.marks),
        )

    async def _search(self, session: _Session, wanted: Sequence[Ask]) -> float | None:
        """Searches for what was asked and not searched; seconds until it may, if it may not now."""
        keys = {key_of(ask): ask for ask in wanted}
        session.found = {key: found for key, found in session.found.items() if key in keys}
        missing = [ask for key, ask in keys.items() if key not in session.found]
        if not missing:
            return None
        kit, now = self._kit, self._kit.clock()
        every_s = BUSY_S if kit.busy() else EVERY_S
        if session.searched_s is not None and now < session.searched_s + every_s:
            return session.searched_s + every_s - now
        session.searched_s = now
        for ask in missing:
            try:
                async with kit.database.transaction() as tx:
                    result = await kit.retriever.search(tx, ask.text, intent=ask.intent, limit=COMPARED)
            except EmbeddingMismatch as error:
                log.error("assist.not_searched", conversation=session.id, reason=str(error))
                return None
            session.found[key_of(ask)] = await asyncio.to_thread(self._fit, result)
        metrics.assist_search_s.observe(kit.clock() - now)
        return None

    def _fit(self, result: Retrieval) -> Retrieval:
        """Without passages that the input guard takes for an attack. In a thread."""
        passages = tuple(
            one
            for one in result.passages
            if self._kit.guard.article(f"{one.source.title}. {one.body}").allowed
        )
        if len(passages) == len(result.passages):
            return result
        ambiguous = tuple(one for one in result.ambiguous if one in passages)
        grounding = passages[0].grounding if passages else 0.0
        return result.model_copy(
            update={"passages": passages, "grounding": grounding, "ambiguous": ambiguous}
        )

    async def _offer(self, session: _Session) -> None:
        """Keeps what is shown now for the first time."""
        fresh = [one for one in session.board.suggestions if one.id not in session.offered]
        if not fresh:
            return
        offers = [Offer(one.id, one.kind, one.about, one.line, _words(one, session.board)) for one in fresh]
        async with self._kit.database.transaction() as tx:
            await assist.offer(tx, self._kit.keys, session.id, offers)
        session.offered |= {one.id for one in fresh}
        for one in fresh:
            metrics.assist_offers.labels(one.kind).inc()

    async def _have_written(self, session: _Session, talk: Talk) -> None:
        """Has the language model, if there is one, write the reply that is quoted now; once."""
        kit = self._kit
        if not kit.writers.costs(Route.SMALL) or kit.busy():
            return
        answer = await asyncio.to_thread(latest_answer, talk, kit.rules, session.found)
        if answer is None or answer.reply is None or answer.backing.lack is not None:
            return
        if answer.reply.id in session.asked_model or answer.reply.confidence is None:
            return
        session.asked_model.add(answer.reply.id)
        task = asyncio.create_task(self._write(session, answer, answer.reply))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write(self, session: _Session, answer: Answered, quoted: Suggestion) -> None:
        kit = self._kit
        request = request_for(answer.ask, answer.backing, session.id, Route.SMALL)
        async with self._writing_room:
            try:
                async with kit.database.transaction() as tx:
                    await audit.access(
                        tx,
                        actor=f"model:{kit.writers.names[Route.SMALL]}",
                        resource="conversation",
                        purpose="assist",
                        conversation_id=session.id,
                    )
            except DatabaseDown:
                session.asked_model.discard(quoted.id)
                return
            writing = Writing(session.id, request, kit.writers, kit.rules.phrases, kit.speech())
            try:
                text = " ".join([clause.text async for clause in writing.clauses()])
            finally:
                await writing.cancel()
        report = writing.report
        if report is None or report.outcome != "answered" or report.fell_back or report.blocked or not text:
            return  # the quoted one stands
        session.written[quoted.id] = quoted.model_copy(
            update={
                "text": text,
                "why": f"written from {quoted.sources[0].title}, every value checked",
                "written_by": report.writer,
            }
        )
        session.written_anew = True
        kit.bus.bring(
            Event(
                id=f"live_{secrets.token_hex(8)}",
                type=_WRITTEN,
                conversation_id=session.id,
                time=datetime.now(UTC),
                data={},
            )
        )


def read_line(monitor: Monitor, rules: Rules, text: str) -> Read:
    """What the monitor reads in a line. Pure."""
    reading = monitor.read(Utterance(text=text))
    first, scores = reading.first, reading.scores
    return Read(
        intent=first.intent,
        confidence=first.confidence,
        wants=rules.is_content(first.intent),
        sentiment=scores.sentiment,
        distress=scores.distress,
    )


def _words(one: Suggestion, shown: Board) -> dict[str, Any]:
    """What is kept of it. Not what was said: that stands in the events, which may be masked again."""
    return {
        "text": one.text,
        "books": one.books,
        "intent": shown.intent,
        "articles": [source.article for source in one.sources],
    }


async def _stored_news(news: Subscription, wait_s: float) -> bool:
    """Waits for something that was stored, or was written; False: nothing came in that time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(wait_s):
            async for event in news:
                if event.seq is not None or event.type == _WRITTEN:
                    return True
    return False
