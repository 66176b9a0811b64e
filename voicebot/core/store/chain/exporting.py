"""The chain as JSON lines: what each row says and what links it, for whoever checks it elsewhere.

Beginning with one line on the chain itself. Hashes follow from `form` without any key; the seals need it.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, LiteralString, cast

import psycopg
from psycopg import IsolationLevel
from psycopg.rows import DictRow, dict_row

from voicebot.core.store.chain.form import FORM, TIERS

_LINK = ("shard", "seq", "tier", "record", "form", "key_id")
_BYTES = ("content", "prev", "hash", "seal")


def export(url: str) -> Generator[dict[str, Any]]:
    """The lines, shard by shard in the order of the chain, of one snapshot. ``columns`` is what is hashed."""
    with psycopg.Connection[DictRow].connect(
        url, row_factory=dict_row, application_name="voicebot-audit"
    ) as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        chain = connection.execute("SELECT chain_id FROM audit_chain").fetchone()
        prunes = connection.execute("SELECT shard, up_to, encode(hash, 'hex') AS hash FROM audit_prunes")
        yield {
            "chain": None if chain is None else chain["chain_id"],
            "form": FORM,
            "pruned": prunes.fetchall(),
        }
        for tier in TIERS.values():
            statement = (
                f"SELECT l.*, {tier.select('a')} AS columns"  # noqa: S608  # constants
                f" FROM audit_links l LEFT JOIN {tier.table} a ON a.seq = l.record"
                " WHERE l.tier = %s ORDER BY l.shard, l.seq"
            )
            with connection.cursor(name="export") as cursor:
                cursor.itersize = 2_000
                cursor.execute(cast("LiteralString", statement), (tier.number,))
                for row in cursor:
                    link = {name: row[name] for name in _LINK}
                    digests = {name: bytes(row[name]).hex() for name in _BYTES}
                    yield {"table": tier.table, **link, **digests, "columns": row["columns"]}
