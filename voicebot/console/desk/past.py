"""A conversation that is over, as one reads it: who said what, and why the bot did what it did. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from voicebot.console.desk import words

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Said:
    """One line. ``how``: what was heard of it, empty: all."""

    who: str
    text: str
    how: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One turn (``turn``), or what happened between turns (None).

    ``why``: intent, action, policy's row, confidences, reasons, sources. ``tools``: each with its outcome.
    """

    at: str
    turn: int | None
    lines: tuple[Said, ...] = ()
    happened: str = ""
    why: Pairs = ()
    reasons: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    tools: Pairs = field(default=())


def story(detail: Mapping[str, Any]) -> tuple[Step, ...]:
    """The conversation of ``GET /api/conversations/{id}``, in order."""
    steps = [_turn(one) for one in detail["turns"]]
    steps += [step for one in detail["events"] if (step := _event(one)) is not None]
    return tuple(sorted(steps, key=lambda step: words.moment(step.at)))


def facts(detail: Mapping[str, Any], outcome: Mapping[str, Any] | None) -> Pairs:
    """What is said of the conversation as a whole."""
    pairs = [("Channel", str(detail["channel"])), ("Began", _clock(detail["created_at"]))]
    if detail["ended_at"]:
        pairs.append(("Lasted", words.lasted(detail["created_at"], detail["ended_at"])))
        pairs.append(("Ended", words.ended(detail["end_reason"])))
    pairs.append(("Turns", str(detail["turn"])))
    if outcome is not None:
        pairs.append(("Outcome", words.plain(outcome["resolution"])))
        pairs.append(("How", words.plain(outcome["disposition"])))
        if outcome.get("csat") is not None:
            pairs.append(("Rated", f"{outcome['csat']} of 5"))
    return tuple(pair for pair in pairs if pair[1])


def _turn(one: Mapping[str, Any]) -> Step:
    made = one["decision"]
    sure = {f"sure of {name}": value for name, value in (made.get("confidences") or {}).items()}
    return Step(
        at=one["created_at"],
        turn=one["turn"],
        lines=tuple(_lines(one)),
        why=words.pairs(
            {
                "intent": words.plain(made.get("intent") or ""),
                "action": words.plain(made.get("action") or ""),
                "route": made.get("route"),
                "policy": made.get("policy_row"),
                "fired": words.plain(made["trigger"]) if made.get("trigger") else None,
                **sure,
            }
        ),
        reasons=tuple(map(str, made.get("reasons") or ())),
        sources=tuple(source["title"] for source in made.get("sources") or ()),
        tools=tuple(map(_tool, made.get("tools") or ())),
    )


def _lines(one: Mapping[str, Any]) -> list[Said]:
    given, lines = one["input"], list[Said]()
    asked = given.get("text") or given.get("digits")
    if isinstance(asked, str):
        lines.append(Said("caller", asked, "not understood well" if given.get("kind") == "not_heard" else ""))
    heard = one.get("heard") or {}
    spoken = one.get("spoken") or ""
    if spoken:
        whole = heard.get("complete", False)
        how = "" if whole else "interrupted" if heard.get("text") else "not heard"
        lines.append(Said("bot", spoken if whole or not heard.get("text") else heard["text"], how))
    return lines


def _tool(one: Mapping[str, Any]) -> tuple[str, str]:
    result = one.get("result") or {}
    outcome = result.get("outcome") or one.get("error") or one.get("status") or "no result"
    given = words.shown(one.get("arguments") or one.get("inputs") or {})
    return words.plain(one.get("tool", "tool")), f"{words.plain(outcome)}{f' ({given})' if given else ''}"


def _event(one: Mapping[str, Any]) -> Step | None:
    family, _, what = str(one["type"]).partition(".")
    data = one.get("data") or {}
    if one["type"] == "leg.line" and data.get("text"):
        return Step(one["time"], None, (Said(str(data.get("who")), data["text"]),))
    if family in ("transfer", "handoff"):
        told = words.happened({"type": family, "what": what, "facts": data})
        return Step(one["time"], None, happened=told)
    return None


def _clock(at: str) -> str:
    return f"{words.moment(at):%d %B %Y, %H:%M} UTC"
