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


async def watch_crowding(transcriber: GrpcTranscriber, node: NodeState) -> None:
    """Keeps ``node.crowded`` true to the recogniser's load; runs until cancelled.

    A recogniser that is down turns nobody away: its calls go on by keypad and to a person.
    """
    crowding = Crowding()
    while True:
        try:
            load = (await transcriber.describe()).load
        except EngineDown:
            load = 0.0
        metrics.engine_load.labels("stt").set(load)
        before, node.crowded = node.crowded, crowding.look(load)
        if before != node.crowded:
            log.warning("node.recogniser_full" if node.crowded else "node.recogniser_has_room", load=load)
        await asyncio.sleep(_EVERY_S)
