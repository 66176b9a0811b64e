"""A running Twilio channel on loopback, and a client that speaks Twilio's side of it by hand.

The server is the real router behind uvicorn with the product's WebSocket settings; only the
pipeline is a stand-in (``Echo``), which says truthfully how a call ended. For whole calls with
Twilio's timing the tests use the local Twilio instead of ``Stream``.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from deployment_kit import stored_handoffs
from fastapi import FastAPI
from starlette.datastructures import ImmutableMultiDict
from twilio.request_validator import RequestValidator
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from voicebot.channels.node import NodeState
from voicebot.channels.twilio.media import CallOutcome, MediaSession
from voicebot.channels.twilio.rest import TwilioRest
from voicebot.channels.twilio.router import twilio_router
from voicebot.channels.twilio.services import TwilioServices
from voicebot.channels.twilio.wire import Dtmf, Mark, Media, Stop
from voicebot.core.settings import Settings
from voicebot.core.store import audit, handoffs, outbox
from voicebot.core.store.conversations import Conversations, Snapshot
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.leases import Leases
from voicebot.handoff.failed import FailedCalls
from voicebot.runtime.refusing import RefusingSockets

AUTH_TOKEN = "0123456789abcdef0123456789abcdef"
PUBLIC_URL = "https://voice.example.com"
FALLBACK = "+4930999999"
CALLER = "+4930111111"
CALLED = "+4930222222"


def new_sid(kind: str) -> str:
    return kind + secrets.token_hex(16)


class Echo:
    """Sends every sound back, marks it, and ends as the keys say.

    9: goodbye · 0: a person · 8: the pipeline fails · 7: it goes away although the call is not over.
    """

    def __init__(self) -> None:
        self.sessions: list[MediaSession] = []
        self.seen: list[object] = []
        self.returned: list[CallOutcome] = []
        self.running = 0

    async def __call__(self, session: MediaSession) -> CallOutcome:
        self.sessions.append(session)
        self.running += 1
        try:
            outcome = await self._run(session)
        finally:
            self.running -= 1
        self.returned.append(outcome)
        return outcome

    async def _run(self, session: MediaSession) -> CallOutcome:
        async for message in session.messages():
            self.seen.append(message)
            match message:
                case Media():
                    await session.media(message.ulaw)
                    await session.mark(f"echo-{message.timestamp_ms}")
                case Dtmf(digit="9"):
                    return CallOutcome("ended", "goodbye")
                case Dtmf(digit="0"):
                    return CallOutcome("handoff", "asked_for_person")
                case Dtmf(digit="8"):
                    raise RuntimeError("the pipeline fails")
                case Dtmf(digit="7"):
                    return CallOutcome("lost", "gave_up")
                case Dtmf(digit="*"):
                    await session.clear()
                case Dtmf() | Mark() | Stop():
                    pass
        return CallOutcome("lost", "socket_over")


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self):
        yield


@dataclass
class Channel:
    """A running channel: its services, its address, and ways to look at what it wrote."""

    services: TwilioServices
    url: str
    keys: KeyRing
    database: Database
    base: str = PUBLIC_URL
    http: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(timeout=60))

    async def post(self, path: str, token: str | None = AUTH_TOKEN, **form: str) -> httpx.Response:
        """A webhook as Twilio sends it; ``token`` None: unsigned."""
        headers = {}
        if token is not None:
            signer = RequestValidator(token)
            headers["X-Twilio-Signature"] = signer.compute_signature(
                self.base + path, ImmutableMultiDict(form)
            )
        return await self.http.post(self.url + path, data=form, headers=headers)

    async def voice(self, call_sid: str, **more: str) -> str:
        """A new call; returns the stream's token."""
        answer = await self.post(
            "/twilio/voice", CallSid=call_sid, From=CALLER, To=CALLED, CallStatus="ringing", **more
        )
        assert answer.status_code == 200, answer.text
        return token_in(answer.text)

    @contextlib.asynccontextmanager
    async def stream(
        self, call_sid: str, token: str | None, *, stream_sid: str | None = None, start: bool = True
    ) -> AsyncIterator[Stream]:
        """An open media socket, ``start`` sent."""
        async with open_socket(self.url, self.base) as ws:
            stream = Stream(ws, call_sid, stream_sid or new_sid("MZ"), token)
            if start:
                await stream.start()
            yield stream

    async def of_call(self, call_sid: str) -> Snapshot:
        async with self.database.transaction() as tx:
            known = await self.services.conversations.by_call(tx, call_sid)
            assert known is not None
            return await self.services.conversations.load(tx, known)

    async def knows(self, call_sid: str) -> bool:
        async with self.database.transaction() as tx:
            return await self.services.conversations.by_call(tx, call_sid) is not None

    async def events(self, call_sid: str) -> list[str]:
        snapshot = await self.of_call(call_sid)
        async with self.database.transaction() as tx:
            return [e.type for e in await outbox.events_of(tx, self.keys, snapshot.id)]

    async def handoffs(self, call_sid: str) -> list[dict[str, Any]]:
        """The call's handoffs, payloads opened."""
        snapshot = await self.of_call(call_sid)
        async with self.database.transaction() as tx:
            rows = await handoffs.list(tx, conversation_id=snapshot.id)
            return [await handoffs.get(tx, self.keys, row["id"]) for row in rows]

    async def refusals(self) -> list[str]:
        """Audited reasons, newest first."""
        async with self.database.transaction() as tx:
            return [r["reason"] for r in await audit.records(tx) if r["kind"] == "refusal"]

    async def refused(self, reason: str) -> None:
        """Waits until ``reason`` stands in the audit table (it is written after the close frame)."""
        await eventually(lambda: self._audited(reason))

    async def _audited(self, reason: str) -> bool:
        return reason in await self.refusals()

    async def status_of(self, call_sid: str, status: str) -> None:
        """Waits until the call's conversation has ``status``."""

        async def has() -> bool:
            return (await self.of_call(call_sid)).status == status

        await eventually(has)


@dataclass
class Stream:
    """Twilio's end of a media socket, message by message."""

    ws: ClientConnection
    call_sid: str
    stream_sid: str
    token: str | None
    sequence: int = 0

    async def start(self, **parameters: str) -> None:
        await self.ws.send(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
        await self.send(
            "start",
            start={
                "accountSid": new_sid("AC"),
                "callSid": self.call_sid,
                "streamSid": self.stream_sid,
                "tracks": ["inbound"],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                "customParameters": ({"token": self.token} if self.token else {}) | parameters,
            },
        )

    async def send(self, event: str, **more: Any) -> None:
        self.sequence += 1
        message = {"event": event, "sequenceNumber": str(self.sequence), "streamSid": self.stream_sid}
        await self.ws.send(json.dumps(message | more))

    async def media(self, ulaw: bytes = b"\xff" * 160, at_ms: int = 0) -> None:
        payload = base64.b64encode(ulaw).decode()
        await self.send(
            "media",
            media={
                "track": "inbound",
                "chunk": str(at_ms // 20 + 1),
                "timestamp": str(at_ms),
                "payload": payload,
            },
        )

    async def key(self, digit: str) -> None:
        await self.send("dtmf", dtmf={"track": "inbound_track", "digit": digit})

    async def stop(self) -> None:
        await self.send("stop", stop={"accountSid": new_sid("AC"), "callSid": self.call_sid})

    async def receive(self) -> dict[str, Any]:
        return json.loads(await asyncio.wait_for(self.ws.recv(), 60))

    async def echoed(self, at_ms: int = 0) -> bool:
        """The call is alive: a sound goes there and comes back."""
        await self.media(b"\x11" * 160, at_ms)
        back = await self.receive()
        assert back["event"] == "media", back
        return (await self.receive())["mark"]["name"] == f"echo-{at_ms}"

    async def closed(self) -> int:
        """The close code the server ends with; what it sends before that is read over."""
        with contextlib.suppress(ConnectionClosed):
            async with asyncio.timeout(60):
                while True:
                    await self.ws.recv()
        code = self.ws.close_code
        assert code != 1006, "the server died without a close frame"
        assert code is not None
        return code


def open_socket(url: str, base: str = PUBLIC_URL, token: str | None = AUTH_TOKEN, **more: Any) -> connect:
    """The upgrade as Twilio asks for it."""
    headers = dict(more.pop("headers", {}))
    if token is not None:
        wss = "wss://" + base.partition("://")[2] + "/twilio/media"
        headers["x-twilio-signature"] = RequestValidator(token).compute_signature(wss, {})
    return connect(
        url.replace("http:", "ws:") + "/twilio/media",
        additional_headers=headers,
        compression=None,
        proxy=None,
        ping_interval=None,
        max_size=None,
        **more,
    )


def token_in(twiml: str) -> str:
    _, found, rest = twiml.partition('<Parameter name="token" value="')
    assert found, twiml
    return rest.partition('"')[0]


async def eventually(check: Callable[[], Awaitable[bool] | bool], within_s: float = 30.0) -> None:
    """Polls a condition that other tasks bring about; there is nothing to wait on from outside."""
    async with asyncio.timeout(within_s):
        while True:
            answer = check()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.01)


def settings_for(**values: Any) -> Settings:
    """Settings that no environment of the machine leaks into."""
    known: dict[str, Any] = {
        "public_url": PUBLIC_URL,
        "twilio_auth_token": AUTH_TOKEN,
        "twilio_account_sid": None,
        "fallback_number": FALLBACK,
    }
    return Settings(_env_file=None, **(known | values))  # pyright: ignore[reportCallIssue]


@contextlib.asynccontextmanager
async def twilio_channel(
    database: Database,
    keys: KeyRing,
    *,
    run_call: Callable[[MediaSession], Awaitable[CallOutcome]] | None = None,
    settings: Settings | None = None,
    insecure_local: bool = False,
    keep: bool = False,
    node_id: str = "node-a",
    port: socket.socket | None = None,
    ttl_s: float = 30.0,
    extend: Callable[[FastAPI, TwilioServices], None] = lambda app, services: None,
    **services: Any,
) -> AsyncIterator[Channel]:
    """The channel on a free port (or on ``port``). ``keep`` runs the background work too.

    ``ttl_s``: how long it may be silent before others take it for dead; long, since a machine may stall.
    ``extend``: adds routes of other rooms to the app.
    """
    own = settings or settings_for()
    leases = Leases(node_id, f"http://{node_id}", ttl_s=ttl_s)
    made = TwilioServices(
        settings=own,
        database=database,
        keys=keys,
        conversations=Conversations(keys),
        leases=leases,
        rest=TwilioRest.from_settings(own),  # none without an account SID
        insecure_local=insecure_local,
        node=NodeState(node_id=node_id, max_calls=services.pop("max_calls", 10)),
        new_state=services.pop("new_state", lambda: {"greeted": False}),
        run_call=run_call or Echo(),
        store_handoff=FailedCalls(keys, stored_handoffs(keys), "p1").store,
        **services,
    )
    app = FastAPI()
    app.include_router(twilio_router(made))
    extend(app, made)
    async with serving(app, port or free_port()) as url:
        keeping = asyncio.create_task(made.keep_leases()) if keep else None
        channel = Channel(made, url, keys, database, base=own.public_url or url)
        try:
            yield channel
        finally:
            await channel.http.aclose()
            if keeping is not None:
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)
            else:
                await stop_watches(made)
            if made.rest is not None:
                await made.rest.close()


async def stop_watches(services: TwilioServices) -> None:
    """Ends the recovery's tasks as the keeper would when it is cancelled."""
    task = asyncio.create_task(services.keep_leases())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def free_port(number: int = 0) -> socket.socket:
    """A bound socket; its address is known before anything listens on it.

    ``number``: of one that does not listen yet; nobody else gets it when that one is closed.
    """
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", number))
    return bound


def url_of(port: socket.socket) -> str:
    return f"http://127.0.0.1:{port.getsockname()[1]}"


@contextlib.asynccontextmanager
async def serving(app: FastAPI, listening: socket.socket) -> AsyncIterator[str]:
    """``app`` behind uvicorn with the product's WebSocket settings, until the block is left."""
    server = _Server(
        uvicorn.Config(
            app,
            ws=RefusingSockets,
            ws_max_size=64 * 1024,
            ws_per_message_deflate=False,
            ws_ping_interval=None,
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=2,
        )
    )
    task = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:  # uvicorn offers no event
        await asyncio.sleep(0.005)
    try:
        yield url_of(listening)
    finally:
        server.should_exit = True
        await task
        listening.close()
