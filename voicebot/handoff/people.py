"""Who takes over: teams, hours, the numbers that may be dialled, the webhook (``business/people.yaml``).

`People` is the only list of destinations: a number that is not on it (or the server's
``VOICEBOT_FALLBACK_NUMBER``, see `People.with_fallback`) is never dialled. Pure; shared by all calls.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from voicebot.core.conversation import Strict
from voicebot.core.settings import PhoneNumber
from voicebot.handoff.document import read_document
from voicebot.handoff.hours import Hours, HoursError, Span, spans

GENERAL = "general"
"""The team of whoever is free: every deployment has it."""

LAST_RESORT = "last resort"
"""The destination that ``VOICEBOT_FALLBACK_NUMBER`` adds."""

_ALWAYS = {"every day": "00:00-24:00"}


class PeopleError(Exception):
    """The file cannot be used; the message names file and key."""


class Destination(Strict):
    """A number that may be dialled, in E.164, and the teams that answer it."""

    name: str = Field(min_length=1)
    number: PhoneNumber
    skills: tuple[str, ...] = Field(min_length=1)


class Agent(Strict):
    """A person at a desk. ``id``: as it stands in logs and in the audit, so no name.

    ``answers``: the destination whose phone they answer; what that has taken is before them on the screen.
    """

    id: str = Field(pattern=r"^[a-z][a-z0-9_-]{1,39}$")
    role: Literal["agent", "supervisor"] = "agent"
    skills: tuple[str, ...] = Field(default=(GENERAL,), min_length=1)
    answers: str | None = None


class Skill(Strict):
    """A team of people.

    ``hours``: when it answers. ``works_holidays``: holidays are as any other day. ``falls_to``: the team
    that answers for it when it is closed. ``talk_s``: seconds that a conversation of theirs takes, until
    enough have been measured.
    """

    hours: dict[str, str | tuple[str, ...]] = Field(default_factory=lambda: dict[str, Any](_ALWAYS))
    works_holidays: bool = False
    falls_to: str | None = GENERAL
    talk_s: float = Field(default=300.0, gt=0, le=7200)


class Holiday(Strict):
    """A day with hours of its own; none: closed."""

    name: str = Field(min_length=1)
    hours: tuple[str, ...] = ()


class Webhook(Strict):
    """Where handoffs are sent: ``url`` (https, or http to this machine), seconds for one try, and how many.

    It is signed with ``VOICEBOT_HANDOFF_SECRET``, which is no part of a file.
    """

    url: str = Field(max_length=500)
    timeout_s: float = Field(default=5.0, gt=0, le=30)
    tries: int = Field(default=12, ge=1, le=50)

    @field_validator("url")
    @classmethod
    def _usable(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.username or parts.password or parts.fragment or not parts.hostname:
            raise ValueError("write https://HOST/PATH, without user, password or fragment")
        if parts.scheme != "https" and not (parts.scheme == "http" and is_here(parts.hostname)):
            raise ValueError("must be https (http only to this machine)")
        return url


class People(Strict):
    """Teams, hours, holidays and the list of numbers. Immutable.

    Without a file there is the team `GENERAL`, open at all hours, and nobody to dial but the server's
    last resort.
    """

    time_zone: str = "UTC"
    skills: dict[str, Skill] = Field(default_factory=lambda: {GENERAL: Skill(falls_to=None)})
    holidays: dict[str, Holiday] = Field(default_factory=dict[str, Holiday])
    destinations_: tuple[Destination, ...] = Field(default=(), alias="destinations")
    agents: tuple[Agent, ...] = ()
    webhook: Webhook | None = None

    @classmethod
    def read(cls, folder: Path) -> People:
        """Reads ``business/people.yaml`` of a deployment's folder; one without the file has the defaults.

        Raises:
            PeopleError: the file has another shape.
        """
        path = folder / "business" / "people.yaml"
        if not path.exists():
            return cls()
        return read_document(cls, path, PeopleError, hint=", or a key is not text")

    def with_fallback(self, number: str | None) -> People:
        """The same people with ``VOICEBOT_FALLBACK_NUMBER`` behind them: for every team, at all hours."""
        if number is None:
            return self
        last = Destination(name=LAST_RESORT, number=number, skills=tuple(self.skills))
        return self.model_copy(update={"destinations_": (*self.destinations_, last)})

    def skill_of(self, owner: str | None) -> str:
        """The team that an owner of the policy's table is; `GENERAL` for none and for one not listed."""
        return owner if owner is not None and owner in self.skills else GENERAL

    def open_at(self, now: datetime, skill: str) -> bool:
        """Whether the team answers at this moment; unknown teams are `GENERAL`."""
        return self._hours[self.skill_of(skill)].open_at(now)

    def next_opening(self, now: datetime, skill: str) -> datetime:
        """``now`` if the team is open, else when it opens next, in the business's time zone.

        Raises:
            PeopleError: it does not open within a year.
        """
        found = self._hours[self.skill_of(skill)].next_opening(now)
        if found is None:
            raise PeopleError(f"{skill!r} does not open within a year: mend its hours or the holidays")
        return found

    def answering(self, now: datetime, skill: str) -> str | None:
        """Who answers for ``skill`` now: the team itself, or the first open one it falls to; None: nobody."""
        seen: set[str] = set()
        one: str | None = self.skill_of(skill)
        while one is not None and one not in seen:
            if self.open_at(now, one):
                return one
            seen.add(one)
            one = self.skills[one].falls_to
        return None

    def destinations(self, skill: str, now: datetime) -> tuple[Destination, ...]:
        """The numbers to try for a team at this moment, in order; none: nobody is there.

        Those of the team that answers now, then the server's last resort, which has no hours.
        """
        team = self.answering(now, skill)
        mine = [one for one in self.destinations_ if one.name != LAST_RESORT and team in one.skills]
        return (*mine, *(one for one in self.destinations_ if one.name == LAST_RESORT))

    def resting(self, seen: Mapping[str, bool]) -> frozenset[str]:
        """Names of the numbers that nobody answers now: of the agents who answer it (``answers``) some are at
        the desk, and all of those pause. Who is not at the desk is not known to be away.

        Args:
            seen: who is at the desk, and whether they take callers.
        """
        takes: dict[str, list[bool]] = {}
        for one in self.agents:
            if one.answers is not None and one.id in seen:
                takes.setdefault(one.answers, []).append(seen[one.id])
        return frozenset(name for name, of in takes.items() if not any(of))

    def opens(self, now: datetime, skill: str) -> datetime:
        """When somebody answers for a team next, itself or one that it falls to.

        Raises:
            PeopleError: nobody does within a year.
        """
        chain: list[str] = []
        one: str | None = self.skill_of(skill)
        while one is not None and one not in chain:
            chain.append(one)
            one = self.skills[one].falls_to
        return min(self.next_opening(now, name) for name in chain)

    def agent(self, agent_id: str) -> Agent | None:
        """The agent of that id."""
        return next((one for one in self.agents if one.id == agent_id), None)

    def staff(self, skill: str, there: Collection[str] = ()) -> int:
        """How many people a team has: those of its agents who are ``there``; if none is, as listed.

        Listed are its agents, else its numbers: who answers a phone is not seen.
        """
        if present := sum(skill in one.skills and one.id in there for one in self.agents):
            return present
        desks = sum(skill in one.skills for one in self.agents)
        return desks or sum(skill in one.skills for one in self.destinations_ if one.name != LAST_RESORT)

    def allows(self, number: str) -> bool:
        """Whether a number may be dialled for a caller at all."""
        return any(one.number == number for one in self.destinations_)

    @cached_property
    def _hours(self) -> dict[str, Hours]:
        zone = ZoneInfo(self.time_zone)
        days = {date.fromisoformat(day): spans(one.hours) for day, one in self.holidays.items()}
        none: dict[date, tuple[Span, ...]] = {}
        return {
            name: Hours.read(one.hours, zone, none if one.works_holidays else days)
            for name, one in self.skills.items()
        }

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{name!r} is no time zone of this system (such as America/Chicago)") from error
        return name

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if GENERAL not in self.skills:
            raise ValueError(f"skills: {GENERAL} is missing: the team of whoever is free")
        for name, one in self.skills.items():
            if one.falls_to is not None and one.falls_to not in self.skills:
                raise ValueError(f"skills.{name}.falls_to: there is no team {one.falls_to!r}")
        for one in self.destinations_:
            if unknown := [skill for skill in one.skills if skill not in self.skills]:
                raise ValueError(f"destinations, {one.name}: there is no team {unknown}")
        for one in self.agents:
            if unknown := [skill for skill in one.skills if skill not in self.skills]:
                raise ValueError(f"agents, {one.id}: there is no team {unknown}")
        ids = [one.id for one in self.agents]
        dialled = {one.name for one in self.destinations_}
        for one in self.agents:
            if one.answers is not None and one.answers not in dialled:
                raise ValueError(f"agents, {one.id}.answers: there is no destination {one.answers!r}")
        if twice := sorted({one for one in ids if ids.count(one) > 1 or one in dialled}):
            raise ValueError(f"agents: {twice} stand there twice, or are a destination's name too")
        names = [LAST_RESORT, *(one.name for one in self.destinations_)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(
                f"destinations: {twice}: each needs a name of its own ({LAST_RESORT!r} is the server's)"
            )
        for day in self.holidays:
            try:
                date.fromisoformat(day)
            except ValueError as error:
                raise ValueError(f"holidays.{day}: write the day as '2026-12-25', with quotes") from error
        try:
            self._hours  # noqa: B018  # read now, so that a wrong span is found at start
        except HoursError as error:
            raise ValueError(f"hours: {error}") from error
        return self


def is_here(host: str) -> bool:
    """Whether a host name or address is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
