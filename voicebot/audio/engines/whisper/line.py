"""Who is decoded next: finals before peeks before partials, and among equals the call served longest ago.

Pure. An utterance has at most one place, and its job is made when it is taken, from the audio of that moment:
so no stale partial is ever decoded, and the line is as long as there are utterances and no longer.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, TypeVar

T = TypeVar("T")


class Urgency(IntEnum):
    """Lower comes first."""

    FINAL = 0
    PEEK = 1
    PARTIAL = 2


@dataclass
class _Place(Generic[T]):
    call: str
    urgency: Urgency
    since: float
    number: int
    work: T


class Line(Generic[T]):
    """The line in front of the model. ``replaced`` counts partials that a newer request made stale."""

    def __init__(self) -> None:
        self.replaced = 0
        self._places: dict[int, _Place[T]] = {}
        self._served: dict[str, int] = {}
        self._turns = 0
        self._numbers = 0

    def __len__(self) -> int:
        return len(self._places)

    def put(self, work: T, call: str, urgency: Urgency, now: float) -> None:
        """Asks for a turn; of two requests of one utterance the more urgent stands."""
        place = self._places.get(id(work))
        if place is None:
            self._numbers += 1
            self._places[id(work)] = _Place(call, urgency, now, self._numbers, work)
            return
        if place.urgency is Urgency.PARTIAL:
            self.replaced += 1
        place.urgency = min(place.urgency, urgency)

    def drop(self, work: T) -> None:
        """The utterance is over."""
        self._places.pop(id(work), None)

    def take(self, most: int = 1) -> list[T]:
        """The next ``most`` at one urgency, at most one of each call while others wait."""
        if not self._places:
            return []
        first = min(place.urgency for place in self._places.values())
        taken: list[T] = []
        while len(taken) < most:
            waiting = [p for p in self._places.values() if p.urgency is first]
            if not waiting:
                break
            place = min(waiting, key=lambda p: (self._served.get(p.call, 0), p.number))
            del self._places[id(place.work)]
            self._turns += 1
            self._served[place.call] = self._turns
            taken.append(place.work)
        return taken

    def forget(self, call: str) -> None:
        """The call has no utterance any more."""
        self._served.pop(call, None)

    def waiting(self, urgency: Urgency) -> int:
        """How many wait at that urgency."""
        return sum(place.urgency is urgency for place in self._places.values())

    def oldest_s(self, now: float) -> float:
        """How long the longest final or peek has been waiting."""
        urgent = [p.since for p in self._places.values() if p.urgency is not Urgency.PARTIAL]
        return now - min(urgent) if urgent else 0.0
