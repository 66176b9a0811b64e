"""One conversation with the real orchestrator on a real database, said line by line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from deployment_kit import REFERENCE, stored_handoffs

from voicebot.core.conversation import CallStarted, Channel, Heard, TurnInput, TurnTimings, Utterance
from voicebot.core.store import audit, handoffs, outbox
from voicebot.core.store.conversations import Conversations, Snapshot
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue import state as states
from voicebot.dialogue.actions.registry import ToolRegistry
from voicebot.dialogue.connectors.connector import Connector
from voicebot.dialogue.connectors.postgres import PostgresConnector
from voicebot.dialogue.deployment import Deployment
from voicebot.dialogue.generation.grounded import GroundedResponder
from voicebot.dialogue.generation.request import Generator
from voicebot.dialogue.orchestrator import Committed, Orchestrator, Plan
from voicebot.dialogue.state import ConversationState
from voicebot.safety.policy import Policy

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE_S = 30.0
"""Of plans and tools: a machine with other tests on it may stall for longer than a caller waits."""


def _patient(deployment: Deployment) -> Deployment:
    tools = (deployment.tools.get(name) for name in sorted(deployment.tools.names))
    return replace(deployment, tools=ToolRegistry(replace(tool, timeout_s=PATIENCE_S) for tool in tools))


DEPLOYMENT = _patient(REFERENCE)


def with_policy(**rules: dict[str, Any]) -> Deployment:
    """The deployment with some intents' rows changed; not proved, so that any flow can be reached."""
    table = DEPLOYMENT.policy.table
    rows = {
        **table.intents,
        **{intent: table.intents[intent].model_copy(update=change) for intent, change in rules.items()},
    }
    return replace(DEPLOYMENT, policy=Policy(table.model_copy(update={"intents": rows})))


def never_sure() -> Deployment:
    """The deployment as if no reading of the monitor were certain, short of distress and the like."""
    table = DEPLOYMENT.policy.table
    rows = {
        name: rule.model_copy(update={"sure": 1.0}) if rule.tier < 3 else rule
        for name, rule in table.intents.items()
    }
    limits = table.thresholds.model_copy(update={"unsure": 0.01})
    return replace(
        DEPLOYMENT, policy=Policy(table.model_copy(update={"intents": rows, "thresholds": limits}))
    )


def node(
    database: Any,
    keys: KeyRing,
    *,
    deployment: Deployment = DEPLOYMENT,
    connector: Connector | None = None,
    generator: Generator | None = None,
    **more: Any,
) -> Orchestrator:
    """An orchestrator of its own, as another node has it."""
    return Orchestrator(
        database=database,
        keys=keys,
        deployment=deployment,
        connector=connector or PostgresConnector(database, deployment.queries),
        generator=generator or GroundedResponder(),
        handoffs=stored_handoffs(keys),
        **({"patience_s": PATIENCE_S} | more),
    )


class Talk:
    """A caller and the bot. ``said`` collects the bot's answers as they were heard."""

    def __init__(
        self, database: Database, keys: KeyRing, orchestrator: Orchestrator, conversation_id: str
    ) -> None:
        self.database = database
        self.keys = keys
        self.orchestrator = orchestrator
        self.id = conversation_id
        self.conversations = Conversations(keys)
        self.said: list[str] = []
        self.last: Committed | None = None

    @classmethod
    async def begin(
        cls,
        database: Database,
        keys: KeyRing,
        *,
        generator: Generator | None = None,
        connector: Connector | None = None,
        greeted: bool = True,
        deployment: Deployment = DEPLOYMENT,
        channel: Channel = Channel.PHONE,
        caller: str | None = "+12025550100",
        **more: Any,
    ) -> Talk:
        """A new conversation on a `shop_database`, and (unless told otherwise) the greeting heard.

        ``more`` goes to the orchestrator.
        """
        orchestrator = node(
            database, keys, deployment=deployment, connector=connector, generator=generator, **more
        )
        async with database.transaction() as tx:
            conversation_id = await Conversations(keys).create(
                tx,
                channel=channel,
                call_sid=None,
                caller=caller,
                called=None,
                state=states.new_state(),
            )
        talk = cls(database, keys, orchestrator, conversation_id)
        if greeted:
            await talk.turn(CallStarted())
        return talk

    async def turn(self, given: TurnInput | str, *, heard: int | None = None) -> str:
        """One turn. ``heard``: how many words of the answer the caller heard before speaking over it."""
        committed = await self.commit(await self.plan(given))
        words = await self.words(committed)
        await self.hear(committed.turn, words, heard)
        return words

    async def plan(self, given: TurnInput | str) -> Plan:
        spoken = Utterance(text=given) if isinstance(given, str) else given
        return await self.orchestrator.plan(self.id, spoken)

    async def commit(self, plan: Plan) -> Committed:
        self.last = await self.orchestrator.commit(plan)
        return self.last

    async def words(self, committed: Committed) -> str:
        text = " ".join([clause.text async for clause in self.orchestrator.words(committed)])
        self.said.append(text)
        return text

    async def hear(self, turn: int, words: str, heard: int | None = None) -> None:
        part = " ".join(words.split()[:heard])
        await self.orchestrator.heard(
            self.id, turn, Heard(text=part, complete=heard is None), TurnTimings(first_heard_ms=1)
        )

    async def snapshot(self) -> Snapshot:
        async with self.database.transaction() as tx:
            return await self.conversations.load(tx, self.id)

    async def close(self) -> None:
        await self.orchestrator.close()

    async def state(self) -> ConversationState:
        return states.load((await self.snapshot()).state)

    async def turns(self) -> list[dict[str, Any]]:
        async with self.database.transaction() as tx:
            return await self.conversations.turns(tx, self.id)

    async def events(self) -> list[str]:
        async with self.database.transaction() as tx:
            return [event.type for event in await outbox.events_of(tx, self.keys, self.id)]

    async def accesses(self) -> list[tuple[str, bool]]:
        async with self.database.transaction() as tx:
            return [(row["resource"], row["discarded"]) for row in await audit.accesses(tx, self.id)]

    async def audited(self) -> list[str]:
        async with self.database.transaction() as tx:
            return [row["what"] for row in reversed(await audit.records(tx, conversation_id=self.id))]

    async def handoff(self) -> Mapping[str, Any] | None:
        async with self.database.transaction() as tx:
            rows = await handoffs.list(tx, conversation_id=self.id)
            return None if not rows else await handoffs.get(tx, self.keys, rows[0]["id"])
