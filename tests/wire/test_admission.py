"""Past a node's places a new caller gets what the operator chose, however many come at the same moment."""

from __future__ import annotations

import asyncio
import re
import time
from html import unescape

import pytest
from twilio_kit import (
    CALLED,
    CALLER,
    FALLBACK,
    Channel,
    free_port,
    new_sid,
    settings_for,
    token_in,
    twilio_channel,
    url_of,
)

from voicebot.channels.twilio.resumption import QUEUE_S
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.proof.simulation import LocalCall, LocalTwilio, Quiet

PLACES = 2


async def asked(channel: Channel, path: str = "/twilio/voice", call: str | None = None) -> str:
    form = {"CallSid": call or new_sid("CA"), "From": CALLER, "To": CALLED, "CallStatus": "ringing"}
    answer = await channel.post(path, **form)
    assert answer.status_code == 200
    return answer.text


@pytest.mark.parametrize(
    ("when_full", "gets"),
    [("busy", '<Reject reason="busy"'), ("person", FALLBACK), ("queue", "/twilio/hold.wav")],
)
async def test_six_who_come_at_once_to_two_places(
    database: Database, keys: KeyRing, when_full: str, gets: str
) -> None:
    """No more are let in than there are places, although no socket has come yet; a free place is given."""
    settings = settings_for(when_full=when_full)
    async with twilio_channel(database, keys, max_calls=PLACES, settings=settings) as channel:
        calls = [new_sid("CA") for _ in range(6)]
        answers = await asyncio.gather(*(asked(channel, call=call) for call in calls))
        let_in = {c: text for c, text in zip(calls, answers, strict=True) if "<Connect>" in text}
        assert len(let_in) == PLACES
        assert all(gets in text for text in answers if "<Connect>" not in text)
        streams = [channel.stream(call, token_in(text)) for call, text in let_in.items()]
        async with streams[0] as first, streams[1] as second:
            assert await first.echoed()
            assert await second.echoed()
            waits = next(call for call in calls if call not in let_in)
            assert "<Connect>" not in await asked(channel, call=waits)
        for call in calls:  # those who wait, too
            await channel.post("/twilio/status", CallSid=call, CallStatus="completed")
        assert "<Connect>" in await asked(channel)


async def test_who_waits_gets_the_first_place_and_in_the_end_a_person(
    database: Database, keys: KeyRing
) -> None:
    settings = settings_for(when_full="queue")
    async with twilio_channel(database, keys, max_calls=1, settings=settings) as channel:
        held = new_sid("CA")
        token = await channel.voice(held)
        caller = new_sid("CA")
        waits = await asked(channel, call=caller)
        path = again_in(waits)
        again = await asked(channel, path, caller)
        assert again_in(again) == path
        assert "one_moment" in waits
        assert "one_moment" not in again
        long_ago = f"/twilio/voice?queued={int(time.time() - QUEUE_S - 1)}"
        assert FALLBACK in await asked(channel, long_ago)
        async with channel.stream(held, token) as stream:
            assert await stream.echoed()
        await channel.post("/twilio/status", CallSid=held, CallStatus="completed")
        assert "<Connect>" in await asked(channel, path, caller)


async def test_a_made_up_time_of_waiting_is_none(database: Database, keys: KeyRing) -> None:
    settings = settings_for(when_full="queue")
    async with twilio_channel(database, keys, max_calls=1, settings=settings) as channel:
        await channel.voice(new_sid("CA"))
        for made_up in ("x", "-1", "9" * 30, ""):
            assert "/twilio/hold.wav" in await asked(channel, f"/twilio/voice?queued={made_up}")
        sound = await channel.http.get(f"{channel.url}/twilio/hold.wav")
        assert sound.headers["content-type"] == "audio/wav"
        assert sound.content[:4] == b"RIFF"


async def test_who_waits_is_served_in_the_order_in_which_they_came(database: Database, keys: KeyRing) -> None:
    """A place that is free belongs to who has waited longest, not to who happens to ask at that moment."""
    settings = settings_for(when_full="queue")
    async with twilio_channel(database, keys, max_calls=1, settings=settings) as channel:
        held = new_sid("CA")
        await channel.voice(held)
        callers = [new_sid("CA") for _ in range(3)]
        paths = [again_in(await asked(channel, call=call)) for call in callers]
        await channel.post("/twilio/status", CallSid=held, CallStatus="completed")
        assert "<Connect>" not in await asked(channel), "a newcomer"
        assert "<Connect>" not in await asked(channel, paths[1], callers[1])
        assert "<Connect>" in await asked(channel, paths[0], callers[0])
        await channel.post("/twilio/status", CallSid=callers[1], CallStatus="completed")
        await channel.post("/twilio/status", CallSid=callers[0], CallStatus="completed")
        assert "<Connect>" in await asked(channel, paths[2], callers[2])


async def test_who_is_next_is_fetched_out_of_the_music(database: Database, keys: KeyRing) -> None:
    """By REST, as soon as there is a place: the music is 16 s long."""
    async with LocalTwilio() as twilio:
        port = free_port()
        settings = settings_for(
            when_full="queue",
            public_url=url_of(port),
            twilio_api=twilio.api_url,
            twilio_account_sid=twilio.account_sid,
            twilio_auth_token=twilio.auth_token,
        )
        async with twilio_channel(
            database, keys, max_calls=1, settings=settings, port=port, keep=True
        ) as channel:
            first = await rung(twilio, channel)
            await first.log.wait("received", event="mark", timeout_s=30)
            second = await rung(twilio, channel)
            await second.log.wait("verb", name="Play", timeout_s=30)
            third = await rung(twilio, channel)
            await third.log.wait("verb", name="Play", timeout_s=30)
            first.hang_up()
            await second.log.wait("received", event="mark", timeout_s=30)
            assert second.log.of("rest")
            assert third.log.of("rest") == []
            for call in (second, third):
                call.hang_up()
                await call.wait_ended()
            assert second.violations == []


async def rung(twilio: LocalTwilio, channel: Channel) -> LocalCall:
    status = f"{channel.url}/twilio/status"
    return await twilio.phone(f"{channel.url}/twilio/voice", ear=Quiet(), status_callback=status)


@pytest.mark.parametrize("what", ["crowded", "late", "tight"])
async def test_what_runs_short_turns_new_callers_away_at_once_and_no_other(
    database: Database, keys: KeyRing, what: str
) -> None:
    """A call that is connected, or comes back, is not a new one."""
    settings = settings_for(when_full="busy")
    async with twilio_channel(database, keys, max_calls=5, settings=settings) as channel:
        held = new_sid("CA")
        token = await channel.voice(held)
        setattr(channel.services.node, what, True)
        assert "<Reject" in await asked(channel)
        async with channel.stream(held, token) as stream:
            assert await stream.echoed()
        assert "<Connect>" in await asked(channel, "/twilio/resume", held)
        setattr(channel.services.node, what, False)
        assert "<Connect>" in await asked(channel)


def again_in(document: str) -> str:
    """Where a caller who waits asks again."""
    found = re.search(r"<Redirect[^>]*>https?://[^/]*(/twilio/voice\?queued=\d+)<", unescape(document))
    assert found is not None, document
    return found[1]
