"""Puts the Twilio channel together: one router for a node's app."""

from __future__ import annotations

from fastapi import APIRouter, Request, WebSocket
from starlette.responses import PlainTextResponse, Response

from voicebot.channels.twilio.caller import CallerCheck
from voicebot.channels.twilio.closing import Closing
from voicebot.channels.twilio.fetching import Fetching
from voicebot.channels.twilio.gate import MediaGate
from voicebot.channels.twilio.keeper import LeaseKeeper
from voicebot.channels.twilio.live import LiveSessions
from voicebot.channels.twilio.outbound.hooks import OutboundHooks, add_outbound
from voicebot.channels.twilio.reception import Reception
from voicebot.channels.twilio.recovery import Recovery
from voicebot.channels.twilio.refusal_log import RefusalLog
from voicebot.channels.twilio.services import TwilioServices
from voicebot.channels.twilio.transfer.carrying import Carrying
from voicebot.channels.twilio.transfer.documents import hold_sound
from voicebot.channels.twilio.transfer.hooks import TransferHooks
from voicebot.channels.twilio.transfer.keeping import TransferKeeper
from voicebot.channels.twilio.transfer.transfers import Transfers
from voicebot.channels.twilio.twiml import recorded_line
from voicebot.channels.twilio.unwritten import Unwritten
from voicebot.channels.twilio.webhooks import Webhooks

_DAY_S = 24 * 3600


def twilio_router(
    services: TwilioServices, live: LiveSessions | None = None, unwritten: Unwritten | None = None
) -> APIRouter:
    """Every route under ``/twilio``; also gives ``services.keep_leases`` its work.

    Make it once per node. The app needs a server with ``ws_max_size`` of 64 KiB and no
    permessage-deflate, and must run ``services.keep_leases()`` in the background.

    Args:
        services: the channel's.
        live: shared with channels whose calls this one's keeper keeps as well; None: its own.
        unwritten: the same.
    """
    live = live if live is not None else LiveSessions()  # an empty one is false
    unwritten = unwritten if unwritten is not None else Unwritten()
    check = CallerCheck(services.settings, insecure_local=services.insecure_local)
    refusals = RefusalLog(services.database, services.clock)
    closing = Closing(services, unwritten)
    reception = Reception(services, unwritten)
    recovery = Recovery(services, live, reception, closing, unwritten)
    gate = MediaGate(services, check, live, recovery, closing, refusals)
    fetching = Fetching(services)
    hooks = Webhooks(services, check, live, reception, recovery, closing, refusals, fetching)
    services.keeper = LeaseKeeper(services, live, recovery, closing, unwritten, fetching).run

    router = APIRouter(prefix="/twilio", tags=["twilio"])
    for path, handler in (
        ("/voice", hooks.voice),
        ("/resume", hooks.resume),
        ("/status", hooks.status),
        ("/stream-status", hooks.stream_status),
        ("/sms", hooks.sms),
        ("/texts/{message}", hooks.text_report),
    ):
        router.add_api_route(path, handler, methods=["POST"], response_model=None)

    if services.outbound is not None:
        add_outbound(router, OutboundHooks(services.outbound, hooks, services.rest))
    if services.transfers is not None:
        _add_transfers(router, services, services.transfers, reception, recovery, closing, hooks)

    @router.post("/transfer/{step}", response_model=None)
    async def transfer(request: Request, step: str) -> Response:
        """Steps of a transfer to a person."""
        return await hooks.transfer(request, step)

    @router.post("/pay/{payment}", response_model=None)
    async def pay(request: Request, payment: str) -> Response:
        """The end of ``<Pay>``."""
        return await hooks.pay(request, payment)

    @router.post("/pay/{payment}/status", response_model=None)
    async def pay_status(request: Request, payment: str) -> Response:
        """Progress of ``<Pay>``."""
        return await hooks.pay_status(request, payment)

    @router.get("/lines/{name}.wav", response_model=None)
    async def line(name: str) -> Response:
        """A pre-rendered line that needs no engine (8 kHz mu-law WAV)."""
        recorded = recorded_line(name)
        if recorded is None:
            return PlainTextResponse("no such line\n", 404)
        kept = {"Cache-Control": f"public, max-age={_DAY_S}"}
        return Response(recorded.read_bytes(), media_type="audio/wav", headers=kept)

    @router.get("/hold.wav", response_model=None)
    async def hold() -> Response:
        """What a caller hears for whom there is no room yet."""
        kept = {"Cache-Control": f"public, max-age={_DAY_S}"}
        return Response(hold_sound().read_bytes(), media_type="audio/wav", headers=kept)

    @router.websocket("/media")
    async def media(socket: WebSocket) -> None:
        """The media socket."""
        await gate.serve(socket)

    _ = (transfer, pay, pay_status, line, hold, media)  # used by the router
    return router


def _add_transfers(
    router: APIRouter,
    services: TwilioServices,
    ours: Transfers,
    reception: Reception,
    recovery: Recovery,
    closing: Closing,
    front: Webhooks,
) -> None:
    """Routes of warm transfers; also gives ``services.keep_transfers`` its work."""
    hooks = TransferHooks(services, ours, front)
    carrying = Carrying(services, ours, reception, recovery.watch, closing.end)
    services.transfer_keeper = TransferKeeper(services, ours, carrying).run

    @router.get("/transfer/hold.wav", response_model=None)
    async def hold_sound() -> Response:
        """What a caller hears who waits."""
        return hooks.hold_sound()

    @router.get("/transfer/words/{key}/{nth}.wav", response_model=None)
    async def words(key: str, nth: str) -> Response:
        """A line of the deployment's."""
        return await hooks.words(key, nth)

    @router.get("/transfer/{transfer_id}/briefing.wav", response_model=None)
    async def briefing(transfer_id: str) -> Response:
        """What a person is told before they take a call."""
        return await hooks.briefing(transfer_id)

    @router.post("/transfer/{transfer_id}/{steps:path}", response_model=None)
    async def webhook(request: Request, transfer_id: str, steps: str) -> Response:
        """Everything that Twilio asks and tells about one transfer."""
        return await hooks.webhook(request, transfer_id, steps)

    _ = (hold_sound, words, briefing, webhook)  # used by the router
