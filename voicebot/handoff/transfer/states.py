"""The states of a transfer, and all that a node must know to carry one on."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from voicebot.core.conversation import Strict
from voicebot.core.conversation import TransferOutcome as Outcome


class State(StrEnum):
    """Of one transfer."""

    REQUESTED = "requested"
    """Somebody is being dialled."""
    RINGING = "ringing"
    BRIEFING = "briefing"
    """They have answered and hear what it is about."""
    ACCEPTED = "accepted"
    BRIDGED = "bridged"
    """Both are in the room."""
    DECLINED = "declined"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    AGENT_LEFT = "agent_left"
    FAILED = "failed"
    """They could not be dialled."""
    CANCELLED = "cancelled"
    """The caller was taken elsewhere."""
    TAKEN = "taken"
    """Somebody at a desk has taken the call: the caller is on the way to them."""
    AT_DESK = "at_desk"
    """The caller's socket stands, and whoever has taken the call speaks over it."""
    RETURNED = "returned"
    """The bot has the caller again."""
    CALLER_LEFT = "caller_left"


LIVE = frozenset({State.REQUESTED, State.RINGING, State.BRIEFING, State.ACCEPTED})
COMING_BACK = frozenset(
    {State.DECLINED, State.BUSY, State.NO_ANSWER, State.AGENT_LEFT, State.FAILED, State.CANCELLED}
)
"""Nobody is being reached any more, and the bot has not got the caller yet."""
FETCHED = COMING_BACK | {State.TAKEN}
"""The caller is to have a media socket again."""


class Tried(Strict):
    """One destination and what came of it."""

    destination: str
    outcome: Outcome


class Transfer(Strict):
    """One transfer. Holds no number and nothing personal.

    ``destinations`` are names of the deployment's list, in the order in which they are tried (``place``:
    the one that is being tried); ``call`` is the caller's CallSid, ``leg`` that of the person being rung.
    ``returns``: the bot can take the caller back. ``cold``: there is a number to dial without more ado.
    """

    id: str = Field(pattern=r"^tr_[0-9a-f]{32}$")
    conversation: str
    call: str
    destinations: tuple[str, ...] = Field(min_length=1)
    returns: bool = True
    cold: bool = False
    state: State = State.REQUESTED
    place: int = 0
    attempt: int = 1
    """Numbers the dials: each has one of its own, whoever it rings."""
    dial: Literal["ordered", "unknown", "made", "over"] = "ordered"
    """Whether there is a leg of this attempt."""
    redialled: bool = False
    blind: bool = False
    """REST does not answer: not even whether the leg exists can be found out."""
    leg: str | None = None
    asked: int = 0
    entry: int = 0
    """How often the caller was sent into the room; each time has a number."""
    caller_in: bool = False
    agent_in: bool = False
    room_over: bool = False
    """The room ended while the person held the phone: the caller may have left."""
    bridged: bool = False
    told_back: bool = False
    """The caller's call has asked and was given what it goes back to."""
    forwarded: bool = False
    """The caller was dialled through to the last resort, without a briefing."""
    outcome: Outcome | None = None
    tried: tuple[Tried, ...] = ()
    requested_at: datetime
    since: datetime
    """When the state began."""
    dialled_at: datetime
    """When the dial was ordered; once its outcome is unknown: since when."""
    due: datetime | None = None
    """When `Tick` is to come."""
    looks: int = 0
    """How often Twilio said that somebody who accepted is not in the room."""
    effects: int = 0

    @property
    def room(self) -> str:
        """The conference's name."""
        return f"vb-{self.id}"

    @property
    def destination(self) -> str:
        """Who is being tried."""
        return self.destinations[self.place]

    @property
    def over(self) -> bool:
        """The caller is no longer ours to place."""
        return self.state in {State.RETURNED, State.AT_DESK, State.CALLER_LEFT} or self.forwarded
