"""Day and time in a caller's words: read as meant, never guessed where two things can be meant."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from voicebot.core.when import Doubt, Kept, Refusal, When, parse_keys, parse_when, settle, spoken_when

ZONE = ZoneInfo("America/Los_Angeles")
NOW = datetime(2026, 11, 18, 10, 30, tzinfo=ZONE)  # a Wednesday


def at(day: int, hour: int, minute: int = 0, month: int = 11, year: int = 2026) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=ZONE)


def shop_hours(moment: datetime) -> bool:
    """Monday to Friday, nine to six."""
    local = moment.astimezone(ZONE)
    return local.weekday() < 5 and 9 <= local.hour < 18


MOMENTS = [
    # relative
    ("in two hours", at(18, 12, 30)),
    ("in half an hour", at(18, 11, 0)),
    ("in an hour and a half please", at(18, 12, 0)),
    ("two hours from now", at(18, 12, 30)),
    ("in a couple of hours", at(18, 12, 30)),
    ("in 20 minutes", at(18, 10, 50)),
    ("in two and a half hours", at(18, 13, 0)),
    # hours of the day, with the half said
    ("tomorrow at half past ten in the morning", at(19, 10, 30)),
    ("tomorrow at 3 pm", at(19, 15)),
    ("tomorrow at 3 p.m.", at(19, 15)),
    ("3pm tomorrow", at(19, 15)),
    ("four thirty pm", at(18, 16, 30)),
    ("quarter past nine tomorrow morning", at(19, 9, 15)),
    ("tomorrow afternoon at quarter to six", at(19, 17, 45)),
    ("ten past four this afternoon", at(18, 16, 10)),
    ("twenty to five in the afternoon", at(18, 16, 40)),
    ("nine oh five am on friday", at(20, 9, 5)),
    ("eight in the evening tomorrow", at(19, 20)),
    ("tonight at ten", at(18, 22)),
    ("noon", at(18, 12)),
    ("tomorrow at noon", at(19, 12)),
    ("at midday on friday", at(20, 12)),
    ("quarter to noon tomorrow", at(19, 11, 45)),
    # as the clock on the wall
    ("tomorrow 14:30", at(19, 14, 30)),
    ("at 15", at(18, 15)),
    ("tomorrow at 1530", at(19, 15, 30)),
    ("tomorrow 09:15", at(19, 9, 15)),
    ("15h30 tomorrow", at(19, 15, 30)),
    # days
    ("friday at 2 pm", at(20, 14)),
    ("this friday at 2pm", at(20, 14)),
    ("the day after tomorrow at 9 am", at(20, 9)),
    ("next tuesday at 11 am", at(24, 11)),
    ("monday week at 10 am", at(30, 10)),
    ("a week from today at 10 am", at(25, 10)),
    ("in three days at 4 pm", at(21, 16)),
    ("wednesday at noon", at(18, 12)),
    ("wednesday at 9 am", at(25, 9)),
    # dates
    ("the third of march at 4 pm", at(3, 16, month=3, year=2027)),
    ("march third at four pm", at(3, 16, month=3, year=2027)),
    ("december 24th at 9 am", at(24, 9, month=12)),
    ("on the twenty first at 10 am", at(21, 10)),
    ("on the first at 10 am", at(1, 10, month=12)),
    ("12/24 at 9 am", at(24, 9, month=12)),
    ("2026-12-01 at 14:30", at(1, 14, 30, month=12)),
    ("1 december at 10 am", at(1, 10, month=12)),
    ("Tue 24 Nov 3pm", at(24, 15)),
    # said otherwise on second thoughts
    ("tomorrow at ten, no sorry, at eleven am", at(19, 11)),
    ("not friday but monday at 10 am", at(23, 10)),
    ("tomorrow at 9 am, no wait, make that friday", at(20, 9)),
    # beside other words and numbers
    ("call me tomorrow at 3 pm at 202 555 0175", at(19, 15)),
    ("my number is two oh two five five five oh one seven five call me friday at 4 pm", at(20, 16)),
    ("about my order 427103, tomorrow at 10 am please", at(19, 10)),
]


@pytest.mark.parametrize(("text", "moment"), MOMENTS)
def test_a_moment(text: str, moment: datetime) -> None:
    assert parse_when(text, NOW) == When(moment, moment)


@pytest.mark.parametrize(
    ("text", "begins", "ends"),
    [
        ("friday afternoon", at(20, 12), at(20, 18)),
        ("tomorrow morning", at(19, 7), at(19, 12)),
        ("in the morning", at(19, 7), at(19, 12)),
        ("this afternoon", at(18, 12), at(18, 18)),
        ("late afternoon on monday", at(23, 15), at(23, 18)),
        ("tomorrow first thing", at(19, 7), at(19, 10)),
        ("around lunchtime", at(18, 12), at(18, 14)),
        ("tomorrow after work", at(19, 17), at(19, 21)),
        ("between 2 and 4 pm on thursday", at(19, 14), at(19, 16)),
        ("thursday between eleven and one", at(19, 11), at(19, 13)),
        ("tomorrow from 9:30 am to 11 am", at(19, 9, 30), at(19, 11)),
        ("any time after 3 pm tomorrow", at(19, 15), at(20, 0)),
        ("before noon tomorrow", at(19, 0), at(19, 12)),
        ("within the hour", NOW, at(18, 11, 30)),
        ("as soon as possible", NOW, NOW + timedelta(days=7)),
    ],
)
def test_a_span(text: str, begins: datetime, ends: datetime) -> None:
    found = parse_when(text, NOW)
    assert found is not None
    assert (found.at, found.until, found.doubt) == (begins, ends, None)


@pytest.mark.parametrize(
    ("text", "doubt", "first", "other"),
    [
        ("tomorrow at half past ten", Doubt.HALF, at(19, 10, 30), at(19, 22, 30)),
        ("monday between nine and eleven", Doubt.HALF, at(23, 9), at(23, 21)),
        ("quarter to six", Doubt.HALF, at(18, 17, 45), at(19, 5, 45)),
        ("half ten", Doubt.HALF, at(18, 22, 30), at(19, 10, 30)),
        ("wednesday at nine", Doubt.HALF, at(18, 21), at(25, 9)),
        ("next friday at 2", Doubt.DAY, at(27, 14), at(20, 14)),
        ("next week", Doubt.DAY, at(23, 0), None),
        ("saturday", Doubt.HOUR, at(21, 0), None),
        ("tomorrow", Doubt.HOUR, at(19, 0), None),
        ("this morning at 9 am", Doubt.PAST, at(18, 9), None),
        ("today at 8 am", Doubt.PAST, at(18, 8), None),
        ("february 30th at 10 am", Doubt.PAST, at(17, 10), None),
    ],
)
def test_what_is_doubtful_is_said_so(
    text: str, doubt: Doubt, first: datetime, other: datetime | None
) -> None:
    found = parse_when(text, NOW)
    assert found is not None
    assert (found.doubt, found.at, found.other) == (doubt, first, other)


@pytest.mark.parametrize(
    "text",
    [
        "where is my order", "my order is 427103", "can you call me about two items", "the second item",
        "hello",
        "may i ask something", "i march to another drum", "call me back please", "it was the third time",
        "yes", "one lamp",
        "my number is 202 555 0175", "two oh two five five five oh one seven five", "", "at",
    ],
)  # fmt: skip
def test_words_that_name_no_time(text: str) -> None:
    assert parse_when(text, NOW) is None


@pytest.mark.parametrize(
    ("text", "hour", "minute"),
    [("three", 15, 0), ("ten thirty", 10, 30), ("half past", None, 0), ("3", 15, 0)],
)
def test_a_bare_number_answers_when_but_names_no_time_elsewhere(
    text: str, hour: int | None, minute: int
) -> None:
    assert parse_when(text, NOW) is None
    answer = parse_when(text, NOW, answers=True)
    kept = None if answer is None else settle(answer, NOW, shop_hours).at
    assert (kept is None) == (hour is None)
    assert kept is None or (kept.hour, kept.minute) == (hour, minute)


@pytest.mark.parametrize(
    ("text", "hour", "named"),
    [
        ("tomorrow at 10 am eastern time", 7, "America/New_York"),
        ("tomorrow at 10 am pacific", 10, "America/Los_Angeles"),
        ("tomorrow at 18:00 utc", 10, "UTC"),
    ],
)
def test_a_named_time_zone_counts(text: str, hour: int, named: str) -> None:
    found = parse_when(text, NOW)
    assert found is not None
    assert (found.at.astimezone(ZONE).hour, found.named_zone) == (hour, named)


def test_hours_from_now_are_real_hours_over_a_change_of_clocks() -> None:
    night_before = datetime(2026, 11, 1, 0, 30, tzinfo=ZONE)  # clocks go back at two
    found = parse_when("in two hours", night_before)
    assert found is not None
    assert found.at.isoformat() == "2026-11-01T01:30:00-08:00"


def test_a_time_that_the_clocks_skip_or_strike_twice() -> None:
    spring = datetime(2026, 3, 7, 12, 0, tzinfo=ZONE)
    skipped = parse_when("tomorrow at 2:30 am", spring)
    twice = parse_when("tomorrow at 1:30 am", datetime(2026, 10, 31, 12, 0, tzinfo=ZONE))
    assert skipped is not None
    assert skipped.doubt is Doubt.GAP
    assert twice is not None
    assert twice.other is not None
    assert (twice.doubt, twice.other - twice.at) == (Doubt.TWICE, timedelta(0))  # same wall clock
    assert twice.other.utcoffset() != twice.at.utcoffset()
    assert settle(skipped, spring, lambda _: True).refused is Refusal.NO_SUCH_TIME


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("tomorrow at half past ten", Kept(at=at(19, 10, 30), until=at(19, 10, 30))),  # nobody works at night
        ("quarter to six", Kept(at=at(18, 17, 45), until=at(18, 17, 45))),
        ("wednesday at nine", Kept(at=at(25, 9), until=at(25, 9))),
        ("friday afternoon", Kept(at=at(20, 12), until=at(20, 18))),
        ("monday between nine and eleven", Kept(at=at(23, 9), until=at(23, 11))),
        ("in the morning", Kept(at=at(19, 9), until=at(19, 12))),
        ("as soon as possible", Kept(at=at(18, 10, 30), until=NOW + timedelta(days=7))),
        ("after 5", Kept(at=at(18, 17), until=at(19, 0))),
        ("saturday at 10 am", Kept(refused=Refusal.CLOSED)),
        ("tonight at 10", Kept(refused=Refusal.CLOSED)),
        ("this evening", Kept(at=at(18, 17), until=at(18, 21))),
        ("saturday afternoon", Kept(refused=Refusal.CLOSED)),
        ("saturday", Kept(refused=Refusal.CLOSED)),
        ("today at 8 am", Kept(refused=Refusal.PAST)),
        ("march third at 10 am", Kept(refused=Refusal.TOO_FAR)),
        ("friday", Kept(ask=Doubt.HOUR, first=at(20, 0))),
        ("next friday at 2", Kept(ask=Doubt.DAY, first=at(27, 14), other=at(20, 14))),
    ],
)
def test_only_what_can_be_kept_is_promised(text: str, kept: Kept) -> None:
    found = parse_when(text, NOW)
    assert found is not None
    assert settle(found, NOW, shop_hours) == kept


def test_where_somebody_works_at_all_hours_the_half_of_the_day_is_asked_for() -> None:
    found = parse_when("tomorrow at half past ten", NOW)
    assert found is not None
    asked = settle(found, NOW, lambda _: True)
    assert (asked.at, asked.ask, asked.other) == (None, Doubt.HALF, at(19, 22, 30))


@pytest.mark.parametrize(
    ("digits", "moment"),
    [("1430", at(18, 14, 30)), ("0915", at(19, 9, 15)), ("930", at(19, 9, 30)), ("10", at(19, 10)),
     ("15", at(18, 15)), ("2575", None), ("99", None), ("12345", None)],
)  # fmt: skip
def test_a_time_by_keys(digits: str, moment: datetime | None) -> None:
    found = parse_keys(digits, NOW)
    assert (None if found is None else settle(found, NOW, shop_hours).at) == moment


@pytest.mark.parametrize(
    ("moment", "until", "zone", "words"),
    [
        (at(18, 16), None, None, "today at four in the afternoon"),
        (at(19, 12), None, None, "tomorrow at noon"),
        (at(23, 9), at(23, 11), None, "on Monday between nine and eleven in the morning"),
        (at(20, 11), at(20, 13), None, "on Friday between eleven in the morning and one in the afternoon"),
        (
            at(1, 10, 5, month=12),
            None,
            None,
            "on Tuesday the first of December at ten oh five in the morning",
        ),
        (at(31, 10, month=12), None, None, "on Thursday the thirty first of December at ten in the morning"),
        (at(19, 10), None, "America/New_York", "tomorrow at ten in the morning, Eastern time"),
    ],
)
def test_it_is_said_back_as_people_say_it(
    moment: datetime, until: datetime | None, zone: str | None, words: str
) -> None:
    assert spoken_when(moment, NOW, until=until, zone=zone) == words
