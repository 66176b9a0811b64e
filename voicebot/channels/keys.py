"""Keypad digits that belong together become one input. Pure: the caller passes the time."""

from __future__ import annotations

from voicebot.core.conversation import FREE, Expects, Keys

BETWEEN_KEYS_S = 2.5
"""A pause this long after a key ends an unfinished number (people look at their papers)."""

SINGLE_KEY_S = 0.6
"""A lone key waits this long for company when no number was asked for."""

_LONGEST = 32


class KeyBuffer:
    """Collects keys until the number that was asked for is whole, ``#`` is pressed, or a pause.

    One per call. ``press`` and ``due`` return the finished input or None.
    """

    def __init__(self) -> None:
        self._expects = FREE
        self._digits = ""
        self._last_s = 0.0

    def expect(self, expects: Expects) -> None:
        """What was just asked; keys pressed already count towards it."""
        self._expects = expects

    def press(self, digit: str, now_s: float) -> Keys | None:
        """Takes one key (``0-9``, ``*``, ``#``)."""
        if digit == "#":
            return self._finish() if self._digits else Keys(digits="#")
        if digit == "*":
            self._digits = ""
            return Keys(digits="*")
        self._digits += digit
        self._last_s = now_s
        wanted = self._expects.length if self._expects.kind == "digits" else None
        if len(self._digits) >= (wanted or _LONGEST):
            return self._finish()
        return None

    def wait_s(self, now_s: float) -> float | None:
        """Seconds until ``due`` should be asked; None while nothing is held."""
        if not self._digits:
            return None
        pause = BETWEEN_KEYS_S if self._expects.kind == "digits" or len(self._digits) > 1 else SINGLE_KEY_S
        return max(0.0, self._last_s + pause - now_s)

    def due(self, now_s: float) -> Keys | None:
        """The digits so far, when the pause is long enough."""
        wait = self.wait_s(now_s)
        return self._finish() if wait is not None and wait <= 0 else None

    def _finish(self) -> Keys:
        digits, self._digits = self._digits, ""
        return Keys(digits=digits)
