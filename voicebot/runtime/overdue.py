"""Words that wait for an approval which nobody gives: each ends with a person, whatever process is gone.

The process that held the words back has a timer, and any node knows by the customer's next turn. This sweep
is for what neither reaches: that process died and the customer writes no more. What waits in a conversation
that is over, or that a person has, is withdrawn as soon as it is seen.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import structlog

from voicebot.channels.chat.errors import ChatError
from voicebot.core.conversation import Channel, Event, Timer, TurnInput
from voicebot.core.store import audit, drafts, outbox
from voicebot.core.store.conversations import ConversationEnded, Conversations, Snapshot
from voicebot.core.store.database import Database, Transaction
from voicebot.core.store.keys import KeyRing, SubjectErased
from voicebot.dialogue import state as states
from voicebot.dialogue.state import UnknownState

log = structlog.get_logger(__name__)

GRACE_S = 15.0
"""What a timer may be late: it waits until the bot has finished its sentence."""
EVERY_S = 10.0
TRIGGER = "draft_overdue"
"""The same as when the timer of the conversation's own process is due."""


class Step(StrEnum):
    """What is done about words that are overdue."""

    TURN = "turn"
    """Nobody holds a chat: the timer's turn is made here, and told with the next reply."""
    DELIVER = "deliver"
    """A call belongs to the node that has its media."""
    HAND_OVER = "hand_over"
    """It is over: a person finds it in the queue."""
    CLOSE = "close"
    """A person has the conversation already, or nothing of it can be read any more."""


def step(channel: Channel, status: str, *, erased: bool) -> Step:
    """What is to be done. Pure."""
    if erased or status == "handoff":
        return Step.CLOSE
    if status == "ended":
        return Step.HAND_OVER
    return Step.TURN if channel is Channel.CHAT else Step.DELIVER


class OverdueDrafts:
    """The sweep of one node. Of several at once one acts; the others' turn says nothing.

    Args:
        database: ours.
        keys: opens and seals states.
        deliver: gives an input to the conversation if this process holds it.
        turn: makes a turn in a chat.
        hand_over: stores what a person needs who takes over a conversation, unless that is stored.
        poke: called after a commit that put events into the outbox.
        now: the time, aware; the same clock as the orchestrator's.
    """

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        deliver: Callable[[str, TurnInput], bool],
        turn: Callable[[str, TurnInput], Awaitable[None]],
        hand_over: Callable[[Transaction, str, str], Awaitable[None]],
        poke: Callable[[], None] = lambda: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._keys = keys
        self._deliver = deliver
        self._turn = turn
        self._hand_over = hand_over
        self._poke = poke
        self._now = now
        self._conversations = Conversations(keys)
        self._delivered: set[str] = set()

    async def run(self) -> None:
        """Sweeps until cancelled."""
        while True:
            await self.sweep()
            await asyncio.sleep(EVERY_S)

    async def sweep(self) -> None:
        """One look at all that is overdue.

        Raises:
            DatabaseDown: Postgres does not answer.
        """
        async with self._database.transaction() as tx:
            found = await drafts.overdue(tx, self._now() - timedelta(seconds=GRACE_S))
        self._delivered &= {row["id"] for row in found}
        for row in found:
            draft, conversation = row["id"], row["conversation_id"]
            do = step(Channel(row["channel"]), row["status"], erased=row["erased"])
            try:
                if await self._do(do, draft, conversation):
                    log.warning("draft.overdue", conversation=conversation, draft=draft, step=do.value)
            except (ChatError, ConversationEnded, UnknownState, SubjectErased) as error:
                # It stays waiting: the next sweep sees how the conversation stands then.
                log.warning(
                    "draft.overdue_not_settled", conversation=conversation, error=type(error).__name__
                )

    async def _do(self, do: Step, draft: str, conversation: str) -> bool:
        match do:
            case Step.DELIVER:
                if draft in self._delivered or not self._deliver(conversation, Timer(about=draft)):
                    return False
                self._delivered.add(draft)
                return True
            case Step.TURN:
                await self._turn(conversation, Timer(about=draft))
                await self._expire(draft, conversation)  # if its state did not hold the words
                return True
            case Step.HAND_OVER | Step.CLOSE:
                return await self._withdraw(draft, conversation, hand_over=do is Step.HAND_OVER)

    async def _expire(self, draft: str, conversation: str) -> None:
        async with self._database.transaction() as tx:
            snapshot = await self._locked(tx, conversation)  # before the draft, as a commit does
            if not await drafts.decide(tx, draft, verdict="expired", by="sweep"):
                return
            await audit.record(
                tx,
                action="draft.decided",
                actor="server",
                facts={"draft": draft, "verdict": "expired", "agent": "sweep"},
                conversation_id=conversation,
            )
            if snapshot is not None:
                await self._release(tx, draft, snapshot)
        self._poke()

    async def _withdraw(self, draft: str, conversation: str, *, hand_over: bool) -> bool:
        """Nobody is there to hear it; who left without an answer (``hand_over``) is found in the queue."""
        async with self._database.transaction() as tx:
            snapshot = await self._locked(tx, conversation)
            reason = "erased" if snapshot is None else "ended" if hand_over else "handoff"
            if not await drafts.withdraw(tx, draft, reason=reason):
                return False
            facts = {"draft": draft, "reason": reason}
            await audit.record(
                tx, action="draft.withdrawn", actor="server", facts=facts, conversation_id=conversation
            )
            if snapshot is not None:
                event = Event(
                    id=f"ev_{secrets.token_hex(16)}",
                    type="draft.withdrawn",
                    conversation_id=conversation,
                    time=self._now(),
                    data=facts,
                )
                await outbox.append(tx, self._keys, snapshot.subject_id, event)
            if hand_over:
                await self._hand_over(tx, conversation, TRIGGER)
            elif snapshot is not None:
                await self._release(tx, draft, snapshot)
        self._poke()
        return True

    async def _release(self, tx: Transaction, draft: str, snapshot: Snapshot) -> None:
        """The conversation's state waits for these words no more."""
        state = states.load(snapshot.state)
        held = tuple(one for one in state.held if one.draft != draft)
        changed = states.dump(state.model_copy(update={"held": held}))
        await self._conversations.advance(tx, snapshot, turn=snapshot.turn, state=changed)

    async def _locked(self, tx: Transaction, conversation: str) -> Snapshot | None:
        """The conversation as it is now, None if nothing of it can be read any more."""
        try:
            return await self._conversations.load(tx, conversation, lock=True)
        except SubjectErased:
            return None
