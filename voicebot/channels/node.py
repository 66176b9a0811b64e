"""What a call node knows about itself when a new call knocks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from voicebot.channels.machine import Machine

NoRoom = Literal["places", "recogniser", "loop", "memory"]
"""What there is not enough of. ``recogniser`` stands for any engine."""

_SHORT: dict[int, NoRoom] = {1: "memory", 2: "loop", 3: "recogniser"}
"""By the number that a node tells the others; of several the highest counts."""


@dataclass
class NodeState:
    """Shared by the channels and the runtime of one process; no locks, one event loop.

    Attributes:
        node_id: its name in logs and leases.
        max_calls: calls this node takes before it says it is full.
        accepting: False while draining; calls under way go on.
        off: the bot as a whole is switched off (``voicebot off``); callers go to a person.
        calls: media sessions that run here now.
        loop_holds: calls this node's event loop carries, as far as it has been seen; None: unknown.
        holds: calls that engines and memory, which all nodes share, carry; None: unknown.
        cores: that this node uses.
        crowded: an engine that all nodes share has no room for another caller.
        late: this node's event loop does not keep up.
        tight: the machine is short of memory.
        strained: there is no time for what may be thrown away: nothing is planned early.
        early: of which turns plans are made before they have ended, as far as the loop has time for it:
            of all, of those that probably end, of none.
        machine: the calls of all nodes of this machine together.
    """

    node_id: str
    max_calls: int
    accepting: bool = True
    off: bool = False
    calls: int = 0
    loop_holds: int | None = None
    holds: int | None = None
    cores: float = 0.0
    crowded: bool = False
    late: bool = False
    tight: bool = False
    strained: bool = False
    early: Literal["all", "likely", "none"] = "all"
    machine: Machine = field(default_factory=Machine)
    _was_full: bool = field(default=False, repr=False)

    @property
    def no_room(self) -> NoRoom | None:
        """Why no further call is taken, here or on another node where it may land; None: one is."""
        self.tell()
        if short := self.machine.short:
            return _SHORT[short]
        return "places" if self.machine.free <= 0 else None

    @property
    def full(self) -> bool:
        """No room for another call."""
        return self.no_room is not None

    @property
    def busy(self) -> bool:
        """Calls need all of it, or it stops: nothing that can wait is begun."""
        return self.full or self.strained or not self.accepting

    @property
    def not_ready(self) -> NoRoom | None:
        """What a balancer is told: as ``no_room``, and a while longer, so that it does not flap."""
        reason = self.no_room
        if reason is None and self._was_full and not self.machine.room_again:
            reason = "places"
        self._was_full = reason is not None
        return reason

    def pledge(self, call_sid: str, since_s: float | None = None) -> bool:
        """Keeps a place for a call whose socket is to come, on whichever node; False: there is no room.

        Args:
            call_sid: the call.
            since_s: seconds since 1970: since when it waits; None: it has just come.
        """
        if self.no_room not in {None, "places"}:
            return False
        return self.machine.pledge(call_sid, since_s)

    def arrived(self, call_sid: str) -> None:
        """Its socket has started here and counts in ``calls``, or it does not come: the place is not kept."""
        self.machine.redeem(call_sid)
        self.tell()

    def tell(self) -> None:
        """Shows the other nodes what this one has; to be done every second at least."""
        if self.accepting:
            places = self.max_calls if self.loop_holds is None else min(self.max_calls, self.loop_holds)
            self.machine.tell(self.calls, places, holds=self.holds, short=self._short(), cores=self.cores)
        else:  # its calls are no others' places
            self.machine.tell(0, 0)

    def _short(self) -> int:
        return 3 if self.crowded else 2 if self.late else 1 if self.tight else 0
