"""How many digits a caller has said so far. Pure; counts only, never keeps or returns them.

Hears what recognisers write: ``four two seven``, ``double four``, ``triple oh``, ``forty two``,
``427 12``, ``4-2-7``. Meant for the end of turn; what the digits *are* is the dialogue's business.
"""

from __future__ import annotations

import re

from voicebot.core.number_words import DIGIT_WORDS, REPEATS, TEENS, TENS, UNITS, ZEROS

_ONES = frozenset({*UNITS, *ZEROS})
_TOKEN = re.compile(r"[a-z]+|\d")


def count_digits(text: str) -> int:
    """Digits in ``text``; words that are none are passed over."""
    count = 0
    repeat = 1
    after_tens = False
    for token in _TOKEN.findall(text.lower()):
        if token in REPEATS:
            repeat, after_tens = REPEATS[token], False
            continue
        if token.isdigit() or token in _ONES:
            # "forty two" is two digits: the tens already counted as two.
            count += 0 if after_tens and not token.isdigit() else repeat
            after_tens = False
        elif token in TEENS:
            count += 2
            after_tens = False
        elif token in TENS:
            count += 2
            after_tens = True
        else:
            after_tens = False
        repeat = 1
    return count


def only_digits(text: str) -> bool:
    """Whether ``text`` holds nothing but digits (a number being said, not a sentence with one in it)."""
    tokens = _TOKEN.findall(text.lower())
    return bool(tokens) and all(t.isdigit() or t in DIGIT_WORDS for t in tokens)
