"""Words and figures of a clause as tokens, and runs of numbers among them. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from voicebot.core.number_words import ORDINALS, TEENS, TENS, UNITS

TOKEN = re.compile(
    r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+|https?://\S+|www\.\S+|\d{1,2}:\d\d|\d+(?:[.,]\d+)*(?:st|nd|rd|th)?(?![a-z0-9])"
    r"|[a-z]*\d[a-z0-9]*(?:-[a-z0-9]+)*|[$€£%]|[a-z]+(?:'[a-z]+)?(?:\.(?:com|net|org|io|co|shop|example|us|info|biz)\b)?|[.;!?]"
)
_ZERO = frozenset({"zero", "oh", "nought", "naught"})
_SIZES = {"hundred": 100, "thousand": 1000, "million": 1_000_000, "billion": 1_000_000_000}
_DOZENS = {"dozen": 12, "dozens": 12, "hundreds": 100, "thousands": 1000, "millions": 1_000_000}
_CARDINALS = {**UNITS, **TEENS, **TENS}
_SIGNED_ORDINAL = re.compile(r"(\d+)(?:st|nd|rd|th)")
_FIGURE = re.compile(r"\d+(?:[.,]\d+)*")
_BREAKS = frozenset(".;!?")


@dataclass(frozen=True, slots=True)
class Run:
    """Numbers side by side. ``atoms``: each as plain figures ("1200", "12.5"); tokens ``start:end``."""

    atoms: tuple[str, ...]
    start: int
    end: int
    ordinal: bool = False

    @property
    def digits(self) -> str:
        """All figures in a row: "forty two", "seventy one" is 4271."""
        return "".join(self.atoms).replace(".", "")


@lru_cache(maxsize=512)
def tokens(text: str) -> tuple[str, ...]:
    """Lower case tokens; hyphens between words and apostrophes are opened."""
    lowered = text.lower().replace("’", "'").replace("per cent", "percent")
    lowered = re.sub(r"(?<=[a-z])-(?=[a-z])", " ", lowered)
    lowered = re.sub(r"\b([ap])\.m\.?", r"\1m", lowered)
    lowered = re.sub(r"(?<=\d)([ap]m)\b", r" \1", lowered)
    return tuple(TOKEN.findall(lowered))


def is_number(token: str) -> bool:
    """Whether the token is a figure or a number word by itself."""
    return (
        token in _CARDINALS
        or token in _SIZES
        or token in _ZERO
        or token in _DOZENS
        or token in ORDINALS
        or (
            token[0].isdigit()
            and (_FIGURE.fullmatch(token) is not None or _SIGNED_ORDINAL.fullmatch(token) is not None)
        )
    )


def runs(words: Sequence[str]) -> tuple[Run, ...]:
    """Every run of numbers. A full stop inside a row of single digits does not end it."""
    found: list[Run] = []
    at = 0
    while at < len(words):
        if not is_number(words[at]) or (words[at] in {"oh", "second"} and not _next_is_number(words, at)):
            at += 1
            continue
        end = at + 1
        while end < len(words):
            if is_number(words[end]):
                if words[end] == "second":
                    break
                end += 1
            elif _joins(words, end):
                end += 1
            else:
                break
        found += _split(words, at, end)
        at = end
    return tuple(found)


def _next_is_number(words: Sequence[str], at: int) -> bool:
    return at + 1 < len(words) and is_number(words[at + 1]) and words[at + 1] not in ORDINALS


def _joins(words: Sequence[str], at: int) -> bool:
    """Whether what stands between two numbers belongs to them."""
    if at + 1 >= len(words) or not is_number(words[at + 1]):
        return False
    if words[at] == "and":
        return words[at - 1] in _SIZES
    if words[at] == "point":
        return True
    return words[at] in _BREAKS and _is_digit(words[at - 1]) and _is_digit(words[at + 1])


def _is_digit(word: str) -> bool:
    return word in UNITS or word in _ZERO or (len(word) == 1 and word.isdigit())


def _split(words: Sequence[str], start: int, end: int) -> list[Run]:
    """The atoms of a run: each the longest number that its words make."""
    atoms: list[str] = []
    ordinal = False
    total = part = 0
    room = 10**12
    open_ = False
    point = ""

    def close() -> None:
        nonlocal total, part, room, open_
        if open_:
            atoms.append(str(total + part))
        total = part = 0
        room, open_ = 10**12, False

    at = start
    while at < end:
        word = words[at]
        if word == "point":
            close()
            decimals = ""
            while at + 1 < end and _is_digit(words[at + 1]):
                at += 1
                decimals += _digit(words[at])
            whole = atoms.pop() if atoms else "0"
            point = f"{whole}.{decimals}".rstrip("0").rstrip(".")
            atoms.append(point)
        elif word in _SIZES:
            size = _SIZES[word]
            if size == 100:
                part = (part or 1) * 100
                room = min(room, 100)
            else:
                total, part = total + (part or 1) * size, 0
                room = size
            open_ = True
            if size == 100:
                room = 100
        elif word in _DOZENS:
            close()
            atoms.append(str(_DOZENS[word]))
        elif word in _CARDINALS or word in ORDINALS:
            value = _CARDINALS.get(word) or ORDINALS.get(word, 0)
            ordinal = ordinal or word in ORDINALS
            if open_ and value >= room:
                close()
            part += value
            room = 10 if value >= 20 and value % 10 == 0 else 1
            open_ = True
        elif word in _ZERO:
            close()
            atoms.append("0")
        elif word[0].isdigit():
            close()
            signed = _SIGNED_ORDINAL.fullmatch(word)
            ordinal = ordinal or signed is not None
            atoms.append(_figure(signed[1] if signed else word))
        at += 1
    close()
    return [Run(tuple(atoms), start, end, ordinal)] if atoms else []


def _digit(word: str) -> str:
    return "0" if word in _ZERO else str(UNITS.get(word, word))


def _figure(word: str) -> str:
    """12.50 -> 12.5, 1,249 -> 1249."""
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", word):
        word = word.replace(",", "")
    word = word.replace(",", ".") if word.count(",") == 1 and "." not in word else word.replace(",", "")
    return word.rstrip("0").rstrip(".") if "." in word else word
