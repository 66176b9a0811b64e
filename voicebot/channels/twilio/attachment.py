"""Binds a new stream to its conversation: token, epoch, lease, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass

from voicebot.channels.twilio import journal
from voicebot.channels.twilio.refusals import Refusal, Refused
from voicebot.channels.twilio.services import TwilioServices
from voicebot.channels.twilio.wire import Start
from voicebot.core.conversation import Channel, TransferFailed
from voicebot.core.store import tokens
from voicebot.core.store.conversations import Snapshot
from voicebot.core.store.database import DatabaseDown, Transaction
from voicebot.core.store.switches import switches
from voicebot.core.store.tokens import TokenRefused

TOKEN_REFUSALS: dict[str, Refusal] = {
    "unknown": Refusal.TOKEN_UNKNOWN,
    "used": Refusal.TOKEN_USED,
    "expired": Refusal.TOKEN_EXPIRED,
    "wrong_call": Refusal.WRONG_CALL,
}


@dataclass(frozen=True, slots=True)
class Attached:
    """The conversation a stream belongs to. ``resumed``: the caller has heard us on this call.

    ``returned``: a person was tried meanwhile, and why nothing came of it; None: no, or it was told.
    """

    conversation_id: str
    resumed: bool
    epoch: int
    returned: TransferFailed | None = None


async def attach(
    services: TwilioServices,
    start: Start,
    *,
    local: bool,
    room: bool,
    channel: Channel = Channel.PHONE,
) -> Attached:
    """Admits a stream, or refuses it before any model works.

    Args:
        services: the channel's.
        start: the stream's first message.
        local: no token is needed (``--insecure-local``, from loopback); a call that no webhook
            announced then gets its conversation here.
        room: the node has a place for a call that no webhook announced.
        channel: of a conversation that is made here.

    Raises:
        Refused: the token is missing, unknown, used, expired or another call's; the call is
            unknown or over; the database is away (``unavailable``); a call that no webhook announced
            comes while the bot is off, the node stops or is full (``off``, ``draining``, ``no_room``).
    """
    try:
        async with services.database.transaction() as tx:
            attached = await _attach(services, tx, start, local=local, room=room, channel=channel)
    except TokenRefused as refused:
        raise Refused(TOKEN_REFUSALS[refused.reason]) from None
    except DatabaseDown:
        raise Refused(Refusal.UNAVAILABLE, "database") from None
    services.poke()
    return attached


async def _attach(
    services: TwilioServices, tx: Transaction, start: Start, *, local: bool, room: bool, channel: Channel
) -> Attached:
    conversations = services.conversations
    token = start.parameters.get("token")
    if token:
        await tokens.redeem(tx, token, start.call_sid)
    elif not local:
        raise Refused(Refusal.TOKEN_MISSING, "the stream has no <Parameter> named token")
    may_create = local and not token
    snapshot = await _conversation(services, tx, start, may_create=may_create, room=room, channel=channel)
    epoch = await conversations.new_epoch(tx, snapshot.id)
    await services.leases.take(tx, start.call_sid, snapshot.id, start.stream_sid)
    resumed = snapshot.turn > 0
    returned: TransferFailed | None = None
    if services.transfers is not None:
        returned = await services.transfers.media_back(tx, snapshot)
    data = {"stream_sid": start.stream_sid, "epoch": epoch, "resumed": resumed}
    await journal.note(tx, services.keys, snapshot, journal.MEDIA_STARTED, data)
    return Attached(snapshot.id, resumed, epoch, returned)


async def _conversation(
    services: TwilioServices,
    tx: Transaction,
    start: Start,
    *,
    may_create: bool,
    room: bool,
    channel: Channel,
) -> Snapshot:
    conversations = services.conversations
    known = await conversations.by_call(tx, start.call_sid)
    if known is not None:
        snapshot = await conversations.load(tx, known, lock=True)
        if snapshot.status != "ended":
            return snapshot
        if not may_create:
            raise Refused(Refusal.CALL_OVER, "the call ended before its stream began")
    elif not may_create:
        raise Refused(Refusal.CALL_UNKNOWN, "no webhook announced the call")
    await _must_take_calls(services, tx, room=room)
    made = await conversations.create(
        tx,
        channel=channel,
        call_sid=start.call_sid,
        caller=None,
        called=None,
        state=services.new_state(),
        again=True,  # a program that uses one CallSid again: a conversation of its own
    )
    return await conversations.load(tx, made, lock=True)


async def _must_take_calls(services: TwilioServices, tx: Transaction, *, room: bool) -> None:
    """What ``/twilio/voice`` asks before it connects a call; here nobody else would.

    Raises:
        Refused: the bot is off, the node is stopping, or it is full.
    """
    if services.node.off or not (await switches(tx)).get("bot", True):
        raise Refused(Refusal.OFF, "voicebot off")
    if not services.node.accepting:
        raise Refused(Refusal.DRAINING, "the node is stopping")
    if not room:
        raise Refused(Refusal.NO_ROOM, "the node has all the calls it takes")
