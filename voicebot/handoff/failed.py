"""Handoffs outside any turn: something failed, or a supervisor takes a live call over."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import structlog

from voicebot.core import metrics
from voicebot.core.conversation import Channel, Event, FiredTrigger
from voicebot.core.store import audit, handoffs, outbox
from voicebot.core.store.conversations import Conversations, Snapshot
from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue import state as states
from voicebot.dialogue.handover import HandoverDesk, HandoverRequest
from voicebot.dialogue.state import ConversationState, UnknownState
from voicebot.handoff.talks import NoCaller
from voicebot.safety.triggers import fired
from voicebot.safety.triggers.cause import Cause
from voicebot.safety.triggers.faults import failed_call

log = structlog.get_logger(__name__)

SUPERVISOR = "supervisor"
"""The trigger of a call that a supervisor has taken over."""

_URGENCY = {"draining": "normal", "bot_off": "normal", SUPERVISOR: "normal"}
"""Of a planned stop; a caller whom a failure cut off does not wait behind others."""


class FailedCalls:
    """Gives a failed call to a person with all that is stored of it. One per node.

    Args:
        keys: opens and seals what people said.
        desk: stores handoffs.
        policy_version: of the deployment that runs.
    """

    def __init__(self, keys: KeyRing, desk: HandoverDesk, policy_version: str) -> None:
        self._keys = keys
        self._desk = desk
        self._policy_version = policy_version
        self._conversations = Conversations(keys)

    async def store(self, tx: Transaction, conversation_id: str, reason: str) -> None:
        """Stores handoff, event and audit record, unless the conversation has a handoff already.

        Leaves the conversation's status alone: who hung up meanwhile can be called back.

        Args:
            tx: the transaction in which the call is given away.
            conversation_id: ``cv_...``.
            reason: becomes the trigger, e.g. ``database_down``.

        Raises:
            UnknownConversation: there is none.
        """
        snapshot = await self._conversations.load(tx, conversation_id, lock=True)
        if await handoffs.list(tx, conversation_id=conversation_id, limit=1):
            return
        await self._store(tx, snapshot, reason, "server")

    async def take_over(self, tx: Transaction, conversation_id: str, supervisor: str) -> str:
        """The handoff that a supervisor takes of a call under way: the one that waits, or one of their own.

        Raises:
            UnknownConversation: there is none.
            SubjectErased: what was said was erased.
        """
        snapshot = await self._conversations.load(tx, conversation_id, lock=True)
        for row in await handoffs.list(tx, conversation_id=conversation_id):
            if row["status"] != "done":
                return row["id"]
        if snapshot.channel not in {Channel.PHONE, Channel.BROWSER} or snapshot.status == "ended":
            raise NoCaller("ended" if snapshot.status == "ended" else "no_call")
        return await self._store(tx, snapshot, SUPERVISOR, supervisor)

    async def _store(self, tx: Transaction, snapshot: Snapshot, reason: str, who: str) -> str:
        conversation_id = snapshot.id
        state = _readable(snapshot)
        request = HandoverRequest(
            snapshot=snapshot,
            turn=snapshot.turn,
            state=state or ConversationState(),
            decision=None,
            trigger=reason,
            urgency=_URGENCY.get(reason, "high"),
            caller="",
            said=None,
            turns=tuple(await self._conversations.turns(tx, conversation_id)),
            policy_version=self._policy_version,
            fired=_fired(reason, state),
        )
        try:
            handoff = await self._desk.store(tx, request)
        except (ValueError, KeyError):  # turns of another version: a person gets what is left
            log.exception("handoff_without_turns", conversation=conversation_id)
            handoff = await self._desk.store(tx, replace(request, turns=()))
        if state is not None:
            changed = states.dump(state.model_copy(update={"handoff": handoff}))
            await self._conversations.advance(tx, snapshot, turn=snapshot.turn, state=changed)
        await self._tell(tx, request, handoff, who)
        return handoff

    async def _tell(self, tx: Transaction, request: HandoverRequest, handoff: str, who: str) -> None:
        snapshot = request.snapshot
        facts: dict[str, Any] = {
            "handoff": handoff,
            "trigger": request.trigger,
            "urgency": request.urgency,
        }
        if request.fired is not None:
            facts["fired"] = request.fired.model_dump(mode="json")
            waited = request.fired.at - request.fired.first_sign_at
            metrics.triggers.labels(request.fired.name).inc()
            metrics.trigger_s.labels(request.fired.name).observe(waited.total_seconds())
        event = Event(
            id=f"ev_{snapshot.id[3:]}_{request.turn}_handoff_requested",
            type="handoff.requested",
            conversation_id=snapshot.id,
            turn=request.turn,
            time=datetime.now(UTC),
            data=facts,
        )
        await outbox.append(tx, self._keys, snapshot.subject_id, event)
        await audit.record(
            tx,
            action="handoff.requested",
            actor=who,
            facts=facts,
            conversation_id=snapshot.id,
            turn=request.turn,
        )


def _fired(reason: str, state: ConversationState | None) -> FiredTrigger:
    first = state.risk.first if state is not None else None
    cause = Cause(SUPERVISOR, {}) if reason == SUPERVISOR else failed_call(reason)
    return fired(cause, datetime.now(UTC), first)


def _readable(snapshot: Snapshot) -> ConversationState | None:
    """The state, None if this server cannot read it (which may be what failed)."""
    try:
        return states.load(snapshot.state)
    except UnknownState:
        log.warning("handoff_without_state", conversation=snapshot.id)
        return None
