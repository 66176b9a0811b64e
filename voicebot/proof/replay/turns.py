"""A call's turns, as its recording tells them: what was given, decided, said and heard, and when. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from voicebot.core.conversation import TurnTimings
from voicebot.dialogue.evidence import COMMITTED, HEARD


@dataclass
class ReplayTurn:
    """One turn. ``said``: its clauses; ``heard``: what the caller heard of them; both masked."""

    number: int
    at_ms: int
    input: dict[str, Any]
    decision: dict[str, Any]
    after: str = "continue"
    withheld: bool = False
    """Its sound was taken out of the recording: a card's number was told."""
    said: list[str] = field(default_factory=list[str])
    heard: str = ""
    complete: bool | None = None
    timings: TurnTimings = field(default_factory=TurnTimings)

    @property
    def kind(self) -> str:
        """Of its input."""
        return str(self.input["kind"])

    @property
    def words(self) -> str:
        """What the caller said or pressed, masked."""
        return str(self.input.get("text") or self.input.get("digits") or "")

    @property
    def ended_ms(self) -> int:
        """When the caller's part was over."""
        ended = self.timings.turn_ended_ms
        return self.at_ms if ended is None else ended

    @property
    def tools(self) -> list[tuple[str, str]]:
        """Each tool and what came of it."""
        return [
            (str(read["tool"]), str((read.get("result") or {}).get("outcome") or read.get("error") or "-"))
            for read in self.decision.get("tools", ())
        ]

    @property
    def gist(self) -> str:
        """The decision in a few words."""
        d = self.decision
        return f"{d['intent']} {d['action']} ({d['policy_row']})"


def turns_in(events: Iterable[dict[str, Any]]) -> list[ReplayTurn]:
    """The turns of a call, in order; those that were never committed do not exist."""
    turns: dict[int, ReplayTurn] = {}
    for event in events:
        kind = event.get("type")
        if kind == COMMITTED:
            turns[event["turn"]] = ReplayTurn(
                event["turn"],
                event["at_ms"],
                event["input"],
                event["decision"],
                event["after"],
                bool(event["card"]),
            )
        elif kind == HEARD and event["turn"] in turns:
            turn = turns[event["turn"]]
            turn.heard = event["heard"]["text"]
            turn.complete = event["heard"]["complete"]
            turn.timings = TurnTimings.model_validate(event["timings"])
        elif kind == "speaking.ClauseStarted" and event["turn"] in turns and event.get("text"):
            turns[event["turn"]].said.append(event["text"])
    return [turns[number] for number in sorted(turns)]
