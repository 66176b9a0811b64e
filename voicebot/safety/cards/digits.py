"""Digits in memory that are overwritten when they are no longer needed, and are never shown.

A `str` cannot be overwritten, so none is ever made of them here. What a consumer copies (an HTTP client's
buffers, the kernel's) is beyond this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

_ZERO = ord("0")


class Digits:
    """Up to ``most`` digits, as ASCII bytes in one buffer. Not printable, not picklable, not comparable."""

    def __init__(self, most: int) -> None:
        self._buffer = bytearray(most)
        self._length = 0
        self._too_many = False

    def __len__(self) -> int:
        return self._length

    def __repr__(self) -> str:
        return "<digits>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("card digits stay in memory")

    def add(self, key: str) -> None:
        """One more digit; what does not fit is dropped, so that its check fails."""
        if self._length == len(self._buffer):
            self._too_many = True
            return
        self._buffer[self._length] = ord(key)
        self._length += 1

    def at(self, place: int) -> int:
        """The value of one digit."""
        return self._buffer[place] - _ZERO

    def view(self) -> memoryview:
        """The ASCII bytes themselves, for whoever hands them on; wiped with this object."""
        return memoryview(self._buffer)[: self._length]

    def luhn(self) -> bool:
        """Whether the last digit is Luhn's (ISO/IEC 7812)."""
        total = 0
        for place in range(self._length):
            value = self.at(self._length - 1 - place) * (2 if place % 2 else 1)
            total += value - 9 if value > 9 else value
        return self._length > 0 and not self._too_many and total % 10 == 0

    def wipe(self) -> None:
        """Overwrites everything with zeros."""
        for place in range(len(self._buffer)):
            self._buffer[place] = 0
        self._length = 0
        self._too_many = False


@dataclass(frozen=True, slots=True)
class Card:
    """A card as it was typed in. ``expiry``: MMYY."""

    number: Digits
    expiry: Digits
    code: Digits

    def wipe(self) -> None:
        """Overwrites all of it."""
        for part in (self.number, self.expiry, self.code):
            part.wipe()
