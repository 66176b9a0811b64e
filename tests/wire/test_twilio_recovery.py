"""Whole calls through the local Twilio: no sign that Twilio may leave out is needed to end or save a call."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from twilio_kit import (
    FALLBACK,
    Channel,
    Echo,
    eventually,
    free_port,
    settings_for,
    twilio_channel,
    url_of,
)

from voicebot.channels.twilio import resumption
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.proof.simulation import (
    LocalCall,
    LocalTwilio,
    Person,
    Quiet,
    late,
    on_time,
    out_of_order,
    twice,
)

RESUMED_WITHIN_MS = 20_000
"""What is promised are 5 s, which ``scripts.bench.death`` measures; here it is told from never."""


@pytest_asyncio.fixture
async def twilio() -> AsyncIterator[LocalTwilio]:
    async with LocalTwilio() as running:
        yield running


@pytest.fixture
def echo() -> Echo:
    return Echo()


@contextlib.asynccontextmanager
async def channel_for(
    twilio: LocalTwilio, database: Database, keys: KeyRing, echo: Echo, **more: object
) -> AsyncIterator[Channel]:
    port = free_port()
    settings = settings_for(
        public_url=url_of(port),
        twilio_api=twilio.api_url,
        twilio_account_sid=twilio.account_sid,
        twilio_auth_token=twilio.auth_token,
    )
    async with twilio_channel(
        database, keys, run_call=echo, settings=settings, port=port, keep=True, **more
    ) as channel:
        yield channel


@pytest_asyncio.fixture
async def channel(
    twilio: LocalTwilio, database: Database, keys: KeyRing, echo: Echo
) -> AsyncIterator[Channel]:
    async with channel_for(twilio, database, keys, echo) as running:
        yield running


async def ring(twilio: LocalTwilio, channel: Channel, *, with_status: bool = True) -> LocalCall:
    """A call whose media has come up."""
    call = await twilio.phone(
        f"{channel.url}/twilio/voice",
        ear=Quiet(),
        status_callback=f"{channel.url}/twilio/status" if with_status else None,
    )
    await call.log.wait("received", event="mark")  # sound went there and came back
    return call


@pytest.mark.parametrize(
    "plan", [on_time, late(0.8), twice(), out_of_order()], ids=["on_time", "late", "twice", "out_of_order"]
)
async def test_a_hang_up_whatever_the_callbacks_do(
    twilio: LocalTwilio, channel: Channel, echo: Echo, plan: object
) -> None:
    """One end, no ghost, nothing that Twilio would object to."""
    twilio.options.callbacks = twilio.options.stream_callbacks = plan
    call = await ring(twilio, channel)
    call.hang_up()
    await call.wait_ended()
    await call.settle()
    await channel.status_of(call.call_sid, "ended")
    assert (await channel.of_call(call.call_sid)).end_reason == "caller_hung_up"
    assert (await channel.events(call.call_sid)).count("call.ended") == 1
    await eventually(lambda: echo.running == 0)
    assert call.violations == []


async def test_a_hang_up_without_a_status_callback(twilio: LocalTwilio, channel: Channel) -> None:
    """The number has none set: Twilio is asked, since `stop` alone proves nothing."""
    call = await ring(twilio, channel, with_status=False)
    call.hang_up()
    await call.wait_ended()
    await channel.status_of(call.call_sid, "ended")
    assert (await channel.of_call(call.call_sid)).end_reason == "caller_hung_up"


async def test_a_socket_that_twilio_never_closes(twilio: LocalTwilio, channel: Channel, echo: Echo) -> None:
    """After `stop` nothing more is waited for."""
    twilio.options.never_close_socket = True
    call = await ring(twilio, channel)
    call.hang_up()
    await channel.status_of(call.call_sid, "ended")
    await eventually(lambda: echo.running == 0 and channel.services.node.calls == 0)


async def test_the_bot_hangs_up(twilio: LocalTwilio, channel: Channel) -> None:
    """Our close runs the next verb, which ends the call."""
    call = await ring(twilio, channel)
    call.press_key("9")
    await asyncio.wait_for(call.wait_ended(), 60)
    assert call.status == "completed"
    assert (await channel.of_call(call.call_sid)).end_reason == "goodbye"
    assert call.violations == []


async def test_a_person_takes_over(twilio: LocalTwilio, channel: Channel) -> None:
    """Dialled, spoken with, over: the conversation ends as taken over."""
    twilio.people[FALLBACK] = Person(after_s=0.1, hangs_up_after_s=0.5)
    call = await ring(twilio, channel)
    call.press_key("0")
    await asyncio.wait_for(call.wait_ended(), 60)
    await channel.status_of(call.call_sid, "ended")
    assert (await channel.of_call(call.call_sid)).end_reason == "person_took_over"
    assert len(twilio.legs_of(call)) == 1
    assert call.violations == []


@pytest.mark.parametrize("after", ["next_verb", "hang"])
async def test_a_broken_socket_comes_back_either_way(
    twilio: LocalTwilio, channel: Channel, echo: Echo, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether Twilio goes on to the next verb or leaves the caller in silence: within 5 s it resumes."""
    twilio.options.broken_socket = after  # pyright: ignore[reportAttributeAccessIssue]
    if after == "next_verb":
        monkeypatch.setattr(resumption, "GRACE_S", 60.0)  # it comes by itself, however late
    call = await ring(twilio, channel)
    broken_ms = call.line.now_ms()
    call.break_socket()
    await eventually(lambda: len(echo.sessions) == 2)
    assert call.line.now_ms() - broken_ms < RESUMED_WITHIN_MS
    assert [s.epoch for s in echo.sessions] == [1, 2]
    assert echo.sessions[0].conversation_id == echo.sessions[1].conversation_id
    pushes = len(call.log.of("rest"))
    assert pushes == (0 if after == "next_verb" else 1)
    call.press_key("9")
    await asyncio.wait_for(call.wait_ended(), 60)
    assert (await channel.of_call(call.call_sid)).end_reason == "goodbye"


async def test_a_refused_upgrade_is_tried_again(
    twilio: LocalTwilio, database: Database, keys: KeyRing, echo: Echo
) -> None:
    """We had no room for the socket, Twilio says so by callback and does nothing else."""
    twilio.options.broken_socket = "hang"
    async with channel_for(twilio, database, keys, echo, max_waiting_sockets=0) as channel:
        call = await twilio.phone(f"{channel.url}/twilio/voice", ear=Quiet())
        await call.log.wait("notification", code=31920)
        channel.services.max_waiting_sockets = 8
        await eventually(lambda: echo.running == 1)
        assert len(call.log.of("rest")) == 1
        call.hang_up()
        await channel.status_of(call.call_sid, "ended")


async def test_a_dead_node_loses_no_call(
    twilio: LocalTwilio, database: Database, keys: KeyRing, echo: Echo
) -> None:
    """Its lease runs out, another node claims the call and brings it back, within 5 s."""
    twilio.options.broken_socket = "hang"
    async with channel_for(twilio, database, keys, echo, node_id="node-b") as survivor:
        twilio.routes.add_plain(survivor.url)
        dying = Echo()
        async with twilio_channel(
            database,
            keys,
            run_call=dying,
            node_id="node-a",
            ttl_s=3.0,
            settings=settings_for(public_url=None, twilio_auth_token=twilio.auth_token),
        ) as dead:
            call = await ring(twilio, dead, with_status=False)
            call.break_socket()
            broken_ms = call.line.now_ms()
            await eventually(lambda: echo.running == 1)
            assert call.line.now_ms() - broken_ms < RESUMED_WITHIN_MS
        assert echo.sessions[0].conversation_id == dying.sessions[0].conversation_id
        assert echo.sessions[0].epoch == 2
        call.hang_up()
        await survivor.status_of(call.call_sid, "ended")


async def test_a_status_callback_reaches_another_node(
    twilio: LocalTwilio, database: Database, keys: KeyRing, echo: Echo
) -> None:
    """The node that has the socket learns of the end from the database, the socket being deaf."""
    async with (
        channel_for(twilio, database, keys, echo, node_id="node-a") as holder,
        channel_for(twilio, database, keys, Echo(), node_id="node-b") as other,
    ):
        call = await ring(twilio, holder, with_status=False)
        await other.post(
            "/twilio/status", token=twilio.auth_token, CallSid=call.call_sid, CallStatus="completed"
        )
        await eventually(lambda: echo.running == 0)
        assert (await holder.of_call(call.call_sid)).end_reason == "caller_hung_up"


async def test_a_call_redirected_by_rest_keeps_its_conversation(
    twilio: LocalTwilio, channel: Channel, echo: Echo
) -> None:
    """`stop` on a redirect is no hang-up: the call dials elsewhere, the conversation is not ended."""
    assert channel.services.rest is not None
    call = await ring(twilio, channel)
    await channel.services.rest.update_call(
        call.call_sid,
        twiml=f'<Response><Pause length="1"/><Redirect>{channel.url}/twilio/resume</Redirect></Response>',
    )
    await eventually(lambda: len(echo.sessions) == 2)
    assert (await channel.of_call(call.call_sid)).status == "live"
    call.hang_up()
    await channel.status_of(call.call_sid, "ended")


async def test_switched_off_the_caller_hears_a_line_and_gets_a_person(
    twilio: LocalTwilio, channel: Channel
) -> None:
    """The recorded line is sound that Twilio can play, and the person answers."""
    twilio.people[FALLBACK] = Person(after_s=0.1, hangs_up_after_s=0.3)
    channel.services.node.off = True
    call = await twilio.phone(f"{channel.url}/twilio/voice", ear=Quiet())
    await asyncio.wait_for(call.wait_ended(), 60)
    assert call.violations == []
    assert call.log.of("text") == []  # nothing was said by Twilio's own voice
    assert len(twilio.legs_of(call)) == 1
