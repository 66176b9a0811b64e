"""What was proposed to a caller, from the read-back to the yes. Status and times are in the clear.

Arguments and read-back hold the caller's own values, so they are sealed under the vault's key, like those.

A proposal is open until it was consented to, declined or voided; only one is open in a conversation. All
times are the database's, so no node's clock can make one last longer.
"""

from __future__ import annotations

import builtins
import hashlib
from dataclasses import dataclass, field
from typing import Any, Literal

from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import Cipher, KeyRing, SealBroken
from voicebot.core.store.vault import vault_cipher

LASTS_S = 120
"""How long a read-back may be answered with a yes; after that the facts are read anew."""

_LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")
Status = Literal["waiting", "open", "consented", "done", "refused", "failed", "unknown", "declined", "voided"]
"""``waiting``: for a person's approval."""
Settled = Literal["done", "refused", "failed", "unknown"]
Consent = Literal["words", "key"]


class UnknownProposal(LookupError):
    """There is no such proposal."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """One change that was proposed. ``canonical``: its arguments, see `Prepared.canonical`.

    ``essentials``: the values that were read back, as they were said, in their order.
    """

    id: str
    intent: str
    tool: str
    digest: str
    policy_version: str
    canonical: str = field(repr=False)
    customer_id: str = field(repr=False)
    essentials: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Standing:
    """A proposal as it stands now. ``turn``: the turn that asked for a yes last.

    ``heard``: the caller heard its last essential value. ``expired``: by the database's clock.
    """

    proposed: Proposed
    conversation_id: str
    turn: int
    status: Status
    heard: bool
    expired: bool
    approved_by: str | None
    reason: str | None


def id_of(conversation_id: str, turn: int) -> str:
    """The id of what a turn proposes: known before it is stored.

    Letters only: digits in it could be some caller's post code, and would be masked in the state.
    """
    digest = hashlib.sha256(f"proposal:{conversation_id}:{turn}".encode()).hexdigest()[:32]
    return f"pr_{digest.translate(_LETTERS)}"


async def save(
    tx: Transaction,
    keys: KeyRing,
    proposed: Proposed,
    *,
    conversation_id: str,
    turn: int,
    waits: bool = False,
) -> None:
    """Stores a proposal; the one before it must have been settled or voided. Twice is once.

    Args:
        tx: the turn's transaction.
        keys: seals it.
        proposed: what it is.
        conversation_id: ``cv_...``.
        turn: the turn that reads it back.
        waits: a person has to approve it before it is read back.
    """
    cipher = vault_cipher(await keys.cipher_of(tx, conversation_id))
    sealed = {
        "canonical": proposed.canonical,
        "customer_id": proposed.customer_id,
        "essentials": list(proposed.essentials),
    }
    await tx.execute(
        "INSERT INTO proposals (id, conversation_id, turn, intent, tool, digest, policy_version, status,"
        " sealed, expires_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s,"
        " clock_timestamp() + make_interval(secs => %s)) ON CONFLICT (id) DO NOTHING",
        (
            proposed.id,
            conversation_id,
            turn,
            proposed.intent,
            proposed.tool,
            proposed.digest,
            proposed.policy_version,
            "waiting" if waits else "open",
            cipher.seal_json(sealed, f"proposal:{proposed.id}"),
            LASTS_S,
        ),
    )


async def get(tx: Transaction, keys: KeyRing, proposal_id: str) -> Standing:
    """One proposal as it stands.

    Raises:
        UnknownProposal: there is none.
    """
    cursor = await tx.execute(
        "SELECT p.*, p.expires_at <= clock_timestamp() AS expired, c.subject_id FROM proposals p"
        " JOIN conversations c ON c.id = p.conversation_id WHERE p.id = %s",
        (proposal_id,),
    )
    row = await cursor.fetchone()
    if row is None:
        raise UnknownProposal(f"no proposal {proposal_id}")
    subject = await keys.cipher(tx, row["subject_id"])
    sealed = _opened(subject, row["sealed"], proposal_id)
    proposed = Proposed(
        id=row["id"],
        intent=row["intent"],
        tool=row["tool"],
        digest=row["digest"],
        policy_version=row["policy_version"],
        canonical=sealed["canonical"],
        customer_id=sealed["customer_id"],
        essentials=tuple(sealed["essentials"]),
    )
    return Standing(
        proposed=proposed,
        conversation_id=row["conversation_id"],
        turn=row["turn"],
        status=row["status"],
        heard=row["heard_at"] is not None,
        expired=row["expired"],
        approved_by=row["approved_by"],
        reason=row["reason"],
    )


async def of(tx: Transaction, conversation_id: str) -> builtins.list[dict[str, Any]]:
    """A conversation's proposals without anything personal, oldest first."""
    cursor = await tx.execute(
        "SELECT id, turn, intent, tool, digest, policy_version, status, reason, approved_by, heard_at,"
        " expires_at, consent, consented_at, created_at FROM proposals WHERE conversation_id = %s"
        " ORDER BY created_at, id",
        (conversation_id,),
    )
    return await cursor.fetchall()


async def heard(tx: Transaction, proposal_id: str) -> None:
    """The caller heard the last essential value of the read-back. The first time counts."""
    await tx.execute(
        "UPDATE proposals SET heard_at = coalesce(heard_at, clock_timestamp())"
        " WHERE id = %s AND status = 'open'",
        (proposal_id,),
    )


async def asked_again(tx: Transaction, proposal_id: str, *, turn: int) -> None:
    """A later turn asks for the same yes: the one after that may give it."""
    await tx.execute("UPDATE proposals SET turn = %s WHERE id = %s AND status = 'open'", (turn, proposal_id))


async def close_open(
    tx: Transaction,
    conversation_id: str,
    *,
    keep: str | None,
    status: Literal["declined", "voided"] = "voided",
    reason: str,
) -> bool:
    """Whatever else than ``keep`` is still open in the conversation can be agreed to no more.

    What waits for a person's approval has not been asked yet, and goes on waiting.
    """
    cursor = await tx.execute(
        "UPDATE proposals SET status = %s, reason = %s WHERE conversation_id = %s"
        " AND status = 'open' AND id IS DISTINCT FROM %s",
        (status, reason, conversation_id, keep),
    )
    return cursor.rowcount > 0


async def approve(tx: Transaction, proposal_id: str, *, by: str, turn: int) -> bool:
    """A person approved what waits, and ``turn`` reads it back. False: it does not wait (any more)."""
    cursor = await tx.execute(
        "UPDATE proposals SET status = 'open', approved_by = %s, turn = %s,"
        " expires_at = clock_timestamp() + make_interval(secs => %s) WHERE id = %s AND status = 'waiting'",
        (by, turn, LASTS_S, proposal_id),
    )
    return cursor.rowcount == 1


async def drop(tx: Transaction, proposal_id: str, *, reason: str) -> None:
    """What waits for a person will not be approved."""
    await tx.execute(
        "UPDATE proposals SET status = 'voided', reason = %s WHERE id = %s AND status = 'waiting'",
        (reason, proposal_id),
    )


async def read_again(tx: Transaction, proposal_id: str, *, turn: int) -> None:
    """The same proposal is read back again by ``turn``, and may be answered for as long as the first time."""
    await tx.execute(
        "UPDATE proposals SET turn = %s, expires_at = clock_timestamp() + make_interval(secs => %s)"
        " WHERE id = %s AND status = 'open'",
        (turn, LASTS_S, proposal_id),
    )


async def consent(
    tx: Transaction, proposal_id: str, *, digest: str, policy_version: str, turn: int, by: Consent
) -> bool:
    """Takes the yes of ``turn``, once. False if it counts for nothing: another digest or policy, not heard,
    expired, not asked for by the turn before, or not open (any more).
    """
    cursor = await tx.execute(
        "UPDATE proposals SET status = 'consented', consent = %s, consented_at = clock_timestamp()"
        " WHERE id = %s AND status = 'open' AND digest = %s AND policy_version = %s AND turn = %s"
        " AND heard_at IS NOT NULL AND expires_at > clock_timestamp()",
        (by, proposal_id, digest, policy_version, turn - 1),
    )
    return cursor.rowcount == 1


async def settle(tx: Transaction, proposal_id: str, status: Settled) -> None:
    """What came of the act that was agreed to; what is known does not become unknown again."""
    await tx.execute(
        "UPDATE proposals SET status = %s WHERE id = %s AND status IN ('consented', 'unknown')",
        (status, proposal_id),
    )


def _opened(subject: Cipher, sealed: bytes, proposal_id: str) -> dict[str, Any]:
    """Under the vault's key; a node of the version before sealed it under the subject's own."""
    context = f"proposal:{proposal_id}"
    try:
        return vault_cipher(subject).open_json(sealed, context)
    except SealBroken:
        return subject.open_json(sealed, context)
