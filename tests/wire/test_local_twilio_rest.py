"""The local Twilio's REST answers and refuses like Twilio's, so that twilio's own client can use it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from local_twilio_server import Peer, ScriptedServer, running
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client
from twilio_kit import eventually

from voicebot.proof.simulation import LocalCall, LocalTwilio, Person, Quiet, silent_person

AGENT = "+14155550123"


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


async def streaming(server: ScriptedServer, twilio: LocalTwilio, **kwargs: Any) -> LocalCall:
    server.twiml["/voice"] = server.stream(after="<Redirect>/after</Redirect>", **kwargs)
    call = await twilio.phone(f"{server.url}/voice", ear=Quiet())
    await call.log.wait("stream", event="start")
    return call


class _Here(TwilioHttpClient):
    """twilio-python has no base URL setting: this sends its requests to the stand-in."""

    def __init__(self, base: str) -> None:
        super().__init__()
        self._base = base

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        return super().request(method, url.replace("https://api.twilio.com", self._base), *args, **kwargs)


async def test_twilios_own_client_reads_and_updates_a_call(server, twilio):
    """The shapes are right if twilio-python can work with them."""
    call = await streaming(server, twilio)
    client = Client(twilio.account_sid, twilio.auth_token, http_client=_Here(twilio.api_url))
    fetched = await asyncio.to_thread(client.calls(call.call_sid).fetch)
    assert (fetched.sid, fetched.status, fetched.direction) == (call.call_sid, "in-progress", "inbound")
    assert fetched.start_time is not None
    await asyncio.to_thread(client.calls(call.call_sid).update, status="completed")
    await call.wait_ended()
    assert call.status == "completed"
    with pytest.raises(TwilioRestException) as refused:
        await asyncio.to_thread(client.calls(call.call_sid).update, twiml="<Response/>")
    assert (refused.value.status, refused.value.code) == (400, 21220)
    numbers = await asyncio.to_thread(client.incoming_phone_numbers.list)
    updated = await asyncio.to_thread(numbers[0].update, voice_url=f"{server.url}/voice")
    assert updated.voice_url == f"{server.url}/voice"
    message = await asyncio.to_thread(
        lambda: client.messages.create(to=AGENT, from_=numbers[0].phone_number, body="hello")
    )
    assert message.status == "queued"
    assert twilio.messages[0].body == "hello"


async def test_new_twiml_takes_a_call_out_of_its_stream_alive(server, twilio, rest):
    """Twiml update: `stop` on the socket, the call goes on with the new document, the old one is dead."""
    call = await streaming(server, twilio, attributes='statusCallback="/stream"')
    answer = await rest.post(
        f"/Calls/{call.call_sid}.json",
        data={"Twiml": f"<Response><Redirect>{server.url}/new</Redirect></Response>"},
    )
    assert answer.status_code == 200
    await call.wait_ended()
    await call.settle()
    assert server.peers[0].messages[-1]["event"] == "stop"
    assert len(server.of("/new")) == 1
    assert not server.of("/after")
    assert [a.form["StreamEvent"] for a in server.of("/stream")] == ["stream-started", "stream-stopped"]
    assert call.violations == []


async def test_a_url_update_can_bring_a_second_stream(server, twilio, rest):
    """The way back of a lost call: a new <Connect><Stream> by REST, a new stream SID."""
    twilio.options.broken_socket = "hang"
    call = await streaming(server, twilio)
    server.twiml["/again"] = server.stream()
    call.break_socket()
    await call.log.wait("stream", event="hang")
    await rest.post(f"/Calls/{call.call_sid}.json", data={"Url": f"{server.url}/again"})
    await call.log.wait("stream", event="start", again=True)
    assert server.of("/again")[0].form["CallStatus"] == "in-progress"
    assert server.peers[0].sid != server.peers[-1].sid or len(server.peers) == 2
    call.hang_up()
    await call.wait_ended()


async def test_a_redirect_during_dial_still_asks_the_dead_action(server, twilio, rest):
    """The action is requested with `completed`, its TwiML thrown away; the child leg is gone."""
    twilio.default_person = silent_person()
    server.twiml["/voice"] = f'<Dial action="/done">{AGENT}</Dial>'
    server.twiml["/done"] = "<Redirect>/never</Redirect>"
    server.twiml["/new"] = '<Pause length="0.3"/>'
    call = await twilio.phone(f"{server.url}/voice", ear=Quiet())
    await call.log.wait("leg", event="bridged")
    await rest.post(f"/Calls/{call.call_sid}.json", data={"Url": f"{server.url}/new"})
    await call.wait_ended()
    await call.settle()
    assert server.of("/done")[0].form["DialCallStatus"] == "completed"
    assert not server.of("/never")
    assert len(server.of("/new")) == 1
    assert twilio.legs_of(call)[0].status == "completed"


REFUSED = {
    "unknown call": ("/Calls/CA" + "0" * 32, {"Status": "completed"}, 404, 20404),
    "both url and twiml": ("live", {"Url": "http://a.example/", "Twiml": "<Response/>"}, 400, 20001),
    "twiml too long": ("live", {"Twiml": "<Response>" + " " * 4000 + "</Response>"}, 400, 20001),
    "twiml not xml": ("live", {"Twiml": "<Response>"}, 400, 12100),
    "bad url": ("live", {"Url": "ftp://a.example/"}, 400, 21205),
    "bad status": ("live", {"Status": "paused"}, 400, 20001),
    "cancel a live call": ("live", {"Status": "canceled"}, 400, 21220),
    "redirect an ended call": ("ended", {"Twiml": "<Response/>"}, 400, 21220),
    "complete an ended call": ("ended", {"Status": "completed"}, 404, 20404),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_call_updates_that_twilio_refuses(server, twilio, rest, case):
    """Each with Twilio's HTTP status and code, and the call is untouched."""
    path, form, status, code = REFUSED[case]
    call = await streaming(server, twilio)
    if path == "ended":
        call.hang_up()
        await call.wait_ended()
    if not path.startswith("/"):
        path = f"/Calls/{call.call_sid}"
    before = call.status
    answer = await rest.post(f"{path}.json", data=form)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["status"] == status
    assert answer.json()["more_info"].endswith(f"/{code}")
    assert call.status == before


CREATE = {
    "no to": ({"From": "+15005550006", "Twiml": "<Response/>"}, 21201),
    "bad to": ({"To": "555", "From": "+15005550006", "Twiml": "<Response/>"}, 21211),
    "no from": ({"To": AGENT, "Twiml": "<Response/>"}, 21213),
    "bad from": ({"To": AGENT, "From": "me", "Twiml": "<Response/>"}, 21212),
    "from not ours": ({"To": AGENT, "From": "+14155550999", "Twiml": "<Response/>"}, 21210),
    "nothing to run": ({"To": AGENT, "From": "+15005550006"}, 21205),
}


@pytest.mark.parametrize("case", CREATE)
async def test_calls_that_twilio_does_not_place(twilio, rest, case):
    """400 with the code that names the parameter; nobody is rung."""
    form, code = CREATE[case]
    answer = await rest.post("/Calls.json", data=form)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert twilio.calls == []


async def test_a_placed_call_rings_is_answered_and_runs_its_twiml(server, twilio, rest):
    """201 while it is queued; then the callbacks that were asked for."""
    twilio.people[AGENT] = silent_person()
    server.twiml["/out"] = "<Hangup/>"
    answer = await rest.post(
        "/Calls.json",
        data={
            "To": AGENT,
            "From": "+15005550006",
            "Url": f"{server.url}/out",
            "StatusCallback": f"{server.url}/status",
            "StatusCallbackEvent": ["initiated", "ringing", "answered", "completed"],
        },
    )
    assert answer.status_code == 201
    assert answer.json()["direction"] == "outbound-api"
    call = twilio.call(answer.json()["sid"])
    await call.wait_ended()
    await call.settle()
    forms = sorted((a.form for a in server.of("/status")), key=lambda f: int(f["SequenceNumber"]))
    assert [f["CallStatus"] for f in forms] == ["initiated", "ringing", "in-progress", "completed"]
    assert forms[-1]["CallbackSource"] == "call-progress-events"
    assert "Duration" in forms[-1]
    assert "Duration" not in forms[0]
    assert server.of("/out")[0].form["CallStatus"] == "in-progress"


async def test_a_placed_call_nobody_answers(twilio, rest):
    """`Timeout` seconds of ringing, then no-answer."""
    twilio.people[AGENT] = Person(does="no_answer")
    twilio.options.second_s = 0.01
    answer = await rest.post(
        "/Calls.json", data={"To": AGENT, "From": "+15005550006", "Twiml": "<Response/>", "Timeout": "20"}
    )
    call = twilio.call(answer.json()["sid"])
    await call.wait_ended()
    assert call.status == "no-answer"


async def test_wrong_credentials_and_foreign_accounts_are_refused(twilio):
    """401 20003 and 404 20404; an API key works like the auth token."""
    path = f"{twilio.api_url}/2010-04-01/Accounts/{twilio.account_sid}/Calls.json"
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        for auth in (None, (twilio.account_sid, "wrong"), ("ACnobody", twilio.auth_token)):
            answer = await client.get(path, auth=auth)
            assert (answer.status_code, answer.json()["code"]) == (401, 20003)
        answer = await client.get(path, auth=(twilio.api_key_sid, twilio.api_key_secret))
        assert answer.status_code == 200
        foreign = path.replace(twilio.account_sid, "AC" + "0" * 32)
        answer = await client.get(foreign, auth=(twilio.account_sid, twilio.auth_token))
        assert (answer.status_code, answer.json()["code"]) == (404, 20404)


async def test_numbers_are_pointed_at_a_server_and_rung_there(server, twilio, rest):
    """What `voicebot twilio connect` sets is what a later call uses."""
    listed = (await rest.get("/IncomingPhoneNumbers.json")).json()["incoming_phone_numbers"]
    form = {
        "VoiceUrl": f"{server.url}/voice",
        "StatusCallback": f"{server.url}/status",
        "VoiceFallbackUrl": f"{server.url}/fallback",
        "SmsUrl": f"{server.url}/sms",
    }
    answer = await rest.post(f"/IncomingPhoneNumbers/{listed[0]['sid']}.json", data=form)
    assert answer.json()["voice_url"] == form["VoiceUrl"]
    call = await twilio.phone(ear=Quiet())
    await call.wait_ended()
    await call.settle()
    assert [a.path for a in server.asked] == ["/voice", "/status"]
    refused = await rest.post(f"/IncomingPhoneNumbers/{listed[0]['sid']}.json", data={"VoiceUrl": "nonsense"})
    assert (refused.status_code, refused.json()["code"]) == (400, 21502)
    unset = {"VoiceUrl": "", "VoiceFallbackUrl": f"{server.url}/fallback"}
    refused = await rest.post(f"/IncomingPhoneNumbers/{listed[0]['sid']}.json", data=unset)
    assert refused.json()["code"] == 21405


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"To": "5", "From": "+15005550006", "Body": "x"}, 21211),
        ({"To": AGENT, "From": "+14155550999", "Body": "x"}, 21606),
        ({"To": AGENT, "From": "+15005550006", "Body": "x" * 1601}, 21617),
    ],
)
async def test_messages_that_twilio_refuses(twilio, rest, form, code):
    """Nothing is stored."""
    answer = await rest.post("/Messages.json", data=form)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert twilio.messages == []
    assert [r.code for r in twilio.refusals] == [code]


async def test_stop_is_not_a_hang_up(server, twilio, rest):
    """After a redirect the stream's server sees `stop` while REST still says in-progress."""
    status: list[str] = []

    async def on_media(peer: Peer) -> None:
        await peer.until("stop")
        answer = await rest.get(f"/Calls/{call.call_sid}.json")
        status.append(answer.json()["status"])

    server.on_media = on_media
    server.twiml["/new"] = '<Pause length="60"/>'
    call = await streaming(server, twilio)
    await rest.post(f"/Calls/{call.call_sid}.json", data={"Url": f"{server.url}/new"})
    await call.log.wait("twiml", url=f"{server.url}/new")
    await eventually(lambda: bool(status))
    call.hang_up()
    await call.wait_ended()
    assert status == ["in-progress"]
