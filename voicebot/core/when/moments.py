"""From the pieces of a caller's words to a moment, a span, or a doubt. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from voicebot.core.when.pieces import PARTS, After, Clock, Day, Mark, Part, Piece, pieces_of
from voicebot.core.when.span import Doubt, When
from voicebot.core.when.words import tokens_of

_NOON = 12
_DAY = timedelta(days=1)
_EARLY, _LATE = (7, 10), (16, 18)
_KEYS = 4
_ROUND = 5
"""Nobody says "at ten thirty one": minutes from now are rounded up to fives."""


@dataclass
class _Said:
    """What was said so far; later words of a kind take the place of earlier ones."""

    day: Day | None = None
    weeks: str | None = None
    clocks: list[Clock] = field(default_factory=list[Clock])
    part: str | None = None
    after: After | None = None
    bound: str | None = None
    zone: str | None = None
    soon: bool = False


def parse_when(text: str, now: datetime, *, answers: bool = False) -> When | None:
    """The day and time that the words name; None if they name none.

    Args:
        text: what the caller said or wrote.
        now: aware, in the time zone that is meant where the caller names none.
        answers: the words answer "when?", so that "three" is a time.

    >>> from zoneinfo import ZoneInfo
    >>> now = datetime(2026, 11, 18, 10, 30, tzinfo=ZoneInfo("America/Los_Angeles"))  # a Wednesday
    >>> parse_when("tomorrow at half past ten in the morning", now).at.isoformat()
    '2026-11-19T10:30:00-08:00'
    >>> parse_when("quarter to six", now).doubt, parse_when("quarter to six", now).at.hour
    (<Doubt.HALF: 'half'>, 17)
    """
    said = _gather(pieces_of(tokens_of(text), bare=answers))
    return _meant(said, now)


def go_on(before: str | None, text: str) -> str:
    """Words about a time behind those that came before, or alone if they name a day and a time themselves.

    >>> go_on("friday", "half past ten"), go_on("sunday at noon", "then monday morning")
    ('friday, half past ten', 'then monday morning')
    """
    pieces = pieces_of(tokens_of(text), bare=True)
    day = any(isinstance(piece, Day) for piece in pieces)
    whole = day and any(isinstance(piece, Clock | Part) for piece in pieces)
    later = any(isinstance(piece, After) or piece == Mark("soon") for piece in pieces)
    return text if before is None or whole or later else f"{before}, {text}"


def parse_keys(digits: str, now: datetime) -> When | None:
    """A time that was keyed: ``9``, ``14``, ``930``, ``1430``; None if it is none.

    >>> from zoneinfo import ZoneInfo
    >>> now = datetime(2026, 11, 18, 10, 30, tzinfo=ZoneInfo("America/Los_Angeles"))
    >>> parse_keys("1430", now).at.isoformat(), parse_keys("9975", now)
    ('2026-11-18T14:30:00-08:00', None)
    """
    if not digits.isdigit() or len(digits) > _KEYS:
        return None
    hour, minute = (int(digits), 0) if len(digits) <= 2 else (int(digits[:-2]), int(digits[-2:]))
    if hour > 23 or minute > 59:
        return None
    whole = hour > _NOON or hour == 0 or (len(digits) == _KEYS and digits[0] == "0")
    return _meant(_Said(clocks=[Clock(hour, minute, whole=whole)]), now)


def _gather(pieces: Sequence[Piece]) -> _Said:
    said = _Said()
    negated = corrected = False
    joins = False
    for piece in pieces:
        if isinstance(piece, Mark):
            match piece.kind:
                case "not":
                    negated = True
                case "correction":
                    corrected, negated = True, False
                case "zone":
                    said.zone = piece.value
                case "soon":
                    said.soon = True
                case "weeks":
                    said.weeks = piece.value
                case "between" | "from" | "after" | "before":
                    said.bound = piece.kind
                case "to" if not said.clocks:
                    said.bound = "before" if said.bound is None else said.bound
                case "to" | "and":
                    joins = bool(said.clocks)
                    if piece.kind == "to" and said.bound in {None, "from"}:
                        said.bound = "between"
            continue
        if negated:
            negated = False
            continue
        match piece:
            case Day():
                said.day = piece
                said.after = None
            case Clock():
                if joins and said.bound == "between" and len(said.clocks) == 1:
                    said.clocks.append(piece)
                else:
                    said.clocks = [piece]
                    if corrected:
                        said.part = None
                if said.after is not None and (corrected or not said.after.days):
                    said.after = None
            case Part():
                said.part = piece.name
                if corrected:
                    said.clocks = []
            case After():
                said.after, said.clocks, said.part, said.day = piece, [], None, None
        joins = False
    return said


def _meant(said: _Said, now: datetime) -> When | None:
    named = said.zone
    if named is not None:
        now = now.astimezone(ZoneInfo(named))
    if said.after is not None and said.after.days and said.day is None:
        said = replace(said, after=None, day=Day(days=said.after.length.days))
    if said.after is not None and not said.clocks:
        found = _later(said.after, said, now)
    elif said.day is None and not said.clocks and said.part is None and said.weeks is None:
        found = When(now, now + 7 * _DAY, part="soon") if said.soon else None
    else:
        found = _dated(said, now)
    return None if found is None else replace(found, named_zone=named)


def _later(after: After, said: _Said, now: datetime) -> When:
    real = now.astimezone(UTC) + after.length  # whatever clocks do meanwhile
    if after.within:
        return When(now, real.astimezone(now.tzinfo), part="within")
    real = real.replace(second=0, microsecond=0)
    at = (real + timedelta(minutes=-real.minute % _ROUND)).astimezone(now.tzinfo)
    return When(at, at)


def _dated(said: _Said, now: datetime) -> When:
    if said.weeks is not None and said.day is None:
        monday = now.date() + timedelta(days=7 - now.weekday() if said.weeks == "next" else 0)
        end = monday + timedelta(days=7 - (0 if said.weeks == "next" else now.weekday()))
        at = max(_at(monday, 0, 0, now), now)
        return When(at, _at(end, 0, 0, now), doubt=Doubt.DAY)
    day, other_day, fixed = _day_of(said, now)
    if not said.clocks:
        return _span_of_day(said, day, other_day, now)
    if len(said.clocks) > 1:
        return _between(said, day, fixed, now)
    clock = said.clocks[0]
    if said.bound in {"after", "before"} or (said.bound == "from" and len(said.clocks) == 1):
        return _open_span(said, clock, day, fixed, now)
    return _moment(said, clock, day, other_day, fixed, now)


def _day_of(said: _Said, now: datetime) -> tuple[date, date | None, bool]:
    """The day, another that it may be (an earlier one), and whether it was named."""
    today, named = now.date(), said.day
    if named is None:
        return today, None, said.part in {"tonight", "this morning", "this afternoon", "this evening"}
    if named.days is not None:
        return today + timedelta(days=named.days), None, True
    if named.weekday is not None:
        ahead = (named.weekday - today.weekday()) % 7
        if named.next and named.this:  # "monday week"
            return today + timedelta(days=(ahead or 7) + 7), None, True
        if ahead == 0 and not named.this and (named.next or not _still_to_come(said, now)):
            ahead = 7
        coming = today + timedelta(days=ahead)
        if named.next and ahead > 0 and today.weekday() + ahead < 7:  # this week's, or the week's after
            return coming + timedelta(days=7), coming, True
        return coming, None, True
    assert named.date is not None
    return _calendar(named.date, today), None, True


def _still_to_come(said: _Said, now: datetime) -> bool:
    """Whether a time of this day is still to come, so that its name means today."""
    if not said.clocks:
        return said.part is not None and PARTS.get(said.part, (0, 24))[1] > now.hour
    return any(
        _at(now.date(), hour, said.clocks[0].minute, now) > now for hour in _hours(said.clocks[0], said.part)
    )


def _calendar(named: tuple[int | None, int | None, int], today: date) -> date:
    year, month, day = named
    for months in range(60):
        at_month = month if month is not None else (today.month - 1 + months) % 12 + 1
        at_year = year or (today.year + (months if month is not None else (today.month - 1 + months) // 12))
        try:
            found = date(at_year, at_month, day)
        except ValueError:
            if year is not None:
                return today - _DAY  # no such day: gone by, so it is asked about
            continue
        if found >= today or year is not None:
            return found
    return today - _DAY


def _hours(clock: Clock, part: str | None) -> tuple[int] | tuple[int, int]:
    """The hours of the day that a time can mean, the earlier first."""
    if clock.whole:
        return (clock.hour,)
    if clock.half == "am":
        return (clock.hour % 12,)
    if clock.half == "pm":
        return (clock.hour % 12 + 12,)
    if clock.hour > _NOON:
        return (clock.hour,)
    early, late = clock.hour % 12, clock.hour % 12 + 12
    name = (part or "").rpartition(" ")[2]
    if name in {"morning", "early"}:
        return (early if clock.hour != _NOON else 0,)
    if name in {"afternoon", "lunchtime", "late"}:
        return (late,)
    if name in {"evening", "tonight", "night"}:
        return (late if late > 15 else early,)
    return (early, late)


def _moment(said: _Said, clock: Clock, day: date, other_day: date | None, fixed: bool, now: datetime) -> When:
    hours = _hours(clock, said.part)
    ahead = [at for hour in hours if (at := _at(day, hour, clock.minute, now)) > now]
    if not ahead and not fixed:
        ahead = [_at(day + _DAY, hour, clock.minute, now) for hour in hours]
    elif not fixed and len(hours) > len(ahead):  # "at nine" in the afternoon: tonight, or tomorrow morning
        ahead += [_at(day + _DAY, hours[0], clock.minute, now)]
    elif (
        said.day is not None
        and said.day.weekday == now.weekday() == day.weekday()
        and len(ahead) < len(hours)
    ):
        ahead += [_at(day + 7 * _DAY, hours[0], clock.minute, now)]  # today's name: tonight, or in a week
    if not ahead:
        gone = _at(day, hours[-1], clock.minute, now)
        return When(gone, gone, doubt=Doubt.PAST)
    if other_day is not None:
        other = _at(other_day, hours[-1] if len(hours) > 1 and hours[0] < 7 else hours[0], clock.minute, now)
        at = ahead[-1] if len(ahead) > 1 and hours[0] < 7 else ahead[0]
        return When(at, at, doubt=Doubt.DAY, other=other)
    if len(ahead) > 1:
        return When(ahead[0], ahead[0], doubt=Doubt.HALF, other=ahead[1])
    return _on_the_wall(ahead[0])


def _on_the_wall(at: datetime) -> When:
    """A moment, with what the change of clocks makes doubtful about it."""
    real = at.astimezone(UTC).astimezone(at.tzinfo)
    if real.replace(tzinfo=None) != at.replace(tzinfo=None):
        return When(real, real, doubt=Doubt.GAP)
    again = at.replace(fold=1)
    if again.utcoffset() != at.utcoffset():
        return When(at, at, doubt=Doubt.TWICE, other=again)
    return When(at, at)


def _span_of_day(said: _Said, day: date, other_day: date | None, now: datetime) -> When:
    part = said.part
    if part is None:
        at, until = _at(day, 0, 0, now), _at(day + _DAY, 0, 0, now)
        if until <= now:
            return When(at, until, doubt=Doubt.PAST)
        other = None if other_day is None else _at(other_day, 0, 0, now)
        return When(max(at, now), until, doubt=Doubt.HOUR if other is None else Doubt.DAY, other=other)
    first, last = _part_hours(part)
    at, until = _at(day, first, 0, now), _at(day, last, 0, now)
    if part == "morning" and said.day is None and at <= now:
        at, until = at + _DAY, until + _DAY  # said in the morning, "in the morning" is tomorrow's
    if until <= now:
        if said.day is not None or part in {"tonight"} or part.startswith("this "):
            return When(at, until, doubt=Doubt.PAST, part=part)
        at, until = at + _DAY, until + _DAY
    other = None if other_day is None else _at(other_day, first, 0, now)
    return When(max(at, now), until, part=part, doubt=None if other is None else Doubt.DAY, other=other)


def _part_hours(part: str) -> tuple[int, int]:
    if part == "early":
        return _EARLY
    if part == "late":
        return _LATE
    head, _, name = part.rpartition(" ")
    first, last = PARTS["night" if name == "tonight" else name]
    if head == "early":
        return first, (first + last) // 2
    if head == "late":
        return (first + last) // 2, last
    return first, last


def _between(said: _Said, day: date, fixed: bool, now: datetime) -> When:
    """Two times: the likeliest is the shortest span that is still to come."""
    first, second = said.clocks[:2]
    if first.half is None and not first.whole and second.half is not None and first.hour <= second.hour:
        first = replace(first, half=second.half) if second.hour != _NOON else first
    for ahead in (0,) if fixed else (0, 1):
        on = day + timedelta(days=ahead)
        spans = [
            (at, until)
            for one in _hours(first, said.part)
            for other in _hours(second, said.part)
            if (at := _at(on, one, first.minute, now)) < (until := _at(on, other, second.minute, now))
            and until > now
        ]
        if spans:
            shortest = min(until - at for at, until in spans)
            best = [span for span in spans if span[1] - span[0] == shortest]
            at, until = best[0]
            if len(best) > 1:
                return When(max(at, now), until, doubt=Doubt.HALF, other=best[1][0])
            return When(max(at, now), until)
    gone = _at(day, _hours(first, said.part)[-1], first.minute, now)
    return When(gone, gone, doubt=Doubt.PAST)


def _open_span(said: _Said, clock: Clock, day: date, fixed: bool, now: datetime) -> When:
    """``after three``, ``before noon``: until the day's end, or from its beginning."""
    before = said.bound == "before"
    hours = _hours(clock, said.part)
    ahead = [at for hour in hours if (at := _at(day, hour, clock.minute, now)) > now]
    if not ahead and not fixed:
        ahead = [_at(day + _DAY, hour, clock.minute, now) for hour in hours]
    if not ahead:
        gone = _at(day, hours[-1], clock.minute, now)
        if before or gone.date() != now.date():
            return When(gone, gone, doubt=Doubt.PAST)
        ahead = [now]  # "after three", and it is four
    at = ahead[0]
    doubt, other = (Doubt.HALF, ahead[1]) if len(ahead) > 1 else (None, None)
    if before:
        begin = max(_at(at.date(), 0, 0, now), now)
        return When(begin, at, doubt=doubt, other=other, part="before")
    end = _at(at.date() + _DAY, 0, 0, now)
    return When(at, end, doubt=doubt, other=other, part="after")


def _at(day: date, hour: int, minute: int, now: datetime) -> datetime:
    return datetime.combine(day, time(hour % 24, minute), tzinfo=now.tzinfo)
