"""The event log of a call that was run: everything it told, in order, in one canonical form. Pure.

Two runs of the same thing give the same bytes. What differs between any two runs and says nothing (random
ids, the time that a computer really took) is renamed or left out; times are of the call's own clock.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, cast

from voicebot.audio.recording.wirelog import Message

_ID = re.compile(r"\b([a-z]{2,8})_([0-9a-p]{16,})\b")
_REAL = frozenset({"duration_ms", "took_ms", "open_ms", "first_ms"})
"""Of real clocks, or of the pace that a replay was given."""
_NOT_OURS = frozenset({"id", "seq", "time", "transaction_id"})


class Names:
    """Renames ids in the order in which they come: ``dr_0f3a...`` becomes ``dr#1``."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def plain(self, value: Any) -> Any:
        """The value without ids and real times."""
        match value:
            case str():
                return _ID.sub(self._name, value)
            case dict():
                made = cast("dict[str, Any]", value)
                return {self.plain(key): self.plain(one) for key, one in made.items() if key not in _REAL}
            case list() | tuple():
                return [self.plain(one) for one in cast("list[Any]", value)]
            case _:
                return value

    def _name(self, found: re.Match[str]) -> str:
        text = found.group()
        if text not in self._known:
            kind = found.group(1)
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self._known[text] = f"{kind}#{self._counts[kind]}"
        return self._known[text]


def event_log(
    told: Iterable[dict[str, Any]], out: Iterable[Message], stored: Iterable[dict[str, Any]]
) -> bytes:
    """JSON lines.

    Args:
        told: what the call told its recording.
        out: what was sent to the caller.
        stored: the events of its conversation.
    """
    names = Names()
    lines = [{"log": "call", **names.plain(event)} for event in told]
    lines += [
        {"log": "wire", "what": m.what.value, "at_ms": m.at_ms, "size": m.size, "name": m.name} for m in out
    ]
    lines += [
        {"log": "stored", **names.plain({k: v for k, v in event.items() if k not in _NOT_OURS})}
        for event in stored
    ]
    return "".join(json.dumps(line, ensure_ascii=False, sort_keys=True) + "\n" for line in lines).encode()
