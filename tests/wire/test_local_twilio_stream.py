"""The local Twilio's media stream keeps Twilio's order, counts, playout time, marks and clear."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from local_twilio_server import Peer, ScriptedServer, running

from voicebot.proof.simulation import LocalTwilio, Quiet, Timeline, murmur, tone


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with running(ScriptedServer()) as made:
        yield made


@pytest.fixture
async def twilio(server: ScriptedServer) -> AsyncIterator[LocalTwilio]:
    async with LocalTwilio() as made:
        server.auth_token = made.auth_token
        yield made


async def test_a_call_is_connected_streamed_and_ended_by_the_server(server, twilio):
    """Webhook, upgrade, connected, start, media; our close lets the next verb run."""

    async def on_media(peer: Peer) -> None:
        await peer.until("start")
        for _ in range(5):
            await peer.until("media")
        await peer.socket.close(1000)

    server.on_media = on_media
    server.twiml["/voice"] = server.stream(
        '<Parameter name="token" value="t-1"/>', after="<Redirect>/resume</Redirect>"
    )
    server.twiml["/resume"] = "<Hangup/>"
    call = await twilio.phone(f"{server.url}/voice", ear=Quiet(), status_callback=f"{server.url}/status")
    await call.wait_ended()
    await call.settle()

    peer = server.peers[0]
    first, start = peer.messages[:2]
    assert first == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    assert start["sequenceNumber"] == "1"
    assert start["start"]["customParameters"] == {"token": "t-1"}
    assert start["start"]["callSid"] == call.call_sid
    assert [m["sequenceNumber"] for m in peer.messages[1:]] == [str(n) for n in range(1, len(peer.messages))]
    media = peer.events("media")
    assert [m["media"]["chunk"] for m in media] == ["1", "2", "3", "4", "5"]
    assert [m["media"]["timestamp"] for m in media] == ["20", "40", "60", "80", "100"]
    assert [a.path for a in server.asked] == ["/voice", "/resume", "/status"]
    assert all(a.signed for a in server.asked + server.upgrades)
    assert "x-twilio-signature" in server.upgrades[0].headers
    assert server.of("/status")[0].form["CallStatus"] == "completed"
    assert call.violations == []
    assert call.status == "completed"


async def test_audio_is_played_in_real_time_and_marks_come_back_when_played(server, twilio):
    """Half a second sent at once takes half a second; its mark comes back then, not before."""
    times: dict[str, float] = {}

    async def on_media(peer: Peer) -> None:
        await peer.until("start")
        clock = asyncio.get_running_loop().time
        await peer.mark("empty")
        await peer.media(tone(500, 1000))
        await peer.mark("end")
        began = clock()
        for _ in range(2):
            returned = await peer.until("mark")
            times[returned["mark"]["name"]] = clock() - began
        await peer.socket.close(1000)

    server.on_media = on_media
    server.twiml["/voice"] = server.stream()
    call = await twilio.phone(f"{server.url}/voice", ear=Quiet())
    await call.wait_ended()
    assert times["empty"] < 0.06
    assert 0.49 < times["end"] < 0.62
    assert len(bytes(call.recording.heard).replace(b"\xff", b"")) >= 3900
    assert call.violations == []


async def test_clear_silences_at_once_and_returns_all_pending_marks(server, twilio):
    """After clear nothing more is heard, and marks cannot be told from played ones."""
    returned: list[str] = []

    async def on_media(peer: Peer) -> None:
        await peer.until("start")
        await peer.media(tone(2000, 500))
        await peer.mark("a")
        await peer.media(tone(2000, 500))
        await peer.mark("b")
        for _ in range(15):
            await peer.until("media")
        await peer.clear()
        returned.extend([(await peer.until("mark"))["mark"]["name"] for _ in range(2)])
        for _ in range(10):
            await peer.until("media")
        await peer.socket.close(1000)

    server.on_media = on_media
    server.twiml["/voice"] = server.stream()
    call = await twilio.phone(f"{server.url}/voice", ear=Quiet())
    await call.wait_ended()
    assert returned == ["a", "b"]
    heard_ms = len(bytes(call.recording.heard).replace(b"\xff", b"")) / 8
    assert 240 <= heard_ms <= 380
    assert [e.data["why"] for e in call.log.of("mark")] == ["cleared", "cleared"]


async def test_what_the_caller_says_arrives_and_keys_too(server, twilio):
    """The caller's frames carry their audio; a key press is a dtmf message between them."""

    async def on_media(peer: Peer) -> None:
        await peer.drain()

    server.on_media = on_media
    server.twiml["/voice"] = server.stream()
    call = await twilio.phone(f"{server.url}/voice", ear=Timeline([(100, murmur(300))]))
    await call.log.wait("stream", event="start")
    await call.press("4#")
    await asyncio.sleep(0.6)  # real time is what is tested
    call.hang_up()
    await call.wait_ended()
    await call.settle()
    peer = server.peers[0]
    assert [m["dtmf"] for m in peer.events("dtmf")] == [
        {"track": "inbound_track", "digit": "4"},
        {"track": "inbound_track", "digit": "#"},
    ]
    assert peer.messages[-1]["event"] == "stop"
    assert peer.messages[-1]["stop"]["callSid"] == call.call_sid
    loud = [m for m in peer.events("media") if set(m["media"]["payload"].strip("=")) != {"/"}]
    assert 13 <= len(loud) <= 17
    assert call.status == "completed"
