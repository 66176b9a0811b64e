"""Whether the shared recogniser still has room for another caller: overload made visible to admission.

A node has its own limit of calls; the recogniser is shared by all nodes, so each looks at how busy it says
it is. Past the limit new callers get the busy line while those under way are still understood in time.
"""

from __future__ import annotations

import asyncio

import structlog

from voicebot.audio.engines.client import GrpcTranscriber
from voicebot.audio.engines.types import EngineDown
from voicebot.channels.node import NodeState
from voicebot.core import metrics

log = structlog.get_logger(__name__)

FULL = 0.9
"""Busy share of the engine's threads, 0..1, from which no further call is taken."""

ROOM = 0.75
"""Below this there is room again."""

LOOKS = 2
"""Looks in a row that must agree, so that one long utterance turns nobody away."""

STRAINED = 0.6
"""Busy share from which nothing is planned early: what is left belongs to turns that are over."""

EASY = 0.45
"""Below this there is time for it again."""

LATE_S = 0.03
"""Lateness of the event loop that says the same of the node itself; half of it says that there is time."""

_EVERY_S = 1.0


class Crowding:
    """Pure: the engine's load as it is read once a second in, "is it full?" out, with hysteresis."""

    def __init__(self) -> None:
        self.full = False
        self._against = 0

    def look(self, load: float) -> bool:
        """Takes one reading, 0..1; returns whether another call must wait."""
        differs = load < ROOM if self.full else load >= FULL
        self._against = self._against + 1 if differs else 0
        if self._against >= LOOKS:
            self.full = not self.full
            self._against = 0
        return self.full


class Strain:
    """Pure: the engine's load and the loop's lateness in, "no time for early plans?" out, with hysteresis."""

    def __init__(self) -> None:
        self.strained = False
        self._against = 0

    def look(self, load: float, late_s: float) -> bool:
        """Takes one reading (0..1, seconds); returns whether turns are planned only when they are over."""
        hard = load >= STRAINED or late_s >= LATE_S
        easy = load < EASY and late_s < LATE_S / 2
        differs = easy if self.strained else hard
        self._against = self._against + 1 if differs else 0
        if self._against >= LOOKS:
            self.strained = not self.strained
            self._against = 0
        return self.strained


async def watch_crowding(transcriber: GrpcTranscriber, node: NodeState) -> None:
    """Keeps ``node.crowded`` and ``node.strained`` true to the recogniser's load; runs until cancelled.

    A recogniser that is down turns nobody away: its calls go on by keypad and to a person.
    """
    crowding, strain, late_s = Crowding(), Strain(), 0.0
    loop = asyncio.get_running_loop()
    while True:
        try:
            load = (await transcriber.describe()).load
        except EngineDown:
            load = 0.0
        metrics.engine_load.labels("stt").set(load)
        before, node.crowded = node.crowded, crowding.look(load)
        if before != node.crowded:
            log.warning("node.recogniser_full" if node.crowded else "node.recogniser_has_room", load=load)
        if node.strained != strain.look(load, late_s):
            node.strained = strain.strained
            log.info("node.strained" if node.strained else "node.at_ease", load=load, late_s=round(late_s, 3))
        due = loop.time() + _EVERY_S
        await asyncio.sleep(_EVERY_S)
        late_s = loop.time() - due
