"""Whether a time that a caller named can be kept: somebody works then, it is to come, not too far. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from voicebot.core.when.span import Doubt, When

FURTHEST = timedelta(days=14)
STEP = timedelta(minutes=15)
"""Within a span, the times that are tried: quarters of an hour."""

IsOpen = Callable[[datetime], bool]


class Refusal(StrEnum):
    """Why a time cannot be kept; the caller is told, and asked again."""

    PAST = "past"
    CLOSED = "closed"
    TOO_FAR = "too_far"
    NO_SUCH_TIME = "no_such_time"


@dataclass(frozen=True, slots=True)
class Kept:
    """What comes of it. One of ``at`` (call then; ``until`` is the end of the span), ``ask`` and ``refused``.

    ``ask``: what has to be asked. ``other``: the second of two meanings.
    """

    at: datetime | None = None
    until: datetime | None = None
    ask: Doubt | None = None
    first: datetime | None = None
    other: datetime | None = None
    refused: Refusal | None = None


def settle(when: When, now: datetime, is_open: IsOpen) -> Kept:
    """The moment to call, or what to ask.

    Where the words mean two times and somebody works at only one of them, that one is meant.
    """
    match when.doubt:
        case Doubt.PAST:
            return Kept(refused=Refusal.PAST)
        case Doubt.GAP:
            return Kept(refused=Refusal.NO_SUCH_TIME)
        case Doubt.HOUR:
            if _first_open(when.at, when.until, is_open) is None:
                return Kept(refused=Refusal.TOO_FAR if when.at > now + FURTHEST else Refusal.CLOSED)
            return Kept(ask=Doubt.HOUR, first=when.at)
        case Doubt.DAY if when.other is None:
            return Kept(ask=Doubt.DAY, first=when.at)
        case Doubt.HALF | Doubt.TWICE | Doubt.DAY if when.other is not None:
            shift = when.other - when.at
            second = replace(when, at=when.other, until=when.until + shift, doubt=None, other=None)
            if when.part in {"after", "before"}:
                second = replace(
                    second, at=when.at if when.part == "before" else when.other, until=_end(when, shift)
                )
            one, two = (
                _plain(replace(when, doubt=None, other=None), now, is_open),
                _plain(second, now, is_open),
            )
            if one.at is not None and two.at is not None and when.doubt is not Doubt.TWICE:
                if when.doubt is Doubt.HALF and when.part == "after":
                    return one
                return Kept(ask=when.doubt, first=one.at, other=two.at)
            return one if one.at is not None or two.at is None else two
        case _:
            return _plain(when, now, is_open)


def _end(when: When, shift: timedelta) -> datetime:
    return when.until if when.part == "after" else when.until + shift


def _plain(when: When, now: datetime, is_open: IsOpen) -> Kept:
    if when.at > now + FURTHEST:
        return Kept(refused=Refusal.TOO_FAR)
    if when.moment:
        if when.at <= now:
            return Kept(refused=Refusal.PAST)
        return Kept(at=when.at, until=when.at) if is_open(when.at) else Kept(refused=Refusal.CLOSED)
    at = _first_open(max(when.at, now), when.until, is_open)
    if at is None:
        return Kept(refused=Refusal.CLOSED)
    return Kept(at=at, until=when.until)


def _first_open(at: datetime, until: datetime, is_open: IsOpen) -> datetime | None:
    """The first quarter of an hour of a span at which somebody works."""
    zone = at.tzinfo
    if is_open(at) and at.minute % 15 == 0 and not at.second:
        return at
    step = at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0).astimezone(UTC)
    last = until.astimezone(UTC)
    while (step := step + STEP) < last:
        if is_open(local := step.astimezone(zone)):
            return local
    return None
