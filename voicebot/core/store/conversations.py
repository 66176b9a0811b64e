"""Conversations and their turns: read at each turn, written with a version.

Two writers can never both win: `Conversations.advance` compares the version the plan was
made from and the epoch of the media session that made it. `Conversations.save_turn` is keyed
by (conversation, turn): twice is once.
"""

from __future__ import annotations

import builtins
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from voicebot.core.conversation import Channel
from voicebot.core.store.database import Transaction, hold
from voicebot.core.store.keys import Cipher, KeyRing

STATUSES = ("live", "handoff", "ended")


class StaleState(Exception):
    """The conversation moved on since it was loaded: plan again from what is there now."""


class ConversationEnded(Exception):
    """The conversation has ended; an ended conversation does not come back."""


class UnknownConversation(LookupError):
    """There is no such conversation (or turn)."""


@dataclass(frozen=True)
class Snapshot:
    """A conversation as it was read. ``version`` and ``epoch`` are what `advance` compares."""

    id: str
    channel: Channel
    call_sid: str | None
    caller: str | None
    called: str | None
    subject_id: str
    status: str
    version: int
    epoch: int
    turn: int
    state: dict[str, Any]
    created_at: datetime
    ended_at: datetime | None
    end_reason: str | None


class Conversations:
    """Reads and writes ``conversations`` and ``turns``; holds nothing but the keys."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    async def create(
        self,
        tx: Transaction,
        *,
        channel: Channel,
        call_sid: str | None,
        caller: str | None,
        called: str | None,
        state: dict[str, Any],
        again: bool = False,
    ) -> str:
        """A new live conversation with a subject and key of its own.

        Twice for one ``call_sid`` (webhooks come twice) gives the same conversation, whatever
        the other arguments of the second.

        Args:
            tx: the transaction.
            channel: how it came in.
            call_sid: Twilio's id of the call, None where there is none.
            caller: E.164 number, sealed; an HMAC of it is kept to find the caller's other calls.
            called: E.164 number, sealed.
            state: the dialogue's first state.
            again: the ``call_sid`` may be that of an ended conversation, which then stays as it is.

        Returns:
            ``cv_`` and 32 hex digits.
        """
        if call_sid is not None and not again and (known := await self.by_call(tx, call_sid)) is not None:
            return known
        conversation_id = f"cv_{secrets.token_hex(16)}"
        subject_id = await self._keys.new_subject(tx)
        cipher = await self._keys.cipher(tx, subject_id)
        cursor = await tx.execute(
            "INSERT INTO conversations (id, channel, call_sid, subject_id, sealed_state, sealed_caller,"
            " sealed_called, caller_hash) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (call_sid) WHERE status <> 'ended' DO NOTHING RETURNING id",
            (
                conversation_id,
                channel.value,
                call_sid,
                subject_id,
                cipher.seal_json(state, _at("state", conversation_id)),
                _seal_text(cipher, caller, _at("caller", conversation_id)),
                _seal_text(cipher, called, _at("called", conversation_id)),
                None if caller is None else self._keys.index("caller", caller),
            ),
        )
        if await cursor.fetchone() is not None:
            return conversation_id
        await tx.execute("DELETE FROM subjects WHERE id = %s", (subject_id,))
        assert call_sid is not None  # the only unique column that can clash
        existing = await self.by_call(tx, call_sid)
        assert existing is not None
        return existing

    async def by_call(self, tx: Transaction, call_sid: str) -> str | None:
        """The conversation of a call, None if the call is unknown.

        Of several (a CallSid that was used again) the one that has not ended, else the newest.
        """
        row = await (
            await tx.execute(
                "SELECT id FROM conversations WHERE call_sid = %s"
                " ORDER BY status = 'ended', created_at DESC LIMIT 1",
                (call_sid,),
            )
        ).fetchone()
        return None if row is None else row["id"]

    async def load(self, tx: Transaction, conversation_id: str, *, lock: bool = False) -> Snapshot:
        """The conversation, opened.

        Args:
            tx: the transaction.
            conversation_id: ``cv_...``.
            lock: hold the row until the transaction ends; not inside a savepoint.

        Raises:
            UnknownConversation: there is none.
            KeysError: it cannot be opened.
        """
        query = (
            "SELECT c.*, s.key_id, s.wrapped_key FROM conversations c JOIN subjects s ON s.id = c.subject_id"
            " WHERE c.id = %s"
        )
        cursor = await tx.execute(query + " FOR NO KEY UPDATE OF c" if lock else query, (conversation_id,))
        row = await cursor.fetchone()
        if row is None:
            raise UnknownConversation(f"no conversation {conversation_id}")
        cipher = self._keys.unwrap(row["subject_id"], row["key_id"], row["wrapped_key"])
        self._keys.remember(tx, conversation_id, cipher)
        if lock:
            hold(tx, conversation_id)
        return Snapshot(
            id=row["id"],
            channel=Channel(row["channel"]),
            call_sid=row["call_sid"],
            caller=_open_text(cipher, row["sealed_caller"], _at("caller", conversation_id)),
            called=_open_text(cipher, row["sealed_called"], _at("called", conversation_id)),
            subject_id=row["subject_id"],
            status=row["status"],
            version=row["version"],
            epoch=row["epoch"],
            turn=row["turn"],
            state=cipher.open_json(row["sealed_state"], _at("state", conversation_id)),
            created_at=row["created_at"],
            ended_at=row["ended_at"],
            end_reason=row["end_reason"],
        )

    async def advance(self, tx: Transaction, snapshot: Snapshot, *, turn: int, state: dict[str, Any]) -> None:
        """Writes the state that follows from ``snapshot``.

        Raises:
            StaleState: someone advanced it, or another media session took over, since it was read.
        """
        cipher = await self._keys.cipher(tx, snapshot.subject_id)
        cursor = await tx.execute(
            "UPDATE conversations SET version = version + 1, turn = %s, sealed_state = %s"
            " WHERE id = %s AND version = %s AND epoch = %s",
            (
                turn,
                cipher.seal_json(state, _at("state", snapshot.id)),
                snapshot.id,
                snapshot.version,
                snapshot.epoch,
            ),
        )
        if cursor.rowcount != 1:
            raise StaleState(
                f"conversation {snapshot.id} is no longer at version {snapshot.version}, epoch "
                f"{snapshot.epoch}"
            )

    async def new_epoch(self, tx: Transaction, conversation_id: str) -> int:
        """A new media session takes over; plans of the one before can no longer commit. Returns it."""
        cursor = await tx.execute(
            "UPDATE conversations SET epoch = epoch + 1 WHERE id = %s RETURNING epoch", (conversation_id,)
        )
        row = await cursor.fetchone()
        if row is None:
            raise UnknownConversation(f"no conversation {conversation_id}")
        return row["epoch"]

    async def finish(self, tx: Transaction, conversation_id: str, *, reason: str) -> bool:
        """Ends it, once. False if it had ended already (its first reason stays).

        Raises:
            UnknownConversation: there is none.
        """
        cursor = await tx.execute(
            "UPDATE conversations SET status = 'ended', ended_at = clock_timestamp(), end_reason = %s"
            " WHERE id = %s AND status <> 'ended'",
            (reason, conversation_id),
        )
        if cursor.rowcount == 1:
            return True
        await self._must_exist(tx, conversation_id)
        return False

    async def set_status(self, tx: Transaction, conversation_id: str, status: str) -> None:
        """``live`` or ``handoff``; ``ended`` is `finish` with the reason ``ended``.

        Raises:
            ConversationEnded: it has ended.
            UnknownConversation: there is none.
            ValueError: not a status.
        """
        if status not in STATUSES:
            raise ValueError(f"{status!r} is not one of {', '.join(STATUSES)}")
        if status == "ended":
            await self.finish(tx, conversation_id, reason="ended")
            return
        cursor = await tx.execute(
            "UPDATE conversations SET status = %s WHERE id = %s AND status <> 'ended'",
            (status, conversation_id),
        )
        if cursor.rowcount != 1:
            await self._must_exist(tx, conversation_id)
            raise ConversationEnded(f"conversation {conversation_id} has ended")

    async def save_turn(
        self,
        tx: Transaction,
        conversation_id: str,
        *,
        turn: int,
        transaction_id: str,
        input: dict[str, Any],
        decision: dict[str, Any],
        spoken: str | None,
    ) -> bool:
        """Writes a turn, once: False if (conversation, turn) is there already, which then stays as it is."""
        cipher = await self._cipher(tx, conversation_id)
        cursor = await tx.execute(
            "INSERT INTO turns (conversation_id, turn, transaction_id, sealed_input, sealed_decision,"
            " sealed_spoken) VALUES (%s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (conversation_id, turn) DO NOTHING",
            (
                conversation_id,
                turn,
                transaction_id,
                cipher.seal_json(input, _at("input", conversation_id, turn)),
                cipher.seal_json(decision, _at("decision", conversation_id, turn)),
                _seal_text(cipher, spoken, _at("spoken", conversation_id, turn)),
            ),
        )
        return cursor.rowcount == 1

    async def finish_turn(
        self,
        tx: Transaction,
        conversation_id: str,
        *,
        turn: int,
        decision: dict[str, Any],
        spoken: str | None,
    ) -> None:
        """Writes what a turn came to that was saved before its act on a remote system was known.

        Raises:
            UnknownConversation: there is no such turn.
        """
        cipher = await self._cipher(tx, conversation_id)
        cursor = await tx.execute(
            "UPDATE turns SET sealed_decision = %s, sealed_spoken = %s"
            " WHERE conversation_id = %s AND turn = %s",
            (
                cipher.seal_json(decision, _at("decision", conversation_id, turn)),
                _seal_text(cipher, spoken, _at("spoken", conversation_id, turn)),
                conversation_id,
                turn,
            ),
        )
        if cursor.rowcount != 1:
            raise UnknownConversation(f"conversation {conversation_id} has no turn {turn}")

    async def close_turn(
        self,
        tx: Transaction,
        conversation_id: str,
        *,
        turn: int,
        heard: dict[str, Any],
        timings: dict[str, Any],
        writing: Sequence[dict[str, Any]] | None = None,
    ) -> None:
        """Writes what was heard of a turn. The first time counts; later ones change nothing.

        Args:
            tx: the transaction.
            conversation_id: ``cv_...``.
            turn: number of the turn.
            heard: sealed.
            timings: not sealed; milliseconds, nothing personal.
            writing: not sealed; how each written part came about (route, times, tokens, cost).

        Raises:
            UnknownConversation: there is no such turn.
        """
        cipher = await self._cipher(tx, conversation_id)
        cursor = await tx.execute(
            "UPDATE turns SET sealed_heard = coalesce(sealed_heard, %s), timings = coalesce(timings, %s),"
            " writing = coalesce(writing, %s), closed_at = coalesce(closed_at, clock_timestamp())"
            " WHERE conversation_id = %s AND turn = %s",
            (
                cipher.seal_json(heard, _at("heard", conversation_id, turn)),
                Jsonb(timings),
                None if writing is None else Jsonb(list(writing)),
                conversation_id,
                turn,
            ),
        )
        if cursor.rowcount != 1:
            raise UnknownConversation(f"conversation {conversation_id} has no turn {turn}")

    async def turns(self, tx: Transaction, conversation_id: str) -> builtins.list[dict[str, Any]]:
        """All turns in order, opened.

        Returns:
            Dicts of ``turn, transaction_id, input, decision, spoken, heard, timings, writing, created_at``;
            ``heard``, ``timings`` and ``writing`` are None until the turn is closed.

        Raises:
            UnknownConversation: there is no such conversation.
        """
        cipher = await self._cipher(tx, conversation_id)
        cursor = await tx.execute(
            "SELECT * FROM turns WHERE conversation_id = %s ORDER BY turn", (conversation_id,)
        )
        return [_turn(cipher, row) for row in await cursor.fetchall()]

    async def turn(self, tx: Transaction, conversation_id: str, turn: int) -> dict[str, Any] | None:
        """One turn as `turns` gives it, None if it is not there.

        Raises:
            UnknownConversation: there is no such conversation.
        """
        cipher = await self._cipher(tx, conversation_id)
        cursor = await tx.execute(
            "SELECT * FROM turns WHERE conversation_id = %s AND turn = %s", (conversation_id, turn)
        )
        row = await cursor.fetchone()
        return None if row is None else _turn(cipher, row)

    async def list(
        self, tx: Transaction, *, limit: int = 50, before: datetime | None = None, going_on: bool = False
    ) -> builtins.list[dict[str, Any]]:
        """The newest conversations first, nothing personal in them; ``before`` pages by ``created_at``.

        ``going_on``: only those that have not ended.
        """
        cursor = await tx.execute(
            "SELECT id, channel, call_sid, status, turn, created_at, ended_at, end_reason FROM conversations"
            " WHERE (%(before)s::timestamptz IS NULL OR created_at < %(before)s)"
            " AND (NOT %(going_on)s OR ended_at IS NULL)"
            " ORDER BY created_at DESC, id LIMIT %(limit)s",
            {"before": before, "limit": limit, "going_on": going_on},
        )
        return await cursor.fetchall()

    async def _cipher(self, tx: Transaction, conversation_id: str) -> Cipher:
        try:
            return await self._keys.cipher_of(tx, conversation_id)
        except LookupError as error:
            raise UnknownConversation(str(error)) from error

    async def _must_exist(self, tx: Transaction, conversation_id: str) -> None:
        cursor = await tx.execute("SELECT 1 FROM conversations WHERE id = %s", (conversation_id,))
        if await cursor.fetchone() is None:
            raise UnknownConversation(f"no conversation {conversation_id}")


def _turn(cipher: Cipher, row: dict[str, Any]) -> dict[str, Any]:
    conversation_id, turn = row["conversation_id"], row["turn"]
    heard = row["sealed_heard"]
    return {
        "turn": turn,
        "transaction_id": row["transaction_id"],
        "input": cipher.open_json(row["sealed_input"], _at("input", conversation_id, turn)),
        "decision": cipher.open_json(row["sealed_decision"], _at("decision", conversation_id, turn)),
        "spoken": _open_text(cipher, row["sealed_spoken"], _at("spoken", conversation_id, turn)),
        "heard": None if heard is None else cipher.open_json(heard, _at("heard", conversation_id, turn)),
        "timings": row["timings"],
        "writing": row["writing"],
        "created_at": row["created_at"],
    }


def _at(what: str, conversation_id: str, turn: int | None = None) -> str:
    return f"{what}:{conversation_id}" if turn is None else f"{what}:{conversation_id}:{turn}"


def _seal_text(cipher: Cipher, text: str | None, context: str) -> bytes | None:
    return None if text is None else cipher.seal(text.encode(), context)


def _open_text(cipher: Cipher, sealed: bytes | None, context: str) -> str | None:
    return None if sealed is None else cipher.open(sealed, context).decode()
