"""What the API's endpoints read from, and how they find a conversation."""

from __future__ import annotations

import re
from typing import Any, Protocol

from fastapi import HTTPException

from voicebot.console.readers import Reader
from voicebot.core.bus import Bus
from voicebot.core.store import handoffs
from voicebot.core.store.conversations import Conversations, Snapshot, UnknownConversation
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing, SubjectErased

_ID = re.compile(r"cv_[0-9a-f]{32}")


class Console:
    """What the API's endpoints read from; made once by the node."""

    def __init__(self, database: Database, keys: KeyRing, bus: Bus) -> None:
        self.database = database
        self.keys = keys
        self.bus = bus
        self.conversations = Conversations(keys)


class HasConversations(Protocol):
    """Whatever conversations can be read from."""

    conversations: Conversations


async def load(console: HasConversations, tx: Any, conversation_id: str) -> Snapshot:
    """The conversation.

    Raises:
        HTTPException: 404 there is none; 410 its data was erased.
    """
    if not _ID.fullmatch(conversation_id):
        raise HTTPException(404, "no such conversation: ids are cv_ and 32 hex digits")
    try:
        return await console.conversations.load(tx, conversation_id)
    except UnknownConversation as error:
        raise HTTPException(404, f"no conversation {conversation_id!r}: see /api/conversations") from error
    except SubjectErased as error:
        raise HTTPException(410, f"what was said in {conversation_id} was erased") from error


async def check_may_read(tx: Any, reader: Reader, snapshot: Snapshot) -> None:
    """An agent reads what is over or was handed over; what still goes on without a person is a supervisor's.

    Raises:
        HTTPException: 403, with the role that is needed.
    """
    if reader.role != "agent" or snapshot.ended_at is not None:
        return
    if not await handoffs.list(tx, conversation_id=snapshot.id, limit=1):
        raise HTTPException(
            403, "conversations that nobody has handed over are for supervisors while they last"
        )
