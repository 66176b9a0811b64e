"""The webhooks: signed form in, TwiML (or nothing) out.

Whatever goes wrong inside, a caller ends up with a person and not with Twilio's error message.
"""

from __future__ import annotations

import asyncio
import time

import structlog
from fastapi import Request
from starlette.responses import PlainTextResponse, Response

from voicebot.channels.twilio import pay, reception, signature, twiml
from voicebot.channels.twilio.caller import CallerCheck, Proven
from voicebot.channels.twilio.closing import Closing
from voicebot.channels.twilio.fetching import Fetching
from voicebot.channels.twilio.live import LiveSessions
from voicebot.channels.twilio.media import QUIET_S, EndKind
from voicebot.channels.twilio.reception import Reception
from voicebot.channels.twilio.recovery import Recovery
from voicebot.channels.twilio.refusal_log import RefusalLog
from voicebot.channels.twilio.refusals import Refusal, Refused
from voicebot.channels.twilio.rest import FINAL_STATUSES
from voicebot.channels.twilio.resumption import Answer
from voicebot.channels.twilio.services import TwilioServices
from voicebot.channels.twilio.signature import Form
from voicebot.channels.twilio.transfers import after_dial
from voicebot.channels.twilio.twiml import Person
from voicebot.channels.twilio.wire import SID_PATTERN
from voicebot.core.store import text_messages
from voicebot.core.store.database import DatabaseDown
from voicebot.core.store.payments import UnknownPayment
from voicebot.dialogue.payments import Told

log = structlog.get_logger(__name__)

MAX_BODY_BYTES = 64 * 1024

BODY_WITHIN_S = 10.0
"""Twilio gives up on us after 15 s."""

SMS_REPLY = "Thank you for your message. This number cannot answer texts yet. Please call us instead."

_NOT_ARRIVED = frozenset({"failed", "undelivered"})
_LONGEST_NUMBER = 128
_LONGEST_ERROR = 200
_LONGEST_SID = 64
_LONGEST_TIME = 12


class Webhooks:
    """Handlers of one node; every one of them checks the signature first."""

    def __init__(
        self,
        services: TwilioServices,
        check: CallerCheck,
        live: LiveSessions,
        reception: Reception,
        recovery: Recovery,
        closing: Closing,
        refusals: RefusalLog,
        fetching: Fetching,
    ) -> None:
        self._services = services
        self._fetching = fetching
        self._check = check
        self._live = live
        self._reception = reception
        self._recovery = recovery
        self._closing = closing
        self._refusals = refusals

    async def voice(self, request: Request) -> Response:
        """``/twilio/voice``: a call has arrived."""
        return await self._answer(request, new=True)

    async def resume(self, request: Request) -> Response:
        """``/twilio/resume``: the media is over, or (with ``ErrorCode``) our TwiML could not be had."""
        return await self._answer(request, new=False)

    async def status(self, request: Request) -> Response:
        """``/twilio/status``: progress of a call; late, twice and in any order."""
        try:
            form, _ = await self.read(request)
            call_sid = _call_sid(form)
        except Refused as refused:
            return await self.refuse(request, refused)
        status = form.get("CallStatus", "")
        if status in FINAL_STATUSES:
            await self.over(call_sid, status)
        return Response(status_code=204)

    async def stream_status(self, request: Request) -> Response:
        """``/twilio/stream-status``: a stream began, stopped or failed."""
        try:
            form, proven = await self.read(request)
            call_sid = _call_sid(form)
        except Refused as refused:
            return await self.refuse(request, refused)
        event = form.get("StreamEvent", "")
        session = self._live.of_call(call_sid)
        # A callback about an older stream of the call says nothing about the present one.
        stale = session is not None and session.stream_sid != form.get("StreamSid")
        if event == "stream-error":
            error = form.get("StreamError", "")[:_LONGEST_ERROR]
            stream_sid = form.get("StreamSid", "")[:_LONGEST_SID]
            log.warning("stream_error", call_sid=call_sid, stream_sid=stream_sid, error=error)
            # An error that does not end the stream goes on sending sound: look after a moment.
            delay_s = QUIET_S if session is not None else 0.0
            if not stale:
                self._recovery.watch(call_sid, proven.at, delay_s=delay_s, failed=True)
        if event == "stream-stopped" and not stale and not self._recovery.watched(call_sid):
            self._recovery.watch(call_sid, proven.at)
        return Response(status_code=204)

    async def transfer(self, request: Request, step: str) -> Response:
        """``/twilio/transfer/done``: a person's leg is over (or never came about)."""
        try:
            form, proven = await self.read(request)
            call_sid = _call_sid(form)
        except Refused as refused:
            return await self.refuse(request, refused)
        if step != "done":
            log.warning("transfer_unknown", step="none")
            return PlainTextResponse("no such step\n", 404)
        return _twiml(await after_dial(self._services, self._closing, form, call_sid, proven.at))

    async def pay(self, request: Request, payment: str) -> Response:
        """``/twilio/pay/PAYMENT``: ``<Pay>`` is over, and the call comes back to the bot."""
        try:
            form, proven = await self.read(request)
            call_sid = _call_sid(form)
            said = pay.told(form) or Told("unknown", "no-result", "twilio")
            await self._paid(payment, call_sid, said)
        except Refused as refused:
            return await self.refuse(request, refused)
        if form.get("CallStatus") in FINAL_STATUSES:
            await self.over(call_sid, form["CallStatus"])
            return _twiml(twiml.hangup())
        if said.outcome == "left":
            return _twiml(twiml.hangup())
        return await self.give(reception.Request(call_sid), proven)

    async def pay_status(self, request: Request, payment: str) -> Response:
        """``/twilio/pay/PAYMENT/status``: progress of ``<Pay>``; late, twice and in any order."""
        try:
            form, _ = await self.read(request)
            call_sid = _call_sid(form)
            await self._paid(payment, call_sid, pay.told(form), processing=pay.processing(form))
        except Refused as refused:
            return await self.refuse(request, refused)
        return Response(status_code=204)

    async def _paid(
        self, payment_id: str, call_sid: str, said: Told | None, *, processing: bool = False
    ) -> None:
        """Writes what a callback tells of a payment of this call. What cannot be written is kept.

        Raises:
            Refused: there is no such payment, or it is another call's.
        """
        payments = self._services.payments
        if payments is None:
            raise Refused(Refusal.BAD_REQUEST, "no payments here")
        try:
            payment = await payments.get(payment_id)
            async with self._services.database.transaction() as tx:
                known = await self._services.conversations.by_call(tx, call_sid)
            if known != payment.conversation_id:
                raise Refused(Refusal.BAD_REQUEST, "a payment of another call")
            if processing:
                await payments.processing(payment_id)
            if said is not None:
                await payments.settle(payment_id, said)
        except UnknownPayment:
            raise Refused(Refusal.BAD_REQUEST, "no such payment") from None
        except DatabaseDown:
            # Signed, and by its URL one of ours: good enough to be kept until it can be checked.
            if said is not None:
                payments.keep(payment_id, said)

    async def sms(self, request: Request) -> Response:
        """``/twilio/sms``: a text message; a polite word that nobody reads them yet."""
        try:
            await self.read(request)
        except Refused as refused:
            return await self.refuse(request, refused)
        return _twiml(twiml.sms_reply(SMS_REPLY))

    async def text_report(self, request: Request, message: str) -> Response:
        """``/twilio/texts/MESSAGE``: what became of a text message of ours; late, twice and in any order."""
        try:
            form, _ = await self.read(request)
        except Refused as refused:
            return await self.refuse(request, refused)
        if form.get("MessageStatus") in _NOT_ARRIVED:
            reason = f"Twilio: {form['MessageStatus']} {form.get('ErrorCode', '')[:16]}".rstrip()
            async with self._services.database.transaction() as tx:
                told = await text_messages.undelivered(
                    tx, message, provider_id=form.get("MessageSid", "")[:64], reason=reason
                )
            if told:
                log.warning("text_message.undelivered", message=message, reason=reason)
        return Response(status_code=204)

    async def _answer(self, request: Request, *, new: bool) -> Response:
        try:
            form, proven = await self.read(request)
            call_sid = _call_sid(form)
        except Refused as refused:
            return await self.refuse(request, refused)
        if form.get("CallStatus") in FINAL_STATUSES:
            await self.over(call_sid, form["CallStatus"])
            return _twiml(twiml.hangup())
        asked = reception.Request(
            call_sid,
            caller=form.get("From", "")[:_LONGEST_NUMBER] or None,
            called=form.get("To", "")[:_LONGEST_NUMBER] or None,
            new=new,
            failed="ErrorCode" in form,
            queued_at=_queued_at(request) if new else None,
        )
        if asked.failed:
            log.error("twilio_could_not_get_twiml", call_sid=call_sid, code=form["ErrorCode"][:16])
        return await self.give(asked, proven)

    async def give(self, asked: reception.Request, proven: Proven) -> Response:
        """The TwiML that a call gets now."""
        call_sid = asked.call_sid
        try:
            given, text = await self._reception.twiml(asked, proven.at)
        except Exception:  # the caller must not hear Twilio's error message
            log.exception("call_answer_failed", call_sid=call_sid)
            person = Person(self._services.settings.fallback_number)
            return _twiml(twiml.play_then_dial(proven.at, "handing_over", person))
        if given in {Answer.CONNECT, Answer.PAY}:
            self._recovery.watch(call_sid, proven.at)
        else:
            self._recovery.forget(call_sid)
        if given is Answer.QUEUE:
            self._fetching.waits(call_sid, proven.at, asked.queued_at or int(time.time()))
        else:
            self._fetching.gone(call_sid)
        return _twiml(text)

    async def over(self, call_sid: str, status: str) -> None:
        """Twilio says that the call is over."""
        self._recovery.forget(call_sid)
        self._fetching.gone(call_sid)
        self._services.node.arrived(call_sid)
        reason = "caller_hung_up" if status == "completed" else f"call_{status.replace('-', '_')}"
        await self._closing.end(call_sid, reason)
        session = self._live.of_call(call_sid)
        if session is not None:
            await session.leave(EndKind.CALL_OVER)

    async def read(self, request: Request) -> tuple[Form, Proven]:
        """The form of a request that is Twilio's.

        Raises:
            Refused: it is not, or there is no form, or it does not come.
        """
        try:
            async with asyncio.timeout(BODY_WITHIN_S):
                body = await _body(request)
        except TimeoutError:
            raise Refused(Refusal.BAD_REQUEST, f"the body did not come in {BODY_WITHIN_S:g} s") from None
        try:
            form = signature.read_form(body)
        except signature.BadFormError:
            raise Refused(Refusal.BAD_REQUEST, "the body is not a form") from None
        proven = self._check.webhook(request, form)
        self._services.door.welcomed(request.client.host if request.client is not None else None)
        if self._services.transfers is not None:
            self._services.transfers.seen_at(proven.at)
        return form, proven

    async def refuse(self, request: Request, refused: Refused) -> Response:
        """The answer to a request that is not Twilio's, or makes no sense."""
        bad = refused.reason in {Refusal.BAD_REQUEST, Refusal.TOO_LARGE}
        status = 400 if bad else 403
        self._services.door.refused(request.client.host if request.client is not None else None)
        route = getattr(request.scope.get("route"), "path", None)  # the path itself is whatever was sent
        await self._refusals.note("webhook", refused, path=route, status=status)
        return PlainTextResponse(f"refused: {refused.reason.value}\n", status)


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise Refused(Refusal.TOO_LARGE, f"a body above {MAX_BODY_BYTES} bytes")
    return bytes(body)


def _queued_at(request: Request) -> int | None:
    """What ``twiml.queue`` wrote into the URL, which is signed."""
    text = request.query_params.get("queued", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_TIME else None


def _call_sid(form: Form) -> str:
    call_sid = form.get("CallSid", "")
    if not SID_PATTERN.fullmatch(call_sid):
        raise Refused(Refusal.BAD_REQUEST, "no usable CallSid")
    return call_sid


def _twiml(text: str) -> Response:
    return Response(text, media_type=twiml.CONTENT_TYPE)
