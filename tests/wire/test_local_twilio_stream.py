"""The local Twilio's media stream keeps Twilio's order, counts, playout time, marks and clear."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncIterator

import pytest
from local_twilio_server import Peer, ScriptedServer, running
from twilio_kit import eventually

from voicebot.proof.simulation import SILENCE, LocalCall, LocalTwilio, Options, Quiet, murmur, tone


def heard_ms(call: LocalCall) -> int:
    """How many ms (in steps of 20) of sound the caller heard."""
    heard = bytes(call.recording.heard)
    return 20 * sum(heard[n : n + 160] != SILENCE for n in range(0, len(heard), 160))


class Cued:
    """Says something when it is told to."""

    def __init__(self) -> None:
        self._clip = b""

    def speaks(self, clip: bytes) -> None:
        self._clip = clip

    def on_audio(self, frame: bytes, at_ms: int) -> None:
        pass

    def next_frame(self, at_ms: int) -> bytes | None:
        frame, self._clip = self._clip[:160], self._clip[160:]
        return frame or None


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
    late_s = call.line.max_late_ms / 1000
    assert times["empty"] < 0.06 + late_s
    assert 0.49 - late_s < times["end"] < 0.62 + late_s
    assert heard_ms(call) == 500
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
    late_ms = call.line.max_late_ms
    assert 240 - late_ms <= heard_ms(call) <= 380 + late_ms
    assert [e.data["why"] for e in call.log.of("mark")] == ["cleared", "cleared"]


async def test_what_the_caller_says_arrives_and_keys_too(server, twilio):
    """The caller's frames carry their audio; a key press is a dtmf message between them."""

    async def on_media(peer: Peer) -> None:
        await peer.drain()

    server.on_media = on_media
    server.twiml["/voice"] = server.stream()
    ear = Cued()
    call = await twilio.phone(f"{server.url}/voice", ear=ear)
    await call.log.wait("stream", event="start")
    await call.press("4#")
    ear.speaks(murmur(300))
    said = len(call.recording.said)
    await eventually(lambda: len(call.recording.said) >= said + 8000 * 0.4)
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
    frames = [base64.b64decode(m["media"]["payload"]) for m in peer.events("media")]
    loud = [frame for frame in frames if frame != SILENCE]
    assert 13 <= len(loud) <= 17
    assert call.status == "completed"


async def test_frames_wait_in_a_gap_and_come_in_a_burst_after_it(server, twilio):
    """A gap on the way loses nothing: numbers and timestamps go on, arrival bunches."""
    twilio.options.uplink_gaps = [(1500, 200)]
    server.twiml["/voice"] = server.stream()
    call = await twilio.phone(f"{server.url}/voice", ear=Quiet())
    await call.log.wait("stream", event="start")
    await eventually(lambda: len(server.peers[0].events("media")) >= 100)
    call.hang_up()
    await call.wait_ended()
    await call.settle()
    peer = server.peers[0]
    media = peer.events("media")
    stamps = [int(m["media"]["timestamp"]) for m in media]
    assert stamps == list(range(20, 20 * len(stamps) + 20, 20))
    arrived = [at for at, m in zip(peer.arrived, peer.messages, strict=True) if m["event"] == "media"]
    pauses = [b - a for a, b in itertools.pairwise(arrived)]
    assert max(pauses) > 0.15
    assert sum(pause < 0.01 for pause in pauses) >= 8


async def test_lost_frames_leave_a_hole_in_the_timestamps_only(server, twilio):
    """What is lost before Twilio never becomes a message: numbers stay dense, time goes on."""
    twilio.options.uplink_loss = 0.5
    server.twiml["/voice"] = server.stream()
    call = await twilio.phone(f"{server.url}/voice", ear=Quiet())
    await call.log.wait("stream", event="start")
    await eventually(lambda: len(server.peers[0].events("media")) >= 10)
    call.hang_up()
    await call.wait_ended()
    await call.settle()
    media = server.peers[0].events("media")
    chunks = [int(m["media"]["chunk"]) for m in media]
    stamps = [int(m["media"]["timestamp"]) for m in media]
    assert chunks == list(range(1, len(chunks) + 1))
    assert len(stamps) < stamps[-1] / 20


BAD = {
    "binary frame": (31950, lambda sid: b"\x00\x01"),
    "not json": (31951, lambda sid: "hello"),
    "unknown event": (31951, lambda sid: {"event": "pause", "streamSid": sid}),
    "missing field": (31951, lambda sid: {"event": "mark", "streamSid": sid}),
    "extra field": (31951, lambda sid: {"event": "clear", "streamSid": sid, "all": True}),
    "extra inner field": (
        31951,
        lambda sid: {"event": "media", "streamSid": sid, "media": {"payload": "//8=", "track": "outbound"}},
    ),
    "wrong type": (31951, lambda sid: {"event": "mark", "streamSid": sid, "mark": {"name": 3}}),
    "foreign stream": (31951, lambda sid: {"event": "clear", "streamSid": "MZ" + "0" * 32}),
    "broken base64": (31951, lambda sid: {"event": "media", "streamSid": sid, "media": {"payload": "%%%"}}),
    "file header": (
        31951,
        lambda sid: {"event": "media", "streamSid": sid, "media": {"payload": "UklGRgAA"}},
    ),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_message_that_breaks_the_protocol_is_a_violation(server, twilio, case):
    """Each is reported with Twilio's code, and the stream lives on."""
    code, make = BAD[case]

    async def on_media(peer: Peer) -> None:
        await peer.until("start")
        message = make(peer.sid)
        if isinstance(message, bytes):
            await peer.socket.send_bytes(message)
        else:
            await peer.socket.send_text(message if isinstance(message, str) else json.dumps(message))
        await peer.mark("still here")
        await peer.until("mark")
        await peer.socket.close(1000)

    server.on_media = on_media
    server.twiml["/voice"] = server.stream()
    call = await twilio.phone(f"{server.url}/voice", ear=Quiet())
    await call.wait_ended()
    assert [v.code for v in call.violations] == [code]


async def test_more_than_ten_minutes_of_audio_is_dropped_and_reported_once(server, twilio):
    """The buffer ends at ten minutes; a well-filled one below it is no violation."""

    async def on_media(peer: Peer) -> None:
        await peer.until("start")
        for _ in range(12):
            await peer.media(b"\x7f" * 8000 * 60)
        await peer.clear()
        await peer.mark("m")
        await peer.until("mark")
        await peer.socket.close(1000)

    server.on_media = on_media
    server.twiml["/voice"] = server.stream()
    call = await twilio.phone(f"{server.url}/voice", ear=Quiet())
    await call.wait_ended()
    assert [v.code for v in call.violations] == [31931]


@pytest.mark.parametrize(("code", "reported"), [(1000, []), (1011, [31921])])
async def test_the_close_code_of_the_server_is_looked_at(server, twilio, code, reported):
    """Any close lets the next verb run; codes other than 1000 are reported."""

    async def on_media(peer: Peer) -> None:
        await peer.until("start")
        await peer.socket.close(code)

    server.on_media = on_media
    server.twiml["/voice"] = server.stream(after="<Redirect>/next</Redirect>")
    call = await twilio.phone(f"{server.url}/voice", ear=Quiet())
    await call.wait_ended()
    assert len(server.of("/next")) == 1
    assert [n.code for n in call.notifications] == reported


@pytest.mark.parametrize("fate", ["next_verb", "hang"])
async def test_both_fates_of_a_broken_socket(server, twilio, fate):
    """31903 is told to the stream callback at once; what follows is what the test chose."""
    twilio.options = Options(broken_socket=fate)
    server.twiml["/voice"] = server.stream(
        attributes='name="s" statusCallback="/stream"', after="<Redirect>/next</Redirect>"
    )
    call = await twilio.phone(f"{server.url}/voice", ear=Quiet())
    await call.log.wait("stream", event="start")
    await call.log.wait("callback", about="stream")
    call.break_socket()
    while len(server.of("/stream")) < 2:
        await call.log.wait("callback", again=True)
    forms = [a.form for a in server.of("/stream")]
    assert [f["StreamEvent"] for f in forms] == ["stream-started", "stream-error"]
    assert forms[1]["StreamName"] == "s"
    assert forms[1]["StreamSid"] == forms[0]["StreamSid"]
    if fate == "next_verb":
        await call.wait_ended()
        assert len(server.of("/next")) == 1
    else:
        await call.log.wait("stream", event="hang")
        assert not server.of("/next")
        assert call.status == "in-progress"
        call.hang_up()
        await call.wait_ended()
    assert call.violations == []


async def test_a_server_that_vanishes_is_noticed(server, twilio):
    """A socket that dies without a close frame on the server's side is 31903."""

    async def on_media(peer: Peer) -> None:
        await peer.until("start")
        peer.socket.scope["extensions"]["test.cut"]()

    server.on_media = on_media
    server.twiml["/voice"] = server.stream(attributes='statusCallback="/stream"')
    call = await twilio.phone(f"{server.url}/voice", ear=Quiet())
    await call.wait_ended()
    await call.settle()
    assert [n.code for n in call.notifications] == [31903]


async def test_a_refused_upgrade_is_31920(server, twilio):
    """The socket never comes up; the callback says so."""
    server.refuse_upgrade = True
    server.twiml["/voice"] = server.stream(attributes='statusCallback="/stream"')
    call = await twilio.phone(f"{server.url}/voice", ear=Quiet())
    await call.wait_ended()
    await call.settle()
    assert [v.code for v in call.violations] == [31920]
    assert [a.form["StreamEvent"] for a in server.of("/stream")] == ["stream-error"]


@pytest.mark.parametrize(("talks_on_ms", "grace_ms", "codes"), [(60, 30_000, []), (600, 250, [31951])])
async def test_the_server_falls_silent_after_stop(server, twilio, talks_on_ms, grace_ms, codes):
    """What crosses `stop` on the wire is fine; talking on is a violation."""
    twilio.options.stop_grace_ms, twilio.options.close_after_stop_ms = grace_ms, 30_000

    async def on_media(peer: Peer) -> None:
        await peer.until("stop")
        for _ in range(talks_on_ms // 20):
            await peer.media(b"\x7f" * 160)
            await asyncio.sleep(0.02)  # real time is what is tested

    server.on_media = on_media
    server.twiml["/voice"] = server.stream()
    call = await twilio.phone(f"{server.url}/voice", ear=Quiet())
    await call.log.wait("stream", event="start")
    call.hang_up()
    await call.wait_ended()
    await call.settle()
    assert [v.code for v in call.violations] == codes


async def test_hang_up_in_mid_stream_sends_stop_then_stopped_then_completed(server, twilio):
    """The caller hangs up: `stop` on the socket, both callbacks, the call is completed."""
    server.twiml["/voice"] = server.stream(
        attributes='statusCallback="/stream"', after="<Redirect>/no</Redirect>"
    )
    call = await twilio.phone(f"{server.url}/voice", ear=Quiet(), status_callback=f"{server.url}/status")
    await call.log.wait("stream", event="start")
    call.hang_up()
    await call.wait_ended()
    await call.settle()
    assert server.peers[0].messages[-1]["event"] == "stop"
    assert [a.form["StreamEvent"] for a in server.of("/stream")] == ["stream-started", "stream-stopped"]
    assert [a.form["CallStatus"] for a in server.of("/status")] == ["completed"]
    assert not server.of("/no")
    assert call.violations == []


async def test_the_clock_does_not_drift(server, twilio):
    """Two seconds of call are two seconds of recording, whatever the load: within one frame plus lateness."""
    server.twiml["/voice"] = server.stream()
    call = await twilio.phone(f"{server.url}/voice", ear=Quiet())
    await asyncio.sleep(2)  # real time is what is tested
    now = call.line.now_ms()
    assert abs(call.recording.duration_ms - now) <= 20 + call.line.max_late_ms
