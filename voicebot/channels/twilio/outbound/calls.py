"""Places calls that are due, and writes what becomes of them. A shell around `answering` and the rules.

Exactly one call for one try: it is claimed in a transaction before Twilio is asked; an answer that did not
come leaves it ``unknown``, and then Twilio is asked which calls there are before anything is placed again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog

from voicebot.channels.node import NodeState
from voicebot.channels.twilio.addresses import Addresses
from voicebot.channels.twilio.outbound.answering import (
    Then,
    calling_of,
    detection,
    ended_as,
    on_answer,
    outcome_of,
)
from voicebot.channels.twilio.rest import FINAL_STATUSES, TwilioError, TwilioRefusedError, TwilioRest
from voicebot.core.conversation import Channel
from voicebot.core.store import audit, callbacks, follow_ups
from voicebot.core.store.callbacks import Callback, Dial, DialStatus
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database, Transaction
from voicebot.core.store.keys import KeyRing, SubjectErased
from voicebot.dialogue import state as states
from voicebot.dialogue.state import ConversationState
from voicebot.handoff.outbound import After, Outbound, Outcome

log = structlog.get_logger(__name__)

LOOK_AFTER = timedelta(seconds=20)
"""A try that was neither placed nor given up by then is looked for at Twilio."""
LOOK_AGAIN = timedelta(seconds=10)
EXISTS_WITHIN = timedelta(seconds=45)
"""Twilio's list of calls is eventually consistent: a call that is not there by then was never placed."""
LATE = timedelta(seconds=90)
"""After the last ring: a callback that was lost is asked for."""
NOT_NOW = timedelta(seconds=30)
"""Twilio had too much to do, or no number could be learnt: nothing was placed."""
TOO_LATE = timedelta(hours=4)
"""A time that was promised is not kept by a call much later: a person sees to it."""

_TOO_MANY = 429
_SERVER_ERROR = 500
_BEFORE_TALK: tuple[DialStatus, ...] = ("claimed", "unknown", "placed", "answered")
_STATUS_OF: dict[Outcome, DialStatus] = {
    "busy": "busy",
    "no_answer": "no_answer",
    "failed": "failed",
    "cancelled": "cancelled",
    "machine": "machine",
    "fax": "machine",
    "refused": "failed",
}


@dataclass
class OutboundKit:
    """What calls of ours need. One per node.

    Attributes:
        database, keys, conversations: the store.
        rest: Twilio; None: nothing is dialled here.
        rules: of the deployment.
        node: whether it takes calls.
        public_url: where Twilio reaches this server; None: nothing is dialled.
        message: what is said to an answering machine.
        now: the time, aware; tests set it.
        poke: called after a commit.
    """

    database: Database
    keys: KeyRing
    conversations: Conversations
    rest: TwilioRest | None
    rules: Outbound
    node: NodeState
    public_url: str | None
    message: str
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    poke: Callable[[], None] = field(default=lambda: None)


@dataclass(frozen=True, slots=True)
class Answered:
    """What an answered call gets; with ``TALK`` the conversation exists."""

    then: Then
    message: str = ""


class OutboundCalls:
    """Calls of one node. Of several nodes, one has each try."""

    def __init__(self, kit: OutboundKit) -> None:
        self._kit = kit
        self._numbers: tuple[str, ...] = ()

    @property
    def able(self) -> bool:
        """Whether this node can dial at all, and has room for a call."""
        node = self._kit.node
        set_up = self._kit.rest is not None and self._kit.public_url is not None
        return set_up and node.accepting and not node.full and not node.off

    async def dial_due(self) -> int:
        """Dials one call that is due; returns how many tries were begun.

        Raises:
            DatabaseDown: Postgres does not answer.
        """
        if not self.able:
            return 0
        kit, now = self._kit, self._kit.now()
        async with kit.database.transaction() as tx:
            claimed = await callbacks.claim(
                tx, kit.keys, now=now, look_at=now + LOOK_AFTER, node_id=kit.node.node_id
            )
            for callback, dial in claimed:
                await audit.record(
                    tx,
                    action="outbound.dialled",
                    actor="server",
                    facts=_facts(callback, dial),
                    conversation_id=callback.conversation_id,
                )
        for callback, dial in claimed:
            await self._place(callback, dial, now)
        return len(claimed)

    async def look(self) -> int:
        """Looks at tries that should have come further; returns at how many.

        Raises:
            DatabaseDown: Postgres does not answer.
        """
        kit, now = self._kit, self._kit.now()
        if kit.rest is None:
            return 0
        async with kit.database.transaction() as tx:
            late = await callbacks.open_dials(tx, now=now, again_at=now + LOOK_AGAIN)
        for dial in late:
            try:
                await self._look_at(dial, kit.rest, now)
            except TwilioError as error:  # later again; nothing is placed meanwhile
                log.warning("outbound_not_known_yet", dial=dial.id, error=type(error).__name__)
            except SubjectErased:
                await self._settle(dial, "cancelled", "erased")
        return len(late)

    async def answered(self, dial_id: str, call_sid: str, answered_by: str) -> Answered | None:
        """A call of ours was answered; None: it is none of ours, or not the one that was placed."""
        kit = self._kit
        async with kit.database.transaction() as tx:
            dial = await callbacks.dial(tx, dial_id, lock=True)
            if dial is None or dial.call_sid not in {None, call_sid}:
                log.error("outbound_call_not_ours", dial=dial_id, call_sid=call_sid)
                return None
            callback = await callbacks.get(tx, kit.keys, dial.callback_id, lock=True)
            answered_by = answered_by or dial.answered_by or ""
            before = callback.messages - int(dial.left_message)
            then = on_answer(answered_by, kit.rules, messages=before)
            if dial.status not in _BEFORE_TALK:  # asked again: the same answer, if it is of this call
                known = dial.call_sid == call_sid and dial.status in {"connected", "machine"}
                return Answered(then, kit.message) if known else None
            outcome = outcome_of(answered_by)
            if then is Then.TALK or outcome is None:
                await self._connect(tx, callback, dial, call_sid, answered_by)
            else:
                await self._reached_nobody(
                    tx, callback, dial, outcome, call_sid, answered_by, left=then is Then.MESSAGE
                )
        kit.poke()
        return Answered(then, kit.message)

    async def told(self, dial_id: str, call_sid: str, status: str) -> None:
        """Progress of a call of ours, as Twilio tells it: late, twice and in any order."""
        kit = self._kit
        async with kit.database.transaction() as tx:
            dial = await callbacks.dial(tx, dial_id, lock=True)
            if dial is None or dial.call_sid not in {None, call_sid}:
                log.warning("outbound_status_of_unknown_call", dial=dial_id)
                return
            outcome = ended_as(status)
            if outcome is None:
                begun: DialStatus = "answered" if status == "in-progress" else "placed"
                after: tuple[DialStatus, ...] = ("claimed", "unknown", "placed")
                look_at = kit.now() + timedelta(seconds=kit.rules.ring_s) + LATE
                await callbacks.advance(tx, dial.id, begun, after=after, call_sid=call_sid, look_at=look_at)
                return
            callback = await callbacks.get(tx, kit.keys, dial.callback_id, lock=True)
            if dial.status in _BEFORE_TALK:
                outcome = outcome_of(dial.answered_by or "") or outcome
                await self._reached_nobody(tx, callback, dial, outcome, call_sid, dial.answered_by)
            elif dial.status == "connected" and callback.status == "dialling":  # no machine, it seems
                await self._reached(tx, callback)
        kit.poke()

    async def detected(self, dial_id: str, call_sid: str, answered_by: str) -> Then | None:
        """The verdict on a call that the bot has already begun to speak in; None: nothing changes.

        One that overtakes the question what the call gets is kept until that is asked.
        """
        kit = self._kit
        async with kit.database.transaction() as tx:
            dial = await callbacks.dial(tx, dial_id, lock=True)
            if dial is None or dial.call_sid not in {None, call_sid}:
                return None
            if dial.status in _BEFORE_TALK:
                by = answered_by or None
                await callbacks.advance(
                    tx, dial.id, dial.status, after=(dial.status,), call_sid=call_sid, answered_by=by
                )
                return None
            if dial.status != "connected":
                return None
            callback = await callbacks.get(tx, kit.keys, dial.callback_id, lock=True)
            if callback.status != "dialling":
                return None
            outcome = outcome_of(answered_by)
            if outcome is None:
                await callbacks.advance(
                    tx, dial.id, "connected", after=("connected",), answered_by=answered_by
                )
                await self._reached(tx, callback)
                then = None
            else:
                then = on_answer(answered_by, kit.rules, messages=callback.messages)
                await self._reached_nobody(tx, callback, dial, outcome, call_sid, answered_by, talked=True)
        kit.poke()
        return then

    # --- placing -----------------------------------------------------------------------

    async def _place(self, callback: Callback, dial: Dial, now: datetime) -> None:
        kit = self._kit
        assert kit.rest is not None
        assert kit.public_url is not None
        if not await self._still_right(callback, dial, now):
            return
        at = Addresses.at(kit.public_url)
        path = f"/twilio/outbound/{dial.id}"
        more = {"Timeout": str(kit.rules.ring_s), **detection(kit.rules)}
        if kit.rules.detection == "meanwhile":
            more |= {"AsyncAmd": "true", "AsyncAmdStatusCallback": at.http(f"{path}/detected")}
        try:
            from_ = await self._from(callback, kit.rest)
        except TwilioError as error:
            await self._not_placed(dial, now, type(error).__name__)
            return
        try:
            call = await kit.rest.create_call(
                to=callback.number,
                from_=from_,
                url=at.http(f"{path}/answer"),
                status_callback=at.http(f"{path}/status"),
                status_events=("initiated", "ringing", "answered", "completed"),
                **more,
            )
        except TwilioRefusedError as error:
            if error.status == _TOO_MANY:  # never processed, says Twilio
                await self._not_placed(dial, now, "too_many_requests")
            elif error.status >= _SERVER_ERROR:
                await self._unknown(dial, error)
            else:
                await self._settle(dial, "refused", f"twilio_{error.code or error.status}")
        except TwilioError as error:
            await self._unknown(dial, error)
        else:
            look_at = now + timedelta(seconds=kit.rules.ring_s) + LATE
            async with kit.database.transaction() as tx:
                await callbacks.advance(
                    tx, dial.id, "placed", after=("claimed", "unknown"), call_sid=call.sid, look_at=look_at
                )
            log.info("outbound_placed", callback=callback.id, dial=dial.id, nth=dial.nth, call_sid=call.sid)

    async def _still_right(self, callback: Callback, dial: Dial, now: datetime) -> bool:
        """Whether it may be dialled now: rules may have changed, people may have asked to be left alone."""
        kit = self._kit
        async with kit.database.transaction() as tx:
            allowed = await callbacks.may_be_called(tx, kit.keys, callback.number)
        if not allowed:
            await self._settle(dial, "cancelled", "not_to_be_called")
            return False
        refused = kit.rules.dialable(callback.number)
        if refused is not None:
            await self._settle(dial, "refused", refused.value)
            return False
        asked_for = callback.origin == "caller"
        if asked_for and now > callback.until_at + TOO_LATE:
            await self._settle(dial, "refused", "too_late")
            return False
        opens = kit.rules.next_opening(now, None if asked_for else callback.number)
        if opens is None:
            await self._settle(dial, "refused", "no_calling_hours")
            return False
        if opens > now:
            await self._put_off(dial, opens, "outside_calling_hours")
            return False
        return True

    async def _from(self, callback: Callback, rest: TwilioRest) -> str:
        if self._kit.rules.from_ is not None:
            return self._kit.rules.from_
        if not self._numbers:
            self._numbers = tuple(one.phone_number for one in await rest.numbers())
        if callback.from_ is not None and callback.from_ in self._numbers:
            return callback.from_
        if not self._numbers:
            raise TwilioError("the Twilio account has no number to call from: buy one, or set `from`")
        return self._numbers[0]

    async def _unknown(self, dial: Dial, error: TwilioError) -> None:
        async with self._kit.database.transaction() as tx:
            await callbacks.advance(tx, dial.id, "unknown", after=("claimed",))
        log.warning("outbound_unknown", dial=dial.id, error=type(error).__name__)

    async def _not_placed(self, dial: Dial, now: datetime, why: str) -> None:
        await self._put_off(dial, now + NOT_NOW, why)

    async def _put_off(self, dial: Dial, until: datetime, why: str) -> None:
        """Nothing was placed: the same call again, and the try is not counted."""
        async with self._kit.database.transaction() as tx:
            if await callbacks.advance(tx, dial.id, "unplaced", after=("claimed", "unknown")):
                await callbacks.settle(
                    tx, dial.callback_id, "booked", reason=why, next_at=until, uncount=True
                )
        log.info("outbound_put_off", dial=dial.id, why=why)

    async def _look_at(self, dial: Dial, rest: TwilioRest, now: datetime) -> None:
        kit = self._kit
        if dial.call_sid is not None:
            call = await rest.call(dial.call_sid)
            if call.status in FINAL_STATUSES:
                await self.told(dial.id, dial.call_sid, call.status)
            return
        async with kit.database.transaction() as tx:
            callback = await callbacks.get(tx, kit.keys, dial.callback_id)
        made = await rest.calls_to(callback.number, await self._from(callback, rest))
        async with kit.database.transaction() as tx:
            ours = await callbacks.known_sids(tx, [one.sid for one in made])
        since = dial.began_at - LOOK_AGAIN
        found = [one for one in made if one.sid not in ours and (one.created is None or one.created >= since)]
        if found:  # Twilio did place it
            await self.told(dial.id, found[-1].sid, found[-1].status)
        elif now - dial.began_at >= EXISTS_WITHIN:
            await self._put_off(dial, now, "never_placed")

    # --- what came of it ----------------------------------------------------------------

    async def _connect(
        self, tx: Transaction, callback: Callback, dial: Dial, call_sid: str, answered_by: str
    ) -> None:
        """A conversation of its own, which knows why it was called."""
        kit = self._kit
        state = ConversationState(calling=calling_of(callback, kit.rules))
        conversation_id = await kit.conversations.create(
            tx,
            channel=Channel.PHONE,
            call_sid=call_sid,
            caller=callback.number,
            called=callback.from_,
            state=states.dump(state),
        )
        await callbacks.advance(
            tx,
            dial.id,
            "connected",
            after=_BEFORE_TALK,
            call_sid=call_sid,
            answered_by=answered_by or None,
            conversation_id=conversation_id,
        )
        if kit.rules.detection == "wait" or answered_by:
            await self._reached(tx, callback)
        await audit.record(
            tx,
            action="outbound.answered",
            actor="server",
            facts={**_facts(callback, dial), "answered_by": answered_by or "not_said"},
            conversation_id=conversation_id,
        )
        log.info("outbound_answered", callback=callback.id, conversation=conversation_id, by=answered_by)

    async def _reached(self, tx: Transaction, callback: Callback) -> None:
        await callbacks.settle(tx, callback.id, "reached")
        if callback.follow_up_id is not None:
            await follow_ups.set_status(tx, callback.follow_up_id, "done")

    async def _settle(self, dial: Dial, outcome: Outcome, reason: str) -> None:
        kit = self._kit
        async with kit.database.transaction() as tx:
            callback = await callbacks.get(tx, kit.keys, dial.callback_id, lock=True)
            await self._reached_nobody(tx, callback, dial, outcome, None, None, reason=reason)
        kit.poke()

    async def _reached_nobody(
        self,
        tx: Transaction,
        callback: Callback,
        dial: Dial,
        outcome: Outcome,
        call_sid: str | None,
        answered_by: str | None,
        *,
        left: bool = False,
        talked: bool = False,
        reason: str | None = None,
    ) -> None:
        """The try is over; the call is made again later, or given up with a person to see to it."""
        after: tuple[DialStatus, ...] = ("connected",) if talked else _BEFORE_TALK
        moved = await callbacks.advance(
            tx,
            dial.id,
            _STATUS_OF[outcome],
            after=after,
            call_sid=call_sid,
            answered_by=answered_by,
            left_message=left,
        )
        if not moved:
            return
        if outcome == "cancelled" and reason is not None:
            await callbacks.settle(tx, callback.id, "cancelled", reason=reason)
            return
        verdict = self._kit.rules.after_try(
            outcome,
            callback.tries,
            self._kit.now(),
            number=callback.number,
            asked_for=callback.origin == "caller",
        )
        again = verdict.after is After.AGAIN
        status = "booked" if again else "gone" if verdict.after is After.GONE else "failed"
        await callbacks.settle(
            tx,
            callback.id,
            status,
            reason=reason or verdict.reason,
            next_at=verdict.next_at,
            left_message=left,
        )
        facts = {**_facts(callback, dial), "outcome": outcome, "then": verdict.after.value}
        await audit.record(
            tx,
            action="outbound.not_reached",
            actor="server",
            facts=facts,
            conversation_id=callback.conversation_id,
        )
        if again:
            log.info("outbound_not_reached", **facts)
            return
        # What was promised is not kept by us any more: the promise stays open, and is due now.
        log.warning("outbound_given_up", follow_up=callback.follow_up_id, **facts)
        if callback.follow_up_id is not None:
            await follow_ups.press(tx, callback.follow_up_id, self._kit.now())


def _facts(callback: Callback, dial: Dial) -> dict[str, str | int]:
    return {
        "callback": callback.id,
        "dial": dial.id,
        "nth": dial.nth,
        "purpose": callback.purpose,
        "origin": callback.origin,
    }
