"""What the records hold of the verified customer, said again and misheard: found, to be masked. Pure.

Other detectors go by shape and by the words around. Who stands verified may say their own name, street or
number in any sentence ("send it to Anna Backer"), and the records tell what to look for. A full name is
looked for, not a first or last name alone: "Hill" and "Green" are words, too. What is found keeps the value
that was said, never the one of the records: a mask corrects nobody.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from voicebot.safety.identity.names import sound
from voicebot.safety.pii import cues
from voicebot.safety.pii.finding import Found, Run, runs
from voicebot.safety.pii.words import Kind, Written

_LAST_DIGITS = 10
"""A phone number is compared without what stands before these: the country is seldom said."""
_FUZZY_DIGITS_FROM = 6
_MAIL_EDITS = 2
_SHORT = 4
"""Letters up to which a word is short."""
_SHORTEST_STREET = 4
"""Letters of a street's name from which it is looked for."""


@dataclass(frozen=True, slots=True)
class OwnValue:
    """One value of the records: its kind (a word of `cues.KINDS`) and how it is written."""

    kind: str
    value: str


def said_again(tokens: Sequence[Written], own: Iterable[OwnValue]) -> list[Found]:
    """Where the customer's own values stand, an error of the recogniser away.

    Args:
        tokens: the written form of the utterance.
        own: what the records hold.
    """
    found: list[Found] = []
    numbers = runs(tokens)
    for one in own:
        match one.kind:
            case cues.NAME:
                found += _named(tokens, one)
            case cues.ADDRESS:
                found += _street(tokens, one)
            case cues.EMAIL:
                found += _mail(tokens, one)
            case _:
                found += _number(numbers, one)
    return found


def _named(tokens: Sequence[Written], own: OwnValue) -> list[Found]:
    """All parts of the name in their order, or the last one first; each as it may have been heard."""
    parts = [part for part in re.split(r"[^a-z']+", own.value.lower()) if part]
    if len(parts) < 2:
        return []
    orders = (parts, [parts[-1], *parts[:-1]])
    return [
        Found(own.kind, " ".join(token.text for token in window), window[0].start, window[-1].end)
        for window in _windows(tokens, len(parts))
        if any(
            all(_alike(token.text, part) for token, part in zip(window, order, strict=True))
            for order in orders
        )
    ]


def _street(tokens: Sequence[Written], own: OwnValue) -> list[Found]:
    """The house number, exactly, and the words behind it, as they may have been heard."""
    parts = own.value.lower().split()
    if len(parts) < 2 or not parts[0].isdigit() or len("".join(parts[1:])) < _SHORTEST_STREET:
        return []
    return [
        Found(own.kind, " ".join(token.text for token in window), window[0].start, window[-1].end)
        for window in _windows(tokens, len(parts), words=False)
        if window[0].digits == parts[0]
        and all(_alike(token.text, part) for token, part in zip(window[1:], parts[1:], strict=True))
    ]


def _mail(tokens: Sequence[Written], own: OwnValue) -> list[Found]:
    value = own.value.lower()
    return [
        Found(own.kind, token.text, token.start, token.end)
        for token in tokens
        if token.kind is Kind.EMAIL
        and abs(len(token.text) - len(value)) <= _MAIL_EDITS
        and _edits(token.text, value) <= _MAIL_EDITS
    ]


def _number(numbers: Sequence[Run], own: OwnValue) -> list[Found]:
    """Digits: one wrong, missing or too many of six and more; of fewer, exactly these."""
    value = "".join(filter(str.isdigit, own.value))
    if own.kind == cues.PHONE:
        value = value[-_LAST_DIGITS:]
    fuzzy = len(value) >= _FUZZY_DIGITS_FROM
    return [
        Found(own.kind, run.digits, run.start, run.end)
        for run in numbers
        if run.digits
        and run.text == run.digits
        and (run.digits == value or (fuzzy and near(run.digits, value)))
    ]


def _windows(tokens: Sequence[Written], size: int, *, words: bool = True) -> list[Sequence[Written]]:
    """Neighbours, of words only unless told otherwise."""
    found = [tokens[at : at + size] for at in range(len(tokens) - size + 1)]
    return [one for one in found if not words or all(token.kind is Kind.WORD for token in one)]


def _alike(said: str, held: str) -> bool:
    """Whether two words sound the same and differ in two letters at most; the vowels of a short one count."""
    if said == held:
        return True
    short = min(len(said), len(held)) <= _SHORT
    if _sound(said, vowels=short) != _sound(held, vowels=short):
        return False
    return _edits(said, held) <= (1 if short else 2)


@functools.lru_cache(maxsize=4096)
def _sound(word: str, *, vowels: bool) -> str:
    return sound(word, vowels=vowels)


def _edits(one: str, other: str) -> int:
    """Letters to add, drop or change."""
    last = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            row.append(min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b)))
        last = row
    return last[-1]


def near(one: str, other: str) -> bool:
    """Whether two strings are at most one insertion, deletion or change apart."""
    if abs(len(one) - len(other)) > 1:
        return False
    if len(one) > len(other):
        one, other = other, one
    at = 0
    while at < len(one) and one[at] == other[at]:
        at += 1
    if len(one) == len(other):
        return one[at + 1 :] == other[at + 1 :]
    return one[at:] == other[at + 1 :]
