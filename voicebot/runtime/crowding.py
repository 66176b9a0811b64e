"""Whether there is room for another caller beside those under way: overload made visible to admission.

Places are counted by ``NodeState``. What runs out before them shows here: the engines, which all nodes
share, the node's own loop, and memory. What calls cost of them is learned (``capacity``) and says how many
fit; past a limit new callers get the busy line, or music, whatever was learned, while those under way are
still understood in time.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from typing import Literal, get_args

import structlog

from voicebot.audio.engines.client import EngineClient
from voicebot.audio.engines.types import EngineDown
from voicebot.channels.node import NodeState, NoRoom
from voicebot.core import metrics
from voicebot.runtime.capacity import Capacity
from voicebot.runtime.readings import (
    Cores,
    LoopShare,
    Spending,
    cores_load,
    free_memory_mb,
    typical_lateness_s,
)

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

SPARING = 0.5
"""Of a core, what the node's own loop uses, from which a turn is planned early only where it probably ends.
Of plans made at any pause, 135 of 210 were thrown away (21 November 2026, 40 callers of
``scripts.bench.density``)."""

AT_EASE = 0.4
"""Below this there is time for any of them again."""

EXHAUSTED = 0.7
"""Of a core, what the loop uses, from which nothing is planned early: as far as admission fills it
(``LOOP_TARGET``). Beyond it a plan that may be thrown away takes from turns that are over."""

RESTED = 0.62
"""Below this there is time again for what probably ends a turn."""

LAGGING_S = 0.1
"""Typical lateness of the event loop from which no further call is taken: a third of what is sent ahead."""

KEEPS_UP_S = 0.04
"""Below this there is room again."""

SLOW_S = 0.4
"""Until an engine answers how it is, from which no further call is taken: one that gets no core is late with
callers' words, too, however little it seems to do."""

PROMPT_S = 0.15
"""Below this there is room again."""

LOW_MB = 150.0
"""Memory that is left, below which no further call is taken: a node's next second must not be its last."""

ENOUGH_MB = 250.0

CALL_MB = 5.0
"""Of memory, for a call: 1 MB was measured over all processes with engines stubbed
(``scripts.bench.density``); recognisers need some for who speaks."""

FIRST_A_CORE = 6
"""Calls for each core of the machine that are let in before any has been seen."""

TARGETS = {"stt": 0.5, "tts": 0.7, "turn": 0.7, "cores": 0.8}
"""Busy share of what all nodes share, 0..1, up to which calls are let in. The recogniser's lies below
``STRAINED``, from where on every answer is later; the cores' is for two and more."""

ONE_CORE = 0.55
"""The cores' share where there is only one, where work waits for the one that is busy. Measured: with 0.48 of
a core in use (12 calls on the demo Whisper) the median answer took 1.6 times as long as with 4 calls, with
0.67 (16 calls) 3.4 times (``voicebot load``, 22 November 2026)."""

LOOP_TARGET = 0.7

_HOST = "voicebot.audio.engines.host"
_EVERY_S = 1.0


class Crowding:
    """Pure: a reading once a second in, "is it full?" out, with hysteresis.

    Args:
        full: a reading from which there is no room; the default is the engine's load, 0..1.
        room: one below which there is again.
    """

    def __init__(self, full: float = FULL, room: float = ROOM) -> None:
        self.full = False
        self._full_at = full
        self._room_at = room
        self._against = 0

    def look(self, load: float) -> bool:
        """Takes one reading; returns whether another call must wait."""
        differs = load < self._room_at if self.full else load >= self._full_at
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


class Early:
    """Pure: the loop's share of its core in, which turns are planned before they have ended out."""

    def __init__(self) -> None:
        self._sparing = Crowding(SPARING, AT_EASE)
        self._exhausted = Crowding(EXHAUSTED, RESTED)

    def look(self, share: float) -> Literal["all", "likely", "none"]:
        """Takes one reading (0..1)."""
        sparing, exhausted = self._sparing.look(share), self._exhausted.look(share)
        return "none" if exhausted else "likely" if sparing else "all"


async def watch_crowding(
    engines: Mapping[str, EngineClient], node: NodeState, *, learned: bool = True
) -> None:
    """Keeps what ``node`` says of its room true; runs until cancelled.

    An engine that is down turns nobody away: its calls go on by keypad, by lines that are there, and to a
    person. A machine without calls takes one, however busy others make it.

    Args:
        engines: that all nodes share, by name; the recogniser is ``stt``.
        node: this one.
        learned: what calls cost bounds them; False: only the configured number and the limits do.
    """
    crowding, strain, late_s, early = Crowding(), Strain(), 0.0, Early()
    lagging, tight = Crowding(LAGGING_S, KEEPS_UP_S), Crowding(-LOW_MB, -ENOUGH_MB)
    slow = Crowding(SLOW_S, PROMPT_S)
    own = Capacity(node.max_calls, {"loop": LOOP_TARGET})
    loop, cores, hosts, node_spent = LoopShare(), Cores(), Spending(_HOST), Spending("")
    shared = Capacity(FIRST_A_CORE * len(os.sched_getaffinity(0)), targets_for(cores.there_are))
    while True:
        loads, pids, answered_s = await _loads(engines)
        load = max(loads.values(), default=0.0)
        before, calls = node.no_room, node.machine.calls
        free_mb = await asyncio.to_thread(free_memory_mb)
        busy, late = crowding.look(load if calls else 0.0), slow.look(answered_s if calls else 0.0)
        node.crowded = busy or (late and learned)
        node.late = lagging.look(late_s if calls else 0.0)
        node.tight = tight.look(-free_mb)
        loop_share = loop.since_last()
        if node.early != (of := early.look(loop_share)):
            node.early = of
            log.info("node.plans_early", of=of, share=round(loop_share, 2), calls=node.calls)
        loop_holds = own.look(node.calls, {"loop": loop_share})
        node.cores = node_spent.since_last([os.getpid()])
        node.tell()
        ours, used = node.machine.cores + hosts.since_last(pids), cores.since_last()
        if used is not None:
            loads["cores"] = cores_load(ours, *used)
        holds = shared.look(calls, loads)
        if learned:
            node.loop_holds, node.holds = loop_holds, min(holds, memory_holds(calls, free_mb))
        node.tell()
        _show(node, before, load=load, late_s=late_s, free_mb=free_mb)
        hearing = loads.get("stt", 0.0)
        if node.strained != strain.look(hearing, late_s):
            node.strained = strain.strained
            log.info(
                "node.strained" if node.strained else "node.at_ease", load=hearing, late_s=round(late_s, 3)
            )
        late_s = await typical_lateness_s(_EVERY_S)


def targets_for(cores: float) -> dict[str, float]:
    """`TARGETS` on so many cores. Pure."""
    scarce = min(1.0, max(0.0, 2.0 - cores))
    return TARGETS | {"cores": TARGETS["cores"] - scarce * (TARGETS["cores"] - ONE_CORE)}


async def _loads(engines: Mapping[str, EngineClient]) -> tuple[dict[str, float], list[int], float]:
    """Busy share of each engine that answers, the numbers of their processes, and the slowest answer (s)."""
    loads: dict[str, float] = {}
    pids: list[int] = []
    slowest_s = 0.0
    for name, engine in engines.items():
        asked_s = time.monotonic()
        try:
            told = await engine.describe()
        except EngineDown as down:
            if down.reason == "deadline_exceeded":
                slowest_s = max(slowest_s, time.monotonic() - asked_s)
            continue
        slowest_s = max(slowest_s, time.monotonic() - asked_s)
        loads[name] = told.load
        pids.append(told.pid)
        metrics.engine_load.labels(name).set(loads[name])
    return loads, pids, slowest_s


def memory_holds(calls: int, free_mb: float) -> int:
    """Calls for which there is memory, those under way among them. Pure."""
    return calls + max(0, int((free_mb - LOW_MB) / CALL_MB))


def _show(node: NodeState, before: NoRoom | None, *, load: float, late_s: float, free_mb: float) -> None:
    now = node.no_room
    metrics.machine_calls.set(node.machine.taken)
    metrics.machine_places.set(node.machine.places)
    metrics.machine_waiting.set(node.machine.waiting)
    for reason in get_args(NoRoom):
        metrics.no_room.labels(reason).set(reason == now)
    if now != before:
        facts = {
            "load": round(load, 2),
            "late_s": round(late_s, 3),
            "free_mb": round(free_mb),
            "calls": node.machine.taken,
            "places": node.machine.places,
        }
        if now is None:
            log.info("node.has_room", after=before, **facts)
        else:
            log.warning("node.no_room", reason=now, **facts)
