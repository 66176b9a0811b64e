"""Asks for a card on the keypad: number, expiry date, security code; each checked, each a few times. Pure.

    entry = CardEntry(today)
    entry.step                  # Step("number", attempt=1): what to ask for
    entry.press("4", now_s)     # True when something changed: look at `step`, `over` again
    entry.due(now_s)            # the same, for a pause

``#`` ends a number, ``*`` stops the payment. A number ends by itself where its length is certain.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from voicebot.safety.cards.digits import Card, Digits

Field = Literal["number", "expiry", "code"]
Over = Literal["complete", "spent", "stopped"]
Wrong = Literal["", "nothing", "number", "date", "code"]

ATTEMPTS = 3
PAUSE_S = 6.0
"""A pause that ends a number: people turn the card over."""
SILENT_S = 15.0
"""So long without a first key, and it is asked for again."""
_FIELDS: tuple[Field, ...] = ("number", "expiry", "code")
_MOST = {"number": 19, "expiry": 4, "code": 4}
_SHORTEST_NUMBER = 12
_AMEX = frozenset({4, 7})
_YEARS_AHEAD = 20


@dataclass(frozen=True, slots=True)
class Step:
    """What is asked for. ``wrong``: why it is asked for again."""

    field: Field
    attempt: int = 1
    wrong: Wrong = ""


class CardEntry:
    """One card being typed in. ``wipe`` it, whatever came of it.

    Args:
        today: where the business is; a card is good to the end of its month.
    """

    def __init__(self, today: date) -> None:
        self._today = today
        self._fields: dict[Field, Digits] = {name: Digits(_MOST[name]) for name in _FIELDS}
        self._since_s: float | None = None
        self._pressed = False
        self._was_whole = False  # a `#` right after that is pressed out of habit
        self.step = Step("number")
        self.over: Over | None = None

    def __repr__(self) -> str:
        return f"<card entry, {self.step.field}>"

    @property
    def card(self) -> Card:
        """What was typed in so far."""
        return Card(self._fields["number"], self._fields["expiry"], self._fields["code"])

    def asked(self, now_s: float) -> None:
        """The question has been put: the time for an answer begins."""
        if not self._pressed:
            self._since_s = now_s

    def press(self, key: str, now_s: float) -> bool:
        """Takes one key. True: look at `step` and `over` again."""
        if self.over is not None:
            return False
        if key == "*":
            self.over = "stopped"
            return True
        if key == "#":
            after_whole, self._was_whole = self._was_whole, False
            return False if after_whole else self._finish()
        self._pressed = True
        self._was_whole = False
        self._since_s = now_s
        self._here.add(key)
        if not self._whole():
            return False
        self._finish()
        self._was_whole = True
        return True

    def wait_s(self, now_s: float) -> float | None:
        """Seconds until `due` has something to say; None: nothing is waited for."""
        if self._since_s is None or self.over is not None:
            return None
        return max(0.0, self._since_s + (PAUSE_S if self._pressed else SILENT_S) - now_s)

    def due(self, now_s: float) -> bool:
        """As `press`, for a pause that lasted."""
        wait_s = self.wait_s(now_s)
        return wait_s is not None and wait_s <= 0 and self._finish()

    def wipe(self) -> None:
        """Overwrites every digit."""
        for digits in self._fields.values():
            digits.wipe()

    @property
    def _here(self) -> Digits:
        return self._fields[self.step.field]

    @property
    def _amex(self) -> bool:
        number = self._fields["number"]
        return len(number) > 1 and number.at(0) == 3 and number.at(1) in _AMEX

    def _whole(self) -> bool:
        here = self._here
        match self.step.field:
            case "number":
                if self._amex:
                    return len(here) == 15
                # Visa also has 13 and 19 digits: those end with # or a pause.
                return len(here) == 16 and here.at(0) in {2, 4, 5, 6} and here.luhn()
            case "expiry":
                return len(here) == 4
            case "code":
                return len(here) == (4 if self._amex else 3)

    def _finish(self) -> bool:
        """The field is over: the next one, or this one again."""
        wrong = self._wrong()
        self._pressed, self._since_s = False, None
        if wrong:
            self._here.wipe()
            if self.step.attempt >= ATTEMPTS:
                self.over = "spent"
            else:
                self.step = Step(self.step.field, self.step.attempt + 1, wrong)
        elif self.step.field == _FIELDS[-1]:
            self.over = "complete"
        else:
            self.step = Step(_FIELDS[_FIELDS.index(self.step.field) + 1])
        return True

    def _wrong(self) -> Wrong:
        here = self._here
        if not len(here):
            return "nothing"
        match self.step.field:
            case "number":
                return "" if len(here) >= _SHORTEST_NUMBER and here.luhn() else "number"
            case "expiry":
                return "" if self._good(here) else "date"
            case "code":
                return "" if len(here) == (4 if self._amex else 3) else "code"

    def _good(self, expiry: Digits) -> bool:
        if len(expiry) != 4:
            return False
        month, year = expiry.at(0) * 10 + expiry.at(1), 2000 + expiry.at(2) * 10 + expiry.at(3)
        if not 1 <= month <= 12 or year > self._today.year + _YEARS_AHEAD:
            return False
        return (year, month) >= (self._today.year, self._today.month)
