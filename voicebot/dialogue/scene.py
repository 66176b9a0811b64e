"""Where and when a turn takes place: what planning is told besides the state and the input."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from voicebot.core.conversation import Channel


@dataclass(frozen=True, slots=True)
class Scene:
    """One turn's surroundings. ``now`` is aware, in the business's time zone.

    ``reachable``: the channel knows a number at which the caller can be called back (a hint, which is
    enough to phone there). ``degraded``: hearing, speaking or a system of record is not well.
    """

    conversation_id: str
    turn: int
    channel: Channel
    reachable: bool
    now: datetime
    degraded: bool = False
