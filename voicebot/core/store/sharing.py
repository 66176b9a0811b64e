"""Brings what other processes publish of a conversation to this one's bus, while somebody watches it here.

Who watches says so to all (``watch``), at once and every few seconds; only then does the process where the
call is send what it publishes. Live words travel sealed under the conversation's key, stored events as their
``seq`` alone: whoever hears of it reads the store. So what is lost on the way is no gap, only later: the
store is looked at twice a second besides, in one query for all that is watched here.

Whoever wrote something that a conversation has to take up wherever it is (a person's decision, a whisper)
says ``wake``; lost on the way it is only later, too: `runtime.waking` looks by itself.

A carrier brings messages from process to process: `postgres_carrier` on one database, `nats_carrier` between
many machines. Nothing of this happens inside the transaction of a turn.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol

import structlog
from pydantic import Field, ValidationError

from voicebot.core.bus import Bus
from voicebot.core.clock import Clock, monotonic
from voicebot.core.conversation import Event, Strict
from voicebot.core.store import outbox
from voicebot.core.store.database import Database, DatabaseDown
from voicebot.core.store.keys import Cipher, KeyRing, KeysError

log = structlog.get_logger(__name__)

WATCH_EVERY_S = 5.0
FORGET_S = 12.0
"""Words are sent so long after the last ``watch``: two of them may be lost."""

LOOK_EVERY_S = 0.5

MOST_CHARACTERS = 7000
"""Postgres takes notices below 8000 bytes; the words of half a minute are 500."""

_BROUGHT = "outbox.stored"
"""Type of the event that says: there is something new in the store."""


Kind = Literal["watch", "live", "stored", "wake", "types"]


class Message(Strict):
    """What processes tell each other. ``sealed``: live words (an `Event`); ``seq``: of a stored event."""

    kind: Kind
    sender: str
    conversation_id: str
    sealed: str | None = None
    seq: int | None = Field(default=None, ge=0)


class Carrier(Protocol):
    """Brings messages to the other processes; may lose some, and says so to nobody."""

    def send(self, text: str) -> None:
        """Hands a message over; returns at once. What cannot be sent in time is dropped."""
        ...

    async def run(self, receive: Callable[[str], None]) -> None:
        """Sends and receives until cancelled; comes back by itself after a failure."""
        ...


@dataclass
class _Wanted:
    """Somebody elsewhere watches: until when, and what seals it (None: not fetched yet)."""

    until_s: float
    cipher: Cipher | None = None


class Sharing:
    """One per process, between its bus and a carrier.

    Args:
        database: where events are stored.
        keys: seal live words on their way.
        bus: this process's.
        carrier: how messages travel.
        clock: seconds.
    """

    def __init__(
        self, database: Database, keys: KeyRing, bus: Bus, carrier: Carrier, *, clock: Clock = monotonic
    ) -> None:
        self._database = database
        self._keys = keys
        self._bus = bus
        self._carrier = carrier
        self._clock = clock
        self._me = secrets.token_hex(8)
        self._wanted: dict[str, _Wanted] = {}
        self._ciphers: dict[str, Cipher] = {}
        self._known: dict[str, int] = {}
        self._refresh = asyncio.Event()
        self._wakes: list[Callable[[str], None]] = []
        self._types: Callable[[str], None] = _nobody
        bus.share(self._published, self._watching)

    async def run(self) -> None:
        """Until cancelled. While the database is away it waits, and says so once."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._carrier.run(self._received))
            both.create_task(_again(self._look, self._a_moment))
            both.create_task(_again(self._keep_keys, self._until_asked))

    def on_wake(self, woken: Callable[[str], None]) -> None:
        """``woken`` is told of each conversation that has something to take up, wherever it was written."""
        self._wakes.append(woken)

    def wake(self, conversation_id: str) -> None:
        """Something was committed that this conversation has to take up; returns at once."""
        self._woken(conversation_id)
        self._send("wake", conversation_id)

    def on_types(self, types: Callable[[str], None]) -> None:
        """``types`` is told of each chat in which a person at the desk is just writing."""
        self._types = types

    def types(self, conversation_id: str) -> None:
        """A person at the desk is just writing in this chat; who does not hear of it has lost nothing."""
        self._types(conversation_id)
        self._send("types", conversation_id)

    # --- from here to others ------------------------------------------------------------

    def _published(self, event: Event) -> None:
        if event.seq is not None:
            self._known[event.conversation_id] = max(event.seq, self._known.get(event.conversation_id, 0))
        wanted = self._wanted.get(event.conversation_id)
        if wanted is None or wanted.until_s < self._clock():
            return
        if event.seq is not None:
            self._send("stored", event.conversation_id, seq=event.seq)
        elif wanted.cipher is not None:
            sealed = wanted.cipher.seal_json(event.model_dump(mode="json"), _at(event.conversation_id))
            text = base64.b64encode(sealed).decode("ascii")
            if len(text) <= MOST_CHARACTERS:
                self._send("live", event.conversation_id, sealed=text)

    def _watching(self, conversation_id: str) -> None:
        self._send("watch", conversation_id)
        if conversation_id not in self._ciphers:
            self._refresh.set()

    def _send(
        self,
        kind: Kind,
        conversation_id: str,
        *,
        sealed: str | None = None,
        seq: int | None = None,
    ) -> None:
        message = Message(kind=kind, sender=self._me, conversation_id=conversation_id, sealed=sealed, seq=seq)
        self._carrier.send(message.model_dump_json(exclude_none=True))

    def _woken(self, conversation_id: str) -> None:
        for woken in self._wakes:
            woken(conversation_id)

    # --- from others to here ------------------------------------------------------------

    def _received(self, text: str) -> None:
        try:
            message = Message.model_validate_json(text)
        except ValidationError:
            log.warning("sharing.message_unreadable", characters=len(text))
            return
        if message.sender == self._me:
            return
        match message.kind:
            case "wake":
                self._woken(message.conversation_id)
            case "types":
                self._types(message.conversation_id)
            case "watch":
                self._wants(message.conversation_id)
            case "stored":
                if message.seq is not None:
                    self._stored(message.conversation_id, message.seq)
            case "live":
                self._bring(message)

    def _wants(self, conversation_id: str) -> None:
        wanted = self._wanted.get(conversation_id)
        until_s = self._clock() + FORGET_S
        if wanted is not None:
            wanted.until_s = until_s
            return
        self._wanted[conversation_id] = _Wanted(until_s)
        self._refresh.set()

    def _stored(self, conversation_id: str, seq: int) -> None:
        self._bus.bring(
            Event(
                id=f"{_BROUGHT}:{seq}",
                type=_BROUGHT,
                conversation_id=conversation_id,
                time=datetime.now(UTC),
                data={},
                seq=seq,
            )
        )

    def _bring(self, message: Message) -> None:
        cipher = self._ciphers.get(message.conversation_id)
        if cipher is None or message.sealed is None:
            return  # nobody here watches (any more), or the key is just being fetched
        try:
            sealed = base64.b64decode(message.sealed, validate=True)
            event = Event.model_validate(cipher.open_json(sealed, _at(message.conversation_id)), strict=False)
        except (KeysError, ValueError) as error:
            log.warning("sharing.words_unreadable", error=type(error).__name__)
            return
        self._bus.bring(event)

    # --- in the background --------------------------------------------------------------

    async def _look(self) -> None:
        """What was stored by processes that told us nothing."""
        watched = self._bus.watched
        if not watched:
            self._known.clear()
            return
        async with self._database.transaction() as tx:
            newest = await outbox.newest(tx, watched)
        for conversation_id, seq in newest.items():
            if seq > self._known.get(conversation_id, 0):
                self._stored(conversation_id, seq)
        self._known = newest

    async def _keep_keys(self) -> None:
        """Says what is watched, and reads the keys anew: an erased subject is erased on every process."""
        self._refresh.clear()
        now = self._clock()
        watched = self._bus.watched
        for conversation_id in watched:
            self._send("watch", conversation_id)
        self._wanted = {known: one for known, one in self._wanted.items() if one.until_s >= now}
        ciphers = await self._read_keys({*watched, *self._wanted})
        self._ciphers = {one: ciphers[one] for one in watched if one in ciphers}
        for conversation_id, wanted in self._wanted.items():
            wanted.cipher = ciphers.get(conversation_id)

    async def _until_asked(self) -> None:
        try:
            async with asyncio.timeout(WATCH_EVERY_S):
                await self._refresh.wait()
        except TimeoutError:
            return

    async def _a_moment(self) -> None:
        await asyncio.sleep(LOOK_EVERY_S)

    async def _read_keys(self, conversation_ids: set[str]) -> dict[str, Cipher]:
        if not conversation_ids:
            return {}
        async with self._database.transaction() as tx:
            rows = await (
                await tx.execute(
                    "SELECT c.id, s.id AS subject_id, s.key_id, s.wrapped_key"
                    " FROM conversations c JOIN subjects s ON s.id = c.subject_id WHERE c.id = ANY(%s)",
                    (list(conversation_ids),),
                )
            ).fetchall()
        ciphers: dict[str, Cipher] = {}
        for row in rows:
            try:
                ciphers[row["id"]] = self._keys.unwrap(row["subject_id"], row["key_id"], row["wrapped_key"])
            except KeysError as error:
                log.info("sharing.no_key", conversation=row["id"], error=type(error).__name__)
        return ciphers


def _nobody(conversation_id: str) -> None:
    del conversation_id


async def _again(work: Callable[[], Awaitable[None]], pause: Callable[[], Awaitable[None]]) -> None:
    down = False
    while True:
        try:
            await work()
            down = False
        except DatabaseDown as error:
            if not down:
                log.warning("sharing.database_down", error=str(error))
            down = True
            await asyncio.sleep(LOOK_EVERY_S)
        await pause()


def _at(conversation_id: str) -> str:
    return f"live:{conversation_id}"
