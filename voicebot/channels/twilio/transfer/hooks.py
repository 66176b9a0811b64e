"""The webhooks of a transfer: signed form in, the next document (or nothing) out.

Each says one thing to the machine and answers what the machine then says. Nothing is believed of a request
that is about no transfer of ours: it is logged, answered 404 and leaves no trace.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

import structlog
from fastapi import Request
from starlette.responses import PlainTextResponse, Response
from twilio.twiml.voice_response import Start

from voicebot.channels.twilio import reception, twiml
from voicebot.channels.twilio.caller import Proven
from voicebot.channels.twilio.leg_media import leg_stream
from voicebot.channels.twilio.refusals import Refused
from voicebot.channels.twilio.rest import FINAL_STATUSES
from voicebot.channels.twilio.services import TwilioServices
from voicebot.channels.twilio.signature import Form
from voicebot.channels.twilio.transfer import documents
from voicebot.channels.twilio.transfer.carrying import briefing_words, leg_status
from voicebot.channels.twilio.transfer.transfers import Transfers
from voicebot.channels.twilio.transfer.words import KEYS, waiting_key
from voicebot.channels.twilio.wire import SID_PATTERN
from voicebot.core.store import tokens, transfers
from voicebot.core.store.database import DatabaseDown
from voicebot.core.store.transfers import UnknownTransfer
from voicebot.handoff.transfer.machine import agent_hears
from voicebot.handoff.transfer.signs import (
    AgentIn,
    AgentOut,
    Answered,
    CallerIn,
    CallerLeft,
    LegIs,
    Pressed,
    Sign,
)
from voicebot.handoff.transfer.states import State, Transfer
from voicebot.handoff.transferring import load

log = structlog.get_logger(__name__)

_DAY_S = 24 * 3600
_NUMBER = re.compile(r"[0-9]{1,4}")
_ID = re.compile(r"tr_[0-9a-f]{32}")


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
        """A caller's call is over."""
        ...


class NotOurs(Exception):
    """The request is about no transfer of ours, or about another leg of it."""


@dataclass(frozen=True, slots=True)
class _Asked:
    transfer_id: str
    step: str
    nth: int
    form: Form
    proven: Proven

    @property
    def leg(self) -> str:
        """The CallSid of the leg that this is about.

        Raises:
            NotOurs: there is none.
        """
        found = self.form.get("CallSid", "")
        if not SID_PATTERN.fullmatch(found):
            raise NotOurs("no CallSid")
        return found

    @property
    def on_line(self) -> bool:
        """The leg is still there."""
        return self.form.get("CallStatus") not in FINAL_STATUSES


class TransferHooks:
    """Handlers of one node."""

    def __init__(self, services: TwilioServices, ours: Transfers, front: Front) -> None:
        self._services = services
        self._ours = ours
        self._front = front

    async def webhook(self, request: Request, transfer_id: str, steps: str) -> Response:
        """``POST /twilio/transfer/{id}/...``."""
        try:
            form, proven = await self._front.read(request)
        except Refused as refused:
            return await self._front.refuse(request, refused)
        step, _, rest = steps.partition("/")
        try:
            return await self._answer(request, _Asked(transfer_id, step, 0, form, proven), rest)
        except (NotOurs, UnknownTransfer) as error:
            log.warning("transfer_unknown", step=step[:16], why=str(error)[:60])
            return PlainTextResponse("no such transfer\n", 404)
        except DatabaseDown:
            log.error("transfer_webhook_without_database", step=step)
            if step in {"brief", "pressed"}:
                return _twiml(documents.ask_again(proven.at, request.url.path))
            if step == "back":  # without the database a caller is dialled through
                return await self._front.give(reception.Request(form.get("CallSid", "")), proven)
            return PlainTextResponse("the database is away\n", 503)

    async def _answer(self, request: Request, asked: _Asked, rest: str) -> Response:
        if not _ID.fullmatch(asked.transfer_id):
            raise NotOurs("no transfer has such an id")
        numbers = [int(one) for one in rest.split("/") if _NUMBER.fullmatch(one)]
        if len(numbers) != (0 if asked.step == "room" else 2 if asked.step == "pressed" else 1):
            raise NotOurs("no such step")
        nth = numbers[0] if numbers else 0
        asked = _Asked(asked.transfer_id, asked.step, nth, asked.form, asked.proven)
        match asked.step:
            case "brief":
                return await self._to_agent(asked, Answered(nth, asked.leg))
            case "pressed":
                digits = asked.form.get("Digits", "")[:8]
                return await self._to_agent(asked, Pressed(nth, asked.leg, numbers[1], digits))
            case "leg":
                status = leg_status(asked.form.get("CallStatus", ""))
                if status is not None:
                    await self._take(asked.transfer_id, LegIs(nth, asked.leg, status))
                return Response(status_code=204)
            case "left":
                await self._take(asked.transfer_id, AgentOut(nth, on_line=asked.on_line))
                return _twiml(twiml.hangup())
            case "room":
                return await self._room(asked)
            case "hold":
                return await self._hold(asked)
            case "back":
                return await self._back(asked)
            case _:
                raise NotOurs("no such step")

    async def _take(self, transfer_id: str, *signs: Sign) -> Transfer:
        async with self._services.database.transaction() as tx:
            transfer = None
            for sign in signs:
                transfer = (await self._ours.transferring.take(tx, transfer_id, sign)).transfer
        assert transfer is not None  # there is at least one sign
        self._ours.wake()
        self._services.poke()
        return transfer

    # --- the person's leg ------------------------------------------------------------------

    async def _to_agent(self, asked: _Asked, sign: Answered | Pressed) -> Response:
        transfer = await self._take(asked.transfer_id, sign)
        at, words, wait_s = asked.proven.at, self._ours.words, self._ours.key_wait_s
        match agent_hears(transfer, sign.attempt, sign.leg):
            case "briefing":
                told = await briefing_words(self._services, self._ours, transfer.id)
                spoken = [await words.briefing(transfer.id, told), await words.said("take")]
                return _twiml(documents.briefing(at, transfer, spoken, wait_s))
            case "again":
                return _twiml(documents.briefing(at, transfer, [await words.said("take_again")], wait_s))
            case "room":
                words.forget(transfer.id)
                return _twiml(documents.agent_joins(at, transfer, await self._fork(asked, transfer)))
            case "goodbye":
                return _twiml(documents.goodbye(at, *await words.said("thanks")))

    async def _fork(self, asked: _Asked, transfer: Transfer) -> Start | None:
        if not self._ours.forks:
            return None
        async with self._services.database.transaction() as tx:
            token = await tokens.issue_leg(tx, transfer.conversation, "agent", asked.leg)
        return leg_stream(asked.proven.at, "agent", token)

    # --- the room --------------------------------------------------------------------------

    async def _room(self, asked: _Asked) -> Response:
        """Callbacks of the conference: late, twice and in any order; the label says who of which time."""
        who, _, number = asked.form.get("ParticipantLabel", "").partition("-")
        nth = int(number) if _NUMBER.fullmatch(number) else 0
        event = asked.form.get("StatusCallbackEvent", "")
        gone = asked.form.get("ParticipantCallStatus", "") in FINAL_STATUSES
        sign: Sign | None = None
        if event == "participant-join":
            sign = CallerIn(nth) if who == "caller" else AgentIn(nth) if who == "agent" else None
        elif event == "participant-leave" and gone:  # else its own document's `action` says more
            sign = (
                CallerLeft() if who == "caller" else AgentOut(nth, on_line=False) if who == "agent" else None
            )
        if sign is None:
            async with self._services.database.transaction() as tx:
                await transfers.get(tx, asked.transfer_id)
        elif isinstance(sign, CallerLeft):
            async with self._services.database.transaction() as tx:
                call_sid = load((await transfers.get(tx, asked.transfer_id)).body).call
            await self._front.over(call_sid, "completed")
        else:
            await self._take(asked.transfer_id, sign)
        return Response(status_code=204)

    async def _hold(self, asked: _Asked) -> Response:
        """What a caller who waits hears next. The music needs no database."""
        transfer: Transfer | None = None
        try:
            async with self._services.database.transaction() as tx:
                transfer = load((await transfers.get(tx, asked.transfer_id)).body)
        except DatabaseDown:
            log.warning("transfer_hold_without_database")
        words, sound = await self._ours.words.said(waiting_key(transfer), max(0, asked.nth - 2))
        return _twiml(documents.hold(asked.proven.at, asked.transfer_id, asked.nth, words, sound))

    async def _back(self, asked: _Asked) -> Response:
        """The caller is out of the room: hung up, sent back by us, or the room has ended."""
        async with self._services.database.transaction() as tx:
            transfer = load((await transfers.get(tx, asked.transfer_id)).body)
            newest = await transfers.newest_of_call(tx, transfer.call)
        if transfer.call != asked.leg:
            raise NotOurs("another call's")
        if not asked.on_line:
            await self._front.over(asked.leg, asked.form.get("CallStatus", "completed"))
            return _twiml(twiml.hangup())
        if (
            transfer.state in {State.RETURNED, State.AT_DESK, State.CALLER_LEFT}
            or newest != asked.transfer_id
        ):
            return _twiml(twiml.empty())  # asked although we took the call away; the answer is thrown away
        return await self._front.give(reception.Request(asked.leg, entry=asked.nth), asked.proven)

    # --- sounds ----------------------------------------------------------------------------

    def hold_sound(self) -> Response:
        """``GET /twilio/transfer/hold.wav``."""
        return _wav(documents.hold_sound().read_bytes())

    async def words(self, key: str, nth: str) -> Response:
        """``GET /twilio/transfer/words/{key}/{nth}.wav``: a line of the deployment's, as rendered."""
        if key not in KEYS or not _NUMBER.fullmatch(nth):
            return PlainTextResponse("no such line\n", 404)
        sound = await self._ours.words.kept(self._ours.words.line(key, int(nth)))  # pyright: ignore[reportArgumentType]  # is one of KEYS
        return _wav(sound) if sound is not None else PlainTextResponse("not rendered yet\n", 404)

    async def briefing(self, transfer_id: str) -> Response:
        """``GET /twilio/transfer/{id}/briefing.wav``: only while somebody is being told."""
        try:
            if not _ID.fullmatch(transfer_id):
                raise NotOurs("no transfer has such an id")
            async with self._services.database.transaction() as tx:
                transfer = load((await transfers.get(tx, transfer_id)).body)
            if transfer.state is not State.BRIEFING:
                raise NotOurs("nobody is being told")
            told = await briefing_words(self._services, self._ours, transfer_id)
        except (UnknownTransfer, NotOurs):
            return PlainTextResponse("no such briefing\n", 404)
        except DatabaseDown:
            return PlainTextResponse("the database is away\n", 503)
        sound = await self._ours.words.prepare(transfer_id, told)
        return _wav(sound, kept=False) if sound is not None else PlainTextResponse("no sound\n", 404)


def _wav(data: bytes, *, kept: bool = True) -> Response:
    control = f"public, max-age={_DAY_S}" if kept else "no-store"
    return Response(data, media_type="audio/wav", headers={"Cache-Control": control})


def _twiml(text: str) -> Response:
    return Response(text, media_type=twiml.CONTENT_TYPE)
