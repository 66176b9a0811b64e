"""Without its database the channel lets nobody in and sends every caller to a person; nothing is lost."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from structlog.testing import capture_logs
from transfer_kit import DESK, LAST, HandsOver, caller, node, transfer_of
from twilio_kit import FALLBACK, Channel, Echo, eventually, new_sid, settings_for, twilio_channel

from voicebot.channels.twilio.refusals import Refusal
from voicebot.core.store.database import Database
from voicebot.core.store.embedded import EmbeddedPostgres
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.migrate import ensure_schema
from voicebot.proof.simulation import LocalTwilio, Person

PATIENCE_S = 10.0
"""A database that is down is known at once, so that a longer limit than a server's costs nothing."""


class Outage:
    """A Postgres of this module's own, which can be stopped and started again."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._server: EmbeddedPostgres | None = None
        self.url = ""

    def up(self) -> None:
        if self._server is None:
            self._server = EmbeddedPostgres.start(self._home / "data", settings={"fsync": "off"})
            self.url = self._server.url

    def down(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None


@pytest.fixture(scope="module")
def outage() -> Iterator[Outage]:
    home = Path(tempfile.mkdtemp(prefix="vb-outage-"))
    home.chmod(0o755)
    made = Outage(home)
    made.up()
    ensure_schema(made.url)
    yield made
    made.down()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest_asyncio.fixture
async def channel(outage: Outage, keys: KeyRing, echo: Echo) -> AsyncIterator[Channel]:
    await asyncio.to_thread(outage.up)
    database = await Database.open(outage.url, timeout_s=PATIENCE_S)
    async with twilio_channel(database, keys, run_call=echo, keep=True) as running:
        yield running
    await asyncio.to_thread(outage.up)
    await database.close()


async def test_a_new_call_goes_to_a_person(channel: Channel, outage: Outage) -> None:
    """An emergency line that needs no engine, then the fallback number, in well under Twilio's 15 s."""
    await asyncio.to_thread(outage.down)
    began = time.monotonic()
    call = new_sid("CA")
    answer = await channel.post("/twilio/voice", CallSid=call, CallStatus="ringing")
    assert time.monotonic() - began < 12
    assert answer.status_code == 200
    assert f"<Number>{FALLBACK}</Number>" in answer.text
    assert "/twilio/lines/handing_over.wav" in answer.text or "<Say>" in answer.text
    assert "token" not in answer.text
    await asyncio.to_thread(outage.up)
    assert not await channel.knows(call)


async def test_without_a_fallback_number_it_says_so_and_hangs_up(
    outage: Outage, keys: KeyRing, echo: Echo
) -> None:
    """A polite word instead of silence."""
    database = await Database.open(outage.url, timeout_s=PATIENCE_S)
    settings = settings_for(fallback_number=None)
    async with twilio_channel(database, keys, run_call=echo, settings=settings) as channel:
        await asyncio.to_thread(outage.down)
        answer = await channel.post("/twilio/voice", CallSid=new_sid("CA"), CallStatus="ringing")
        assert "<Hangup />" in answer.text
        assert "<Dial" not in answer.text
    await asyncio.to_thread(outage.up)
    await database.close()


async def test_a_call_under_way_is_handed_over(channel: Channel, outage: Outage) -> None:
    """The pipeline gives the call to a person; the next verb dials, and the database learns it later."""
    call = new_sid("CA")
    async with channel.stream(call, await channel.voice(call)) as stream:
        assert await stream.echoed()
        await asyncio.to_thread(outage.down)
        await stream.key("0")
        assert await stream.closed() == 1000
    answer = await channel.post("/twilio/resume", CallSid=call, CallStatus="in-progress")
    assert f"<Number>{FALLBACK}</Number>" in answer.text
    await asyncio.to_thread(outage.up)
    await channel.status_of(call, "handoff")
    assert [row["trigger"] for row in await channel.handoffs(call)] == ["asked_for_person"]


async def test_who_hangs_up_before_the_person_answers_can_be_called_back(
    channel: Channel, outage: Outage
) -> None:
    """Given to a person and over, both while the database was away: ended, and the handoff is there."""
    call = new_sid("CA")
    async with channel.stream(call, await channel.voice(call)) as stream:
        assert await stream.echoed()
        await asyncio.to_thread(outage.down)
        await stream.key("0")
        assert await stream.closed() == 1000
    await channel.post("/twilio/status", CallSid=call, CallStatus="completed")
    await asyncio.to_thread(outage.up)
    await channel.status_of(call, "ended")
    assert [row["trigger"] for row in await channel.handoffs(call)] == ["asked_for_person"]


async def test_a_hang_up_meanwhile_is_written_later(channel: Channel, outage: Outage, echo: Echo) -> None:
    """The end of a call is not forgotten because the database was away when it came."""
    call = new_sid("CA")
    async with channel.stream(call, await channel.voice(call)) as stream:
        assert await stream.echoed()
        await asyncio.to_thread(outage.down)
        answer = await channel.post("/twilio/status", CallSid=call, CallStatus="completed")
        assert answer.status_code == 204
        await stream.closed()
    await eventually(lambda: echo.running == 0)
    again = await channel.post("/twilio/resume", CallSid=call, CallStatus="in-progress")
    assert "<Hangup />" in again.text
    await asyncio.to_thread(outage.up)
    await channel.status_of(call, "ended")
    assert (await channel.of_call(call)).end_reason == "caller_hung_up"


async def test_a_socket_is_refused_and_logged(channel: Channel, outage: Outage) -> None:
    """No token can be checked: 1011, so that the call goes on to a person; logged, since not audited."""
    call = new_sid("CA")
    token = await channel.voice(call)
    await asyncio.to_thread(outage.down)
    with capture_logs() as logs:
        async with channel.stream(call, token) as stream:
            assert await stream.closed() == 1011
        await eventually(lambda: any(e["event"] == "twilio_refusal_not_audited" for e in logs))
    told = [e["reason"] for e in logs if e["event"] == "twilio_refused"]
    assert told == [Refusal.UNAVAILABLE.value]
    await asyncio.to_thread(outage.up)
    async with channel.stream(call, token) as stream:  # it was not used up
        assert await stream.echoed()


async def test_a_forgery_is_refused_all_the_same(channel: Channel, outage: Outage) -> None:
    """403 needs no database."""
    await asyncio.to_thread(outage.down)
    answer = await channel.post("/twilio/voice", token="f" * 32, CallSid=new_sid("CA"))
    assert answer.status_code == 403


async def test_a_caller_who_waits_for_a_person(outage: Outage, keys: KeyRing) -> None:
    """Hears the hold sound all the same; who picks up is asked for patience; outside: dialled through."""
    await asyncio.to_thread(outage.up)
    database = await Database.open(outage.url, timeout_s=PATIENCE_S)
    async with LocalTwilio() as twilio:
        twilio.people = {DESK: Person(does="no_answer"), LAST: Person(after_s=0.1)}
        bot = HandsOver(keys, database)
        async with node(twilio, database, keys, bot, cold=True) as channel:
            call = await caller(twilio, channel)
            await call.log.wait("conference", event="joined")
            path = f"/twilio/transfer/{(await transfer_of(channel, call)).id}"
            form = {"CallSid": call.call_sid, "CallStatus": "in-progress"}
            await asyncio.to_thread(outage.down)
            hold = await channel.post(f"{path}/hold/2", token=twilio.auth_token, **form)
            assert "/twilio/transfer/hold.wav" in hold.text
            brief = await channel.post(f"{path}/brief/1", token=twilio.auth_token, **form)
            assert f"{path}/brief/1</Redirect>" in brief.text
            back = await channel.post(f"{path}/back/1", token=twilio.auth_token, **form)
            assert LAST in back.text
            leg = await channel.post(f"{path}/leg/1", token=twilio.auth_token, **form)
            assert leg.status_code == 503
            await asyncio.to_thread(outage.up)
            call.hang_up()
            await channel.status_of(call.call_sid, "ended")
    await database.close()
