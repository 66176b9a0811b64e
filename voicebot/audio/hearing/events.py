"""What hearing tells the pipeline: a closed set of facts. Times are ms on the call's media clock."""

from __future__ import annotations

from dataclasses import dataclass

from voicebot.audio.hearing.overlap import Verdict
from voicebot.core.conversation import HearingFailure, TurnTimings, Utterance


@dataclass(frozen=True)
class SpeechStarted:
    """The caller began to make sound at ``at_ms`` (the first voiced window, not when we noticed).

    ``goes_on``: they never stopped, their turn was ended at its longest; now it is the bot's.
    """

    at_ms: int
    goes_on: bool = False


BOT_STOPPED = "bot_stopped"
KEYED = "keyed"
"""The caller pressed a key meanwhile: what they want is known."""


@dataclass(frozen=True)
class OverlapStarted:
    """A sound of the caller over the bot since ``at_ms``: silence it now, and keep what it had to say.

    Exactly one ``OverlapEnded`` follows, unless the call ends first.
    """

    at_ms: int


@dataclass(frozen=True)
class OverlapEnded:
    """What the sound was. ``interruption``: the turn is the caller's; else the bot goes on, no turn is told.

    ``decided_after_ms`` since the bot was silenced; ``why`` names the rule (``BOT_STOPPED``: its answer was
    over meanwhile, by a hand-over; ``KEYED``).
    """

    at_ms: int
    verdict: Verdict
    decided_after_ms: int
    why: str


@dataclass(frozen=True)
class PartialHeard:
    """Words so far of a turn that still goes on. For display; never a cause of action."""

    text: str
    at_ms: int


@dataclass(frozen=True)
class EagerTurn:
    """The caller has paused: the turn as it is if they stop here. ``likely``: they probably do.

    A beginning at most: an ``EagerVoid``, a newer ``EagerTurn`` or the ``TurnEnded`` follows.
    """

    utterance: Utterance
    at_ms: int
    likely: bool


@dataclass(frozen=True)
class EagerVoid:
    """They went on, or nothing came of it: the last ``EagerTurn`` is worth nothing."""

    at_ms: int


@dataclass(frozen=True)
class CallerFinished:
    """The caller's turn is over after ``silence_ms`` of silence; its words are being worked out.

    ``TurnEnded`` or ``Unheard`` follows, unless it was a mere click.
    """

    at_ms: int
    silence_ms: int


@dataclass(frozen=True)
class TurnEnded:
    """The caller finished a turn. ``timings`` has last_voiced, turn_ended and final filled."""

    utterance: Utterance
    at_ms: int
    timings: TurnTimings


@dataclass(frozen=True)
class Unheard:
    """The caller made sound, but no words came of it that may be acted upon.

    ``text`` and ``confidence``: what the recogniser made of it nevertheless, for people to read.
    ``started_ms``, ``last_voiced_ms``: where the sound lies.
    """

    reason: HearingFailure
    at_ms: int
    text: str = ""
    confidence: float | None = None
    started_ms: int | None = None
    last_voiced_ms: int | None = None


@dataclass(frozen=True)
class NothingSaid:
    """What seemed to be a turn was a click or a cough: nothing follows ``CallerFinished``."""

    at_ms: int


@dataclass(frozen=True)
class CallerSilent:
    """Neither side made a sound for the configured time; ``nth`` counts since the caller last did."""

    nth: int
    at_ms: int


HearingEvent = (
    SpeechStarted
    | OverlapStarted
    | OverlapEnded
    | PartialHeard
    | EagerTurn
    | EagerVoid
    | CallerFinished
    | TurnEnded
    | Unheard
    | NothingSaid
    | CallerSilent
)
