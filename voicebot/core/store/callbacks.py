"""Calls that we make: booked for a time, dialled by whichever node claims them, followed to their end.

A callback is the promise or the order; a dial is one try of it. One node claims a try in a transaction before
it speaks to Twilio, so two nodes that see the same due call make one. What Twilio did not answer stays
``unknown`` until somebody has looked whether the call exists; it is never simply placed again.

Times come in (``now``): the node's clock decides what is due. Numbers and words are sealed.
"""

from __future__ import annotations

import builtins
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing

Status = Literal["booked", "dialling", "reached", "failed", "gone", "cancelled"]
"""``failed``: it cannot be made; ``gone``: the tries are used up."""
Origin = Literal["caller", "api", "cli"]
DialStatus = Literal[
    "claimed", "unknown", "placed", "answered", "connected", "machine", "busy", "no_answer", "failed",
    "cancelled", "unplaced",
]  # fmt: skip
OPEN_DIALS: tuple[DialStatus, ...] = ("claimed", "unknown", "placed", "answered")

_COLUMNS = (
    "id, origin, conversation_id, follow_up_id, purpose, intent, owner, due_at, until_at, next_at, status,"
    " tries, messages, reason, created_at, changed_at"
)


class UnknownCallback(LookupError):
    """There is no such call."""


class KeyReused(Exception):
    """The idempotency key belongs to another order: give each order a key of its own."""


@dataclass(frozen=True)
class Callback:
    """One call to be made. ``number`` in E.164; ``about``: the words it is about, with tokens."""

    id: str
    origin: Origin
    subject_id: str
    conversation_id: str | None
    follow_up_id: str | None
    purpose: str
    intent: str
    owner: str
    due_at: datetime
    until_at: datetime
    next_at: datetime
    status: Status
    tries: int
    messages: int
    reason: str | None
    number: str = field(repr=False)
    from_: str | None = field(repr=False)
    about: str = field(repr=False)


@dataclass(frozen=True)
class Dial:
    """One try. ``id`` (``dl_`` and 32 hex digits) stands in the URLs that Twilio asks."""

    id: str
    callback_id: str
    nth: int
    status: DialStatus
    call_sid: str | None
    answered_by: str | None
    left_message: bool
    conversation_id: str | None
    began_at: datetime


async def book(
    tx: Transaction,
    keys: KeyRing,
    *,
    key: str,
    origin: Origin,
    number: str,
    due_at: datetime,
    until_at: datetime,
    purpose: str,
    intent: str,
    owner: str,
    about: str = "",
    from_: str | None = None,
    conversation_id: str | None = None,
    follow_up_id: str | None = None,
    request: Mapping[str, Any] | None = None,
) -> str:
    """Books a call; the same ``key`` again gives the first one's id (``cb_`` and 32 hex digits).

    Args:
        tx: the transaction.
        keys: seals number and words.
        key: what asks for it, once.
        origin: who asks for it.
        number: whom to call, E.164.
        due_at: not before.
        until_at: the first try is not begun after this; `due_at` again: whenever it can be.
        purpose: of ``business/outbound.yaml``.
        intent: what it is about.
        owner: the team that the called person is given to.
        about: the caller's words, masked.
        from_: the number of ours that was called; None: the account's.
        conversation_id: where it comes from.
        follow_up_id: the promise that it keeps.
        request: what an order said, to notice another one under the same key.

    Raises:
        KeyReused: the key was used for another order.
        LookupError: there is no such conversation.
    """
    asked = None if request is None else keys.index("outbound_request", repr(sorted(request.items())))
    known = await _by_key(tx, key, asked)
    if known is not None:
        return known
    if conversation_id:
        cipher = await keys.cipher_of(tx, conversation_id)
    else:
        cipher = await keys.cipher(tx, await keys.new_subject(tx))
    subject_id, callback_id = cipher.subject_id, f"cb_{secrets.token_hex(16)}"
    cursor = await tx.execute(
        "INSERT INTO callbacks (id, key, request_hash, origin, subject_id, conversation_id, follow_up_id,"
        " purpose, intent, owner, due_at, until_at, next_at, number_hash, sealed)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (key) DO NOTHING",
        (
            callback_id, key, asked, origin, subject_id, conversation_id, follow_up_id, purpose, intent,
            owner, due_at, max(due_at, until_at), due_at, number_hash(keys, number),
            cipher.seal_json({"number": number, "from": from_, "about": about}, f"callback:{callback_id}"),
        ),
    )  # fmt: skip
    if cursor.rowcount == 1:
        return callback_id
    if conversation_id is None:
        await tx.execute("DELETE FROM subjects WHERE id = %s", (subject_id,))
    known = await _by_key(tx, key, asked)
    assert known is not None
    return known


async def get(tx: Transaction, keys: KeyRing, callback_id: str, *, lock: bool = False) -> Callback:
    """One call, opened.

    Raises:
        UnknownCallback: there is none.
        SubjectErased: whom it is for was erased.
    """
    query = "SELECT * FROM callbacks WHERE id = %s"
    cursor = await tx.execute(query + " FOR UPDATE" if lock else query, (callback_id,))
    row = await cursor.fetchone()
    if row is None:
        raise UnknownCallback(f"no call {callback_id}")
    return await _opened(tx, keys, row)


async def list(
    tx: Transaction, *, status: str | None = None, conversation_id: str | None = None, limit: int = 100
) -> builtins.list[dict[str, Any]]:
    """Calls without number and words, the newest first."""
    cursor = await tx.execute(
        f"SELECT {_COLUMNS} FROM callbacks WHERE (%(status)s::text IS NULL OR status = %(status)s)"  # noqa: S608  # constant
        " AND (%(conversation)s::text IS NULL OR conversation_id = %(conversation)s)"
        " ORDER BY created_at DESC, id LIMIT %(limit)s",
        {"status": status, "conversation": conversation_id, "limit": limit},
    )
    return await cursor.fetchall()


async def shown(tx: Transaction, callback_id: str) -> dict[str, Any]:
    """One call and its tries, nothing personal in them.

    Raises:
        UnknownCallback: there is none.
    """
    row = await (
        await tx.execute(f"SELECT {_COLUMNS} FROM callbacks WHERE id = %s".encode(), (callback_id,))  # noqa: S608  # constant
    ).fetchone()
    if row is None:
        raise UnknownCallback(f"no call {callback_id}")
    cursor = await tx.execute(
        "SELECT id, nth, status, call_sid, answered_by, left_message, conversation_id, began_at, changed_at"
        " FROM dials WHERE callback_id = %s ORDER BY nth",
        (callback_id,),
    )
    return {**row, "dials": await cursor.fetchall()}


async def claim(
    tx: Transaction, keys: KeyRing, *, now: datetime, look_at: datetime, node_id: str, limit: int = 1
) -> builtins.list[tuple[Callback, Dial]]:
    """The calls that are due, each with a new try of it: whoever claimed it dials, nobody else will.

    ``look_at``: when somebody shall look what became of a try that was neither placed nor given up by then.
    """
    cursor = await tx.execute(
        "UPDATE callbacks SET status = 'dialling', tries = tries + 1, changed_at = clock_timestamp()"
        " WHERE id IN (SELECT id FROM callbacks WHERE status = 'booked' AND next_at <= %s"
        " AND EXISTS (SELECT 1 FROM subjects s WHERE s.id = subject_id AND s.wrapped_key IS NOT NULL)"
        " ORDER BY next_at, id LIMIT %s FOR UPDATE SKIP LOCKED) RETURNING *",
        (now, limit),
    )
    claimed: builtins.list[tuple[Callback, Dial]] = []
    for row in await cursor.fetchall():
        callback = await _opened(tx, keys, row)
        dial_id = f"dl_{secrets.token_hex(16)}"
        made = await tx.execute(
            "INSERT INTO dials (id, callback_id, nth, node_id, look_at, began_at)"
            " SELECT %s, %s, coalesce(max(nth), 0) + 1, %s, %s, %s FROM dials WHERE callback_id = %s"
            " RETURNING *",
            (dial_id, callback.id, node_id, look_at, now, callback.id),
        )
        made_row = await made.fetchone()
        assert made_row is not None
        claimed.append((callback, _dial(made_row)))
    return claimed


async def dial(tx: Transaction, dial_id: str, *, lock: bool = False) -> Dial | None:
    """One try; None if there is none of that id."""
    query = "SELECT * FROM dials WHERE id = %s"
    row = await (await tx.execute(query + " FOR UPDATE" if lock else query, (dial_id,))).fetchone()
    return None if row is None else _dial(row)


async def open_dials(
    tx: Transaction, *, now: datetime, again_at: datetime, limit: int = 10
) -> builtins.list[Dial]:
    """Tries that should have come further by now; each is looked at by one node, again at ``again_at``."""
    cursor = await tx.execute(
        "UPDATE dials SET look_at = %s WHERE id IN (SELECT id FROM dials WHERE look_at <= %s"
        " AND (status IN ('claimed', 'unknown', 'placed', 'answered') OR (status = 'connected' AND EXISTS"
        " (SELECT 1 FROM callbacks c WHERE c.id = callback_id AND c.status = 'dialling')))"
        " ORDER BY look_at LIMIT %s FOR UPDATE SKIP LOCKED) RETURNING *",
        (again_at, now, limit),
    )
    return [_dial(row) for row in await cursor.fetchall()]


async def known_sids(tx: Transaction, sids: builtins.list[str]) -> frozenset[str]:
    """Those of the CallSids that belong to a try of ours."""
    cursor = await tx.execute("SELECT call_sid FROM dials WHERE call_sid = ANY(%s)", (sids,))
    return frozenset(row["call_sid"] for row in await cursor.fetchall())


async def advance(
    tx: Transaction,
    dial_id: str,
    status: DialStatus,
    *,
    after: tuple[DialStatus, ...],
    call_sid: str | None = None,
    answered_by: str | None = None,
    left_message: bool | None = None,
    conversation_id: str | None = None,
    look_at: datetime | None = None,
) -> bool:
    """Moves a try on, if it stands at one of ``after``; False if it does not (another was first)."""
    cursor = await tx.execute(
        "UPDATE dials SET status = %s, call_sid = coalesce(call_sid, %s),"
        " answered_by = coalesce(%s, answered_by), left_message = coalesce(%s, left_message),"
        " conversation_id = coalesce(%s, conversation_id),"
        " look_at = coalesce(%s, look_at), changed_at = clock_timestamp()"
        " WHERE id = %s AND status = ANY(%s)",
        (
            status, call_sid, answered_by, left_message, conversation_id, look_at, dial_id,
            builtins.list(after),
        ),
    )  # fmt: skip
    return cursor.rowcount == 1


async def settle(
    tx: Transaction,
    callback_id: str,
    status: Status,
    *,
    reason: str | None = None,
    next_at: datetime | None = None,
    uncount: bool = False,
    left_message: bool = False,
) -> bool:
    """What comes after a try: booked again for ``next_at``, or an end. False if it stands at no try any more.

    ``uncount``: the try was never made.
    """
    cursor = await tx.execute(
        "UPDATE callbacks SET status = %s, reason = coalesce(%s, reason), next_at = coalesce(%s, next_at),"
        " tries = tries - %s, messages = messages + %s, changed_at = clock_timestamp()"
        " WHERE id = %s AND status = 'dialling'",
        (status, reason, next_at, int(uncount), int(left_message), callback_id),
    )
    return cursor.rowcount == 1


async def cancel(tx: Transaction, callback_id: str) -> bool:
    """Takes a call back that is not being made; False if it is, or is over."""
    cursor = await tx.execute(
        "UPDATE callbacks SET status = 'cancelled', changed_at = clock_timestamp()"
        " WHERE id = %s AND status = 'booked'",
        (callback_id,),
    )
    return cursor.rowcount == 1


def number_hash(keys: KeyRing, number: str) -> bytes:
    """By what a number is found again without being stored."""
    return keys.index("outbound_number", number)


async def ordered_since(tx: Transaction, keys: KeyRing, number: str, since: datetime) -> int:
    """How many calls to that number were ordered since then, by anybody."""
    cursor = await tx.execute(
        "SELECT count(*) AS n FROM callbacks WHERE number_hash = %s AND created_at >= %s",
        (number_hash(keys, number), since),
    )
    row = await cursor.fetchone()
    return 0 if row is None else row["n"]


async def refuse_calls(tx: Transaction, keys: KeyRing, number: str, conversation_id: str | None) -> int:
    """Nobody calls that number any more: what is booked for it is cancelled. Returns how many were."""
    hashed = number_hash(keys, number)
    await tx.execute(
        "INSERT INTO do_not_call (number_hash, conversation_id) VALUES (%s, %s)"
        " ON CONFLICT (number_hash) DO NOTHING",
        (hashed, conversation_id),
    )
    cursor = await tx.execute(
        "UPDATE callbacks SET status = 'cancelled', reason = 'not_to_be_called',"
        " changed_at = clock_timestamp() WHERE number_hash = %s AND status = 'booked'",
        (hashed,),
    )
    return cursor.rowcount


async def may_be_called(tx: Transaction, keys: KeyRing, number: str) -> bool:
    """Whether nobody asked that this number be left alone."""
    cursor = await tx.execute(
        "SELECT 1 FROM do_not_call WHERE number_hash = %s", (number_hash(keys, number),)
    )
    return await cursor.fetchone() is None


async def allow_calls(tx: Transaction, keys: KeyRing, number: str) -> None:
    """The person asks to be called after all."""
    await tx.execute("DELETE FROM do_not_call WHERE number_hash = %s", (number_hash(keys, number),))


async def by_key(tx: Transaction, key: str) -> str | None:
    """The call that was asked for under this key."""
    return await _by_key(tx, key, None)


async def _by_key(tx: Transaction, key: str, asked: bytes | None) -> str | None:
    row = await (await tx.execute("SELECT id, request_hash FROM callbacks WHERE key = %s", (key,))).fetchone()
    if row is None:
        return None
    if asked is not None and row["request_hash"] is not None and bytes(row["request_hash"]) != asked:
        raise KeyReused(
            f"the idempotency key was used for another order ({row['id']}): give each order a key of its own"
        )
    return row["id"]


async def _opened(tx: Transaction, keys: KeyRing, row: dict[str, Any]) -> Callback:
    cipher = await keys.cipher(tx, row["subject_id"])
    content = cipher.open_json(row["sealed"], f"callback:{row['id']}")
    names = (
        "id", "origin", "subject_id", "conversation_id", "follow_up_id", "purpose", "intent", "owner",
        "due_at", "until_at", "next_at", "status", "tries", "messages", "reason",
    )  # fmt: skip
    return Callback(
        **{name: row[name] for name in names},
        number=content["number"],
        from_=content["from"],
        about=content["about"],
    )


def _dial(row: dict[str, Any]) -> Dial:
    names = (
        "id", "callback_id", "nth", "status", "call_sid", "answered_by", "left_message", "conversation_id",
        "began_at",
    )  # fmt: skip
    return Dial(**{name: row[name] for name in names})
