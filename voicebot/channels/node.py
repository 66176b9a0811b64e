"""What a call node knows about itself when a new call knocks."""

from __future__ import annotations

from dataclasses import dataclass


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
        strained: there is no time for what may be thrown away: nothing is planned early.
    """

    node_id: str
    max_calls: int
    accepting: bool = True
    off: bool = False
    calls: int = 0
    crowded: bool = False
    strained: bool = False

    @property
    def full(self) -> bool:
        """No room for another call."""
        return self.crowded or self.calls >= self.max_calls
