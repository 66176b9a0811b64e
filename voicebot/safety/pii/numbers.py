"""Numbers out of words: cardinals, strings of digits, ordinals, decimals. Pure.

Every reader takes the words and a place and gives what it read with the place behind it, or None.
"""

from __future__ import annotations

from dataclasses import dataclass

from voicebot.core.number_words import HOMOPHONES, MAGNITUDES, ORDINALS, REPEATS, TEENS, TENS, UNITS, ZEROS
from voicebot.safety.pii.words import Word

FILLERS = frozenset({"um", "uh", "er", "erm", "hm", "hmm", "mm", "ah", "eh", "like", "okay", "uhm", "ehm"})
JOINTS = frozenset({"dash", "hyphen", "space", "-", "minus", "stroke"})
"""Said between groups of digits."""
SMALL = {**UNITS, **TEENS, **TENS}
STARTS = frozenset({*SMALL, *ZEROS, *REPEATS})
_SMALL_FIGURE = 2
_REPEATED = 3
"""Digits of "triple four": what stands beside a digit that was heard as another word."""
_TOO_LATE = 40
"""Chunks of a run; nobody says a number this long."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a number: its digits as said, and whether it is a number that was put together."""

    text: str
    whole: bool
    """It was said with "hundred" or more, so it is no group of digits."""
    figure: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """Chunks that stand together, and the places of their first and last word."""

    chunks: tuple[Chunk, ...]
    first: int
    last: int

    @property
    def text(self) -> str:
        """All its digits."""
        return "".join(chunk.text for chunk in self.chunks)


def skip(words: list[Word], at: int) -> int:
    """The place behind fillers."""
    while at < len(words) and words[at].text in FILLERS:
        at += 1
    return at


def starts(words: list[Word], at: int) -> bool:
    """Whether a number can begin here."""
    return at < len(words) and (words[at].form == "figure" or words[at].text in STARTS)


def below_hundred(words: list[Word], at: int) -> tuple[int, int] | None:
    """One to ninety-nine."""
    if at >= len(words):
        return None
    text = words[at].text
    if text in TENS:
        after = at + 1
        if after < len(words) and words[after].text == "-":
            after += 1
        if after < len(words) and words[after].text in UNITS:
            return TENS[text] + UNITS[words[after].text], after + 1
        return TENS[text], at + 1
    if text in SMALL:
        return SMALL[text], at + 1
    return None


def cardinal(words: list[Word], at: int) -> tuple[int, int, bool] | None:
    """A cardinal: its value, the place behind it, and whether it was put together with "hundred" or more."""
    total, size, found, whole = 0, None, False, False
    while True:
        begin = _and(words, at) if found and whole else at
        group = _group(words, begin)
        if group is None:
            break
        value, after, hundreds = group
        unit = words[after].text if after < len(words) else ""
        if unit in MAGNITUDES:
            weight = MAGNITUDES[unit]
            if size is not None and weight >= size:
                break
            total, size, at, found, whole = total + value * weight, weight, after + 1, True, True
            continue
        if size is not None and value >= size:
            break
        return total + value, after, whole or hundreds
    return (total, at, whole) if found else None


def run(words: list[Word], at: int) -> Run | None:
    """Numbers and digits that stand together, up to the first word that is none of it."""
    chunks: list[Chunk] = []
    first, last, here = at, at, at
    while here < len(words) and len(chunks) < _TOO_LATE:
        read = _chunk(words, here)
        if read is None:
            break
        chunk, here = read
        chunks.append(chunk)
        last = here - 1
        if len(chunks) == 1 and _ends_with_comma(words, last):
            break
        here = _past_joints(words, here)
        while len(chunks) > 1 and len(chunks[-1].text) <= _REPEATED and _homophone(words, here):
            here = skip(words, here)
            chunks.append(Chunk(str(HOMOPHONES[words[here].text]), whole=False))
            here += 1
        here = _past_joints(words, here)
    return Run(tuple(chunks), first, last) if chunks else None


def ordinal(words: list[Word], at: int) -> tuple[int, int] | None:
    """An ordinal: "twenty third", "eleven hundred twenty first", "3rd"."""
    if at >= len(words):
        return None
    if words[at].form == "rank":
        return int(words[at].text[:-2].replace(",", "")), at + 1
    total, here = 0, at
    ahead = cardinal(words, at) if words[at].text in SMALL else None
    if ahead is not None:
        value, after, _ = ahead
        rank = words[after].text if after < len(words) else ""
        if rank == "and":
            rank, after = (words[after + 1].text if after + 1 < len(words) else ""), after + 1
        if rank in {"hundredth", "thousandth", "millionth"}:
            return value * ORDINALS[rank], after + 1
        if ORDINALS.get(rank, 100) < (10 if value % 100 in TENS.values() else 100) and (
            value % 100 in TENS.values() or value % 100 == 0
        ):
            return value + ORDINALS[rank], after + 1
        return None
    if words[here].text in ORDINALS:
        return total + ORDINALS[words[here].text], here + 1
    return None


def fraction(words: list[Word], at: int) -> tuple[str, int] | None:
    """The digits behind "point"."""
    here, digits = at, ""
    while here < len(words):
        text = words[here].text
        if text in TENS or text in TEENS:
            read = below_hundred(words, here)
            assert read is not None  # it begins with one
            digits, here = digits + str(read[0]), read[1]
            continue
        digit = "0" if text in ZEROS else str(UNITS[text]) if text in UNITS else ""
        if words[here].form == "figure" and text.isdigit():
            digit = text
        if not digit:
            break
        digits, here = digits + digit, here + 1
    return (digits, here) if digits else None


def magnitude(words: list[Word], at: int) -> tuple[int, int]:
    """The magnitude that stands here; 1 if none does."""
    text = words[at].text if at < len(words) else ""
    return (MAGNITUDES[text], at + 1) if text in MAGNITUDES else (1, at)


def _group(words: list[Word], at: int) -> tuple[int, int, bool] | None:
    """Up to "ninety nine hundred and ninety nine"."""
    read = below_hundred(words, at)
    if read is None:
        return None
    value, after = read
    if after < len(words) and words[after].text == "hundred":
        value, after = value * 100, after + 1
        tail = below_hundred(words, _and(words, after))
        if tail is not None:
            return value + tail[0], tail[1], True
        return value, after, True
    return value, after, False


def _and(words: list[Word], at: int) -> int:
    if at < len(words) and words[at].text == "and" and at + 1 < len(words) and words[at + 1].text in SMALL:
        return at + 1
    return at


def _past_joints(words: list[Word], at: int) -> int:
    """The place behind fillers and dashes, if a number goes on there."""
    here = at
    while here < len(words) and (words[here].text in FILLERS or words[here].text in JOINTS):
        here += 1
    return here if starts(words, here) else at


def _ends_with_comma(words: list[Word], at: int) -> bool:
    """Whether a small figure stands before a comma: "at 10, 202 555 0175" are two numbers."""
    small = words[at].form == "figure" and len(words[at].text) <= _SMALL_FIGURE
    return small and at + 1 < len(words) and words[at + 1].start - words[at].end > 1


def _homophone(words: list[Word], at: int) -> bool:
    """Whether a digit is written as another word here: digits stand on both sides."""
    at = skip(words, at)
    if at + 1 >= len(words) or words[at].text not in HOMOPHONES:
        return False
    while at < len(words) and (words[at].text in HOMOPHONES or words[at].text in FILLERS):
        at += 1
    after = words[at].text if at < len(words) else ""
    return after in UNITS or after in ZEROS or after in REPEATS


def _chunk(words: list[Word], at: int) -> tuple[Chunk, int] | None:
    if at >= len(words):
        return None
    word = words[at]
    if word.form == "figure":
        text = word.text.replace(",", "")
        return (Chunk(text, whole=False, figure=True), at + 1) if text.isdigit() else None
    text = word.text
    if text in ZEROS:
        return Chunk("0", whole=False), at + 1
    if text in REPEATS:
        return _repeated(REPEATS[text], words, skip(words, at + 1))
    if text in SMALL:
        read = cardinal(words, at)
        if read is not None:
            value, after, whole = read
            return Chunk(str(value), whole), after
    return None


def _repeated(times: int, words: list[Word], at: int) -> tuple[Chunk, int] | None:
    if at >= len(words):
        return None
    text = words[at].text
    if text in ZEROS:
        return Chunk("0" * times, whole=False), at + 1
    if text in UNITS:
        return Chunk(str(UNITS[text]) * times, whole=False), at + 1
    if words[at].form == "figure" and len(text) == 1:
        return Chunk(text * times, whole=False), at + 1
    return None
