"""Warm transfers over the wire: a real server, the local Twilio, people who answer, decline, or do not.

One test per edge; each ends with nothing that Twilio would have objected to, on any leg.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio
from transfer_kit import (
    DESK,
    DESK_2,
    LAST,
    HandsOver,
    Lines,
    caller,
    leg_of,
    legs,
    node,
    people_of,
    presses,
    reaches,
    told,
    transfer_of,
)
from twilio_kit import Channel, eventually, free_port, url_of

from voicebot.audio.mulaw import decode
from voicebot.audio.speaking.wavefile import SpokenAudio, to_wav
from voicebot.channels.twilio.media import MediaSession
from voicebot.channels.twilio.transfer.words import Words
from voicebot.core.store import handoffs, transfers
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.handoff.transfer import machine
from voicebot.proof.simulation import (
    LocalCall,
    LocalTwilio,
    Person,
    Quiet,
    late,
    out_of_order,
    twice,
)
from voicebot.proof.simulation.faults import RestFault

PICKS_UP = Person(after_s=0.2, ear=Quiet)
BUSY = Person(does="busy", after_s=0.2)
RINGS_ON = Person(does="no_answer")


@pytest_asyncio.fixture
async def twilio() -> AsyncIterator[LocalTwilio]:
    async with LocalTwilio() as running:
        running.people = {DESK: PICKS_UP, DESK_2: BUSY, LAST: PICKS_UP}
        yield running


@pytest.fixture
def bot(keys: KeyRing, database: Database) -> HandsOver:
    return HandsOver(keys, database)


@pytest_asyncio.fixture
async def channel(
    twilio: LocalTwilio, database: Database, keys: KeyRing, bot: HandsOver
) -> AsyncIterator[Channel]:
    async with node(twilio, database, keys, bot) as running:
        yield running


def no_violations(twilio: LocalTwilio) -> None:
    assert [str(one) for call in twilio.calls for one in call.violations] == []
    assert [str(one) for room in twilio.conferences for one in room.log.notifications if one.protocol] == []


async def back_with_the_bot(bot: HandsOver, sessions: int = 2) -> None:
    await eventually(lambda: len(bot.sessions) >= sessions)


async def status_of_handoff(channel: Channel, call: LocalCall) -> str:
    snapshot = await channel.of_call(call.call_sid)
    async with channel.database.transaction() as tx:
        return (await handoffs.list(tx, conversation_id=snapshot.id))[-1]["status"]


async def test_accepted_and_bridged(twilio: LocalTwilio, channel: Channel, bot: HandsOver) -> None:
    """Rung while the bot still speaks, briefed, accepted, together in the room; ends as taken over."""
    bot.spoken.clear()
    call = await caller(twilio, channel)
    agent = await leg_of(twilio, DESK)
    assert len(bot.sessions) == 1, "nobody has hung up on the bot yet"
    bot.spoken.set()
    await presses(agent, "1")
    transfer = await reaches(channel, call, "bridged")
    assert [e.data["text"] for e in agent.log.of("text")][:1] == ["A caller."]
    (room,) = twilio.conferences
    assert room.friendly_name == transfer.room == f"vb-{transfer.id}"
    assert {p.spec.label for p in room.participants.values()} == {"caller-1", "agent-1"}
    call.hang_up()
    await call.wait_ended()
    await agent.wait_ended()
    await reaches(channel, call, "caller_left")
    await channel.status_of(call.call_sid, "ended")
    assert (await channel.of_call(call.call_sid)).end_reason == "person_took_over"
    assert await told(channel, call) == [
        "requested",
        "ringing",
        "briefing",
        "accepted",
        "bridged",
        "caller_left",
    ]
    assert await status_of_handoff(channel, call) == "done"
    async with channel.database.transaction() as tx:
        row = await transfers.get(tx, transfer.id)
    assert row.ringing_at is not None
    assert row.bridged_at is not None
    assert row.requested_at <= row.ringing_at <= row.bridged_at
    assert len(legs(twilio, DESK)) == 1
    no_violations(twilio)


async def test_hold_audio_reaches_no_recogniser(
    twilio: LocalTwilio, channel: Channel, bot: HandsOver
) -> None:
    """Who waits hears our own sound at once and is never silent for long; the bot's socket is closed."""
    twilio.people = {DESK: RINGS_ON}
    call = await caller(twilio, channel)
    await call.log.wait("conference", event="joined")
    frames = len(bot.heard)
    since_ms = call.log.clock_ms()
    await asyncio.sleep(3.0)  # real sound takes real time
    heard = decode(bytes(call.recording.heard[int(since_ms) * 8 :])).astype(float)
    level = np.sqrt((heard[: heard.size // 800 * 800].reshape(-1, 800) ** 2).mean(axis=1))
    assert level.size > 20
    assert (level > 100).all(), f"silent for a tenth of a second: {level.round()}"
    assert (len(bot.heard), len(bot.sessions)) == (frames, 1)
    no_violations(twilio)


async def test_declined_and_busy_then_the_bot_returns(
    twilio: LocalTwilio, channel: Channel, bot: HandsOver
) -> None:
    """The first presses 2, the second is busy: the same conversation goes on, and the bot is told why."""
    call = await caller(twilio, channel)
    await presses(await leg_of(twilio, DESK), "2")
    await back_with_the_bot(bot)
    first, second = bot.sessions
    assert second.conversation_id == first.conversation_id
    assert second.returned is not None
    assert (second.returned.reason, second.returned.spoke) == ("busy", False)
    transfer = await reaches(channel, call, "returned")
    assert [(t.destination, t.outcome) for t in transfer.tried] == [
        ("desk 1", "declined"),
        ("desk 2", "busy"),
    ]
    assert (await channel.of_call(call.call_sid)).status == "live"
    assert await status_of_handoff(channel, call) == "missed"
    assert (await told(channel, call))[-2:] == ["busy", "returned"]
    assert call.status == "in-progress"
    await eventually(lambda: legs(twilio, DESK)[0].ended)
    call.hang_up()
    await channel.status_of(call.call_sid, "ended")
    assert (await channel.of_call(call.call_sid)).end_reason == "caller_hung_up"
    no_violations(twilio)


async def test_nobody_before_the_bot_has_finished_its_words(
    twilio: LocalTwilio, channel: Channel, bot: HandsOver
) -> None:
    """The caller never enters a room: the bot's own document brings it back, and no REST request is made."""
    twilio.people = {DESK: BUSY, DESK_2: BUSY}
    bot.spoken.clear()
    call = await caller(twilio, channel)
    await reaches(channel, call, "busy")
    assert len(bot.sessions) == 1
    bot.spoken.set()
    await back_with_the_bot(bot)
    assert bot.sessions[1].returned is not None
    assert bot.sessions[1].returned.reason == "busy"
    assert (await channel.of_call(call.call_sid)).status == "live"
    assert (twilio.conferences, call.log.of("rest")) == ([], [])
    no_violations(twilio)


async def test_no_answer(
    twilio: LocalTwilio, channel: Channel, bot: HandsOver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both phones ring out; afterwards the caller may ask again, and is put through again."""
    monkeypatch.setattr("voicebot.channels.twilio.transfer.carrying.RING_S", 5)
    twilio.people = {DESK: RINGS_ON, DESK_2: Person(does="fail", after_s=0.1)}
    bot.at_once = False
    call = await caller(twilio, channel)
    await back_with_the_bot(bot, 1)
    await call.press("0")
    await back_with_the_bot(bot)
    assert bot.sessions[1].returned is not None
    assert bot.sessions[1].returned.reason == "failed"
    transfer = await transfer_of(channel, call)
    assert [t.outcome for t in transfer.tried] == ["no_answer", "failed"]
    monkeypatch.undo()
    twilio.people = {DESK: PICKS_UP}
    await call.press("0")
    await presses(await leg_of(twilio, DESK, 1), "1")
    await reaches(channel, call, "bridged")
    no_violations(twilio)


async def test_somebody_answers_and_says_nothing(
    twilio: LocalTwilio, database: Database, keys: KeyRing, bot: HandsOver
) -> None:
    """Asked again, then as declined; the leg is hung up."""
    async with node(twilio, database, keys, bot, key_wait_s=1) as channel:
        call = await caller(twilio, channel)
        agent = await leg_of(twilio, DESK)
        await agent.wait_ended()
        assert len(agent.log.of("verb", name="Gather")) == 2
        await back_with_the_bot(bot)
        transfer = await transfer_of(channel, call)
        assert [t.outcome for t in transfer.tried] == ["declined", "busy"]
        no_violations(twilio)


async def test_the_person_leaves_after_the_bridge(
    twilio: LocalTwilio, channel: Channel, bot: HandsOver
) -> None:
    """The caller is not left alone in the room: the bot is there again and knows that they have spoken."""
    call = await caller(twilio, channel)
    agent = await leg_of(twilio, DESK)
    await presses(agent, "1")
    await reaches(channel, call, "bridged")
    agent.hang_up()
    await back_with_the_bot(bot)
    assert bot.sessions[1].returned is not None
    assert (bot.sessions[1].returned.reason, bot.sessions[1].returned.spoke) == ("agent_left", True)
    assert await told(channel, call) == [
        "requested",
        "ringing",
        "briefing",
        "accepted",
        "bridged",
        "agent_left",
        "returned",
    ]
    assert await status_of_handoff(channel, call) == "done"
    await asyncio.sleep(0.3)  # nobody sends the caller anywhere once more
    assert len(bot.sessions) == 2
    no_violations(twilio)


async def test_the_caller_hangs_up_while_it_rings(
    twilio: LocalTwilio, channel: Channel, bot: HandsOver
) -> None:
    """Nobody's phone rings on for a caller who is gone; the handoff can still be called back."""
    twilio.people = {DESK: RINGS_ON}
    call = await caller(twilio, channel)
    agent = await leg_of(twilio, DESK)
    await call.log.wait("conference", event="joined")
    call.hang_up()
    await call.wait_ended()
    await asyncio.wait_for(agent.wait_ended(), 60)
    await reaches(channel, call, "caller_left")
    await channel.status_of(call.call_sid, "ended")
    assert (await channel.of_call(call.call_sid)).end_reason == "caller_hung_up"
    assert await status_of_handoff(channel, call) == "missed"
    no_violations(twilio)


@pytest.mark.parametrize("plan", [late(0.6), twice(), out_of_order()], ids=["late", "twice", "out_of_order"])
async def test_whatever_the_callbacks_do(
    twilio: LocalTwilio, channel: Channel, bot: HandsOver, plan: object
) -> None:
    """Delayed, doubled or in another order: one dial each, the same end, each state told once."""
    twilio.options.callbacks = twilio.options.conference_callbacks = plan  # pyright: ignore[reportAttributeAccessIssue]
    twilio.people = {DESK: BUSY, DESK_2: PICKS_UP}
    call = await caller(twilio, channel)
    await presses(await leg_of(twilio, DESK_2), "1")
    await reaches(channel, call, "bridged")
    call.hang_up()
    await reaches(channel, call, "caller_left")
    for leg in (*legs(twilio, DESK), *legs(twilio, DESK_2)):
        await leg.wait_ended()
        await leg.settle()
    events = await told(channel, call)
    assert len(events) - events.count("requested") - events.count("ringing") == len(
        {*events} - {"requested", "ringing"}
    )
    assert (events[-1], events.count("bridged"), events.count("requested")) == ("caller_left", 1, 2)
    assert (len(legs(twilio, DESK)), len(legs(twilio, DESK_2))) == (1, 1)
    no_violations(twilio)


async def test_a_dial_that_twilio_made_and_did_not_say_so(
    twilio: LocalTwilio, channel: Channel, bot: HandsOver
) -> None:
    """5xx after the deed: found by its callbacks, never dialled again."""
    twilio.faults = [RestFault(path="/Calls.json", method="POST", how="done_then_refused")]
    call = await caller(twilio, channel)
    await presses(await leg_of(twilio, DESK), "1")
    await reaches(channel, call, "bridged")
    assert len(legs(twilio, DESK)) == 1
    assert legs(twilio, DESK_2) == []
    no_violations(twilio)


async def test_a_dial_without_an_answer_and_without_callbacks(
    twilio: LocalTwilio, channel: Channel, bot: HandsOver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its outcome is unknown and no callback comes: it is looked for, found, and adopted."""
    monkeypatch.setattr(machine, "LOOK_S", 0.2)
    other = await caller(twilio, channel)
    await presses(await leg_of(twilio, DESK), "1")
    await reaches(channel, other, "bridged")  # another caller's leg to the same number is not mistaken for it
    call, agent = await rung_without_a_word(twilio, channel, RINGS_ON)

    async def adopted() -> bool:
        return (await transfer_of(channel, call)).leg == agent.call_sid

    await eventually(adopted)
    assert agent.status == "ringing", "found in the list: nobody picks up"
    assert len(legs(twilio, DESK)) == 2
    no_violations(twilio)


async def test_a_bridge_that_no_callback_tells_of(
    twilio: LocalTwilio, channel: Channel, bot: HandsOver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The room is looked at."""
    monkeypatch.setattr(machine, "LOOK_S", 0.2)
    call, agent = await rung_without_a_word(twilio, channel, PICKS_UP)
    await presses(agent, "1")
    await reaches(channel, call, "bridged")
    assert len(legs(twilio, DESK)) == 1
    no_violations(twilio)


async def rung_without_a_word(
    twilio: LocalTwilio, channel: Channel, who: Person
) -> tuple[LocalCall, LocalCall]:
    """A caller, and the newest leg: an answer was lost, and no callback comes."""
    known = len(legs(twilio, DESK))
    twilio.options.callbacks = lambda _: ()
    twilio.options.conference_callbacks = lambda _: ()
    twilio.people = {DESK: who}
    twilio.faults = [RestFault(path="/Calls.json", method="POST", how="done_then_refused")]
    call = await caller(twilio, channel)
    return call, await leg_of(twilio, DESK, known)


async def test_a_dial_that_was_never_made(
    twilio: LocalTwilio, channel: Channel, bot: HandsOver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """5xx without the deed: looked for, not found, dialled once more."""
    monkeypatch.setattr(machine, "LOOK_S", 0.2)
    monkeypatch.setattr(machine, "LOST_S", 0.8)
    twilio.faults = [RestFault(path="/Calls.json", method="POST", how="refused")]
    call = await caller(twilio, channel)
    await presses(await leg_of(twilio, DESK), "1")
    transfer = await reaches(channel, call, "bridged")
    assert (transfer.attempt, transfer.redialled) == (2, True)
    assert len(legs(twilio, DESK)) == 1
    no_violations(twilio)


async def test_rest_is_down(twilio: LocalTwilio, database: Database, keys: KeyRing, bot: HandsOver) -> None:
    """Nobody can be dialled by REST: the caller is dialled through to the last resort, by TwiML alone."""
    twilio.faults = [RestFault(status=503, times=1000)]
    bot.spoken.clear()
    async with node(twilio, database, keys, bot, cold=True) as channel:
        call = await caller(twilio, channel)
        await reaches(channel, call, "failed")
        bot.spoken.set()
        leg = await leg_of(twilio, LAST)
        assert leg.parent_sid == call.call_sid
        await eventually(lambda: leg.status == "in-progress")
        assert (await transfer_of(channel, call)).forwarded
        assert len(twilio.calls) == 2
        no_violations(twilio)


async def test_dialled_through_while_somebody_is_rung(
    twilio: LocalTwilio, database: Database, keys: KeyRing, bot: HandsOver
) -> None:
    """Twilio could not fetch a document of ours: the caller gets the last resort, the other phone stops."""
    twilio.people = {DESK: RINGS_ON}
    async with node(twilio, database, keys, bot, cold=True) as channel:
        call = await caller(twilio, channel)
        agent = await leg_of(twilio, DESK)
        await call.log.wait("conference", event="joined")
        answer = await channel.post(
            "/twilio/resume", token=twilio.auth_token, CallSid=call.call_sid, ErrorCode="11200"
        )
        assert LAST in answer.text
        await asyncio.wait_for(agent.wait_ended(), 60)
        transfer = await transfer_of(channel, call)
        assert (transfer.state.value, transfer.forwarded) == ("cancelled", True)


async def test_the_node_dies_between_dial_and_bridge(
    twilio: LocalTwilio, database: Database, keys: KeyRing, bot: HandsOver
) -> None:
    """Its successor knows everything from the row: the briefing goes on, they are bridged; one dial."""
    port = free_port()
    again = port.dup()  # who asks while no node is there waits for the next one
    twilio.people = {DESK: Person(after_s=2.0, ear=Quiet)}
    async with node(twilio, database, keys, bot, port=port) as channel:
        call = await caller(twilio, channel)
        agent = await leg_of(twilio, DESK)
        await call.log.wait("conference", event="joined")

        async def rung() -> bool:
            return "ringing" in await told(channel, call)

        await eventually(rung)
    async with node(twilio, database, keys, bot, port=again, node_id="node-b") as channel:
        assert channel.url == url_of(again)
        await presses(agent, "1")
        await reaches(channel, call, "bridged")
        assert len(legs(twilio, DESK)) == 1
        assert len(bot.sessions) == 1
        no_violations(twilio)


async def test_the_node_dies_while_it_dials(
    twilio: LocalTwilio, database: Database, keys: KeyRing, bot: HandsOver
) -> None:
    """Claimed by a node that is gone, and the phone may ring: another looks, and dials no second time."""
    async with node(twilio, database, keys, bot, keeps=False) as channel:
        call = await caller(twilio, channel)
        await call.log.wait("conference", event="joined")
        transfer = await transfer_of(channel, call)
        async with database.transaction() as tx:
            (claimed,) = await transfers.claim(tx, "dead")
        assert channel.services.rest is not None
        await channel.services.rest.create_call(
            to=DESK,
            from_=next(iter(twilio.numbers)),
            url=f"{channel.url}/twilio/transfer/{transfer.id}/brief/1",
        )
        async with database.transaction() as tx:
            assert await transfers.claim(tx, "node-b") == [], "its lease has not ended"
            await tx.execute("UPDATE transfer_effects SET expires_at = clock_timestamp() - interval '1 s'")
        keeping = asyncio.create_task(channel.services.keep_transfers())
        await presses(await leg_of(twilio, DESK), "1")
        await reaches(channel, call, "bridged")
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        assert claimed.claims == 1
        assert len(legs(twilio, DESK)) == 1
        no_violations(twilio)


async def test_two_nodes_carry_the_same_transfer(
    twilio: LocalTwilio, database: Database, keys: KeyRing, bot: HandsOver
) -> None:
    """Both see that somebody is to be dialled; one dials, either takes the callbacks."""
    async with (
        node(twilio, database, keys, HandsOver(keys, database), node_id="node-b"),
        node(twilio, database, keys, bot) as channel,
    ):
        calls = [await caller(twilio, channel) for _ in range(3)]
        for nth in range(3):
            await presses(await leg_of(twilio, DESK, nth), "1")
        for call in calls:
            await reaches(channel, call, "bridged")
        assert len(legs(twilio, DESK)) == 3
        assert len(twilio.calls) == 6
        no_violations(twilio)


async def test_a_call_that_came_by_a_number_that_is_not_the_accounts(
    twilio: LocalTwilio, channel: Channel
) -> None:
    """People are rung with a number that is: the other one is refused, which dials nobody."""
    call = await twilio.phone(f"{channel.url}/twilio/voice", ear=Quiet(), to="+12025550177")
    agent = await leg_of(twilio, DESK)
    assert agent.from_ in twilio.numbers
    assert [one.code for one in twilio.refusals] == [21210]
    await presses(agent, "1")
    await reaches(channel, call, "bridged")
    no_violations(twilio)


async def test_what_is_not_on_the_list_is_not_dialled(
    twilio: LocalTwilio, database: Database, keys: KeyRing, bot: HandsOver
) -> None:
    """Taken off the list after it was chosen: refused and audited, and the next one is rung."""
    async with node(twilio, database, keys, bot, keeps=False) as channel:
        call = await caller(twilio, channel)
        await eventually(lambda: len(bot.sessions) == 1)
        await call.log.wait("conference", event="joined")
        ours = channel.services.transfers
        assert ours is not None
        ours.transferring.people = people_of(DESK_2).model_copy(
            update={"destinations_": people_of(DESK, DESK_2).destinations_[1:]}
        )
        keeping = asyncio.create_task(channel.services.keep_transfers())
        await leg_of(twilio, DESK_2)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        assert legs(twilio, DESK) == []
        assert "not_listed" in await channel.refusals()


async def test_what_is_said_in_the_room_is_heard(
    twilio: LocalTwilio, database: Database, keys: KeyRing, bot: HandsOver
) -> None:
    """Each leg has a stream of its own; the caller's ends when the bot has the call again."""
    running: dict[str, MediaSession] = {}

    async def run_leg(session: MediaSession) -> None:
        leg = session.custom["leg"]
        running[leg] = session
        async for _ in session.messages():
            pass
        del running[leg]

    async with node(twilio, database, keys, bot, run_leg=run_leg) as channel:
        call = await caller(twilio, channel)
        agent = await leg_of(twilio, DESK)
        await presses(agent, "1")
        await reaches(channel, call, "bridged")
        await eventually(lambda: {*running} == {"caller", "agent"})
        assert running["agent"].call_sid == agent.call_sid
        agent.hang_up()
        await back_with_the_bot(bot)
        await eventually(lambda: not running)
        assert call.status == "in-progress"
        no_violations(twilio)


async def test_the_briefing_in_the_bots_voice(
    twilio: LocalTwilio, database: Database, keys: KeyRing, bot: HandsOver
) -> None:
    """Rendered while the phone rings, played when somebody picks up; nobody else can have it."""
    sound = to_wav(SpokenAudio(b"\x11" * 4000))

    async def wav(text: str) -> bytes | None:
        return sound if text == "A caller." else None

    async with node(twilio, database, keys, bot, words=Words(Lines(), render=wav)) as channel:
        call = await caller(twilio, channel)
        agent = await leg_of(twilio, DESK)
        await agent.log.wait("verb", name="Gather")
        transfer = await transfer_of(channel, call)
        address = f"{channel.url}/twilio/transfer/{transfer.id}/briefing.wav"
        assert (await channel.http.get(address)).content == sound
        await agent.press("1")
        await reaches(channel, call, "bridged")
        assert address in [e.data.get("url") for e in agent.log.entries]
        assert (await channel.http.get(address)).status_code == 404
        no_violations(twilio)


async def test_nobody_told_us_that_the_caller_has_left(
    twilio: LocalTwilio, database: Database, keys: KeyRing, bot: HandsOver
) -> None:
    """The server was away when both hung up, and no callback comes again: asked, found, ended."""
    async with node(twilio, database, keys, bot) as channel:
        call = await caller(twilio, channel)
        agent = await leg_of(twilio, DESK)
        await presses(agent, "1")
        await reaches(channel, call, "bridged")
    call.hang_up()
    await asyncio.gather(call.wait_ended(), agent.wait_ended())
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE transfers SET due_at = now(), body = jsonb_set(body, '{due}', '\"2026-01-01T00:00:00Z\"')"
        )
    async with node(twilio, database, keys, bot, node_id="node-b") as channel:
        await channel.status_of(call.call_sid, "ended")
        assert (await channel.of_call(call.call_sid)).end_reason == "person_took_over"
        await reaches(channel, call, "caller_left")


async def test_unknown_forged_and_foreign(twilio: LocalTwilio, channel: Channel) -> None:
    """No transfer: 404 and no trace. No signature: 403. Another call's room: 404."""
    call = await caller(twilio, channel)
    await call.log.wait("conference", event="joined")
    before = await transfer_of(channel, call)
    stranger = "CA" + "9" * 32
    for path in ("brief/1", "leg/1", "room", "back/1", "hold/1", "left/1", "pressed/1/1"):
        unknown = f"/twilio/transfer/tr_{'0' * 32}/{path}"
        answer = await channel.post(unknown, token=twilio.auth_token, CallSid=stranger, CallStatus="ringing")
        assert answer.status_code == 404, path
        answer = await channel.post(f"/twilio/transfer/{before.id}/{path}", token="f" * 32, CallSid=stranger)
        assert answer.status_code == 403, path
    for path in ("back/1", "nonsense/1", "brief/x", "brief/1/2", "room/1", "leg"):
        answer = await channel.post(
            f"/twilio/transfer/{before.id}/{path}",
            token=twilio.auth_token,
            CallSid=stranger,
            CallStatus="in-progress",
        )
        assert answer.status_code == 404, path
    assert (
        await channel.http.get(f"{channel.url}/twilio/transfer/{before.id}/briefing.wav")
    ).status_code == 404
    for path in ("words/secrets/0.wav", "words/waiting/%C2%B2.wav", f"words/waiting/{'9' * 5000}.wav"):
        assert (await channel.http.get(f"{channel.url}/twilio/transfer/{path}")).status_code == 404, path[:40]
    for path in ("tr_%00/briefing.wav", "x/briefing.wav"):  # nobody signs these
        assert (await channel.http.get(f"{channel.url}/twilio/transfer/{path}")).status_code == 404, path
    for steps in ("brief/\N{SUPERSCRIPT TWO}", f"leg/{'9' * 5000}"):
        one = f"/twilio/transfer/{before.id}/{steps}"
        answer = await channel.post(one, token=twilio.auth_token, CallSid=stranger, CallStatus="ringing")
        assert answer.status_code in {403, 404}, steps[:20]
    async with channel.database.transaction() as tx:
        rows = await tx.execute("SELECT count(*) AS n FROM transfers")
        assert (await rows.fetchone() or {})["n"] == 1


async def test_a_stray_leg_is_let_go(twilio: LocalTwilio, channel: Channel) -> None:
    """Somebody answers a dial that counts no more: a goodbye, and hung up."""
    call = await caller(twilio, channel)
    agent = await leg_of(twilio, DESK)
    await presses(agent, "1")
    transfer = await reaches(channel, call, "bridged")
    stray = "CA" + "7" * 32
    answer = await channel.post(
        f"/twilio/transfer/{transfer.id}/brief/1",
        token=twilio.auth_token,
        CallSid=stray,
        CallStatus="in-progress",
    )
    assert "<Hangup" in answer.text
    assert "<Conference" not in answer.text
    assert (await transfer_of(channel, call)).leg == agent.call_sid
