"""A reader sees a whole transfer: its steps, then what both sides say in the room, then the bot again."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import httpx
from live_kit import read_sse, serving
from sound_fakes import TONE, FakeEars, FakeJudge, ToneVoice
from transfer_kit import DESK, HandsOver, leg_of, node, presses, reaches
from twilio_kit import eventually

from voicebot.channels.phone.leg import LegKit, run_leg
from voicebot.channels.twilio.media import MediaSession
from voicebot.core.bus import Bus
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.outbox import Relay
from voicebot.proof.simulation import LocalTwilio, Person
from voicebot.safety.pii.finding import Shapes


class Talks:
    """An ear whose owner says 600 ms of something when told to."""

    def __init__(self) -> None:
        self._left = 0

    def says(self) -> None:
        self._left = 30

    def on_audio(self, frame: bytes, at_ms: int) -> None:
        """Whoever it is listens politely."""

    def next_frame(self, at_ms: int) -> bytes | None:
        if not self._left:
            return None
        self._left -= 1
        return TONE


async def test_a_reader_sees_the_transfer_and_both_sides_of_the_bridge(
    database: Database, keys: KeyRing
) -> None:
    """Hold sound and briefing are loud and reach no recogniser; who is back with the bot is heard once."""
    bus = Bus()
    relay = Relay(database, keys, bus, poll_s=0.1)
    relaying = asyncio.create_task(relay.run())
    ears = FakeEars(("can you hear me", "yes i can this is sam", "thank you"))
    kit = LegKit(database, keys, bus, ears, FakeJudge(), ToneVoice, Shapes({}, frozenset()), relay.poke)
    legs: list[MediaSession] = []

    async def listen(session: MediaSession) -> None:
        legs.append(session)
        await run_leg(kit, session)

    caller, agent, bot = Talks(), Talks(), HandsOver(keys, database)
    async with (
        LocalTwilio() as twilio,
        node(twilio, database, keys, bot) as channel,
        serving(database, keys, bus) as url,
        httpx.AsyncClient(base_url=url, timeout=30) as client,
    ):
        twilio.people = {DESK: Person(after_s=0.2, ear=lambda: agent)}
        assert channel.services.transfers is not None
        channel.services.transfers.forks = True
        channel.services.run_leg = listen
        call = await twilio.phone(
            f"{channel.url}/twilio/voice", ear=caller, status_callback=f"{channel.url}/twilio/status"
        )
        await eventually(lambda: channel.knows(call.call_sid))
        conversation = (await channel.of_call(call.call_sid)).id
        reading = asyncio.create_task(read_sse(client, f"/api/conversations/{conversation}/stream"))
        person = await leg_of(twilio, DESK)
        await presses(person, "1")
        await reaches(channel, call, "bridged")
        await eventually(lambda: len(legs) == 2)
        for n, speaker in enumerate((caller, agent, caller), 1):
            speaker.says()
            await eventually(lambda n=n: len([one for one in ears.opened if one.finished]) >= n)
        person.hang_up()
        await eventually(lambda: len(bot.sessions) >= 2)
        await eventually(lambda: all(one.end is not None for one in legs))
        call.hang_up()
        seen = await reading
        assert [str(one) for leg in twilio.calls for one in leg.violations] == []
    relaying.cancel()
    with suppress(asyncio.CancelledError):
        await relaying
    assert [(one.who, one.text) for one in seen if one.type == "line"] == [
        ("caller", "can you hear me"),
        ("agent", "yes i can this is sam"),
        ("caller", "thank you"),
    ]
    assert len(ears.opened) == 3, "somebody's hold sound, briefing or echo was taken for words"
    steps = [one.what for one in seen if one.type == "transfer"]
    assert steps == ["requested", "ringing", "briefing", "accepted", "bridged", "agent_left", "returned"]
    told = [one.id for one in seen if one.id is not None]
    assert told == sorted(set(told))
    assert seen[-1].what == "closed"
