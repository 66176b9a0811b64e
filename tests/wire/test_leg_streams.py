"""After the bot stepped back both legs are heard, labelled and masked, each on a stream with its own key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from sound_fakes import QUIET, TONE, FakeEars, FakeJudge, FakeRecognition, ToneVoice
from twilio_kit import Channel, Stream, eventually, new_sid, open_socket, twilio_channel
from websockets.exceptions import ConnectionClosed

from voicebot.audio.engines.types import Transcript
from voicebot.channels.phone.leg import LegKit, run_leg
from voicebot.core.bus import Bus
from voicebot.core.conversation import Event, Expects
from voicebot.core.store import outbox, tokens, vault
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.tokens import Leg
from voicebot.core.transcript import told
from voicebot.safety.pii.finding import Shapes

SHAPES = Shapes({"order number": 6}, frozenset())


class TellingEars(FakeEars):
    """Tells the words so far as soon as it hears something."""

    async def open(
        self, call: str, expects: Expects, on_partial: Callable[[Transcript], None]
    ) -> FakeRecognition:
        recognition = await super().open(call, expects, on_partial)
        on_partial(Transcript(recognition.text, False))
        return recognition


@dataclass
class Bridge:
    """A channel that hears legs, and one call of it that a person has taken."""

    channel: Channel
    bus: Bus
    call_sid: str
    conversation: str

    async def key(self, leg: Leg, call_sid: str) -> str:
        async with self.channel.database.transaction() as tx:
            return await tokens.issue_leg(tx, self.conversation, leg, call_sid)

    @asynccontextmanager
    async def leg(self, leg: Leg, call_sid: str | None = None) -> AsyncIterator[Stream]:
        """The open stream of one leg."""
        sid = call_sid or new_sid("CA")
        token = await self.key(leg, sid)
        async with open_socket(self.channel.url, self.channel.base) as ws:
            stream = Stream(ws, sid, new_sid("MZ"), token)
            await stream.start(leg=leg)
            yield stream

    async def lines(self) -> list[tuple[str, str]]:
        """(who, text) of the stored lines, in their order."""
        async with self.channel.database.transaction() as tx:
            events = await outbox.events_of(tx, self.channel.keys, self.conversation)
        entries = [told(event) for event in events if event.type == "leg.line"]
        return [(one.who or "", one.text) for one in entries if one is not None]

    async def has_lines(self, count: int) -> list[tuple[str, str]]:
        """Waits until there are so many."""

        async def there() -> bool:
            return len(await self.lines()) >= count

        await eventually(there)
        return await self.lines()


@asynccontextmanager
async def bridge(database: Database, keys: KeyRing, *texts: str) -> AsyncIterator[Bridge]:
    """Legs are recognised as ``texts``, utterance by utterance."""
    bus = Bus()
    kit = LegKit(
        database=database,
        keys=keys,
        bus=bus,
        transcriber=TellingEars(texts),
        judge=FakeJudge(),
        vad=ToneVoice,
        shapes=SHAPES,
        poke=lambda: None,
    )
    async with twilio_channel(database, keys, run_leg=lambda session: run_leg(kit, session)) as channel:
        call_sid = new_sid("CA")
        await channel.voice(call_sid)
        conversation = (await channel.of_call(call_sid)).id
        yield Bridge(channel, bus, call_sid, conversation)


async def says(stream: Stream, at_ms: int = 0, *, stops: bool = True) -> int:
    """600 ms of voice, then (``stops``) silence; returns the time after it."""
    for frame in [TONE] * 30 + [QUIET] * (75 if stops else 0):
        await stream.media(frame, at_ms)
        at_ms += 20
        await asyncio.sleep(0.001)  # engines get their turn, as they do at the pace of a line
    return at_ms


async def test_both_legs_become_labelled_lines_and_the_bots_own_stream_goes_on(
    database: Database, keys: KeyRing
) -> None:
    async with bridge(database, keys, "hello this is sam", "hi i need help") as held:
        channel = held.channel
        bot = await channel.voice(held.call_sid)
        async with channel.stream(held.call_sid, bot) as own:
            assert await own.echoed()
            async with held.leg("agent") as agent, held.leg("caller", held.call_sid) as caller:
                await says(agent)
                await held.has_lines(1)
                await says(caller)  # on the same call as the bot's stream
                lines = await held.has_lines(2)
                assert await own.echoed(20), "a leg takes nobody's place"
        assert lines == [("agent", "hello this is sam"), ("caller", "hi i need help")]
        assert channel.services.node.calls <= 1, "a leg is no call of the bot's"


async def test_words_so_far_are_published_with_their_speaker_before_the_line(
    database: Database, keys: KeyRing
) -> None:
    async with bridge(database, keys, "let me look that up") as held:
        seen: list[Event] = []
        subscription = held.bus.subscribe(held.conversation)

        async def watch() -> None:
            seen.extend([event async for event in subscription])

        watching = asyncio.create_task(watch())
        async with held.leg("agent") as agent:
            await says(agent)
            await held.has_lines(1)
        subscription.close()
        await watching
    partials = [one for one in map(told, seen) if one is not None and one.type == "partial"]
    assert partials
    assert {(one.who, one.text) for one in partials} == {("agent", "let me look that up")}


async def test_what_is_personal_is_masked_on_both_legs_with_tokens_of_one_vault(
    database: Database, keys: KeyRing
) -> None:
    """A number that both sides say has one token; one that is broken off is masked too."""
    number = "four two seven one oh three"
    async with bridge(
        database, keys, f"my order is {number}", f"order {number} yes", "my card is four two four two"
    ) as held:
        async with held.leg("caller", held.call_sid) as caller:
            at_ms = await says(caller)
            await held.has_lines(1)
            async with held.leg("agent") as agent:
                await says(agent)
                await held.has_lines(2)
            await says(caller, at_ms)
            lines = await held.has_lines(3)
        async with database.transaction() as tx:
            values = await vault.values(tx, keys, held.conversation)
    token = next(token for token, value in values.items() if value == "427103")
    assert lines[0] == ("caller", f"my order is {token}")
    assert lines[1] == ("agent", f"order {token} yes")
    assert "four two" not in lines[2][1]


async def test_the_last_words_of_a_leg_that_hangs_up_are_written(database: Database, keys: KeyRing) -> None:
    async with bridge(database, keys, "thank you bye") as held, held.leg("caller", held.call_sid) as caller:
        await says(caller, stops=False)
        await caller.stop()
        assert await held.has_lines(1) == [("caller", "thank you bye")]


async def test_once_the_bot_has_the_call_again_the_leg_is_let_go(
    database: Database, keys: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fork outlives new TwiML: the caller would be heard twice."""
    monkeypatch.setattr("voicebot.channels.phone.leg.LOOK_EVERY_S", 0.05)
    async with bridge(database, keys, "one", "two") as held, held.leg("caller", held.call_sid) as caller:
        at_ms = await says(caller)
        await held.has_lines(1)
        token = await held.channel.voice(held.call_sid)
        async with held.channel.stream(held.call_sid, token) as own:
            assert await own.echoed()
            assert await caller.closed() == 1000
            with pytest.raises(ConnectionClosed):
                await says(caller, at_ms)
        assert await held.lines() == [("caller", "one")]


@pytest.mark.parametrize(
    ("asks_as", "with_token", "reason"),
    [
        ("agent", "none", "token_missing"),
        ("agent", "of the other leg", "token_unknown"),
        ("agent", "of the bot's stream", "token_unknown"),
        ("agent", "of another call", "wrong_call"),
        ("agent", "used", "token_used"),
        ("nobody", "fresh", "token_unknown"),
        ("agent", "of an ended conversation", "call_over"),
    ],
)
async def test_a_leg_without_its_key_is_refused(
    asks_as: str, with_token: str, reason: str, database: Database, keys: KeyRing
) -> None:
    async with bridge(database, keys) as held:
        sid = new_sid("CA")
        token: str | None = await held.key("agent", sid)
        match with_token:
            case "none":
                token = None
            case "of the other leg":
                token = await held.key("caller", sid)
            case "of the bot's stream":
                sid = new_sid("CA")
                token = await held.channel.voice(sid)
            case "of another call":
                sid = new_sid("CA")
            case "used":
                async with database.transaction() as tx:
                    await tokens.redeem_leg(tx, token or "", "agent", sid)
            case "of an ended conversation":
                async with database.transaction() as tx:
                    await held.channel.services.conversations.finish(tx, held.conversation, reason="over")
            case _:
                pass
        async with open_socket(held.channel.url, held.channel.base) as ws:
            stream = Stream(ws, sid, new_sid("MZ"), token)
            await stream.start(leg=asks_as)
            assert await stream.closed() == 1008
        await held.channel.refused(reason)
