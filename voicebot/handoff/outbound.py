"""What may be dialled, when, and what comes after a try (``business/outbound.yaml``). Pure.

The default is to refuse: a number on no list, an order without consent, an hour at which people sleep.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers
from phonenumbers import timezone as number_zones
from pydantic import Field, StringConstraints, model_validator

from voicebot.core.conversation import Strict
from voicebot.core.settings import PhoneNumber
from voicebot.handoff.document import read_document
from voicebot.handoff.hours import Hours, HoursError, Span, spans
from voicebot.handoff.people import GENERAL, People

Beginning = Annotated[str, StringConstraints(pattern=r"^\+[1-9]\d{0,14}$")]
STEP = timedelta(minutes=15)
LOOK_AHEAD = timedelta(days=14)
MOST_ZONES = 6
"""A number whose zones are more than so many tells nothing of where it is (toll-free numbers have all)."""


class OutboundError(Exception):
    """The file cannot be used; the message names file and key."""


class Purpose(Strict):
    """What a call is for. ``person``: a colleague was promised, so one is offered at once."""

    intent: str
    owner: str = GENERAL
    person: bool = False


class Refused(StrEnum):
    """Why a call is not made. The value is what the API, the audit and the log say."""

    NO_CONSENT = "no_consent"
    UNKNOWN_PURPOSE = "unknown_purpose"
    NOT_A_NUMBER = "not_a_number"
    NOT_ALLOWED = "not_on_the_allow_list"
    OWN_NUMBER = "own_number"
    NOT_TO_BE_CALLED = "not_to_be_called"
    TOO_OFTEN = "called_too_often"
    BOT_OFF = "bot_is_off"
    NEVER_IN_HOURS = "no_calling_hours"
    TOO_FAR = "too_far_ahead"


@dataclass(frozen=True, slots=True)
class Order:
    """A call that somebody wants made, and what is known of its number."""

    number: str
    purpose: str
    consent: bool
    ordered_today: int = 0
    left_alone: bool = False
    """Its owner asked not to be called."""
    bot_on: bool = True


class After(StrEnum):
    """What came of a try."""

    REACHED = "reached"
    AGAIN = "again"
    GONE = "gone"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows a try: with ``AGAIN``, when."""

    after: After
    next_at: datetime | None = None
    reason: str | None = None


Outcome = Literal["busy", "no_answer", "failed", "cancelled", "machine", "fax", "refused"]
"""How a try ended that reached nobody. ``refused``: Twilio will never place it."""


class Outbound(Strict):
    """Rules of the calls that we make. Immutable.

    Without a file nothing may be dialled.
    """

    from_: PhoneNumber | None = Field(default=None, alias="from")
    allow: tuple[Beginning, ...] = ()
    deny: tuple[Beginning, ...] = ()
    country: str = Field(default="US", pattern=r"^[A-Z]{2}$")
    """In which numbers without a country's code are."""
    article_link: str | None = Field(default=None, pattern=r"^https://[^{}\s]+/[^{}\s]*\{article\}[^{}\s]*$")
    """The page of an article, with ``{article}`` for its id."""
    hours: dict[str, str | tuple[str, ...]] = Field(
        default_factory=lambda: dict[str, Any]({"mon-fri": "09:00-18:00"})
    )
    tries: int = Field(default=3, ge=1, le=10)
    spacing_minutes: tuple[Annotated[float, Field(gt=0, le=10080)], ...] = Field(
        default=(10, 60), min_length=1
    )
    ring_s: int = Field(default=40, ge=5, le=120)
    most_a_day: int = Field(default=3, ge=1)
    machine: Literal["message", "hang_up"] = "hang_up"
    detection: Literal["wait", "meanwhile"] = "wait"
    longest_wait_minutes: float = Field(default=10, gt=0)
    """A longer wait for a person is not asked of a caller: a call back is offered instead."""
    purposes: dict[str, Purpose] = Field(
        default_factory=lambda: {"callback": Purpose(intent="person", person=True)}
    )
    time_zone: str = "UTC"
    holidays: tuple[str, ...] = ()

    @classmethod
    def read(cls, folder: Path, people: People) -> Outbound:
        """Reads ``business/outbound.yaml`` of a deployment; zone and closed holidays are those of ``people``.

        Raises:
            OutboundError: the file has another shape.
        """
        path = folder / "business" / "outbound.yaml"
        ours = {
            "time_zone": people.time_zone,
            "holidays": [day for day, one in people.holidays.items() if not one.hours],
        }
        return read_document(cls, path, OutboundError, ours=ours, hint=", or a key is not text")

    def refusal(self, order: Order, own: Sequence[str] = ()) -> Refused | None:
        """Why an order is not taken; None: it is. ``own``: numbers of ours, which would call each other."""
        if not order.consent:
            return Refused.NO_CONSENT
        if order.purpose not in self.purposes:
            return Refused.UNKNOWN_PURPOSE
        number = self.dialable(order.number, own)
        if number is not None:
            return number
        if order.left_alone:
            return Refused.NOT_TO_BE_CALLED
        if order.ordered_today >= self.most_a_day:
            return Refused.TOO_OFTEN
        return None if order.bot_on else Refused.BOT_OFF

    def dialable(self, number: str, own: Sequence[str] = ()) -> Refused | None:
        """Why a number is never dialled; None: it may be."""
        if not is_number(number):
            return Refused.NOT_A_NUMBER
        if number in own:
            return Refused.OWN_NUMBER
        if any(number.startswith(one) for one in self.deny):
            return Refused.NOT_ALLOWED
        return None if any(number.startswith(one) for one in self.allow) else Refused.NOT_ALLOWED

    def open_at(self, at: datetime, number: str | None = None) -> bool:
        """Whether people are called at that moment: by our clock, and where ``number`` is."""
        zones = () if number is None else zones_of(number)
        return self._ours.open_at(at) and all(self._hours_in(zone).open_at(at) for zone in zones)

    def next_opening(self, at: datetime, number: str | None = None) -> datetime | None:
        """``at``, or the next quarter of an hour at which people are called; None: not within two weeks."""
        if self.open_at(at, number):
            return at
        step = at.astimezone(UTC)
        step = step.replace(minute=step.minute // 15 * 15, second=0, microsecond=0)
        last = at + LOOK_AHEAD
        while (step := step + STEP) <= last:
            if self.open_at(step, number):
                return step.astimezone(at.tzinfo)
        return None

    def after_try(
        self, outcome: Outcome, tries: int, now: datetime, *, number: str, asked_for: bool = True
    ) -> Verdict:
        """What follows a try that reached nobody.

        Args:
            outcome: how it ended.
            tries: how many there were, with this one.
            now: aware.
            number: whom it was for.
            asked_for: the called person named the time, so only our hours count.
        """
        if outcome in {"refused", "fax"}:
            return Verdict(After.FAILED, reason=outcome)
        if tries >= self.tries:
            return Verdict(After.GONE, reason=outcome)
        minutes = self.spacing_minutes[min(tries, len(self.spacing_minutes)) - 1]
        due = now + timedelta(minutes=minutes)
        at = self.next_opening(due, None if asked_for else number)
        if at is None:
            return Verdict(After.GONE, reason=Refused.NEVER_IN_HOURS.value)
        return Verdict(After.AGAIN, next_at=at, reason=outcome)

    @cached_property
    def _ours(self) -> Hours:
        return self._hours_in(self.time_zone)

    def _hours_in(self, zone: str) -> Hours:
        closed: dict[date, tuple[Span, ...]] = {date.fromisoformat(day): spans(()) for day in self.holidays}
        return Hours.read(self.hours, ZoneInfo(zone), closed)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        try:
            self._ours  # noqa: B018  # read now, so that a wrong span is found at start
        except HoursError as error:
            raise ValueError(f"hours: {error}") from error
        return self


def is_number(number: str) -> bool:
    """Whether it is a number in E.164 as some country has them.

    >>> is_number("+12025550123"), is_number("+120255501"), is_number("911")
    (True, False, False)
    """
    if not number.startswith("+"):
        return False
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return False


def zones_of(number: str) -> tuple[str, ...]:
    """Time zones in which a number may be; none when that is not known.

    >>> zones_of("+12025550123")
    ('America/New_York',)
    """
    try:
        found = number_zones.time_zones_for_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return ()
    known = tuple(zone for zone in found if _exists(zone))
    return known if len(known) <= MOST_ZONES else ()


def _exists(zone: str) -> bool:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        return False
    return True


def national(digits: str, country: str) -> str | None:
    """Digits as a caller says them, in E.164; None if no number of that country has them.

    >>> national("2025550175", "US"), national("1234567890", "US")
    ('+12025550175', None)
    """
    try:
        number = phonenumbers.parse(digits, country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number) or not _plausible(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _plausible(number: phonenumbers.PhoneNumber) -> bool:
    """In the North American plan an area code and an exchange begin with two to nine."""
    if number.country_code != 1:
        return True
    digits = str(number.national_number)
    return len(digits) == 10 and digits[0] in "23456789" and digits[3] in "23456789"
