"""Acts on remote systems that nobody finishes any more: their node died, or no answer ever came.

Any node takes them up, one at a time under a claim: it asks by the key what came of the act, sends it under
the same key if nothing did (the caller agreed to it), and writes the outcome. A conversation that goes on
owes the caller the words; for one that is over, a person hears of whatever was not done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import structlog

from voicebot.core.conversation import Urgency
from voicebot.core.store import acts, audit, follow_ups, proposals
from voicebot.core.store.conversations import Conversations, Snapshot
from voicebot.core.store.database import Database, Transaction
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue import state as states
from voicebot.dialogue.actions.changes import Act
from voicebot.dialogue.actions.prepared import Prepared
from voicebot.dialogue.actions.registry import ToolRefused, ToolRegistry
from voicebot.dialogue.doing import CLAIM_S, SERVICE, Doing
from voicebot.dialogue.flow.draft import ActOutcome
from voicebot.dialogue.flow.due import due
from voicebot.dialogue.phrases import Phrases
from voicebot.dialogue.state import Owed
from voicebot.safety.identity import Gate

log = structlog.get_logger(__name__)

EVERY_S = 5.0
"""How often a node looks."""


class Tell(Protocol):
    """Writes a fact of a turn, for others."""

    def __call__(
        self, tx: Transaction, snapshot: Snapshot, turn: int, kind: str, data: dict[str, Any]
    ) -> Awaitable[None]:
        """``kind``: ``act.done``; ``data`` holds nothing personal."""
        ...


class Recovery:
    """Settles acts that were left. One per node; of several at once one acts.

    Args:
        database: ours.
        keys: opens and seals what is stored.
        tools: what can be done.
        doing: how it is done.
        gate: says who was verified.
        phrases: the words that are owed.
        tell: writes events.
        poke: called after a commit that put events into the outbox.
    """

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        tools: ToolRegistry,
        doing: Doing,
        gate: Gate,
        phrases: Phrases,
        tell: Tell,
        poke: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._keys = keys
        self._tools = tools
        self._doing = doing
        self._gate = gate
        self._phrases = phrases
        self._tell = tell
        self._poke = poke
        self._conversations = Conversations(keys)

    async def run(self) -> None:
        """Sweeps until cancelled."""
        while True:
            await self.sweep()
            await asyncio.sleep(EVERY_S)

    async def sweep(self) -> int:
        """One look at everything that was left. Returns how many acts are settled now.

        Raises:
            DatabaseDown: Postgres does not answer.
        """
        async with self._database.transaction() as tx:
            keys = await acts.left(tx)
        return sum([await self._recover(key) for key in keys])

    async def _recover(self, key: str) -> bool:
        async with self._database.transaction() as tx:
            if not await acts.claim(tx, key, for_s=CLAIM_S):
                return False  # another node was quicker
            left = await acts.get(tx, self._keys, key)
            snapshot = await self._conversations.load(tx, left.conversation_id)
            intent = left.act
            if left.proposal is not None:
                intent = (await proposals.get(tx, self._keys, left.proposal)).proposed.intent
        customer = self._gate.customer(states.load(snapshot.state).gate)
        prepared = self._prepared(left)
        if customer is None or prepared is None:
            log.error("act.not_recoverable", act=left.act, key=key)
            return False
        act = Act(
            key=key,
            customer=customer,
            segment=left.arguments.get("segment"),
            conversation_id=left.conversation_id,
            turn=left.turn,
            now=self._doing.now(),
        )
        outcome = await self._doing.carry_out(prepared, act, sent=True)
        async with self._database.transaction() as tx:
            snapshot = await self._conversations.load(tx, left.conversation_id, lock=True)
            if (await acts.get(tx, self._keys, key)).status not in {"intended", "unknown"}:
                return False  # its own node was alive after all, and has told
            told = left.status == "unknown" and outcome.status == "unknown"
            if not told:
                outcome = await self._doing.settle(tx, prepared, act, outcome, intent=intent)
                await self._after(tx, snapshot, left, prepared, outcome, intent)
        self._poke()
        log.warning("act.recovered", act=left.act, key=key, status=outcome.status)
        return not told

    def _prepared(self, left: acts.Act) -> Prepared | None:
        try:
            return self._tools.restore(left.act, left.arguments["canonical"])
        except (ToolRefused, KeyError):
            return None

    async def _after(
        self,
        tx: Transaction,
        snapshot: Snapshot,
        left: acts.Act,
        prepared: Prepared,
        outcome: ActOutcome,
        intent: str,
    ) -> None:
        facts = {
            "act": left.act,
            "outcome": str(outcome.result.get("outcome", outcome.status)),
            "proposal": left.proposal,
            "recovered": True,
        }
        kind = f"act.{outcome.status}"
        await self._tell(tx, snapshot, left.turn, kind, facts)
        await audit.record(
            tx,
            action=kind,
            actor="server",
            facts=facts,
            conversation_id=left.conversation_id,
            turn=left.turn,
        )
        state = states.load(snapshot.state)
        acting = tuple(one for one in state.acting if one.key != left.key)
        owed = Owed(key=f"act_{left.act}", text=self._words(prepared, outcome))
        changed = state.model_copy(update={"acting": acting, "owed": (*state.owed, owed)})
        await self._conversations.advance(tx, snapshot, turn=snapshot.turn, state=states.dump(changed))
        if snapshot.status == "ended" and outcome.status not in {"done", "unknown"}:
            await follow_ups.save(
                tx,
                self._keys,
                conversation_id=left.conversation_id,
                turn=left.turn,
                kind="request",
                intent=intent,
                owner=SERVICE,
                urgency=Urgency.HIGH.value,
                due_at=due(self._doing.now(), Urgency.HIGH),
                details={"act": left.act, "key": left.key, "outcome": outcome.result},
            )

    def _words(self, prepared: Prepared, outcome: ActOutcome) -> str:
        """What came of it, as it will be said when the conversation goes on."""
        tool, named = prepared.tool, str(outcome.result.get("outcome", outcome.status))
        line = self._phrases.text("act.unknown")
        if outcome.status in {"done", "refused", "failed"} and named in tool.outcomes:
            typed = tool.result.model_validate(outcome.result, strict=False)
            fields = {name: getattr(typed, name) for name in type(typed).model_fields}
            line = self._phrases.result(tool.name, named, fields)
        elif self._phrases.has(f"act.{named}"):
            line = self._phrases.text(f"act.{named}")
        return f"{self._phrases.text('act.earlier')} {line}"
