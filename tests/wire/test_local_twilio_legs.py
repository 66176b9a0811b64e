"""Legs of the local Twilio: copies of their sound, keys, voicemail, agents, and REST that fails on demand."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator

import httpx
import numpy as np
import pytest
from local_twilio_server import Peer, Replying, ScriptedServer, running
from twilio_kit import eventually

from voicebot.audio.mulaw import decode
from voicebot.proof.simulation import (
    HangUp,
    LocalCall,
    LocalTwilio,
    Quiet,
    RestFault,
    Talk,
    Timeline,
    accepting,
    murmur,
    not_there,
    read_wav,
    tone,
)
from voicebot.proof.simulation.analysis import dead_air

AGENT = "+12025550101"


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with running(ScriptedServer()) as made:
        yield made


@pytest.fixture
async def twilio(server: ScriptedServer) -> AsyncIterator[LocalTwilio]:
    async with LocalTwilio() as made:
        server.auth_token = made.auth_token
        yield made


@pytest.fixture
async def rest(twilio: LocalTwilio) -> AsyncIterator[httpx.AsyncClient]:
    base = f"{twilio.api_url}/2010-04-01/Accounts/{twilio.account_sid}"
    auth = (twilio.account_sid, twilio.auth_token)
    async with httpx.AsyncClient(base_url=base, auth=auth, trust_env=False, timeout=30) as client:
        yield client


def fork(server: ScriptedServer, track: str, name: str) -> str:
    return (
        f'<Start><Stream url="{server.wss}" track="{track}" name="{name}" '
        f'statusCallback="{server.url}/told"><Parameter name="leg" value="{name}"/></Stream></Start>'
    )


def audio(peer: Peer, track: str) -> np.ndarray:
    return decode(b"".join(base64.b64decode(m["media"]["payload"]) for m in media(peer, track)))


def media(peer: Peer, track: str) -> list[dict]:
    return [m for m in peer.events("media") if m["media"]["track"] == track]


def loud(pcm: np.ndarray, hertz: int) -> bool:
    """In some 200 ms of it."""
    parts = [pcm[at : at + 1600].astype(float) for at in range(0, len(pcm) - 1599, 400)]
    return any(abs(np.fft.rfft(part)[hertz // 5]) / 1600 > 300 for part in parts)


def leg_of(server: ScriptedServer, name: str) -> Peer:
    return next(
        p
        for p in server.peers
        for m in p.events("start")
        if m["start"]["customParameters"].get("leg") == name
    )


async def test_copies_run_beside_a_bot_stream_and_outlive_it(server, twilio, rest):
    """Inbound is what the caller says, outbound what it hears; each socket has its own tracks and numbers."""
    server.twiml["/play"] = fork(server, "both_tracks", "both") + server.stream(
        after=f"<Play>{server.url}/tone.wav</Play><Stop><Stream name='both'/></Stop><Pause length='60'/>"
    )
    wav = bytes(tone(400, 900))
    server.twiml["/tone.wav"] = lambda _: _sound(wav)

    async def on_media(peer: Peer) -> None:
        start = await peer.until("start")
        if start["start"]["customParameters"].get("leg"):
            await peer.drain()
            return
        await peer.media(tone(400, 1300))
        await peer.mark("said")
        await peer.until("mark")
        await peer.socket.close(1000)

    server.on_media = on_media
    call = await twilio.phone(f"{server.url}/play", ear=Timeline([(0, tone(30_000, 500))]))
    await call.log.wait("fork", event="stop")
    both = leg_of(server, "both")
    assert both.events("start")[0]["start"]["tracks"] == ["inbound", "outbound"]
    assert loud(audio(both, "inbound"), 500)
    assert not loud(audio(both, "inbound"), 1300)
    outbound = audio(both, "outbound")
    assert loud(outbound, 1300)
    assert loud(outbound, 900)
    assert not loud(outbound, 500)
    numbers = [int(m["sequenceNumber"]) for m in both.messages if "sequenceNumber" in m]
    assert numbers == list(range(1, len(numbers) + 1))
    stamps = [int(m["media"]["timestamp"]) for m in media(both, "inbound")]
    assert stamps == [20 * n for n in range(1, len(stamps) + 1)]
    by_rest = await rest.post(
        f"/Calls/{call.call_sid}/Streams.json",
        data={"Url": server.wss, "Name": "rest", "Parameter1.Name": "leg", "Parameter1.Value": "rest"},
    )
    assert (by_rest.status_code, by_rest.json()["status"]) == (200, "in-progress")
    await call.log.wait("fork", event="start", name="rest")
    stopped = await rest.post(f"/Calls/{call.call_sid}/Streams/rest.json", data={"Status": "stopped"})
    assert stopped.json()["status"] == "stopped"
    await call.log.wait("fork", event="stop", name="rest")
    call.hang_up()
    await call.wait_ended()
    await call.settle()
    told = [(a.form["StreamName"], a.form["StreamEvent"]) for a in server.of("/told")]
    assert told == [("both", "stream-started"), ("both", "stream-stopped")]
    assert call.violations == []


def _sound(body: bytes):
    from fastapi.responses import Response

    return Response(body, media_type="audio/basic")


async def test_what_a_copy_may_not_do(server, twilio):
    """Messages to it are 31924; a fifth track, and a second stream of one name, do not start."""

    async def talks(peer: Peer) -> None:
        await peer.until("start")
        await peer.mark("hello")
        await peer.drain()

    server.on_media = talks
    server.twiml["/voice"] = (
        "".join(
            fork(server, track, name)
            for track, name in (
                ("both_tracks", "a"),
                ("inbound_track", "a"),
                ("both_tracks", "b"),
                ("inbound_track", "c"),
            )
        )
        + '<Pause length="60"/>'
    )
    call = await twilio.phone(f"{server.url}/voice", ear=Quiet())
    await call.log.wait("notification", code=31924)
    call.hang_up()
    await call.wait_ended()
    assert sorted({n.code for n in call.violations}) == [12200, 31900, 31924]
    assert [f.name for f in call.forks] == ["a", "b"]


@pytest.mark.parametrize(
    ("attributes", "keys", "path", "digits"),
    [
        ('numDigits="1"', "1", "/keys", "1"),
        ('numDigits="3"', "12#", "/keys", "12"),
        ('timeout="0.2"', "12", "/keys", "12"),
        ('timeout="0.1"', "", "/none", None),
        ('timeout="0.1" actionOnEmptyResult="true"', "", "/keys", ""),
    ],
)
async def test_keys_are_gathered(server, twilio, attributes, keys, path, digits):
    """By number, by the key that ends them, by time; nothing typed goes on with the next verb."""
    server.twiml["/voice"] = (
        f'<Gather {attributes} action="/keys"><Pause length="0.2"/></Gather><Redirect>/none</Redirect>'
    )
    call = await twilio.phone(f"{server.url}/voice", ear=Quiet())
    await call.log.wait("verb", name="Gather")
    for key in keys:
        call.press_key(key)
    await call.wait_ended()
    (asked,) = server.of(path)
    assert asked.form.get("Digits") == digits


async def test_a_key_ends_the_prompt(server, twilio):
    """Whoever knows the briefing need not hear it out."""
    server.twiml["/voice"] = f'<Gather numDigits="1" action="/keys"><Say>{"long " * 200}</Say></Gather>'
    call = await twilio.phone(f"{server.url}/voice", ear=Quiet())
    await call.log.wait("text")
    await call.press("1")
    await call.wait_ended()
    assert call.log.clock_ms() < 50_000, "66 s of words"
    assert server.of("/keys")[0].form["Digits"] == "1"


async def test_a_voicemail_is_kept_and_can_be_fetched(server, twilio, rest):
    """The action is told where it is, the callback too; the sound is the caller's alone."""
    server.twiml["/voice"] = (
        f'<Record action="/recorded" timeout="1" recordingStatusCallback="{server.url}/status"/>'
    )
    call = await twilio.phone(f"{server.url}/voice", ear=Replying(murmur(1500, level=0.3), after_ms=600))
    await call.wait_ended()
    await call.settle()
    (asked,) = server.of("/recorded")
    (told,) = server.of("/status")
    assert asked.form["RecordingUrl"] == told.form["RecordingUrl"]
    assert (told.form["RecordingStatus"], told.form["RecordingSource"]) == ("completed", "RecordVerb")
    async with httpx.AsyncClient(trust_env=False) as anybody:
        assert (await anybody.get(asked.form["RecordingUrl"])).status_code == 401
    sid = asked.form["RecordingSid"]
    sound = decode(read_wav((await rest.get(f"/Recordings/{sid}.wav")).content))
    assert 2000 <= len(sound) / 8 <= 4000
    assert np.abs(sound.astype(int)).max() > 3000
    assert (await rest.delete(f"/Recordings/{sid}.json")).status_code == 204
    assert (await rest.get(f"/Recordings/{sid}.json")).json()["code"] == 20404


async def test_who_says_nothing_leaves_no_voicemail_and_who_hangs_up_does(server, twilio):
    """Silence goes on with the next verb; a hang-up still asks the action, with `hangup` as its key."""
    server.twiml["/voice"] = (
        '<Record action="/recorded" timeout="0.3" playBeep="false"/><Redirect>/none</Redirect>'
    )
    quiet = await twilio.phone(f"{server.url}/voice", ear=Quiet())
    await quiet.wait_ended()
    assert [a.path for a in server.asked] == ["/voice", "/none"]
    server.twiml["/voice"] = '<Record action="/recorded" playBeep="false"/>'
    call = await twilio.phone(f"{server.url}/voice", ear=Timeline([(0, murmur(30_000, level=0.3))]))
    await call.log.wait("verb", name="Record")
    said = len(call.recording.said)
    await eventually(lambda: len(call.recording.said) >= said + 8000 * 0.4)
    call.hang_up()
    await call.wait_ended()
    await call.settle()
    assert server.of("/recorded")[0].form["Digits"] == "hangup"


async def briefed(server: ScriptedServer, twilio: LocalTwilio, rest: httpx.AsyncClient) -> LocalCall:
    form = {
        "To": AGENT, "From": next(iter(twilio.numbers)), "Url": f"{server.url}/brief", "Timeout": "20",
        "StatusCallback": f"{server.url}/leg", "StatusCallbackEvent": "initiated ringing answered completed",
    }  # fmt: skip
    answer = await rest.post("/Calls.json", data=form)
    return twilio.call(answer.json()["sid"])


async def test_an_agent_is_briefed_accepts_and_talks(server, twilio, rest):
    """It hears the briefing before it presses; the caller and it hear each other; nobody sits in silence."""
    agent = accepting(Talk(murmur(800, level=0.3), "hello"), HangUp(), rings_s=0.2)
    twilio.people[AGENT] = agent.person
    server.twiml["/brief"] = '<Gather numDigits="1" action="/pressed"><Say>about an order</Say></Gather>'
    server.twiml["/pressed"] = (
        '<Dial><Conference beep="false" endConferenceOnExit="true">r</Conference></Dial>'
    )
    server.twiml["/voice"] = '<Dial><Conference beep="false">r</Conference></Dial>'
    caller = await twilio.phone(f"{server.url}/voice", ear=Timeline([(4000, murmur(4000, level=0.2))]))
    leg = await briefed(server, twilio, rest)
    await asyncio.gather(leg.wait_ended(), caller.wait_ended())
    await leg.settle()
    assert agent.was_told == ["about an order"]
    assert server.of("/pressed")[0].form["Digits"] == "1"
    briefing_ms = leg.log.of("text")[0].at_ms
    pressed_ms = leg.log.of("dtmf")[0].at_ms
    assert pressed_ms - briefing_ms >= 65 * len("about an order") + 700
    heard = decode(bytes(caller.recording.heard))
    joined_ms = leg.log.of("conference", event="joined")[0].at_ms
    assert np.abs(heard[int(joined_ms) * 8 :].astype(int)).max() > 3000
    assert dead_air(caller.recording.samples(), longer_than_ms=1500) == []
    assert len(dead_air(leg.recording.samples(), longer_than_ms=400)) >= 1
    statuses = [a.form["CallStatus"] for a in server.of("/leg")]
    assert sorted(statuses) == ["completed", "in-progress", "initiated", "ringing"]


@pytest.mark.parametrize(
    ("does", "status", "sip"),
    [
        ("busy", "busy", "486"),
        ("decline", "busy", "486"),
        ("no_answer", "no-answer", "487"),
        ("fail", "failed", "404"),
    ],
)
async def test_an_agent_who_does_not_take_it(server, twilio, rest, does, status, sip):
    """Twilio tells the outcome; the briefing is never asked for."""
    twilio.options.second_s = 0.01
    twilio.people[AGENT] = not_there(does, rings_s=0.05).person
    leg = await briefed(server, twilio, rest)
    await leg.wait_ended()
    await leg.settle()
    last = max((a.form for a in server.of("/leg")), key=lambda f: int(f["SequenceNumber"]))
    assert (last["CallStatus"], last["SipResponseCode"]) == (status, sip)
    assert server.of("/brief") == []


async def test_rest_fails_as_it_is_told_to(server, twilio, rest):
    """Refused without being done; done and refused; done without an answer in time."""
    twilio.people[AGENT] = not_there("no_answer").person
    form = {"To": AGENT, "From": next(iter(twilio.numbers)), "Url": f"{server.url}/brief"}
    twilio.faults.append(RestFault("/Calls", "POST", status=429))
    busy = await rest.post("/Calls.json", data=form)
    assert (busy.status_code, busy.json()["code"], twilio.calls) == (429, 20429, [])
    twilio.faults.append(RestFault("/Calls", "POST", how="done_then_refused", status=503))
    assert (await rest.post("/Calls.json", data=form)).status_code == 503
    twilio.faults.append(RestFault("/Calls", "POST", how="done_then_silent"))
    with pytest.raises(httpx.ReadTimeout):
        await rest.post("/Calls.json", data=form, timeout=httpx.Timeout(30, read=0.3))
    await eventually(lambda: len(twilio.calls) == 2)
    assert (await rest.post("/Calls.json", data=form)).status_code == 201
