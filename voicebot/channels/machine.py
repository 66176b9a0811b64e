"""How many calls all nodes of a machine have together, in memory that they share.

A call's webhook and its socket may land on different nodes, since they share a port. So a place is pledged by
whoever answers the webhook, in a table that every node sees, and the pledge is over when the socket starts on
any of them, or when it has not come in time. Each node writes only its own row, but for pledges that it ends.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from voicebot.core.clock import Clock, monotonic

PLEDGE_S = 8.0
"""From the answer to the socket's ``start``: 365 ms were seen; past this it does not come."""

FRESH_S = 5.0
"""A node that has said nothing for so long has died; its calls are claimed by others, and counted there."""

PLEDGES = 512
"""Per node: calls that were let in in the last ``PLEDGE_S``."""

_ROW = np.dtype(
    [
        ("told_s", "f8"),
        ("calls", "i8"),
        ("places", "i8"),
        ("pledged", [("call", "u8"), ("until_s", "f8")], PLEDGES),
    ]
)


class Machine:
    """One node's view of the table. One event loop each; a machine's nodes need no lock.

    Args:
        path: of the table, made by ``Machine.file``; None: this process is the only node.
        index: of this node's row.
        nodes: rows.
        clock: the same for all nodes (monotonic, of the machine).
    """

    def __init__(
        self, path: Path | None = None, index: int = 0, nodes: int = 1, *, clock: Clock = monotonic
    ) -> None:
        if path is None:
            self._rows = np.zeros(nodes, _ROW)
        else:
            self._rows = np.memmap(path, _ROW, mode="r+", shape=(nodes,))
        self._own = self._rows[index]
        self._own["pledged"] = 0  # those of a node that died here
        self._clock = clock

    @staticmethod
    def file(path: Path, nodes: int) -> Path:
        """Makes an empty table."""
        path.write_bytes(bytes(_ROW.itemsize * nodes))
        return path

    def tell(self, calls: int, places: int) -> None:
        """What this node has now."""
        self._own["calls"], self._own["places"] = calls, places
        self._own["told_s"] = self._clock()

    @property
    def taken(self) -> int:
        """Calls and pledges of all nodes."""
        alive = self._alive()
        pledges = self._rows["pledged"][alive]
        return int(self._rows["calls"][alive].sum()) + int((pledges["until_s"] > self._clock()).sum())

    @property
    def places(self) -> int:
        """Calls that all nodes take together."""
        return int(self._rows["places"][self._alive()].sum())

    def pledge(self, call_sid: str) -> bool:
        """Keeps a place for a call if there is one; the same call again needs no other."""
        now_s, key = self._clock(), _key(call_sid)
        every = self._rows["pledged"]
        if bool(((every["call"] == key) & (every["until_s"] > now_s)).any()):
            return True
        mine = self._own["pledged"]
        free = np.flatnonzero(mine["until_s"] <= now_s)
        if not free.size or self.taken >= self.places:
            return False
        mine["call"][free[0]] = key
        mine["until_s"][free[0]] = now_s + PLEDGE_S
        return True

    def redeem(self, call_sid: str) -> None:
        """The call's socket has started, here or elsewhere, or it got something else."""
        every = self._rows["pledged"]
        every["until_s"][every["call"] == _key(call_sid)] = 0.0

    def _alive(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        return self._rows["told_s"] > self._clock() - FRESH_S


def _key(call_sid: str) -> int:
    digest = hashlib.blake2b(call_sid.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1
