"""Walks the whole chain of a database in one snapshot, and says what is wrong first, and where.

It opens a connection of its own, without the short time limits of calls, and only reads. The anchors are read
before the snapshot is taken, so that none is newer than what it is compared with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, LiteralString, cast

import psycopg
from psycopg import IsolationLevel
from psycopg.rows import DictRow, dict_row

from voicebot.core.store.chain.anchors import AnchorFile, read_anchors
from voicebot.core.store.chain.form import ACTIONS, TIERS, Tier, genesis_of, old_shard, prune_of
from voicebot.core.store.chain.sealing import Proofs
from voicebot.core.store.chain.walking import Bad, Link, Walk, Wrong
from voicebot.core.store.database import DatabaseDown
from voicebot.core.store.keys import KeyRing, WrongMasterKey

_FETCH = 2_000

Connection = psycopg.Connection[DictRow]


@dataclass(frozen=True, slots=True)
class Pruned:
    """A shard's beginning that was deleted because its time was over."""

    shard: str
    up_to: int
    rows: int
    before: datetime


@dataclass
class Verdict:
    """What verifying found.

    Attributes:
        links: how many were walked, by shard.
        bad: the first wrong thing of each shard, then what is outside all; empty: all is genuine.
        pruned: what retention deleted, signed for.
        anchors: how many anchored heads were found again.
        notes: what is worth knowing and not wrong.
    """

    links: dict[str, int] = field(default_factory=dict[str, int])
    bad: list[Bad] = field(default_factory=list[Bad])
    pruned: list[Pruned] = field(default_factory=list[Pruned])
    anchors: int = 0
    notes: list[str] = field(default_factory=list[str])

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not self.bad

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return {
            "ok": self.ok,
            "links": self.links,
            "anchors": self.anchors,
            "pruned": [
                {"shard": one.shard, "up_to": one.up_to, "rows": one.rows, "before": one.before.isoformat()}
                for one in self.pruned
            ],
            "first": self.bad[0].as_dict() if self.bad else None,
            "bad": [one.as_dict() for one in self.bad],
            "notes": self.notes,
        }


def verify(url: str, keys: KeyRing, *, anchors: Sequence[Path] = (), quick: bool = False) -> Verdict:
    """Walks all shards.

    Args:
        url: the database.
        keys: with its master key.
        anchors: files to hold against it.
        quick: only each shard's last link, its seal, and the anchored places: for a doctor.

    Raises:
        DatabaseDown: it cannot be reached.
        WrongMasterKey: it says itself that it was written with another one.
        OSError: an anchor file cannot be read.
    """
    try:
        with psycopg.Connection[DictRow].connect(
            url, row_factory=dict_row, application_name="voicebot-audit"
        ) as connection:
            written = connection.execute("SELECT key_id FROM key_check").fetchone()
            if written is not None and written["key_id"] != keys.key_id:
                raise WrongMasterKey(
                    f"the database was written with master key {written['key_id']}, this is {keys.key_id}: "
                    "no seal can be checked. Set VOICEBOT_MASTER_KEY to the key it was written with"
                )
            proofs = Proofs.of(keys, connection.execute("SELECT * FROM audit_keys").fetchall())
            files = [read_anchors(path, proofs) for path in anchors]
            connection.rollback()
            connection.isolation_level = IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            connection.execute("SET LOCAL TIME ZONE 'UTC'")
            return _Verifying(connection, keys, files, quick=quick).run()
    except psycopg.OperationalError as error:
        raise DatabaseDown(f"the audit cannot be read: {str(error).strip().splitlines()[0]}") from error


class _Verifying:
    def __init__(
        self, connection: Connection, keys: KeyRing, files: Sequence[AnchorFile], *, quick: bool
    ) -> None:
        self._connection = connection
        self._proofs = Proofs.of(keys, connection.execute("SELECT * FROM audit_keys").fetchall())
        self._files = files
        self._quick = quick
        self._chain = connection.execute("SELECT * FROM audit_chain").fetchone()
        self._heads = {
            row["shard"]: row
            for row in connection.execute("SELECT * FROM audit_heads ORDER BY shard").fetchall()
        }
        self._prunes = {
            row["shard"]: row
            for row in connection.execute(
                "SELECT *, extract(epoch FROM before)::text AS before_s FROM audit_prunes"
            ).fetchall()
        }
        self._verdict = Verdict()
        self._adopted: dict[str, Any] | None = None

    def run(self) -> Verdict:
        verdict = self._verdict
        if self._chain is None:
            verdict.bad.append(Bad(Wrong.HEAD, "audit_chain is empty: nothing can be proved"))
            return verdict
        anchored = self._anchored()
        linked = self._connection.execute("SELECT DISTINCT shard FROM audit_links").fetchall()
        for shard in sorted({*self._heads, *self._prunes, *anchored, *(row["shard"] for row in linked)}):
            bad = self._shard(shard, anchored.get(shard, {}))
            if bad is not None:
                verdict.bad.append(bad)
        if not self._quick:
            for tier in TIERS.values():
                self._unlinked(tier)
            self._adoption()
        verdict.bad += [file.bad for file in self._files if file.bad is not None]
        waiting = self._connection.execute("SELECT count(*) AS n FROM audit_outbox").fetchone()
        if waiting is not None and waiting["n"]:
            verdict.notes.append(f"{waiting['n']} reads wait to be chained; a running server does that")
        return verdict

    def _anchored(self) -> dict[str, dict[int, tuple[bytes, str]]]:
        """Shard -> seq -> (hash, where it is written), of this chain only."""
        assert self._chain is not None
        places: dict[str, dict[int, tuple[bytes, str]]] = {}
        for file in self._files:
            mine = [one for one in file.anchors if one.chain_id == self._chain["chain_id"]]
            if file.anchors and not mine:
                why = f"{file.path.name} anchors another database: this one was replaced"
                self._verdict.bad.append(Bad(Wrong.REWRITTEN, why))
            elif len(mine) < len(file.anchors):
                others = len(file.anchors) - len(mine)
                self._verdict.notes.append(f"{file.path.name}: {others} anchors are of another database")
            if file.torn:
                self._verdict.notes.append(f"{file.path.name} ends in an unfinished line, as after a crash")
            for anchor in mine:
                for shard, (seq, digest) in anchor.heads.items():
                    where = f"{file.path.name} line {anchor.line} of {anchor.at}"
                    if places.setdefault(shard, {}).setdefault(seq, (digest, where))[0] != digest:
                        why = f"{where} and an earlier anchor disagree here: the database was rolled back"
                        self._verdict.bad.append(Bad(Wrong.REWRITTEN, why, shard, seq))
        return places

    def _shard(self, shard: str, anchored: dict[int, tuple[bytes, str]]) -> Bad | None:
        assert self._chain is not None
        tier = TIERS[int(shard[0])]
        start, prev = 0, genesis_of(self._chain["chain_id"], shard)
        prune = self._prunes.get(shard)
        if prune is not None:
            if (bad := self._bad_prune(prune)) is not None:
                return bad
            start, prev = prune["up_to"], bytes(prune["hash"])
            self._verdict.pruned.append(Pruned(shard, start, prune["rows"], prune["before"]))
        if self._quick:
            return self._ends(shard, tier, start, prev, anchored)
        walk = Walk(
            shard, tier.table, seq=start, prev=prev, proofs=self._proofs, elsewhere=self._elsewhere(shard)
        )
        count = 0
        for link in self._links(shard, tier):
            if (bad := walk.step(link)) is not None:
                return bad
            count += 1
            bad = self._held(shard, tier, link.seq, link.hash, anchored, link.record)
            if bad is not None:
                return bad
            if shard[0] == "1" and link.columns is not None and link.columns[1] == "audit.adopted":
                self._adopted = {"facts": link.columns[4]}
        if count:
            self._verdict.links[shard] = count
        return self._end(shard, tier, walk.seq, walk.hash, anchored)

    def _bad_prune(self, prune: dict[str, Any]) -> Bad | None:
        assert self._chain is not None
        digest = prune_of(
            self._chain["chain_id"],
            shard=prune["shard"],
            up_to=prune["up_to"],
            hash=bytes(prune["hash"]),
            rows=prune["rows"],
            before=prune["before_s"],
        )
        if self._proofs.holds(prune["key_id"], "prune", digest, bytes(prune["seal"])):
            return None
        why = "what says that older rows were deleted by retention is not sealed by us"
        return Bad(Wrong.PRUNE, why, prune["shard"], prune["up_to"])

    def _links(self, shard: str, tier: Tier) -> Iterator[Link]:
        statement = (
            "SELECT l.seq, l.tier, l.record, l.form, l.content, l.prev, l.hash, l.key_id, l.seal,"  # noqa: S608  # constants
            f" CASE WHEN a.seq IS NOT NULL THEN {tier.select('a')} END AS columns"
            f" FROM audit_links l LEFT JOIN {tier.table} a ON a.seq = l.record"
            " WHERE l.shard = %s ORDER BY l.seq, l.record"
        )
        with self._connection.cursor(name="links") as cursor:
            cursor.itersize = _FETCH
            cursor.execute(cast("LiteralString", statement), (shard,))
            for row in cursor:
                columns = row["columns"]
                yield Link(
                    row["seq"],
                    row["tier"],
                    row["record"],
                    row["form"],
                    bytes(row["content"]),
                    bytes(row["prev"]),
                    bytes(row["hash"]),
                    row["key_id"],
                    bytes(row["seal"]),
                    None if columns is None else tuple(columns),
                )

    def _elsewhere(self, shard: str) -> Any:
        def found(content: bytes) -> int | None:
            row = self._connection.execute(
                "SELECT seq FROM audit_links WHERE shard = %s AND content = %s LIMIT 1", (shard, content)
            ).fetchone()
            return None if row is None else row["seq"]

        return found

    def _held(
        self,
        shard: str,
        tier: Tier,
        seq: int,
        digest: bytes,
        anchored: dict[int, tuple[bytes, str]],
        record: int | None = None,
    ) -> Bad | None:
        """Whether an anchored place holds what was anchored."""
        held = anchored.get(seq)
        if held is None:
            return None
        if held[0] != digest:
            why = f"{held[1]} knows another link here: the database was rolled back and written on"
            return Bad(Wrong.REWRITTEN, why, shard, seq, tier.table, record)
        self._verdict.anchors += 1
        return None

    def _end(
        self, shard: str, tier: Tier, seq: int, digest: bytes, anchored: dict[int, tuple[bytes, str]]
    ) -> Bad | None:
        """The end of a shard against its head and its anchors."""
        last = max(anchored, default=0)
        if last > seq:
            why = f"{anchored[last][1]} knows seq {last}: the end was cut off, or the database rolled back"
            return Bad(Wrong.CUT, why, shard, seq + 1, tier.table)
        head = self._heads.get(shard)
        if head is None:
            return Bad(Wrong.HEAD, "the head is gone", shard, seq, tier.table)
        if head["seq"] > seq and self._proofs.holds(
            head["key_id"], "link", bytes(head["hash"]), None if head["seal"] is None else bytes(head["seal"])
        ):
            return Bad(Wrong.CUT, f"the head knows seq {head['seq']}", shard, seq + 1, tier.table)
        if (head["seq"], bytes(head["hash"])) != (seq, digest):
            return Bad(Wrong.HEAD, f"the head was edited: the last link is seq {seq}", shard, seq, tier.table)
        if seq and self._proofs.holds(head["key_id"], "link", digest, bytes(head["seal"] or b"")) is not True:
            return Bad(Wrong.HEAD, "the head's seal is not ours", shard, seq, tier.table)
        return None

    def _ends(
        self, shard: str, tier: Tier, start: int, prev: bytes, anchored: dict[int, tuple[bytes, str]]
    ) -> Bad | None:
        """Quick: the last link, and the anchored ones."""
        last = self._connection.execute(
            "SELECT seq, hash, key_id, seal FROM audit_links WHERE shard = %s ORDER BY seq DESC LIMIT 1",
            (shard,),
        ).fetchone()
        seq, digest = (start, prev) if last is None else (last["seq"], bytes(last["hash"]))
        if last is not None:
            self._verdict.links[shard] = seq - start
            if not self._proofs.holds(last["key_id"], "link", digest, bytes(last["seal"])):
                return Bad(Wrong.RESEALED, "the last link's seal is not ours", shard, seq, tier.table)
        newest = max((place for place in anchored if place <= seq), default=None)
        if newest is not None and newest > start:
            row = self._connection.execute(
                "SELECT hash FROM audit_links WHERE shard = %s AND seq = %s", (shard, newest)
            ).fetchone()
            if row is None:
                return Bad(Wrong.DELETED, "an anchored link is gone", shard, newest, tier.table)
            bad = self._held(shard, tier, newest, bytes(row["hash"]), anchored)
            if bad is not None:
                return bad
        return self._end(shard, tier, seq, digest, anchored)

    def _unlinked(self, tier: Tier) -> None:
        """Rows that nobody chained."""
        assert self._chain is not None
        old = self._chain["old_audit" if tier.number == ACTIONS else "old_access"]
        statement = (
            f"SELECT min(a.seq) AS first, count(*) AS n, bool_and(a.seq <= %s) AS old FROM {tier.table} a"  # noqa: S608  # constants
            " WHERE NOT EXISTS (SELECT 1 FROM audit_links l WHERE l.tier = %s AND l.record = a.seq)"
        )
        row = self._connection.execute(cast("LiteralString", statement), (old, tier.number)).fetchone()
        if row is None or not row["n"]:
            return
        if row["old"] and self._adopted is None and not self._written(old_shard(tier.number)):
            note = f"{row['n']} rows of {tier.table} are older than the chain and not sealed yet"
            self._verdict.notes.append(f"{note}: run `voicebot db migrate`, or start the server")
            return
        more = f", and {row['n'] - 1} more" if row["n"] > 1 else ""
        why = f"a row that was written past the chain{more}"
        self._verdict.bad.append(Bad(Wrong.INSERTED, why, None, None, tier.table, row["first"]))

    def _written(self, shard: str) -> bool:
        head = self._heads.get(shard)
        return head is not None and head["seq"] > 0

    def _adoption(self) -> None:
        """Old rows are taken in once: what was, is written in the chain itself."""
        shards = [old_shard(tier) for tier in TIERS if self._written(old_shard(tier))]
        if shards and self._adopted is None and not any(one.shard[0] == "1" for one in self._verdict.pruned):
            bad_tiers = {one.shard[0] for one in self._verdict.bad if one.shard}
            if "1" not in bad_tiers:
                why = "rows were sealed as old ones, but the chain does not say that this was done"
                self._verdict.bad.append(Bad(Wrong.ADOPTION, why, shards[0]))
