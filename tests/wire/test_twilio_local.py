"""`--insecure-local`: unsigned webhooks and `start` without token, from this machine only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from twilio_kit import (
    Channel,
    Echo,
    Stream,
    eventually,
    new_sid,
    open_socket,
    settings_for,
    token_in,
    twilio_channel,
)
from websockets.exceptions import InvalidStatus

from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.switches import set_switch


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest_asyncio.fixture
async def channel(database: Database, keys: KeyRing, echo: Echo) -> AsyncIterator[Channel]:
    settings = settings_for(public_url=None, twilio_auth_token=None)
    async with twilio_channel(
        database, keys, run_call=echo, settings=settings, insecure_local=True, keep=True
    ) as running:
        yield running


async def test_three_calls_at_once_by_media_alone(channel: Channel, echo: Echo) -> None:
    """A program that speaks Media Streams and nothing else has its calls taken, each with its own history."""

    async def call() -> str:
        async with open_socket(channel.url, token=None) as ws:
            stream = Stream(ws, new_sid("CA"), new_sid("MZ"), None)
            await stream.start()
            for n in range(5):
                assert await stream.echoed(n * 20)
            await stream.stop()
            assert await stream.closed() == 1000
        return stream.call_sid

    calls = await asyncio.gather(*(call() for _ in range(3)))
    for call_sid in calls:
        await channel.status_of(call_sid, "ended")
        assert (await channel.of_call(call_sid)).end_reason == "caller_hung_up"
    assert len({session.conversation_id for session in echo.sessions}) == 3


async def test_a_start_message_is_enough(channel: Channel) -> None:
    """No `connected`, short names, no sequence numbers: a `start` with a CallSid and a streamSid."""
    async with open_socket(channel.url, token=None) as ws:
        await ws.send('{"event":"start","streamSid":"MZ1","start":{"callSid":"CA1"}}')
        stream = Stream(ws, "CA1", "MZ1", None)
        assert await stream.echoed()


async def test_the_same_callsid_again(channel: Channel, echo: Echo) -> None:
    """A program that uses one CallSid for every run: while it runs it is taken, afterwards a new call."""
    for _ in range(2):
        async with open_socket(channel.url, token=None) as ws:
            stream = Stream(ws, "CA-fixed", new_sid("MZ"), None)
            await stream.start()
            assert await stream.echoed()
            async with open_socket(channel.url, token=None) as other_ws:
                other = Stream(other_ws, "CA-fixed", new_sid("MZ"), None)
                await other.start()
                assert await other.closed() == 1008
            await stream.stop()
            await stream.closed()
        await channel.status_of("CA-fixed", "ended")
    first, second = echo.sessions
    assert first.conversation_id != second.conversation_id
    async with channel.database.transaction() as tx:
        rows = await channel.services.conversations.list(tx)
    assert [(row["id"], row["call_sid"]) for row in rows] == [
        (second.conversation_id, "CA-fixed"),
        (first.conversation_id, "CA-fixed"),
    ]


async def test_a_lost_socket_resumes_by_a_new_start(channel: Channel, echo: Echo) -> None:
    """The connection died without `stop`: the same CallSid comes back to its conversation."""
    call = new_sid("CA")
    async with open_socket(channel.url, token=None) as ws:
        stream = Stream(ws, call, new_sid("MZ"), None)
        await stream.start()
        assert await stream.echoed()
        ws.transport.abort()
    await eventually(lambda: echo.running == 0)
    async with open_socket(channel.url, token=None) as ws:
        stream = Stream(ws, call, new_sid("MZ"), None)
        await stream.start()
        assert await stream.echoed()
    first, second = echo.sessions
    assert first.conversation_id == second.conversation_id
    assert second.epoch == 2


async def test_webhooks_need_no_signature(channel: Channel) -> None:
    """The stream's address is the one the webhook was asked at."""
    call = new_sid("CA")
    answer = await channel.post("/twilio/voice", token=None, CallSid=call, CallStatus="ringing")
    assert f'url="wss://{channel.url.partition("://")[2]}/twilio/media"' in answer.text
    async with open_socket(channel.url, token=None) as ws:
        stream = Stream(ws, call, new_sid("MZ"), token_in(answer.text))
        await stream.start()
        assert await stream.echoed()


async def test_a_token_that_is_given_must_be_good(channel: Channel) -> None:
    """No token is fine, a wrong one is not."""
    call = new_sid("CA")
    async with open_socket(channel.url, token=None) as ws:
        stream = Stream(ws, call, new_sid("MZ"), "x" * 43)
        await stream.start()
        assert await stream.closed() == 1008
    await channel.refused("token_unknown")


async def test_through_a_tunnel_it_is_not_this_machine(channel: Channel) -> None:
    """A tunnel connects from loopback and says for whom: the world is not let in unsigned."""
    channel.http.headers["x-forwarded-for"] = "203.0.113.9"
    answer = await channel.post("/twilio/voice", token=None, CallSid=new_sid("CA"))
    assert answer.status_code == 403
    with pytest.raises(InvalidStatus):
        async with open_socket(channel.url, token=None, headers={"x-forwarded-for": "203.0.113.9"}):
            pass
    await channel.refused("not_loopback")


async def test_a_forged_signature_is_refused_even_here(database: Database, keys: KeyRing) -> None:
    """Unsigned is allowed; signed with another token is not."""
    async with twilio_channel(database, keys, insecure_local=True) as channel:
        unsigned = await channel.post("/twilio/voice", token=None, CallSid=new_sid("CA"))
        forged = await channel.post("/twilio/voice", token="f" * 32, CallSid=new_sid("CA"))
        assert (unsigned.status_code, forged.status_code) == (200, 403)


async def off_here(channel: Channel) -> None:
    channel.services.node.off = True


async def off_everywhere(channel: Channel) -> None:
    async with channel.database.transaction() as tx:
        await set_switch(tx, "bot", on=False, by="test")


async def draining(channel: Channel) -> None:
    channel.services.node.accepting = False


async def full(channel: Channel) -> None:
    channel.services.node.max_calls = channel.services.node.calls


@pytest.mark.parametrize(
    ("closes", "reason"),
    [(off_here, "off"), (off_everywhere, "off"), (draining, "draining"), (full, "no_room")],
)
async def test_no_new_call_by_media_alone(
    channel: Channel, echo: Echo, closes: Callable[[Channel], Awaitable[None]], reason: str
) -> None:
    """What keeps a webhook from connecting keeps such a stream out; what runs, or has a token, goes on."""
    running, lost, announced = new_sid("CA"), new_sid("CA"), new_sid("CA")
    token = await channel.voice(announced)
    async with channel.stream(running, None) as first:
        assert await first.echoed()
        async with channel.stream(lost, None) as stream:
            assert await stream.echoed()
            stream.ws.transport.abort()
        await eventually(lambda: echo.running == 1)
        await closes(channel)
        refused = new_sid("CA")
        async with channel.stream(refused, None) as stream:
            assert await stream.closed() == 1013
        await channel.refused(reason)
        assert not await channel.knows(refused)
        for call, given in ((announced, token), (lost, None)):
            async with channel.stream(call, given) as stream:
                assert await stream.echoed()
        assert await first.echoed(20)


async def test_as_many_at_once_as_there_is_room_for(channel: Channel, echo: Echo) -> None:
    """Streams that start in the same moment count one another; a place that is given back is free."""
    channel.services.node.max_calls = 2
    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(channel.stream(new_sid("CA"), None, start=False))
            for _ in range(6)
        ]
        await asyncio.gather(*(stream.start() for stream in streams))
        answers = await asyncio.gather(*(stream.echoed() for stream in streams), return_exceptions=True)
        assert answers.count(True) == 2
    await eventually(lambda: channel.services.node.calls == 0)
    async with channel.stream(new_sid("CA"), None) as stream:
        assert await stream.echoed()
