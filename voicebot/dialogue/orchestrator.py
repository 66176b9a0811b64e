"""The orchestrator: an input becomes a plan, a plan becomes a commit, a commit becomes words.

    plan = await orchestrator.plan(conversation_id, turn_input)    # reads only; may be thrown away
    committed = await orchestrator.commit(plan)                     # one transaction; twice is once
    async for clause in orchestrator.words(committed): ...          # the utterance
    await orchestrator.heard(conversation_id, committed.turn, heard, timings)

and, to have the answer ready when the caller stops::

    await orchestrator.offer(conversation_id, words_so_far)         # planned early
    await orchestrator.first_clause(conversation_id)                # what it will say first
    await orchestrator.withdraw(conversation_id)                    # the caller went on speaking
    plan = await orchestrator.settle(conversation_id, final_words)  # that one, if the words agree

One per node, shared by all its calls. It holds no state of a conversation: state is read from the
database at each turn and written with a version, so any node can take the next turn. What it does
hold are the streams of words that are being written, plans made early, and slow tools at work,
whose results come into the `inbox` of whoever holds the conversation.
"""

from __future__ import annotations

import asyncio
import secrets
import time
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import structlog

from voicebot.core import metrics
from voicebot.core.conversation import (
    Channel,
    Clause,
    Heard,
    HearingFailure,
    NotHeard,
    Timer,
    TurnInput,
    TurnTimings,
    Urgency,
    Utterance,
    Versions,
)
from voicebot.core.health import Health
from voicebot.core.settings import Settings, SettingsError
from voicebot.core.store import proposals, vault
from voicebot.core.store.conversations import Conversations, Snapshot, StaleState
from voicebot.core.store.database import Database, Transaction
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue import state as states
from voicebot.dialogue.actions.changes import Changes
from voicebot.dialogue.actions.local import LOCAL_ACTS, LocalActs, Perform
from voicebot.dialogue.committing import Committing, Written
from voicebot.dialogue.connectors.card_processor import CardProcessor, HttpCardProcessor
from voicebot.dialogue.connectors.choice import connect
from voicebot.dialogue.connectors.connector import Connector
from voicebot.dialogue.connectors.http import HttpConnector
from voicebot.dialogue.connectors.noted import NotedConnector
from voicebot.dialogue.deployment import Deployment
from voicebot.dialogue.doing import Doing
from voicebot.dialogue.door import Veil, enter, open_question, shapes_of
from voicebot.dialogue.eager import EagerPlans
from voicebot.dialogue.evidence import tell_committed, tell_heard
from voicebot.dialogue.flow.draft import Draft, Fact
from voicebot.dialogue.flow.guarding import FLAGGED
from voicebot.dialogue.flow.planner import Planner
from voicebot.dialogue.flow.reads import Allowed
from voicebot.dialogue.flow.speech import Part
from voicebot.dialogue.gatekeeping import Gatekeeping
from voicebot.dialogue.generation.request import Generator
from voicebot.dialogue.generation.speech_guard import BLOCKED, SpeechGuard
from voicebot.dialogue.generation.utterance import UtteranceStream
from voicebot.dialogue.generation.writer import make_writers
from voicebot.dialogue.generation.writers import Writers
from voicebot.dialogue.handover import HandoverDesk
from voicebot.dialogue.hearing_back import essentials_heard, read_back_by, settle
from voicebot.dialogue.inbox import Inbox
from voicebot.dialogue.knowledge.retriever import Retriever
from voicebot.dialogue.memory.memory import Memory
from voicebot.dialogue.monitor.monitor import Monitor
from voicebot.dialogue.other_customers import OtherCustomers
from voicebot.dialogue.own_records import OwnRecords
from voicebot.dialogue.payments import Payments
from voicebot.dialogue.persons_words import wrong_with
from voicebot.dialogue.phrases import Phrases
from voicebot.dialogue.plan import Committed, Plan, StalePlan, word
from voicebot.dialogue.reading import PATIENCE_S, PlanReads, SlowRead
from voicebot.dialogue.recovery import Recovery
from voicebot.dialogue.scene import Scene
from voicebot.dialogue.speculation import Fate, Verdict
from voicebot.dialogue.staff import Staff
from voicebot.safety.guard_out.clause import LEAK_WORDS
from voicebot.safety.guard_out.facts import shingles
from voicebot.safety.identity import Gate
from voicebot.safety.pii.finding import Shapes
from voicebot.safety.pii.masking import Masker

__all__ = ["Committed", "Orchestrator", "Plan", "StalePlan"]

log = structlog.get_logger(__name__)

WRITES_END_S = 10.0
"""How long writes that were begun are waited for when a node ends."""
_UNHEARD = 1024
"""Turns whose closing is waited for, to store with it how their words were written."""
_RECORDS_DOWN = ("/tool_failed", "identity/records_down")
"""Ends of the rows of turns that the system of record did not answer."""
_SPOKEN = frozenset({Channel.PHONE, Channel.BROWSER})
"""Channels on which silence is felt: a slow tool's result comes as an input of its own."""


class Orchestrator:
    """Plans and commits turns. Use `create`.

    Args:
        database: ours.
        keys: opens and seals what people said.
        deployment: the business.
        connector: its system of record.
        generator: writes free answers: the writers of the routes, or one for all of them.
        handoffs: stores handoffs in the turn's transaction.
        retriever: searches the articles; None: with the deployment's embedding.
        poke: called after each commit, so that events leave at once.
        acts: what a turn can do, by name.
        now: the time, aware; tests set it.
        busy: the node has no time for plans that may be thrown away.
        sparing: it has little time for them.
        degraded: hearing, speaking or a system of record is not well.
        staff: who is there, and when callers can be called back; None: as if somebody always were.
        off: names of the switches that are off.
        health: which parts are down, as this process has seen it.
        patience_s: how long a plan for a speaking channel waits for a tool.
        texting: text messages can be sent, so that codes may be.
        processor: charges cards that are typed in on our own keypad.
    """

    def __init__(
        self,
        *,
        database: Database,
        keys: KeyRing,
        deployment: Deployment,
        connector: Connector,
        generator: Writers | Generator,
        handoffs: HandoverDesk,
        retriever: Retriever | None = None,
        poke: Callable[[], None] = lambda: None,
        acts: dict[str, Perform] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        busy: Callable[[], bool] = lambda: False,
        sparing: Callable[[], bool] = lambda: False,
        degraded: Callable[[], bool] = lambda: False,
        staff: Staff | None = None,
        off: Callable[[], frozenset[str]] = frozenset,
        health: Health | None = None,
        patience_s: float = PATIENCE_S,
        texting: bool = False,
        processor: CardProcessor | None = None,
    ) -> None:
        self._database = database
        self._deployment = deployment
        self._connector = connector
        self._writers = generator if isinstance(generator, Writers) else Writers.of(generator)
        self._retriever = retriever or deployment.retriever()
        self._poke = poke
        self._now = now
        self._degraded = degraded
        self._staff = staff
        self._off = off
        self._health = health or Health()
        self._patience_s = patience_s
        self._conversations = Conversations(keys)
        policy, intents = deployment.policy, deployment.intents
        self._zone = ZoneInfo(deployment.phrases.time_zone)
        self._gate = Gate(policy.table.identity)
        self._gatekeeping = Gatekeeping(keys, policy.table.identity)
        self._texting = texting
        self.memory = Memory(
            database,
            keys,
            connector,
            deployment.clearances,
            is_topic=intents.is_content,
            means=intents.means,
            now=now,
        )
        local = LocalActs(keys, LOCAL_ACTS if acts is None else acts)
        changes = Changes(
            deployment.tools,
            connector,
            keys,
            limits=policy.table.limits,
            zone=self._zone,
            cards=policy.table.cards,
        )
        self.payments = Payments(
            database, keys, connector, processor, poke, now=lambda: now().astimezone(self._zone)
        )
        """Card payments, whoever takes the card."""
        self._doing = Doing(keys, changes, now=lambda: now().astimezone(self._zone))
        self._committing = Committing(
            keys,
            handoffs,
            local,
            self._doing,
            self.memory,
            self._gate,
            self._gatekeeping,
            policy.version,
            known_words=intents.words,
            is_topic=intents.is_content,
            now=now,
            payments=self.payments,
        )
        self._keys = keys
        self._shapes = shapes_of(policy.table.identity, intents.words)
        self._veils: dict[str, Veil] = {}
        self.recovery = Recovery(
            database,
            keys,
            deployment.tools,
            self._doing,
            self._gate,
            deployment.phrases,
            self._committing.event,
            poke,
        )
        """Settles acts on remote systems that nobody finishes any more."""
        self._streams: weakref.WeakSet[UtteranceStream] = weakref.WeakSet()  # a plan may just be dropped
        self._spoken: dict[tuple[str, int], UtteranceStream] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._writes: set[asyncio.Task[Committed]] = set()
        self._own_records = OwnRecords(connector)
        self.customers = OtherCustomers(connector)
        """Whose identifiers are never said to somebody else. `OtherCustomers.keep` fills it."""
        self._secret = frozenset(
            one for prompt in deployment.prompts.files for one in shingles(prompt.text, LEAK_WORDS)
        )
        self.inbox = Inbox()
        """What comes for the conversations that this process holds."""
        monitor = Monitor(
            deployment.classifier,
            is_content=intents.is_content,
            priority=lambda intent: rule.priority if (rule := policy.rule(intent)) else 0,
            sure=policy.table.thresholds.sure,
            spotter=deployment.spotter,
        )
        self.monitor = monitor
        """Reads what callers say; stateless."""
        self._planner = Planner(
            monitor=monitor,
            policy=policy,
            gate=self._gate,
            phrases=deployment.phrases,
            intents=intents,
            writers=self._writers,
            guard=deployment.guard,
        )
        self._versions = Versions(
            policy=policy.version,
            monitor=monitor.version,
            knowledge=self._retriever.version,
        )
        self._eager = EagerPlans(
            self._plan_early,
            self.discard,
            lambda given: tuple(want.intent for want in monitor.read(self._as_read(given)).wants),
            busy=busy,
            sparing=sparing,
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
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        busy: Callable[[], bool] = lambda: False,
        sparing: Callable[[], bool] = lambda: False,
        degraded: Callable[[], bool] = lambda: False,
        staff: Staff | None = None,
        off: Callable[[], frozenset[str]] = frozenset,
        health: Health | None = None,
        connector: Connector | None = None,
        writers: Writers | None = None,
    ) -> Orchestrator:
        """An orchestrator as settings and deployment say: writer, embedding, the shop's connector.

        ``connector`` and ``writers``: instead of theirs (a call that is run again).

        Raises:
            SettingsError: the language model cannot be used as configured, or policy has cards typed in here
                and there is nobody to charge them.
        """
        processor = HttpCardProcessor.from_settings(settings)
        if deployment.policy.table.cards == "keypad" and processor is None:
            raise SettingsError(
                "policy.yaml says `cards: keypad`: set VOICEBOT_CARD_PROCESSOR, or `cards: pay`"
            )
        return cls(
            database=database,
            keys=keys,
            deployment=deployment,
            connector=connector
            or NotedConnector(connect(deployment.connection, database, deployment.queries)),
            generator=writers
            or make_writers(settings, deployment.prompts, deployment.models, deployment.phrases),
            retriever=deployment.retriever(settings.embedding),
            handoffs=handoffs,
            poke=poke,
            now=now,
            busy=busy,
            sparing=sparing,
            degraded=degraded,
            staff=staff,
            off=off,
            health=health,
            texting=settings.twilio_account_sid is not None and settings.twilio_auth_token is not None,
            processor=processor,
        )

    async def close(self) -> None:
        """Ends everything that is still at work: early plans, slow tools, streams of words."""
        await self._eager.close()
        if self._writes:  # those that do not end in time are found by the recovery of another node
            await asyncio.wait(self._writes, timeout=WRITES_END_S)
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for stream in list(self._streams):
            await stream.cancel()
        self._streams.clear()
        self._spoken.clear()
        await self._writers.close()
        await self.payments.close()
        connector = self._connector
        inner = connector.inner if isinstance(connector, NotedConnector) else connector
        if isinstance(inner, HttpConnector):
            await inner.close()

    async def plan(self, conversation_id: str, turn_input: TurnInput) -> Plan:
        """The turn that an input causes. Reads only; what it reads of people is logged.

        Raises:
            UnknownConversation: there is none.
            UnknownState: another version of the server wrote its state.
            DatabaseDown: Postgres does not answer.
        """
        return await self._plan(conversation_id, turn_input, Allowed.ALL)

    async def offer(self, conversation_id: str, words_so_far: TurnInput, *, likely: bool = False) -> Verdict:
        """Plans early what the caller has said so far, in the background, if that is worth it.

        Args:
            conversation_id: the conversation.
            words_so_far: as the final words will be given if the caller stops now.
            likely: the end of the turn is likely: metered reads and writers may start too.

        Returns:
            What was done with the offer; the same words again change nothing.
        """
        return await self._eager.offer(conversation_id, words_so_far, likely=likely)

    async def first_clause(
        self, conversation_id: str, on_planned: Callable[[Plan], None] = lambda _: None
    ) -> Clause | None:
        """What the early plan at hand will say first, once that is known, so that its sound can be made.

        None: nothing, or only after the commit (an act's words), or a model would have to be paid for words
        of a turn whose end is not likely yet. ``on_planned`` is told when the plan stands.
        """
        return await self._eager.first_clause(conversation_id, on_planned)

    async def withdraw(self, conversation_id: str) -> None:
        """The caller goes on speaking: what was planned early is waste."""
        await self._eager.drop(conversation_id, Fate.RESUMED)

    async def settle(self, conversation_id: str, final: TurnInput) -> Plan:
        """The plan for the final words: the early one if they agree with it, else a new one.

        Raises:
            UnknownConversation, UnknownState, DatabaseDown: as `plan`.
        """
        early = await self._eager.settle(conversation_id, final)
        if early is None:
            return await self.plan(conversation_id, final)
        if early.stream is not None:
            early.stream.start()
        return early

    async def discard(self, plan: Plan) -> None:
        """Throws a plan away: its words stop being written. Its reads stay logged, as discarded."""
        await plan.reads.cancel()
        if plan.stream is not None:
            self._streams.discard(plan.stream)
            await plan.stream.cancel()

    async def commit(self, plan: Plan) -> Committed:
        """Makes a plan true: state, turn, act, events, audit and handoff in one transaction. Twice is once.

        A plan that acts is committed to its end, whatever becomes of whoever called this: nobody takes a
        write back by speaking or by hanging up.

        Raises:
            StalePlan: another turn, another node or another media session came first; the plan is discarded.
            ConversationEnded: the chat is over.
            DatabaseDown: nothing is certain; commit the same plan again, or fail to a person.
        """
        if plan.draft.deed is None:
            return await self._commit(plan)
        if f"tool:{plan.draft.deed.name}" in self._off():  # switched off since it was planned
            await self.discard(plan)
            raise StalePlan(f"{plan.draft.deed.name} is switched off: plan the turn again")
        work = asyncio.ensure_future(self._commit(plan))
        self._writes.add(work)
        work.add_done_callback(self._written)
        return await asyncio.shield(work)

    def _written(self, work: asyncio.Task[Committed]) -> None:
        """A write has ended. Its error is told to who waits for it; else it stands in the log."""
        self._writes.discard(work)
        error = None if work.cancelled() else work.exception()
        if error is not None:
            log.info("write.not_committed", error=type(error).__name__)

    async def _commit(self, plan: Plan) -> Committed:
        with structlog.contextvars.bound_contextvars(
            conversation=plan.conversation_id, turn=plan.turn, transaction=plan.transaction_id
        ):
            began_s = time.monotonic()
            try:
                await plan.reads.announce()
                async with self._database.transaction() as tx:
                    written = await self._committing.write(tx, plan)
            except StaleState as error:
                await self.discard(plan)
                raise StalePlan(str(error)) from error
            again = written.again
            if written.acting is not None:  # on a remote system: nothing is said before the outcome
                outcome = await self._committing.carry_out(plan)
                async with self._database.transaction() as tx:
                    written = await self._committing.arrive(tx, plan, outcome)
            if not again:
                _tell(plan, written, plan.took_ms + _ms_since(began_s))
                self._note_health(plan, written)
        self._poke()
        await self._eager.drop(plan.conversation_id, Fate.STALE)
        stream = plan.stream
        if stream is not None and plan.draft.trial is not None and written.draft is not plan.draft:
            await stream.cancel()  # what was tried came out otherwise
            stream = None
        if stream is None:  # words of an act begin after it
            guard = self._guarded(written.draft, plan.masks.masker.values)
            stream = self._stream(plan.conversation_id, written.worded.parts, plan.phrases, guard)
            stream.start()
        self._wait_for(plan, written)
        tell_committed(plan, written)
        self._spoken[plan.conversation_id, plan.turn] = stream
        self._veils.pop(plan.conversation_id, None)
        self._veils[plan.conversation_id] = Veil.of(plan.masks, written.worded.state)
        if len(self._veils) > _UNHEARD:
            del self._veils[next(iter(self._veils))]
        if len(self._spoken) > _UNHEARD:  # of calls that broke off before anybody said what was heard
            del self._spoken[next(iter(self._spoken))]
        return Committed(
            conversation_id=plan.conversation_id,
            turn=plan.turn,
            decision=written.decision,
            after=written.draft.after,
            handoff=written.handoff,
            stream=stream,
            silent=written.draft.unspoken,
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
        """Closes a turn with what the caller heard of it, and with how its words were written.

        The first time counts.

        Raises:
            UnknownConversation: there is no such turn.
            DatabaseDown: Postgres does not answer.
        """
        stream = self._spoken.get((conversation_id, turn))
        as_heard = heard
        heard = heard.model_copy(update={"text": await self._veil(conversation_id, heard)})
        writing = [report.model_dump(mode="json") for report in stream.reports] if stream else []
        blocked = [one for report in stream.reports for one in report.blocked] if stream else []
        async with self._database.transaction() as tx:
            snapshot = await self._conversations.load(tx, conversation_id, lock=True)
            before = states.load(snapshot.state)
            after = self._timed(before, settle(before, turn, heard), timings)
            if blocked and after is not before:
                conduct = after.conduct.model_copy(update={"blocked": after.conduct.blocked + len(blocked)})
                after = after.model_copy(update={"conduct": conduct})
            read_back = read_back_by(before, turn)
            if read_back is not None:
                await self._read_back(tx, read_back, as_heard)
            if after is not before:
                await self._conversations.advance(tx, snapshot, turn=snapshot.turn, state=states.dump(after))
            await self._conversations.close_turn(
                tx,
                conversation_id,
                turn=turn,
                heard=heard.model_dump(mode="json"),
                timings=timings.model_dump(mode="json"),
                writing=writing or None,
            )
            if after is not before:
                data = {"heard": heard.model_dump(mode="json"), "timings": timings.model_dump(mode="json")}
                await self._committing.event(tx, snapshot, turn, "turn.heard", data)
                if blocked:
                    facts = {"reasons": blocked, "by": "writer"}
                    await self._committing.event(tx, snapshot, turn, BLOCKED, facts)
        tell_heard(turn, heard, timings)
        self._spoken.pop((conversation_id, turn), None)  # not before it is stored: it may be told again
        self._poke()
        if after is not before:
            await self._eager.drop(conversation_id, Fate.STALE)

    def _timed(
        self, before: states.ConversationState, after: states.ConversationState, timings: TurnTimings
    ) -> states.ConversationState:
        """With how long the caller waited for the answer, where that was measured."""
        if after is before or timings.last_voiced_ms is None or timings.first_heard_ms is None:
            return after
        limit_ms = self._deployment.policy.table.triggers.latency.ms
        risk = after.risk.timed(timings.first_heard_ms - timings.last_voiced_ms, limit_ms)
        return after.model_copy(update={"risk": risk})

    async def _read_back(self, tx: Transaction, proposal_id: str, heard: Heard) -> None:
        """A yes counts once the last essential value of what was proposed was heard."""
        standing = await proposals.get(tx, self._keys, proposal_id)
        if essentials_heard(heard, standing.proposed.essentials):
            await proposals.heard(tx, proposal_id)

    async def wrong_with(self, conversation_id: str, text: str) -> tuple[str, ...]:
        """Why words of a person may not be said in a conversation, by its turns' guard; empty: they may.

        Raises:
            UnknownConversation: there is none.
            SubjectErased: what was said there was erased.
        """
        async with self._database.reading() as tx:
            snapshot = await self._conversations.load(tx, conversation_id)
            values = await vault.values(tx, self._keys, conversation_id)
        guard = self._guard_of(states.load(snapshot.state), values)
        return wrong_with(text, guard, Masker(self._shapes, values))

    async def _veil(self, conversation_id: str, heard: Heard) -> str:
        """What was heard, with the values that were read back masked; cut short or not."""
        if not heard.text:
            return heard.text
        async with self._database.reading() as tx:
            values = await vault.values(tx, self._keys, conversation_id)
        return Masker(self._shapes, values).hide_cut(heard.text)

    @property
    def shapes(self) -> Shapes:
        """The deployment's numbers, by which spoken digits are masked."""
        return self._shapes

    @property
    def writers(self) -> Writers:
        """Who writes answers, for a person to say as well."""
        return self._writers

    def guard_of_words(self) -> SpeechGuard:
        """What the output guard knows where nobody is verified and nothing was said."""
        return SpeechGuard(index=self.customers.index, secret=self._secret)

    def veil(self, conversation_id: str, text: str, *, so_far: bool = False) -> str:
        """Words of a conversation as whoever watches it live may see them.

        ``so_far``: the caller goes on speaking, so that digits at the end may become a number.
        """
        veil = self._veils.get(conversation_id) or Veil(self._shapes)
        return veil.partial(text) if so_far else veil.bot(text)

    async def _plan_early(self, conversation_id: str, turn_input: TurnInput, likely: bool) -> Plan:
        return await self._plan(conversation_id, turn_input, Allowed.METERED if likely else Allowed.PURE)

    async def _plan(self, conversation_id: str, turn_input: TurnInput, allowed: Allowed) -> Plan:
        async with self._database.reading() as tx:
            snapshot = await self._conversations.load(tx, conversation_id)
            values = await vault.values(tx, self._keys, conversation_id)
        began_s = time.monotonic()
        before = states.load(snapshot.state)
        match = before.gate.match
        own = () if match is None else await self._own_records.of(match.customer_id)
        turn, transaction_id = snapshot.turn + 1, f"tx_{secrets.token_hex(16)}"
        entered = enter(
            turn_input,
            snapshot.state,
            values,
            self._gate.rules,
            self._shapes,
            asked=open_question(before),
            turn=turn,
            today=self._now().astimezone(self._zone).date(),
            own=own,
        )
        turn_input = entered.given
        state = states.load(entered.stored).model_copy(update={"carry": entered.carry})
        reads = PlanReads(
            database=self._database,
            keys=self._keys,
            connector=self._connector,
            tools=self._deployment.tools,
            rules=self._deployment.policy.table.identity,
            retriever=self._retriever,
            memory=self.memory,
            guard=self._deployment.guard,
            gatekeeping=self._gatekeeping,
            caller=snapshot.caller,
            texting=self._texting,
            conversation_id=conversation_id,
            turn=turn,
            transaction_id=transaction_id,
            now=self._now(),
            zone=self._zone,
            exposed=self._deployment.policy.exposed,
            allowed=allowed,
            patience_s=self._patience_s if snapshot.channel in _SPOKEN else None,
            hide=entered.masks.hide,
            off=self._off(),
        )
        with structlog.contextvars.bound_contextvars(
            conversation=conversation_id, turn=turn, transaction=transaction_id
        ):
            try:
                scene = self._scene(snapshot, turn, state.avoided)
                draft = await self._planner.draft(scene, state, turn_input, reads)
            except BaseException:
                await reads.cancel()
                raise
        phrases = self._deployment.phrases.on(snapshot.channel)
        if reads.flagged:
            draft = replace(draft, facts=(*draft.facts, *_each_once(reads.flagged)))
        guard = self._guarded(draft, entered.masks.masker.values)
        draft = guard.checked(draft, phrases)
        worded = word(draft, phrases, turn, turn_input)
        stream: UtteranceStream | None = None
        if draft.deed is None:
            stream = self._stream(conversation_id, worded.parts, phrases, guard)
            if allowed >= Allowed.METERED:
                stream.start()
        return Plan(
            conversation_id=conversation_id,
            turn=turn,
            transaction_id=transaction_id,
            snapshot=snapshot,
            input=turn_input,
            decision=draft.decision(self._versions),
            after=draft.after,
            draft=draft,
            worded=worded,
            versions=self._versions,
            phrases=phrases,
            reads=reads,
            stream=stream,
            masks=entered.masks,
            took_ms=_ms_since(began_s),
        )

    def _as_read(self, given: Utterance) -> Utterance:
        """Words as the monitor may read them, without any state."""
        return given.masked(Masker(self._shapes).mask(given.text, learn=False).text)

    def _scene(self, snapshot: Snapshot, turn: int, avoided: tuple[str, ...]) -> Scene:
        return Scene(
            conversation_id=snapshot.id,
            turn=turn,
            channel=snapshot.channel,
            reachable=snapshot.caller is not None,
            now=self._now().astimezone(self._zone),
            degraded=self._degraded(),
            off=self._off() | {f"intent:{intent}" for intent in avoided},
            down=self._down(),
            staff=self._staff,
            dialable=self._staff is not None
            and snapshot.caller is not None
            and self._staff.number(snapshot.caller) is not None,
        )

    def _down(self) -> Mapping[str, int]:
        model = self._writers.failures
        return {**self._health.down(), **({"model": model} if model else {})}

    def _note_health(self, plan: Plan, written: Written) -> None:
        """What this turn has shown of the parts that it needed."""
        decision, by = written.decision, plan.conversation_id
        if any(read.result is not None for read in decision.tools):
            self._health.worked("records")
        elif decision.policy_row.endswith(_RECORDS_DOWN) and decision.trigger == "tool_error":
            self._health.failed("records", by=by)
        if plan.snapshot.channel in _SPOKEN:
            if isinstance(plan.input, Utterance):
                self._health.worked("recogniser")
            elif isinstance(plan.input, NotHeard) and plan.input.reason is HearingFailure.ENGINE_DOWN:
                self._health.failed("recogniser", by=by)

    def _guarded(self, draft: Draft, values: Mapping[str, str]) -> SpeechGuard:
        """What the output guard is told of a turn: whose call it is, and what was said in it."""
        return self._guard_of(draft.state, values)

    def _guard_of(self, state: states.ConversationState, values: Mapping[str, str]) -> SpeechGuard:
        customer = self._gate.customer(state.gate)
        return SpeechGuard(
            index=self.customers.index,
            secret=self._secret,
            own=None if customer is None else customer.customer_id,
            caller=tuple(values.values()),
        )

    def _stream(
        self, conversation_id: str, parts: tuple[Part, ...], phrases: Phrases, guard: SpeechGuard
    ) -> UtteranceStream:
        stream = UtteranceStream(conversation_id, parts, phrases, self._writers, guard)
        self._streams.add(stream)
        return stream

    def _wait_for(self, plan: Plan, written: Written) -> None:
        """What the committed turn has left at work, or waits for, comes back as an input."""
        for slow in plan.reads.slow:
            self._keep(self._late(plan.conversation_id, slow))
        if written.draft.approval is not None:
            timer = Timer(about=written.draft.approval.draft)
            self._keep(self._due(plan.conversation_id, timer, written.draft.approval.within_s))

    async def _late(self, conversation_id: str, slow: SlowRead) -> None:
        result = await slow.result()
        if not self.inbox.deliver(conversation_id, result):
            log.info("late_result.nobody_listens", conversation=conversation_id, tool=slow.tool)

    async def _due(self, conversation_id: str, timer: Timer, after_s: float) -> None:
        await asyncio.sleep(after_s)
        self.inbox.deliver(conversation_id, timer)

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _tell(plan: Plan, written: Written, ms: float) -> None:
    """A turn's line in the log, and its figures: closed sets and ids, no words."""
    decision = written.decision
    metrics.turn_work_s.labels(plan.snapshot.channel.value, decision.route.value).observe(ms / 1000)
    log.info(
        "turn.committed",
        input=plan.input.kind,
        intent=decision.intent,
        action=decision.action.value,
        route=decision.route.value,
        row=decision.policy_row,
        ms=round(ms, 1),
    )
    for fact in written.draft.facts:
        if fact.type == FLAGGED:
            told = fact.data
            metrics.guard_readings.labels(told["source"], told["verdict"], told["kind"]).inc()
            log.warning("guard.flagged", source=told["source"], kind=told["kind"], rules=told["rules"])
        elif fact.type == BLOCKED:
            for reason in fact.data["reasons"]:
                metrics.guard_blocks.labels(reason.split(":")[0]).inc()
            log.error("guard.blocked", reasons=fact.data["reasons"])
    if written.draft.guarded is None and plan.input.kind == "utterance":
        metrics.guard_readings.labels("caller", "allow", "none").inc()
    if written.handoff is not None:
        urgency = written.draft.urgency
        tell = log.warning if urgency == Urgency.CRITICAL else log.info
        if decision.fired is not None:
            fired = decision.fired
            waited_s = (fired.at - fired.first_sign_at).total_seconds()
            metrics.triggers.labels(fired.name.partition(":")[0]).inc()
            metrics.trigger_s.labels(fired.name.partition(":")[0]).observe(waited_s)
        tell("handoff.requested", handoff=written.handoff, trigger=decision.trigger, urgency=str(urgency))


def _each_once(facts: list[Fact]) -> tuple[Fact, ...]:
    """The first fact about each thing: an event of a turn has one of a kind."""
    return tuple({str(fact.data.get("about")): fact for fact in reversed(facts)}.values())[:1]


def _ms_since(began_s: float) -> float:
    return (time.monotonic() - began_s) * 1000
