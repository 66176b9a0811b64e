"""What was made to be spoken, as it is read: prices, codes and large numbers in figures. Pure, English.

    written("It costs one thousand two hundred and ninety nine dollars.")   # It costs $1,299.

The inverse of `spoken_text` for what is tiresome to read in words, and for nothing else: "thirty days" and
"nine in the morning" are read as they stand.
"""

from __future__ import annotations

import re

from voicebot.core.number_words import BELOW_TWENTY, TEENS, TENS, UNITS

DIGITS_FROM = 3
"""From so many single digits in a row on, they are a code: an order number, a post code, 911."""
FIGURES_FROM = 100
"""Smaller numbers are words in running text."""

_VALUES = {**UNITS, **TEENS, **TENS}
_SMALL = "|".join(sorted(_VALUES, key=len, reverse=True))
_DIGIT = "|".join(BELOW_TWENTY[:10])
_CODE = re.compile(rf"\b(?:{_DIGIT})(?:,? (?:{_DIGIT})){{{DIGITS_FROM - 1},}}\b", re.IGNORECASE)
_NUMBER = rf"(?:{_SMALL})(?: (?:and )?(?:{_SMALL}|hundred|thousand))*"
_MONEY = re.compile(rf"\b(?P<whole>{_NUMBER}) dollars?(?: and (?P<cents>{_NUMBER}) cents?)?\b", re.IGNORECASE)
_LARGE = re.compile(
    rf"\b(?:{_SMALL})(?: (?:and )?(?:{_SMALL}))? (?:hundred|thousand)(?: (?:and )?(?:{_SMALL}|hundred))*\b"
)
_TELEPHONE = re.compile(r"(\d{3})(\d{3})(\d{4})")


def written(text: str) -> str:
    """The text with prices, codes and large numbers in figures.

    >>> written("Order six three five, one nine two weighs two hundred and sixty pounds.")
    'Order 635192 weighs 260 pounds.'
    """
    text = _CODE.sub(_code, text)
    text = _MONEY.sub(_money, text)
    return _LARGE.sub(_large, text)


def _code(match: re.Match[str]) -> str:
    code = "".join(str(BELOW_TWENTY.index(word)) for word in match[0].lower().replace(",", "").split())
    telephone = _TELEPHONE.fullmatch(code)
    return "-".join(telephone.groups()) if telephone else code


def _money(match: re.Match[str]) -> str:
    whole = _value(match["whole"])
    cents = _value(match["cents"]) if match["cents"] else None
    if whole is None or (match["cents"] and cents is None):
        return match[0]
    return f"${whole:,}" + (f".{cents:02}" if cents is not None else "")


def _large(match: re.Match[str]) -> str:
    value = _value(match[0])
    return match[0] if value is None or value < FIGURES_FROM else str(value)


def _value(words: str) -> int | None:
    """The number that words stand for; None when they are several ("twenty thirty")."""
    total = part = 0
    room = 1_000_000
    for word in words.lower().replace(" and ", " ").split():
        if word == "thousand":
            total, part, room = total + (part or 1) * 1000, 0, 1000
        elif word == "hundred":
            part, room = (part or 1) * 100, 100
        else:
            value = _VALUES[word]
            if value >= room:
                return None
            part, room = part + value, 10 if value >= 20 else 1
    return total + part
