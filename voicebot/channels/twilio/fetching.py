"""Fetches callers out of the music when there is a place for them, instead of at the end of the piece."""

from __future__ import annotations

import asyncio

import structlog

from voicebot.channels.machine import key_of
from voicebot.channels.twilio import twiml
from voicebot.channels.twilio.addresses import Addresses
from voicebot.channels.twilio.rest import TwilioRefusedError, TwilioUnreachableError
from voicebot.channels.twilio.services import TwilioServices

log = structlog.get_logger(__name__)

AGAIN_S = 5.0
"""A caller who was fetched and has not asked by then is fetched again."""

EVERY_S = 1.0
"""Between two looks."""


class Fetching:
    """One per node: of the callers who wait it knows those to whom this node gave the music last.

    Without REST credentials nobody is fetched; they ask by themselves when the music has been played.
    """

    def __init__(self, services: TwilioServices) -> None:
        self._services = services
        self._here: dict[str, tuple[Addresses, int]] = {}
        self._asked_s: dict[str, float] = {}

    def waits(self, call_sid: str, at: Addresses, since: int) -> None:
        """The call hears music from us. ``since``: seconds since 1970, since when it waits."""
        self._here[call_sid] = (at, since)
        self._asked_s.pop(call_sid, None)

    def gone(self, call_sid: str) -> None:
        """It hears something else, or has hung up."""
        self._here.pop(call_sid, None)
        self._asked_s.pop(call_sid, None)

    async def run(self) -> None:
        """Looks again and again until cancelled. REST may take seconds, so nothing else waits for this."""
        while True:
            try:
                await self.tick()
            except Exception:  # those who wait ask by themselves too; the next look is a new one
                log.exception("fetching_failed")
            await asyncio.sleep(EVERY_S)

    async def tick(self) -> None:
        """One look: who is next gets the question again whether there is room, at once."""
        rest, node = self._services.rest, self._services.node
        waiting = node.machine.waiting_keys
        for call_sid in [sid for sid in self._here if key_of(sid) not in waiting]:
            self.gone(call_sid)  # another node gave it the music since, or it has not asked again
        if not self._here or rest is None:
            return
        if not node.accepting or node.no_room not in {None, "places"}:
            return
        for call_sid, (at, since) in list(self._here.items()):
            now_s = self._services.clock()
            if now_s - self._asked_s.get(call_sid, -AGAIN_S) < AGAIN_S:
                continue
            if call_sid not in self._here or key_of(call_sid) not in node.machine.next_in_line():
                continue  # perhaps since REST was asked for the one before
            self._asked_s[call_sid] = now_s
            try:
                await rest.update_call(call_sid, twiml=twiml.ask_again(at, since))
            except TwilioRefusedError as error:
                log.info("waiting_caller_gone", call_sid=call_sid, status=error.status, code=error.code)
                if error.call_is_over:
                    self.gone(call_sid)
                    node.machine.redeem(call_sid)
            except TwilioUnreachableError:
                log.warning("waiting_caller_not_fetched", call_sid=call_sid)
                return
