"""Handoffs to a person: what the agent gets, sealed; what the queue needs, in the clear.

Who takes one is settled here: `claim` is one compare-and-swap, so of two agents at once, of a phone and a
desk, one has it and the other learns who. Every step leaves a line in ``handoff_changes``, in the same
transaction; that is what systems outside are told from.
"""

from __future__ import annotations

import builtins
import secrets
from typing import Any, Literal

from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing

_COLUMNS = (
    "id, conversation_id, turn, trigger, urgency, skill, priority, status, claimed_by, declined_by,"
    " created_at, changed_at, accepted_at, done_at"
)

Status = Literal["waiting", "offered", "accepted", "bridged", "done", "missed", "callback"]
"""``waiting`` for somebody; ``offered``: a person's phone rings; ``accepted``: somebody has it; ``bridged``:
they speak; ``missed``: the caller left or nobody came; ``callback``: a call back is booked."""

FREE: tuple[Status, ...] = ("waiting", "offered", "missed", "callback")
"""Nobody has it: it may be claimed."""
HELD: tuple[Status, ...] = ("accepted", "bridged")
FOLLOWS: dict[Status, tuple[Status, ...]] = {
    "waiting": ("offered", "missed", "callback", "done"),
    "offered": ("waiting", "missed", "callback", "done"),
    "accepted": ("bridged", "waiting", "missed", "callback", "done"),
    "bridged": ("waiting", "missed", "callback", "done"),
    "missed": ("waiting", "offered", "callback", "done"),
    "callback": ("waiting", "offered", "missed", "done"),
    "done": (),
}
"""What may come after each by `move`; ``accepted`` comes by `claim` alone."""


class UnknownHandoff(LookupError):
    """There is no such handoff."""


async def save(
    tx: Transaction,
    keys: KeyRing,
    *,
    conversation_id: str,
    turn: int,
    trigger: str,
    urgency: str,
    payload: dict[str, Any],
    skill: str = "general",
    priority: int = 30,
) -> str:
    """Stores a handoff, status ``waiting``; once per turn: twice gives the first one's id.

    ``skill``: the team it is for. ``priority``: 0 to 100, see `voicebot.handoff.queue`.

    Returns:
        ``ho_`` and 32 hex digits.
    """
    handoff_id = f"ho_{secrets.token_hex(16)}"
    cipher = await keys.cipher_of(tx, conversation_id)
    cursor = await tx.execute(
        "INSERT INTO handoffs (id, conversation_id, turn, trigger, urgency, skill, priority, sealed_payload)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (conversation_id, turn) DO NOTHING RETURNING id",
        (
            handoff_id,
            conversation_id,
            turn,
            trigger,
            urgency,
            skill,
            priority,
            cipher.seal_json(payload, f"handoff:{conversation_id}:{turn}"),
        ),
    )
    if await cursor.fetchone() is not None:
        await _changed(tx, handoff_id, "requested", None)
        return handoff_id
    existing = await (
        await tx.execute(
            "SELECT id FROM handoffs WHERE conversation_id = %s AND turn = %s", (conversation_id, turn)
        )
    ).fetchone()
    assert existing is not None
    return existing["id"]


async def list(
    tx: Transaction,
    *,
    status: str | None = None,
    conversation_id: str | None = None,
    skill: str | None = None,
    limit: int = 100,
) -> builtins.list[dict[str, Any]]:
    """Handoffs without their payload, those that wait longest first."""
    cursor = await tx.execute(
        f"SELECT {_COLUMNS} FROM handoffs WHERE (%(status)s::text IS NULL OR status = %(status)s)"  # noqa: S608  # constant
        " AND (%(conversation)s::text IS NULL OR conversation_id = %(conversation)s)"
        " AND (%(skill)s::text IS NULL OR skill = %(skill)s)"
        " ORDER BY created_at, id LIMIT %(limit)s",
        {"status": status, "conversation": conversation_id, "skill": skill, "limit": limit},
    )
    return await cursor.fetchall()


async def neglected(tx: Transaction, after_s: float) -> builtins.list[dict[str, Any]]:
    """Critical handoffs of the last day that nobody has picked up for ``after_s`` seconds.

    A call that is being put through is not among them; one that ended without a person is.

    Returns:
        Dicts of ``id, conversation_id, channel, trigger`` and ``waited_s``, those that wait longest first.
    """
    cursor = await tx.execute(
        "SELECT h.id, h.conversation_id, c.channel, h.trigger,"
        " extract(epoch FROM clock_timestamp() - h.created_at)::float8 AS waited_s"
        " FROM handoffs h JOIN conversations c ON c.id = h.conversation_id"
        " WHERE h.status IN ('waiting', 'offered', 'missed') AND h.urgency = 'critical'"
        " AND h.created_at < clock_timestamp() - make_interval(secs => %s)"
        " AND h.created_at > clock_timestamp() - interval '1 day'"
        " AND (c.channel = 'chat' OR (c.status = 'ended' AND c.end_reason <> 'person_took_over'))"
        " ORDER BY h.created_at LIMIT 100",
        (after_s,),
    )
    return await cursor.fetchall()


async def get(tx: Transaction, keys: KeyRing, handoff_id: str) -> dict[str, Any]:
    """One handoff with its ``payload`` opened.

    Raises:
        UnknownHandoff: there is none.
    """
    cursor = await tx.execute(
        f"SELECT {_COLUMNS}, sealed_payload, (SELECT subject_id FROM conversations c"  # noqa: S608  # constant
        " WHERE c.id = conversation_id) AS subject_id FROM handoffs WHERE id = %s",
        (handoff_id,),
    )
    row = await cursor.fetchone()
    if row is None:
        raise UnknownHandoff(f"no handoff {handoff_id}")
    cipher = await keys.cipher(tx, row.pop("subject_id"))
    sealed = row.pop("sealed_payload")
    row["payload"] = cipher.open_json(sealed, f"handoff:{row['conversation_id']}:{row['turn']}")
    return row


async def bare(tx: Transaction, handoff_id: str) -> dict[str, Any]:
    """One handoff without its payload, which need not be readable any more.

    Raises:
        UnknownHandoff: there is none.
    """
    cursor = await tx.execute(
        f"SELECT {_COLUMNS} FROM handoffs WHERE id = %s",  # noqa: S608  # constant
        (handoff_id,),
    )
    row = await cursor.fetchone()
    if row is None:
        raise UnknownHandoff(f"no handoff {handoff_id}")
    return row


async def claim(tx: Transaction, handoff_id: str, who: str) -> bool:
    """Gives it to ``who`` (an agent's id, a destination's name) if nobody has it: one compare-and-swap.

    Returns:
        Whether ``who`` has it now, also from before. `holder` names the other one.

    Raises:
        UnknownHandoff: there is none.
    """
    cursor = await tx.execute(
        "UPDATE handoffs SET status = 'accepted', claimed_by = %s, accepted_at = clock_timestamp(),"
        " changed_at = clock_timestamp() WHERE id = %s AND status = ANY(%s)",
        (who, handoff_id, [*FREE]),
    )
    if cursor.rowcount == 1:
        await _changed(tx, handoff_id, "accepted", who)
        return True
    status, holds = await _standing(tx, handoff_id)
    return status in HELD and holds == who


async def decline(tx: Transaction, handoff_id: str, who: str) -> bool:
    """``who`` does not take it, or gives it back: it waits for somebody else, and keeps its age.

    Returns:
        False if another has it, or it is done.

    Raises:
        UnknownHandoff: there is none.
    """
    cursor = await tx.execute(
        "UPDATE handoffs SET claimed_by = NULL, accepted_at = NULL, changed_at = clock_timestamp(),"
        " status = CASE WHEN status IN ('offered', 'accepted', 'bridged') THEN 'waiting' ELSE status END,"
        " declined_by = array_append(array_remove(declined_by, %(who)s), %(who)s)"
        " WHERE id = %(id)s"
        " AND (status = ANY(%(free)s) OR (status = ANY(%(held)s) AND claimed_by = %(who)s))",
        {"who": who, "id": handoff_id, "free": [*FREE], "held": [*HELD]},
    )
    if cursor.rowcount == 1:
        await _changed(tx, handoff_id, "declined", who)
        return True
    await _standing(tx, handoff_id)
    return False


async def finish(tx: Transaction, handoff_id: str, who: str) -> bool:
    """``who``, who has it, is done with it. True also if they had said so before.

    Raises:
        UnknownHandoff: there is none.
    """
    cursor = await tx.execute(
        "UPDATE handoffs SET status = 'done', done_at = clock_timestamp(), changed_at = clock_timestamp()"
        " WHERE id = %s AND status = ANY(%s) AND claimed_by = %s",
        (handoff_id, [*HELD], who),
    )
    if cursor.rowcount == 1:
        await _changed(tx, handoff_id, "done", who)
        return True
    return await _standing(tx, handoff_id) == ("done", who)


async def move(tx: Transaction, handoff_id: str, to: Status, *, who: str | None = None) -> bool:
    """A step that the server itself sees: a phone rings, two are connected, the caller left.

    Whoever had it has it no more when it is free again.

    Args:
        tx: the transaction.
        handoff_id: ``ho_...``.
        to: see `FOLLOWS`; never ``accepted``.
        who: whose phone rings, who left.

    Returns:
        False if this does not follow from how it stands, or stands there already.

    Raises:
        UnknownHandoff: there is none.
        ValueError: ``to`` is no status that this can give.
    """
    before = [status for status, after in FOLLOWS.items() if to in after]
    if not before:
        raise ValueError(
            f"{to!r} cannot be set: `claim` accepts; else one of {', '.join(FREE)}, bridged, done"
        )
    cursor = await tx.execute(
        "UPDATE handoffs SET status = %(to)s, changed_at = clock_timestamp(),"
        " claimed_by = CASE WHEN %(free)s THEN NULL ELSE claimed_by END,"
        " accepted_at = CASE WHEN %(free)s THEN NULL ELSE accepted_at END,"
        " done_at = CASE WHEN %(to)s = 'done' THEN clock_timestamp() END"
        " WHERE id = %(id)s AND status = ANY(%(before)s)",
        {"to": to, "id": handoff_id, "free": to in FREE, "before": before},
    )
    if cursor.rowcount == 1:
        await _changed(tx, handoff_id, to, who)
        return True
    await _standing(tx, handoff_id)
    return False


async def holder(tx: Transaction, handoff_id: str) -> str | None:
    """Who has it, or had it when it was done; None: nobody.

    Raises:
        UnknownHandoff: there is none.
    """
    return (await _standing(tx, handoff_id))[1]


async def waiting(tx: Transaction) -> builtins.list[dict[str, Any]]:
    """All that wait for somebody, for ranking.

    Returns:
        Dicts of ``id, conversation_id, skill, priority, status, declined_by, created_at`` and ``live``:
        somebody is on the line or in the chat.
    """
    cursor = await tx.execute(
        "SELECT h.id, h.conversation_id, h.skill, h.priority, h.status, h.declined_by, h.created_at,"
        " c.status <> 'ended' AS live FROM handoffs h JOIN conversations c ON c.id = h.conversation_id"
        " WHERE h.status IN ('waiting', 'offered') ORDER BY h.created_at, h.id"
    )
    return await cursor.fetchall()


async def under_way(tx: Transaction) -> builtins.list[dict[str, Any]]:
    """Those that somebody has: ``skill, claimed_by`` and ``talked_s`` since it was accepted."""
    cursor = await tx.execute(
        "SELECT skill, claimed_by, extract(epoch FROM clock_timestamp() - accepted_at)::float8 AS talked_s"
        " FROM handoffs WHERE status IN ('accepted', 'bridged') ORDER BY accepted_at, id"
    )
    return await cursor.fetchall()


async def talk_times(tx: Transaction, skill: str, *, latest: int = 50) -> builtins.list[float]:
    """Seconds from accepted to done of a team's latest ones."""
    cursor = await tx.execute(
        "SELECT extract(epoch FROM done_at - accepted_at)::float8 AS talked_s FROM handoffs"
        " WHERE status = 'done' AND skill = %s AND accepted_at IS NOT NULL ORDER BY done_at DESC LIMIT %s",
        (skill, latest),
    )
    return [row["talked_s"] for row in await cursor.fetchall()]


async def changes(tx: Transaction, handoff_id: str) -> builtins.list[dict[str, Any]]:
    """What happened to it, in order: ``seq, what, who, at``."""
    cursor = await tx.execute(
        "SELECT seq, what, who, at FROM handoff_changes WHERE handoff_id = %s ORDER BY seq", (handoff_id,)
    )
    return await cursor.fetchall()


async def resummarise(tx: Transaction, keys: KeyRing, handoff_id: str, payload: dict[str, Any]) -> bool:
    """Puts ``payload`` in place of the stored one, once, while nobody is done with it.

    Raises:
        UnknownHandoff: there is none.
    """
    row = await get(tx, keys, handoff_id)
    cipher = await keys.cipher_of(tx, row["conversation_id"])
    sealed = cipher.seal_json(payload, f"handoff:{row['conversation_id']}:{row['turn']}")
    cursor = await tx.execute(
        "UPDATE handoffs SET sealed_payload = %s, summarised = clock_timestamp()"
        " WHERE id = %s AND summarised IS NULL AND status <> 'done'",
        (sealed, handoff_id),
    )
    if cursor.rowcount == 1:
        await _changed(tx, handoff_id, "summarised", None)
    return cursor.rowcount == 1


async def _standing(tx: Transaction, handoff_id: str) -> tuple[str, str | None]:
    cursor = await tx.execute("SELECT status, claimed_by FROM handoffs WHERE id = %s", (handoff_id,))
    row = await cursor.fetchone()
    if row is None:
        raise UnknownHandoff(f"no handoff {handoff_id}")
    return row["status"], row["claimed_by"]


async def _changed(tx: Transaction, handoff_id: str, what: str, who: str | None) -> None:
    await tx.execute(
        "INSERT INTO handoff_changes (handoff_id, what, who) VALUES (%s, %s, %s)", (handoff_id, what, who)
    )
