"""What an insight page was asked for, in its address: days, figure, what rows are by. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal, TypeVar
from urllib.parse import urlencode

from voicebot.console.figures import MADE, Name

By = Literal["intent", "category", "channel", "segment", "day"]
Side = Literal["counted", "rest", "all"]
SPANS = (7, 30, 90)
BYS: tuple[By, ...] = ("intent", "category", "channel", "segment", "day")
_SIDES: tuple[Side, ...] = ("counted", "rest", "all")
_Choice = TypeVar("_Choice", bound=str)
PAGE = 50
"""Cases of a list at once."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A view. Without ``first`` and ``last`` it is of the last ``days`` days.

    What an address has wrong is left out: a page is shown all the same.
    """

    days: int = 30
    first: date | None = None
    last: date | None = None
    figure: Name = "containment"
    by: By = "intent"
    key: str | None = None
    side: Side = "counted"
    skip: int = 0

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Asked:
        """The view that an address asks for."""
        first, last = _day(query.get("from")), _day(query.get("to"))
        days = query.get("days", "")
        skip = query.get("skip", "")
        return cls(
            days=int(days) if _is_number(days, 4) and 1 <= int(days) <= 400 else 30,
            first=first if first is not None and last is not None and first <= last else None,
            last=last if first is not None and last is not None and first <= last else None,
            figure=_one_of(tuple(MADE), query.get("figure"), "containment"),
            by=_one_of(BYS, query.get("by"), "intent"),
            key=query.get("key"),
            side=_one_of(_SIDES, query.get("side"), "counted"),
            skip=int(skip) if _is_number(skip, 6) else 0,
        )

    def at(self, path: str = "/insight", **change: Any) -> str:
        """The address of the same view with something changed."""
        new = replace(self, **change)
        query: dict[str, Any] = new.span() | {"figure": new.figure, "by": new.by}
        if path == "/insight/conversations":
            query |= {"side": new.side} | ({} if new.key is None else {"key": new.key})
            query |= {"skip": new.skip} if new.skip else {}
        return f"{path}?{urlencode(query)}"

    def span(self) -> dict[str, Any]:
        """The days, as the API takes them."""
        if self.first is None or self.last is None:
            return {"days": self.days}
        return {"from": self.first.isoformat(), "to": self.last.isoformat()}

    def cases(self) -> dict[str, Any]:
        """What to ask the API for: the conversations behind the figure, or of one row those behind it.

        Without a row they are conversations, by whatever the table below the figures is: who wanted nothing
        that is known is in the figure, and in no row by intent.
        """
        query = self.span() | {"figure": self.figure, "side": self.side, "limit": PAGE, "skip": self.skip}
        return query if self.key is None else query | {"by": self.by, "key": self.key}


def _one_of(options: tuple[_Choice, ...], given: str | None, default: _Choice) -> _Choice:
    return next((one for one in options if one == given), default)


def _is_number(given: str, digits: int) -> bool:
    return given.isascii() and given.isdigit() and len(given) <= digits


def _day(given: str | None) -> date | None:
    try:
        return date.fromisoformat(given or "")
    except ValueError:
        return None
