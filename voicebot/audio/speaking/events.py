"""What speaking tells the pipeline. Times are ms on the call's media clock (None: no frame came yet)."""

from __future__ import annotations

from dataclasses import dataclass

from voicebot.core.conversation import Heard


@dataclass(frozen=True)
class FirstAudioSent:
    """The first audio of a turn's answer left for the caller."""

    turn: int
    at_ms: int | None


@dataclass(frozen=True)
class FirstHeard:
    """The caller began to hear it (from the first mark that came back)."""

    turn: int
    at_ms: int | None


@dataclass(frozen=True)
class ClauseStarted:
    """The first audio of a clause left."""

    turn: int
    text: str
    at_ms: int | None


@dataclass(frozen=True)
class LineSpoken:
    """An emergency line fills in for the speech engine, which is being restarted."""

    turn: int
    name: str
    at_ms: int | None


@dataclass(frozen=True)
class SpeechFailed:
    """The answer could not be spoken to its end: the engine stayed away. Hand over to a person."""

    turn: int
    at_ms: int | None


@dataclass(frozen=True)
class SpeakingEnded:
    """The last mark came back, or the answer was cut, or the line is gone."""

    turn: int
    heard: Heard
    at_ms: int | None


SpeakingEvent = FirstAudioSent | FirstHeard | ClauseStarted | LineSpoken | SpeechFailed | SpeakingEnded
