"""Who is there, for the dialogue: hours, the wait in the queue, numbers we may call, pages of articles."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from voicebot.dialogue.phrases import Phrases
from voicebot.dialogue.staff import Absence
from voicebot.handoff.outbound import Outbound, OutboundError, is_number, national
from voicebot.handoff.people import GENERAL, People, PeopleError


class Presence:
    """One per node. Implements `voicebot.dialogue.staff.Staff`.

    Args:
        people: teams and hours, with the last resort behind them if there is one.
        outbound: what may be dialled, and when.
    """

    def __init__(self, people: People, outbound: Outbound) -> None:
        self._people = people
        self._outbound = outbound
        self._most_s = outbound.longest_wait_minutes * 60
        self._waits: Mapping[str, float] = {}
        self._there: Collection[str] = frozenset()

    def learn(self, waits_s: Mapping[str, float], there: Collection[str] = frozenset()) -> None:
        """What a caller would wait for each team now, in seconds; the agents who are at the desk."""
        self._waits = dict(waits_s)
        self._there = frozenset(there)

    def absence(self, now: datetime, owner: str | None) -> Absence | None:
        """Nobody to dial, or a wait that nobody should be asked for."""
        skill = self._people.skill_of(owner)
        team = self._people.answering(now, skill)
        if team is None and not self._people.destinations(skill, now):
            return Absence("closed", opens_at=self._opens(now, skill))
        wait_s = 0.0 if team is None else self._waits.get(team, 0.0)
        return Absence("too_long", wait_minutes=round(wait_s / 60)) if wait_s > self._most_s else None

    def at_desk(self, now: datetime, owner: str | None) -> bool:
        """An agent of the team that answers now is there, and does not pause."""
        team = self._people.answering(now, self._people.skill_of(owner))
        return any(team in one.skills and one.id in self._there for one in self._people.agents)

    def calls_at(self, at: datetime, owner: str | None) -> bool:
        """Somebody of the team (or whom it falls to) is at work, and people are called at that hour."""
        return self._outbound.open_at(at) and self._people.answering(at, owner or GENERAL) is not None

    def number(self, said: str) -> str | None:
        """In E.164, if it may be dialled."""
        number = said if said.startswith("+") else national(said, self._outbound.country)
        if number is None or not is_number(number):
            return None
        return number if self._outbound.dialable(number) is None else None

    def link(self, article: str) -> str | None:
        """Its page on the business's site."""
        pattern = self._outbound.article_link
        return None if pattern is None else pattern.format(article=article)

    def _opens(self, now: datetime, skill: str) -> datetime | None:
        try:
            return self._people.next_opening(now, skill)
        except PeopleError:
            return None


def check_phrases(outbound: Outbound, phrases: Phrases) -> None:
    """That everything that is said in calls of ours has its words.

    Raises:
        OutboundError: a line is missing.
    """
    needed = ["outbound.notice", "outbound.person", "outbound.question", "outbound.stop", "outbound.message"]
    needed += [f"outbound.why.{purpose}" for purpose in outbound.purposes]
    if missing := [key for key in needed if not phrases.has(key)]:
        raise OutboundError(f"phrases.yaml: spoken.{missing[0]} is missing: business/outbound.yaml needs it")
