"""Bad input on the Twilio side closes one socket or answers one request, is audited, and leaves nothing."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable

import psutil
import pytest
import pytest_asyncio
from structlog.testing import capture_logs
from twilio_kit import (
    AUTH_TOKEN,
    CALLED,
    CALLER,
    Channel,
    Echo,
    Stream,
    eventually,
    new_sid,
    open_socket,
    token_in,
    twilio_channel,
)
from websockets.exceptions import InvalidStatus

from voicebot.channels.twilio import media
from voicebot.channels.twilio.media import CallOutcome, MediaSession
from voicebot.channels.twilio.resumption import GRACE_S
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing

LOOK_S = 0.5


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest_asyncio.fixture
async def channel(database: Database, keys: KeyRing, echo: Echo) -> AsyncIterator[Channel]:
    async with twilio_channel(database, keys, run_call=echo, start_within_s=60.0, max_waiting_sockets=4) as c:
        yield c


@pytest_asyncio.fixture
async def other(channel: Channel) -> AsyncIterator[Stream]:
    """Another call, which must not notice anything."""
    call = new_sid("CA")
    async with channel.stream(call, await channel.voice(call)) as stream:
        assert await stream.echoed()
        yield stream
        assert await stream.echoed(20)


async def test_an_unsigned_or_forged_webhook(channel: Channel, other: Stream) -> None:
    """403 for every route, before any conversation exists, with the reason in log and audit."""
    call = new_sid("CA")
    form = {"CallSid": call, "From": CALLER, "To": CALLED, "CallStatus": "ringing"}
    routes = ("voice", "resume", "status", "stream-status", "sms", "transfer/done")
    with capture_logs() as logs:
        for route in routes:
            unsigned = await channel.post(f"/twilio/{route}", token=None, **form)
            forged = await channel.post(f"/twilio/{route}", token="f" * 32, **form)
            assert (unsigned.status_code, forged.status_code) == (403, 403)
    assert not await channel.knows(call)
    reasons = await channel.refusals()
    assert (reasons.count("unsigned"), reasons.count("forged_signature")) == (len(routes), len(routes))
    told = [entry for entry in logs if entry["event"] == "twilio_refused"]
    assert {entry["reason"] for entry in told} == {"unsigned", "forged_signature"}
    assert CALLER not in json.dumps(told)


async def test_a_signature_for_other_values(channel: Channel) -> None:
    """A signed form that was altered on the way is forged."""
    signed = await channel.post("/twilio/voice", CallSid=new_sid("CA"), From=CALLER, To=CALLED, CallerName="")
    assert signed.status_code == 200
    header = signed.request.headers["x-twilio-signature"]
    altered = await channel.http.post(
        f"{channel.url}/twilio/voice",
        data={"CallSid": new_sid("CA"), "From": CALLER, "To": CALLED, "CallerName": ""},
        headers={"x-twilio-signature": header},
    )
    assert altered.status_code == 403


async def test_the_signature_is_checked_against_the_public_url(channel: Channel) -> None:
    """Signed for the address behind the proxy, or for what a forwarded header claims: forged."""
    form = {"CallSid": new_sid("CA"), "CallStatus": "ringing"}
    channel.base = channel.url
    assert (await channel.post("/twilio/voice", **form)).status_code == 403
    channel.base = "https://evil.example.net"
    channel.http.headers["x-forwarded-host"] = "evil.example.net"
    channel.http.headers["x-forwarded-proto"] = "https"
    assert (await channel.post("/twilio/voice", **form)).status_code == 403


@pytest.mark.parametrize(
    "body", [b"", b"CallSid=", b"\xff\xfe", b"CallSid=../etc", b"x=1&" * 300, b"CallSid=" + b"C" * 65]
)
async def test_a_webhook_without_a_usable_form(channel: Channel, body: bytes) -> None:
    """A clear 400 or 403, never a 500."""
    answer = await channel.http.post(f"{channel.url}/twilio/voice", content=body)
    assert answer.status_code in {400, 403}


async def test_a_webhook_of_a_megabyte(channel: Channel) -> None:
    """Not read beyond the limit."""
    answer = await channel.http.post(f"{channel.url}/twilio/voice", content=b"a" * 1_000_000)
    assert answer.status_code == 400
    await channel.refused("too_large")


async def test_a_forged_upgrade(channel: Channel, other: Stream) -> None:
    """403 instead of 101: no socket, no model, nothing."""
    for token in (None, "f" * 32):
        with pytest.raises(InvalidStatus) as refused:
            async with open_socket(channel.url, token=token):
                pass
        assert refused.value.response.status_code == 403
    await channel.refused("unsigned")
    await channel.refused("forged_signature")


async def test_an_https_signature_does_not_open_the_socket(channel: Channel) -> None:
    """The upgrade is signed over the wss address."""
    from twilio.request_validator import RequestValidator

    header = RequestValidator(AUTH_TOKEN).compute_signature("https://voice.example.com/twilio/media", {})
    with pytest.raises(InvalidStatus):
        async with open_socket(channel.url, token=None, headers={"x-twilio-signature": header}):
            pass


async def test_a_token_is_good_once(channel: Channel, other: Stream, echo: Echo) -> None:
    """The second socket with the same token is refused, whether or not the first still runs."""
    call = new_sid("CA")
    token = await channel.voice(call)
    async with channel.stream(call, token) as first:
        assert await first.echoed()
        async with channel.stream(call, token) as second:
            assert await second.closed() == 1008
        assert await first.echoed(20)
    await channel.refused("token_used")


async def test_an_expired_token(channel: Channel) -> None:
    """A minute is all it has."""
    call = new_sid("CA")
    token = await channel.voice(call)
    async with channel.database.transaction() as tx:
        await tx.execute("UPDATE stream_tokens SET expires_at = clock_timestamp() - interval '1 second'")
    async with channel.stream(call, token) as stream:
        assert await stream.closed() == 1008
    await channel.refused("token_expired")


async def test_a_made_up_token_or_none(channel: Channel, other: Stream) -> None:
    """Unknown or missing: refused before any model works."""
    call = new_sid("CA")
    await channel.voice(call)
    for token, reason in (("x" * 43, "token_unknown"), (None, "token_missing"), ("", "token_missing")):
        async with channel.stream(call, token) as stream:
            assert await stream.closed() == 1008
        await channel.refused(reason)


async def test_the_token_of_another_call(channel: Channel, other: Stream, echo: Echo) -> None:
    """A token is bound to its CallSid; the wrong call does not use it up."""
    call = new_sid("CA")
    token = await channel.voice(call)
    async with channel.stream(new_sid("CA"), token) as stream:
        assert await stream.closed() == 1008
    await channel.refused("wrong_call")
    async with channel.stream(call, token) as stream:
        assert await stream.echoed()
    assert len(echo.sessions) == 2  # the other call's and this one


async def test_a_call_that_ended_before_its_stream_began(channel: Channel) -> None:
    """The caller hung up while the socket was being opened."""
    call = new_sid("CA")
    token = await channel.voice(call)
    await channel.post("/twilio/status", CallSid=call, CallStatus="completed")
    async with channel.stream(call, token) as stream:
        assert await stream.closed() == 1008
    await channel.refused("call_over")


async def media_first(stream: Stream) -> None:
    await stream.media()


async def start_twice(stream: Stream) -> None:
    await stream.start()
    assert await stream.echoed()
    await stream.send("start", start={"callSid": stream.call_sid})


async def broken_base64(stream: Stream) -> None:
    await stream.start()
    await stream.send("media", media={"timestamp": "0", "payload": "!!!not base64!!!"})


async def half_a_base64_group(stream: Stream) -> None:
    await stream.start()
    await stream.send("media", media={"timestamp": "0", "payload": "abc"})


async def huge_frame(stream: Stream) -> None:
    await stream.start()
    await stream.ws.send("x" * 1_000_000)


async def huge_first_frame(stream: Stream) -> None:
    await stream.ws.send("x" * 1_000_000)


async def unknown_event(stream: Stream) -> None:
    await stream.start()
    await stream.send("teleport", teleport={})


async def no_event(stream: Stream) -> None:
    await stream.start()
    await stream.ws.send("{}")


async def not_json(stream: Stream) -> None:
    await stream.start()
    await stream.ws.send("{]")


async def deep_json(stream: Stream) -> None:
    await stream.start()
    await stream.ws.send("[" * 20_000)


async def binary_frame(stream: Stream) -> None:
    await stream.start()
    await stream.ws.send(b"\xff" * 160)


async def wrong_types(stream: Stream) -> None:
    await stream.start()
    await stream.send("media", media={"timestamp": [], "payload": 7})


async def foreign_stream(stream: Stream) -> None:
    await stream.start()
    stream.stream_sid = new_sid("MZ")
    await stream.media()


async def many_keys_at_once(stream: Stream) -> None:
    await stream.start()
    await stream.send("dtmf", dtmf={"digit": "1; DROP"})


async def after_stop(stream: Stream) -> None:
    await stream.start()
    await stream.send("connected")


async def another_format(stream: Stream) -> None:
    await stream.send(
        "start",
        start={
            "callSid": stream.call_sid,
            "mediaFormat": {"encoding": "audio/x-l16", "sampleRate": 16000, "channels": 1},
        },
    )


CASES: list[tuple[Callable[[Stream], Awaitable[None]], str, int]] = [
    (media_first, "media_before_start", 1002),
    (start_twice, "start_twice", 1002),
    (broken_base64, "bad_base64", 1007),
    (half_a_base64_group, "bad_base64", 1007),
    (huge_frame, "too_large", 1009),
    (huge_first_frame, "too_large", 1009),
    (unknown_event, "unknown_event", 1002),
    (no_event, "unknown_event", 1002),
    (not_json, "not_json", 1007),
    (deep_json, "not_json", 1007),
    (binary_frame, "binary_frame", 1003),
    (wrong_types, "bad_field", 1007),
    (foreign_stream, "foreign_stream", 1002),
    (many_keys_at_once, "bad_field", 1007),
    (after_stop, "out_of_order", 1002),
    (another_format, "bad_media_format", 1008),
]


@pytest.mark.parametrize(("misdeed", "reason", "code"), CASES, ids=[case[0].__name__ for case in CASES])
async def test_a_message_that_media_streams_does_not_know(
    channel: Channel,
    other: Stream,
    misdeed: Callable[[Stream], Awaitable[None]],
    reason: str,
    code: int,
) -> None:
    """Only its socket closes, with a code that fits; the reason is logged and audited."""
    call = new_sid("CA")
    token = await channel.voice(call)
    with capture_logs() as logs:
        async with channel.stream(call, token, start=False) as stream:
            await misdeed(stream)
            assert await stream.closed() == code
        await channel.refused(reason)
    assert reason in [entry["reason"] for entry in logs if entry["event"] == "twilio_refused"]
    assert (await channel.of_call(call)).status == "live"  # Twilio goes on to /twilio/resume


async def test_two_sockets_for_one_stream(channel: Channel, other: Stream) -> None:
    """The stream that runs is served on, the second socket is refused, with a good token even."""
    call, stream_sid = new_sid("CA"), new_sid("MZ")
    first_token, second_token = await channel.voice(call), await channel.voice(call)
    async with channel.stream(call, first_token, stream_sid=stream_sid) as first:
        assert await first.echoed()
        async with channel.stream(call, second_token, stream_sid=stream_sid) as second:
            assert await second.closed() == 1008
        await channel.refused("stream_taken")
        assert await first.echoed(20)


async def test_two_sockets_at_the_same_moment(channel: Channel) -> None:
    """Both start at once with one token: exactly one is served."""
    call = new_sid("CA")
    token = await channel.voice(call)
    async with (
        open_socket(channel.url) as one,
        open_socket(channel.url) as two,
    ):
        streams = [Stream(ws, call, new_sid("MZ"), token) for ws in (one, two)]
        await asyncio.gather(*(stream.start() for stream in streams))
        answers = await asyncio.gather(*(stream.echoed() for stream in streams), return_exceptions=True)
    assert answers.count(True) == 1


async def test_a_caller_gone_before_start(channel: Channel, other: Stream) -> None:
    """The socket opens and goes away again, politely or not."""
    for polite in (True, False):
        async with open_socket(channel.url) as ws:
            if not polite:
                ws.transport.abort()
    await eventually(lambda: gone_twice(channel))


async def gone_twice(channel: Channel) -> bool:
    return (await channel.refusals()).count("gone_before_start") == 2


async def served(channel: Channel) -> bool:
    """A call's socket is let in, and not refused because others wait."""
    call = new_sid("CA")
    token = await channel.voice(call)
    try:
        async with channel.stream(call, token) as stream:
            return await stream.echoed()
    except InvalidStatus:
        return False


async def test_a_socket_that_never_starts(channel: Channel, other: Stream) -> None:
    """It has a moment to send `start`, however much else it sends at first; its place is free again."""
    channel.services.start_within_s = 0.3
    channel.services.max_waiting_sockets = 1
    async with open_socket(channel.url) as ws:
        stream = Stream(ws, new_sid("CA"), new_sid("MZ"), None)
        await ws.send(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
        assert await stream.closed() == 1008
    await channel.refused("start_timeout")
    channel.services.start_within_s = 60.0
    await eventually(lambda: served(channel))


async def test_waiting_sockets_are_capped(channel: Channel, other: Stream) -> None:
    """Past the cap an upgrade is refused with 503; once the others are gone, it works again."""
    sockets = [await open_socket(channel.url) for _ in range(4)]
    with pytest.raises(InvalidStatus) as refused:
        await open_socket(channel.url)
    assert refused.value.response.status_code == 503
    await asyncio.gather(*(ws.close() for ws in sockets))
    await eventually(lambda: served(channel))


async def test_a_flood_of_forgeries_is_summed_up(channel: Channel, other: Stream) -> None:
    """Not every one of two hundred is written, none is let in, and the live call does not notice."""
    answers = await asyncio.gather(
        *(channel.post("/twilio/voice", token="f" * 32, CallSid=new_sid("CA")) for _ in range(200))
    )
    assert {answer.status_code for answer in answers} == {403}
    written = len(await channel.refusals())
    assert 50 <= written < 200


@pytest.mark.parametrize("seed", range(5))
async def test_bytes_that_are_no_websocket(channel: Channel, other: Stream, echo: Echo, seed: int) -> None:
    """Noise in place of frames, in the middle of a call: that socket is over, its call can come back."""
    call = new_sid("CA")
    async with channel.stream(call, await channel.voice(call)) as stream:
        assert await stream.echoed()
        stream.ws.transport.write(random.Random(seed).randbytes(3000))
        await asyncio.wait_for(stream.ws.wait_closed(), 60)
    await eventually(lambda: echo.running == 1)
    assert (await channel.of_call(call)).status == "live"


async def test_a_peer_that_stops_reading(
    database: Database, keys: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pipeline is not held up for ever by a socket that takes nothing; memory stays bounded."""
    monkeypatch.setattr(media, "SEND_DEADLINE_S", 0.3)
    ended: list[MediaSession] = []

    async def talk(session: MediaSession) -> CallOutcome:
        while session.end is None:
            await session.media(b"\x11" * 60_000)
        ended.append(session)
        return CallOutcome("lost", "socket_over")

    async with twilio_channel(database, keys, run_call=talk) as channel:
        call = new_sid("CA")
        async with channel.stream(call, await channel.voice(call)) as stream:
            stream.ws.transport.pause_reading()
            await eventually(lambda: bool(ended))
            await eventually(lambda: channel.services.node.calls == 0)
            stream.ws.transport.abort()  # a polite close would wait for an answer it does not read
        assert ended[0].end is not None
        assert ended[0].end.kind is media.EndKind.BROKEN
        assert (await channel.of_call(call)).status == "live"


async def test_nothing_is_leaked(channel: Channel, echo: Echo) -> None:
    """After every misdeed: as many tasks, files and calls as before."""

    async def round_() -> None:
        for misdeed, _, code in CASES:
            call = new_sid("CA")
            token = await channel.voice(call)
            async with channel.stream(call, token, start=False) as stream:
                await misdeed(stream)
                assert await stream.closed() == code
            await channel.post("/twilio/status", CallSid=call, CallStatus="completed")
        async with open_socket(channel.url) as ws:
            ws.transport.abort()

    await round_()
    before = await settled(channel, echo)
    await round_()
    after = await settled(channel, echo)
    assert after == before


async def settled(channel: Channel, echo: Echo) -> tuple[int, int, int, int]:
    """(tasks, TCP sockets, files, calls) once nothing is on its way any more.

    The database's connections are Unix sockets and come and go as its pool likes.
    """
    await eventually(lambda: echo.running == 0 and channel.services.node.calls == 0)
    await channel.http.aclose()
    channel.http = type(channel.http)(timeout=60)
    process = psutil.Process(os.getpid())
    last, looks = (-1, -1, -1, -1), 0
    async with asyncio.timeout(90):
        while True:
            gc.collect()
            tcp, files = len(process.net_connections("tcp")), len(process.open_files())
            now = (len(asyncio.all_tasks()), tcp, files, channel.services.node.calls)
            if now != last:
                last, looks = now, 0
            looks += 1
            if looks * LOOK_S > GRACE_S + 0.3:  # longer than a watch over a call that ended
                return now
            await asyncio.sleep(LOOK_S)  # sockets close on the other side's time


async def test_a_twin_of_a_good_call_is_let_in(channel: Channel) -> None:
    """The near miss of all the above: same messages, good token, and `resume` gives another one."""
    call = new_sid("CA")
    async with channel.stream(call, await channel.voice(call)) as stream:
        assert await stream.echoed()
    answer = await channel.post("/twilio/resume", CallSid=call, CallStatus="in-progress")
    async with channel.stream(call, token_in(answer.text)) as stream:
        assert await stream.echoed()
