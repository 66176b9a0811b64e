"""Past a node's places a new caller gets what the operator chose, however many come at the same moment."""

from __future__ import annotations

import asyncio
import re
import time
from html import unescape

import pytest
from twilio_kit import CALLED, CALLER, FALLBACK, Channel, new_sid, settings_for, token_in, twilio_channel

from voicebot.channels.twilio.resumption import QUEUE_S
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing

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
            assert "<Connect>" not in await asked(channel)
        for call in let_in:
            await channel.post("/twilio/status", CallSid=call, CallStatus="completed")
        assert "<Connect>" in await asked(channel)


async def test_who_waits_gets_the_first_place_and_in_the_end_a_person(
    database: Database, keys: KeyRing
) -> None:
    settings = settings_for(when_full="queue")
    async with twilio_channel(database, keys, max_calls=1, settings=settings) as channel:
        held = new_sid("CA")
        token = await channel.voice(held)
        waits = await asked(channel)
        found = re.search(r"<Redirect[^>]*>https://[^/]*(/twilio/voice\?queued=\d+)<", unescape(waits))
        assert found is not None
        again = await asked(channel, found[1])
        assert found[1] in unescape(again)
        assert "one_moment" in waits
        assert "one_moment" not in again
        long_ago = f"/twilio/voice?queued={int(time.time() - QUEUE_S - 1)}"
        assert FALLBACK in await asked(channel, long_ago)
        async with channel.stream(held, token) as stream:
            assert await stream.echoed()
        await channel.post("/twilio/status", CallSid=held, CallStatus="completed")
        assert "<Connect>" in await asked(channel, found[1])


async def test_a_made_up_time_of_waiting_is_none(database: Database, keys: KeyRing) -> None:
    settings = settings_for(when_full="queue")
    async with twilio_channel(database, keys, max_calls=1, settings=settings) as channel:
        await channel.voice(new_sid("CA"))
        for made_up in ("x", "-1", "9" * 30, ""):
            assert "/twilio/hold.wav" in await asked(channel, f"/twilio/voice?queued={made_up}")
        sound = await channel.http.get(f"{channel.url}/twilio/hold.wav")
        assert sound.headers["content-type"] == "audio/wav"
        assert sound.content[:4] == b"RIFF"
