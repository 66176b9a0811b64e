"""Events written with what they tell of, in one transaction, and delivered after it.

`append` writes an event and its outbox row; if the transaction commits, the event will be
delivered, a crash in between included. `Relay` delivers: in order within a conversation,
at least once (whoever acts on an event remembers its id).

Events go first to the process that wrote them, which is where the call is; a relay takes over
those of a process that has not delivered for `TAKEOVER_S`. Whoever watches from another
process reads `events_of`, or uses `follow`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog

from voicebot.core.bus import Bus
from voicebot.core.conversation import Event
from voicebot.core.store import audit
from voicebot.core.store.database import Database, DatabaseDown, Transaction, is_held
from voicebot.core.store.keys import KeyRing, KeysError

log = structlog.get_logger(__name__)

TAKEOVER_S = 5.0
POLL_S = 0.5
"""Only a fallback, and for other processes' events: our own are poked."""
SPACING_S = 0.1
"""The first event after a pause goes at once; what a busy process writes goes together, so often. Live words,
which are not stored, do not wait for it."""
BATCH = 200

_EVENT = (
    "e.seq, e.id, e.type, e.conversation_id, e.turn, e.transaction_id, e.subject_id, e.time, e.sealed_data"
)


async def append(tx: Transaction, keys: KeyRing, subject_id: str, event: Event) -> int:
    """Writes ``event``, sealed for ``subject_id``, to be delivered once the transaction commits.

    Holds the conversation's row until then, so that ``seq`` follows the order of commits.
    The same ``event.id`` again changes nothing.

    Returns:
        Its ``seq``.

    Raises:
        LookupError: there is no such conversation or subject.
    """
    if not is_held(tx, event.conversation_id):
        held = await tx.execute(
            "SELECT 1 FROM conversations WHERE id = %s FOR NO KEY UPDATE", (event.conversation_id,)
        )
        if await held.fetchone() is None:
            raise LookupError(f"no conversation {event.conversation_id}")
    cipher = await keys.cipher(tx, subject_id)
    cursor = await tx.execute(
        "WITH written AS (INSERT INTO events"
        " (id, type, conversation_id, turn, transaction_id, subject_id, time, sealed_data)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (id) DO NOTHING RETURNING seq, conversation_id)"
        " INSERT INTO outbox (seq, conversation_id, origin)"
        " SELECT seq, conversation_id, current_setting('application_name') FROM written RETURNING seq",
        (
            event.id,
            event.type,
            event.conversation_id,
            event.turn,
            event.transaction_id,
            subject_id,
            event.time,
            cipher.seal_json(event.data, f"event:{event.id}"),
        ),
    )
    row = await cursor.fetchone()
    if row is None:
        row = await (await tx.execute("SELECT seq FROM events WHERE id = %s", (event.id,))).fetchone()
        assert row is not None
    return row["seq"]


async def events_of(
    tx: Transaction,
    keys: KeyRing,
    conversation_id: str,
    *,
    after_seq: int = 0,
    limit: int | None = None,
) -> list[Event]:
    """A conversation's events with ``seq`` above ``after_seq``, in order, opened. None are skipped:
    whatever commits later in this conversation has a higher ``seq``. ``limit``: the first so many.
    """
    cursor = await tx.execute(
        f"SELECT {_EVENT}, s.key_id, s.wrapped_key FROM events e JOIN subjects s ON s.id = e.subject_id"  # noqa: S608  # constant
        " WHERE e.conversation_id = %s AND e.seq > %s ORDER BY e.seq LIMIT %s",
        (conversation_id, after_seq, limit),
    )
    return [_opened(keys, row) for row in await cursor.fetchall()]


async def has(tx: Transaction, conversation_id: str, seq: int) -> bool:
    """Whether ``seq`` is an event of this conversation."""
    query = "SELECT 1 FROM events WHERE seq = %s AND conversation_id = %s"
    return await (await tx.execute(query, (seq, conversation_id))).fetchone() is not None


async def types_after(tx: Transaction, conversation_id: str, seq: int) -> set[str]:
    """The types of a conversation's events above ``seq``."""
    query = "SELECT DISTINCT type FROM events WHERE conversation_id = %s AND seq > %s"
    return {row["type"] for row in await (await tx.execute(query, (conversation_id, seq))).fetchall()}


async def newest(tx: Transaction, conversation_ids: Sequence[str]) -> dict[str, int]:
    """The highest ``seq`` of each of these conversations that has any."""
    cursor = await tx.execute(
        "SELECT c.id, e.seq FROM unnest(%s::text[]) c(id), LATERAL"
        " (SELECT seq FROM events WHERE conversation_id = c.id ORDER BY seq DESC LIMIT 1) e",
        (list(conversation_ids),),
    )
    return {row["id"]: row["seq"] for row in await cursor.fetchall()}


class Relay:
    """Delivers this process's events to its bus, and those that a dead process left behind."""

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        bus: Bus,
        *,
        takeover_s: float = TAKEOVER_S,
        poll_s: float = POLL_S,
    ) -> None:
        self._database = database
        self._keys = keys
        self._bus = bus
        self._takeover_s = takeover_s
        self._poll_s = poll_s
        self._poked = asyncio.Event()

    def poke(self) -> None:
        """Something was committed: deliver now."""
        self._poked.set()

    async def run(self) -> None:
        """Delivers until cancelled. While the database is down it waits, and says so once."""
        down = False
        while True:
            self._poked.clear()
            try:
                delivered = await self.deliver()
            except DatabaseDown as error:
                if not down:
                    log.warning("outbox.database_down", error=str(error))
                down, delivered = True, 0
            else:
                if down:
                    log.info("outbox.database_back")
                down = False
            if delivered < BATCH:
                if delivered:
                    await asyncio.sleep(SPACING_S)
                await self._wait()

    async def deliver(self) -> int:
        """Delivers what is due now, at most `BATCH` events; returns how many.

        What takes an event out of the outbox stands once it was published: if that fails it comes again.
        """
        async with self._database.transaction() as tx:
            cursor = await tx.execute(
                "WITH due AS (SELECT o.seq FROM outbox o"  # noqa: S608  # constant
                " WHERE o.conversation_id IN (SELECT conversation_id FROM outbox WHERE origin = %s"
                "  OR created_at < clock_timestamp() - make_interval(secs => %s))"
                " ORDER BY o.seq LIMIT %s FOR UPDATE),"
                " taken AS (DELETE FROM outbox o USING due WHERE o.seq = due.seq RETURNING o.seq)"
                f" SELECT {_EVENT}, s.key_id, s.wrapped_key"
                " FROM taken JOIN events e ON e.seq = taken.seq JOIN subjects s ON s.id = e.subject_id"
                " ORDER BY e.seq",
                (self._database.name, self._takeover_s, BATCH),
            )
            rows = await cursor.fetchall()
            for row in rows:
                await self._publish(tx, row)
        return len(rows)

    async def _publish(self, tx: Transaction, row: dict[str, Any]) -> None:
        try:
            event = _opened(self._keys, row)
        except KeysError as error:  # it will never open: it must not hold up those behind it
            log.error("outbox.event_unreadable", seq=row["seq"], error=type(error).__name__)
            await audit.refusal(
                tx,
                what="outbox.event",
                reason=type(error).__name__,
                facts={"seq": row["seq"], "type": row["type"]},
                conversation_id=row["conversation_id"],
            )
            return
        self._bus.publish(event)

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._poll_s):
                await self._poked.wait()
        except TimeoutError:
            return


def _opened(keys: KeyRing, row: dict[str, Any]) -> Event:
    cipher = keys.unwrap(row["subject_id"], row["key_id"], row["wrapped_key"])
    return Event(
        id=row["id"],
        type=row["type"],
        conversation_id=row["conversation_id"],
        turn=row["turn"],
        transaction_id=row["transaction_id"],
        time=row["time"],
        data=cipher.open_json(row["sealed_data"], f"event:{row['id']}"),
        seq=row["seq"],
    )
