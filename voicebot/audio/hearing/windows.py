"""What is made of each 32 ms of a caller's line before anybody decides: samples, level, is it a voice.

A call on its own (a replay, a test) is judged window by window, at once (`OwnSense`). The calls of a node are
judged together (`TogetherSense`): their windows of some milliseconds are one array, one run of Silero and a
handful of numpy calls, at a third of the cost.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from voicebot.audio.hearing.offset import OffsetRemoval
from voicebot.audio.hearing.vad import (
    WINDOW,
    SharedSilero,
    SileroStates,
    VoiceActivity,
    level_dbfs,
    levels_dbfs,
    shared_silero,
)
from voicebot.audio.mulaw import decode

TICK_S = 0.01
"""Windows wait so long for those of other calls. With one or two calls on the line none waits."""

FEW_CALLS = 2

MANY_CALLS = 30
"""From here on they wait twice as long: what a window costs falls with how many are judged at once."""

MOST = 32
"""Windows of one run: about a millisecond. What is left over is the next turn of the loop's."""


@dataclass(slots=True)
class Window:
    """``WINDOW`` samples (PCM16, without the line's offset) from ``at_ms`` on, and what is known of them."""

    pcm: npt.NDArray[np.int16]
    at_ms: int
    level_dbfs: float
    probability: float


Told = Callable[[Window], None]


class Sense(Protocol):
    """One per call; has state: windows in order."""

    def take(self, ulaw: bytes, at_ms: int, told: Told) -> None:
        """The next ``WINDOW`` bytes of mu-law; ``told`` is called with them, at once or soon, in order."""
        ...


class OwnSense:
    """Tells at once.

    Args:
        vad: this call's voice activity.
    """

    def __init__(self, vad: VoiceActivity) -> None:
        self._vad = vad
        self._offset = OffsetRemoval()

    def take(self, ulaw: bytes, at_ms: int, told: Told) -> None:
        """See ``Sense.take``."""
        pcm = self._offset.clean(decode(ulaw))
        probability = self._vad.probability(pcm)
        told(Window(pcm, at_ms, level_dbfs(pcm), probability))


class TogetherSense:
    """A call's place among those of its node; given back when nobody holds it any more."""

    def __init__(self, together: Together, slot: int) -> None:
        self.slot = slot
        self.offset = OffsetRemoval()
        self._together = together

    def take(self, ulaw: bytes, at_ms: int, told: Told) -> None:
        """See ``Sense.take``."""
        self._together.add(self, ulaw, at_ms, told)


_Due = tuple[TogetherSense, bytes, int, Told]


class Together:
    """The calls of one event loop. Made once; every method is called on that loop."""

    def __init__(self, model: SharedSilero, *, tick_s: float = TICK_S, few: int = FEW_CALLS) -> None:
        self._states = SileroStates(model)
        self._tick_s = tick_s
        self._few = few
        self._calls = 0
        self._due: list[_Due] = []
        self._timer: asyncio.Handle | None = None

    def sense(self) -> TogetherSense:
        """For a new call."""
        slot = self._states.take()
        self._calls += 1
        sense = TogetherSense(self, slot)
        weakref.finalize(sense, self._leave, slot)
        return sense

    def add(self, sense: TogetherSense, ulaw: bytes, at_ms: int, told: Told) -> None:
        """A window of a call; told within ``tick_s``, or twice that where there are many."""
        if len(ulaw) != WINDOW:
            raise ValueError(f"a window has {WINDOW} bytes, not {len(ulaw)}")
        self._due.append((sense, ulaw, at_ms, told))
        if self._timer is not None:
            return
        if self._calls <= self._few:
            self._run()
        else:
            tick_s = self._tick_s if self._calls < MANY_CALLS else 2 * self._tick_s
            self._timer = asyncio.get_running_loop().call_later(tick_s, self._run)

    def _run(self) -> None:
        """Judges one window of each call that has any, up to ``MOST``; what is left comes next."""
        self._timer = None
        taken, left = _first_of_each(self._due)
        self._due = left
        if left:
            self._timer = asyncio.get_running_loop().call_soon(self._run)
        pcm = decode(b"".join([ulaw for _, ulaw, _, _ in taken])).reshape(-1, WINDOW)
        means, flat = pcm.mean(axis=1).tolist(), (pcm.min(axis=1) == pcm.max(axis=1)).tolist()
        for n, (sense, _, _, _) in enumerate(taken):
            if offset := sense.offset.of(means[n], flat=flat[n]):
                pcm[n] = sense.offset.without(pcm[n], offset)
        levels = levels_dbfs(pcm)
        probabilities = self._states.probabilities([sense.slot for sense, _, _, _ in taken], pcm, levels)
        for n, (_, _, at_ms, told) in enumerate(taken):
            told(Window(pcm[n], at_ms, levels[n], probabilities[n]))

    def _leave(self, slot: int) -> None:
        self._calls -= 1
        self._states.give_back(slot)


def _first_of_each(due: list[_Due]) -> tuple[list[_Due], list[_Due]]:
    """The next window of each call, and the rest in its order."""
    taken: list[_Due] = []
    left: list[_Due] = []
    seen: set[int] = set()
    for one in due:
        slot = one[0].slot
        if slot in seen or len(taken) == MOST:
            left.append(one)
            seen.add(slot)  # what follows of this call stays behind it
        else:
            seen.add(slot)
            taken.append(one)
    return taken, left


@lru_cache(maxsize=1)
def shared_together() -> Together:
    """The process's, on the one Silero; loaded at the first call."""
    return Together(shared_silero())
