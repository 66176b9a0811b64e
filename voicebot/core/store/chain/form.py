"""What is hashed: form 1 of a row, a link, a head. Pure; anyone can check it without our code.

A row's content is ``SHA-256("voicebot audit content 1" | 0 | JSON)`` of the array of its columns as Postgres
prints what it has STORED: jsonb as its text (so with Postgres' order of keys), times as seconds since 1970
with their microseconds (so in no time zone), arrays as JSON. A link is ``SHA-256("voicebot audit link 1" |
0 | previous hash | JSON [shard, seq, tier, record, form] | content)``. The first link of a shard follows
``SHA-256("voicebot audit genesis 1" | 0 | JSON [chain id, shard])``. JSON is ASCII without spaces.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

FORM = 1
SHARDS = 16
"""Of tier 1. Two commits of different calls meet in one shard with a chance of 1 in 16."""
SHARDS_LATER = 4
"""Of tier 2, where only relays write."""

ACTIONS, ACCESSES = 1, 2
"""The tiers."""


@dataclass(frozen=True, slots=True)
class Tier:
    """A table that is chained.

    Attributes:
        number: 1 or 2, in links and names of shards.
        table: its name.
        columns: SQL of what is hashed beside ``seq``, in order. A column more is another `FORM`.
    """

    number: int
    table: str
    columns: tuple[str, ...]

    def select(self, alias: str) -> str:
        """The columns as one JSON array of texts, nulls kept: the same whatever reads it."""
        listed = ", ".join(column.format(a=alias) for column in self.columns)
        return f"ARRAY[{listed}]::text[]"


TIERS = {
    ACTIONS: Tier(
        ACTIONS,
        "audit",
        (
            "{a}.kind", "{a}.what", "{a}.actor", "{a}.reason", "{a}.facts::text", "{a}.conversation_id",
            "{a}.turn::text", "{a}.transaction_id", "extract(epoch FROM {a}.at)::text",
        ),
    ),
    ACCESSES: Tier(
        ACCESSES,
        "access_log",
        (
            "{a}.id", "{a}.entry", "{a}.actor", "{a}.resource", "to_jsonb({a}.fields)::text", "{a}.purpose",
            "{a}.conversation_id", "{a}.turn::text", "{a}.discarded::text",
            "extract(epoch FROM {a}.at)::text",
        ),
    ),
}  # fmt: skip


def shard_of(tier: int, conversation_id: str | None) -> str:
    """``1-07``: where a conversation's rows are chained; what has no conversation, in the first."""
    count = SHARDS if tier == ACTIONS else SHARDS_LATER
    if conversation_id is None:
        return f"{tier}-00"
    digest = hashlib.sha256(conversation_id.encode()).digest()
    return f"{tier}-{int.from_bytes(digest[:4]) % count:02d}"


def old_shard(tier: int) -> str:
    """Where rows of before the chain are."""
    return f"{tier}-old"


def content_of(values: Sequence[str | None]) -> bytes:
    """The digest of a row's columns."""
    return _digest("content", _json(list(values)))


def genesis_of(chain_id: str, shard: str) -> bytes:
    """What the first link of a shard follows."""
    return _digest("genesis", _json([chain_id, shard]))


def link_of(prev: bytes, *, shard: str, seq: int, tier: int, record: int, form: int, content: bytes) -> bytes:
    """The hash of a link."""
    return _digest("link", prev + _json([shard, seq, tier, record, form]) + content)


def prune_of(chain_id: str, *, shard: str, up_to: int, hash: bytes, rows: int, before: str) -> bytes:
    """What is sealed when a shard is pruned. ``before``: seconds since 1970, as Postgres prints them."""
    return _digest("prune", _json([chain_id, shard, up_to, hash.hex(), rows, before]))


def _digest(what: str, data: bytes) -> bytes:
    return hashlib.sha256(f"voicebot audit {what} {FORM}".encode() + b"\0" + data).digest()


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
