"""Talks in the database: an agent takes a caller in the browser, speaks with them, and gives them back.

All of it in the caller's transaction, with the handoff's own step, an event and an audit record. Taking one
is the handoff's claim, so of two desks and a ringing phone one has the caller.
"""

from __future__ import annotations

from typing import Literal

import structlog

from voicebot.core import metrics
from voicebot.core.conversation import Channel, TransferFailed
from voicebot.core.store import audit, handoffs, talks, transfers
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.talks import Ending, State, Talk
from voicebot.handoff.claims import Taken, take_step, tell
from voicebot.handoff.transfer.signs import MediaBack, TakenAtDesk
from voicebot.handoff.transferring import Transferring, load

log = structlog.get_logger(__name__)

Why = Literal["no_call", "ended", "forwarded"]

_WORDS: dict[Why, str] = {
    "no_call": "this is no phone call: write in the chat instead",
    "ended": "the caller has hung up: call back instead",
    "forwarded": "the caller was put through to a phone meanwhile",
}


class NoCaller(Exception):
    """There is nobody on the line to speak with. The message is for the agent."""

    def __init__(self, why: Why) -> None:
        super().__init__(_WORDS[why])
        self.why = why


class Talks:
    """One per node.

    Args:
        keys: seals events.
        transferring: takes signs of warm transfers; None: there are none on this node.
    """

    def __init__(self, keys: KeyRing, transferring: Transferring | None) -> None:
        self._keys = keys
        self._transferring = transferring
        self._conversations = Conversations(keys)

    async def take(
        self,
        tx: Transaction,
        handoff_id: str,
        agent: str,
        *,
        answers: str | None = None,
        supervises: bool = False,
    ) -> Talk:
        """``agent`` takes the handoff's caller in the browser; the same again is the same talk.

        Whoever is being rung for the caller is rung no more, and who waits in a room is fetched.

        Args:
            tx: the transaction.
            handoff_id: ``ho_...``.
            agent: who takes it.
            answers: the destination whose phone they answer.
            supervises: as `take_step`.

        Raises:
            UnknownHandoff: there is none.
            Taken: another has it, or it is done.
            NoCaller: nobody is on the line.
            SubjectErased: what was said was erased.
        """
        conversation_id = (await handoffs.bare(tx, handoff_id))["conversation_id"]
        snapshot = await self._conversations.load(tx, conversation_id, lock=True)
        known = await talks.open_of(tx, conversation_id)
        if known is not None and (known.agent, known.handoff_id) == (agent, handoff_id):
            return known
        if snapshot.channel not in {Channel.PHONE, Channel.BROWSER} or snapshot.call_sid is None:
            raise NoCaller("no_call")
        if snapshot.status == "ended":
            raise NoCaller("ended")
        if known is not None:
            raise Taken("bridged", known.agent)
        entry, transfer_id = 0, await transfers.newest_of_call(tx, snapshot.call_sid)
        if transfer_id is not None:
            transfer = load((await transfers.lock(tx, transfer_id)).body)
            if transfer.forwarded:
                raise NoCaller("forwarded")
            entry = transfer.entry if not transfer.over else 0
        await take_step(tx, self._keys, handoff_id, "accept", agent, answers=answers, supervises=supervises)
        if transfer_id is not None and self._transferring is not None:
            await self._transferring.take(tx, transfer_id, TakenAtDesk())
        if snapshot.status == "handoff" and entry == 0:  # the socket is to be kept, and fetched if it is lost
            await self._conversations.set_status(tx, conversation_id, "live")
        talk = await talks.insert(
            tx,
            conversation_id=conversation_id,
            handoff_id=handoff_id,
            call_sid=snapshot.call_sid,
            agent=agent,
        )
        assert talk is not None  # none was open under the conversation's lock
        await self._tell(tx, talk, "requested", agent)
        return talk

    async def connected(self, tx: Transaction, talk_id: str) -> Talk:
        """Caller and agent hear each other, for the first time or again. A talk that is over stays so."""
        talk = await talks.lock(tx, talk_id)
        if talk.state in {"over", "talking"}:
            return talk
        first = talk.began_at is None
        now = await self._move(tx, talk, "talking", told="begun" if first else "resumed")
        if first and now.began_at is not None:
            metrics.talk_begun_s.observe((now.began_at - talk.asked_at).total_seconds())
            await handoffs.move(tx, talk.handoff_id, "bridged", who=talk.agent)
        return now

    async def lost(self, tx: Transaction, talk_id: str) -> Talk:
        """The agent's line is gone for now."""
        talk = await talks.lock(tx, talk_id)
        return await self._move(tx, talk, "lost", told="lost") if talk.state == "talking" else talk

    async def end(self, tx: Transaction, talk_id: str, ending: Ending, reason: str, *, who: str) -> Talk:
        """Ends a talk, once; the first ending stays. Its handoff is done then, or waits for somebody else.

        Args:
            tx: the transaction.
            talk_id: ``tk_...``.
            ending: what the caller gets.
            reason: a word for logs and events (``agent_done``, ``agent_lost``, ...).
            who: ended it: an agent's id, ``caller``, ``server``.

        Raises:
            UnknownTalk: there is none.
        """
        talk = await talks.lock(tx, talk_id)
        if talk.over:
            return talk
        spoke = talk.began_at is not None
        now = await self._move(tx, talk, "over", told="over", ending=ending, reason=reason, who=who)
        holds = await self.held(tx, talk)
        match ending:
            case "caller_left":
                await handoffs.move(tx, talk.handoff_id, "done" if spoke else "missed", who="caller")
            case "queue":
                if holds:
                    await take_step(tx, self._keys, talk.handoff_id, "decline", talk.agent)
            case "goodbye" | "bot":
                if holds:
                    await take_step(tx, self._keys, talk.handoff_id, "done", talk.agent)
        return now

    async def media_back(self, tx: Transaction, talk: Talk) -> None:
        """The caller is on the media socket: no transfer has them any more, and the socket is to be kept."""
        snapshot = await self._conversations.load(tx, talk.conversation_id, lock=True)
        if snapshot.status == "handoff":
            await self._conversations.set_status(tx, snapshot.id, "live")
        transfer_id = await transfers.newest_of_call(tx, talk.call_sid)
        if transfer_id is not None and self._transferring is not None:
            await self._transferring.take(tx, transfer_id, MediaBack())

    async def waits(self, tx: Transaction, conversation_id: str) -> bool:
        """Whether the caller was given to a person who has not come yet: a lost connection loses no place."""
        if (await self._conversations.load(tx, conversation_id)).status != "handoff":
            return False
        rows = await handoffs.list(tx, conversation_id=conversation_id)
        return any(row["status"] in {"waiting", "offered", "accepted"} for row in rows)

    async def nobody_came(self, tx: Transaction, conversation_id: str) -> bool:
        """Nobody took a caller who waited on the line: the bot has them again. False: somebody did."""
        snapshot = await self._conversations.load(tx, conversation_id, lock=True)
        if await talks.open_of(tx, conversation_id) is not None:
            return False
        if snapshot.status == "handoff":
            await self._conversations.set_status(tx, conversation_id, "live")
        for row in await handoffs.list(tx, conversation_id=conversation_id):
            if row["status"] in {"waiting", "offered"}:
                await handoffs.move(tx, row["id"], "missed")
        return True

    async def call_over(self, tx: Transaction, conversation_id: str) -> bool:
        """The call has ended. Returns whether a person had the caller at the end."""
        talk = await talks.newest(tx, conversation_id)
        if talk is None:
            return False
        if not talk.over:
            talk = await self.end(tx, talk.id, "caller_left", "caller_hung_up", who="caller")
        return talk.began_at is not None and talk.ending in {"caller_left", "goodbye"}

    async def after(
        self, tx: Transaction, conversation_id: str
    ) -> TransferFailed | Literal["goodbye"] | None:
        """What a talk that has ended leaves to be done, once: the bot is told why it has the caller again, or
        the caller is told goodbye who came only after the agent had hung up. None: nothing.
        """
        talk = await talks.newest(tx, conversation_id)
        if talk is None or talk.ending in {None, "caller_left"} or not await talks.mark_told(tx, talk.id):
            return None
        if talk.ending == "goodbye":
            return "goodbye"
        reason = "handed_back" if talk.ending == "bot" else "agent_left"
        return TransferFailed(reason=reason, spoke=talk.began_at is not None)

    async def held(self, tx: Transaction, talk: Talk) -> bool:
        """Whether who speaks still has the handoff: they or a supervisor may have given it back."""
        row = await handoffs.bare(tx, talk.handoff_id)
        return row["status"] in handoffs.HELD and row["claimed_by"] == talk.agent

    async def is_done(self, tx: Transaction, talk: Talk) -> bool:
        """Whether its handoff was settled."""
        return (await handoffs.bare(tx, talk.handoff_id))["status"] == "done"

    async def _move(
        self,
        tx: Transaction,
        talk: Talk,
        to: State,
        *,
        told: str,
        ending: Ending | None = None,
        reason: str | None = None,
        who: str | None = None,
    ) -> Talk:
        await talks.move(tx, talk.id, to, ending=ending, reason=reason)
        now = await talks.get(tx, talk.id)
        await self._tell(tx, now, told, who or talk.agent)
        return now

    async def _tell(self, tx: Transaction, talk: Talk, what: str, who: str) -> None:
        facts = {"talk": talk.id, "handoff": talk.handoff_id, "who": who}
        facts |= {"ending": talk.ending or "", "reason": talk.reason or ""} if talk.over else {}
        event_id = f"ev_{talk.id}_{talk.told}"
        await tell(tx, self._keys, talk.conversation_id, event_id, f"desk.talk_{what}", facts)
        await audit.record(
            tx, action=f"talk.{what}", actor=who, facts=facts, conversation_id=talk.conversation_id
        )
        metrics.talk_steps.labels(what).inc()
        log.info("talk", what=what, conversation=talk.conversation_id, talk=talk.id, reason=talk.reason)
