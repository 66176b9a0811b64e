"""The local Twilio asks for TwiML as Twilio does: signed, bounded, retried only when it could not connect."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from fastapi.responses import RedirectResponse, Response
from local_twilio_server import Peer, Replying, ScriptedServer, running, xml
from twilio_kit import eventually

from voicebot.proof.simulation import (
    LocalCall,
    LocalTwilio,
    Options,
    Person,
    Quiet,
    Timeline,
    late,
    murmur,
    out_of_order,
    twice,
)
from voicebot.proof.simulation.recording import wav_bytes


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with running(ScriptedServer()) as made:
        yield made


@pytest.fixture
async def twilio(server: ScriptedServer) -> AsyncIterator[LocalTwilio]:
    async with LocalTwilio() as made:
        server.auth_token = made.auth_token
        yield made


async def ended(call: LocalCall) -> LocalCall:
    await call.wait_ended()
    await call.settle()
    return call


async def test_a_public_url_is_signed_and_routed_to_loopback(twilio, server):
    """Behind a proxy the server sees the public host, and signatures hold for the public address."""
    server.public = "https://voice.example.com"
    server.twiml["/voice"] = server.stream(after="<Hangup/>")

    async def on_media(peer: Peer) -> None:
        await peer.until("start")
        await peer.socket.close(1000)

    server.on_media = on_media
    async with LocalTwilio(routes={"https://voice.example.com": server.url}) as behind:
        server.auth_token = behind.auth_token
        call = await ended(await behind.phone("https://voice.example.com/voice?a=1&b=", ear=Quiet()))
    assert server.asked[0].signed
    assert server.asked[0].headers["host"] == "voice.example.com"
    assert server.asked[0].headers["x-forwarded-proto"] == "https"
    assert server.upgrades[0].signed
    assert server.upgrades[0].headers["host"] == "voice.example.com"
    assert call.violations == []


async def test_blank_parameters_are_sent_and_take_part_in_the_signature(twilio, server):
    """A server that drops blanks would refuse this request."""
    twilio.options.extra_parameters = {"CallerName": ""}
    await ended(await twilio.phone(f"{server.url}/voice", ear=Quiet()))
    asked = server.asked[0]
    assert asked.form["CallerName"] == ""
    assert asked.form["FromCity"] == ""
    assert asked.form["CallStatus"] == "ringing"
    assert asked.form["Direction"] == "inbound"
    assert asked.signed


async def test_a_refused_connection_is_tried_once_more_with_the_same_token(twilio):
    """Nobody listens: two tries, then 11205, an error message for the caller, and the end."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        call = await ended(await twilio.phone(f"http://127.0.0.1:{port}/voice", ear=Quiet()))
    assert [e.data["attempt"] for e in call.log.of("webhook")] == [0, 1]
    assert [n.code for n in call.notifications] == [11205]
    assert call.violations == []
    assert call.status == "completed"


async def test_the_retry_carries_the_idempotency_token_of_the_first_try(server, twilio):
    """A 5xx is asked again only when the URL's fragment says so; then with the same token."""
    answers = [Response(status_code=503), xml("<Hangup/>")]
    server.twiml["/voice"] = lambda form: answers.pop(0)
    await ended(await twilio.phone(f"{server.url}/voice#rp=ct,5xx&rc=1", ear=Quiet()))
    tokens = {a.headers["i-twilio-idempotency-token"] for a in server.asked}
    assert len(server.asked) == 2
    assert len(tokens) == 1
    assert all(a.signed for a in server.asked)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (lambda form: Response(status_code=500), 11200),
        (lambda form: Response("<Response><Hangup/>", media_type="text/xml"), 12100),
        (lambda form: Response("<Answer/>", media_type="text/xml"), 12100),
        (lambda form: Response("", media_type="text/xml"), 11770),
        (lambda form: Response('{"a": 1}', media_type="application/json"), 12300),
        (lambda form: xml("<Say>" + "x" * 70000 + "</Say>"), 11750),
        (lambda form: xml('<Connect><Stream url="https://a.example/x"/></Connect>'), 31922),
        (lambda form: xml('<Connect><Stream url="wss://a.example/x" track="both_tracks"/></Connect>'), 31941),
    ],
)
async def test_an_unusable_answer_goes_to_the_fallback_url(server, twilio, answer, code):
    """Not retried; the fallback gets ErrorCode and ErrorUrl and its TwiML runs."""
    server.twiml["/voice"] = answer
    server.twiml["/fallback"] = "<Hangup/>"
    call = await ended(
        await twilio.phone(f"{server.url}/voice", ear=Quiet(), fallback_url=f"{server.url}/fallback")
    )
    assert [a.path for a in server.asked] == ["/voice", "/fallback"]
    assert server.asked[1].form["ErrorCode"] == str(code)
    assert server.asked[1].form["ErrorUrl"] == f"{server.url}/voice"
    assert [n.code for n in call.notifications] == [code]


async def test_a_slow_answer_is_given_up_at_the_limit(server, twilio):
    """15 s with Twilio; shortened here. The caller is told, and the call ends."""
    over = asyncio.Event()

    async def slow(form: dict[str, str]) -> Response:
        await over.wait()
        return xml("<Hangup/>")

    twilio.options.webhook_total_s = 0.6
    server.twiml["/voice"] = slow
    server.twiml["/fallback"] = "<Hangup/>"
    call = await ended(
        await twilio.phone(f"{server.url}/voice", ear=Quiet(), fallback_url=f"{server.url}/fallback")
    )
    over.set()
    assert server.of("/fallback")[0].form["ErrorCode"] == "11200"
    assert call.log.of("webhook")[0].data["attempt"] == 0


async def test_a_302_turns_the_post_into_a_get_without_the_form(server, twilio):
    """As Twilio follows redirects: the form is lost, the signature is that of a GET."""
    server.twiml["/voice"] = lambda form: RedirectResponse("/there", status_code=302)
    server.twiml["/there"] = "<Hangup/>"
    await ended(await twilio.phone(f"{server.url}/voice", ear=Quiet()))
    assert server.of("/there")[0].form == {}
    assert server.of("/there")[0].signed


async def test_too_many_redirects_are_11215(server, twilio):
    """Ten are followed, not more."""
    server.twiml["/voice"] = lambda form: RedirectResponse("/voice", status_code=307)
    call = await ended(await twilio.phone(f"{server.url}/voice", ear=Quiet()))
    assert len(server.asked) == 11
    assert [n.code for n in call.notifications] == [11215]


async def test_reject_leaves_the_call_unanswered(server, twilio):
    """A first <Reject reason="busy"> ends the call as busy and never answers it."""
    server.twiml["/voice"] = '<Reject reason="busy"/><Say>never</Say>'
    call = await ended(
        await twilio.phone(f"{server.url}/voice", ear=Quiet(), status_callback=f"{server.url}/status")
    )
    assert [e.data["status"] for e in call.log.of("status")] == ["ringing", "busy"]
    assert server.of("/status")[0].form["CallStatus"] == "busy"
    assert call.duration_s == 0


async def test_play_is_heard_to_its_end_and_pause_is_silent(server, twilio):
    """A file of 300 ms is heard for 300 ms; then half a second of nothing; then the next document."""
    import numpy as np

    beep = (np.sin(np.arange(2400) * 0.35) * 8000).astype(np.int16)
    server.twiml["/voice"] = '<Play>/beep.wav</Play><Pause length="0.5"/><Redirect>/next</Redirect>'
    server.twiml["/beep.wav"] = lambda form: Response(wav_bytes(beep), media_type="audio/wav")
    call = await ended(await twilio.phone(f"{server.url}/voice", ear=Quiet()))
    heard = bytes(call.recording.heard)
    loud = [n for n in range(0, len(heard), 160) if heard[n : n + 160] != b"\xff" * 160]
    assert len(loud) == 15
    assert len(heard) - loud[-1] >= (500 - call.line.max_late_ms) * 8
    assert len(server.of("/next")) == 1
    assert call.violations == []


async def test_twiml_that_twilio_only_warns_about_is_a_violation(server, twilio):
    """A misspelt verb is skipped and reported as 12200."""
    server.twiml["/voice"] = "<say>hi</say><Hangup/>"
    call = await ended(await twilio.phone(f"{server.url}/voice", ear=Quiet()))
    assert [v.code for v in call.violations] == [12200]


async def test_the_query_of_a_stream_url_is_dropped_and_reported(server, twilio):
    """Secrets in the query never arrive."""
    server.twiml["/voice"] = f'<Connect><Stream url="{server.wss}?token=1"/></Connect>'

    async def on_media(peer: Peer) -> None:
        assert peer.socket.url.query == ""
        await peer.until("start")
        await peer.socket.close(1000)

    server.on_media = on_media
    call = await ended(await twilio.phone(f"{server.url}/voice", ear=Quiet()))
    assert [v.code for v in call.violations] == [31920]
    assert len(server.peers) == 1


async def test_plain_ws_is_refused_unless_it_is_loopback_and_allowed(server, twilio):
    """Wss only, as with Twilio; loopback has no certificate, so it may be let off."""
    twilio.options.plain_loopback = False
    server.twiml["/voice"] = server.stream(attributes='statusCallback="/stream"')
    call = await ended(await twilio.phone(f"{server.url}/voice", ear=Quiet()))
    assert [v.code for v in call.violations] == [31922]
    assert server.upgrades == []


@pytest.mark.parametrize("plan", ["late", "twice", "out of order"])
async def test_callbacks_come_as_the_plan_says(server, twilio, plan):
    """Late, twice, or overtaken by the next one: a server must cope with each."""
    plans = {"late": late(0.3), "twice": twice(), "out of order": out_of_order(0.8)}
    twilio.options = Options(stream_callbacks=plans[plan])

    async def on_media(peer: Peer) -> None:
        await peer.until("start")
        await peer.socket.close(1000)

    server.on_media = on_media
    server.twiml["/voice"] = server.stream(attributes='statusCallback="/stream"')
    await ended(await twilio.phone(f"{server.url}/voice", ear=Quiet()))
    events = [a.form["StreamEvent"] for a in server.of("/stream")]
    if plan == "late":
        assert server.asked[-1].path == "/stream"
        assert sorted(events) == ["stream-started", "stream-stopped"]
    elif plan == "twice":
        assert sorted(events) == ["stream-started"] * 2 + ["stream-stopped"] * 2
    else:
        assert events == ["stream-stopped", "stream-started"]
    assert all(a.signed for a in server.asked)


async def test_dial_rings_joins_and_reports_to_the_action(server, twilio):
    """Both hear each other; when the dialled person hangs up, the action gets the outcome."""
    agent = "+14155550123"
    twilio.people[agent] = Person(after_s=0.1, ear=lambda: Timeline([(1500, murmur(300))]))
    twilio.options.ringback = False
    server.twiml["/voice"] = (
        f'<Dial action="/done" timeout="5"><Number statusCallback="/leg" '
        f'statusCallbackEvent="initiated ringing answered completed">{agent}</Number></Dial>'
    )
    server.twiml["/done"] = "<Hangup/>"
    call = await twilio.phone(f"{server.url}/voice", ear=Replying(murmur(300)))
    await eventually(lambda: bool(twilio.legs_of(call)))
    leg = twilio.legs_of(call)[0]

    def both_were_heard() -> bool:
        return all(len(bytes(one.recording.heard).strip(b"\xff")) >= 2400 for one in (call, leg))

    await eventually(both_were_heard)
    leg.hang_up()
    await ended(call)
    await leg.settle()
    done = server.of("/done")[0].form
    assert done["DialCallStatus"] == "completed"
    assert done["DialCallSid"] == leg.call_sid
    assert done["CallSid"] == call.call_sid
    assert sorted(a.form["CallStatus"] for a in server.of("/leg")) == [
        "completed",
        "in-progress",
        "initiated",
        "ringing",
    ]
    assert {a.form["ParentCallSid"] for a in server.of("/leg")} == {call.call_sid}
    said = bytes(leg.recording.said).strip(b"\xff")
    assert said[160:-160] in bytes(call.recording.heard)
    mine = bytes(call.recording.said).strip(b"\xff")
    assert mine[160:800] in bytes(leg.recording.heard)
    assert call.violations == []


@pytest.mark.parametrize(
    ("does", "status"), [("busy", "busy"), ("no_answer", "no-answer"), ("fail", "failed")]
)
async def test_dial_without_an_answer_says_why(server, twilio, does, status):
    """Nobody is joined; the action hears busy, no-answer or failed."""
    twilio.default_person = Person(does=does, after_s=0.1)
    server.twiml["/voice"] = '<Dial action="/done" timeout="0.4">+14155550123</Dial>'
    server.twiml["/done"] = "<Hangup/>"
    call = await ended(await twilio.phone(f"{server.url}/voice", ear=Quiet()))
    assert server.of("/done")[0].form["DialCallStatus"] == status
    assert twilio.legs_of(call)[0].status == status


async def test_the_whisper_of_a_number_is_heard_before_the_two_are_joined(server, twilio):
    """`<Number url>` runs on the called leg alone."""
    twilio.default_person = Person(after_s=0.1, ear=Quiet)
    server.twiml["/voice"] = '<Dial><Number url="/whisper">+14155550123</Number></Dial>'
    server.twiml["/whisper"] = "<Say>Caller about an order.</Say>"
    call = await twilio.phone(f"{server.url}/voice", ear=Quiet())
    await eventually(lambda: bool(call.log.of("leg", event="bridged")))
    leg = twilio.legs_of(call)[0]
    leg.hang_up()
    await ended(call)
    assert server.of("/whisper")[0].form["CallSid"] == leg.call_sid
    bridged = call.log.of("leg", event="bridged")[0]
    whispered = leg.log.of("verb", name="Say")[0]
    assert whispered.at_ms + 1000 < leg.log.clock_ms()
    assert bridged.at_ms > 1300


async def test_a_caller_gone_before_the_answer_is_no_answer(server, twilio):
    """Hanging up while the webhook is still being asked."""
    gone = asyncio.Event()

    async def slow(form: dict[str, str]) -> Response:
        await gone.wait()
        return xml("<Hangup/>")

    server.twiml["/voice"] = slow
    call = await twilio.phone(f"{server.url}/voice", ear=Quiet(), status_callback=f"{server.url}/status")
    await call.log.wait("webhook")
    call.hang_up()
    await ended(call)
    gone.set()
    assert call.status == "no-answer"
    assert server.of("/status")[0].form["CallStatus"] == "no-answer"
