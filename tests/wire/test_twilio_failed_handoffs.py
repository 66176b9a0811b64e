"""A caller whom a failure sends to a person is in the queue, with all that is stored of the call."""

from __future__ import annotations

import pytest
from twilio_kit import CALLER, Channel, new_sid, twilio_channel

from voicebot.channels.twilio.media import CallOutcome, MediaSession
from voicebot.channels.twilio.resumption import MAX_SESSIONS
from voicebot.core.conversation import Action, Decision, Heard, Route, TurnTimings, Utterance
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.state import load, new_state


class Failing:
    """Takes one turn, then gives up for ``reason`` at the first key."""

    def __init__(self, database: Database, keys: KeyRing, reason: str, *, decision: object = None) -> None:
        self._database = database
        self._conversations = Conversations(keys)
        self._reason = reason
        made = Decision(
            intent="opening_hours", tier=0, action=Action.ANSWER, route=Route.FIXED, policy_row="r"
        )
        self._decision = decision or made.model_dump(mode="json")

    async def __call__(self, session: MediaSession) -> CallOutcome:
        await self._turn(session.conversation_id)
        async for _ in session.messages():
            return CallOutcome("handoff", self._reason)
        return CallOutcome("lost", "socket_over")

    async def _turn(self, conversation: str) -> None:
        async with self._database.transaction() as tx:
            snapshot = await self._conversations.load(tx, conversation, lock=True)
            await self._conversations.advance(tx, snapshot, turn=1, state=snapshot.state)
            await self._conversations.save_turn(
                tx,
                conversation,
                turn=1,
                transaction_id=f"tx_{conversation}",
                input=Utterance(text="when are you open").model_dump(mode="json"),
                decision=self._decision,  # pyright: ignore[reportArgumentType]
                spoken="From nine.",
            )
            heard = Heard(text="From nine.", complete=True).model_dump(mode="json")
            timings = TurnTimings().model_dump(mode="json")
            await self._conversations.close_turn(tx, conversation, turn=1, heard=heard, timings=timings)


async def fails(channel: Channel) -> str:
    """A call to its failure; returns its CallSid."""
    call = new_sid("CA")
    async with channel.stream(call, await channel.voice(call)) as stream:
        await stream.key("1")
        assert await stream.closed() == 1000
    await channel.status_of(call, "handoff")
    return call


@pytest.mark.parametrize(
    ("reason", "urgency", "why"),
    [
        ("database_down", "high", "could not reach its database"),
        ("too_slow", "high", "did not answer in time"),
        ("internal_error", "high", "the bot failed"),
        ("speech_engine_down", "high", "could not speak"),
        ("draining", "normal", "maintenance"),
    ],
)
async def test_a_failed_call_has_a_handoff(
    database: Database, keys: KeyRing, reason: str, urgency: str, why: str
) -> None:
    """One, with the words of the call, who called, why, and what to do; told as an event."""
    run = Failing(database, keys, reason)
    async with twilio_channel(database, keys, run_call=run, new_state=new_state) as channel:
        call = await fails(channel)
        (handoff,) = await channel.handoffs(call)
        assert (handoff["trigger"], handoff["urgency"], handoff["status"]) == (reason, urgency, "waiting")
        payload = handoff["payload"]
        assert [line["text"] for line in payload["transcript"]] == ["when are you open", "From nine."]
        assert payload["identity"]["caller"] == CALLER
        assert why in payload["summary"]["issue"]
        assert "Greet the caller" not in payload["next_action"]
        assert (await channel.events(call)).count("handoff.requested") == 1
        state = load((await channel.of_call(call)).state)
        assert state.handoff == handoff["id"]
        await channel.post("/twilio/resume", CallSid=call, CallStatus="in-progress")
        assert len(await channel.handoffs(call)) == 1  # asking for TwiML is no second handoff


async def test_state_and_turns_of_another_version_do_not_cost_the_person(
    database: Database, keys: KeyRing
) -> None:
    """What cannot be read may be what failed: the call is in the queue all the same."""
    run = Failing(database, keys, "internal_error", decision={"from": "another version"})
    async with twilio_channel(database, keys, run_call=run) as channel:  # the kit's state is no dialogue's
        (handoff,) = await channel.handoffs(await fails(channel))
        assert handoff["trigger"] == "internal_error"
        assert handoff["payload"]["transcript"] == []


async def test_switched_off_between_two_streams(database: Database, keys: KeyRing) -> None:
    """The answer to `/twilio/resume` is a person: that call too has a handoff."""
    async with twilio_channel(database, keys, new_state=new_state) as channel:
        call = new_sid("CA")
        await channel.voice(call)
        channel.services.node.off = True
        await channel.post("/twilio/resume", CallSid=call, CallStatus="in-progress")
        (handoff,) = await channel.handoffs(call)
        assert (handoff["trigger"], handoff["urgency"]) == ("bot_off", "normal")


async def test_a_call_that_loses_its_media_for_ever(database: Database, keys: KeyRing) -> None:
    """Given up on after the last session, and in the queue."""
    async with twilio_channel(database, keys, new_state=new_state) as channel:
        call = new_sid("CA")
        await channel.voice(call)
        async with database.transaction() as tx:
            await tx.execute("UPDATE conversations SET epoch = %s", (MAX_SESSIONS,))
        await channel.post("/twilio/resume", CallSid=call, CallStatus="in-progress")
        (handoff,) = await channel.handoffs(call)
        assert handoff["trigger"] == "lost_too_often"
