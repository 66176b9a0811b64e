"""Whatever dies, the caller goes on or reaches a person: database, node, socket, off switch.

A signed server behind a public address, the local Twilio in front, a person at the fallback number.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from tests.media_client import line
from tests.serving import REPOSITORY, Serving, serving
from voicebot.proof.simulation import Ear, LocalCall, LocalTwilio, Options

PUBLIC = "https://voice.example.com"
PERSON = "+14155550199"
TOKEN = "t-" + "0" * 30


class Caller(Ear):
    """Says queued lines; counts how much speech is heard, 20 ms at a time."""

    def __init__(self) -> None:
        self._mouth = b""
        self.loud: list[bool] = []

    def say(self, ulaw: bytes) -> None:
        self._mouth += ulaw

    def on_audio(self, frame: bytes, at_ms: int) -> None:
        self.loud.append(sum(frame.count(b) for b in (0xFF, 0x7F, 0xFE, 0x7E)) < len(frame) * 0.8)

    def next_frame(self, at_ms: int) -> bytes | None:
        frame, self._mouth = self._mouth[:160], self._mouth[160:]
        return frame.ljust(160, b"\xff") if frame else None

    async def hears(self, seconds: float, within_s: float = 40) -> None:
        begin = len(self.loud)
        async with asyncio.timeout(within_s):
            while sum(self.loud[begin:]) * 0.02 < seconds:
                await asyncio.sleep(0.02)

    async def quiet(self, seconds: float = 1.0, within_s: float = 40) -> None:
        frames = int(seconds / 0.02)
        async with asyncio.timeout(within_s):
            while len(self.loud) < frames or any(self.loud[-frames:]):
                await asyncio.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@asynccontextmanager
async def signed_server(
    data: Path, *arguments: str, options: Options | None = None
) -> AsyncIterator[tuple[LocalTwilio, Serving]]:
    port = free_port()
    async with LocalTwilio(routes={PUBLIC: f"http://127.0.0.1:{port}"}, options=options) as twilio:
        environment = {
            "TWILIO_ACCOUNT_SID": twilio.account_sid,
            "TWILIO_AUTH_TOKEN": twilio.auth_token,
            "VOICEBOT_TWILIO_API": twilio.api_url,
            "VOICEBOT_PUBLIC_URL": PUBLIC,
            "VOICEBOT_FALLBACK_NUMBER": PERSON,
            "VOICEBOT_API_TOKEN": TOKEN,
        }
        start = serving("--port", str(port), *arguments, data_dir=data, **environment)
        server = await asyncio.to_thread(start.__enter__)
        try:
            yield twilio, server
        finally:
            await asyncio.to_thread(start.__exit__, None, None, None)


@asynccontextmanager
async def calling(twilio: LocalTwilio) -> AsyncIterator[tuple[LocalCall, Caller]]:
    ear = Caller()
    status = f"{PUBLIC}/twilio/status"
    call = await twilio.phone(f"{PUBLIC}/twilio/voice", ear=ear, status_callback=status)
    try:
        yield call, ear
    finally:
        if not call.ended:
            call.hang_up()
            await call.wait_ended()
        await call.settle()


async def dialled(twilio: LocalTwilio, within_s: float = 40) -> LocalCall:
    """The leg that rings the person."""
    async with asyncio.timeout(within_s):
        while True:
            for call in twilio.calls:
                if call.to == PERSON:
                    return call
            await asyncio.sleep(0.05)


def cli(data: Path, *arguments: str) -> str:
    """Runs `voicebot` beside the server, on the same data directory."""
    done = subprocess.run(
        [sys.executable, "-m", "voicebot.cli", *arguments],
        cwd=REPOSITORY,
        env={"PATH": "/usr/bin:/bin", "VOICEBOT_DATA_DIR": str(data), "VOICEBOT_FALLBACK_NUMBER": PERSON},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_a_stopped_database_sends_the_call_and_new_calls_to_a_person(tmp_path: Path):
    """In mid-call: a line, then the person. A new call: the same, at once. Nothing hangs."""
    async with signed_server(tmp_path / "data") as (twilio, server), calling(twilio) as (call, ear):
        await ear.hears(1.0)
        await ear.quiet()
        for postgres in server.children("postgres"):
            postgres.suspend()
        try:
            ear.say(line("slt", "opening_hours"))
            leg = await dialled(twilio, within_s=60)
            assert leg.parent_sid == call.call_sid
            began = asyncio.get_running_loop().time()
            async with calling(twilio) as (second, _):
                async with asyncio.timeout(40):
                    while sum(c.to == PERSON for c in twilio.calls) < 2:
                        await asyncio.sleep(0.05)
                assert asyncio.get_running_loop().time() - began < 40
                assert second.violations == []
        finally:
            for postgres in server.children("postgres"):
                postgres.resume()
        assert call.violations == []


async def test_off_sends_new_calls_to_a_person_and_on_takes_them_again(tmp_path: Path):
    """`voicebot off` works within five seconds, `on` undoes it."""
    data = tmp_path / "data"
    async with signed_server(data) as (twilio, _):
        await asyncio.to_thread(cli, data, "off")
        await asyncio.sleep(2.5)
        async with calling(twilio):
            await dialled(twilio)
        await asyncio.to_thread(cli, data, "on")
        await asyncio.sleep(2.5)
        async with calling(twilio) as (call, ear):
            await ear.hears(2.0)
            assert sum(c.to == PERSON for c in twilio.calls) == 1
            assert call.violations == []


def node_of_the_call(server: Serving) -> psutil.Process:
    """The node that holds the call's media: its log line says its number, nodes start in that order."""
    [line_of_start] = [text for text in server.lines if '"media_started"' in text]
    number = int(json.loads(line_of_start)["process"].split("-")[1])
    nodes = sorted(server.children("voicebot.runtime.node"), key=lambda node: (node.create_time(), node.pid))
    return nodes[number]


@pytest.mark.parametrize("fate", ["next_verb", "hang"])
async def test_a_killed_node_loses_no_call(tmp_path: Path, fate: str):
    """Kill -9 of a node: another one has Twilio connect the call again, and the caller is told so.

    Both fates of a broken socket: Twilio asks for the next verb, or does nothing at all.
    """
    options = Options(broken_socket=fate)  # type: ignore[arg-type]
    async with signed_server(tmp_path / "data", "--workers", "2", options=options) as (twilio, server):
        async with calling(twilio) as (call, ear):
            await ear.hears(1.0)
            await ear.quiet()
            node_of_the_call(server).kill()
            await ear.hears(1.0, within_s=12)
            await ear.quiet()
            ear.say(line("slt", "opening_hours"))
            await ear.hears(1.0)
            assert call.violations == []
        async with httpx.AsyncClient(
            base_url=server.url, headers={"Authorization": f"Bearer {TOKEN}"}
        ) as api:
            [row] = (await api.get("/api/conversations")).json()
            found = (await api.get(f"/api/conversations/{row['id']}")).json()
        starts = [t["input"] for t in found["turns"] if t["input"]["kind"] == "call_started"]
        assert [start["resumed"] for start in starts] == [False, True]


async def test_a_broken_socket_resumes_the_same_conversation(tmp_path: Path):
    """The caller loses a second, not the conversation."""
    async with signed_server(tmp_path / "data") as (twilio, server):
        async with calling(twilio) as (call, ear):
            await ear.hears(1.0)
            await ear.quiet()
            call.break_socket()
            await ear.hears(0.8, within_s=12)
            assert call.violations == []
        async with httpx.AsyncClient(
            base_url=server.url, headers={"Authorization": f"Bearer {TOKEN}"}
        ) as api:
            rows = (await api.get("/api/conversations")).json()
        assert len(rows) == 1
        assert rows[0]["status"] == "ended"
