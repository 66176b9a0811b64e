"""How a change that was agreed to is made, once: in the turn's transaction, or under its key elsewhere.

In our own database the yes, the act, its limits, its audit and the turn are one transaction (`begin` gives
the outcome). On a remote system `begin` writes with the turn that the act is intended, and gives None; then
`carry_out` makes it, with no transaction open, and `settle` writes what came of it. Whoever dies in between
leaves an act that is intended: `voicebot.dialogue.recovery` carries it out, on any node. A write that was
begun is not given up because the caller speaks or hangs up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import structlog

from voicebot.core.conversation import Urgency
from voicebot.core.store import acts, follow_ups, proposals
from voicebot.core.store.conversations import StaleState
from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.actions.changes import DISAGREES, Act, Changes
from voicebot.dialogue.actions.prepared import Prepared
from voicebot.dialogue.connectors.connector import OutcomeUnknown
from voicebot.dialogue.flow.draft import ActOutcome, Agreed
from voicebot.dialogue.flow.due import due

log = structlog.get_logger(__name__)

CLAIM_S = 45.0
"""How long whoever began an act has for it before another node takes it up: longer than its tries."""
RECALLS_S = (0.0, 0.5, 1.5)
"""Pauses before each time that the outcome of a change is read by its key, when no answer came."""
UNKNOWN = ActOutcome("unknown", {"outcome": "unknown"})
SERVICE = "service team"
"""Who looks at an act of which nobody could learn what came."""


class Doing:
    """Makes the changes of turns. Stateless; one per orchestrator.

    Args:
        keys: seals what is stored.
        changes: makes a change.
        sleep: waits some seconds.
        now: the time, aware, where the business is.
    """

    def __init__(
        self,
        keys: KeyRing,
        changes: Changes,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._keys = keys
        self._changes = changes
        self._sleep = sleep
        self.now = now

    def act(self, agreed: Agreed, *, conversation_id: str, turn: int, transaction_id: str | None) -> Act:
        """The act of a turn; its key is the same however often it is tried."""
        return Act(
            key=acts.key_of(conversation_id, turn, agreed.prepared.tool.name),
            customer=agreed.customer,
            segment=agreed.segment,
            conversation_id=conversation_id,
            turn=turn,
            now=self.now(),
            transaction_id=transaction_id,
        )

    async def begin(self, tx: Transaction, agreed: Agreed, act: Act) -> ActOutcome | None:
        """Takes the yes and makes the change, or writes that it is intended (None: `carry_out` comes next).

        Raises:
            StaleState: the yes counts for nothing (any more); nothing was done.
            DatabaseDown: nothing is certain; the same turn may be committed again.
        """
        prepared, proposed = agreed.prepared, agreed.proposed
        taken = await proposals.consent(
            tx,
            proposed.id,
            digest=prepared.digest(
                customer_id=act.customer.customer_id, policy_version=proposed.policy_version
            ),
            policy_version=proposed.policy_version,
            turn=act.turn,
            by=agreed.by,
        )
        if not taken:
            raise StaleState(f"proposal {proposed.id} can not be agreed to (any more)")
        here = self._changes.local(prepared)
        await acts.intend(
            tx,
            self._keys,
            conversation_id=act.conversation_id,
            turn=act.turn,
            act=prepared.tool.name,
            arguments={"canonical": prepared.canonical, "segment": act.segment},
            proposal=proposed.id,
            claim_s=None if here else CLAIM_S,
        )
        outcome = await (self._changes.perform if here else self._changes.reserve)(tx, prepared, act)
        if outcome is not None:
            await acts.settle(tx, self._keys, act.key, status=outcome.status, outcome=outcome.result)
            await proposals.settle(tx, proposed.id, outcome.status)
        return outcome

    async def stored(self, tx: Transaction, key: str) -> ActOutcome | None:
        """What came of an act that was begun; None while that is not known.

        Raises:
            UnknownAct: it was not.
        """
        act = await acts.get(tx, self._keys, key)
        return None if act.status == "intended" else ActOutcome(act.status, act.outcome or {})

    async def carry_out(self, prepared: Prepared, act: Act, *, sent: bool = False) -> ActOutcome:
        """Makes a change on a remote system. Where no answer comes, its outcome is read by the key.

        Args:
            prepared: the call.
            act: with the key under which it is made, however often it is sent.
            sent: it may have been sent before, by a node that is gone: ask first.

        Returns:
            What came of it; `UNKNOWN` if that could not be learned.
        """
        for pause_s in RECALLS_S if sent else (None, *RECALLS_S):
            try:
                if pause_s is not None:
                    await self._sleep(pause_s)
                    known = await self._changes.recall(prepared, act)
                    if known is not None:
                        return known
                return await self._changes.send(prepared, act)
            except OutcomeUnknown as error:
                log.warning("act.no_answer", act=prepared.tool.name, key=act.key, why=str(error))
        return UNKNOWN

    async def settle(
        self, tx: Transaction, prepared: Prepared, act: Act, outcome: ActOutcome, *, intent: str
    ) -> ActOutcome:
        """Writes what came of a remote change. The first known outcome stays, and is what is returned.

        One that is not known is promised to be looked at, by a person with a time.
        """
        first = await acts.settle(tx, self._keys, act.key, status=outcome.status, outcome=outcome.result)
        if not first:
            standing = await self.stored(tx, act.key)
            assert standing is not None  # else ours would have been the first
            return standing
        unknown = outcome.status == "unknown"
        await self._changes.settle(tx, prepared, act, None if unknown else outcome)
        row = await acts.get(tx, self._keys, act.key)
        if row.proposal is not None:
            await proposals.settle(tx, row.proposal, outcome.status)
        if unknown or outcome.result.get("outcome") == DISAGREES:
            await follow_ups.save(
                tx,
                self._keys,
                conversation_id=act.conversation_id,
                turn=act.turn,
                kind="request",
                intent=intent,
                owner=SERVICE,
                urgency=Urgency.HIGH.value,
                due_at=due(self.now(), Urgency.HIGH),
                details={"act": prepared.tool.name, "key": act.key, "outcome": outcome.result},
            )
        return outcome
