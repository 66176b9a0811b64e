"""What happened on a call, in order, and what Twilio's debugger would have said about it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Entry:
    """One thing that happened. ``at_ms`` is on the call clock (0 = the call was placed)."""

    at_ms: float
    kind: str
    """``webhook``, ``twiml``, ``verb``, ``status``, ``stream``, ``sent``, ``received``, ``mark``,
    ``underrun``, ``dtmf``, ``callback``, ``rest``, ``notification``, ``text``, ``leg``."""
    data: dict[str, Any]


@dataclass(frozen=True)
class Notification:
    """An error or warning that Twilio would show in its debugger, by Twilio's code.

    ``protocol`` tells a rule that the server broke from something that merely failed (a
    server that is down, a socket that broke).
    """

    at_ms: float
    code: int
    what: str
    level: Literal["error", "warning"]
    protocol: bool

    def __str__(self) -> str:
        return f"{self.code} {self.what} (at {self.at_ms:.0f} ms)"


@dataclass
class CallLog:
    """Append-only; readers may wait for an entry. One event loop only."""

    clock_ms: Callable[[], float]
    entries: list[Entry] = field(default_factory=list[Entry])
    notifications: list[Notification] = field(default_factory=list[Notification])
    _waiting: list[tuple[Callable[[Entry], bool], asyncio.Future[Entry]]] = field(
        default_factory=list[tuple[Callable[[Entry], bool], "asyncio.Future[Entry]"]]
    )

    def add(self, kind: str, /, **data: Any) -> None:
        """Records an entry now and wakes whoever waits for one like it."""
        entry = Entry(self.clock_ms(), kind, data)
        self.entries.append(entry)
        if not self._waiting:
            return
        rest: list[tuple[Callable[[Entry], bool], asyncio.Future[Entry]]] = []
        for wanted, future in self._waiting:
            if not future.done() and wanted(entry):
                future.set_result(entry)
            elif not future.done():
                rest.append((wanted, future))
        self._waiting = rest

    def notify(
        self, code: int, what: str, *, level: Literal["error", "warning"] = "error", protocol: bool = True
    ) -> None:
        """Records what Twilio would report; see ``Notification``."""
        notification = Notification(self.clock_ms(), code, what, level, protocol)
        self.notifications.append(notification)
        self.add("notification", code=code, what=what, level=level, protocol=protocol)

    def of(self, kind: str, **data: Any) -> list[Entry]:
        """All entries of one kind whose data has the given values."""
        return [e for e in self.entries if _matches(e, kind, data)]

    async def wait(self, kind: str, *, timeout_s: float = 10.0, again: bool = False, **data: Any) -> Entry:
        """The first entry of that kind with those values, past or future (``again``: future only).

        Raises:
            TimeoutError: none came in time; the message lists what did.
        """
        if not again:
            found = self.of(kind, **data)
            if found:
                return found[0]
        future: asyncio.Future[Entry] = asyncio.get_running_loop().create_future()
        self._waiting.append((lambda e: _matches(e, kind, data), future))
        try:
            return await asyncio.wait_for(future, timeout_s)
        except TimeoutError:
            seen = ", ".join(f"{e.kind}@{e.at_ms:.0f}" for e in self.entries[-30:])
            raise TimeoutError(f"no {kind} {data} on this call within {timeout_s} s; last: {seen}") from None


def _matches(entry: Entry, kind: str, data: dict[str, Any]) -> bool:
    return entry.kind == kind and all(entry.data.get(k) == v for k, v in data.items())
