"""What the rest of the channel asks of transfers, in its own transactions. One per node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from voicebot.channels.twilio.addresses import Addresses
from voicebot.channels.twilio.transfer.documents import KEY_WAIT_S
from voicebot.channels.twilio.transfer.words import Words
from voicebot.core.conversation import TransferFailed
from voicebot.core.store import transfers
from voicebot.core.store.conversations import Snapshot
from voicebot.core.store.database import Transaction
from voicebot.handoff.transfer.machine import CallerGets, caller_gets
from voicebot.handoff.transfer.signs import CallerAsks, CallerLeft, Cancelled, MediaBack
from voicebot.handoff.transfer.states import State, Transfer
from voicebot.handoff.transferring import Transferring, load

log = structlog.get_logger(__name__)


class Transfers:
    """Transfers as a call meets them.

    Args:
        transferring: takes signs.
        words: what is said.
        brief: what a person is told of a handoff's payload before they take it.
        public_url: where Twilio reaches us; None: as the last request of Twilio's said.
        forks: legs in the room get a stream of what is heard from them.
        key_wait_s: how long a person may think before they are asked again.
    """

    def __init__(
        self,
        transferring: Transferring,
        words: Words,
        *,
        brief: Callable[[dict[str, Any]], str],
        public_url: str | None,
        forks: bool = False,
        key_wait_s: int = KEY_WAIT_S,
    ) -> None:
        self.transferring = transferring
        self.words = words
        self.brief = brief
        self.addresses = Addresses.at(public_url) if public_url is not None else None
        self.forks = forks
        self.key_wait_s = key_wait_s
        self.woken = asyncio.Event()

    def seen_at(self, at: Addresses) -> None:
        """Where a request of Twilio's has reached us."""
        if self.addresses is None:
            self.addresses = at

    def wake(self) -> None:
        """Something is to be done: look now."""
        self.woken.set()

    async def asked(
        self, tx: Transaction, call_sid: str, entry: int | None = None
    ) -> tuple[CallerGets, Transfer | None]:
        """A call asks what comes next; ``entry``: it has left that room.

        Returns:
            What it is to be given; ``nothing`` if there is no transfer, or it is over.
        """
        known = await transfers.newest_of_call(tx, call_sid)
        if known is None:
            return "nothing", None
        taken = await self.transferring.take(tx, known, CallerAsks(entry))
        self.wake()
        return caller_gets(taken.transfer), taken.transfer

    async def forwarded(self, tx: Transaction, call_sid: str) -> None:
        """The call is dialled through, or hung up: whoever is being rung for it is rung no more."""
        known = await transfers.newest_of_call(tx, call_sid)
        if known is not None:
            await self.transferring.take(tx, known, Cancelled(forwarded=True))
            self.wake()

    async def left(self, tx: Transaction, call_sid: str) -> bool:
        """The call is over. Returns whether a person was speaking with the caller at the end."""
        known = await transfers.newest_of_call(tx, call_sid)
        if known is None:
            return False
        before = load((await transfers.lock(tx, known)).body)
        await self.transferring.take(tx, known, CallerLeft())
        self.wake()
        return before.bridged and before.state is not State.RETURNED

    async def media_back(self, tx: Transaction, snapshot: Snapshot) -> TransferFailed | None:
        """The bot's socket stands: why the transfer came to nothing, if the caller has not been told yet."""
        if snapshot.call_sid is None:
            return None
        known = await transfers.newest_of_call(tx, snapshot.call_sid)
        if known is None:
            return None
        transfer = (await self.transferring.take(tx, known, MediaBack())).transfer
        # A turn that tells it takes the handoff out of the dialogue's state.
        untold = transfer.state is State.RETURNED and bool(snapshot.state.get("handoff"))
        if not untold or transfer.outcome is None:
            return None
        return TransferFailed(reason=transfer.outcome, spoke=transfer.bridged)
