"""What a list of recordings was asked for, in its address. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from urllib.parse import urlencode

PAGE = 50
_NAME = re.compile(r"[A-Za-z0-9_:. -]{1,80}")
_BEFORE = re.compile(r"[0-9T:.+Z-]{19,40},cv_[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Asked:
    """A view. What an address has wrong is left out: a page is shown all the same."""

    intent: str = ""
    trigger: str = ""
    resolution: str = ""
    channel: str = ""
    over_s: float | None = None
    day: date | None = None
    marked: bool = False
    worth: bool = False
    before: str = ""
    skip: int = 0

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Asked:
        """From an address."""

        def named(name: str) -> str:
            value = query.get(name, "")
            return value if _NAME.fullmatch(value) else ""

        before = query.get("before", "").replace(" ", "+")
        skip = query.get("skip", "")
        return cls(
            intent=named("intent"),
            trigger=named("trigger"),
            resolution=named("resolution"),
            channel=query.get("channel", "") if query.get("channel") in ("phone", "browser") else "",
            over_s=_seconds(query.get("over_s", "")),
            day=_day(query.get("day", "")),
            marked=query.get("marked") == "1",
            worth=query.get("worth") == "1",
            before=before if _BEFORE.fullmatch(before) else "",
            skip=int(skip) if skip.isdecimal() and len(skip) < 6 else 0,
        )

    @property
    def filtered(self) -> bool:
        """Whether anything is left out."""
        return replace(self, worth=False, before="", skip=0) != Asked()

    def to(self, **changed: Any) -> str:
        """The address of this view, changed; from its first page unless that is said."""
        view = replace(self, **{"before": "", "skip": 0, **changed})
        named = {
            "intent": view.intent,
            "trigger": view.trigger,
            "resolution": view.resolution,
            "channel": view.channel,
            "over_s": "" if view.over_s is None else f"{view.over_s:g}",
            "day": "" if view.day is None else view.day.isoformat(),
            "marked": "1" if view.marked else "",
            "worth": "1" if view.worth else "",
            "before": view.before,
            "skip": str(view.skip) if view.skip else "",
        }
        query = urlencode({name: value for name, value in named.items() if value})
        return f"/recordings?{query}" if query else "/recordings"

    def query(self) -> dict[str, Any]:
        """What the API is asked."""
        found: dict[str, Any] = {"limit": PAGE}
        for name in ("intent", "trigger", "resolution", "channel", "before"):
            if value := getattr(self, name):
                found[name] = value
        if self.over_s is not None:
            found["over_ms"] = round(self.over_s * 1000)
        if self.day is not None:
            found["day"] = self.day.isoformat()
        if self.marked:
            found["marked"] = True
        if self.worth:
            found |= {"worth": True, "skip": self.skip}
            found.pop("before", None)
        return found


def _seconds(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value <= 600 else None


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
