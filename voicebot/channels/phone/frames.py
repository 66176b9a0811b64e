"""The events that run through a call's pipeline.

``SystemFrame``s overtake (voice, barge-in, keys that stop the bot); data frames keep
their order (turns, answers).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Literal

from pipecat.frames.frames import DataFrame, SystemFrame

from voicebot.channels.phone.waterfall import Waterfall
from voicebot.core.conversation import FREE, Clause, Expects, Heard, TurnInput, TurnTimings, Utterance


@dataclass
class CallerVoiceFrame(SystemFrame):
    """Down: the caller began to speak, or what they said has become a turn (``turn``), or nothing.

    ``goes_on``: they never stopped; their longest turn is over, and the bot speaks all the same.
    """

    speaking: bool = False
    turn: bool = False
    goes_on: bool = False


@dataclass
class PartialWordsFrame(SystemFrame):
    """Down: the words so far of a turn that is still being spoken."""

    text: str = ""


@dataclass
class EagerTurnFrame(SystemFrame):
    """Down: the caller has paused (``at_ms`` on the media clock); what their turn is if they stop here."""

    utterance: Utterance = field(kw_only=True)
    at_ms: int = field(kw_only=True)
    likely: bool = False


@dataclass
class EagerVoidFrame(SystemFrame):
    """Down: they went on; what was made early for them is worth nothing."""


@dataclass
class StopSpeakingFrame(SystemFrame):
    """Down: the caller spoke over the bot or pressed a key; silence it at once."""

    cause: str = "barge_in"


@dataclass
class PauseSpeakingFrame(SystemFrame):
    """Down: a sound of the caller over the bot; silence it at once, and keep what it had to say."""


@dataclass
class ResumeSpeakingFrame(SystemFrame):
    """Down: it was a backchannel or a noise; the bot goes on from the interrupted word."""


@dataclass
class CallerTurnFrame(DataFrame):
    """Down: the caller's turn, complete."""

    input: TurnInput = field(kw_only=True)
    waterfall: Waterfall = field(kw_only=True)


@dataclass
class AnswerFrame(DataFrame):
    """Down: the words of one turn, as they are written, and what the call does afterwards, and why.

    ``after`` is ``continue``, ``hang_up``, ``hand_over``, ``pay`` or ``keypad``.
    """

    turn: int = field(kw_only=True)
    clauses: AsyncIterator[Clause] = field(kw_only=True)
    expects: Expects = field(default=FREE, kw_only=True)
    after: str = field(default="continue", kw_only=True)
    reason: str = field(default="goodbye", kw_only=True)
    waterfall: Waterfall = field(kw_only=True)
    proposes: bool = False
    """Whether the turn proposes something: whatever the caller says meanwhile is an answer to it."""


@dataclass
class EmergencyFrame(DataFrame):
    """Down: speak a pre-rendered line that needs no engine, then leave as ``outcome`` says."""

    line: str = field(kw_only=True)
    outcome: Literal["continue", "handoff"] = field(kw_only=True)
    reason: str = field(kw_only=True)


@dataclass
class SpokenFrame(SystemFrame):
    """Up: one turn's speech is over; what the caller heard of it."""

    turn: int = field(kw_only=True)
    heard: Heard = field(kw_only=True)
    expects: Expects = field(default=FREE, kw_only=True)
    timings: TurnTimings = field(kw_only=True)


@dataclass
class CallOverFrame(SystemFrame):
    """Up: nothing more to say; the call ends, goes to a person, or does something else for a while."""

    outcome: Literal["ended", "handoff", "away"] = field(kw_only=True)
    reason: str = field(kw_only=True)
