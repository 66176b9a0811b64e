"""Other customers' identifiers, known by keyed digest: a value that belongs to somebody else is never said.

The key is the process's own and random: the index lives in memory, is built from the system of record
and tells
nobody who reads it what it holds. 64 bits of each digest are kept: among ten million values the chance that a
harmless word collides is one in a trillion. Ids and addresses count by themselves; a post code only
beside the
last name it belongs to; a name as first and last together.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from voicebot.safety.guard_out.tokens import runs, tokens
from voicebot.safety.guard_out.values import Fact, values

_ORDER, _PHONE, _POST = 6, 10, 5
"""Digits of what is looked for in a longer row of digits."""
_MIN_CODE = 5


class Identifier(StrEnum):
    """The kinds of values that point at one person."""

    ORDER = "order"
    PHONE = "phone"
    MAIL = "mail"
    CODE = "code"
    """Tracking numbers, customer ids."""
    NAME = "name"
    PLACE = "place"
    """A post code with the last name."""


@dataclass(frozen=True, slots=True)
class Owned:
    """One value of one customer, as the system of record writes it. ``place``: "97209 Miller"."""

    customer: str
    kind: Identifier
    value: str


class CustomerIndex:
    """Digests with their owners. Replaced as a whole; read by everybody.

    Args:
        key: of the digests; None: a new random one.
    """

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key or secrets.token_bytes(32)
        self._digests: NDArray[np.uint64] = np.zeros(0, np.uint64)
        self._owners: NDArray[np.uint64] = np.zeros(0, np.uint64)

    def __len__(self) -> int:
        return len(self._digests)

    @property
    def bytes(self) -> int:
        """What it takes in memory."""
        return self._digests.nbytes + self._owners.nbytes

    def digest(self, kind: Identifier, value: str) -> int:
        """64 bits of HMAC-SHA-256 of a normalised value."""
        return int.from_bytes(hmac.digest(self._key, f"{kind}:{value}".encode(), "sha256")[:8], "big")

    def owner(self, customer: str) -> int:
        """The same of a customer's id."""
        return int.from_bytes(hmac.digest(self._key, f"owner:{customer}".encode(), "sha256")[:8], "big")

    def digested(self, owned: Iterable[Owned]) -> list[tuple[int, int]]:
        """Rows as they are kept. The slow half of building: about two microseconds a row."""
        return [
            (self.digest(one.kind, normal), self.owner(one.customer))
            for one in owned
            if (normal := normalised(one.kind, one.value))
        ]

    def replace(self, rows: Sequence[tuple[int, int]]) -> None:
        """From now on these."""
        table = np.array(rows, dtype=np.uint64).reshape(-1, 2)
        order = np.argsort(table[:, 0], kind="stable")
        self._digests, self._owners = (
            np.ascontiguousarray(table[order, 0]),
            np.ascontiguousarray(table[order, 1]),
        )

    def others(self, kind: Identifier, value: str, own: str | None) -> bool:
        """Whether the value is a customer's, and not (also) that of ``own``."""
        if not len(self._digests):
            return False
        digest = np.uint64(self.digest(kind, value))
        low = int(np.searchsorted(self._digests, digest, "left"))
        high = low
        while high < len(self._digests) and self._digests[high] == digest:
            high += 1
        if low == high:
            return False
        if own is None:
            return True
        mine = np.uint64(self.owner(own))
        return not any(self._owners[at] == mine for at in range(low, high))


def normalised(kind: Identifier, value: str) -> str:
    """One writing for each value; empty when it is none of its kind."""
    match kind:
        case Identifier.ORDER:
            return re.sub(r"\D", "", value)
        case Identifier.PHONE:
            digits = re.sub(r"\D", "", value)
            return digits[-_PHONE:] if len(digits) >= _PHONE else ""
        case Identifier.MAIL:
            return value.strip().lower()
        case Identifier.CODE:
            return re.sub(r"[^a-z0-9]", "", value.lower())
        case Identifier.NAME | Identifier.PLACE:
            return " ".join(word for word in tokens(value) if word not in ".;!?")


def identifiers(text: str, digits_before: str = "") -> Iterator[tuple[Identifier, str]]:
    """What in a text could point at a person.

    Args:
        text: the words.
        digits_before: single digits that the utterance has said so far, for a number spread over clauses.
    """
    words = [word for word in tokens(text) if word not in ".;!?"]
    rows = [run.digits for run in runs(tokens(text))]
    spread = digits_before + "".join(rows)
    for row in {*rows, spread}:
        for size, kind in ((_ORDER, Identifier.ORDER), (_PHONE, Identifier.PHONE)):
            for at in range(len(row) - size + 1):
                yield kind, row[at : at + size]
    for value in values(text):
        if value.kind is Fact.MAIL:
            yield Identifier.MAIL, value.value
        elif value.kind is Fact.CODE and len(value.value) >= _MIN_CODE:
            yield Identifier.CODE, value.value
    codes = {row for row in rows if len(row) == _POST}
    names = [word for word in words if word.isalpha() and len(word) > 1]
    for first, last in pairwise(names):
        yield Identifier.NAME, f"{first} {last}"
    for code in codes:
        for name in names:
            yield Identifier.PLACE, f"{code} {name}"
