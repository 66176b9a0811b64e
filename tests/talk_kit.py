"""A node whose callers an agent at a desk takes, and the desk's end of the line."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
from deployment_kit import LIBRARY, stored_handoffs
from fastapi import FastAPI
from transfer_kit import HandsOver, Lines, node, people_of
from twilio_kit import Channel, free_port, url_of
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from voicebot.audio import mulaw
from voicebot.audio.recording.writer import Recorder
from voicebot.channels.browser.peer import Peer
from voicebot.channels.phone.leg import LegKit
from voicebot.channels.talk.bridge import TalkKit
from voicebot.channels.talk.hub import TalkHub
from voicebot.channels.talk.sounds import Line, Sounds
from voicebot.channels.twilio.media import CallOutcome, MediaSession
from voicebot.channels.twilio.services import TwilioServices
from voicebot.console.access import bearer_guard
from voicebot.console.desk.client import DeskApi
from voicebot.console.desk.talk_line import State, TalkLine
from voicebot.console.handoffs import Queue, handoffs_router
from voicebot.console.readers import AGENT_HEADER, readers
from voicebot.console.talks import talks_router
from voicebot.core.conversation import TransferFailed
from voicebot.core.store import handoffs, outbox
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.core.transcript import LEG_LINE
from voicebot.handoff.failed import FailedCalls
from voicebot.handoff.people import Agent, People
from voicebot.handoff.talks import Talks
from voicebot.proof.simulation import LocalTwilio

FRAME = 160
AGENTS = ({"id": "ada"}, {"id": "ben"}, {"id": "cleo", "role": "supervisor"})


def noise(seed: int, ms: int) -> bytes:
    """Sound that is like no other: noise of its own, through mu-law."""
    samples = np.random.default_rng(seed).normal(0, 3000, ms * 8)
    return mulaw.encode(np.clip(samples, -32000, 32000).astype(np.int16))


def likeness(sent: bytes, heard: bytes) -> tuple[float, float]:
    """How like ``sent`` its best place in ``heard`` is (0-1), and where that is, ms."""
    wanted, got = (mulaw.decode(one).astype(float) for one in (sent, heard))
    if len(got) < len(wanted):
        return 0.0, 0.0
    size = 1 << (len(got) + len(wanted)).bit_length()
    cross = np.fft.irfft(np.fft.rfft(got, size) * np.conj(np.fft.rfft(wanted, size)), size)
    cross = cross[: len(got) - len(wanted) + 1]
    sums = np.concatenate([[0.0], np.cumsum(got**2)])
    energy = sums[len(wanted) :] - sums[: len(sums) - len(wanted)]
    score = cross / np.sqrt(np.maximum(energy, 1.0) * (wanted**2).sum())
    best = int(score.argmax())
    return float(score[best]), best / 8


class Speaks:
    """Somebody on a phone who says what they are given, and hears."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self._says = bytearray()

    def says(self, ulaw: bytes) -> None:
        self._says += ulaw

    def on_audio(self, frame: bytes, at_ms: int) -> None:
        self.heard += frame

    def next_frame(self, at_ms: int) -> bytes | None:
        piece = bytes(self._says[:FRAME])
        del self._says[:FRAME]
        return piece.ljust(FRAME, b"\xff") if piece else None


class Bot(HandsOver):
    """Speaks nothing; steps back when a desk takes its caller. ``returns``: why it had callers again."""

    def __init__(self, keys: KeyRing, database: Database, *, at_once: bool = False) -> None:
        super().__init__(keys, database, at_once=at_once)
        self.returns: list[TransferFailed | None] = []
        self.steps_back_s = 0.0
        self._back: dict[str, asyncio.Event] = {}

    async def __call__(self, session: MediaSession) -> CallOutcome:
        self.returns.append(session.returned)
        back = self._back[session.conversation_id] = asyncio.Event()
        ours, stepped = asyncio.ensure_future(super().__call__(session)), asyncio.ensure_future(back.wait())
        await asyncio.wait({ours, stepped}, return_when=asyncio.FIRST_COMPLETED)
        stepped.cancel()
        if ours.done():
            return ours.result()
        await asyncio.sleep(self.steps_back_s)  # its last words
        ours.cancel()
        await asyncio.gather(ours, return_exceptions=True)
        return CallOutcome("handoff", "taken_at_desk")

    async def step_back(self, conversation_id: str) -> None:
        self._back[conversation_id].set()

    @property
    def stepping(self) -> bool:
        return any(one.is_set() for one in self._back.values())


_SEEDS: dict[Line, int] = {"coming": 901, "hold": 902, "goodbye": 903, "back": 904}
LINES = {name: noise(seed, 300) for name, seed in _SEEDS.items()}


async def _line(name: Line) -> bytes:
    return LINES[name]


@dataclass
class TalkNode:
    """A channel with its talks. ``at``: where the desk reaches it. ``unsaid``: taken out of recordings.

    ``noted``: what the recordings were told of what was said, channel by channel.
    """

    channel: Channel
    hub: TalkHub
    unsaid: list[tuple[str, int, int]]
    noted: list[tuple[str, str]]

    async def lines(self, call_sid: str) -> list[tuple[str, str]]:
        """What was heard on both legs, in order."""
        snapshot = await self.channel.of_call(call_sid)
        async with self.channel.database.transaction() as tx:
            events = await outbox.events_of(tx, self.channel.keys, snapshot.id)
        return [(e.data["who"], e.data["text"]) for e in events if e.type == LEG_LINE]

    @property
    def at(self) -> str:
        return self.channel.url

    async def api(self, agent: str, method: str, path: str, **body: Any) -> httpx.Response:
        return await self.channel.http.request(
            method, f"{self.at}{path}", json=body or None, headers={AGENT_HEADER: agent}
        )

    async def handoff(self, call_sid: str) -> str:
        return (await self.channel.handoffs(call_sid))[-1]["id"]

    async def status(self, call_sid: str) -> tuple[str, str | None]:
        snapshot = await self.channel.of_call(call_sid)
        async with self.channel.database.transaction() as tx:
            row = (await handoffs.list(tx, conversation_id=snapshot.id))[-1]
        return row["status"], row["claimed_by"]

    async def takes(self, agent: str, call_sid: str) -> dict[str, Any]:
        answer = await self.api(agent, "POST", f"/api/handoffs/{await self.handoff(call_sid)}/talk")
        assert answer.is_success, answer.text
        return answer.json()

    async def ends(self, agent: str, talk: dict[str, Any], then: str) -> None:
        answer = await self.api(agent, "POST", f"/api/talks/{talk['id']}/end", then=then)
        assert answer.is_success, answer.text


def agents_of(*numbers: str) -> People:
    return people_of(*numbers).model_copy(
        update={"agents": tuple(Agent.model_validate(one) for one in AGENTS)}
    )


@contextlib.asynccontextmanager
async def talk_node(
    twilio: LocalTwilio,
    database: Database,
    keys: KeyRing,
    bot: Bot,
    folder: Path,
    *numbers: str,
    node_id: str = "node-a",
    port: socket.socket | None = None,
    legs: LegKit | None = None,
) -> AsyncGenerator[TalkNode]:
    """A node with transfers and talks."""
    people, port = agents_of(*numbers), port or free_port()
    made: list[TalkHub] = []
    opened = iter(range(100))
    unsaid: list[tuple[str, int, int]] = []

    noted: list[tuple[str, str]] = []

    class Tape(Recorder):
        def event(self, event: dict[str, Any]) -> None:
            if event["type"] in ("checked", "masked") and event["at_ms"] < event["until_ms"]:
                noted.append((event["type"], event["channel"]))
            super().event(event)

        def unsay(self, channel: str, at_ms: int, until_ms: int) -> None:
            unsaid.append((channel, at_ms, until_ms))
            super().unsay(channel, at_ms, until_ms)

    async def recorder(conversation_id: str) -> Recorder:
        return Tape(folder / f"{node_id}-{next(opened)}", b"k" * 32, conversation_id)

    def extend(app: FastAPI, services: TwilioServices) -> None:
        assert services.transfers is not None
        services.leases.address = url_of(port)
        talks = services.talks = Talks(keys, services.transfers.transferring)
        kit = TalkKit(database, talks, recorder, Sounds(_line), legs, services.poke)
        hub = TalkHub(kit, services.leases, bot.step_back)
        services.run_call = hub.runner(services.run_call)
        made.append(hub)
        queue = Queue(database, keys, people, LIBRARY.reasons, services.transfers.wake)
        who = readers(bearer_guard(None, insecure_local=True), None, people)
        take_over = FailedCalls(keys, stored_handoffs(keys), "p1").take_over
        app.include_router(handoffs_router(queue, who))
        app.include_router(talks_router(queue, talks, hub, take_over, who))

    async with node(
        twilio, database, keys, bot, people=people, node_id=node_id, port=port, extend=extend
    ) as channel:
        keeping = asyncio.create_task(made[0].keep())
        try:
            yield TalkNode(channel, made[0], unsaid, noted)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)


@dataclass
class DeskEnd:
    """The desk's end of a line: what came, and what is said."""

    socket: ClientConnection
    heard: bytearray = field(default_factory=bytearray)
    words: list[dict[str, Any]] = field(default_factory=list)
    _says: bytearray = field(default_factory=bytearray)

    def says(self, ulaw: bytes) -> None:
        self._says += ulaw

    @property
    def states(self) -> list[str]:
        return [str(word.get("state") or word.get("ending")) for word in self.words if word["type"] != "key"]

    async def look(self) -> None:
        await self.socket.send('{"type": "look"}')

    async def listen(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for came in self.socket:
                if isinstance(came, bytes):
                    self.heard += came
                else:
                    self.words.append(json.loads(came))

    async def speak(self) -> None:
        """A frame every 20 ms, as a browser's come."""
        clock = asyncio.get_running_loop().time
        due = clock()
        with contextlib.suppress(ConnectionClosed):
            while True:
                piece = bytes(self._says[:FRAME]).ljust(FRAME, b"\xff")
                del self._says[:FRAME]
                await self.socket.send(piece)
                due += 0.02
                await asyncio.sleep(max(0.0, due - clock()))


@contextlib.asynccontextmanager
async def desk_line(at: str, agent: str, talk: dict[str, Any]) -> AsyncIterator[DeskEnd]:
    """The desk's line to a node, until the block is left."""
    url = f"{at.replace('http', 'ws', 1)}/api/talks/{talk['id']}/audio"
    async with connect(url, additional_headers={AGENT_HEADER: agent}, proxy=None) as socket_:
        end = DeskEnd(socket_)
        work = [asyncio.create_task(one) for one in (end.listen(), end.speak())]
        try:
            yield end
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)


@dataclass(frozen=True)
class _Frame:
    ulaw: bytes


class Headset:
    """The agent's browser as a talk sees it: what they say goes out by the frame, what comes is kept."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.closed = asyncio.Event()
        self.end = None
        self.queued_ms = 0
        self._says = bytearray()

    def says(self, ulaw: bytes) -> None:
        self._says += ulaw

    async def frames(self) -> AsyncIterator[_Frame]:
        clock = asyncio.get_running_loop().time
        due = clock()
        while not self.closed.is_set():
            piece = bytes(self._says[:160]).ljust(160, b"\xff")
            del self._says[:160]
            yield _Frame(piece)
            due += 0.02
            await asyncio.sleep(max(0.0, due - clock()))

    def send(self, ulaw: bytes) -> None:
        self.heard += ulaw

    async def close(self) -> None:
        self.closed.set()


@dataclass
class AtDesk:
    """An agent with the desk's real line to the nodes."""

    line: TalkLine
    headset: Headset
    states: list[State] = field(default_factory=list[State])


@contextlib.asynccontextmanager
async def at_desk(url: str, token: str, talk: dict[str, Any]) -> AsyncGenerator[AtDesk]:
    api, headset, states = DeskApi(url, token), Headset(), list[State]()
    line = TalkLine(api, talk["agent"], talk["id"], cast("Peer", headset), states.append)
    running = asyncio.create_task(line.run())
    try:
        yield AtDesk(line, headset, states)
    finally:
        await headset.close()
        await running
        await api.close()


__all__ = [
    "AtDesk",
    "Bot",
    "DeskEnd",
    "Lines",
    "Speaks",
    "TalkNode",
    "at_desk",
    "desk_line",
    "likeness",
    "noise",
    "talk_node",
]
