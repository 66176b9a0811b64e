"""What is wrong with a policy, by row; and the error that says so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

_SHOWN = 12


class PolicyError(Exception):
    """The policy cannot be used; the message names file, rows and what to change."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that does not hold. ``row`` is its path in the file, such as ``tiers.2.sure``."""

    row: str
    what: str
    intents: tuple[str, ...] = ()
    """Where it shows, when the row is not an intent's."""

    def __str__(self) -> str:
        shown = ", ".join(self.intents[:3]) + (", ..." if len(self.intents) > 3 else "")
        return f"{self.row}: {self.what}" + (f" (seen with {shown})" if shown else "")


class Problems:
    """Collects problems; the same one of several intents is told once."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], list[str]] = {}

    def add(self, row: str, what: str, intent: str | None = None) -> None:
        """Notes one; ``intent`` where it shows."""
        seen = self._found.setdefault((row, what), [])
        if intent is not None and intent not in seen and row != f"intents.{intent}":
            seen.append(intent)

    @property
    def found(self) -> tuple[Problem, ...]:
        """All of them, in the order in which they were found."""
        return tuple(Problem(row, what, tuple(seen)) for (row, what), seen in self._found.items())


def refuse(file: str, problems: Sequence[Problem | str]) -> None:
    """Raises when there are any.

    Raises:
        PolicyError: every problem on a line of its own.
    """
    if problems:
        raise refusal(file, problems)


def refusal(file: str, problems: Sequence[Problem | str]) -> PolicyError:
    """The error that tells of all of them, a dozen at most."""
    lines = [str(problem) for problem in problems[:_SHOWN]]
    if len(problems) > _SHOWN:
        lines.append(f"... and {len(problems) - _SHOWN} more")
    return PolicyError(f"{file}:" + ("\n  " if len(lines) > 1 else " ") + "\n  ".join(lines))


def meant(name: str, known: Iterable[str]) -> str:
    """The nearest known name, as the end of a message; the whole list when nothing is near.

    >>> meant("waranty", ["warranty", "person"])
    'did you mean `warranty`?'
    """
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean `{near[0]}`?"
    return f"known are {', '.join(names)}" if names else "there are none"
