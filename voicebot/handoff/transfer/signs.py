"""What happens to a transfer, as far as it counts.

Signs come late, twice, out of order and about legs that are long gone, so each names the dial
(``attempt``) or the entry into the room (``entry``) that it is about.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LegStatus = Literal[
    "queued", "initiated", "ringing", "in-progress", "completed", "busy", "failed", "no-answer", "canceled"
]
"""Of the person's leg, in Twilio's words."""

LEG_OVER = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})


@dataclass(frozen=True, slots=True)
class Dialled:
    """Twilio has taken the dial."""

    attempt: int
    leg: str


@dataclass(frozen=True, slots=True)
class DialRefused:
    """Twilio has refused it, or the destination may not be dialled: there is no leg."""

    attempt: int


@dataclass(frozen=True, slots=True)
class DialUnknown:
    """No answer, or an answer that says nothing (5xx), or the node died meanwhile: there may be a leg."""

    attempt: int


@dataclass(frozen=True, slots=True)
class LookedFor:
    """Twilio was asked for the leg of a dial. ``leg`` None: none found; ``blind``: Twilio did not answer."""

    attempt: int
    leg: str | None
    blind: bool = False


@dataclass(frozen=True, slots=True)
class LegIs:
    """What a callback, or Twilio when asked, says of a leg."""

    attempt: int
    leg: str
    status: LegStatus


@dataclass(frozen=True, slots=True)
class Answered:
    """The leg asks what it shall hear: somebody has picked up."""

    attempt: int
    leg: str


@dataclass(frozen=True, slots=True)
class Pressed:
    """Who has picked up pressed a key; ``""``: none in time. ``asking``: when asked for the n-th time."""

    attempt: int
    leg: str
    asking: int
    digits: str


@dataclass(frozen=True, slots=True)
class AgentIn:
    """The person has joined the room."""

    attempt: int


@dataclass(frozen=True, slots=True)
class AgentOut:
    """The person's way out of the room. ``on_line``: they still hold the phone, so the room has ended."""

    attempt: int
    on_line: bool


@dataclass(frozen=True, slots=True)
class CallerIn:
    """The caller has joined the room."""

    entry: int


@dataclass(frozen=True, slots=True)
class CallerAsks:
    """The caller's call asks what comes next. ``entry``: it has left that room; None: it was with the bot."""

    entry: int | None = None


@dataclass(frozen=True, slots=True)
class RoomSeen:
    """Who is in the room, when Twilio was asked."""

    caller: bool
    agent: bool


@dataclass(frozen=True, slots=True)
class CallerSeen:
    """Whether the caller is still on the line, when Twilio was asked."""

    on_line: bool


@dataclass(frozen=True, slots=True)
class SentBack:
    """REST was told to give the caller to the bot (or to the last resort). ``ok``: it took it."""

    ok: bool


@dataclass(frozen=True, slots=True)
class CallerLeft:
    """The caller's call is over."""


@dataclass(frozen=True, slots=True)
class MediaBack:
    """The caller's media socket stands again."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The caller was taken elsewhere, or it is not wanted any more. ``forwarded``: to the last resort."""

    forwarded: bool = False


@dataclass(frozen=True, slots=True)
class TakenAtDesk:
    """Somebody at a desk has the handoff now, and will speak with the caller over the media socket."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed; only counts from ``Transfer.due`` on."""


Sign = (
    Dialled
    | DialRefused
    | DialUnknown
    | LookedFor
    | LegIs
    | Answered
    | Pressed
    | AgentIn
    | AgentOut
    | CallerIn
    | CallerAsks
    | RoomSeen
    | CallerSeen
    | SentBack
    | CallerLeft
    | MediaBack
    | Cancelled
    | TakenAtDesk
    | Tick
)
