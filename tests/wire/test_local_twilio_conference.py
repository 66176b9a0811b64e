"""Conferences of the local Twilio: who hears whom, when they begin and end, and what is told of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import numpy as np
import pytest
from local_twilio_server import ScriptedServer, running
from twilio_kit import eventually

from voicebot.audio.mulaw import decode
from voicebot.proof.simulation import (
    LocalCall,
    LocalTwilio,
    Options,
    Person,
    Timeline,
    out_of_order,
    tone,
)
from voicebot.proof.simulation.recording import wav_bytes

CALLER_HZ, AGENT_HZ, BOSS_HZ, MUSIC_HZ = 600, 1000, 1500, 300
AGENT, BOSS = "+12025550101", "+12025550102"
EVENTS = "start end join leave mute hold modify announcement"


def says(hertz: int) -> Timeline:
    """Talks without a pause for a minute."""
    return Timeline([(0, tone(60_000, hertz))])


def answers(hertz: int) -> Person:
    return Person(after_s=0.05, ear=lambda: says(hertz))


def heard(call: LocalCall, since_ms: float, ms: int = 200) -> set[int]:
    """Which of the parties are in what a leg heard from ``since_ms`` on."""
    start = max(0, int(since_ms)) * 8
    pcm = decode(bytes(call.recording.heard[start : start + ms * 8]).ljust(ms * 8, b"\xff"))
    power = np.abs(np.fft.rfft(pcm.astype(float))) / len(pcm)
    hertz = np.fft.rfftfreq(len(pcm), 1 / 8000)
    known = (CALLER_HZ, AGENT_HZ, BOSS_HZ, MUSIC_HZ)
    return {f for f in known if power[np.argmin(np.abs(hertz - f))] > 500}


async def hears(call: LocalCall, *expected: int, within_s: float = 30.0) -> None:
    """Until a leg hears exactly these."""
    try:
        async with asyncio.timeout(within_s):
            while heard(call, call.log.clock_ms() - 220) != set(expected):
                await asyncio.sleep(0.02)
    except TimeoutError:
        now = heard(call, call.log.clock_ms() - 220)
        raise AssertionError(f"hears {now}, not {set(expected)}") from None


def ever_heard(call: LocalCall, since_ms: float) -> list[set[int]]:
    """The same of all that it heard since then, 200 ms at a time."""
    until_ms = len(call.recording.heard) / 8 - 200
    return [heard(call, at) for at in np.arange(since_ms, until_ms, 40)]


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with running(ScriptedServer()) as made:
        yield made


@pytest.fixture
async def twilio(server: ScriptedServer) -> AsyncIterator[LocalTwilio]:
    async with LocalTwilio() as made:
        server.auth_token = made.auth_token
        made.people = {AGENT: answers(AGENT_HZ), BOSS: answers(BOSS_HZ)}
        music = wav_bytes(np.asarray(decode(tone(30_000, MUSIC_HZ))))
        server.twiml["/music.wav"] = lambda _: httpx_wav(music)
        server.twiml["/wait"] = f"<Play>{server.url}/music.wav</Play><Redirect>/wait</Redirect>"
        yield made


def httpx_wav(body: bytes):
    from fastapi.responses import Response

    return Response(body, media_type="audio/wav")


@pytest.fixture
async def rest(twilio: LocalTwilio) -> AsyncIterator[httpx.AsyncClient]:
    base = f"{twilio.api_url}/2010-04-01/Accounts/{twilio.account_sid}"
    auth = (twilio.account_sid, twilio.auth_token)
    async with httpx.AsyncClient(base_url=base, auth=auth, trust_env=False, timeout=30) as client:
        yield client


def room(server: ScriptedServer, attributes: str = "", name: str = "vb-1", dial: str = "") -> str:
    return (
        f'<Dial {dial}><Conference waitUrl="{server.url}/wait" beep="false" '
        f'statusCallback="{server.url}/events" statusCallbackEvent="{EVENTS}" '
        f"{attributes}>{name}</Conference></Dial>"
    )


async def waiting_caller(server: ScriptedServer, twilio: LocalTwilio, attributes: str = "") -> LocalCall:
    server.twiml["/voice"] = room(server, f'participantLabel="caller" {attributes}', dial='action="/after"')
    call = await twilio.phone(f"{server.url}/voice", ear=says(CALLER_HZ))
    await call.log.wait("conference", event="joined")
    return call


async def add(rest: httpx.AsyncClient, twilio: LocalTwilio, to: str = AGENT, **form: str) -> LocalCall:
    answer = await rest.post(
        "/Conferences/vb-1/Participants.json",
        data={"From": next(iter(twilio.numbers)), "To": to, "Beep": "false"} | form,
    )
    assert answer.status_code == 201, answer.text
    call = twilio.call(answer.json()["call_sid"])
    await call.log.wait("conference", event="joined")
    return call


def told(server: ScriptedServer) -> list[str]:
    """The events the callback was told, in order of their numbers."""
    forms = sorted((a.form for a in server.of("/events")), key=lambda f: int(f["SequenceNumber"]))
    return [f["StatusCallbackEvent"] for f in forms]


async def test_waiting_talking_and_ending(server, twilio, rest):
    """Alone: music. Two: each hears the other and nobody else. The first one's callback is told all of it."""
    call = await waiting_caller(server, twilio)
    await hears(call, MUSIC_HZ)
    agent = await add(rest, twilio, Label="agent", EndConferenceOnExit="true")
    await hears(call, AGENT_HZ)
    await hears(agent, CALLER_HZ)
    agent.hang_up()
    await call.log.wait("webhook", purpose="twiml", url=f"{server.url}/after")
    await call.wait_ended()
    (conference,) = twilio.conferences
    await conference.settle(20)
    assert told(server) == [
        "participant-join",
        "participant-join",
        "conference-start",
        "participant-leave",
        "participant-leave",
        "conference-end",
    ]
    last = next(a.form for a in server.of("/events") if a.form["StatusCallbackEvent"] == "conference-end")
    assert (last["FriendlyName"], last["ParticipantLabelEndingConference"]) == ("vb-1", "agent")
    assert last["ReasonConferenceEnded"] == "participant-with-end-conference-on-exit-left"
    left = {
        a.form["ParticipantLabel"]: (a.form["ReasonParticipantLeft"], a.form["ParticipantCallStatus"])
        for a in server.of("/events")
        if a.form["StatusCallbackEvent"] == "participant-leave"
    }
    assert left == {
        "agent": ("participant_hung_up", "completed"),
        "caller": ("moderator_ended_conference", "in-progress"),
    }
    assert all(a.signed for a in server.asked)
    assert server.of("/after")[0].form["DialCallStatus"] == "answered"
    assert call.violations == agent.violations == []


async def test_hold_mute_and_coach(server, twilio, rest):
    """Hold: music, and nobody hears you. Mute: you hear all. A coach is heard by the coached alone."""
    call = await waiting_caller(server, twilio)
    agent = await add(rest, twilio, Label="agent")
    boss = await add(rest, twilio, BOSS, Coaching="true", CallSidToCoach=agent.call_sid)
    await hears(agent, CALLER_HZ, BOSS_HZ)
    await hears(call, AGENT_HZ)
    await hears(boss, CALLER_HZ, AGENT_HZ)
    held = await rest.post(
        "/Conferences/vb-1/Participants/caller.json",
        data={"Hold": "true", "HoldUrl": f"{server.url}/wait", "HoldMethod": "POST"},
    )
    assert held.json()["hold"] is True
    await hears(call, MUSIC_HZ)
    await hears(agent, BOSS_HZ)
    await rest.post("/Conferences/vb-1/Participants/caller.json", data={"Hold": "false"})
    await rest.post("/Conferences/vb-1/Participants/agent.json", data={"Muted": "true"})
    await hears(agent, CALLER_HZ, BOSS_HZ)
    await hears(call)
    (conference,) = twilio.conferences
    await conference.settle(20)
    assert told(server)[-3:] == ["participant-hold", "participant-unhold", "participant-mute"]


async def test_redirecting_a_leg_takes_it_out_alive(server, twilio, rest):
    """REST gives the caller new TwiML: it leaves the room, the dead action is asked, the call goes on."""
    call = await waiting_caller(server, twilio)
    agent = await add(rest, twilio)
    await hears(call, AGENT_HZ)
    await rest.post(
        f"/Calls/{call.call_sid}.json", data={"Twiml": '<Response><Pause length="5"/></Response>'}
    )
    await call.log.wait("webhook", purpose="dead-action")
    await hears(call)
    await hears(agent)
    listed = (await rest.get("/Conferences/vb-1/Participants.json")).json()["participants"]
    assert [(p["call_sid"], p["status"]) for p in listed] == [(agent.call_sid, "connected")]
    assert twilio.conferences[0].events[-1].form["ReasonParticipantLeft"] == "participant_updated_via_api"
    removed = await rest.delete(f"/Conferences/vb-1/Participants/{agent.call_sid}.json")
    assert removed.status_code == 204
    await agent.wait_ended()
    assert (await rest.get("/Conferences/vb-1.json")).json()["status"] == "completed"


async def test_an_announcement_is_heard_over_the_talk(server, twilio, rest):
    """To one participant only, and its end is told; a verb that may not stand there fails it (13238)."""
    server.twiml["/announce"] = f"<Play>{server.url}/ding.wav</Play>"
    server.twiml["/ding.wav"] = lambda _: httpx_wav(wav_bytes(np.asarray(decode(tone(600, MUSIC_HZ)))))
    server.twiml["/wrong"] = "<Hangup/>"
    call = await waiting_caller(server, twilio)
    agent = await add(rest, twilio, Label="agent")
    await hears(call, AGENT_HZ)
    since_ms, agents_ms = call.log.clock_ms(), agent.log.clock_ms()
    await rest.post(
        "/Conferences/vb-1/Participants/caller.json", data={"AnnounceUrl": f"{server.url}/announce"}
    )
    await eventually(lambda: {AGENT_HZ, MUSIC_HZ} in ever_heard(call, since_ms))
    await hears(call, AGENT_HZ)
    assert not any(MUSIC_HZ in some for some in ever_heard(agent, agents_ms))
    await rest.post("/Conferences/vb-1.json", data={"AnnounceUrl": f"{server.url}/wrong"})
    (conference,) = twilio.conferences
    await conference.log.wait("event", name="announcement-fail")
    assert [n.code for n in conference.log.notifications] == [13238]
    assert [e.name for e in conference.events][-2:] == ["announcement-end", "announcement-fail"]


@pytest.mark.parametrize(
    ("attributes", "code", "then"),
    [
        ('participantLabel="caller"', 16025, "/next"),
        ('coach="CA00000000000000000000000000000000"', 13240, "/after2"),
        ('maxParticipants="1"', 16020, "/after2"),
    ],
)
async def test_who_is_not_let_in(server, twilio, attributes, code, then):
    """A label in use goes on with the next verb, the other refusals with the action."""
    await waiting_caller(server, twilio)
    server.twiml["/second"] = room(server, attributes, dial='action="/after2"') + "<Redirect>/next</Redirect>"
    second = await twilio.phone(f"{server.url}/second", ear=says(AGENT_HZ))
    await second.wait_ended()
    assert [n.code for n in second.notifications] == [code]
    assert len(server.of(then)) == 1
    assert len(twilio.conferences[0].participants) == 1


async def test_a_leg_whose_music_cannot_be_had_is_not_joined(server, twilio):
    """A failing waitUrl, or one with a verb that may not stand there: the call goes on with the action."""
    server.twiml["/wait"] = "<Say>please hold</Say><Dial>+12025550103</Dial>"
    server.twiml["/voice"] = room(server, dial='action="/after"')
    call = await twilio.phone(f"{server.url}/voice", ear=says(CALLER_HZ))
    await call.wait_ended()
    assert [n.code for n in call.notifications] == [13238, 13233]
    assert len(server.of("/after")) == 1
    assert twilio.conferences == []


async def test_the_first_joiner_sets_who_is_told(server, twilio, rest):
    """What the second one asks for is ignored; a room needs one who may start it; REST ends it for all."""
    call = await waiting_caller(server, twilio, 'startConferenceOnEnter="false"')
    agent = await add(
        rest, twilio, StartConferenceOnEnter="false",
        ConferenceStatusCallback=f"{server.url}/other", ConferenceStatusCallbackEvent="join leave",
    )  # fmt: skip
    await hears(call, MUSIC_HZ)
    boss = await add(rest, twilio, BOSS)
    await hears(call, AGENT_HZ, BOSS_HZ)
    ended = await rest.post("/Conferences/vb-1.json", data={"Status": "completed"})
    assert ended.json()["reason_conference_ended"] == "conference-ended-via-api"
    await asyncio.gather(*(c.wait_ended() for c in (agent, boss, call)))
    await twilio.conferences[0].settle(20)
    assert server.of("/other") == []
    assert told(server)[-1] == "conference-end"
    gone = await rest.post("/Conferences/vb-1.json", data={"Status": "completed"})
    assert (gone.status_code, gone.json()["code"]) == (404, 20404)


async def test_a_leg_that_never_comes_in_is_told(server, twilio, rest):
    """A busy phone leaves the room without having joined it, and the label is free again."""
    await waiting_caller(server, twilio)
    twilio.people[BOSS] = Person(does="no_answer")
    form = {"From": next(iter(twilio.numbers)), "To": BOSS, "Label": "agent"}
    answer = await rest.post("/Conferences/vb-1/Participants.json", data=form)
    again = await rest.post("/Conferences/vb-1/Participants.json", data=form)
    assert (answer.json()["status"], again.json()["code"]) == ("queued", 16025)
    rings = twilio.call(answer.json()["call_sid"])
    rings.hang_up()
    await rings.wait_ended()
    twilio.people[BOSS] = Person(does="busy", after_s=0.05)
    answer = await rest.post("/Conferences/vb-1/Participants.json", data=form)
    await twilio.call(answer.json()["call_sid"]).wait_ended()
    left = twilio.conferences[0].events[-1]
    assert left.form["ReasonParticipantLeft"] == "participant_add_failed"
    assert left.form["ParticipantCallStatus"] == "busy"
    await add(rest, twilio, Label="agent")


async def test_a_room_is_recorded_from_its_beginning(server, twilio, rest):
    """Both voices without the music before and without the coach; told when the room is over."""
    recorded = f'record="record-from-start" recordingStatusCallback="{server.url}/recorded"'
    call = await waiting_caller(server, twilio, recorded)
    await hears(call, MUSIC_HZ)
    agent = await add(rest, twilio)
    await add(rest, twilio, BOSS, Coaching="true", CallSidToCoach=agent.call_sid)
    await hears(agent, CALLER_HZ, BOSS_HZ)
    await asyncio.sleep(0.4)  # sound takes its time
    await hears(call, AGENT_HZ)
    await rest.post("/Conferences/vb-1.json", data={"Status": "completed"})
    await twilio.conferences[0].settle(20)
    (told,) = server.of("/recorded")
    assert (told.form["RecordingSource"], told.form["ConferenceSid"]) == (
        "Conference",
        twilio.conferences[0].sid,
    )
    (recording,) = twilio.recordings.values()
    call.recording.heard[:] = recording.ulaw
    taped = ever_heard(call, 0)
    assert {CALLER_HZ, AGENT_HZ} in taped
    assert set[int]().union(*taped) == {CALLER_HZ, AGENT_HZ}


async def test_callbacks_out_of_order(server, twilio, rest):
    """Each is a request of its own: the numbers tell the order, the arrival does not."""
    twilio.options.conference_callbacks = out_of_order(0.8)
    call = await waiting_caller(server, twilio)
    await add(rest, twilio)
    call.hang_up()
    await call.wait_ended()
    await twilio.conferences[0].settle(20)
    arrived = [int(a.form["SequenceNumber"]) for a in server.of("/events")]
    assert arrived != sorted(arrived)
    assert told(server)[:3] == ["participant-join", "participant-join", "conference-start"]
    assert Options().conference_callbacks is not twilio.options.conference_callbacks
