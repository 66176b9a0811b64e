"""A talk goes with its handoff: taken once, ended once, the bot told once; who never came can be called."""

from __future__ import annotations

import asyncio

import pytest

from voicebot.core.conversation import Channel
from voicebot.core.store import audit, handoffs, outbox, talks
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.talks import Ending, Talk
from voicebot.handoff.claims import Taken, take_step
from voicebot.handoff.talks import NoCaller, Talks

CALL = "CA" + "7" * 32


class Desk:
    """One waiting handoff of a call, and what agents do with it."""

    def __init__(self, database: Database, keys: KeyRing) -> None:
        self.database, self.keys = database, keys
        self.talks = Talks(keys, None)
        self.conversation = self.handoff = ""

    async def begin(self, channel: Channel = Channel.PHONE) -> None:
        async with self.database.transaction() as tx:
            self.conversation = await Conversations(self.keys).create(
                tx,
                channel=channel,
                call_sid=CALL if channel is Channel.PHONE else None,
                caller=None,
                called=None,
                state={},
            )
            self.handoff = await handoffs.save(
                tx,
                self.keys,
                conversation_id=self.conversation,
                turn=1,
                trigger="asked_for_person",
                urgency="normal",
                payload={},
            )

    async def takes(self, agent: str) -> Talk:
        async with self.database.transaction() as tx:
            return await self.talks.take(tx, self.handoff, agent)

    async def ends(self, talk: Talk, ending: Ending) -> Talk:
        async with self.database.transaction() as tx:
            return await self.talks.end(tx, talk.id, ending, "agent_done", who="ada")

    async def speaks(self, talk: Talk) -> None:
        async with self.database.transaction() as tx:
            await self.talks.connected(tx, talk.id)

    async def status(self) -> tuple[str, str | None]:
        async with self.database.transaction() as tx:
            row = await handoffs.bare(tx, self.handoff)
        return row["status"], row["claimed_by"]


@pytest.fixture
def desk(database: Database, keys: KeyRing) -> Desk:
    return Desk(database, keys)


async def test_of_two_agents_one_has_the_caller(desk: Desk) -> None:
    """At the same moment; and the same agent again has the same talk."""
    await desk.begin()
    found = await asyncio.gather(desk.takes("ada"), desk.takes("ben"), return_exceptions=True)
    (talk,) = (one for one in found if isinstance(one, Talk))
    (lost,) = (one for one in found if isinstance(one, Taken))
    assert lost.holder == talk.agent
    assert (await desk.takes(talk.agent)).id == talk.id
    assert await desk.status() == ("accepted", talk.agent)


@pytest.mark.parametrize(
    ("ending", "spoke", "expected"),
    [
        ("goodbye", True, ("done", "ada")),
        ("bot", True, ("done", "ada")),
        ("queue", True, ("waiting", None)),
        ("caller_left", True, ("done", "ada")),
        ("caller_left", False, ("missed", None)),
    ],
)
async def test_the_handoff_goes_with_it(
    desk: Desk, ending: Ending, spoke: bool, expected: tuple[str, str | None]
) -> None:
    """Settled, or somebody else's to take, or to be called back; the first ending stays."""
    await desk.begin()
    talk = await desk.takes("ada")
    if spoke:
        await desk.speaks(talk)
        assert await desk.status() == ("bridged", "ada")
    await desk.ends(talk, ending)
    assert (await desk.ends(talk, "queue")).ending == ending
    assert await desk.status() == expected


async def test_the_bot_is_told_once(desk: Desk) -> None:
    """Whichever node asks; not at all where there is nobody left to tell."""
    await desk.begin()
    talk = await desk.takes("ada")
    await desk.ends(talk, "bot")
    async with desk.database.transaction() as tx:
        told = await desk.talks.after(tx, desk.conversation)
        again = await desk.talks.after(tx, desk.conversation)
    assert told is not None
    assert told != "goodbye"
    assert (told.reason, told.spoke, again) == ("handed_back", False, None)


async def test_nobody_is_on_the_line(desk: Desk) -> None:
    """A chat, or a call that is over: said in words, and nothing is claimed."""
    await desk.begin(Channel.CHAT)
    with pytest.raises(NoCaller) as refused:
        await desk.takes("ada")
    assert refused.value.why == "no_call"
    assert await desk.status() == ("waiting", None)
    await desk.begin()
    async with desk.database.transaction() as tx:
        await Conversations(desk.keys).finish(tx, desk.conversation, reason="caller_hung_up")
    with pytest.raises(NoCaller) as refused:
        await desk.takes("ada")
    assert refused.value.why == "ended"


async def test_every_step_is_told_and_audited(desk: Desk) -> None:
    """By whom and in order; what says nothing new leaves nothing."""
    await desk.begin()
    talk = await desk.takes("ada")
    for step in (desk.talks.connected, desk.talks.connected, desk.talks.lost, desk.talks.connected):
        async with desk.database.transaction() as tx:
            await step(tx, talk.id)
    await desk.ends(talk, "goodbye")
    async with desk.database.transaction() as tx:
        events = await outbox.events_of(tx, desk.keys, desk.conversation)
        records = await audit.records(tx)
    expected = ["requested", "begun", "lost", "resumed", "over"]
    assert [e.type for e in events if e.type.startswith("desk.")] == [f"desk.talk_{one}" for one in expected]
    told = [(r["what"], r["actor"]) for r in records if r["what"].startswith("talk.")]
    assert sorted(told) == sorted((f"talk.{one}", "ada") for one in expected)


async def test_a_handoff_that_is_given_back_ends_the_talk(desk: Desk) -> None:
    """By a supervisor too: whoever carries it sees that it is theirs no more."""
    await desk.begin()
    talk = await desk.takes("ada")
    async with desk.database.transaction() as tx:
        assert await desk.talks.held(tx, talk)
        await take_step(tx, desk.keys, desk.handoff, "decline", "cleo", supervises=True)
        assert not await desk.talks.held(tx, talk)


async def test_who_does_not_come_is_not_waited_for(desk: Desk) -> None:
    """But who is on some node's socket is."""
    await desk.begin()
    talk = await desk.takes("ada")
    async with desk.database.transaction() as tx:
        assert await talks.not_come(tx, 60.0) == []
        await tx.execute("UPDATE talks SET asked_at = asked_at - interval '61 s'")
        assert await talks.not_come(tx, 60.0) == [talk.id]
        await tx.execute(
            "INSERT INTO leases (call_sid, conversation_id, stream_sid, node_id, address, expires_at)"
            " VALUES (%s, %s, 'MZ1', 'node-a', 'a', clock_timestamp() + interval '3 s')",
            (CALL, desk.conversation),
        )
        assert await talks.not_come(tx, 60.0) == []
