"""The format of golden conversations: strict models, and nothing that runs. Described in docs/golden.md.

An expectation names only what matters: a field that is left out is not compared.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from voicebot.core.conversation import Channel, HearingFailure
from voicebot.proof.evals.words import check

WAY = "{way}"
"""Stands in a caller's turn for each of the conversation's ``ways``."""
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def _listed(value: Any) -> Any:
    """One value may stand for a list of one."""
    return (value,) if isinstance(value, str | int) and not isinstance(value, bool) else value


def _named(value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError("must be lower-case words joined by hyphens")
    return value


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, AfterValidator(_named)]
Tags = tuple[Name, ...]
Glob = Annotated[tuple[Text, ...], BeforeValidator(_listed), Field(min_length=1)]
"""Any of these; ``*`` and ``?`` stand for any letters. ``*`` alone: anything but nothing."""
Tiers = Annotated[tuple[Annotated[int, Field(ge=0, le=3)], ...], BeforeValidator(_listed)]
Words = Annotated[str, AfterValidator(check)]
"""A phrase, or a regular expression between slashes; see `voicebot.proof.evals.words`."""
AnyWords = Annotated[tuple[Words, ...], BeforeValidator(_listed), Field(min_length=1)]


def _local(value: Any) -> Any:
    """``2026-11-18T21:15``; YAML itself reads only some of the ways to write a time."""
    if not isinstance(value, str):
        return value
    made = datetime.fromisoformat(value)
    if made.tzinfo is not None:
        raise ValueError("is a local time, without a zone")
    return made


LocalTime = Annotated[datetime, BeforeValidator(_local)]


class SourcesExpected(_Strict):
    """Which articles stand behind the answer, by id (or a pattern of it)."""

    any_of: Glob | None = None
    """At least one of the sources is one of these."""
    only: Glob | None = None
    """There is a source, and every one is one of these."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.any_of is None and self.only is None:
            raise ValueError("needs any_of or only; `sources: none` says there must be none")
        return self


class ToolExpected(_Strict):
    """One tool call: its name, and of its arguments and result those that matter."""

    tool: Glob
    arguments: dict[Text, Glob] = {}
    outcome: Glob | None = None
    failed: bool = False
    """The call was refused or failed."""


class HandoffExpected(_Strict):
    """What the person who takes over is given."""

    trigger: Glob | None = None
    urgency: Glob | None = None
    tells: tuple[AnyWords, ...] = ()
    """Words that the handoff's summary and next action hold between them."""


Sources = SourcesExpected | Literal["none"]
Tools = tuple[ToolExpected, ...] | Literal["none"]
Handoff = HandoffExpected | Literal["none"]
ExpectsText = Annotated[str, Field(pattern=r"^(\*|free|yes_no|date|name|digits(\([1-9][0-9]?\))?)$")]


class Expect(_Strict):
    """What one turn of the bot must show."""

    intent: Glob | None = None
    category: Glob | None = None
    tier: Tiers | None = None
    action: Glob | None = None
    route: Glob | None = None
    expects: Annotated[tuple[ExpectsText, ...], BeforeValidator(_listed)] | None = None
    """What the bot waits for afterwards: free, yes_no, digits, digits(6), ..."""
    row: Glob | None = None
    """The policy's row."""
    trigger: Glob | None = None
    urgency: Glob | None = None
    """As the monitor heard it."""
    sentiment: Literal["negative", "neutral", "positive", "not_negative", "not_positive"] | None = None
    sources: Sources | None = None
    tools: Tools | None = None
    handoff: Handoff | None = None
    after: Glob | None = None
    """What the call does next: continue, hang_up, hand_over."""
    verified: bool | None = None
    """Whether the caller stands verified when the turn is over."""
    says: tuple[AnyWords, ...] = ()
    """Each must be said; a list inside the list: one of these."""
    never_says: tuple[Words, ...] = ()
    says_again: bool | None = None
    """Whether the words are exactly those of the turn before."""
    most_words: int | None = Field(default=None, ge=1)
    """Instead of the set's."""
    notes: str | None = None


class Turn(_Strict):
    """What the caller does, and what must come of it. Exactly one of the first five begins it."""

    caller: str | None = None
    keys: Annotated[str, Field(pattern=r"^[0-9*#]+$")] | None = None
    silence: Annotated[int, Field(ge=1)] | None = None
    """Nothing was said; how many times in a row."""
    not_heard: Annotated[HearingFailure, Field(strict=False)] | None = None
    contact: Annotated[Channel, Field(strict=False)] | None = None
    """The same customer comes again: a new conversation, on this channel."""
    at: LocalTime | None = None
    """Of a contact: when; else as the conversation says."""
    alternatives: tuple[Text, ...] = ()
    """What the recogniser heard second and third best."""
    heard: Annotated[int, Field(ge=0)] | None = None
    """The caller spoke over the answer after so many words of it."""
    times: Annotated[int, Field(ge=1, le=20_000)] = 1
    """The text so many times in a row."""
    expect: Expect | None = None
    notes: str | None = None

    @model_validator(mode="after")
    def _one_beginning(self) -> Self:
        names = ("caller", "keys", "silence", "not_heard", "contact")
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"a turn needs exactly one of {', '.join(names)}; it has {given or 'none'}")
        if self.at is not None and self.contact is None:
            raise ValueError("only a turn with `contact` has a time")
        if (self.alternatives or self.times != 1) and self.caller is None:
            raise ValueError("only a turn with `caller` has alternatives or times")
        return self


class Way(_Strict):
    """One way of saying something, where it is known to differ; else the text alone stands in the list."""

    say: str
    known: Text


class Conversation(_Strict):
    """One conversation from its beginning. Independent of all others."""

    name: Name
    tags: Tags = ()
    notes: str | None = None
    channel: Annotated[Channel, Field(strict=False)] = Channel.CHAT
    at: LocalTime | None = None
    """When it is, in the deployment's time zone. None: the set's day at half past ten in the morning."""
    phone: Annotated[str, Field(pattern=r"^\+[1-9][0-9]{4,14}$")] | None = None
    """The caller's number. None: one that no customer has."""
    ways: tuple[str | Way, ...] = ()
    """The conversation is held once for each, put where a caller's turn says ``{way}``."""
    known: Text | None = None
    """Why it is known to differ: a gap that is accepted for now, counted apart; expectations stay right."""
    turns: tuple[Turn, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ways_are_used(self) -> Self:
        places = sum(turn.caller == WAY for turn in self.turns)
        if self.ways and places != 1:
            raise ValueError(f"with `ways`, exactly one turn says `caller: '{WAY}'`; {places} do")
        if not self.ways and places:
            raise ValueError(f"a turn says {WAY}, but the conversation has no `ways`")
        return self

    @property
    def gaps(self) -> tuple[str, ...]:
        """The reasons why it, or ways of it, are known to differ."""
        ways = (way.known for way in self.ways if isinstance(way, Way))
        return tuple(reason for reason in (self.known, *ways) if reason is not None)


class GoldenFile(_Strict):
    """One file of conversations."""

    about: Text
    tags: Tags = ()
    """Of every conversation in it."""
    conversations: tuple[Conversation, ...] = Field(min_length=1)


class SetRules(_Strict):
    """``set.yaml``: what holds for every turn of every conversation."""

    today: date
    """The day on which the shop's records are made; dates that are spoken follow from it."""
    most_words: int = Field(ge=20, le=400)
    """No answer is longer, unless the turn's expectation sets a limit of its own."""
    never_says: tuple[Words, ...] = ()
