"""A card that is typed in on our own keypad (``cards: keypad``): nobody listens, nothing is recorded.

From the commit of the turn that leads here until the end of the payment: the recording is silent on both
channels, the recogniser is fed silence, and keys go nowhere but into `CardEntry`. The digits leave it once,
to the processor, and are overwritten then; they are in no frame, turn, event, log line or metric.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import structlog

from voicebot.audio.mulaw import SILENCE
from voicebot.channels.phone.waiting import FILLER_TURN
from voicebot.core.conversation import Clause
from voicebot.core.store.database import DatabaseDown
from voicebot.core.store.payments import Payment
from voicebot.dialogue.payments import Told
from voicebot.safety.cards import CardEntry, Step

if TYPE_CHECKING:
    from voicebot.channels.phone.call import PhoneCall

log = structlog.get_logger(__name__)

TONE_S = 0.6
"""The tone of the last key may still be in the sound that comes."""


class CardCapture:
    """One per call. Used on the call's event loop only.

    Args:
        call: the call's parts.
    """

    def __init__(self, call: PhoneCall) -> None:
        self._call = call
        self._entry: CardEntry | None = None
        self._news = asyncio.Event()
        self._last_key_s = 0.0
        self._handed = False
        self._cuts: set[asyncio.Task[object]] = set()

    @property
    def active(self) -> bool:
        """A card is being taken: nothing is heard, recorded or told."""
        return self._entry is not None

    def begin(self) -> None:
        """From now on. The words before it may still be spoken; keys count already."""
        if self._entry is None:
            self._entry = CardEntry(self._call.kit.dialogue.payments.today)
            self._call.recorder.pause("card")
            self._call.waiting.over()

    def hear(self, ulaw: bytes, timestamp_ms: int) -> None:
        """The caller's sound meanwhile: only its time counts."""
        self._call.recorder.caller(ulaw, timestamp_ms)  # which writes silence
        self._call.listener.feed(bytes([SILENCE]) * len(ulaw), timestamp_ms)

    def press(self, key: str) -> None:
        """One key of the caller."""
        if self._entry is None:
            return
        self._last_key_s = self._call.clock()
        self._entry.press(key, self._last_key_s)
        self._news.set()
        cut = asyncio.ensure_future(self._call.speaker.cut())
        self._cuts.add(cut)
        cut.add_done_callback(self._cuts.discard)

    async def take(self) -> str | None:
        """Asks for the card, has it charged, and writes what came of it: the payment's id.

        None: there is nothing to be paid (any more). Whatever happens, the digits are gone when it returns.
        """
        self.begin()
        entry = self._entry
        assert entry is not None
        try:
            payment = await self._begun()
            if payment is None:
                return None
            await self._ask(entry)
            await self._settle(entry, payment)
            return payment
        finally:
            if not self._handed:
                entry.wipe()
            left_s = self._last_key_s + TONE_S - self._call.clock()
            if left_s > 0:
                await asyncio.sleep(left_s)
            self._end()

    def _end(self) -> None:
        self._entry = None
        self._handed = False
        self._call.recorder.resume()
        self._call.listener.caller_active()

    async def _begun(self) -> str | None:
        return await self._call.kit.dialogue.payments.taking(self._call.conversation_id, "keypad")

    async def _ask(self, entry: CardEntry) -> None:
        """Until the card is whole, or given up."""
        while entry.over is None:
            step = entry.step
            await self._say(_line(step))
            entry.asked(self._call.clock())
            while entry.step == step and entry.over is None:
                self._news.clear()
                try:
                    async with asyncio.timeout(entry.wait_s(self._call.clock())):
                        await self._news.wait()
                except TimeoutError:
                    entry.due(self._call.clock())

    async def _settle(self, entry: CardEntry, payment: str) -> None:
        payments = self._call.kit.dialogue.payments
        try:
            if entry.over != "complete":
                outcome = "stopped" if entry.over == "stopped" else "spent"
                await payments.settle(payment, Told(outcome, f"keypad-{outcome}", "caller"))
                return
            # Once it was sent it is brought to its end, also when the caller hangs up.
            self._handed = True  # `charge` wipes it
            charging = asyncio.ensure_future(payments.charge(payment, entry.card))
            self._call.keep(_finish(charging))
            await self._say("pay.key.wait")
            await asyncio.shield(charging)
        except DatabaseDown:
            log.error("payment.without_database", payment=payment)

    async def _say(self, key: str) -> None:
        text = self._call.kit.phrases.text(key)
        await self._call.speaker.say(FILLER_TURN, _one(Clause(text=text, fixed=True)))


def _line(step: Step) -> str:
    return f"pay.key.{step.field}{'_again' if step.wrong else ''}"


async def _one(clause: Clause) -> AsyncIterator[Clause]:
    yield clause


async def _finish(work: asyncio.Future[Payment]) -> None:
    """Waits for it; what went wrong is told to whoever asked for it."""
    await asyncio.wait({work})
