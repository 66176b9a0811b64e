"""Which node holds the media of a call, so that a dead node's calls are brought back by another.

A node renews all its leases every second; one that is not renewed for ``ttl_s`` has lost its
calls, and exactly one other node claims each (the database decides, by its own clock).
"""

from __future__ import annotations

from dataclasses import dataclass

from voicebot.core.store.database import Transaction

CLAIM_S = 10.0
"""A claimed call whose media is not back by then may be claimed again (its claimer may have died)."""


@dataclass(frozen=True)
class LostCall:
    """A call without media that this node, and no other, shall bring back. ``claims`` counts from 1."""

    call_sid: str
    conversation_id: str
    claims: int = 1


class Leases:
    """One node's view of the leases.

    Args:
        node_id: unique to this process's life, so that a restarted node is another one.
        address: where other processes reach this node (``http://...``).
        ttl_s: seconds without renewal after which the node counts as dead.
    """

    def __init__(self, node_id: str, address: str, ttl_s: float = 3.0) -> None:
        self.node_id = node_id
        self.address = address
        self.ttl_s = ttl_s

    async def take(self, tx: Transaction, call_sid: str, conversation_id: str, stream_sid: str) -> None:
        """Says that this node has the call's media from now on, whoever had it before."""
        await tx.execute(
            "INSERT INTO leases (call_sid, conversation_id, stream_sid, node_id, address, expires_at)"
            " VALUES (%s, %s, %s, %s, %s, clock_timestamp() + make_interval(secs => %s))"
            " ON CONFLICT (call_sid) DO UPDATE SET conversation_id = excluded.conversation_id,"
            " stream_sid = excluded.stream_sid, node_id = excluded.node_id, address = excluded.address,"
            " status = 'held', claims = 0, taken_at = now(), expires_at = excluded.expires_at",
            (call_sid, conversation_id, stream_sid, self.node_id, self.address, self.ttl_s),
        )

    async def renew(self, tx: Transaction) -> frozenset[str]:
        """Renews all leases of this node, expired ones too if nobody claimed them yet.

        Returns:
            The CallSids it still holds. A call that is missing was taken by another node.
        """
        cursor = await tx.execute(
            "UPDATE leases SET expires_at = clock_timestamp() + make_interval(secs => %s)"
            " WHERE node_id = %s AND status = 'held' RETURNING call_sid",
            (self.ttl_s, self.node_id),
        )
        return frozenset(row["call_sid"] for row in await cursor.fetchall())

    async def release(self, tx: Transaction, call_sid: str, *, lost: bool = False) -> None:
        """The call's media is over. ``lost``: it was cut and may be claimed at once, by this node too.

        Does nothing if another node has taken the call.
        """
        if lost:
            await tx.execute(
                "UPDATE leases SET status = 'lost', expires_at = clock_timestamp()"
                " WHERE call_sid = %s AND node_id = %s AND status = 'held'",
                (call_sid, self.node_id),
            )
        else:
            await tx.execute(
                "DELETE FROM leases WHERE call_sid = %s AND node_id = %s", (call_sid, self.node_id)
            )

    async def claim_lost(self, tx: Transaction) -> list[LostCall]:
        """Calls whose node died (or that were released as lost) and whose conversation is still live.

        Each is given to exactly one node, for `CLAIM_S`. Leases of conversations that are no
        longer live (ended, or with a person) are dropped.
        """
        await tx.execute(
            "DELETE FROM leases WHERE call_sid IN (SELECT l.call_sid FROM leases l"
            " JOIN conversations c ON c.id = l.conversation_id"
            " WHERE l.expires_at < clock_timestamp() AND c.status <> 'live' FOR UPDATE OF l SKIP LOCKED)"
        )
        cursor = await tx.execute(
            "UPDATE leases SET status = 'claimed', claims = claims + 1, node_id = %(node)s,"
            " address = %(address)s, expires_at = clock_timestamp() + make_interval(secs => %(claim_s)s)"
            " WHERE call_sid IN (SELECT call_sid FROM leases WHERE expires_at < clock_timestamp()"
            " AND (status <> 'held' OR node_id <> %(node)s) FOR UPDATE SKIP LOCKED)"
            " RETURNING call_sid, conversation_id, claims",
            {"node": self.node_id, "address": self.address, "claim_s": CLAIM_S},
        )
        return [LostCall(**row) for row in await cursor.fetchall()]

    async def holder(self, tx: Transaction, conversation_id: str) -> str | None:
        """Address of the node that has a conversation's media now, None if no living node has."""
        cursor = await tx.execute(
            "SELECT address FROM leases WHERE conversation_id = %s AND status = 'held'"
            " AND expires_at > clock_timestamp()",
            (conversation_id,),
        )
        row = await cursor.fetchone()
        return None if row is None else row["address"]
