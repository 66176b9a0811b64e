"""Answering-machine detection of an outbound call: what REST asks for, what the verdict is, whom it is told.

Parameters and values of ``AnsweredBy``: twilio-oai ``twilio_api_v2010.json``, Calls, also that ``SendDigits``
switches it off; the fields of the asynchronous callback are from third-party handlers.
"""

from __future__ import annotations

from dataclasses import dataclass

from .people import Person
from .verbs import Jump


@dataclass(frozen=True)
class Detection:
    """``until_end``: ``DetectMessageEnd``, else ``Enable``. ``tell``: asynchronous, whom to tell."""

    until_end: bool
    timeout_s: float
    tell: Jump | None
    asynchronous: bool

    def verdict(self, person: Person) -> tuple[str, float]:
        """``AnsweredBy``, and after how many seconds of the answer it stands."""
        if person.detected_after_s > self.timeout_s:
            return "unknown", self.timeout_s
        match person.is_:
            case "machine" if self.until_end:
                return f"machine_end_{person.ends_with}", person.detected_after_s + person.greeting_s
            case "machine":
                return "machine_start", person.detected_after_s
            case other:
                return other, person.detected_after_s
