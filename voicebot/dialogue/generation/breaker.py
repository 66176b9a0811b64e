"""A circuit breaker: an endpoint that keeps failing is left alone for a while. Pure; the clock is passed in.

    closed --(FAILURES in a row)--> open --(time is up)--> one trial --ok--> closed
                                     ^                         |
                                     +-------(failed: twice as long)

So a dead endpoint costs the callers of a node a few slow turns, not one each.
"""

from __future__ import annotations

from dataclasses import dataclass, field

FAILURES = 2
"""Failures in a row that open the circuit. A caller waits up to 2.5 s for each."""
FIRST_S = 10.0
LONGEST_S = 300.0
"""A circuit stays open for ten seconds, then twice as long after each failed trial, up to five minutes."""
TRIAL_S = 30.0
"""A trial that nobody reported on counts as given up after this long: another one may try."""


@dataclass
class Breaker:
    """The state of one writer's circuit. Times are seconds of one clock that never goes back."""

    failures: int = 0
    opened_for_s: float = 0.0
    _open_until: float = field(default=0.0, repr=False)
    _trial_since: float | None = field(default=None, repr=False)

    def allows(self, now: float) -> bool:
        """Whether a request may be made now. True for one trial once the time is up; report on it."""
        if self.opened_for_s == 0.0:
            return True
        if now < self._open_until:
            return False
        if self._trial_since is not None and now - self._trial_since < TRIAL_S:
            return False
        self._trial_since = now
        return True

    def is_open(self, now: float) -> bool:
        """Whether requests are held back now. Changes nothing."""
        if self.opened_for_s == 0.0:
            return False
        trying = self._trial_since is not None and now - self._trial_since < TRIAL_S
        return now < self._open_until or trying

    def succeeded(self) -> None:
        """The endpoint answered."""
        self.failures = 0
        self.opened_for_s = 0.0
        self._trial_since = None

    def failed(self, now: float, wait_s: float | None = None) -> None:
        """The endpoint did not answer. ``wait_s``: it asked to be left alone for so long."""
        self.failures += 1
        trial = self._trial_since is not None
        self._trial_since = None
        if wait_s is not None:
            self._open(now, min(max(wait_s, 1.0), LONGEST_S))
        elif trial:
            self._open(now, min(self.opened_for_s * 2, LONGEST_S))
        elif self.failures >= FAILURES and self.opened_for_s == 0.0:
            self._open(now, FIRST_S)

    def given_up(self) -> None:
        """The request was cancelled: it says nothing about the endpoint, and another may try."""
        self._trial_since = None

    def _open(self, now: float, seconds: float) -> None:
        self.opened_for_s = seconds
        self._open_until = now + seconds
