"""What the Twilio channel needs from the rest of the server; filled by the composition root."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from voicebot.channels.door import Door
from voicebot.channels.node import NodeState
from voicebot.channels.twilio.media import CallOutcome, MediaSession
from voicebot.channels.twilio.outbound.calls import OutboundCalls
from voicebot.channels.twilio.pay import Prompt
from voicebot.channels.twilio.rest import TwilioRest
from voicebot.channels.twilio.transfer.transfers import Transfers
from voicebot.core.clock import Clock, monotonic
from voicebot.core.settings import Settings
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database, Transaction
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.leases import Leases
from voicebot.dialogue.payments import Payments
from voicebot.handoff.talks import Talks

MAX_WAITING_SOCKETS = 64
"""Sockets of one node that may be open without an accepted ``start``."""

START_WITHIN_S = 5.0
"""Time a socket has to send ``start``; Twilio does at once."""


__all__ = ["NodeState", "TwilioServices"]


def _ignore() -> None:
    return


@dataclass
class TwilioServices:
    """Everything the channel's routes share; one per node.

    Attributes:
        settings: public URL, fallback number, auth token.
        database, keys, conversations, leases: the store.
        rest: Twilio's REST API; None without credentials (lost calls cannot be fetched back then).
        insecure_local: accept unsigned webhooks, and ``start`` without token, from loopback.
        node: may this node take calls, and how many has it; ``calls`` is kept by the channel.
        new_state: the dialogue's state of a fresh conversation.
        run_call: the pipeline; returns when the call's media is over, and never before its last
            database write of this media session.
        store_handoff: stores, in the given transaction, what a person needs who takes over a
            conversation (by id) for a reason, if nothing is stored yet.
        keeper: set by ``twilio_router``; see ``keep_leases``.
        payments: card payments of callers; None: no card is taken.
        transfers: warm transfers to people; None: a person is dialled without more ado.
        talks: agents who speak with callers over the media socket; None: nobody does.
        pay_prompts: what Twilio says when it takes one; else its own words.
        outbound: calls that we make; None: none are.
        door: learns who is refused and who is not.
        poke: called after a commit that put events into the outbox.
        run_leg: listens to one leg of a conference until it is over; None: legs are refused.
    """

    settings: Settings
    database: Database
    keys: KeyRing
    conversations: Conversations
    leases: Leases
    rest: TwilioRest | None
    insecure_local: bool
    node: NodeState
    new_state: Callable[[], dict[str, Any]]
    run_call: Callable[[MediaSession], Awaitable[CallOutcome]]
    store_handoff: Callable[[Transaction, str, str], Awaitable[None]]
    poke: Callable[[], None] = field(default=_ignore)
    run_leg: Callable[[MediaSession], Awaitable[None]] | None = None
    clock: Clock = monotonic
    max_waiting_sockets: int = MAX_WAITING_SOCKETS
    start_within_s: float = START_WITHIN_S
    keeper: Callable[[], Awaitable[None]] | None = None
    payments: Payments | None = None
    outbound: OutboundCalls | None = None
    transfers: Transfers | None = None
    talks: Talks | None = None
    transfer_keeper: Callable[[], Awaitable[None]] | None = None
    pay_prompts: tuple[Prompt, ...] = ()
    door: Door = field(default_factory=Door)

    async def keep_leases(self) -> None:
        """Background work of the channel, until cancelled: leases, lost calls, unwritten ends.

        Raises:
            RuntimeError: there is no router yet.
        """
        if self.keeper is None:
            raise RuntimeError("make the router with twilio_router(services) first")
        await self.keeper()

    async def keep_transfers(self) -> None:
        """Background work of the channel, until cancelled: what transfers have to have done.

        Raises:
            RuntimeError: there is no router yet.
        """
        if self.transfers is None:
            return
        if self.transfer_keeper is None:
            raise RuntimeError("make the router with twilio_router(services) first")
        await self.transfer_keeper()
