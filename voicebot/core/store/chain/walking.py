"""Judges a shard link by link. Pure: links in the order of their ``seq`` in, the first that is wrong out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from voicebot.core.store.chain.form import FORM, content_of, link_of
from voicebot.core.store.chain.sealing import Proofs

_FAR = 100_000
"""How far from its place a moved link is looked for, to name where it belongs."""


class Wrong(StrEnum):
    """What can be wrong."""

    EDITED = "edited"
    DELETED = "deleted"
    INSERTED = "inserted"
    REORDERED = "reordered"
    RESEALED = "resealed"
    CUT = "cut"
    HEAD = "head"
    REWRITTEN = "rewritten"
    ANCHORS = "anchors"
    PRUNE = "prune"
    ADOPTION = "adoption"


@dataclass(frozen=True, slots=True)
class Bad:
    """The first thing that is wrong somewhere.

    Attributes:
        what: what is wrong.
        why: in words, for people.
        shard: of the chain; None: outside all shards.
        seq: place in the shard.
        table: of the row.
        record: its ``seq`` in the table.
    """

    what: Wrong
    why: str
    shard: str | None = None
    seq: int | None = None
    table: str | None = None
    record: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)

    def __str__(self) -> str:
        place = f"shard {self.shard}" if self.shard else "outside the chain"
        place += f", seq {self.seq}" if self.seq is not None else ""
        place += f", {self.table} row {self.record}" if self.record is not None else ""
        return f"{place}: {self.what}: {self.why}"


@dataclass(frozen=True, slots=True)
class Link:
    """A link as stored, with its row's columns (None: the row is gone)."""

    seq: int
    tier: int
    record: int
    form: int
    content: bytes
    prev: bytes
    hash: bytes
    key_id: str
    seal: bytes
    columns: tuple[str | None, ...] | None


Elsewhere = Callable[[bytes], int | None]
"""The ``seq`` of another link of the shard with this content, if there is one."""


class Walk:
    """Goes through one shard.

    Args:
        shard: its name.
        table: of its rows.
        seq: the last place before the first link: 0, or where it was pruned.
        prev: the hash there.
        proofs: the seal keys.
        elsewhere: to tell a swapped row from an edited one.
    """

    def __init__(
        self, shard: str, table: str, *, seq: int, prev: bytes, proofs: Proofs, elsewhere: Elsewhere
    ) -> None:
        self.shard = shard
        self.table = table
        self.seq = seq
        self.hash = prev
        self._proofs = proofs
        self._elsewhere = elsewhere

    def step(self, link: Link) -> Bad | None:
        """Judges the next link; None: it is genuine, and the walk stands on it."""
        if link.seq > self.seq + 1:
            gone = f"{self.seq + 1}" + (f" to {link.seq - 1}" if link.seq > self.seq + 2 else "")
            why = f"link {gone} is gone; what follows is {self.table} row {link.record}"
            return Bad(Wrong.DELETED, why, self.shard, self.seq + 1, self.table)
        if link.seq <= self.seq:
            return self._bad(link, Wrong.INSERTED, "a second link at this place")
        if link.columns is None:
            return self._bad(link, Wrong.DELETED, "the row is gone, its link is not")
        bad = self._changed(link, content_of(link.columns))
        if bad is None:
            self.seq, self.hash = link.seq, link.hash
        return bad

    def _changed(self, link: Link, content: bytes) -> Bad | None:
        follows = self._hash(link, self.hash, link.seq, content) == link.hash
        sealed = self._proofs.holds(link.key_id, "link", link.hash, link.seal)
        if follows and sealed:
            return self._own_columns(link, content)
        if sealed is None:
            return self._bad(link, Wrong.RESEALED, f"sealed with {link.key_id}, which is no key of ours")
        if follows:
            return self._bad(link, Wrong.RESEALED, "the seal is not ours")
        if not sealed:
            return self._unsealed(link, content)
        place = self._elsewhere(content) if content != link.content else None
        if place is not None and place != link.seq:
            return self._bad(link, Wrong.REORDERED, f"holds what belongs to seq {place}")
        if content == link.content and (place := self._true_place(link)) is not None:
            why = f"this row belongs to seq {place}" if place != link.seq else "what it followed was replaced"
            return self._bad(link, Wrong.REORDERED, why)
        return self._bad(link, Wrong.EDITED, "the row is not what was sealed")

    def _own_columns(self, link: Link, content: bytes) -> Bad | None:
        """The hash binds everything but the copies beside it."""
        if link.content != content or link.prev != self.hash or link.form != FORM:
            return self._bad(link, Wrong.EDITED, "the link's own columns were changed; the row is genuine")
        return None

    def _unsealed(self, link: Link, content: bytes) -> Bad:
        ours = self._hash(link, self.hash, link.seq, content)
        if self._proofs.holds(link.key_id, "link", ours, link.seal):
            return self._bad(link, Wrong.EDITED, "the link's hash was changed; the row is genuine")
        stored = self._hash(link, self.hash, link.seq, link.content)
        if self._proofs.holds(link.key_id, "link", stored, link.seal):
            return self._bad(link, Wrong.EDITED, "the row and its link's hash were changed")
        return self._bad(link, Wrong.INSERTED, "neither follows what is before it nor bears our seal")

    def _true_place(self, link: Link) -> int | None:
        near = range(max(1, link.seq - _FAR), link.seq + _FAR)
        return next(
            (seq for seq in near if self._hash(link, link.prev, seq, link.content) == link.hash), None
        )

    def _hash(self, link: Link, prev: bytes, seq: int, content: bytes) -> bytes:
        return link_of(
            prev,
            shard=self.shard,
            seq=seq,
            tier=link.tier,
            record=link.record,
            form=link.form,
            content=content,
        )

    def _bad(self, link: Link, what: Wrong, why: str) -> Bad:
        return Bad(what, why, self.shard, link.seq, self.table, link.record)
