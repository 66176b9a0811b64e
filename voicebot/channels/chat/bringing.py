"""Brings what people at the desk write to the customers' sockets of this node, and chats back to the bot.

A line stands in the database before anybody is told of it, so nothing is lost with a process: who wrote it
wakes all nodes, each looks for the chats that are open here, and a look every two seconds finds what no wake
told of. A socket that broke gets with the next one what had not reached it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from voicebot.channels.chat.errors import ChatError
from voicebot.channels.chat.reply import (
    ChatSoFar,
    ColleagueLine,
    ColleagueTypes,
    ColleagueWrote,
    HasIt,
    SaidLine,
)
from voicebot.channels.chat.watchers import Watchers
from voicebot.core.conversation import Channel
from voicebot.core.looking import look_when_woken
from voicebot.core.store import audit, chat_lines, handoffs, outbox
from voicebot.core.store.chat_lines import ChatLine
from voicebot.core.store.conversations import ConversationEnded, Conversations, Snapshot
from voicebot.core.store.database import Database, DatabaseDown, Transaction
from voicebot.core.store.keys import KeyRing, SubjectErased
from voicebot.core.transcript import LEG_LINE, told
from voicebot.dialogue.generation.written import written
from voicebot.dialogue.state import UnknownState

log = structlog.get_logger(__name__)

EVERY_S = 2.0
_MOST = 500
"""Lines that a page gets back at once; the newest."""
_WORDS = frozenset({"turn.committed", "turn.heard", LEG_LINE})


class Bringing:
    """One per node.

    Args:
        database: ours.
        keys: open what was written.
        watchers: the sockets of this node.
        back: has the bot go on in a chat that a person gave back; False: it had it already.
    """

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        watchers: Watchers,
        back: Callable[[str], Awaitable[bool]],
    ) -> None:
        self._database = database
        self._keys = keys
        self._watchers = watchers
        self._back = back
        self._conversations = Conversations(keys)
        self._woken = asyncio.Event()
        self._taking: dict[str, asyncio.Task[None]] = {}

    def wake(self, conversation_id: str) -> None:
        """There is something for a chat; its customer may be here."""
        if conversation_id in self._watchers.conversations:
            self._woken.set()

    def types(self, conversation_id: str) -> None:
        """A person is just writing in a chat."""
        if conversation_id in self._watchers.conversations:
            self._watchers.tell(conversation_id, ColleagueTypes(conversation_id=conversation_id))

    async def run(self) -> None:
        """Looks until cancelled.

        Raises:
            DatabaseDown: Postgres does not answer: run it again.
        """
        await look_when_woken(self.look, self._woken, EVERY_S)

    async def look(self) -> None:
        """Gives each socket what it has not got, and the bot the chats that were given back.

        Raises:
            DatabaseDown: Postgres does not answer.
        """
        followed = sorted(self._watchers.conversations)
        if not followed:
            return
        async with self._database.transaction() as tx:
            lines = await self._lines(tx, {one: self._least(one) for one in followed})
            back = await chat_lines.given_to_bot(tx, followed)
        for line in lines:
            event = ColleagueWrote(conversation_id=line.conversation_id, line=_shown(line))
            for watcher in self._watchers.of(line.conversation_id):
                new = line.told_at is None if watcher.after is None else line.line > watcher.after
                if new and not watcher.events.full():
                    watcher.after = line.line
                    watcher.events.put_nowait(event)
        for conversation_id in back:
            if conversation_id not in self._taking:  # each by itself: a slow turn keeps no other chat waiting
                self._taking[conversation_id] = asyncio.create_task(self._take(conversation_id))

    async def settled(self) -> None:
        """Returns when the bot has said that it has the chats that the last look found, or could not."""
        if self._taking:
            await asyncio.wait(self._taking.values())

    async def close(self) -> None:
        """Ends what is being said; another node, or the customer's next message, finds it."""
        for task in self._taking.values():
            task.cancel()
        await self.settled()

    async def _take(self, conversation_id: str) -> None:
        try:
            await self._back(conversation_id)
        except (ChatError, ConversationEnded, UnknownState, SubjectErased, DatabaseDown) as error:
            # It is seen again at the next look, and with the customer's next message.
            log.warning("chat.not_given_back", conversation=conversation_id, error=type(error).__name__)
        except Exception:
            log.exception("chat.not_given_back", conversation=conversation_id)
        finally:
            del self._taking[conversation_id]

    async def got(self, event: ColleagueWrote) -> None:
        """A socket took a line. Not written down it comes once more, under the same number."""
        try:
            async with self._database.transaction() as tx:
                await chat_lines.told(tx, event.conversation_id, event.line.line)
        except DatabaseDown:
            log.error("chat.line_told_not_stored", conversation=event.conversation_id)

    async def untold(self, conversation_id: str) -> tuple[ColleagueLine, ...]:
        """What a customer without a socket has not got; with this they have."""
        async with self._database.transaction() as tx:
            lines = await chat_lines.since(tx, self._keys, {conversation_id: None})
            if lines:
                await chat_lines.told(tx, conversation_id, lines[-1].line)
        return tuple(map(_shown, lines))

    async def so_far(self, conversation_id: str, after: int) -> ChatSoFar | None:
        """A chat's lines after one; None: there is no such chat, or it is over and nothing of it is owed.

        Raises:
            DatabaseDown: ask again.
            SubjectErased: what was said there was erased.
        """
        async with self._database.transaction() as tx:
            row = await (
                await tx.execute("SELECT channel FROM conversations WHERE id = %s", (conversation_id,))
            ).fetchone()
            if row is None or row["channel"] != Channel.CHAT.value:
                return None
            snapshot = await self._conversations.load(tx, conversation_id)
            if snapshot.status == "ended" and not await chat_lines.since(
                tx, self._keys, {conversation_id: None}
            ):
                return None
            lines = await self._said(tx, conversation_id, after)
            written_by = [one.line for one in lines if one.who == "colleague"]
            if written_by:
                await chat_lines.told(tx, conversation_id, written_by[-1])
            await audit.access(
                tx,
                actor="chat",
                resource="conversation",
                fields=["transcript"],
                purpose="reply",
                conversation_id=conversation_id,
            )
            has_it = await self._has_it(tx, snapshot)
        return ChatSoFar(conversation_id=conversation_id, has_it=has_it, lines=tuple(lines[-_MOST:]))

    async def _said(self, tx: Transaction, conversation_id: str, after: int) -> list[SaidLine]:
        """In this order: what is written between the two reads is given with the next, whole."""
        events = await outbox.events_of(tx, self._keys, conversation_id, after_seq=after)
        written_by = await chat_lines.since(tx, self._keys, {conversation_id: after})
        known = {one.line: one.text for one in written_by}
        said: list[SaidLine] = []
        for event in events:
            entry = told(event) if event.type in _WORDS else None
            if entry is None or entry.id is None or not entry.text:
                continue
            match entry.who:
                case "caller":
                    said.append(SaidLine(line=entry.id, who="customer", text=entry.text, at=entry.at))
                case "bot":
                    text = written(entry.text)
                    said.append(SaidLine(line=entry.id, who="assistant", text=text, at=entry.at))
                case _ if entry.id in known:
                    text = known[entry.id]
                    said.append(SaidLine(line=entry.id, who="colleague", text=text, at=entry.at))
                case _:  # of no colleague's in this chat
                    continue
        return said

    async def _has_it(self, tx: Transaction, snapshot: Snapshot) -> HasIt:
        if snapshot.status != "handoff":
            return "nobody" if snapshot.status == "ended" else "assistant"
        rows = await handoffs.list(tx, conversation_id=snapshot.id, limit=500)
        status = rows[-1]["status"] if rows else "waiting"
        return "colleague" if status in handoffs.HELD else "assistant" if status == "done" else "waiting"

    async def _lines(self, tx: Transaction, afters: dict[str, int | None]) -> list[ChatLine]:
        try:
            return await chat_lines.since(tx, self._keys, afters)
        except SubjectErased:  # one of them: the others still get theirs
            found: list[ChatLine] = []
            for one, after in afters.items():
                try:
                    found += await chat_lines.since(tx, self._keys, {one: after})
                except SubjectErased:
                    continue
            return found

    def _least(self, conversation_id: str) -> int | None:
        """The number from which on somebody here lacks lines; None: only those that reached nobody."""
        known = (one.after for one in self._watchers.of(conversation_id))
        return min((one for one in known if one is not None), default=None)


def _shown(line: ChatLine) -> ColleagueLine:
    return ColleagueLine(line=line.line, text=line.text, at=line.created_at)
