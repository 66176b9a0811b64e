"""Sends the text messages that acts and the identity gate have ordered, by Twilio's REST API.

One loop per node. A message is claimed before it is sent and never sent twice: what Twilio may have taken,
although no answer came, counts as failed: the caller is offered another way instead of waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from voicebot.channels.twilio.addresses import Addresses
from voicebot.channels.twilio.rest import TwilioError, TwilioRefusedError, TwilioRest
from voicebot.core.store import text_messages
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing, SubjectErased
from voicebot.core.store.text_messages import TextMessage

log = structlog.get_logger(__name__)

REPORTS = "/twilio/texts"
"""Where Twilio reports what became of a message; its id follows."""
EVERY_S = 0.5
"""A caller waits for a code on the line."""


class TextSender:
    """Takes what is queued, oldest first, and sends it.

    Args:
        database: ours.
        keys: opens what was ordered.
        rest: Twilio; None: there is no account, and every message fails at once.
        public_url: of this server, for Twilio's report of what did not arrive; None: none is asked for.
    """

    def __init__(
        self, database: Database, keys: KeyRing, rest: TwilioRest | None, *, public_url: str | None = None
    ) -> None:
        self._database = database
        self._keys = keys
        self._rest = rest
        self._conversations = Conversations(keys)
        self._own: str | None = None
        self._addresses = Addresses.at(public_url) if public_url is not None else None

    async def run(self, over: Callable[[], bool] = lambda: False) -> None:
        """Until it is cancelled, or ``over``.

        Raises:
            DatabaseDown: Postgres does not answer; begin again later.
        """
        while not over():
            if not await self.send_queued():
                await asyncio.sleep(EVERY_S)

    async def send_queued(self) -> int:
        """Sends what is queued now; returns how many were tried."""
        async with self._database.transaction() as tx:
            claimed = await text_messages.claim(tx, self._keys)
        for message in claimed:
            provider_id, reason = await self._send(message)
            async with self._database.transaction() as tx:
                await text_messages.settle(tx, message.id, provider_id=provider_id, reason=reason)
            log.info(
                "text_message.settled",
                conversation=message.conversation_id,
                message=message.id,
                reason=reason,
            )
        return len(claimed)

    async def _send(self, message: TextMessage) -> tuple[str | None, str | None]:
        """Twilio's id, or why there is none."""
        if self._rest is None:
            return None, "no Twilio account: set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN"
        try:
            from_ = await self._number(message.conversation_id, self._rest)
            if from_ is None:
                return None, "the Twilio account has no number to send from"
            status_url = None if self._addresses is None else self._addresses.http(f"{REPORTS}/{message.id}")
            sid = await self._rest.send_message(
                to=message.to, from_=from_, body=message.words, status_url=status_url
            )
            return sid, None
        except TwilioRefusedError as error:
            return None, f"Twilio refused: {error.code or error.status}"
        except TwilioError as error:
            return None, type(error).__name__

    async def _number(self, conversation_id: str, rest: TwilioRest) -> str | None:
        """The number that was called, else the first of the account."""
        try:
            async with self._database.transaction() as tx:
                called = (await self._conversations.load(tx, conversation_id)).called
        except SubjectErased:
            return None
        if called is not None:
            return called
        if self._own is None:
            numbers = await rest.numbers()
            self._own = numbers[0].phone_number if numbers else None
        return self._own
