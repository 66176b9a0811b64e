"""What a transfer has to have done, once each."""

from __future__ import annotations

from enum import StrEnum

from voicebot.core.conversation import Strict
from voicebot.handoff.transfer.states import FETCHED, LIVE, State, Transfer


class Do(StrEnum):
    """What a node carries out, once each."""

    DIAL = "dial"
    """Rings `destination`."""
    LOOK_FOR_LEG = "look_for_leg"
    """Is there a call of this dial?"""
    LOOK_AT_LEG = "look_at_leg"
    LOOK_AT_ROOM = "look_at_room"
    LOOK_AT_CALLER = "look_at_caller"
    SEND_IN = "send_in"
    """Sends the caller into the room, who has not come by themselves."""
    SEND_BACK = "send_back"
    """Gives the caller back to the bot, to who has taken the call at a desk, or to the last resort."""
    HANG_UP = "hang_up"
    """Ends the person's leg."""


class Effect(Strict):
    """One thing to do. ``number`` counts a transfer's effects from 1: its key for doing it once."""

    number: int
    do: Do
    attempt: int = 0
    leg: str | None = None
    destination: str | None = None


def still_wanted(transfer: Transfer, effect: Effect) -> bool:
    """Whether an effect that was ordered is still to be carried out."""
    match effect.do:
        case Do.DIAL:
            return transfer.state is State.REQUESTED and transfer.attempt == effect.attempt
        case Do.LOOK_FOR_LEG:
            return transfer.attempt == effect.attempt and transfer.dial == "unknown"
        case Do.LOOK_AT_LEG:
            mine = transfer.state in LIVE or transfer.state is State.BRIDGED
            return mine and transfer.attempt == effect.attempt
        case Do.LOOK_AT_ROOM:
            return transfer.state is State.ACCEPTED
        case Do.SEND_IN:
            return transfer.state is State.ACCEPTED or (transfer.state in LIVE and transfer.entry == 0)
        case Do.LOOK_AT_CALLER:
            return transfer.state is State.BRIDGED
        case Do.SEND_BACK:
            return transfer.state in FETCHED and not transfer.over and not transfer.told_back
        case Do.HANG_UP:
            return True
