"""Where and when a turn takes place: what planning is told besides the state and the input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from voicebot.core.conversation import Channel
from voicebot.dialogue.staff import Staff


@dataclass(frozen=True, slots=True)
class Scene:
    """One turn's surroundings. ``now`` is aware, in the business's time zone.

    ``reachable``: the channel knows a number at which the caller can be called back (a hint, which is
    enough to phone there). ``degraded``: hearing, speaking or a system of record is not well.
    ``off``: names of the switches that are off (``bot``, ``intent:NAME``, ``tool:NAME``, ``route:NAME``).
    ``staff``: who is there, and when callers can be called back; None: nobody knows, as if somebody always
    were. ``dialable``: the number that the channel knows is one that we may call. ``down``: failures in a
    row of the parts that are down.
    """

    conversation_id: str
    turn: int
    channel: Channel
    reachable: bool
    now: datetime
    degraded: bool = False
    off: frozenset[str] = frozenset()
    down: Mapping[str, int] = field(default_factory=dict[str, int])
    staff: Staff | None = None
    dialable: bool = False
