"""English number words, as callers say them and as we do: one table for hearing, reading and speaking."""

from __future__ import annotations

UNITS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5,
    "six": 6, "seven": 7, "eight": 8, "nine": 9, "niner": 9,
}  # fmt: skip
ZEROS = frozenset({"zero", "oh", "o", "nought", "naught", "zeros"})
TEENS = {
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15,
    "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19,
}  # fmt: skip
TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fourty": 40, "fifty": 50,
    "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
REPEATS = {"double": 2, "triple": 3, "treble": 3}
"""``double four`` is two digits."""

BELOW_TWENTY = ("zero", *(word for word in UNITS if word != "niner"), *TEENS)
"""How we say 0 to 19."""

WHOLE_TENS = ("zero", "ten", *(word for word in TENS if word != "fourty"))
"""How we say 0, 10 ... 90."""

DIGIT_WORDS = frozenset({*UNITS, *ZEROS, *TEENS, *TENS, *REPEATS})
"""Every word that stands for digits, or repeats one."""
