"""Weak signs of trouble, each no reason for a person by itself: what is remembered of them. Pure.

    risk = risk.after(names, now=now, turn=turn, calm_after=3)     # once for each turn of the caller
    risk.first                                                     # since when, None while all is well

Trouble begins with its first sign and is over after ``calm_after`` turns of the caller without another one.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Literal, get_args

from pydantic import Field

from voicebot.core.conversation import Strict

SignName = Literal[
    "mood",
    "circle",
    "not_heard",
    "not_understood",
    "ungrounded",
    "not_matched",
    "tool_error",
    "slow",
    "outage",
    "distress",
    "abuse",
    "person",
]
"""``person``: a person may be wanted. ``not_matched``: what was told at the gate did not fit."""
SIGNS: frozenset[SignName] = frozenset(get_args(SignName))
KEPT = 8
"""Signs looked back on."""


class Sign(Strict):
    """One sign. ``turn``: counted in turns of the caller, since it was new."""

    name: SignName
    at: datetime
    turn: int = Field(ge=0)


class Risk(Strict):
    """What is remembered, part of a conversation's state. Times are aware."""

    began: datetime | None = None
    """When the conversation did."""
    turns: int = Field(default=0, ge=0)
    """Turns of the caller so far."""
    first: Sign | None = None
    """With which the trouble that is on began."""
    signs: tuple[Sign, ...] = ()
    """Those of the trouble that is on, oldest first."""
    slow: int = Field(default=0, ge=0)
    """Answers in a row that came too late."""
    latency_ms: int | None = None
    """Of the last answer: from the caller's last sound to the bot's first."""
    ungrounded: int = Field(default=0, ge=0)
    """Questions in a row that no article covers well enough."""

    def begun(self, now: datetime) -> Risk:
        """Notes when the conversation began, once."""
        return self if self.began is not None else self.model_copy(update={"began": now})

    def after(self, names: Collection[SignName], *, now: datetime, calm_after: int) -> Risk:
        """After one more turn of the caller with these signs, or none."""
        turn = self.turns + 1
        calm = self.signs and turn - self.signs[-1].turn > calm_after
        kept = () if calm else self.signs
        first = None if calm else self.first
        new = tuple(Sign(name=name, at=now, turn=turn) for name in sorted(names))
        return self.model_copy(
            update={
                "turns": turn,
                "first": first or next(iter(new), None),
                "signs": (*kept, *new)[-KEPT:],
            }
        )

    def timed(self, latency_ms: int | None, limit_ms: int) -> Risk:
        """After an answer was heard; ``latency_ms`` is None where nothing was measured."""
        if latency_ms is None:
            return self
        slow = self.slow + 1 if latency_ms > limit_ms else 0
        return self.model_copy(update={"slow": slow, "latency_ms": latency_ms})

    def covered(self, grounded: bool) -> Risk:
        """After a question whose grounding was measured."""
        return self.model_copy(update={"ungrounded": 0 if grounded else self.ungrounded + 1})
