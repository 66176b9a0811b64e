"""A conversation as it is told to whoever watches it: words, and what became of it. Pure.

Stored events become entries whose ``id`` is the event's ``seq``: within a conversation ids only grow, and
whoever names the last one seen gets exactly what followed. What is not stored (words so far) has no id.
Words are told as they are stored: with tokens (``[order number 1]``) in place of what is personal.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from voicebot.core.conversation import Event, Strict

Who = Literal["caller", "bot", "agent"]

LEG_LINE = "leg.line"
"""Stored: ``who`` and ``text`` of what was said on a leg after the bot stepped back."""

LEG_PARTIAL = "leg.partial"
"""Live only: the words so far of the same."""

TYPES = frozenset({"turn.committed", "turn.heard", LEG_LINE})
FAMILIES = frozenset({"call", "chat", "transfer", "handoff", "desk"})
"""Stored events that are told: these types, and all whose type begins with one of these words."""

ENDINGS = frozenset({"call.ended", "chat.ended"})

_OPEN_FACTS = frozenset(
    {
        "handoff",
        "transfer",
        "talk",
        "ending",
        "trigger",
        "urgency",
        "reason",
        "status",
        "leg",
        "skill",
        "verdict",
        "after_ms",
    }
)
"""What may be told of a state, transfer or handoff: closed sets and ids of ours; never a name or a number."""


class Told(Strict):
    """One entry.

    ``line``: words of one speaker, final. ``partial``: their words so far; the next partial or line of the
    same speaker takes its place. ``state``, ``transfer``, ``handoff``: ``what`` happened, with ``facts``.

    Attributes:
        id: of a stored entry; None: live only, never repeated.
        text: masked. Of a ``line`` of the bot: what the caller heard of it.
        heard: of a ``line`` of the bot: ``all``, ``part`` (interrupted) or ``none``; of a line that the
            recogniser did not trust: ``unsure``.
        intent, action: what the bot made of a caller's line, where it did.
    """

    id: int | None
    type: Literal["line", "partial", "state", "transfer", "handoff"]
    who: Who | None = None
    turn: int | None = None
    text: str = ""
    at: datetime
    heard: Literal["all", "part", "none", "unsure"] | None = None
    what: str | None = None
    facts: dict[str, Any] = Field(default_factory=dict[str, Any])
    intent: str | None = None
    action: str | None = None


def is_told(kind: str) -> bool:
    """Whether stored events of this type become entries."""
    return kind in TYPES or kind.partition(".")[0] in FAMILIES


def told(event: Event) -> Told | None:
    """The entry of an event; None: it is nothing for a transcript."""
    data = event.data
    match event.type:
        case "turn.committed":
            return _caller(event, data)
        case "turn.heard":
            return _heard(event, data.get("heard"))
        case "caller.partial":
            return Told(id=None, type="partial", who="caller", text=_text(data), at=event.time)
        case "bot.clause":
            turn = _number(data.get("turn"))
            return Told(id=None, type="partial", who="bot", turn=turn, text=_text(data), at=event.time)
        case "caller.overlap":
            return Told(id=None, type="state", what="overlap", facts=_open(data), at=event.time)
        case "leg.line" | "leg.partial":
            who = data.get("who")
            if who not in ("caller", "agent") or not _text(data):
                return None
            kind = "line" if event.type == LEG_LINE else "partial"
            heard = "unsure" if data.get("sure") is False else None
            return Told(id=event.seq, type=kind, who=who, text=_text(data), at=event.time, heard=heard)
        case _:
            return _happened(event)


class Saying:
    """Makes each partial of the bot the whole of what it has said in this turn so far. One per reader."""

    def __init__(self) -> None:
        self._turn: int | None = None
        self._said = ""

    def whole(self, entry: Told) -> Told:
        """The entry, with the clauses before it if it is a partial of the bot."""
        if entry.type != "partial" or entry.who != "bot":
            return entry
        before = f"{self._said} " if entry.turn == self._turn and self._said else ""
        self._turn, self._said = entry.turn, f"{before}{entry.text}"
        return entry.model_copy(update={"text": self._said})


def _caller(event: Event, data: Mapping[str, Any]) -> Told | None:
    given = _mapping(data.get("input"))
    text = given.get("text") or given.get("digits")
    if given.get("kind") not in ("utterance", "keys", "not_heard") or not isinstance(text, str):
        return None
    decision = _mapping(data.get("decision"))
    return Told(
        id=event.seq,
        type="line",
        who="caller",
        turn=event.turn,
        text=text,
        at=event.time,
        heard="unsure" if given["kind"] == "not_heard" else None,
        intent=_word(decision.get("intent")),
        action=_word(decision.get("action")),
    )


def _heard(event: Event, given: Any) -> Told | None:
    heard = _mapping(given)
    text, complete = _text(heard), heard.get("complete") is True
    if not text and complete:  # the turn had no words
        return None
    how: Literal["all", "part", "none"] = "all" if complete else "part" if text else "none"
    return Told(id=event.seq, type="line", who="bot", turn=event.turn, text=text, heard=how, at=event.time)


def _happened(event: Event) -> Told | None:
    family, _, what = event.type.partition(".")
    if family not in FAMILIES:
        return None
    kind = family if family in ("transfer", "handoff") else "state"
    return Told(
        id=event.seq,
        type=kind,  # pyright: ignore[reportArgumentType]  # one of three, by the line above
        turn=event.turn,
        what=what,
        facts=_open(event.data),
        at=event.time,
    )


def _open(data: Mapping[str, Any]) -> dict[str, Any]:
    """Only what is known to be open; a value that is no word, number or flag is left out."""
    return {
        name: value
        for name, value in data.items()
        if name in _OPEN_FACTS and (value is None or isinstance(value, str | int | bool))
    }


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def _text(data: Mapping[str, Any]) -> str:
    text = data.get("text")
    return text if isinstance(text, str) else ""


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) else None
