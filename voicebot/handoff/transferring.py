"""Transfers in the database: asked for with the handoff, taken on by whatever sign comes, told as events.

All of it in the caller's transaction. What is to be done at Twilio becomes rows that a node claims; no
request is made here.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from voicebot.core import metrics
from voicebot.core.conversation import Channel, Event
from voicebot.core.store import handoffs, outbox, presence, transfers
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.transfers import Row, UnknownTransfer
from voicebot.dialogue.handover import HandoverDesk, HandoverRequest
from voicebot.handoff.people import People
from voicebot.handoff.transfer.effects import Effect
from voicebot.handoff.transfer.machine import MAX_DESTINATIONS, Stepped, Told, begin, step
from voicebot.handoff.transfer.signs import Sign
from voicebot.handoff.transfer.states import COMING_BACK, State, Transfer

log = structlog.get_logger(__name__)

MAX_TRANSFERS = 3
"""Of one conversation. Who asks once more is dialled through without them."""

COLD = frozenset(
    {"bot_off", "failed_before", "lost_too_often", "call_unknown", "no_room", "database_down", "draining"}
)
"""Reasons to dial a person at once: the server cannot be relied on to look after a caller who waits."""

_NO_NAME = re.compile(r"[^A-Za-z0-9 ._:@+-]")


@dataclass(frozen=True, slots=True)
class Taken:
    """A transfer after a sign was taken. ``row`` as it was before, ``stepped`` what followed."""

    row: Row
    stepped: Stepped

    @property
    def transfer(self) -> Transfer:
        """As it is now."""
        return self.stepped.transfer


class Transferring:
    """One per node; shared by all calls.

    Args:
        keys: seals events.
        people: the list of who may be dialled, with the last resort if there is one.
        cold: there is a last resort that can be dialled by TwiML alone.
        now: the time, aware; tests set it. Only decides who is at work. Whose agents all pause at the desk is
            not rung while somebody else can be.
    """

    def __init__(
        self,
        keys: KeyRing,
        people: People,
        *,
        cold: bool,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.people = people
        self._keys = keys
        self._conversations = Conversations(keys)
        self._cold = cold
        self._now = now

    async def request(self, tx: Transaction, asked: HandoverRequest, handoff_id: str) -> str | None:
        """Asks for the transfer that goes with a handoff; twice for one handoff is once.

        Returns:
            Its id; None if there is to be none: no call, nobody to dial, or too many before.
        """
        call_sid = asked.snapshot.call_sid
        if asked.snapshot.channel is not Channel.PHONE or call_sid is None or asked.trigger in COLD:
            return None
        skill = self.people.skill_of(asked.owner)
        names = [one.name for one in self.people.destinations(skill, self._now())]
        desks = {row["agent"]: not row["paused"] for row in await presence.seen(tx)}
        resting = self.people.resting(desks)
        # Where everybody pauses they are rung all the same: else the caller would be left with nobody.
        names = [name for name in names if name not in resting] or names
        if not names or await transfers.count(tx, asked.snapshot.id) >= MAX_TRANSFERS:
            log.info("transfer_not_possible", conversation=asked.snapshot.id, destinations=len(names))
            return None
        now = await transfers.now(tx)
        transfer = Transfer(
            id=f"tr_{secrets.token_hex(16)}",
            conversation=asked.snapshot.id,
            call=call_sid,
            destinations=tuple(names[:MAX_DESTINATIONS]),
            returns=asked.decision is not None,
            cold=self._cold,
            requested_at=now,
            since=now,
            dialled_at=now,
        )
        fresh = await transfers.insert(
            tx,
            transfer_id=transfer.id,
            handoff_id=handoff_id,
            conversation_id=transfer.conversation,
            call_sid=call_sid,
            state=transfer.state.value,
            body=dump(transfer),
        )
        if not fresh:
            return None
        await self._write(tx, await transfers.lock(tx, transfer.id), begin(transfer, now))
        return transfer.id

    async def take(self, tx: Transaction, transfer_id: str, sign: Sign) -> Taken:
        """Takes a sign; events, effects and the handoff's status are written with it.

        Raises:
            UnknownTransfer: there is none.
        """
        row = await transfers.lock(tx, transfer_id)
        before = load(row.body)
        stepped = step(before, sign, row.now)
        if stepped.transfer != before:
            await self._write(tx, row, stepped)
        return Taken(row, stepped)

    async def _write(self, tx: Transaction, row: Row, stepped: Stepped) -> None:
        transfer = stepped.transfer
        for effect in stepped.effects:
            await transfers.order(tx, transfer.id, effect.number, effect.model_dump(mode="json"))
        await self._tell(tx, row, stepped)
        await transfers.save(
            tx,
            transfer.id,
            state=transfer.state.value,
            body=dump(transfer),
            told=row.told + len(stepped.told),
            leg=transfer.leg,
            due_at=transfer.due,
            at=row.now,
            entered=[one.state.value for one in stepped.told],
            over=transfer.over,
        )
        _measure(row, stepped)

    async def _tell(self, tx: Transaction, row: Row, stepped: Stepped) -> None:
        if not stepped.told:
            return
        transfer = stepped.transfer
        snapshot = await self._conversations.load(tx, transfer.conversation)
        for nth, told in enumerate(stepped.told, row.told + 1):
            facts = {
                "transfer": transfer.id,
                "handoff": row.handoff_id,
                "destination": told.destination,
                "attempt": told.attempt,
            }
            event = Event(
                id=f"ev_{transfer.id}_{nth}",
                type=f"transfer.{told.state.value}",
                conversation_id=transfer.conversation,
                time=row.now.astimezone(UTC),
                data=facts,
            )
            await outbox.append(tx, self._keys, snapshot.subject_id, event)
            log.info("transfer_state", conversation=transfer.conversation, state=told.state.value, **facts)
            await _queue(tx, row.handoff_id, told, transfer)


class TransferringDesk:
    """A handover desk whose handoffs of phone calls are put through to a person at once.

    Whoever commits wakes the node's transfers afterwards; else they look by themselves after half a second.
    """

    def __init__(self, desk: HandoverDesk, transferring: Transferring) -> None:
        self._desk = desk
        self._transferring = transferring

    async def store(self, tx: Transaction, request: HandoverRequest) -> str:
        """See `HandoverDesk`; the transfer is asked for in the same transaction."""
        handoff_id = await self._desk.store(tx, request)
        await self._transferring.request(tx, request, handoff_id)
        return handoff_id


def load(body: dict[str, Any]) -> Transfer:
    """The machine's memory from its row."""
    return Transfer.model_validate_json(json.dumps(body))


def load_effect(body: dict[str, Any]) -> Effect:
    """An effect from its row."""
    return Effect.model_validate_json(json.dumps(body))


def dump(transfer: Transfer) -> dict[str, Any]:
    """The machine's memory for its row."""
    return transfer.model_dump(mode="json")


async def _queue(tx: Transaction, handoff_id: str, told: Told, transfer: Transfer) -> None:
    """What the queue learns of it. A caller who left before anybody came can still be called back."""
    state = told.state
    who = _NO_NAME.sub("_", told.destination)[:80]
    match state:
        case State.REQUESTED | State.BRIEFING | State.RETURNED | State.TAKEN | State.AT_DESK:
            return
        case State.RINGING:
            await handoffs.move(tx, handoff_id, "offered", who=who)
        case State.ACCEPTED:
            if not await handoffs.claim(tx, handoff_id, who):  # somebody at a desk was quicker
                log.warning("transfer_of_claimed_handoff", handoff=handoff_id, destination=told.destination)
        case State.BRIDGED:
            await handoffs.move(tx, handoff_id, "bridged", who=who)
        case State.CALLER_LEFT:
            await handoffs.move(tx, handoff_id, "done" if transfer.bridged else "missed", who="caller")
        case State.AGENT_LEFT if transfer.bridged:
            await handoffs.move(tx, handoff_id, "done", who=who)
        case State.DECLINED | State.AGENT_LEFT:
            await handoffs.decline(tx, handoff_id, who)
        case State.BUSY | State.NO_ANSWER | State.FAILED | State.CANCELLED:
            pass
    if state in COMING_BACK and state is transfer.state and not transfer.bridged:
        await handoffs.move(tx, handoff_id, "missed")


def _measure(row: Row, stepped: Stepped) -> None:
    waited_s = (row.now - row.requested_at).total_seconds()
    for state, _, _ in stepped.told:
        metrics.transfer_states.labels(state.value).inc()
        if state is State.RINGING and row.ringing_at is None:
            metrics.transfer_ringing_s.observe(waited_s)
        if state is State.BRIDGED and row.bridged_at is None:
            metrics.transfer_bridged_s.observe(waited_s)


__all__ = ["Taken", "Transferring", "TransferringDesk", "UnknownTransfer", "dump", "load", "load_effect"]
