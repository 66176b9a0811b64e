"""With no way to ask Twilio, a call without any sign of life is over after a bounded time, as `lost`."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs
from twilio_kit import Channel, Stream, new_sid, twilio_channel

from voicebot.channels.twilio import resumption
from voicebot.core.store import leases
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing

NO_WORD_S = 4.0


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Claims come often while the waiting lasts, as 10 s and 30 s do."""
    monkeypatch.setattr(resumption, "NO_WORD_S", NO_WORD_S)
    monkeypatch.setattr(leases, "CLAIM_S", 0.5)


async def stopped(channel: Channel) -> str:
    """A call by webhook whose stream stopped, whoever has heard of its end; returns its CallSid."""
    call = new_sid("CA")
    async with channel.stream(call, await channel.voice(call)) as stream:
        assert await stream.echoed()
        await hang_up(stream)
    assert (await channel.of_call(call)).status == "live", "stop alone proves nothing"
    return call


async def hang_up(stream: Stream) -> None:
    await stream.stop()
    assert await stream.closed() == 1000


async def test_no_status_callback_and_no_credentials(database: Database, keys: KeyRing) -> None:
    """The node that had the call ends it."""
    async with twilio_channel(database, keys, keep=True) as channel:
        call = await stopped(channel)
        await channel.status_of(call, "ended")
        assert (await channel.of_call(call)).end_reason == "lost"


@pytest.mark.parametrize("survivors", [1, 2])
async def test_the_node_died_too(database: Database, keys: KeyRing, survivors: int) -> None:
    """Those that claim its call again and again end it all the same, once, and say so once each."""
    async with twilio_channel(database, keys, ttl_s=3.0, node_id="node-dead") as dead:
        call = await stopped(dead)
    with capture_logs() as logs:
        async with (
            twilio_channel(database, keys, keep=True, node_id="node-b") as channel,
            twilio_channel(database, keys, keep=survivors == 2, node_id="node-c"),
        ):
            await channel.status_of(call, "ended")
            assert (await channel.of_call(call)).end_reason == "lost"
            assert (await channel.events(call)).count("call.ended") == 1
    claimed = [entry for entry in logs if entry["event"] == "call_of_dead_node"]
    assert 1 <= len(claimed) <= survivors
