"""Acts on our own database, done in the transaction of the turn that does them, once each.

An act either happens together with its turn or not at all; the same turn again finds what came of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from pydantic import Field, ValidationError

from voicebot.core.conversation import Strict
from voicebot.core.store import acts, follow_ups
from voicebot.core.store.conversations import Snapshot
from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.flow.draft import ActOutcome


class UnknownLocalAct(LookupError):
    """The plan names an act that this server does not have."""


class FollowUpRequest(Strict):
    """Arguments of the act ``follow_up``: what is promised, to whom, by whom, until when.

    ``contact``: where the caller can be reached, None if the channel or the records know it.
    """

    kind: follow_ups.Kind
    intent: str
    owner: str
    urgency: str
    due_at: str
    question: str
    contact: str | None = None
    known: dict[str, str] = Field(default_factory=dict[str, str])


Perform = Callable[[Transaction, KeyRing, Snapshot, int, dict[str, Any]], Awaitable[ActOutcome]]


async def promise(
    tx: Transaction, keys: KeyRing, snapshot: Snapshot, turn: int, arguments: dict[str, Any]
) -> ActOutcome:
    """Stores a promise; a conversation that has an open one for the same intent keeps that one.

    Outcome: ``promised`` or ``already``, with ``follow_up``, ``owner`` and ``due_at``.
    """
    request = FollowUpRequest.model_validate(arguments)
    for row in await follow_ups.list(tx, status="open", conversation_id=snapshot.id):
        if row["intent"] == request.intent:
            return _promised("already", row["id"], row["owner"], row["due_at"])
    due_at = datetime.fromisoformat(request.due_at)
    follow_up = await follow_ups.save(
        tx,
        keys,
        conversation_id=snapshot.id,
        turn=turn,
        kind=request.kind,
        intent=request.intent,
        owner=request.owner,
        urgency=request.urgency,
        due_at=due_at,
        details={
            "question": request.question,
            "contact": request.contact or snapshot.caller,
            "known": request.known,
        },
    )
    return _promised("promised", follow_up, request.owner, due_at)


LOCAL_ACTS: Mapping[str, Perform] = MappingProxyType({"follow_up": promise})


class LocalActs:
    """Does the acts of a turn. Stateless but for the keys; one per node.

    Args:
        keys: seals arguments and outcomes.
        known: acts by name.
    """

    def __init__(self, keys: KeyRing, known: Mapping[str, Perform] = LOCAL_ACTS) -> None:
        self._keys = keys
        self._known = known

    async def perform(
        self, tx: Transaction, snapshot: Snapshot, turn: int, name: str, arguments: dict[str, Any]
    ) -> ActOutcome:
        """Does it, or gives the outcome of the time it was done under this turn's key.

        Raises:
            UnknownLocalAct: there is no such act; nothing was done.
            DatabaseDown: nothing is certain; the same turn may be committed again.
        """
        perform = self._known.get(name)
        if perform is None:
            raise UnknownLocalAct(f"no act {name!r}; known are {', '.join(sorted(self._known))}")
        act = await acts.intend(
            tx, self._keys, conversation_id=snapshot.id, turn=turn, act=name, arguments=arguments
        )
        if act.outcome is not None:
            return stored(act)
        try:
            outcome = await perform(tx, self._keys, snapshot, turn, arguments)
        except ValidationError as error:
            fields = sorted({".".join(map(str, e["loc"])) for e in error.errors()})
            outcome = ActOutcome("refused", {"outcome": "refused", "fields": fields})
        await acts.settle(tx, self._keys, act.key, status=outcome.status, outcome=outcome.result)
        return outcome

    async def outcome_of(self, tx: Transaction, conversation_id: str, turn: int, name: str) -> ActOutcome:
        """What came of an act that was committed.

        Raises:
            UnknownAct: it was not.
        """
        return stored(await acts.get(tx, self._keys, acts.key_of(conversation_id, turn, name)))


def stored(act: acts.Act) -> ActOutcome:
    """The outcome of a settled act."""
    assert act.status != "intended"  # a local act is settled in the transaction that intends it
    return ActOutcome(act.status, act.outcome or {})


def _promised(outcome: str, follow_up: str, owner: str, due_at: datetime) -> ActOutcome:
    result = {"outcome": outcome, "follow_up": follow_up, "owner": owner, "due_at": due_at.isoformat()}
    return ActOutcome("done", result)
