"""Values as they are spoken: dates, times, amounts, digits, counts. Pure, English.

`spoken_text` puts running text into spoken form with these. The renderer, not a language model, writes
every date, amount and number that comes from a record, so what is said is what stands there.
"""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from voicebot.core.number_words import BELOW_TWENTY, WHOLE_TENS

_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def cardinal(number: int) -> str:
    """A whole number in words, up to 999,999,999.

    >>> cardinal(1299)
    'one thousand two hundred ninety nine'
    """
    if number < 0:
        return f"minus {cardinal(-number)}"
    for size, name in ((1_000_000, "million"), (1_000, "thousand"), (100, "hundred")):
        if number >= size:
            head, rest = divmod(number, size)
            return f"{cardinal(head)} {name}" + (f" {cardinal(rest)}" if rest else "")
    if number < 20:
        return BELOW_TWENTY[number]
    tens, ones = divmod(number, 10)
    return WHOLE_TENS[tens] + (f" {BELOW_TWENTY[ones]}" if ones else "")


def ordinal(number: int) -> str:
    """1 -> first, 20 -> twentieth, 31 -> thirty first."""
    head, _, last = cardinal(number).rpartition(" ")
    if last in _ORDINALS:
        last = _ORDINALS[last]
    elif last.endswith("y"):
        last = last[:-1] + "ieth"
    else:
        last += "th"
    return f"{head} {last}".strip()


def day(value: date) -> str:
    """A date without its year: ``Friday the twentieth of November``."""
    return f"{_DAYS[value.weekday()]} the {ordinal(value.day)} of {_MONTHS[value.month - 1]}"


def year(value: int) -> str:
    """1999 -> nineteen ninety nine, 2005 -> two thousand five, 2026 -> twenty twenty six."""
    head, rest = divmod(value, 100)
    if not 1100 <= value <= 2999 or value // 10 == 200:
        return cardinal(value)
    if rest == 0:
        return f"{cardinal(head)} hundred" if head % 10 else cardinal(value)
    return f"{cardinal(head)} {'oh ' if rest < 10 else ''}{cardinal(rest)}"


def clock_time(value: time, *, part_of_day: bool = True) -> str:
    """A time of day: ``nine in the morning``, ``two thirty in the afternoon``, ``noon``.

    >>> clock_time(time(14, 5))
    'two oh five in the afternoon'
    """
    if value.minute == 0 and value.hour in {0, 12}:
        return "noon" if value.hour else "midnight"
    words = cardinal((value.hour - 1) % 12 + 1)
    if value.minute:
        words += f" {'oh ' if value.minute < 10 else ''}{cardinal(value.minute)}"
    return f"{words} {_part_of_day(value.hour)}" if part_of_day else words


def _part_of_day(hour: int) -> str:
    if hour < 12:
        return "in the morning"
    if hour < 18:
        return "in the afternoon"
    return "in the evening" if hour < 22 else "at night"


def amount(value: Decimal, currency: tuple[str, str] = ("dollar", "cent")) -> str:
    """Money: ``twelve dollars and fifty cents``. Never rounded beyond the cent.

    >>> amount(Decimal("12.50"))
    'twelve dollars and fifty cents'
    """
    if value < 0:
        return f"minus {amount(-value, currency)}"
    cents = int((value * 100).to_integral_value())
    whole, part = divmod(cents, 100)
    small = f"{cardinal(part)} {currency[1]}{'' if part == 1 else 's'}"
    if whole == 0 and part:
        return small
    words = f"{cardinal(whole)} {currency[0]}{'' if whole == 1 else 's'}"
    return f"{words} and {small}" if part else words


def digits(value: str) -> str:
    """Digit by digit, in groups of three: ``four two seven, one zero three``."""
    groups = [value[at : at + 3] for at in range(0, len(value), 3)]
    return ", ".join(" ".join(BELOW_TWENTY[int(digit)] for digit in group) for group in groups)


def spoken(value: Any) -> str:
    """Any value of a tool's result as words. A string of digits is read digit by digit.

    Raises:
        TypeError: a kind of value nobody has decided how to say.
    """
    match value:
        case bool():
            return "yes" if value else "no"
        case int():
            return cardinal(value)
        case Decimal():
            return amount(value)
        case datetime():
            return f"{day(value)} at {clock_time(value.time())}"
        case date():
            return day(value)
        case time():
            return clock_time(value)
        case str():
            return digits(value) if value.isdigit() and len(value) > 2 else value
        case _:
            raise TypeError(f"no spoken form for {type(value).__name__}")
