"""How the local Twilio behaves where Twilio varies, or promises nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from .paying import PayAccount

CallbackPlan = Callable[[int], Sequence[float]]
"""Given a call's nth callback (from 0): after how many seconds each copy of it is sent."""


def on_time(nth: int) -> Sequence[float]:
    """Every callback once and at once."""
    return (0.0,)


def late(delay_s: float) -> CallbackPlan:
    """Every callback once, ``delay_s`` seconds late."""
    return lambda nth: (delay_s,)


def twice(gap_s: float = 0.05) -> CallbackPlan:
    """Every callback at once, and the same again after ``gap_s`` seconds."""
    return lambda nth: (0.0, gap_s)


def out_of_order(gap_s: float = 0.2) -> CallbackPlan:
    """The first, third, ... callback comes ``gap_s`` seconds late, so the next one overtakes it."""
    return lambda nth: (gap_s,) if nth % 2 == 0 else (0.0,)


@dataclass
class Options:
    """Set before or during a call. Times in the unit their name ends with.

    What stands under "open" is promised by no Twilio document; tests should pass either way.
    """

    # from a socket that breaks to whatever Twilio does about it
    broken_notice_ms: int = 0
    # open: what follows a socket that broke without a close frame, or an upgrade that was refused
    broken_socket: Literal["next_verb", "hang"] = "next_verb"
    # open: after `stop` Twilio sometimes never closes its end
    never_close_socket: bool = False
    # open: whether a pressed key is also heard as a tone in the stream
    dtmf_in_audio: bool = False
    # open: what a leg does that REST took out of a conference, or whose conference ended by REST
    kicked_leg: Literal["goes_on", "ends"] = "goes_on"

    callbacks: CallbackPlan = on_time
    pay_callbacks: CallbackPlan = on_time
    pay: PayAccount = field(default_factory=PayAccount)
    """Whether and how the account takes cards."""
    stream_callbacks: CallbackPlan = on_time
    conference_callbacks: CallbackPlan = on_time

    stream_setup_ms: float = 0.0
    """Between the TwiML and the socket; 365 ms was seen in the field."""
    uplink_jitter_ms: float = 0.0
    """Each caller frame is sent up to this late (order kept)."""
    uplink_gaps: Sequence[tuple[float, float]] = ()
    """(start, length) in ms of the stream: nothing is sent meanwhile, then all of it in a burst."""
    uplink_loss: float = 0.0
    """Share of caller frames that never arrive; timestamps go on."""
    frame_ms: int = 20
    """Length of the caller's frames on the wire; a multiple of 20."""
    stop_grace_ms: float = 250.0
    """Messages that cross our `stop` on the wire are no violation for this long."""
    close_after_stop_ms: float = 1000.0
    """How long the server may take to close after `stop` before Twilio closes."""

    webhook_connect_s: float = 5.0
    webhook_total_s: float = 15.0
    second_s: float = 1.0
    """How long a second of ``Timeout`` and ``TimeLimit`` lasts; tests shorten it."""
    ringback: bool = True
    """While a dialled person's phone rings, the caller hears it ring."""
    plain_loopback: bool = True
    """``ws://`` is taken on loopback addresses (Twilio: ``wss://`` only), since no certificate is there."""
    seed: int = 1
    extra_parameters: dict[str, str] = field(default_factory=dict[str, str])
    """More webhook parameters: Twilio adds new ones without notice."""
