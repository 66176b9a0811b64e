"""A node that takes calls from browsers, and a browser made of aiortc: real ICE, DTLS and SRTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import httpx
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame
from deployment_kit import stored_handoffs
from fastapi import FastAPI
from twilio_kit import eventually, free_port, serving, settings_for

from voicebot.channels.browser.session import BrowserSession
from voicebot.channels.node import NodeState
from voicebot.channels.twilio.live import LiveSessions
from voicebot.channels.twilio.media import CallOutcome
from voicebot.channels.twilio.router import twilio_router
from voicebot.channels.twilio.services import TwilioServices
from voicebot.channels.twilio.unwritten import Unwritten
from voicebot.core.store import handoffs, outbox
from voicebot.core.store.conversations import Conversations, Snapshot
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.leases import Leases
from voicebot.dialogue import state as states
from voicebot.handoff.failed import FailedCalls
from voicebot.runtime.browser import add_browser

RATE_HZ = 48_000


@dataclass
class Node:
    """A node with its page at ``url``."""

    url: str
    services: TwilioServices
    gate: Any
    database: Database
    keys: KeyRing

    async def snapshot(self, call: str) -> Snapshot | None:
        async with self.database.transaction() as tx:
            conversations = Conversations(self.keys)
            known = await conversations.by_call(tx, call)
            return None if known is None else await conversations.load(tx, known)

    async def ends(self, call: str, status: str = "ended") -> Snapshot:
        """Waits until the call's conversation has ``status``."""

        async def has() -> bool:
            seen = await self.snapshot(call)
            return seen is not None and seen.status == status

        await eventually(has)
        seen = await self.snapshot(call)
        assert seen is not None
        return seen

    async def turns(self, call: str) -> list[dict[str, Any]]:
        seen = await self.snapshot(call)
        if seen is None:
            return []
        async with self.database.transaction() as tx:
            return await Conversations(self.keys).turns(tx, seen.id)

    async def heard(self, call: str, turn: int) -> dict[str, Any]:
        """Waits until a turn is written as heard."""

        async def closed() -> bool:
            return any(row["turn"] == turn and row["heard"] is not None for row in await self.turns(call))

        await eventually(closed)
        return next(row for row in await self.turns(call) if row["turn"] == turn)

    async def events(self, call: str) -> list[str]:
        seen = await self.snapshot(call)
        assert seen is not None
        async with self.database.transaction() as tx:
            return [event.type for event in await outbox.events_of(tx, self.keys, seen.id)]

    async def handoffs(self, call: str) -> list[dict[str, Any]]:
        seen = await self.snapshot(call)
        assert seen is not None
        async with self.database.transaction() as tx:
            return await handoffs.list(tx, conversation_id=seen.id)


@contextlib.asynccontextmanager
async def browser_node(
    database: Database,
    keys: KeyRing,
    run_call: Callable[[BrowserSession], Awaitable[CallOutcome]],
    *,
    insecure_local: bool = True,
    max_calls: int = 10,
    node_id: str = "node-a",
    keep: bool = False,
    new_state: Callable[[], dict[str, Any]] = states.new_state,
    **settings: Any,
) -> AsyncIterator[Node]:
    """``keep``: the background work runs too."""

    async def no_phone(session: object) -> CallOutcome:
        raise AssertionError("nobody phones here")

    services = TwilioServices(
        settings=settings_for(**({"public_url": None} | settings)),
        database=database,
        keys=keys,
        conversations=Conversations(keys),
        leases=Leases(node_id, f"http://{node_id}", ttl_s=3.0),
        rest=None,
        insecure_local=insecure_local,
        node=NodeState(node_id=node_id, max_calls=max_calls),
        new_state=new_state,
        run_call=no_phone,
        store_handoff=FailedCalls(keys, stored_handoffs(keys), "p1").store,
    )
    app, live, unwritten = FastAPI(), LiveSessions(), Unwritten()
    app.include_router(twilio_router(services, live, unwritten))
    gate = add_browser(app, services, live, unwritten, run_call)
    async with serving(app, free_port()) as url:
        keeping = asyncio.create_task(services.keep_leases()) if keep else None
        try:
            yield Node(url, services, gate, database, keys)
        finally:
            await gate.close()
            if keeping is not None:
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)


class Microphone(MediaStreamTrack):
    """Says a tone of 400 Hz for as long as it is told to; else silence."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self.tone_frames = 0
        self._began_s: float | None = None
        self._frame = 0

    def says(self, ms: int) -> None:
        self.tone_frames = ms // 20

    async def recv(self) -> AudioFrame:
        if self.readyState != "live":
            raise MediaStreamError
        if self._began_s is None:
            self._began_s = time.monotonic()
        await asyncio.sleep(max(0.0, self._began_s + self._frame * 0.02 - time.monotonic()))
        at = np.arange(960) + self._frame * 960
        loud = 8000 if self.tone_frames > 0 else 0
        self.tone_frames -= 1
        pcm = (loud * np.sin(2 * np.pi * 400 * at / RATE_HZ)).astype(np.int16)
        frame = AudioFrame.from_ndarray(pcm[np.newaxis, :], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, self._frame * 960, Fraction(1, RATE_HZ)
        self._frame += 1
        return frame


@dataclass
class Browser:
    """Somebody at a page. ``messages`` came over the data channel; ``loud_ms``: sound that was no silence."""

    url: str
    call: str = ""
    name: str = ""
    microphone: Microphone = field(default_factory=Microphone)
    messages: list[dict[str, Any]] = field(default_factory=list)
    loud_ms: int = 0
    open: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.http = httpx.AsyncClient(base_url=self.url, timeout=60)
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.channel = self.connection.createDataChannel("chat")
        self.channel.on("open", self._opened)
        self.channel.on("message", lambda text: self.messages.append(json.loads(text)))
        self.connection.on("track", self._hear)
        self._tasks: list[asyncio.Task[None]] = []

    async def connects(self, **headers: str) -> None:
        """As the page does it: a name, an offer, and word that it is ready."""
        if not self.call:
            started = await self.http.post("/webrtc/start", json={"transport": "webrtc"}, headers=headers)
            assert started.status_code == 200, started.text
            self.call = started.json()["sessionId"]
        self.connection.addTrack(self.microphone)
        self.connection.addTransceiver("video")
        await self.connection.setLocalDescription(await self.connection.createOffer())
        answer = await self.offers(headers=headers)
        assert answer.status_code == 200, answer.text
        self.name = answer.json()["pc_id"]
        await self.connection.setRemoteDescription(RTCSessionDescription(answer.json()["sdp"], "answer"))
        async with asyncio.timeout(60):
            await self.open.wait()
        self.sends("client-ready", {"version": "2.1.0", "about": {"library": "test"}})

    async def offers(self, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        local = self.connection.localDescription
        body = {"sdp": local.sdp, "type": local.type, "pc_id": None, "restart_pc": False} | more
        return await self.http.post(
            f"/webrtc/sessions/{self.call}/api/offer", json=body, headers=headers or {}
        )

    def sends(self, kind: str, data: Any = None) -> None:
        self.channel.send(json.dumps({"label": "rtvi-ai", "type": kind, "id": "1", "data": data}))

    def texts(self, kind: str, **wanted: Any) -> list[str]:
        """Texts of the messages of a kind whose data hold ``wanted``."""
        data = [one["data"] for one in self.messages if one["type"] == kind]
        return [one["text"] for one in data if wanted.items() <= one.items()]

    def has(self, kind: str) -> bool:
        return any(one["type"] == kind for one in self.messages)

    async def leaves(self) -> None:
        """The page is closed."""
        for task in self._tasks:
            task.cancel()
        await self.connection.close()
        await self.http.aclose()

    def _opened(self) -> None:
        self.open.set()

    def _hear(self, track: MediaStreamTrack) -> None:
        if track.kind == "audio":
            self._tasks.append(asyncio.ensure_future(self._listen(track)))

    async def _listen(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                assert isinstance(frame, AudioFrame)
                if np.abs(frame.to_ndarray().astype(int)).mean() > 200:
                    self.loud_ms += 20


@contextlib.asynccontextmanager
async def browsing(url: str, call: str = "") -> AsyncIterator[Browser]:
    """A browser, closed afterwards."""
    browser = Browser(url, call)
    try:
        yield browser
    finally:
        await browser.leaves()
