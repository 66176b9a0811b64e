"""Where a conversation stands at the gate, and what the gate says is to be done. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from pydantic import Field

from voicebot.core.conversation import Strict
from voicebot.safety.identity.rules import Factor


class FactorProgress(Strict):
    """What the caller has given for one factor in this try. ``candidates``: readings, likeliest first."""

    candidates: tuple[str, ...] = ()
    keyed: bool = False
    misheard: int = 0
    asked: int = 0
    before: tuple[str, ...] = ()
    """The candidates of the last failed try: they count again if the caller mends the other fact only."""


class Match(Strict):
    """The outcome of a passed check, kept with the conversation."""

    customer_id: str
    reference: str
    method: tuple[str, ...]
    level: int = 1


class GateProgress(Strict):
    """Where a conversation stands at the gate; part of its state, encrypted with it."""

    given: dict[str, FactorProgress] = Field(default_factory=dict[str, FactorProgress])
    tries: int = 0
    match: Match | None = None
    declined: tuple[str, ...] = ()
    """Factors that the caller does not want to give, or cannot."""
    sent: bool = False
    """A code is on its way and may be told."""
    locked: bool = False
    """Too many tries, here or elsewhere: nothing more is compared."""


class IdentityRecord(Strict):
    """What the system of record holds for a reference: the expected ``values`` by factor name.

    ``number``: where a code is sent, E.164; empty: nowhere.
    """

    customer_id: str
    values: dict[str, str] = Field(repr=False)
    number: str = Field(default="", repr=False)


class AskHow(StrEnum):
    """How to ask: for the first time, again in other words, or for the keypad."""

    FIRST = "first"
    AGAIN = "again"
    RETRY = "retry"
    KEYPAD = "keypad"


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the caller for ``factor``."""

    factor: Factor
    how: AskHow
    nth: int = 0
    """How often it was asked this way before in a row: the same words are not said twice."""


@dataclass(frozen=True, slots=True)
class Check:
    """Everything was given: look the references up, then call `Gate.check`."""

    references: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class SendCode:
    """The caller is known so far: send a code to the number on record of ``reference``."""

    reference: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CheckCode:
    """A code was told: compare it where it is kept, then call `Gate.code_checked`."""

    reference: str = field(repr=False)
    candidates: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Passed:
    """The caller is verified."""


@dataclass(frozen=True, slots=True)
class Refused:
    """No more tries: a person takes over."""

    reason: Literal["too_many_tries", "not_understood", "declined", "locked"]


Step = Ask | Check | SendCode | CheckCode | Passed | Refused
