"""Gives a call the TwiML it needs now, whoever asks: a new call, a resumed one, or a rescue."""

from __future__ import annotations

import time
from dataclasses import dataclass

import structlog

from voicebot.channels.twilio import journal, pay, twiml
from voicebot.channels.twilio.addresses import Addresses
from voicebot.channels.twilio.leg_media import leg_stream
from voicebot.channels.twilio.resumption import Answer, Asked, Standing, answer
from voicebot.channels.twilio.services import TwilioServices
from voicebot.channels.twilio.transfer import documents
from voicebot.channels.twilio.twiml import Person
from voicebot.channels.twilio.unwritten import Unwritten
from voicebot.core.conversation import Channel
from voicebot.core.store import audit, payments, talks, tokens, transfers
from voicebot.core.store.conversations import Snapshot
from voicebot.core.store.database import DatabaseDown, Transaction
from voicebot.core.store.payments import Payment
from voicebot.core.store.switches import switches
from voicebot.handoff.transfer.machine import CallerGets
from voicebot.handoff.transfer.states import Transfer

log = structlog.get_logger(__name__)

TOKEN_TTL_S = 60


@dataclass(frozen=True, slots=True)
class Request:
    """What is known of a call that needs TwiML.

    ``new``: it has just arrived (``/twilio/voice``). ``failed``: Twilio could not get our TwiML
    before (the fallback URL). ``person``: whatever the facts, a person (the bot lost too often).
    ``entry``: it has left a transfer's room, into which it was sent for the n-th time.
    ``pushed``: the answer goes by REST, where ``<Pay>`` fails without a word.
    """

    call_sid: str
    caller: str | None = None
    called: str | None = None
    new: bool = False
    failed: bool = False
    person: bool = False
    pushed: bool = False
    entry: int | None = None
    queued_at: int | None = None
    """Seconds since 1970: since when the caller waits for room."""


@dataclass(frozen=True, slots=True)
class _Given:
    """What was decided, with what its document needs."""

    answer: Answer
    token: str = ""
    payment: Payment | None = None
    transfer: Transfer | None = None
    fork: str | None = None
    stops: tuple[str, ...] = ()
    queued_at: int = 0
    first: bool = False
    """Of the queue: the caller has not waited yet."""


class Reception:
    """One per node. Never raises for want of a database: then a person is called."""

    def __init__(self, services: TwilioServices, unwritten: Unwritten) -> None:
        self._services = services
        self._unwritten = unwritten

    async def twiml(self, request: Request, at: Addresses) -> tuple[Answer, str]:
        """What the call gets, as decided and as text; the decision is written before it is given."""
        settled = self._unwritten.of_call(request.call_sid)
        decided: Standing | None = settled.standing if settled is not None else None
        try:
            async with self._services.database.transaction() as tx:
                given = await self._decide(tx, request, decided)
        except DatabaseDown:
            self._services.node.arrived(request.call_sid)  # it goes elsewhere
            given = _Given(answer(Asked("unknown", database=False, decided=decided)))
            log.error("call_answered_without_database", call_sid=request.call_sid, answer=given.answer.value)
        else:
            self._services.poke()
        return given.answer, self._text(given, at)

    async def _decide(self, tx: Transaction, request: Request, decided: Standing | None) -> _Given:
        services, node = self._services, self._services.node
        known = await services.conversations.by_call(tx, request.call_sid)
        snapshot = await services.conversations.load(tx, known, lock=True) if known is not None else None
        gets, transfer = await self._transfer(tx, request, snapshot)
        facts = Asked(
            standing=_standing(snapshot),
            bot_on=not node.off and (await switches(tx)).get("bot", True),
            new=request.new,
            room=node.accepting and self._room(request, snapshot),
            when_full=services.settings.when_full,
            queued_s=0.0 if request.queued_at is None else max(1.0, time.time() - request.queued_at),
            sessions=snapshot.epoch if snapshot is not None else 0,
            unmet=await journal.unmet(tx, services.keys, snapshot.id) if snapshot is not None else 0,
            failed=request.failed or request.person,
            paying=not request.pushed and snapshot is not None and await self._agreed(tx, snapshot.id),
            transfer=gets,
            decided=decided,
            talk=snapshot is not None and await talks.open_of(tx, snapshot.id) is not None,
        )
        given = answer(facts)
        if given is Answer.HOLD and snapshot is not None and transfer is not None:
            return await self._hold(tx, snapshot, transfer)
        if given in {Answer.CONNECT, Answer.PAY} and snapshot is not None and snapshot.status == "handoff":
            await services.conversations.set_status(tx, snapshot.id, "live")  # the bot has the call again
        if given is Answer.PAY and snapshot is not None and services.payments is not None:
            payment = await services.payments.begin(tx, snapshot.id, "pay")
            if payment is not None:
                await journal.note(tx, services.keys, snapshot, journal.PAYING, {"payment": payment.id})
                return _Given(given, payment=payment)
            given = Answer.CONNECT
        if given is Answer.CONNECT:
            if snapshot is None:
                snapshot = await self._create(tx, request)
            await journal.note(tx, services.keys, snapshot, journal.CONNECTING, {"sessions": facts.sessions})
            token = await tokens.issue(tx, request.call_sid, ttl_s=TOKEN_TTL_S)
            stops = await transfers.caller_forks(tx, snapshot.id) if gets == "bot" else []
            return _Given(given, token, stops=tuple(stops))
        first = request.queued_at is None
        if given is Answer.QUEUE:
            node.machine.wait(request.call_sid, request.queued_at)
        else:
            node.arrived(request.call_sid)  # no socket of ours will come
        if given is not Answer.QUEUE or first:  # who still waits was written down
            await self._forward(tx, request, snapshot, given, facts)
        return _Given(given, queued_at=request.queued_at or int(time.time()), first=first)

    def _room(self, request: Request, snapshot: Snapshot | None) -> bool:
        """A place for a new call, kept until its socket comes; others have theirs."""
        if not request.new or snapshot is not None:
            return True
        return self._services.node.pledge(request.call_sid, request.queued_at)

    async def _transfer(
        self, tx: Transaction, request: Request, snapshot: Snapshot | None
    ) -> tuple[CallerGets, Transfer | None]:
        """What a warm transfer of the call says; it learns that the call has asked."""
        ours = self._services.transfers
        if ours is None or snapshot is None or snapshot.status == "ended" or request.failed or request.person:
            return "nothing", None
        return await ours.asked(tx, request.call_sid, request.entry)

    async def _hold(self, tx: Transaction, snapshot: Snapshot, transfer: Transfer) -> _Given:
        """Into the room. From the first time on, what the caller says there is heard."""
        services = self._services
        if snapshot.status == "live":
            await services.conversations.set_status(tx, snapshot.id, "handoff")
        data = {"answer": Answer.HOLD.value, "why": "transfer", "transfer": transfer.id}
        await journal.note(tx, services.keys, snapshot, journal.FORWARDED, data)
        fork: str | None = None
        if services.transfers is not None and services.transfers.forks and transfer.entry == 1:
            fork = await tokens.issue_leg(tx, snapshot.id, "caller", transfer.call)
        log.info(
            "call_waits_for_person", conversation=snapshot.id, transfer=transfer.id, entry=transfer.entry
        )
        return _Given(Answer.HOLD, transfer=transfer, fork=fork)

    async def _agreed(self, tx: Transaction, conversation_id: str) -> bool:
        """Whether Twilio shall take a card now."""
        return self._services.payments is not None and await payments.agreed(tx, conversation_id, "pay")

    async def _create(self, tx: Transaction, request: Request) -> Snapshot:
        conversations = self._services.conversations
        conversation_id = await conversations.create(
            tx,
            channel=Channel.PHONE,
            call_sid=request.call_sid,
            caller=request.caller,
            called=request.called,
            state=self._services.new_state(),
        )
        log.info("call_arrived", conversation=conversation_id, call_sid=request.call_sid)
        return await conversations.load(tx, conversation_id, lock=True)

    async def _forward(
        self, tx: Transaction, request: Request, snapshot: Snapshot | None, given: Answer, facts: Asked
    ) -> None:
        services = self._services
        why = _why(facts, room=facts.room or not facts.new)
        if snapshot is None:
            await audit.record(
                tx,
                action="call.forwarded",
                actor="server",
                facts={"call_sid": request.call_sid, "answer": given.value, "why": why},
            )
        else:
            if snapshot.status == "live" and given is not Answer.HANG_UP:
                await services.conversations.set_status(tx, snapshot.id, "handoff")
                if facts.decided is None:  # else the reason is known, and written with it
                    await services.store_handoff(tx, snapshot.id, why)
            if services.transfers is not None:
                await services.transfers.forwarded(tx, request.call_sid)
            data = {"answer": given.value, "why": why}
            await journal.note(tx, services.keys, snapshot, journal.FORWARDED, data)
        log.info("call_forwarded", call_sid=request.call_sid, answer=given.value, why=why)

    def _text(self, given: _Given, at: Addresses) -> str:
        settings = self._services.settings
        person = Person(settings.fallback_number)
        match given.answer:
            case Answer.PAY:
                assert given.payment is not None  # `_decide` gives both
                return pay.document(at, given.payment, settings.pay_connector, self._services.pay_prompts)
            case Answer.HOLD:
                assert given.transfer is not None  # `_hold` gives both
                fork = leg_stream(at, "caller", given.fork) if given.fork is not None else None
                return documents.caller_waits(at, given.transfer, fork)
            case Answer.CONNECT:
                return twiml.connect_stream(at, given.token, given.stops)
            case Answer.DIAL:
                return twiml.dial(at, person)
            case Answer.APOLOGISE_AND_DIAL:
                return twiml.play_then_dial(at, "handing_over", person)
            case Answer.BUSY:
                return twiml.busy()
            case Answer.QUEUE:
                return twiml.queue(at, given.queued_at, first=given.first)
            case Answer.HANG_UP:
                return twiml.hangup()


def _standing(snapshot: Snapshot | None) -> Standing:
    match snapshot.status if snapshot is not None else None:
        case "live":
            return "live"
        case "handoff":
            return "handoff"
        case "ended":
            return "ended"
        case _:
            return "unknown"


def _why(facts: Asked, *, room: bool) -> str:
    if facts.standing in {"handoff", "ended"}:
        return facts.standing
    if facts.failed:
        return "failed_before"
    if not facts.bot_on:
        return "bot_off"
    if not room:
        return "no_room"
    return "call_unknown" if facts.standing == "unknown" else "lost_too_often"
