"""What stands on the desk's pages, from what the API says. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_WHO = {"caller": "Caller", "bot": "Bot", "agent": "Agent"}
_HEARD = {"part": "interrupted", "none": "not heard", "unsure": "not understood well"}
_SCORES = (
    ("classification", "Understood"),
    ("grounding", "Article fits"),
    ("answer", "Answer sure"),
    ("sentiment", "Mood"),
)


def waited(seconds: float) -> str:
    """How long somebody waits: ``45 s``, ``3 min``, ``1 h 05 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def said_by(entry: Mapping[str, Any]) -> str:
    """Who said a line, and how much of it was heard."""
    who = _WHO.get(str(entry.get("who")), "?")
    heard = _HEARD.get(str(entry.get("heard")))
    return f"{who} ({heard})" if heard else who


def happened(entry: Mapping[str, Any]) -> str:
    """A state, transfer or hand-over in words."""
    what = _plain(entry.get("what") or entry.get("type"))
    facts = entry.get("facts") or {}
    told = [_plain(facts[name]) for name in ("reason", "trigger", "status", "leg") if facts.get(name)]
    return f"{what}: {', '.join(told)}" if told else what


def identity(payload: Mapping[str, Any]) -> str:
    """Who the caller is, as far as that was checked."""
    known = payload["identity"]
    if known["verified"]:
        by = ", ".join(_plain(one) for one in known["method"])
        return f"verified by {by}" if by else "verified"
    if known["locked"]:
        return "not verified: locked out after too many tries"
    return f"not verified after {known['tries']} tries" if known["tries"] else "not verified"


def summary(payload: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The summary's parts in the agent's order."""
    made = payload["summary"]
    return tuple((name.capitalize(), made[name]) for name in ("issue", "tried", "mood", "next"))


def why_next(payload: Mapping[str, Any]) -> str:
    """Why the next action is what it is."""
    choice = payload["choice"]
    held = "; ".join(_plain(one) for one in choice["matched"]) or "nothing more special fits"
    return f"{held} (reviewed {choice['reviewed_on']} by {choice['reviewed_by']})"


def scores(payload: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The bot's three confidences and the caller's mood when it stepped back; the unknown is left out."""
    made = payload["scores"]["moment"] or {}
    return tuple((title, f"{made[name]:.2f}") for name, title in _SCORES if made.get(name) is not None)


def evidence(payload: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What made the trigger fire."""
    return tuple((_plain(name), str(value)) for name, value in payload["trigger"]["evidence"].items())


def _plain(name: object) -> str:
    return str(name).replace("_", " ").replace(".", " ")
