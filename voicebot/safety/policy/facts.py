"""What the policy is asked with, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, time
from enum import StrEnum

from voicebot.core.conversation import Action, Confidences, Route, Urgency
from voicebot.safety.policy.segment import Segment


class Health(StrEnum):
    """How the channel and what stands behind it are doing."""

    OK = "ok"
    DEGRADED = "degraded"
    """The fallback recogniser listens, sound is lost, or a system of record answers slowly."""


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """What is known when the policy is asked. What is not known is None and never gives more freedom.

    ``verified``: a VerifiedCustomer is at hand. ``segment`` counts for verified callers only.
    ``local_time``, ``weekday`` (Monday is 0) and ``today`` are the business's, not the caller's.
    ``distress``: calibrated probability, 0..1. ``vulnerable``: the caller is known to be.

    Raises:
        TypeError: ``segment`` is a word and not a `Segment`.
        ValueError: ``weekday`` is none.
    """

    intent: str
    confidences: Confidences
    verified: bool
    segment: Segment | None = None
    region: str | None = None
    local_time: time | None = None
    weekday: int | None = None
    today: date | None = None
    healthy: Health = Health.OK
    distress: float = 0.0
    vulnerable: bool = False

    def __post_init__(self) -> None:
        if self.segment is not None and not isinstance(self.segment, Segment):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError("PolicyFacts.segment: pass Segment.of_record(customer, name), never a word")
        if self.weekday is not None and not 0 <= self.weekday <= 6:
            raise ValueError(f"PolicyFacts.weekday: 0 is Monday, 6 is Sunday, there is no {self.weekday}")


class Band(StrEnum):
    """Where the facts stand. The first that applies, from the top, is taken."""

    DISTRESS = "distress"
    """Somebody may be in danger or despair: a person, at once, whatever the intent."""
    LOST = "lost"
    """It is not known what the caller wants."""
    UNSURE = "unsure"
    """The intent is likely, not certain."""
    VULNERABLE = "vulnerable"
    """A vulnerable caller asks something that could hurt them."""
    UNVERIFIED = "unverified"
    """Identity is needed and missing."""
    UNGROUNDED = "ungrounded"
    """No article carries an answer."""
    DOUBTFUL = "doubtful"
    """There is an answer, but it was judged and is not good enough."""
    SURE = "sure"
    """Nothing speaks against it."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the policy says.

    ``row`` is ``INTENT/tierN/BAND``, with ``OVERRIDE>`` before it when an override had the last word.
    ``owner`` answers for the row. ``tools`` and ``clearances``: what may be called and read for it.
    """

    action: Action
    route: Route
    tier: int
    row: str
    reasons: tuple[str, ...]
    urgency: Urgency = Urgency.NORMAL
    owner: str = ""
    clearances: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    band: Band = Band.SURE
    in_force: tuple[str, ...] = ()
    """Rows of the overrides and grants that applied: ``overrides.night``."""
