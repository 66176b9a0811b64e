"""Payments by card, from the caller's yes to the money. No card data: a confirmation, a token, a status.

    agreed    the caller said yes to the amount that was read back
    taking    the card is being typed in: at Twilio's `<Pay>`, or on our keypad
    charging  the processor has it: from here on money may move
    paid      ...
    declined  the processor or the card said no
    spent     typed in wrongly too often
    stopped   the caller stopped it
    failed    the payment step does not work (not enabled, refused, broken)
    left      the call went away before anything was charged
    unknown   nobody told: a person looks

The first outcome stays, except that money which moved is always written, however late it is told.
"""

from __future__ import annotations

import builtins
import hashlib
from dataclasses import dataclass, field
from typing import Any, Literal

from psycopg import errors

from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing

Status = Literal[
    "agreed", "taking", "charging", "paid", "declined", "spent", "stopped", "failed", "left", "unknown"
]
Outcome = Literal["paid", "declined", "spent", "stopped", "failed", "left", "unknown"]
Way = Literal["pay", "keypad"]

OPEN: frozenset[str] = frozenset({"agreed", "taking", "charging"})
"""Nothing is known of the end yet."""
_LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")


class UnknownPayment(LookupError):
    """There is no such payment."""


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment as it stands.

    ``details``: what to write into the records when it is paid. ``receipt``: what the processor gave back.
    """

    id: str
    conversation_id: str
    turn: int
    way: Way
    amount_cents: int
    currency: str
    status: Status
    result: str | None
    booked: bool
    details: dict[str, Any] = field(repr=False)
    receipt: dict[str, str] = field(repr=False)

    @property
    def amount(self) -> str:
        """In the currency's unit, with two decimals: ``189.00``."""
        return f"{self.amount_cents // 100}.{self.amount_cents % 100:02d}"


def id_of(act_key: str) -> str:
    """The id of what an act pays: known before it is stored. Letters only, see `proposals.id_of`."""
    digest = hashlib.sha256(f"payment:{act_key}".encode()).hexdigest()[:32]
    return f"pay_{digest.translate(_LETTERS)}"


def becomes(status: Status, outcome: Outcome) -> bool:
    """Whether an outcome still counts. Pure.

    Money that moved counts whatever was believed before; else the first outcome stays.
    """
    if outcome == "paid":
        return status != "paid"
    return status in OPEN or (status == "unknown" and outcome != "unknown")


async def order(
    tx: Transaction,
    keys: KeyRing,
    *,
    conversation_id: str,
    turn: int,
    act_key: str,
    way: Way,
    amount_cents: int,
    currency: str,
    about: str,
    details: dict[str, Any],
) -> bool:
    """Writes what the caller agreed to pay, in the act's transaction. Twice is once.

    Args:
        tx: the act's.
        keys: seals what it is for.
        conversation_id: ``cv_...``.
        turn: the turn of the yes.
        act_key: the act's.
        way: how the card is taken.
        amount_cents: what was read back.
        currency: ISO 4217.
        about: what is paid for; of one thing only one payment can be under way.
        details: what to write into the records when it is paid.

    Returns:
        False: another payment for the same thing is under way, or nobody knows what came of it.
    """
    payment = id_of(act_key)
    cipher = await keys.cipher_of(tx, conversation_id)
    try:
        async with tx.transaction():
            await tx.execute(
                "INSERT INTO payments (id, conversation_id, turn, act_key, way, amount_cents, currency,"
                " about, sealed_details) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
                " ON CONFLICT (id) DO NOTHING",
                (
                    payment,
                    conversation_id,
                    turn,
                    act_key,
                    way,
                    amount_cents,
                    currency,
                    keys.index("payment", about),
                    cipher.seal_json(details, f"payment:{payment}:details"),
                ),
            )
    except errors.UniqueViolation:
        return False
    return True


async def get(tx: Transaction, keys: KeyRing, payment_id: str, *, lock: bool = False) -> Payment:
    """One payment.

    Raises:
        UnknownPayment: there is none.
        SubjectErased: its conversation's key was deleted.
    """
    suffix = b" FOR UPDATE" if lock else b""
    row = await (await tx.execute(b"SELECT * FROM payments WHERE id = %s" + suffix, (payment_id,))).fetchone()
    if row is None:
        raise UnknownPayment(f"no payment {payment_id}")
    cipher = await keys.cipher_of(tx, row["conversation_id"])
    sealed = row["sealed_receipt"]
    return Payment(
        id=row["id"],
        conversation_id=row["conversation_id"],
        turn=row["turn"],
        way=row["way"],
        amount_cents=row["amount_cents"],
        currency=row["currency"],
        status=row["status"],
        result=row["result"],
        booked=row["booked_at"] is not None,
        details=cipher.open_json(row["sealed_details"], f"payment:{payment_id}:details"),
        receipt={} if sealed is None else cipher.open_json(sealed, f"payment:{payment_id}:receipt"),
    )


async def begin(tx: Transaction, conversation_id: str, way: Way) -> str | None:
    """Takes up what the caller agreed to: the payment's id, once; None: there is nothing to take up."""
    row = await (
        await tx.execute(
            "UPDATE payments SET status = 'taking', changed_at = clock_timestamp()"
            " WHERE conversation_id = %s AND way = %s AND status = 'agreed' RETURNING id",
            (conversation_id, way),
        )
    ).fetchone()
    return None if row is None else str(row["id"])


async def agreed(tx: Transaction, conversation_id: str, way: Way) -> bool:
    """Whether `begin` would find one."""
    row = await (
        await tx.execute(
            "SELECT 1 AS one FROM payments WHERE conversation_id = %s AND way = %s AND status = 'agreed'",
            (conversation_id, way),
        )
    ).fetchone()
    return row is not None


async def charging(tx: Transaction, payment_id: str) -> bool:
    """The processor gets the card now. False: it is not being taken (any more)."""
    cursor = await tx.execute(
        "UPDATE payments SET status = 'charging', changed_at = clock_timestamp()"
        " WHERE id = %s AND status = 'taking'",
        (payment_id,),
    )
    return cursor.rowcount == 1


async def settle(
    tx: Transaction,
    keys: KeyRing,
    payment: Payment,
    outcome: Outcome,
    *,
    result: str,
    receipt: dict[str, str],
) -> bool:
    """Writes the end of a payment that the caller of this has locked. False: it had one that stays."""
    if not becomes(payment.status, outcome):
        return False
    cipher = await keys.cipher_of(tx, payment.conversation_id)
    sealed = cipher.seal_json(receipt, f"payment:{payment.id}:receipt") if receipt else None
    await tx.execute(
        "UPDATE payments SET status = %s, result = %s, sealed_receipt = %s, changed_at = clock_timestamp()"
        " WHERE id = %s",
        (outcome, result[:64], sealed, payment.id),
    )
    return True


async def booked(tx: Transaction, payment_id: str) -> None:
    """The records know of the money, or a person does."""
    await tx.execute("UPDATE payments SET booked_at = clock_timestamp() WHERE id = %s", (payment_id,))


async def of(tx: Transaction, conversation_id: str) -> builtins.list[dict[str, Any]]:
    """A conversation's payments, oldest first, without what is sealed."""
    cursor = await tx.execute(
        "SELECT id, turn, way, amount_cents, currency, status, result, booked_at, created_at, changed_at"
        " FROM payments WHERE conversation_id = %s ORDER BY created_at",
        (conversation_id,),
    )
    return await cursor.fetchall()


async def unbooked(tx: Transaction, *, limit: int = 20) -> builtins.list[str]:
    """Paid, and the records do not know yet."""
    cursor = await tx.execute(
        "SELECT p.id FROM payments p JOIN conversations c ON c.id = p.conversation_id"
        " JOIN subjects s ON s.id = c.subject_id WHERE p.status = 'paid' AND p.booked_at IS NULL"
        " AND s.wrapped_key IS NOT NULL AND p.changed_at < clock_timestamp() - interval '5 seconds'"
        " ORDER BY p.changed_at LIMIT %s",
        (limit,),
    )
    return [row["id"] for row in await cursor.fetchall()]


async def stale(tx: Transaction, *, quiet_s: float, ended_s: float, limit: int = 20) -> builtins.list[str]:
    """Payments without an end that nobody brings to one: the call is over for `ended_s`, or the processor has
    had the card for `quiet_s`.
    """
    cursor = await tx.execute(
        "SELECT p.id FROM payments p JOIN conversations c ON c.id = p.conversation_id"
        " JOIN subjects s ON s.id = c.subject_id"
        " WHERE s.wrapped_key IS NOT NULL AND ((p.status IN ('agreed', 'taking', 'charging')"
        " AND c.status <> 'live' AND p.changed_at < clock_timestamp() - make_interval(secs => %s))"
        " OR (p.status = 'charging' AND p.way = 'keypad'"
        " AND p.changed_at < clock_timestamp() - make_interval(secs => %s)))"
        " ORDER BY p.changed_at LIMIT %s",
        (ended_s, quiet_s, limit),
    )
    return [row["id"] for row in await cursor.fetchall()]
