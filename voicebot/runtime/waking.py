"""Brings what people decided or whispered to the conversation it is for, in whatever process that is.

It stands in the database until a turn has taken it up, so nothing is lost with a process. Who wrote it wakes
all nodes; each looks what is for the calls it holds. A look twice a second finds what no wake told of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from voicebot.channels.chat.errors import ChatError
from voicebot.core.conversation import AgentDecision, TurnInput, Whispered
from voicebot.core.looking import look_when_woken
from voicebot.core.store import drafts, whispers
from voicebot.core.store.conversations import ConversationEnded
from voicebot.core.store.database import Database, Transaction
from voicebot.core.store.keys import KeyRing, SubjectErased
from voicebot.dialogue.inbox import Inbox
from voicebot.dialogue.state import UnknownState

log = structlog.get_logger(__name__)

EVERY_S = 0.5
ELSEWHERE_S = 1.5
"""So long a chat is left to the process that may have the customer's socket."""
AGAIN_S = 15.0
"""A chat whose turn did not come about is tried again then."""


class Waking:
    """One per node.

    Args:
        database: ours.
        keys: open what was decided and whispered.
        inbox: of the conversations that this process holds.
        turn: makes a turn in a chat.
        followed: chats whose customer has a socket open here.
    """

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        inbox: Inbox,
        turn: Callable[[str, TurnInput], Awaitable[None]],
        followed: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        self._database = database
        self._keys = keys
        self._inbox = inbox
        self._turn = turn
        self._followed = followed
        self._delivered: dict[str, int] = {}
        self._woken = asyncio.Event()

    def wake(self, conversation_id: str) -> None:
        """There is something for a conversation; it may be here."""
        if conversation_id in self._inbox.held or conversation_id in self._followed():
            self._woken.set()

    async def run(self) -> None:
        """Looks until cancelled.

        Raises:
            DatabaseDown: Postgres does not answer: run it again.
        """
        await look_when_woken(self.look, self._woken, EVERY_S)

    async def look(self) -> None:
        """Delivers what waits for conversations here, once to each box, and for chats that nobody holds.

        Raises:
            DatabaseDown: Postgres does not answer.
        """
        held = dict(self._inbox.held)
        async with self._database.transaction() as tx:
            due = await self._due(tx, held)
            chats = {
                *await drafts.unattended(tx, self._followed(), older_s=ELSEWHERE_S, again_s=AGAIN_S),
                *await whispers.unattended(tx, self._followed(), older_s=ELSEWHERE_S, again_s=AGAIN_S),
            } - held.keys()
            unheld = await self._due(tx, chats)
        self._delivered = {one: box for one, box in self._delivered.items() if any(one == d[0] for d in due)}
        for name, conversation_id, given in due:
            box = held[conversation_id]
            if self._delivered.get(name) != box and self._inbox.deliver(conversation_id, given):
                self._delivered[name] = box
        for _, conversation_id, given in unheld:
            await self._in_chat(conversation_id, given)

    async def _due(
        self, tx: Transaction, conversations: dict[str, int] | set[str]
    ) -> list[tuple[str, str, TurnInput]]:
        """What waits for these: (id, conversation, input)."""
        found: list[tuple[str, str, TurnInput]] = []
        for one in await drafts.to_tell(tx, self._keys, conversations):
            decision = AgentDecision(draft=one.draft, verdict=one.verdict, agent=one.by, text=one.text)
            found.append((one.draft, one.conversation_id, decision))
        for whisper in await whispers.waiting(tx, self._keys, conversations):
            given = Whispered(
                whisper=whisper.id,
                what=whisper.kind,
                agent=whisper.who,
                intent=whisper.intent,
                text=whisper.text,
            )
            found.append((whisper.id, whisper.conversation_id, given))
        return found

    async def _in_chat(self, conversation_id: str, given: TurnInput) -> None:
        try:
            await self._turn(conversation_id, given)
        except (ChatError, ConversationEnded, UnknownState, SubjectErased) as error:
            # It stays where it is: the next claim sees how the chat stands then.
            log.warning("waking.chat_turn", conversation=conversation_id, error=type(error).__name__)
