"""What a call node knows about itself when a new call knocks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from voicebot.channels.machine import Machine

NoRoom = Literal["places", "recogniser", "loop", "memory"]
"""What there is not enough of."""


@dataclass
class NodeState:
    """Shared by the channels and the runtime of one process; no locks, one event loop.

    Attributes:
        node_id: its name in logs and leases.
        max_calls: calls this node takes before it says it is full.
        accepting: False while draining; calls under way go on.
        off: the bot as a whole is switched off (``voicebot off``); callers go to a person.
        calls: media sessions that run here now.
        crowded: the recogniser that all nodes share has no room for another caller.
        late: this node's event loop does not keep up.
        tight: the machine is short of memory.
        strained: there is no time for what may be thrown away: nothing is planned early.
        machine: the calls of all nodes of this machine together.
    """

    node_id: str
    max_calls: int
    accepting: bool = True
    off: bool = False
    calls: int = 0
    crowded: bool = False
    late: bool = False
    tight: bool = False
    strained: bool = False
    machine: Machine = field(default_factory=Machine)

    @property
    def no_room(self) -> NoRoom | None:
        """Why no further call is taken; None: one is."""
        if self.crowded:
            return "recogniser"
        if self.late:
            return "loop"
        if self.tight:
            return "memory"
        self.tell()
        return "places" if self.machine.taken >= self.machine.places else None

    @property
    def full(self) -> bool:
        """No room for another call."""
        return self.no_room is not None

    def pledge(self, call_sid: str) -> bool:
        """Keeps a place for a call whose socket is to come, on whichever node; False: there is no room."""
        if self.no_room not in {None, "places"}:
            return False
        return self.machine.pledge(call_sid)

    def arrived(self, call_sid: str) -> None:
        """Its socket has started here and counts in ``calls``, or it does not come: the place is not kept."""
        self.machine.redeem(call_sid)
        self.tell()

    def tell(self) -> None:
        """Shows the other nodes what this one has; to be done every second at least."""
        if self.accepting:
            self.machine.tell(self.calls, self.max_calls)
        else:  # its calls are no others' places
            self.machine.tell(0, 0)
