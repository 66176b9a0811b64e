"""A call whose recording is asked for: who may, and what there is of it on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import HTTPException, Path

from voicebot.audio.recording.examining import Examined
from voicebot.console.player.listening import Listening
from voicebot.console.player.replays import Replays
from voicebot.console.player.shelf import Shelf, Unreadable
from voicebot.console.readers import Reader
from voicebot.console.reading import check_may_read, load
from voicebot.console.sse import Readers
from voicebot.core.store import audit
from voicebot.core.store.conversations import Conversations, Snapshot
from voicebot.core.store.database import Database, Transaction
from voicebot.core.store.keys import KeyRing

ConversationId = Annotated[str, Path(pattern="^cv_[0-9a-f]{32}$")]
SessionName = Annotated[str, Path(pattern=r"^[0-9]{3}(\.[0-9]{1,3})?$")]
GONE = "there is no recording of this call on this machine: it was removed, or another machine took the call"


@dataclass
class Player:
    """What the endpoints need; made once by the node. ``zone``: of days. ``slow_ms``: a long wait."""

    database: Database
    keys: KeyRing
    shelf: Shelf
    replays: Replays
    zone: str
    slow_ms: int = 3000
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    listening: Listening = field(default_factory=Listening)
    places: Readers = field(default_factory=Readers)

    def __post_init__(self) -> None:
        self.conversations = Conversations(self.keys)


@dataclass(frozen=True)
class OpenCall:
    """A call that may be read: its key and its turns are open."""

    snapshot: Snapshot
    key: bytes
    turns: dict[int, dict[str, Any]]


async def open_call(player: Player, tx: Transaction, who: Reader, conversation_id: str) -> OpenCall:
    """Raises HTTPException: 403 not theirs, 404 no such call, 409 it goes on, 410 erased."""
    snapshot = await load(player, tx, conversation_id)
    await check_may_read(tx, who, snapshot)
    if snapshot.channel not in ("phone", "browser"):
        raise HTTPException(404, "a chat has no recording: see /api/conversations")
    if snapshot.ended_at is None:
        raise HTTPException(409, "the call goes on: its recording can be looked at when it is over")
    key = (await player.keys.cipher(tx, snapshot.subject_id)).derive("recording")
    turns = await player.conversations.turns(tx, conversation_id)
    return OpenCall(snapshot, key, {row["turn"]: row for row in turns})


async def looked(tx: Transaction, who: Reader, conversation_id: str) -> None:
    """Into the access log: somebody looked at it."""
    await audit.access(
        tx, actor=who.who, resource="recording", purpose="console", conversation_id=conversation_id
    )


async def examined(player: Player, call: OpenCall, name: str) -> Examined | Unreadable:
    """One session of the call, read and checked."""
    return await player.shelf.examined(call.snapshot.id, name, call.key, call.turns)


async def whole(player: Player, call: OpenCall, name: str) -> Examined:
    """Raises HTTPException: 404 there is none of that name here; 409 nothing of it can be read, and why."""
    if name not in await asyncio.to_thread(player.shelf.names, call.snapshot.id):
        raise HTTPException(404, GONE)
    found = await examined(player, call, name)
    if isinstance(found, Unreadable):
        raise HTTPException(409, found.why)
    return found
