"""REST faults on demand: Twilio is down, too busy, or does what it was asked without saying so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass
class RestFault:
    """What goes wrong with the next ``times`` requests that it fits. Added to ``LocalTwilio.faults``.

    ``how``: ``refused`` answers ``status`` and does nothing (429 is never processed, errors/20429);
    ``done_then_refused`` does it and answers ``status`` all the same; ``done_then_silent`` does it and does
    not answer for ``silent_s``, so that the client's time-out comes first.
    """

    path: str = ""
    """Part of the path, e.g. ``/Participants``, ``/Calls/CA``; empty: any."""
    method: str = ""
    """``GET``, ``POST``, ``DELETE``; empty: any."""
    how: Literal["refused", "done_then_refused", "done_then_silent"] = "refused"
    status: int = 500
    times: int = 1
    silent_s: float = 30.0

    def fits(self, method: str, path: str) -> bool:
        """Whether a request meets it."""
        return self.times > 0 and self.path in path and self.method in ("", method)

    @property
    def code(self) -> int:
        """Twilio's: 20429 too many requests, 20500 internal error, 20503 unavailable."""
        return {429: 20429, 503: 20503}.get(self.status, 20500)
