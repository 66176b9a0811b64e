"""How many calls all nodes of a machine have together, and who waits for room, in memory that they share.

A call's webhook and its socket may land on different nodes, since they share a port. So a place is pledged by
whoever answers the webhook, in a table that every node sees, and the pledge is over when the socket starts on
any of them, or when it has not come in time. What runs short on one node counts for all: the next call may
land there. Callers who wait are served in the order in which they came, whichever node they ask. Each node
writes only its own row, but for pledges and waits that it ends.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from voicebot.core.clock import Clock, monotonic

PLEDGE_S = 8.0
"""From the answer to the socket's ``start``: 365 ms were seen; past this it does not come."""

FRESH_S = 5.0
"""A node that has said nothing for so long has died; its calls are claimed by others, and counted there."""

PLEDGES = 512
"""Per node: calls that were let in in the last ``PLEDGE_S``."""

WAITS = 512
"""Per node: callers who hear music. One more hears it too, but has no place in the line."""

WAITS_FOR_S = 25.0
"""A caller who waits asks again after 16 s of music, or when they are fetched; past this they have gone."""

_ANY = 2**31
_REOPENS = 20
"""A full machine says that it has room when one place in so many is free, so that it does not flap."""

_ROW = np.dtype(
    [
        ("told_s", "f8"),
        ("calls", "i8"),
        ("places", "i8"),
        ("holds", "i8"),
        ("short", "u8"),
        ("cores", "f8"),
        ("pledged", [("call", "u8"), ("until_s", "f8")], PLEDGES),
        ("waits", [("call", "u8"), ("since_s", "f8"), ("until_s", "f8")], WAITS),
    ]
)


class Machine:
    """One node's view of the table. One event loop each; a machine's nodes need no lock.

    Args:
        path: of the table, made by ``Machine.file``; None: this process is the only node.
        index: of this node's row.
        nodes: rows.
        clock: the same for all nodes (monotonic, of the machine).
        now: seconds since 1970: since when somebody waits, also on another machine.
    """

    def __init__(
        self,
        path: Path | None = None,
        index: int = 0,
        nodes: int = 1,
        *,
        clock: Clock = monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        if path is None:
            self._rows = np.zeros(nodes, _ROW)
        else:
            self._rows = np.memmap(path, _ROW, mode="r+", shape=(nodes,))
        self.nodes = nodes
        self._own = self._rows[index]
        self._own["pledged"] = 0  # those of a node that died here
        self._clock = clock
        self._now = now

    @staticmethod
    def file(path: Path, nodes: int) -> Path:
        """Makes an empty table."""
        path.write_bytes(bytes(_ROW.itemsize * nodes))
        return path

    def tell(
        self, calls: int, places: int, *, holds: int | None = None, short: int = 0, cores: float = 0.0
    ) -> None:
        """What this node has now.

        Args:
            calls: media sessions.
            places: calls that this node takes.
            holds: calls that the parts which all nodes share carry, as this node sees it; None: unknown.
            short: not 0: no further call may come to this node, for this reason.
            cores: that this node uses.
        """
        self._own["calls"], self._own["places"] = calls, places
        self._own["holds"] = _ANY if holds is None else holds
        self._own["short"], self._own["cores"] = short, cores
        self._own["told_s"] = self._clock()

    @property
    def taken(self) -> int:
        """Calls and pledges of all nodes."""
        pledges = self._rows["pledged"][self._alive()]
        return self.calls + int((pledges["until_s"] > self._clock()).sum())

    @property
    def calls(self) -> int:
        """Media sessions of all nodes."""
        return int(self._rows["calls"][self._alive()].sum())

    @property
    def places(self) -> int:
        """Calls that all nodes take together."""
        alive = self._rows[self._alive()]
        return int(min(alive["places"].sum(), alive["holds"].min(initial=_ANY)))

    @property
    def short(self) -> int:
        """What any of the nodes is short of, as it told; 0: none of anything."""
        return int(self._rows["short"][self._alive()].max(initial=0))

    @property
    def cores(self) -> float:
        """Cores that all nodes use."""
        return float(self._rows["cores"][self._alive()].sum())

    @property
    def waiting(self) -> int:
        """Callers who wait for room."""
        return int((self._rows["waits"]["until_s"] > self._clock()).sum())

    @property
    def free(self) -> int:
        """Places for callers who do not wait yet; negative: so many more wait than there are places."""
        return self.places - self.taken - self.waiting

    @property
    def room_again(self) -> bool:
        """A machine that was full has so much room that it is worth telling."""
        return self.free >= max(1, self.places // _REOPENS)

    def pledge(self, call_sid: str, since_s: float | None = None) -> bool:
        """Keeps a place for a call if there is one that nobody has waited for longer.

        The same call again needs no other place.

        Args:
            call_sid: the call.
            since_s: seconds since 1970: since when it waits, if this machine does not know; None: it is new.
        """
        now_s, key = self._clock(), key_of(call_sid)
        every = self._rows["pledged"]
        if bool(((every["call"] == key) & (every["until_s"] > now_s)).any()):
            return True
        mine = self._own["pledged"]
        free = np.flatnonzero(mine["until_s"] <= now_s)
        if not free.size or self.taken + self._ahead_of(key, since_s) >= self.places:
            return False
        mine["call"][free[0]] = key
        mine["until_s"][free[0]] = now_s + PLEDGE_S
        self._leave(key)
        return True

    def redeem(self, call_sid: str) -> None:
        """The call's socket has started, here or elsewhere, or it got something else, or it is over."""
        key = key_of(call_sid)
        every = self._rows["pledged"]
        every["until_s"][every["call"] == key] = 0.0
        self._leave(key)

    def wait(self, call_sid: str, since_s: float | None = None) -> None:
        """The call hears music from now on, or again; it keeps its place in the line.

        Args:
            call_sid: the call.
            since_s: as with ``pledge``.
        """
        key = key_of(call_sid)
        since = self._since(key, since_s)
        self._leave(key)
        mine = self._own["waits"]
        free = np.flatnonzero(mine["until_s"] <= self._clock())
        if free.size:
            mine[free[0]] = (key, since, self._clock() + WAITS_FOR_S)

    @property
    def waiting_keys(self) -> frozenset[int]:
        """Keys (``key_of``) of all who wait."""
        every = self._rows["waits"]
        return frozenset(int(key) for key in every["call"][every["until_s"] > self._clock()])

    def next_in_line(self) -> frozenset[int]:
        """Keys (``key_of``) of those who wait and for whom there is a place now."""
        every = self._rows["waits"].ravel()
        live = every[every["until_s"] > self._clock()]
        most = max(0, self.places - self.taken)
        return frozenset(int(key) for key in np.sort(live, order=("since_s", "call"))["call"][:most])

    def _ahead_of(self, key: int, since_s: float | None) -> int:
        every = self._rows["waits"]
        since = self._since(key, since_s)
        live = (every["until_s"] > self._clock()) & (every["call"] != key)
        same = (every["since_s"] == since) & (every["call"] < key)  # somebody has to be first
        return int((live & ((every["since_s"] < since) | same)).sum())

    def _since(self, key: int, since_s: float | None) -> float:
        every = self._rows["waits"]
        known = every[(every["call"] == key) & (every["until_s"] > self._clock())]
        if known.size:
            return float(known["since_s"][0])
        return self._now() if since_s is None else since_s

    def _leave(self, key: int) -> None:
        every = self._rows["waits"]
        every["until_s"][every["call"] == key] = 0.0

    def _alive(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        return self._rows["told_s"] > self._clock() - FRESH_S


def key_of(call_sid: str) -> int:
    """The call in the table."""
    digest = hashlib.blake2b(call_sid.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1
