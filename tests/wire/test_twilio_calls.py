"""A call's way through the channel: webhook, socket, resume, status; and how each end is told apart."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from twilio_kit import CALLED, CALLER, FALLBACK, Channel, Echo, eventually, new_sid, token_in, twilio_channel

from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.switches import set_switch


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest_asyncio.fixture
async def channel(database: Database, keys: KeyRing, echo: Echo) -> AsyncIterator[Channel]:
    async with twilio_channel(database, keys, run_call=echo) as running:
        yield running


async def resume(channel: Channel, call_sid: str, **more: str) -> str:
    answer = await channel.post("/twilio/resume", CallSid=call_sid, CallStatus="in-progress", **more)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/xml")
    return answer.text


async def test_a_new_call_is_connected_with_a_token_and_goes_on_to_resume(channel: Channel) -> None:
    """The TwiML carries the socket, its callback, the token as a parameter, and the redirect."""
    call = new_sid("CA")
    answer = await channel.post("/twilio/voice", CallSid=call, From=CALLER, To=CALLED, CallStatus="ringing")
    assert answer.headers["content-type"].startswith("text/xml")
    assert '<Stream statusCallback="https://voice.example.com/twilio/stream-status"' in answer.text
    assert 'url="wss://voice.example.com/twilio/media"' in answer.text
    assert '<Redirect method="POST">https://voice.example.com/twilio/resume</Redirect>' in answer.text
    snapshot = await channel.of_call(call)
    assert (snapshot.status, snapshot.caller, snapshot.called) == ("live", CALLER, CALLED)


async def test_the_same_webhook_twice_is_one_conversation(channel: Channel) -> None:
    """Twilio repeats a webhook whose connection failed; both tokens open the same call, once each."""
    call = new_sid("CA")
    first, second = await asyncio.gather(channel.voice(call), channel.voice(call))
    assert first != second
    async with channel.stream(call, second) as stream:
        assert await stream.echoed()
    assert (await channel.events(call)).count("call.media_started") == 1


async def test_sound_keys_and_marks_go_both_ways(channel: Channel, echo: Echo) -> None:
    """Sound comes back as it went, in any frame length; a clear reaches the caller's side."""
    call = new_sid("CA")
    async with channel.stream(call, await channel.voice(call)) as stream:
        await stream.media(bytes(range(256)) * 3, 40)
        back = await stream.receive()
        assert back["streamSid"] == stream.stream_sid
        assert base64.b64decode(back["media"]["payload"]) == bytes(range(256)) * 3
        assert (await stream.receive())["mark"]["name"] == "echo-40"
        await stream.key("*")
        assert await stream.receive() == {"event": "clear", "streamSid": stream.stream_sid}
    session = echo.sessions[0]
    assert (session.call_sid, session.resumed, session.epoch) == (call, False, 1)


async def test_the_token_never_reaches_the_pipeline(channel: Channel, echo: Echo) -> None:
    """Custom parameters are handed on, the token is not."""
    call = new_sid("CA")
    async with channel.stream(call, await channel.voice(call), start=False) as stream:
        await stream.start(campaign="spring")
        assert await stream.echoed()
    assert echo.sessions[0].custom == {"campaign": "spring"}


async def test_the_bot_ends_the_call(channel: Channel) -> None:
    """Goodbye: the conversation is over before the socket closes with 1000; the next verb hangs up."""
    call = new_sid("CA")
    async with channel.stream(call, await channel.voice(call)) as stream:
        await stream.key("9")
        assert await stream.closed() == 1000
    snapshot = await channel.of_call(call)
    assert (snapshot.status, snapshot.end_reason) == ("ended", "goodbye")
    assert "<Hangup />" in await resume(channel, call)


async def test_a_person_is_dialled_after_a_handoff(channel: Channel) -> None:
    """Handoff: the next verb dials the fallback number, whose end comes to the transfer route."""
    call = new_sid("CA")
    async with channel.stream(call, await channel.voice(call)) as stream:
        await stream.key("0")
        assert await stream.closed() == 1000
    assert (await channel.of_call(call)).status == "handoff"
    twiml = await resume(channel, call)
    assert f"<Number>{FALLBACK}</Number>" in twiml
    assert 'action="https://voice.example.com/twilio/transfer/done"' in twiml
    done = await channel.post("/twilio/transfer/done", CallSid=call, DialCallStatus="completed")
    assert "<Hangup />" in done.text
    snapshot = await channel.of_call(call)
    assert (snapshot.status, snapshot.end_reason) == ("ended", "person_took_over")


async def test_nobody_answers_the_dialled_number(channel: Channel) -> None:
    """The caller hears a word instead of a dead line."""
    call = new_sid("CA")
    async with channel.stream(call, await channel.voice(call)) as stream:
        await stream.key("0")
        await stream.closed()
    done = await channel.post("/twilio/transfer/done", CallSid=call, DialCallStatus="no-answer")
    assert "sorry_ended" in done.text or "<Say>" in done.text
    assert (await channel.of_call(call)).end_reason == "person_not_reached"


async def test_a_dead_dial_action_changes_nothing(channel: Channel) -> None:
    """Twilio asks the action of a Dial that was redirected away, and throws the answer away."""
    call = new_sid("CA")
    await channel.voice(call)
    done = await channel.post("/twilio/transfer/done", CallSid=call, DialCallStatus="completed")
    assert done.text.endswith("<Response />")
    assert (await channel.of_call(call)).status == "live"


async def test_a_lost_socket_comes_back_with_its_history(channel: Channel, echo: Echo) -> None:
    """The next verb runs after a broken socket: same conversation, new token, new epoch, `resumed`."""
    call = new_sid("CA")
    async with channel.stream(call, await channel.voice(call)) as stream:
        assert await stream.echoed()
        await heard_a_turn(channel, call)
        stream.ws.transport.abort()
    await eventually(lambda: echo.running == 0)
    twiml = await resume(channel, call)
    async with channel.stream(call, token_in(twiml)) as again:
        assert await again.echoed()
    first, second = echo.sessions
    assert first.conversation_id == second.conversation_id
    assert (first.resumed, first.epoch) == (False, 1)
    assert (second.resumed, second.epoch) == (True, 2)


async def heard_a_turn(channel: Channel, call: str) -> None:
    """What the orchestrator does when the first turn was committed."""
    snapshot = await channel.of_call(call)
    async with channel.database.transaction() as tx:
        await channel.services.conversations.advance(tx, snapshot, turn=1, state={"greeted": True})


async def test_a_new_stream_takes_a_half_dead_one_over(channel: Channel, echo: Echo) -> None:
    """Twilio has given the first socket up, we have not noticed: the new one wins, the old one ends."""
    call = new_sid("CA")
    async with channel.stream(call, await channel.voice(call)) as first:
        assert await first.echoed()
        async with channel.stream(call, token_in(await resume(channel, call))) as second:
            assert await second.echoed()
            assert await first.closed() == 1001
            await eventually(lambda: echo.running == 1)
            assert await second.echoed(20)
    assert (await channel.of_call(call)).status == "live"


@pytest.mark.parametrize("order", ["stop_first", "status_first", "status_twice", "status_only", "late"])
async def test_a_hang_up_ends_the_conversation_once(channel: Channel, echo: Echo, order: str) -> None:
    """`stop` and the status callback, in any order, late or twice: one end, one event."""
    call = new_sid("CA")

    async def completed() -> None:
        answer = await channel.post("/twilio/status", CallSid=call, CallStatus="completed", CallDuration="5")
        assert answer.status_code == 204

    async with channel.stream(call, await channel.voice(call)) as stream:
        assert await stream.echoed()
        if order in {"status_first", "status_twice", "status_only"}:
            await completed()
        if order in {"stop_first", "late"}:
            await stream.stop()
            await stream.closed()
        if order in {"stop_first", "status_twice", "late"}:
            await completed()
    await channel.status_of(call, "ended")
    if order == "late":
        await channel.post("/twilio/status", CallSid=call, CallStatus="in-progress")
    await eventually(lambda: echo.running == 0)
    assert (await channel.of_call(call)).end_reason == "caller_hung_up"
    assert (await channel.events(call)).count("call.ended") == 1
    await eventually(lambda: channel.services.node.calls == 0)


async def test_stop_alone_is_no_hang_up(channel: Channel) -> None:
    """A call that is given new TwiML by REST gets `stop` too: its conversation goes on."""
    call = new_sid("CA")
    async with channel.stream(call, await channel.voice(call)) as stream:
        await stream.stop()
        await stream.closed()
    assert (await channel.of_call(call)).status == "live"
    assert "<Connect>" in await resume(channel, call)


async def test_a_status_callback_makes_no_ghost(channel: Channel) -> None:
    """A callback about a call we never took leaves nothing behind."""
    call = new_sid("CA")
    for status in ("ringing", "in-progress", "completed"):
        assert (await channel.post("/twilio/status", CallSid=call, CallStatus=status)).status_code == 204
    assert not await channel.knows(call)


async def test_an_ended_call_stays_ended(channel: Channel) -> None:
    """Late webhooks of a finished call get a hang-up, no token."""
    call = new_sid("CA")
    await channel.voice(call)
    await channel.post("/twilio/status", CallSid=call, CallStatus="completed")
    assert "<Hangup />" in await resume(channel, call)
    again = await channel.post("/twilio/voice", CallSid=call, From=CALLER, To=CALLED, CallStatus="ringing")
    assert "<Connect>" not in again.text


async def test_a_failing_pipeline_gives_the_call_back(channel: Channel) -> None:
    """The pipeline breaks: only its socket closes (1011), and the call resumes."""
    call = new_sid("CA")
    async with channel.stream(call, await channel.voice(call)) as stream:
        await stream.key("8")
        assert await stream.closed() == 1011
    assert (await channel.of_call(call)).status == "live"
    assert "<Connect>" in await resume(channel, call)


async def test_a_call_that_is_lost_too_often_goes_to_a_person(channel: Channel) -> None:
    """Six media sessions are enough."""
    call = new_sid("CA")
    token = await channel.voice(call)
    for _ in range(5):
        async with channel.stream(call, token) as stream:
            await stream.key("7")
            await stream.closed()
        token = token_in(await resume(channel, call))
    async with channel.stream(call, token) as stream:
        await stream.key("7")
        await stream.closed()
    assert FALLBACK in await resume(channel, call)
    assert (await channel.of_call(call)).status == "handoff"


async def test_a_call_whose_socket_never_comes_up_goes_to_a_person(channel: Channel) -> None:
    """Twilio asks again at once, and would for ever. One that comes up in between begins the count anew."""
    call = new_sid("CA")
    token = await channel.voice(call)
    for _ in range(2):
        token = token_in(await resume(channel, call))
    async with channel.stream(call, token) as stream:
        await stream.key("7")
        await stream.closed()
    for _ in range(4):
        assert "<Connect>" in await resume(channel, call)
    assert FALLBACK in await resume(channel, call)
    assert (await channel.of_call(call)).status == "handoff"


async def test_twilio_could_not_get_our_twiml(channel: Channel) -> None:
    """The fallback URL is asked with an error code: a person, not the same failure again."""
    call = new_sid("CA")
    twiml = await resume(channel, call, ErrorCode="11200", ErrorUrl="https://voice.example.com/twilio/voice")
    assert FALLBACK in twiml
    assert "<Connect>" not in twiml


@pytest.mark.parametrize("off", ["switch", "node", "draining", "full"])
async def test_no_new_call_when_the_bot_is_off_or_full(channel: Channel, off: str) -> None:
    """A person is dialled after a recorded line; no conversation is begun."""
    node = channel.services.node
    if off == "switch":
        async with channel.database.transaction() as tx:
            await set_switch(tx, "bot", False, "test")
    node.off = off == "node"
    node.accepting = off != "draining"
    if off == "full":
        node.calls = node.max_calls
    call = new_sid("CA")
    answer = await channel.post("/twilio/voice", CallSid=call, From=CALLER, To=CALLED, CallStatus="ringing")
    assert FALLBACK in answer.text
    assert "<Connect>" not in answer.text
    assert not await channel.knows(call)
    node.calls = 0


async def test_a_call_under_way_resumes_while_the_node_drains(channel: Channel) -> None:
    """Draining refuses new calls only."""
    call = new_sid("CA")
    await channel.voice(call)
    channel.services.node.accepting = False
    assert "<Connect>" in await resume(channel, call)


async def test_switched_off_a_call_under_way_goes_to_a_person(channel: Channel) -> None:
    """`voicebot off` counts for resumed calls too."""
    call = new_sid("CA")
    await channel.voice(call)
    async with channel.database.transaction() as tx:
        await set_switch(tx, "bot", False, "test")
    assert FALLBACK in await resume(channel, call)


async def test_a_text_message_gets_a_polite_answer(channel: Channel) -> None:
    """SMS are not read yet, and say so."""
    answer = await channel.post("/twilio/sms", MessageSid=new_sid("SM"), From=CALLER, To=CALLED, Body="hi")
    assert "<Message>" in answer.text


async def test_a_line_that_does_not_exist(channel: Channel) -> None:
    """404, and no way out of the folder."""
    for name in ("no_such_line", "..%2f..%2fpyproject", "a.b"):
        answer = await channel.http.get(f"{channel.url}/twilio/lines/{name}.wav")
        assert answer.status_code == 404


async def test_the_emergency_lines_are_served(channel: Channel) -> None:
    """Every line our TwiML may play, as a mu-law WAV that Twilio plays."""
    for name in ("handing_over", "sorry_ended"):
        answer = await channel.http.get(f"{channel.url}/twilio/lines/{name}.wav")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "audio/wav"
        assert answer.content[:4] == b"RIFF"
        assert int.from_bytes(answer.content[20:22], "little") == 7  # WAVE_FORMAT_MULAW
