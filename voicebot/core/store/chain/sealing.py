"""Keys of the audit's seals: their own, apart from those that open content, wrapped by the master key.

The newest key in ``audit_keys`` that is not retired seals; retired ones still prove what they sealed. All
nodes see a rotation with their next commit, since the key in force is read with each.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KEY_BYTES, KeyRing, SealBroken, WrongMasterKey

PURPOSE = "audit seals"

ACTIVE = (
    "SELECT id, master_id, wrapped_key FROM audit_keys WHERE retired_at IS NULL"
    " ORDER BY created_at DESC, id LIMIT 1"
)


@dataclass(frozen=True, slots=True)
class SealKey:
    """One key: its id, and what it seals with."""

    id: str
    secret: bytes = field(repr=False)

    def seal(self, what: str, digest: bytes) -> bytes:
        """HMAC-SHA256 of ``digest`` as a ``link``, ``prune`` or ``anchor``: none passes for another."""
        return hmac.digest(self.secret, f"voicebot audit {what}".encode() + b"\0" + digest, "sha256")


class SealKeys:
    """The seal keys that this master key opens; each is unwrapped once."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys
        self._known: dict[str, SealKey] = {}

    def of(self, row: Mapping[str, Any]) -> SealKey:
        """The key of a row ``id, master_id, wrapped_key``.

        Raises:
            WrongMasterKey: another master key wrapped it.
            SealBroken: the row was altered.
        """
        known = self._known.get(row["id"])
        if known is None:
            if row["master_id"] != self._keys.key_id:
                raise WrongMasterKey(
                    f"audit key {row['id']} is wrapped by master key {row['master_id']}, "
                    f"this is {self._keys.key_id}"
                )
            secret = self._keys.unwrap_key(PURPOSE, row["id"], bytes(row["wrapped_key"]))
            known = self._known[row["id"]] = SealKey(row["id"], secret)
        return known

    async def active(self, tx: Transaction) -> SealKey:
        """The key in force; the first one is made here."""
        row = await (await tx.execute(ACTIVE)).fetchone()
        return await self.make(tx) if row is None else self.of(row)

    async def make(self, tx: Transaction) -> SealKey:
        """A new key, in force from this transaction's commit on."""
        made = SealKey(f"ak_{secrets.token_hex(16)}", secrets.token_bytes(KEY_BYTES))
        await tx.execute(
            "INSERT INTO audit_keys (id, master_id, wrapped_key) VALUES (%s, %s, %s)",
            (made.id, self._keys.key_id, self._keys.wrap_key(PURPOSE, made.id, made.secret)),
        )
        return made  # not remembered: the transaction may still be rolled back

    async def rotate(self, tx: Transaction) -> SealKey:
        """Retires the keys in force and makes a new one."""
        await tx.execute("UPDATE audit_keys SET retired_at = clock_timestamp() WHERE retired_at IS NULL")
        return await self.make(tx)


@dataclass(frozen=True)
class Proofs:
    """Seal keys by id, to check seals with."""

    keys: Mapping[str, SealKey]

    @classmethod
    def of(cls, keys: KeyRing, rows: Iterable[Mapping[str, Any]]) -> Proofs:
        """Those rows of ``audit_keys`` that open; what another key sealed is not ours."""
        ring, opened = SealKeys(keys), dict[str, SealKey]()
        for row in rows:
            try:
                opened[row["id"]] = ring.of(row)
            except (WrongMasterKey, SealBroken):
                continue  # its seals are then reported as of an unknown key
        return cls(opened)

    def holds(self, key_id: str | None, what: str, digest: bytes, seal: bytes | None) -> bool | None:
        """Whether the seal is genuine; None: no such key."""
        key = self.keys.get(key_id or "")
        if key is None:
            return None
        return seal is not None and hmac.compare_digest(key.seal(what, digest), seal)
