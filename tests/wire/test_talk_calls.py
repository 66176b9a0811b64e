"""An agent takes a caller at the desk: whoever has the caller gives them up, both hear each other, and the
caller is never left alone, whatever breaks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from sound_fakes import TONE, FakeEars, FakeJudge, ToneVoice
from talk_kit import LINES, Bot, Speaks, TalkNode, desk_line, likeness, noise, talk_node
from transfer_kit import DESK, leg_of, legs, presses, reaches, told
from twilio_kit import eventually
from websockets.exceptions import InvalidStatus

from voicebot.channels.browser.peer import Peer
from voicebot.channels.phone.leg import LegKit
from voicebot.channels.twilio.media import CallOutcome, MediaSession
from voicebot.console.desk.client import DeskApi
from voicebot.console.desk.talk_line import AGAIN_S, State, TalkLine
from voicebot.core.bus import Bus
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.proof.simulation import LocalCall, LocalTwilio, Person, Quiet
from voicebot.safety.pii.finding import Shapes

RINGS_ON = Person(does="no_answer")
SURE = 0.4
"""Noise of its own is alike to nothing else by more than 0.1; where a frame was given up, half of it is."""


@pytest_asyncio.fixture
async def twilio() -> AsyncIterator[LocalTwilio]:
    async with LocalTwilio() as running:
        running.people = {DESK: RINGS_ON}
        yield running


HELD_WITHIN_MS = 20_000
"""What is promised are 2 s; here it is told from the bot, which comes after 30."""


class Lingers(Bot):
    """Steps back when its last words are `spoken`."""

    async def __call__(self, session: MediaSession) -> CallOutcome:
        outcome = await super().__call__(session)
        await self.spoken.wait()
        return outcome


@pytest.fixture
def bot(keys: KeyRing, database: Database) -> Lingers:
    return Lingers(keys, database)


@pytest_asyncio.fixture
async def node(
    twilio: LocalTwilio, database: Database, keys: KeyRing, bot: Bot, tmp_path: Path
) -> AsyncIterator[TalkNode]:
    async with talk_node(twilio, database, keys, bot, tmp_path, DESK) as running:
        yield running


@pytest.fixture
def ears() -> FakeEars:
    return FakeEars(("this is cleo", "can you hear me", "my card is 4111 1111 1111 1111"))


@pytest_asyncio.fixture
async def listened(
    twilio: LocalTwilio, database: Database, keys: KeyRing, bot: Bot, ears: FakeEars, tmp_path: Path
) -> AsyncIterator[TalkNode]:
    """A node that writes down what is said."""
    shapes = Shapes({}, frozenset())
    legs = LegKit(database, keys, Bus(), ears, FakeJudge(), ToneVoice, shapes, lambda: None)
    async with talk_node(twilio, database, keys, bot, tmp_path, DESK, legs=legs) as running:
        yield running


async def phones(twilio: LocalTwilio, node: TalkNode, ear: Speaks) -> LocalCall:
    at = node.channel.url
    return await twilio.phone(f"{at}/twilio/voice", ear=ear, status_callback=f"{at}/twilio/status")


async def hears(heard: bytearray, sent: bytes) -> None:
    async with asyncio.timeout(60):
        while likeness(sent, bytes(heard))[0] < SURE:
            await asyncio.sleep(0.1)  # sound takes its time


def no_violations(twilio: LocalTwilio) -> None:
    assert [str(one) for call in twilio.calls for one in call.violations] == []


async def test_who_waits_in_the_room_is_taken_at_the_desk(
    twilio: LocalTwilio, node: TalkNode, bot: Bot
) -> None:
    """The phone that rings is hung up, the caller is fetched, both hear each other, and it ends politely."""
    bot.at_once = True
    ear = Speaks()
    call = await phones(twilio, node, ear)
    phone = await leg_of(twilio, DESK)
    await call.log.wait("conference", event="joined")
    talk = await node.takes("ada", call.call_sid)
    await phone.wait_ended()
    async with desk_line(node.at, "ada", talk) as desk:
        await eventually(lambda: "talking" in desk.states)
        from_agent, from_caller = noise(1, 600), noise(2, 600)
        desk.says(from_agent)
        ear.says(from_caller)
        await hears(ear.heard, from_agent)
        await hears(desk.heard, from_caller)
        assert await node.status(call.call_sid) == ("bridged", "ada")
        await node.ends("ada", talk, "goodbye")
        await call.wait_ended()
        await eventually(lambda: desk.states[-1] == "goodbye")
    await hears(ear.heard, LINES["goodbye"])
    await node.channel.status_of(call.call_sid, "ended")
    assert (await node.channel.of_call(call.call_sid)).end_reason == "person_took_over"
    assert await node.status(call.call_sid) == ("done", "ada")
    assert (await told(node.channel, call))[-2:] == ["taken", "at_desk"]
    steps = [one.partition("desk.talk_")[2] for one in await node.channel.events(call.call_sid)]
    assert [one for one in steps if one] == ["requested", "begun", "over"]
    assert len(bot.sessions) == 1
    no_violations(twilio)


async def test_a_supervisor_takes_a_live_call_over_and_hands_it_back(
    twilio: LocalTwilio, listened: TalkNode, bot: Bot, ears: FakeEars
) -> None:
    """On the same socket: the bot steps back, has the caller again, knows why. Both sides are written down,
    but for the card's number, which is taken out of the recording too.
    """
    node, ear = listened, Speaks()
    call = await phones(twilio, node, ear)
    await eventually(lambda: len(bot.sessions) == 1)
    conversation = (await node.channel.of_call(call.call_sid)).id
    refused = await node.api("ada", "POST", f"/api/conversations/{conversation}/take-over")
    assert refused.status_code == 403
    taken = await node.api("cleo", "POST", f"/api/conversations/{conversation}/take-over")
    assert taken.is_success, taken.text
    again = await node.api("cleo", "POST", f"/api/conversations/{conversation}/take-over")
    assert again.json()["id"] == taken.json()["id"], "twice is once"
    async with desk_line(node.at, "cleo", taken.json()) as desk:
        await eventually(lambda: "talking" in desk.states)
        said = noise(3, 600)
        desk.says(said)
        await hears(ear.heard, said)
        for nth, speaker in enumerate((ear, desk), 2):
            await eventually(lambda nth=nth: sum(one.finished for one in ears.opened) >= nth - 1)
            speaker.says(TONE * 30)
        await eventually(lambda: len(node.unsaid) == 1)
        await node.ends("cleo", taken.json(), "bot")
        await eventually(lambda: len(bot.sessions) == 2)
        await eventually(lambda: desk.states[-1] == "bot")
    assert await node.lines(call.call_sid) == [
        ("agent", "this is cleo"),
        ("caller", "can you hear me"),
        ("agent", "my card is [card 1]"),
    ]
    assert [channel for channel, _, _ in node.unsaid] == ["bot"]
    assert node.noted == [("checked", "bot"), ("checked", "caller"), ("masked", "bot")]
    assert bot.sessions[0].stream_sid == bot.sessions[1].stream_sid
    told_why = bot.returns[1]
    assert told_why is not None
    assert (told_why.reason, told_why.spoke) == ("handed_back", True)
    assert (await node.channel.of_call(call.call_sid)).status == "live"
    assert await node.status(call.call_sid) == ("done", "cleo")
    assert legs(twilio, DESK) == []
    call.hang_up()
    await node.channel.status_of(call.call_sid, "ended")
    assert (await node.channel.of_call(call.call_sid)).end_reason == "caller_hung_up"
    no_violations(twilio)


async def test_a_line_that_is_gone_is_held_for_and_taken_up_again(
    twilio: LocalTwilio, node: TalkNode, bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hold line within two seconds, then the agent again; where nobody comes the bot has the caller."""
    ear = Speaks()
    call = await phones(twilio, node, ear)
    await eventually(lambda: len(bot.sessions) == 1)
    conversation = (await node.channel.of_call(call.call_sid)).id
    talk = (await node.api("cleo", "POST", f"/api/conversations/{conversation}/take-over")).json()
    async with desk_line(node.at, "cleo", talk) as desk:
        await eventually(lambda: "talking" in desk.states)
    gone_at = len(ear.heard)
    await hears(ear.heard, LINES["hold"])
    assert likeness(LINES["hold"], bytes(ear.heard[gone_at:]))[1] < HELD_WITHIN_MS
    async with desk_line(node.at, "cleo", talk) as desk:
        await eventually(lambda: "talking" in desk.states)
        said = noise(4, 500)
        desk.says(said)
        await hears(ear.heard, said)
        monkeypatch.setattr("voicebot.handoff.talk.GRACE_S", 1.0)
    await eventually(lambda: len(bot.sessions) == 2)
    told_why = bot.returns[1]
    assert told_why is not None
    assert (told_why.reason, told_why.spoke) == ("agent_left", True)
    assert await node.status(call.call_sid) == ("waiting", None), "somebody else may take it"
    steps = [one.partition("desk.talk_")[2] for one in await node.channel.events(call.call_sid)]
    assert [one for one in steps if one] == ["requested", "begun", "lost", "resumed", "lost", "over"]
    no_violations(twilio)


async def test_of_two_windows_the_newer_has_the_line_and_the_older_gives_it_up(
    twilio: LocalTwilio, database: Database, keys: KeyRing, node: TalkNode, bot: Bot, tmp_path: Path
) -> None:
    """Whichever node they dial: the older one does not dial anew, and the newer one learns that it speaks."""
    call = await phones(twilio, node, Speaks())
    await eventually(lambda: len(bot.sessions) == 1)
    conversation = (await node.channel.of_call(call.call_sid)).id
    talk = (await node.api("cleo", "POST", f"/api/conversations/{conversation}/take-over")).json()
    async with talk_node(twilio, database, keys, Bot(keys, database), tmp_path, node_id="node-b") as other:
        states: list[list[State]] = [[], [], []]
        lines = [
            TalkLine(DeskApi(at, None), "cleo", talk["id"], Peer(), told.append)
            for at, told in zip((node.at, other.at, node.at), states, strict=True)
        ]
        running: list[asyncio.Task[None]] = []
        try:
            for line in lines:
                running.append(asyncio.create_task(line.run()))
                await eventually(lambda line=line: line.state == "talking")
                for before in running[:-1]:
                    async with asyncio.timeout(60):
                        await before
            await asyncio.sleep(3 * AGAIN_S)  # as long as one that took it back would need
            assert states == [["talking", "taken_up"], ["talking", "taken_up"], ["talking"]]
        finally:
            for line in lines:
                line.stop()
            await asyncio.gather(*running)
    no_violations(twilio)


async def test_one_has_the_caller(twilio: LocalTwilio, node: TalkNode, bot: Bot) -> None:
    """Of two desks the first; nobody else, nor after a phone was quicker, nor after the end."""
    bot.at_once = True
    call = await phones(twilio, node, Speaks())
    await leg_of(twilio, DESK)
    handoff = await node.handoff(call.call_sid)
    first, second = await asyncio.gather(
        *(node.api(agent, "POST", f"/api/handoffs/{handoff}/talk") for agent in ("ada", "ben"))
    )
    won, lost = (first, second) if first.is_success else (second, first)
    assert lost.status_code == 409
    winner = won.json()["agent"]
    assert lost.json()["detail"]["claimed_by"] == winner
    loser = "ben" if winner == "ada" else "ada"
    with pytest.raises(InvalidStatus) as refused:
        async with desk_line(node.at, loser, won.json()):
            pass
    assert refused.value.response.status_code == 403
    denied = await node.api(loser, "POST", f"/api/talks/{won.json()['id']}/end", then="goodbye")
    assert denied.status_code == 403
    call.hang_up()
    await node.channel.status_of(call.call_sid, "ended")
    assert await node.status(call.call_sid) == ("missed", None), "never spoken to: to be called back"
    late = await node.api(loser, "POST", f"/api/handoffs/{handoff}/talk")
    assert (late.status_code, late.json()["detail"]["why"]) == (409, "ended")
    twilio.people = {DESK: Person(after_s=0.1, ear=Quiet)}
    call = await phones(twilio, node, Speaks())
    phone = await leg_of(twilio, DESK, 1)
    await presses(phone, "1")
    await reaches(node.channel, call, "bridged")
    late = await node.api("ada", "POST", f"/api/handoffs/{await node.handoff(call.call_sid)}/talk")
    assert (late.status_code, late.json()["detail"]["claimed_by"]) == (409, "desk 1")
    no_violations(twilio)


async def test_the_caller_hangs_up(twilio: LocalTwilio, node: TalkNode, bot: Bot) -> None:
    """The agent is told, the hand-over is done, and nobody comes back."""
    call = await phones(twilio, node, Speaks())
    await eventually(lambda: len(bot.sessions) == 1)
    conversation = (await node.channel.of_call(call.call_sid)).id
    talk = (await node.api("cleo", "POST", f"/api/conversations/{conversation}/take-over")).json()
    async with desk_line(node.at, "cleo", talk) as desk:
        await eventually(lambda: "talking" in desk.states)
        call.hang_up()
        await eventually(lambda: desk.states[-1] == "caller_left")
        await eventually(lambda: desk.socket.close_code == 1000)
    assert await node.status(call.call_sid) == ("done", "cleo")
    assert (await node.channel.of_call(call.call_sid)).end_reason == "person_took_over"


async def test_whichever_node_and_whichever_socket(
    twilio: LocalTwilio, database: Database, keys: KeyRing, node: TalkNode, bot: Bot, tmp_path: Path
) -> None:
    """The desk's line reaches a node that does not have the call, and is passed on; the caller's socket
    breaks, they are fetched, and the same line has them again.
    """
    ear = Speaks()
    async with talk_node(twilio, database, keys, Bot(keys, database), tmp_path, node_id="node-b") as other:
        call = await phones(twilio, node, ear)
        await eventually(lambda: len(bot.sessions) == 1)
        conversation = (await node.channel.of_call(call.call_sid)).id
        talk = (await other.api("cleo", "POST", f"/api/conversations/{conversation}/take-over")).json()
        async with desk_line(other.at, "cleo", talk) as desk:
            await eventually(lambda: "talking" in desk.states)
            before, after, back = noise(5, 400), noise(6, 400), noise(7, 400)
            desk.says(before)
            await hears(ear.heard, before)
            call.break_socket()
            await eventually(lambda: desk.states.count("talking") == 2)
            desk.says(after)
            ear.says(back)
            await hears(ear.heard, after)
            await hears(desk.heard, back)
            assert likeness(LINES["back"], bytes(ear.heard))[0] > SURE, "they are told why they heard nothing"
            await other.ends("cleo", talk, "queue")
            await eventually(lambda: desk.states == ["talking", "away", "talking", "queue"])
        await eventually(lambda: len(bot.sessions) == 2)
    assert await node.status(call.call_sid) == ("waiting", None)


async def test_an_agent_who_changes_their_mind_while_the_bot_steps_back(
    twilio: LocalTwilio, node: TalkNode, bot: Bot
) -> None:
    """The bot has the caller on, on the same socket: nobody is dialled."""
    bot.spoken.clear()
    call = await phones(twilio, node, Speaks())
    await eventually(lambda: len(bot.sessions) == 1)
    conversation = (await node.channel.of_call(call.call_sid)).id
    talk = (await node.api("cleo", "POST", f"/api/conversations/{conversation}/take-over")).json()
    await eventually(lambda: bot.stepping)
    await node.ends("cleo", talk, "bot")
    bot.spoken.set()
    await eventually(lambda: len(bot.sessions) == 2)
    assert bot.sessions[1] is bot.sessions[0]
    assert [one.reason if one else None for one in bot.returns] == [None, "handed_back"]
    no_violations(twilio)


@pytest.mark.parametrize("then", ["bot", "goodbye"])
async def test_an_agent_who_changes_their_mind(
    twilio: LocalTwilio, node: TalkNode, bot: Bot, then: str
) -> None:
    """Before the caller has come: they are with the bot, or told goodbye, and dialled through to nobody."""
    bot.at_once = True
    ear = Speaks()
    call = await phones(twilio, node, ear)
    await leg_of(twilio, DESK)
    await call.log.wait("conference", event="joined")
    talk = await node.takes("ada", call.call_sid)
    await node.ends("ada", talk, then)
    if then == "goodbye":
        await call.wait_ended()
        await hears(ear.heard, LINES["goodbye"])
        return
    await eventually(lambda: len(bot.sessions) == 2)
    told_why = bot.returns[1]
    assert told_why is not None
    assert (told_why.reason, told_why.spoke) == ("handed_back", False)
    no_violations(twilio)
