"""A server that puts callers through, a local Twilio around it, and people to ring.

The pipeline is a stand-in that gives a caller to a person as a turn's commit does; what follows is the real
channel: documents, webhooks, REST, rows.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from deployment_kit import stored_handoffs
from fastapi import FastAPI
from twilio_kit import Channel, eventually, free_port, settings_for, twilio_channel, url_of

from voicebot.channels.twilio.media import CallOutcome, MediaSession
from voicebot.channels.twilio.services import TwilioServices
from voicebot.channels.twilio.transfer.transfers import Transfers
from voicebot.channels.twilio.transfer.words import Words
from voicebot.channels.twilio.wire import Dtmf, Media
from voicebot.core.conversation import Action, Decision, Route
from voicebot.core.store import outbox, transfers
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue import state as states
from voicebot.dialogue.handover import HandoverRequest
from voicebot.dialogue.state import new_state
from voicebot.handoff.people import LAST_RESORT, Destination, People
from voicebot.handoff.transfer.states import Transfer
from voicebot.handoff.transferring import Transferring, TransferringDesk, load
from voicebot.proof.simulation import LocalCall, LocalTwilio, Quiet

DESK, DESK_2, LAST = "+12025550140", "+12025550141", "+12025550149"
ALL = (DESK, DESK_2)


class Lines:
    """Phrases that are over soon: the local Twilio speaks 15 characters a second."""

    def text(self, key: str, nth: int = 0, /, **slots: Any) -> str:
        return {"transfer.waiting": "Wait.", "transfer.another": "Next.", "transfer.coming": "Now."}.get(
            key, "Key."
        )

    def variants(self, key: str) -> int:
        return 3


class HandsOver:
    """Gives the caller to a person at once, or on key 0, as the commit of a turn does.

    ``sessions`` are the media sessions so far; one that begins with ``returned`` is told so. 9: goodbye.
    ``spoken``: its last words; a test that clears it has it speak on until it is set.
    """

    def __init__(self, keys: KeyRing, database: Database, *, at_once: bool = True) -> None:
        self.desk: TransferringDesk | None = None
        self.sessions: list[MediaSession] = []
        self.heard: list[bytes] = []
        self.spoken = asyncio.Event()
        self.spoken.set()
        self.at_once = at_once
        self.wake: Callable[[], None] = lambda: None
        self._database = database
        self._conversations = Conversations(keys)

    async def __call__(self, session: MediaSession) -> CallOutcome:
        self.sessions.append(session)
        if session.returned is None and self.at_once:
            return await self.hand_over(session.conversation_id)
        if session.returned is not None:
            await self._told(session.conversation_id)
        async for message in session.messages():
            match message:
                case Media():
                    self.heard.append(message.ulaw)
                case Dtmf(digit="0"):
                    return await self.hand_over(session.conversation_id)
                case Dtmf(digit="9"):
                    return CallOutcome("ended", "goodbye")
                case _:
                    pass
        return CallOutcome("lost", "socket_over")

    async def hand_over(self, conversation: str) -> CallOutcome:
        assert self.desk is not None
        async with self._database.transaction() as tx:
            snapshot = await self._conversations.load(tx, conversation, lock=True)
            state = states.load(snapshot.state)
            handoff = await self.desk.store(
                tx,
                HandoverRequest(
                    snapshot=snapshot,
                    turn=snapshot.turn + 1,
                    state=state,
                    decision=Decision(
                        intent="person", tier=0, action=Action.ESCALATE, route=Route.PERSON, policy_row="r"
                    ),
                    trigger="asked_for_person",
                    urgency="normal",
                    caller="a person please",
                    said=None,
                    turns=(),
                    policy_version="p1",
                ),
            )
            changed = states.dump(state.model_copy(update={"handoff": handoff}))
            await self._conversations.advance(tx, snapshot, turn=snapshot.turn + 1, state=changed)
            await self._conversations.set_status(tx, conversation, "handoff")
        self.wake()
        await self.spoken.wait()  # the bot's last words take their time
        return CallOutcome("handoff", "handed_over")

    async def _told(self, conversation: str) -> None:
        """The turn that says so takes the handoff out of the state."""
        async with self._database.transaction() as tx:
            snapshot = await self._conversations.load(tx, conversation, lock=True)
            changed = states.dump(states.load(snapshot.state).model_copy(update={"handoff": None}))
            await self._conversations.advance(tx, snapshot, turn=snapshot.turn + 1, state=changed)


def people_of(*numbers: str, last: str | None = None) -> People:
    """Destinations ``desk 1``, ``desk 2``, ... for everybody, at all hours."""
    made = tuple(
        Destination(name=f"desk {n}", number=number, skills=("general",))
        for n, number in enumerate(numbers, 1)
    )
    return People.model_validate({"destinations": made}).with_fallback(last)


def transfers_for(
    keys: KeyRing,
    people: People,
    public_url: str | None,
    *,
    cold: bool,
    words: Words,
    forks: bool,
    key_wait_s: int,
) -> Transfers:
    return Transfers(
        Transferring(keys, people, cold=cold),
        words,
        brief=lambda _: "A caller.",
        public_url=public_url,
        forks=forks,
        key_wait_s=key_wait_s,
    )


@contextlib.asynccontextmanager
async def node(
    twilio: LocalTwilio,
    database: Database,
    keys: KeyRing,
    bot: HandsOver,
    *,
    people: People | None = None,
    port: socket.socket | None = None,
    node_id: str = "node-a",
    cold: bool = False,
    keeps: bool = True,
    words: Words | None = None,
    key_wait_s: int = 20,
    run_leg: Callable[[MediaSession], Awaitable[None]] | None = None,
    extend: Callable[[FastAPI, TwilioServices], None] = lambda app, services: None,
) -> AsyncGenerator[Channel]:
    """A node with transfers.

    ``keeps``: it carries out what they order; else somebody else must. ``key_wait_s``: how long people may
    think. ``run_leg``: listens to legs.
    """
    port = port or free_port()
    settings = settings_for(
        public_url=url_of(port),
        twilio_api=twilio.api_url,
        twilio_account_sid=twilio.account_sid,
        twilio_auth_token=twilio.auth_token,
        fallback_number=LAST if cold else None,
    )
    people = people or people_of(*ALL, last=LAST if cold else None)
    ours = transfers_for(
        keys,
        people,
        settings.public_url,
        cold=cold,
        words=words or Words(Lines()),
        forks=run_leg is not None,
        key_wait_s=key_wait_s,
    )
    bot.desk = TransferringDesk(stored_handoffs(keys), ours.transferring)
    bot.wake = ours.wake
    async with twilio_channel(
        database,
        keys,
        run_call=bot,
        settings=settings,
        port=port,
        keep=True,
        node_id=node_id,
        new_state=new_state,
        transfers=ours,
        run_leg=run_leg,
        extend=extend,
    ) as channel:
        keeping = asyncio.create_task(channel.services.keep_transfers()) if keeps else None
        try:
            yield channel
        finally:
            if keeping is not None:
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)


async def caller(twilio: LocalTwilio, channel: Channel) -> LocalCall:
    """Somebody phones, whom the bot gives to a person."""
    return await twilio.phone(
        f"{channel.url}/twilio/voice", ear=Quiet(), status_callback=f"{channel.url}/twilio/status"
    )


async def leg_of(twilio: LocalTwilio, number: str, nth: int = 0) -> LocalCall:
    """The nth call to somebody's phone, once it was made."""
    await eventually(lambda: len(legs(twilio, number)) > nth)
    return legs(twilio, number)[nth]


def legs(twilio: LocalTwilio, number: str) -> list[LocalCall]:
    return [call for call in twilio.calls if call.to == number]


async def presses(leg: LocalCall, digit: str) -> None:
    """Answers the question of the briefing."""
    await leg.log.wait("verb", name="Gather")
    await leg.press(digit)


async def transfer_of(channel: Channel, call: LocalCall) -> Transfer:
    async with channel.database.transaction() as tx:
        known = await transfers.newest_of_call(tx, call.call_sid)
        assert known is not None
        return load((await transfers.get(tx, known)).body)


async def reaches(channel: Channel, call: LocalCall, state: str, within_s: float = 40.0) -> Transfer:
    """Waits until the caller's transfer is in a state."""

    async def there() -> bool:
        async with channel.database.transaction() as tx:
            known = await transfers.newest_of_call(tx, call.call_sid)
        return known is not None and (await transfer_of(channel, call)).state.value == state

    try:
        await eventually(there, within_s)
    except TimeoutError:
        now = await transfer_of(channel, call)
        raise AssertionError(f"is {now.state}, not {state}: {now}") from None
    return await transfer_of(channel, call)


async def told(channel: Channel, call: LocalCall) -> list[str]:
    """The transfer's events so far, in order."""
    snapshot = await channel.of_call(call.call_sid)
    async with channel.database.transaction() as tx:
        events = await outbox.events_of(tx, channel.keys, snapshot.id)
    return [e.type.removeprefix("transfer.") for e in events if e.type.startswith("transfer.")]


__all__ = ["LAST_RESORT", "HandsOver", "caller", "leg_of", "node", "presses", "reaches", "told"]
