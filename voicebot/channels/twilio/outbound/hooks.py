"""The webhooks of calls that we make: signed form in, TwiML (or nothing) out."""

from __future__ import annotations

import re
from typing import Protocol

import structlog
from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response
from twilio.twiml.voice_response import VoiceResponse

from voicebot.channels.twilio import reception, twiml
from voicebot.channels.twilio.caller import Proven
from voicebot.channels.twilio.outbound.answering import Then
from voicebot.channels.twilio.outbound.calls import OutboundCalls
from voicebot.channels.twilio.refusals import Refusal, Refused
from voicebot.channels.twilio.rest import FINAL_STATUSES, TwilioError, TwilioRest
from voicebot.channels.twilio.signature import Form
from voicebot.channels.twilio.wire import SID_PATTERN
from voicebot.core.store.database import DatabaseDown

log = structlog.get_logger(__name__)

_DIAL = re.compile(r"dl_[0-9a-f]{32}")
_LONGEST_VERDICT = 32


class Front(Protocol):
    """What the channel's webhooks share with these."""

    async def read(self, request: Request) -> tuple[Form, Proven]:
        """The form of a request that is Twilio's, and who asked."""
        ...

    async def refuse(self, request: Request, refused: Refused) -> Response:
        """The answer to one that is not."""
        ...

    async def give(self, asked: reception.Request, proven: Proven) -> Response:
        """What a call gets now."""
        ...

    async def over(self, call_sid: str, status: str) -> None:
        """A call is over."""
        ...


class OutboundHooks:
    """Handlers of one node."""

    def __init__(self, calls: OutboundCalls, front: Front, rest: TwilioRest | None) -> None:
        self._calls = calls
        self._front = front
        self._rest = rest

    async def answer(self, request: Request, dial: str) -> Response:
        """``/twilio/outbound/DIAL/answer``: somebody, or something, has picked up."""
        try:
            form, proven = await self._front.read(request)
            call_sid = _call_sid(form, dial)
        except Refused as refused:
            return await self._front.refuse(request, refused)
        if form.get("CallStatus") in FINAL_STATUSES:
            await self._told(dial, call_sid, form["CallStatus"])
            return _twiml(twiml.hangup())
        by = form.get("AnsweredBy", "")[:_LONGEST_VERDICT]
        try:
            answered = await self._calls.answered(dial, call_sid, by)
        except DatabaseDown:
            # Nobody is put through from here: whoever answered did not call us. It is tried again.
            log.error("outbound_answered_without_database", dial=dial)
            return _twiml(twiml.hangup())
        if answered is None:
            return _twiml(twiml.hangup())
        if answered.then is Then.TALK:
            return await self._front.give(reception.Request(call_sid), proven)
        return _twiml(_to_machine(answered.message) if answered.then is Then.MESSAGE else twiml.hangup())

    async def status(self, request: Request, dial: str) -> Response:
        """``/twilio/outbound/DIAL/status``: progress of the call; late, twice and in any order."""
        try:
            form, _ = await self._front.read(request)
            call_sid = _call_sid(form, dial)
        except Refused as refused:
            return await self._front.refuse(request, refused)
        await self._told(dial, call_sid, form.get("CallStatus", ""))
        return Response(status_code=204)

    async def detected(self, request: Request, dial: str) -> Response:
        """``/twilio/outbound/DIAL/detected``: who it is that the bot speaks with already."""
        try:
            form, _ = await self._front.read(request)
            call_sid = _call_sid(form, dial)
        except Refused as refused:
            return await self._front.refuse(request, refused)
        try:
            then = await self._calls.detected(dial, call_sid, form.get("AnsweredBy", "")[:_LONGEST_VERDICT])
        except DatabaseDown:
            log.error("outbound_verdict_without_database", dial=dial)
            return PlainTextResponse("the database is away\n", 503)
        if then is not None and self._rest is not None:
            try:  # a machine's greeting may still run, so the bot does not leave words in the middle of it
                await self._rest.update_call(call_sid, status="completed")
            except TwilioError as error:
                log.warning("outbound_machine_not_rung_off", dial=dial, error=type(error).__name__)
        return Response(status_code=204)

    async def _told(self, dial: str, call_sid: str, status: str) -> None:
        try:
            await self._calls.told(dial, call_sid, status)
        except DatabaseDown:  # Twilio is asked later
            log.warning("outbound_status_without_database", dial=dial, status=status)
        if status in FINAL_STATUSES:
            await self._front.over(call_sid, status)


def add_outbound(router: APIRouter, hooks: OutboundHooks) -> None:
    """Its routes."""
    for step, handler in (("answer", hooks.answer), ("status", hooks.status), ("detected", hooks.detected)):
        router.add_api_route(f"/outbound/{{dial}}/{step}", handler, methods=["POST"], response_model=None)


def _call_sid(form: Form, dial: str) -> str:
    call_sid = form.get("CallSid", "")
    if not SID_PATTERN.fullmatch(call_sid):
        raise Refused(Refusal.BAD_REQUEST, "no usable CallSid")
    if not _DIAL.fullmatch(dial):
        raise Refused(Refusal.BAD_REQUEST, "no call of ours")
    return call_sid


def _to_machine(message: str) -> str:
    response = VoiceResponse()
    response.say(message)
    response.hangup()
    return str(response)


def _twiml(text: str) -> Response:
    return Response(text, media_type=twiml.CONTENT_TYPE)
