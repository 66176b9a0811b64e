"""The orchestrator: an input becomes a plan, a plan becomes a commit, a commit becomes words.

    plan = await orchestrator.plan(conversation_id, turn_input)    # reads only; may be thrown away
    committed = await orchestrator.commit(plan)                     # one transaction; twice is once
    async for clause in orchestrator.words(committed): ...          # the utterance
    await orchestrator.heard(conversation_id, committed.turn, heard, timings)

One per node, shared by all its calls. It holds no state of a conversation: state is read from the
database at each turn and written with a version, so any node can take the next turn. What it does
hold are the streams of words that are being written.
"""

from __future__ import annotations

import secrets
import weakref
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog

from voicebot.core.conversation import (
    Clause,
    Decision,
    Event,
    Heard,
    Keys,
    Route,
    TurnInput,
    TurnTimings,
    Utterance,
)
from voicebot.core.settings import Settings
from voicebot.core.store import audit, outbox
from voicebot.core.store.conversations import Conversations, Snapshot, StaleState
from voicebot.core.store.database import Database, Transaction
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue import state as states
from voicebot.dialogue.connectors.connector import Connector
from voicebot.dialogue.connectors.postgres import PostgresConnector
from voicebot.dialogue.deployment import Deployment
from voicebot.dialogue.flow.draft import After, Draft
from voicebot.dialogue.flow.planner import Planner
from voicebot.dialogue.flow.speech import Line, Part, Said, question_of, text_of, text_of_all
from voicebot.dialogue.generation.request import Generator
from voicebot.dialogue.generation.utterance import UtteranceStream
from voicebot.dialogue.generation.writer import make_generator
from voicebot.dialogue.handover import HandoverDesk, HandoverRequest
from voicebot.dialogue.hearing_back import settle
from voicebot.dialogue.monitor.monitor import Monitor
from voicebot.dialogue.phrases import Phrases
from voicebot.dialogue.reading import PlanReads, mark_used
from voicebot.dialogue.state import ConversationState, OpenTurn, Owed
from voicebot.safety.identity import Gate

log = structlog.get_logger(__name__)

AUDITED = frozenset({"identity.verified", "identity.not_matched", "identity.refused"})
"""Facts of a turn that are written into the tier-1 audit with it."""


class StalePlan(Exception):  # a verdict, not a fault
    """The conversation moved on since the plan was made: throw it away and plan again."""


@dataclass(frozen=True)
class Plan:
    """A turn that is settled but not true yet. Commit it, or `Orchestrator.discard` it."""

    conversation_id: str
    turn: int
    transaction_id: str
    snapshot: Snapshot
    input: TurnInput
    decision: Decision
    after: After
    draft: Draft = field(repr=False)
    next_state: ConversationState = field(repr=False)
    stream: UtteranceStream = field(repr=False)
    said: str | None = field(repr=False)
    """All words, when they are known already."""
    personal_reads: int = 0
    accessed_as: str = ""


@dataclass(frozen=True)
class Committed:
    """A turn that is true. ``after``: what the call does when its words were spoken."""

    conversation_id: str
    turn: int
    decision: Decision
    after: After
    handoff: str | None
    stream: UtteranceStream = field(repr=False)


class Orchestrator:
    """Plans and commits turns. Use `create`.

    Args:
        database: ours.
        keys: opens and seals what people said.
        deployment: the business.
        connector: its system of record.
        generator: writes free answers.
        handoffs: stores handoffs in the turn's transaction.
        poke: called after each commit, so that events leave at once.
    """

    def __init__(
        self,
        *,
        database: Database,
        keys: KeyRing,
        deployment: Deployment,
        connector: Connector,
        generator: Generator,
        handoffs: HandoverDesk,
        poke: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._keys = keys
        self._deployment = deployment
        self._connector = connector
        self._generator = generator
        self._handoffs = handoffs
        self._poke = poke
        self._conversations = Conversations(keys)
        self._streams: weakref.WeakSet[UtteranceStream] = weakref.WeakSet()  # a plan may just be dropped
        policy = deployment.policy
        monitor = Monitor(
            deployment.classifier,
            is_content=deployment.intents.is_content,
            priority=lambda intent: rule.priority if (rule := policy.rule(intent)) else 0,
            sure=policy.table.thresholds.sure,
        )
        self._planner = Planner(
            monitor=monitor,
            policy=policy,
            gate=Gate(policy.table.identity),
            phrases=deployment.phrases,
            intents=deployment.intents,
            writer_route=Route.GROUNDED if generator.name == "grounded" else Route.SMALL,
            writer=generator.version,
        )

    @classmethod
    async def create(
        cls,
        *,
        database: Database,
        keys: KeyRing,
        deployment: Deployment,
        settings: Settings,
        handoffs: HandoverDesk,
        poke: Callable[[], None] = lambda: None,
    ) -> Orchestrator:
        """An orchestrator as the settings say: the writer of ``VOICEBOT_LLM``, the shop in our database.

        Raises:
            SettingsError: the language model cannot be used as configured.
        """
        return cls(
            database=database,
            keys=keys,
            deployment=deployment,
            connector=PostgresConnector(database, deployment.queries),
            generator=make_generator(settings, deployment.prompts),
            handoffs=handoffs,
            poke=poke,
        )

    async def close(self) -> None:
        """Ends every stream of words that is still being written."""
        for stream in list(self._streams):
            await stream.cancel()
        self._streams.clear()
        await self._generator.close()

    async def plan(self, conversation_id: str, turn_input: TurnInput) -> Plan:
        """The turn that an input causes. Reads only; what it reads of people is logged.

        Raises:
            UnknownConversation: there is none.
            UnknownState: another version of the server wrote its state.
            DatabaseDown: Postgres does not answer.
        """
        async with self._database.transaction() as tx:
            snapshot = await self._conversations.load(tx, conversation_id)
        state = states.load(snapshot.state)
        turn, transaction_id = snapshot.turn + 1, f"tx_{secrets.token_hex(16)}"
        reads = PlanReads(
            database=self._database,
            connector=self._connector,
            tools=self._deployment.tools,
            rules=self._deployment.policy.table.identity,
            conversation_id=conversation_id,
            turn=turn,
            transaction_id=transaction_id,
        )
        draft = await self._planner.draft(conversation_id, turn, state, turn_input, reads)
        phrases = self._deployment.phrases.on(snapshot.channel)
        draft_parts = (*_owed_parts(draft.state, phrases.has), *draft.parts)
        said = text_of_all(draft_parts, phrases)
        stream = UtteranceStream(conversation_id, draft_parts, phrases, self._generator)
        stream.start()
        self._streams.add(stream)
        return Plan(
            conversation_id=conversation_id,
            turn=turn,
            transaction_id=transaction_id,
            snapshot=snapshot,
            input=turn_input,
            decision=draft.decision(),
            after=draft.after,
            draft=draft,
            next_state=self._opened(draft, draft_parts, turn, turn_input, said, phrases),
            stream=stream,
            said=said,
            personal_reads=reads.personal,
            accessed_as=reads.actor,
        )

    async def discard(self, plan: Plan) -> None:
        """Throws a plan away: its words stop being written. Its reads stay logged, as discarded."""
        self._streams.discard(plan.stream)
        await plan.stream.cancel()

    async def commit(self, plan: Plan) -> Committed:
        """Makes a plan true: state, turn, events, audit and handoff in one transaction. Twice is once.

        Raises:
            StalePlan: another turn, another node or another media session came first; the plan is discarded.
            DatabaseDown: nothing is certain; commit the same plan again, or fail to a person.
        """
        try:
            async with self._database.transaction() as tx:
                handoff = await self._write(tx, plan)
        except StaleState as error:
            await self.discard(plan)
            raise StalePlan(str(error)) from error
        self._poke()
        return Committed(
            conversation_id=plan.conversation_id,
            turn=plan.turn,
            decision=plan.decision,
            after=plan.after,
            handoff=handoff,
            stream=plan.stream,
        )

    async def words(self, committed: Committed) -> AsyncIterator[Clause]:
        """The clauses of a committed turn, each as soon as it stands. Closing it stops the writing."""
        clauses = committed.stream.clauses()
        try:
            async for clause in clauses:
                yield clause
        finally:
            await committed.stream.cancel()
            self._streams.discard(committed.stream)

    async def heard(self, conversation_id: str, turn: int, heard: Heard, timings: TurnTimings) -> None:
        """Closes a turn with what the caller heard of it. The first time counts.

        Raises:
            UnknownConversation: there is no such turn.
            DatabaseDown: Postgres does not answer.
        """
        async with self._database.transaction() as tx:
            snapshot = await self._conversations.load(tx, conversation_id, lock=True)
            before = states.load(snapshot.state)
            after = settle(before, turn, heard)
            if after is not before:
                await self._conversations.advance(tx, snapshot, turn=snapshot.turn, state=states.dump(after))
            await self._conversations.close_turn(
                tx,
                conversation_id,
                turn=turn,
                heard=heard.model_dump(mode="json"),
                timings=timings.model_dump(mode="json"),
            )
            if after is not before:
                data = {"heard": heard.model_dump(mode="json"), "timings": timings.model_dump(mode="json")}
                await self._event(tx, snapshot, turn, "turn.heard", data)
        self._poke()

    def _opened(
        self,
        draft: Draft,
        parts: tuple[Part, ...],
        turn: int,
        turn_input: TurnInput,
        said: str | None,
        phrases: Phrases,
    ) -> ConversationState:
        """The state as it is committed: what the words will make true waits in an open turn."""
        owes = tuple(
            Owed(key=part.owed, text=text_of(part, phrases) or "")
            for part in parts
            if isinstance(part, Line | Said) and part.owed is not None
        )
        opened = OpenTurn(
            turn=turn,
            text=said,
            caller=_words_of(turn_input),
            owes=owes,
            asked=draft.asked,
            question=question_of(parts, phrases),
            tells=draft.tells,
        )
        return draft.state.model_copy(update={"owed": (), "open_turns": (*draft.state.open_turns, opened)})

    async def _write(self, tx: Transaction, plan: Plan) -> str | None:
        """All of a commit; returns the id of the handoff, if the turn ends with a person."""
        current = await self._conversations.load(tx, plan.conversation_id, lock=True)
        if current.turn >= plan.turn:
            return await self._already(tx, plan, current)
        handoff: str | None = None
        if plan.after == "hand_over":
            turns = tuple(await self._conversations.turns(tx, plan.conversation_id))
            handoff = await self._handoffs.store(tx, self._handover(plan, turns))
        state = (
            plan.next_state if handoff is None else plan.next_state.model_copy(update={"handoff": handoff})
        )
        await self._conversations.advance(tx, plan.snapshot, turn=plan.turn, state=states.dump(state))
        await self._conversations.save_turn(
            tx,
            plan.conversation_id,
            turn=plan.turn,
            transaction_id=plan.transaction_id,
            input=plan.input.model_dump(mode="json"),
            decision=plan.decision.model_dump(mode="json"),
            spoken=plan.said,
        )
        if plan.personal_reads:
            await mark_used(tx, conversation_id=plan.conversation_id, turn=plan.turn, actor=plan.accessed_as)
        await self._tell(tx, plan, handoff)
        if handoff is not None and current.status != "ended":  # who hung up now can be called back
            await self._conversations.set_status(tx, plan.conversation_id, "handoff")
        return handoff

    async def _already(self, tx: Transaction, plan: Plan, current: Snapshot) -> str | None:
        """The turn is there: fine if this very plan wrote it, else the plan is stale."""
        for row in await self._conversations.turns(tx, plan.conversation_id):
            if row["turn"] == plan.turn and row["transaction_id"] == plan.transaction_id:
                return states.load(current.state).handoff
        raise StaleState(f"turn {plan.turn} of {plan.conversation_id} was committed by another plan")

    async def _tell(self, tx: Transaction, plan: Plan, handoff: str | None) -> None:
        """Events and tier-1 audit of a turn."""
        snapshot, turn = plan.snapshot, plan.turn
        for fact in plan.draft.facts:
            await self._event(tx, snapshot, turn, fact.type, fact.data)
            if fact.type in AUDITED:
                await audit.record(
                    tx,
                    action=fact.type,
                    actor="bot",
                    facts=fact.data,
                    conversation_id=plan.conversation_id,
                    turn=turn,
                )
        data = {
            "input": plan.input.model_dump(mode="json"),
            "decision": plan.decision.model_dump(mode="json"),
            "said": plan.said,
            "after": plan.after,
        }
        await self._event(tx, snapshot, turn, "turn.committed", data)
        if handoff is not None:
            facts = {"handoff": handoff, "trigger": plan.decision.trigger, "urgency": plan.draft.urgency}
            await self._event(tx, snapshot, turn, "handoff.requested", facts)
            await audit.record(
                tx,
                action="handoff.requested",
                actor="bot",
                facts=facts,
                conversation_id=plan.conversation_id,
                turn=turn,
            )

    def _handover(self, plan: Plan, turns: tuple[dict[str, Any], ...]) -> HandoverRequest:
        return HandoverRequest(
            snapshot=plan.snapshot,
            turn=plan.turn,
            state=plan.next_state,
            decision=plan.decision,
            trigger=plan.decision.trigger or "unknown",
            urgency=plan.draft.urgency,
            caller=_words_of(plan.input),
            said=plan.said,
            turns=turns,
            policy_version=self._deployment.policy.version,
        )

    async def _event(
        self, tx: Transaction, snapshot: Snapshot, turn: int, kind: str, data: dict[str, Any]
    ) -> None:
        event = Event(
            id=f"ev_{snapshot.id[3:]}_{turn}_{kind.replace('.', '_')}",
            type=kind,
            conversation_id=snapshot.id,
            turn=turn,
            time=datetime.now(UTC),
            data=data,
        )
        await outbox.append(tx, self._keys, snapshot.subject_id, event)


def _owed_parts(state: ConversationState, has: Callable[[str], bool]) -> tuple[Part, ...]:
    """What the caller must still hear, said before anything else; in short where a short line exists."""
    parts: list[Part] = []
    for item in {owed.key: owed for owed in state.owed}.values():
        short = f"owed.{item.key}"
        parts.append(Line(short, owed=item.key) if has(short) else Said(item.text, owed=item.key))
    return tuple(parts)


def _words_of(turn_input: TurnInput) -> str:
    """The caller's part of a turn in words, as a transcript shows it."""
    match turn_input:
        case Utterance():
            return turn_input.text
        case Keys():
            return f"(keys {turn_input.digits})"
        case _:
            return f"({turn_input.kind.replace('_', ' ')})"
