"""What the dialogue asks about people: is anybody there, when can they call. The room `handoff` answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

Why = Literal["closed", "no_answer", "too_long", "no_phone"]


@dataclass(frozen=True, slots=True)
class Absence:
    """Nobody takes over now, and why (``no_phone``: nobody can be put through to a line like theirs).

    ``opens_at``: when somebody is there; ``wait_minutes``: the wait.
    """

    why: Why
    opens_at: datetime | None = None
    wait_minutes: int | None = None


class Staff(Protocol):
    """People at work, as far as a conversation needs to know. Every method returns at once."""

    def absence(self, now: datetime, owner: str | None) -> Absence | None:
        """Why nobody of the team takes over now; None: somebody may."""
        ...

    def at_desk(self, now: datetime, owner: str | None) -> bool:
        """Whether somebody of the team, or whom it falls to, sits at a desk and takes callers there."""
        ...

    def calls_at(self, at: datetime, owner: str | None) -> bool:
        """Whether a caller can be called back, and given to that team, at this moment."""
        ...

    def number(self, said: str) -> str | None:
        """A number as a caller gave it, in E.164, if it may be dialled; else None."""
        ...

    def link(self, article: str) -> str | None:
        """The address of an article's page; None if it has none."""
        ...
