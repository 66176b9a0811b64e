"""TwiML's verbs and nouns as values. Pure; ``twiml.read`` makes them.

Source: twilio.com/docs/voice/twiml.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .pay_verb import Pay


@dataclass(frozen=True)
class Jump:
    """Ask this URL for the next document."""

    url: str
    method: str = "POST"


HOLD_MUSIC = Jump("", "GET")
"""No ``waitUrl`` or ``HoldUrl`` was given: Twilio's own music."""


@dataclass(frozen=True)
class Stream:
    """``<Connect><Stream>``: blocks until the socket is over, then ``action`` or the next verb."""

    url: str
    name: str | None
    parameters: dict[str, str]
    status_callback: Jump | None
    action: Jump | None


@dataclass(frozen=True)
class Redirect:
    """Everything after it is dead."""

    to: Jump


@dataclass(frozen=True)
class Say:
    """Speech of Twilio's own."""

    text: str
    loop: int = 1


@dataclass(frozen=True)
class Play:
    """A file (``url``) or keys (``digits``)."""

    url: str
    digits: str
    loop: int = 1


@dataclass(frozen=True)
class Pause:
    """Silence."""

    length_s: float = 1.0


@dataclass(frozen=True)
class Hangup:
    """Ends the call."""


@dataclass(frozen=True)
class Reject:
    """As the first verb: not answered, not billed."""

    reason: str = "rejected"


@dataclass(frozen=True)
class Number:
    """Who is dialled. ``whisper``: TwiML the called party gets before the two are joined."""

    number: str
    whisper: Jump | None = None
    status_callback: Jump | None = None
    status_events: tuple[str, ...] = ("completed",)


@dataclass(frozen=True)
class ConferenceRoom:
    """``<Conference>``: which room, and how this leg takes part in it.

    ``wait``: what is heard before the room starts; None: silence; ``HOLD_MUSIC``: Twilio's own music.
    """

    name: str
    label: str = ""
    muted: bool = False
    beep: Literal["true", "false", "onEnter", "onExit"] = "true"
    start_on_enter: bool = True
    end_on_exit: bool = False
    wait: Jump | None = HOLD_MUSIC
    max_participants: int = 250
    coach: str | None = None
    record: bool = False
    recording_callback: Jump | None = None
    status_callback: Jump | None = None
    status_events: tuple[str, ...] = ("start", "end")


@dataclass(frozen=True)
class Dial:
    """Joins the call to a second leg (``numbers``) or to a room (``room``)."""

    numbers: tuple[Number, ...]
    action: Jump | None
    timeout_s: float = 30.0
    time_limit_s: float = 14400.0
    caller_id: str | None = None
    answer_on_bridge: bool = False
    room: ConferenceRoom | None = None
    hangup_on_star: bool = False


Track = Literal["inbound_track", "outbound_track", "both_tracks"]


@dataclass(frozen=True)
class StartStream:
    """``<Start><Stream>``, or REST Streams: a copy of the call's sound goes out, the call goes on at once."""

    url: str
    name: str | None
    track: Track
    parameters: dict[str, str]
    status_callback: Jump | None


@dataclass(frozen=True)
class StopStream:
    """``<Stop><Stream name>``."""

    name: str


@dataclass(frozen=True)
class Gather:
    """Collects keys; ``prompts`` are played meanwhile and stop at the first key."""

    prompts: tuple[Say | Play | Pause, ...]
    action: Jump | None
    timeout_s: float = 5.0
    finish_on_key: str = "#"
    num_digits: int | None = None
    action_on_empty: bool = False


@dataclass(frozen=True)
class Record:
    """Records the caller: a voicemail."""

    action: Jump | None
    timeout_s: float = 5.0
    finish_on_key: str = "1234567890*#"
    max_length_s: float = 3600.0
    play_beep: bool = True
    status_callback: Jump | None = None
    status_events: tuple[str, ...] = ("completed",)


Verb = (
    Stream
    | Redirect
    | Say
    | Play
    | Pause
    | Hangup
    | Reject
    | Dial
    | StartStream
    | StopStream
    | Gather
    | Record
    | Pay
)


@dataclass(frozen=True)
class Document:
    """A document that Twilio would run."""

    url: str
    verbs: tuple[Verb, ...]
    warnings: tuple[tuple[int, str], ...] = ()
