"""Values as they are spoken: dates, amounts, digits, counts. Pure, English.

The renderer, not a language model, writes every date, amount and number that comes from a
record, so what is said is what stands there.
"""

from __future__ import annotations

from datetime import date
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


def amount(value: Decimal, currency: tuple[str, str] = ("dollar", "cent")) -> str:
    """Money: ``twelve dollars and fifty cents``. Never rounded beyond the cent.

    >>> amount(Decimal("12.50"))
    'twelve dollars and fifty cents'
    """
    cents = int((value * 100).to_integral_value())
    whole, part = divmod(cents, 100)
    words = f"{cardinal(whole)} {currency[0]}{'' if whole == 1 else 's'}"
    return words if part == 0 else f"{words} and {cardinal(part)} {currency[1]}{'' if part == 1 else 's'}"


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
        case date():
            return day(value)
        case str():
            return digits(value) if value.isdigit() and len(value) > 2 else value
        case _:
            raise TypeError(f"no spoken form for {type(value).__name__}")
