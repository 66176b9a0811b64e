"""The agents of ``business/people.yaml`` as it stands now: who is taken off is out without a restart.

Only the list of agents is followed; teams, hours and numbers are those that the process started with.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import structlog

from voicebot.handoff.people import Agent, People, PeopleError

log = structlog.get_logger(__name__)

LOOK_S = 2.0
"""The file is looked at so often at most, and only when somebody asks."""


class Agents(Protocol):
    """Who may sign in. `People` is one that never changes."""

    @property
    def agents(self) -> tuple[Agent, ...]:
        """All of them."""
        ...

    def agent(self, agent_id: str) -> Agent | None:
        """The one of that id."""
        ...


class Roster:
    """Agents, read again when the file has changed. A file that cannot be used changes nothing and is logged.

    Args:
        folder: the deployment's.
        people: as read at start.
        clock: seconds that only grow.
    """

    def __init__(self, folder: Path, people: People, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._people = people
        self._clock = clock
        self._mark = self._of_file()
        self._looked_s = clock()

    @property
    def agents(self) -> tuple[Agent, ...]:
        """All who are listed now."""
        self._look()
        return self._people.agents

    def agent(self, agent_id: str) -> Agent | None:
        """The one of that id, if listed now."""
        self._look()
        return self._people.agent(agent_id)

    def _look(self) -> None:
        if self._clock() - self._looked_s < LOOK_S:
            return
        self._looked_s = self._clock()
        mark = self._of_file()
        if mark is None or mark == self._mark:
            return
        self._mark = mark
        try:
            self._people = People.read(self._folder)
        except PeopleError as error:
            log.error("people.not_read_again", reason=str(error))

    def _of_file(self) -> tuple[int, int, int] | None:
        try:
            seen = (self._folder / "business" / "people.yaml").stat()
        except OSError:
            return None
        return seen.st_mtime_ns, seen.st_size, seen.st_ino
