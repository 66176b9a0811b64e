"""Whatever dies, the caller goes on or reaches a person: database, node, socket, off switch.

A signed server with two nodes behind a public address, the local Twilio in front, a person at the fallback
number. One server for all: it has to live through everything. What stops its database comes last.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx
import psutil
import pytest
import pytest_asyncio
from talk_kit import AtDesk, Speaks, at_desk, likeness, noise
from twilio_kit import eventually

from tests.media_client import line
from tests.serving import REPOSITORY, Serving, serving
from voicebot.proof.simulation import Ear, LocalCall, LocalTwilio
from voicebot.runtime.server import shared_socket

pytestmark = pytest.mark.asyncio(loop_scope="module")

PUBLIC = "https://voice.example.com"
PERSON = "+14155550199"
TOKEN = "t-" + "0" * 30
LIKE = 0.4
"""Noise of its own is alike to nothing else by more than 0.1."""


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


@dataclass
class Phoned:
    """A server and who phones it."""

    data: Path
    twilio: LocalTwilio
    server: Serving


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def phoned(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Phoned]:
    data = tmp_path_factory.mktemp("faults") / "data"
    kept = shared_socket("127.0.0.1", 0, listen=False)  # nobody else gets it before the server listens
    port = kept.getsockname()[1]
    async with LocalTwilio(routes={PUBLIC: f"http://127.0.0.1:{port}"}) as twilio:
        environment = {
            "TWILIO_ACCOUNT_SID": twilio.account_sid,
            "TWILIO_AUTH_TOKEN": twilio.auth_token,
            "VOICEBOT_TWILIO_API": twilio.api_url,
            "VOICEBOT_PUBLIC_URL": PUBLIC,
            "VOICEBOT_FALLBACK_NUMBER": PERSON,
            "VOICEBOT_API_TOKEN": TOKEN,
        }
        start = serving("--port", str(port), "--workers", "2", data_dir=data, **environment)
        server = await asyncio.to_thread(start.__enter__)
        try:
            yield Phoned(data, twilio, server)
        finally:
            await asyncio.to_thread(start.__exit__, None, None, None)
            kept.close()


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


async def dialled(twilio: LocalTwilio, caller: LocalCall, within_s: float = 40) -> LocalCall:
    """The leg that rings the person for a caller."""
    async with asyncio.timeout(within_s):
        while True:
            for call in twilio.calls:
                if call.to == PERSON and call.parent_sid == caller.call_sid:
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
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def node_of(server: Serving, call: LocalCall) -> psutil.Process:
    """The node that holds the call's media, by what the log says."""
    said = [json.loads(text) for text in server.lines if text.startswith("{")]
    of = [
        one["process"] for one in said if one["event"] == "media_started" and one["call_sid"] == call.call_sid
    ]
    [pid] = [one["pid"] for one in said if one["event"] == "node.started" and one["node"] == of[-1]]
    return psutil.Process(pid)


async def hear_each_other(agent: AtDesk, ear: Speaks) -> None:
    """Each says what is like nothing else until the other has it."""
    at, at_agent = len(ear.heard), len(agent.headset.heard)
    ours, theirs = noise(11, 400), noise(12, 400)

    def heard() -> bool:
        both = (ours, bytes(ear.heard[at:])), (theirs, bytes(agent.headset.heard[at_agent:]))
        return all(likeness(*one)[0] > LIKE for one in both)

    async with asyncio.timeout(60):
        while not heard():
            agent.headset.says(ours)
            ear.says(theirs)
            await asyncio.sleep(1.0)


def spoken_s(ulaw: bytes) -> float:
    """Seconds that are no silence."""
    pieces = (ulaw[at : at + 160] for at in range(0, len(ulaw), 160))
    return sum(sum(map(piece.count, (0xFF, 0x7F, 0xFE, 0x7E))) < 128 for piece in pieces) * 0.02


async def both_nodes(server: Serving) -> None:
    """Waits until both take calls: one that was killed is started again."""
    async with httpx.AsyncClient(timeout=20) as client, asyncio.timeout(150):
        while "voicebot_machine_places 80.0" not in (await client.get(f"{server.url}/metrics")).text:
            await asyncio.sleep(0.1)


async def test_a_broken_socket_resumes_the_same_conversation(phoned: Phoned):
    """The caller loses a second, not the conversation."""
    async with calling(phoned.twilio) as (call, ear):
        await ear.hears(1.0)
        call.break_socket()
        await ear.hears(1.0)  # what the phone still holds is shorter
        assert call.violations == []
    assert (await phoned.server.conversation(call.call_sid, TOKEN))["status"] == "ended"


async def test_off_sends_new_calls_to_a_person_and_on_takes_them_again(phoned: Phoned):
    """`voicebot off` works within five seconds, `on` undoes it."""
    twilio = phoned.twilio
    await asyncio.to_thread(cli, phoned.data, "off")
    await asyncio.sleep(5.0)  # as is promised; nodes look every two seconds
    async with calling(twilio) as (call, _):
        await dialled(twilio, call)
    await asyncio.to_thread(cli, phoned.data, "on")
    await asyncio.sleep(5.0)
    async with calling(twilio) as (call, ear):
        await ear.hears(1.0)
        assert not [leg for leg in twilio.calls if leg.parent_sid == call.call_sid]
        assert call.violations == []


@pytest.mark.parametrize("fate", ["next_verb", "hang"])
async def test_a_killed_node_loses_no_call(phoned: Phoned, fate: Literal["next_verb", "hang"]):
    """Kill -9 of a node: another one has Twilio connect the call again, and the caller is told so.

    Both fates of a broken socket: Twilio asks for the next verb, or does nothing at all.
    """
    twilio, server = phoned.twilio, phoned.server
    twilio.options.broken_socket = fate
    twilio.options.broken_notice_ms = 200  # it asks no process that is still going down
    await both_nodes(server)
    async with calling(twilio) as (call, ear):
        await ear.hears(1.0)
        node_of(server, call).kill()
        await ear.hears(1.0)
        await ear.quiet()
        ear.say(line("slt", "opening_hours"))
        await ear.hears(1.0)
        assert call.violations == []
    found = await server.conversation(call.call_sid, TOKEN)
    starts = [t["input"] for t in found["turns"] if t["input"]["kind"] == "call_started"]
    assert [start["resumed"] for start in starts] == [False, True]


async def test_a_killed_node_loses_no_talk_and_both_are_told(phoned: Phoned):
    """Kill -9 of the node where an agent speaks with a caller: the other fetches the caller, who is told that
    the line was cut before they hear the agent again; the agent's page says it all the while.
    """
    twilio, server, ear = phoned.twilio, phoned.server, Speaks()
    twilio.options.broken_socket = "hang"
    await both_nodes(server)
    call = await twilio.phone(f"{PUBLIC}/twilio/voice", ear=ear)
    headers = {"Authorization": f"Bearer {TOKEN}", "X-Voicebot-Agent": "cleo"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=20) as api:
        await eventually(lambda: spoken_s(bytes(ear.heard)) > 1.0, 40)
        conversation = (await server.conversation(call.call_sid, TOKEN))["id"]
        talk = await api.post(f"/api/conversations/{conversation}/take-over")
        assert talk.is_success, talk.text
        async with at_desk(server.url, TOKEN, talk.json()) as agent:
            await eventually(lambda: agent.states == ["talking"], 40)
            await hear_each_other(agent, ear)
            node_of(server, call).kill()
            await eventually(lambda: agent.states[-1] == "away", 40)
            at = len(ear.heard)
            await eventually(lambda: agent.states == ["talking", "away", "talking"], 40)
            assert spoken_s(bytes(ear.heard[at:])) > 1.0, (
                "the agent is silent: this is the word for the caller"
            )
            await hear_each_other(agent, ear)
        (handoff,) = (await api.get("/api/handoffs", params={"conversation": conversation})).json()
        assert (handoff["status"], handoff["claimed_by"]) == ("bridged", "cleo")
        await api.post(f"/api/talks/{talk.json()['id']}/end", json={"then": "bot"})
    call.hang_up()
    await call.settle()
    assert call.violations == []


async def test_a_stopped_database_sends_the_call_and_new_calls_to_a_person(phoned: Phoned):
    """In mid-call: a line, then the person. A new call: the same, at once. Nothing hangs."""
    twilio, server = phoned.twilio, phoned.server
    async with calling(twilio) as (call, ear):
        await ear.hears(1.0)
        await ear.quiet()
        for postgres in server.children("postgres"):
            postgres.suspend()
        try:
            ear.say(line("slt", "opening_hours"))
            await dialled(twilio, call)
            async with calling(twilio) as (second, _):
                await dialled(twilio, second, within_s=15)  # past that Twilio itself gives up on a webhook
                assert second.violations == []
        finally:
            for postgres in server.children("postgres"):
                postgres.resume()
        assert call.violations == []
