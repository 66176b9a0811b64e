"""The reading side of one plan, on the real database. Every read of personal data is logged, as discarded
until the plan is committed: a plan that is thrown away, or whose node dies, has read all the same.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from voicebot.core.conversation import AgentDecision, LateResult, ToolRead
from voicebot.core.store import audit, drafts, one_time_codes, payments, proposals, tool_calls, whispers
from voicebot.core.store.database import Database, DatabaseDown, Transaction
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.one_time_codes import Told
from voicebot.dialogue.actions.prepared import Prepared
from voicebot.dialogue.actions.registry import ToolRefused, ToolRegistry
from voicebot.dialogue.actions.tool import Cost, Outcome, Tool, ToolContext
from voicebot.dialogue.connectors.connector import Connector
from voicebot.dialogue.flow.draft import ActOutcome, Fact
from voicebot.dialogue.flow.guarding import flag
from voicebot.dialogue.flow.reads import SWITCHED_OFF, Allowed, Found, NotNow
from voicebot.dialogue.gatekeeping import Gatekeeping
from voicebot.dialogue.knowledge.passage import Passage
from voicebot.dialogue.knowledge.retriever import Retriever
from voicebot.dialogue.memory.memory import Known, Memory
from voicebot.dialogue.memory.recall import Recall
from voicebot.safety.guard_in import GuardReading, InputGuard, Source
from voicebot.safety.identity import FactorKind, GateRules, IdentityRecord, VerifiedCustomer

PATIENCE_S = 0.9
"""How long a plan on the phone waits for a tool: less than the 1.5 s after which a filler is spoken."""


REFUSED = "refused by the input guard"
"""The error of a tool whose result gives orders."""


@dataclass(frozen=True)
class SlowRead:
    """A tool that is still at work; the task ends within the tool's own time."""

    task: str
    tool: str
    arguments: dict[str, Any]
    work: asyncio.Task[tuple[ToolRead, Outcome | None]]

    async def result(self) -> LateResult:
        """What came of it, errors included."""
        try:
            read, _ = await self.work
        except (DatabaseDown, ToolRefused) as error:
            return LateResult(
                task=self.task, tool=self.tool, arguments=self.arguments, error=type(error).__name__
            )
        return LateResult(
            task=self.task,
            tool=self.tool,
            arguments=self.arguments,
            result=read.result,
            error=None if read.result is not None else read.error or "no result",
            duration_ms=read.duration_ms,
        )


class _Back(Exception):
    """The savepoint is rolled back; ``outcome`` is told all the same."""

    def __init__(self, outcome: ActOutcome) -> None:
        self.outcome = outcome


class PlanReads:
    """Reads for one plan. ``actor`` names the plan in the access log: ``bot:TRANSACTION``.

    ``allowed``: what may be read by now. ``patience_s``: how long a tool is waited for; None: to its end.
    ``off``: switches; a tool that is off is not asked. ``exposed``: the tools that an intent's row names.
    ``now``, ``zone``: the time where the business is.
    """

    def __init__(
        self,
        *,
        database: Database,
        keys: KeyRing,
        connector: Connector,
        tools: ToolRegistry,
        rules: GateRules,
        retriever: Retriever,
        memory: Memory,
        guard: InputGuard | None = None,
        gatekeeping: Gatekeeping | None = None,
        caller: str | None = None,
        texting: bool = False,
        conversation_id: str,
        turn: int,
        transaction_id: str,
        now: datetime,
        zone: ZoneInfo,
        exposed: Callable[[str], Collection[str]],
        allowed: Allowed = Allowed.ALL,
        patience_s: float | None = PATIENCE_S,
        hide: Callable[[Any], Any] = lambda value: value,
        off: frozenset[str] = frozenset(),
    ) -> None:
        self._off = off
        self._hide = hide
        self._now = now
        self._zone = zone
        self._exposed = exposed
        self._database = database
        self._keys = keys
        self._connector = connector
        self._tools = tools
        self._guard = guard
        self.flagged: list[Fact] = []
        """What of the results and articles that were read was not used."""
        self._rules = rules
        self._gatekeeping = gatekeeping
        self._caller = caller
        self.texting = texting
        self._retriever = retriever
        self._memory = memory
        self._id = conversation_id
        self._turn = turn
        self._transaction_id = transaction_id
        self._allowed = allowed
        self._patience_s = patience_s
        self._due: dict[str, tuple[VerifiedCustomer | None, str]] = {}
        self._announced: set[str] = set()
        self._done: dict[str, ActOutcome] = {}
        self._calls: dict[str, tool_calls.Call] = {}
        self.actor = f"bot:{transaction_id}"
        self.personal = 0
        """How many reads of personal data were logged."""
        self.slow: list[SlowRead] = []
        """Tools that are still at work when the plan stands."""

    async def articles(self, question: str, *, intent: str | None, region: str | None = None) -> Found:
        """What the articles hold on a question."""
        async with self._database.reading() as tx:
            found = await self._retriever.search(tx, question, intent=intent, region=region)
        passages = tuple(one for one in found.passages if self._fit(one))
        if len(passages) == len(found.passages):
            return Found(found.passages, found.grounding, found.ambiguous)
        kept = tuple(one for one in found.ambiguous if one in passages)
        return Found(passages, passages[0].grounding if passages else 0.0, kept)

    def _fit(self, passage: Passage) -> bool:
        """Whether a passage may be shown to a writer and quoted."""
        return self._guard is None or self._pass(
            self._guard.article(f"{passage.source.title}. {passage.body}"), passage.source.article
        )

    def _pass(self, seen: GuardReading, about: str) -> bool:
        if seen.allowed:
            return True
        self.flagged.append(flag(seen, about))
        return False

    async def remembered(
        self,
        customer: VerifiedCustomer,
        *,
        intent: str,
        told: tuple[str, ...],
        now: datetime,
        layers: tuple[str, ...] | None,
    ) -> tuple[Known, Recall | None]:
        """What may be used of the verified customer, and what to say about the last conversation."""
        known = await self._memory.known(
            customer,
            intent=intent,
            region=None,
            actor=self.actor,
            conversation_id=self._id,
            turn=self._turn,
            layers=layers,
        )
        self.personal += known.logged
        return known, self._memory.recall(known, intent=intent, told=told, now=now)

    async def identities(self, references: Sequence[str]) -> list[tuple[str, IdentityRecord]]:
        """Records found under the references.

        Raises:
            NotNow: a check counts a try.
            ConnectorError: the system of record does not answer.
        """
        if self._allowed < Allowed.ALL:
            raise NotNow("the identity gate counts tries")
        reference, *others = self._rules.factors
        names = [factor.name for factor in others if factor.kind is not FactorKind.CODE]
        await self._log("identity", ["customer_id", *names], "identity_check")
        found: list[tuple[str, IdentityRecord]] = []
        for value in references:
            rows = await self._connector.rows(f"identity_by_{reference.name}", **{reference.name: value})
            found += [
                (
                    value,
                    IdentityRecord(
                        customer_id=row["customer_id"],
                        values={name: _plain(row.get(name)) for name in names},
                        number=_plain(row.get("phone")),
                    ),
                )
                for row in rows
            ]
        return found

    async def locked(self, references: Sequence[str]) -> bool:
        """Whether too much was tried, in any conversation: by this caller, or about the first reference."""
        if self._gatekeeping is None:
            return False
        async with self._database.transaction() as tx:
            return await self._gatekeeping.locked(tx, self._caller, tuple(references))

    async def code(self, candidates: Sequence[str], number: str) -> Told:
        """What a code that was told is worth now; it counts and is used up with the commit only.

        Raises:
            NotNow: it waits for the final words.
        """
        if self._allowed < Allowed.ALL:
            raise NotNow("a code is told once")
        async with self._database.transaction() as tx:
            return await one_time_codes.told(
                tx, self._keys, conversation_id=self._id, number=number, candidates=candidates, use=False
            )

    async def code_undelivered(self) -> bool:
        """Whether the text message with the last code did not arrive, as far as is known by now."""
        async with self._database.reading() as tx:
            return await one_time_codes.undelivered(tx, self._id)

    async def tool(
        self, name: str, slots: Mapping[str, Any], *, customer: VerifiedCustomer | None, purpose: str
    ) -> tuple[ToolRead, Outcome | None]:
        """One reading tool, called with those of the slots that its input names; see `Reads.tool`."""
        tool = self._tools.get(name)
        arguments = self._arguments(name, slots)
        if f"tool:{name}" in self._off:
            return ToolRead(tool=name, arguments=arguments, error=SWITCHED_OFF), None
        if tool.cost is Cost.STATEFUL:
            return ToolRead(tool=name, arguments=arguments, error="runs with the commit only"), None
        if tool.cost is Cost.METERED and self._allowed < Allowed.METERED:
            raise NotNow(f"tool {name} is metered")
        work = asyncio.ensure_future(self._call(name, arguments, customer, purpose))
        try:
            done, _ = await asyncio.wait({work}, timeout=self._patience_s)
        except asyncio.CancelledError:
            work.cancel()
            raise
        if not done:
            self.slow.append(SlowRead(f"task_{secrets.token_hex(8)}", name, arguments, work))
            return ToolRead(tool=name, arguments=arguments), None
        try:
            return work.result()
        except ToolRefused as error:
            return ToolRead(tool=name, arguments=arguments, error=str(error)), None

    async def terms(
        self, name: str, slots: Mapping[str, Any], *, customer: VerifiedCustomer, purpose: str
    ) -> tuple[ToolRead, Prepared | Outcome | None]:
        """What a change would do; see `Reads.terms`."""
        if self._allowed < Allowed.ALL:
            raise NotNow("a change is proposed on final words only")
        arguments = self._arguments(name, slots)
        if f"tool:{name}" in self._off:
            return ToolRead(tool=name, arguments=arguments, error=SWITCHED_OFF), None
        try:
            prepared = self._tools.check(name, arguments, exposed=self._exposed(purpose))
        except ToolRefused as error:
            await self._note(self._tools.rejected(name, arguments, error))
            raise
        tool = prepared.tool
        await self._log(tool.resource, sorted(tool.result.model_fields), purpose)
        read, terms = await self._tools.terms(
            prepared, context=self._context(), customer=customer, conversation_id=self._id
        )
        await self._note(_call_of(read))
        return read, terms

    def task_of(self, read: ToolRead) -> str:
        """The name under which the result of a slow tool will come."""
        return next(
            slow.task for slow in self.slow if slow.tool == read.tool and slow.arguments == read.arguments
        )

    def declared(self, name: str) -> Tool | None:
        """A tool as it is declared; None: there is none of that name."""
        return self._tools.get(name) if name in self._tools.names else None

    async def payment(self, payment_id: str) -> payments.Payment | None:
        """A card payment as it stands."""
        try:
            async with self._database.reading() as tx:
                return await payments.get(tx, self._keys, payment_id)
        except payments.UnknownPayment:
            return None

    async def decided(self, draft_id: str) -> AgentDecision | None:
        """What a person decided on a draft by now."""
        async with self._database.reading() as tx:
            found = await drafts.decision(tx, self._keys, draft_id)
        if found is None:
            return None
        return AgentDecision(draft=draft_id, verdict=found.verdict, agent=found.by, text=found.text)

    async def waits(self, whisper_id: str) -> bool:
        """Whether a whisper is still to be taken up."""
        async with self._database.reading() as tx:
            return await whispers.waits(tx, whisper_id)

    async def proposal(self, proposal_id: str) -> tuple[proposals.Standing, Prepared | None] | None:
        """A proposal as it stands, and its call."""
        try:
            async with self._database.reading() as tx:
                standing = await proposals.get(tx, self._keys, proposal_id)
        except proposals.UnknownProposal:
            return None
        try:
            return standing, self._tools.restore(standing.proposed.tool, standing.proposed.canonical)
        except ToolRefused:
            return standing, None

    def waits_for_commit(self, name: str) -> bool:
        """Whether a tool's reading changes something."""
        return name in self._tools.names and self._tools.get(name).cost is Cost.STATEFUL

    def at_commit(
        self, name: str, slots: Mapping[str, Any], *, customer: VerifiedCustomer | None, purpose: str
    ) -> dict[str, Any]:
        """Prepares a tool that runs with the commit; returns its arguments."""
        self._due[name] = (customer, purpose)
        return self._arguments(name, slots)

    async def announce(self) -> None:
        """Before the commit's transaction: logs what a prepared tool is about to read, once.

        Raises:
            DatabaseDown: nothing was read.
        """
        for name in self._due.keys() - self._announced:
            tool = self._tools.get(name)
            if tool.needs_identity:
                await self._log(tool.resource, sorted(tool.result.model_fields), self._due[name][1])
            self._announced.add(name)

    async def stateful(self, tx: Transaction, name: str, arguments: dict[str, Any]) -> ActOutcome:
        """Runs a prepared and announced tool, at the commit. A tool that fails is an outcome too.

        Once a plan, however often its commit is tried: what it changed is outside of our transaction. Records
        of our own are read on the commit's connection: commits that each held one and waited for another
        could empty the pool for good.
        """
        if name not in self._done:
            records = self._connector.within(tx) if self._connector.local else self._connector
            try:
                async with tx.transaction():  # what breaks in the tool breaks nothing else
                    outcome = await self._stateful(name, arguments, *self._due[name], records)
                    if outcome.status != "done":
                        raise _Back(outcome)
            except _Back as back:
                outcome = back.outcome
            self._done[name] = outcome
        return self._done[name]

    async def note(self, tx: Transaction, name: str) -> None:
        """Writes the row of a tool that `stateful` ran, in the commit's own transaction."""
        if name in self._calls:
            await self._write(tx, self._calls[name])

    async def _stateful(
        self,
        name: str,
        arguments: dict[str, Any],
        customer: VerifiedCustomer | None,
        purpose: str,
        records: Connector,
    ) -> ActOutcome:
        try:
            read, _ = await self._read(name, arguments, customer, purpose, records)
        except ToolRefused as error:
            self._calls[name] = self._tools.rejected(name, arguments, error)
            return ActOutcome("refused", {"outcome": str(error)})
        self._calls[name] = _call_of(read)
        if read.result is None:
            return ActOutcome("failed", {"outcome": read.error or "no result"})
        return ActOutcome("done", read.result)

    def outcome(self, name: str, result: Mapping[str, Any]) -> Outcome | None:
        """A tool's result out of plain values; None if it does not fit (any more)."""
        try:
            return self._tools.get(name).result.model_validate_json(json.dumps(dict(result)))
        except (ToolRefused, ValidationError):
            return None

    async def cancel(self) -> None:
        """The plan is thrown away: so is what its slow tools are reading."""
        works = {slow.work for slow in self.slow}
        for work in works:
            work.cancel()
        if works:
            await asyncio.wait(works)

    def _arguments(self, name: str, slots: Mapping[str, Any]) -> dict[str, Any]:
        fields = self._tools.get(name).request.model_fields
        return {key: value for key, value in slots.items() if key in fields}

    async def _call(
        self, name: str, arguments: dict[str, Any], customer: VerifiedCustomer | None, purpose: str
    ) -> tuple[ToolRead, Outcome | None]:
        tool = self._tools.get(name)
        if tool.needs_identity:
            await self._log(tool.resource, sorted(tool.result.model_fields), purpose)
        try:
            read, outcome = await self._read(name, arguments, customer, purpose)
        except ToolRefused as error:
            await self._note(self._tools.rejected(name, arguments, error))
            raise
        await self._note(_call_of(read))
        return read, outcome

    async def _read(
        self,
        name: str,
        arguments: dict[str, Any],
        customer: VerifiedCustomer | None,
        purpose: str,
        records: Connector | None = None,
    ) -> tuple[ToolRead, Outcome | None]:
        context = self._context()
        read, outcome = await self._tools.read(
            name,
            arguments,
            context=context if records is None else replace(context, records=records),
            customer=customer,
            conversation_id=self._id,
            exposed=self._exposed(purpose),
        )
        if self._guard is None or read.result is None:
            return read, outcome
        for text in texts_in(read.result):
            if not self._pass(self._guard.read(text, Source.TOOL), name):
                return read.model_copy(update={"result": None, "error": REFUSED}), None
        return read, outcome

    def _context(self) -> ToolContext:
        return ToolContext(records=self._connector, now=self._now, zone=self._zone)

    async def _note(self, call: tool_calls.Call) -> None:
        """Its row, in a transaction of its own: the call happened, whatever becomes of the plan."""
        async with self._database.transaction() as tx:
            await self._write(tx, call)

    async def _write(self, tx: Transaction, call: tool_calls.Call) -> None:
        await tool_calls.write(
            tx,
            self._keys,
            replace(call, inputs=self._hide(call.inputs), outputs=self._hide(call.outputs)),
            conversation_id=self._id,
            turn=self._turn,
            transaction_id=self._transaction_id,
        )

    async def _log(self, resource: str, fields: Sequence[str], purpose: str) -> None:
        """Written before the read, in a transaction of its own: the log outlives the plan."""
        self.personal += 1
        async with self._database.transaction() as tx:
            await audit.access(
                tx,
                actor=self.actor,
                resource=resource,
                fields=fields,
                purpose=purpose,
                conversation_id=self._id,
                turn=self._turn,
                discarded=True,
            )


def _call_of(read: ToolRead) -> tool_calls.Call:
    """The row of a read that was run. A change's terms are a read, too."""
    return tool_calls.Call(
        tool=read.tool,
        effect="read",
        status="failed" if read.result is None else "answered",
        inputs=read.arguments,
        outputs=read.result,
        reason=None if read.result is not None else read.error,
        duration_ms=read.duration_ms or 0.0,
    )


def _plain(value: Any) -> str:
    return "" if value is None else str(value)


def texts_in(value: Any) -> Iterator[str]:
    """Every text in a result's plain values, keys left out."""
    match value:
        case str():
            yield value
        case Mapping():
            for one in cast("Mapping[str, Any]", value).values():
                yield from texts_in(one)
        case list() | tuple():
            for one in cast("Sequence[Any]", value):
                yield from texts_in(one)
        case _:
            return


async def mark_used(tx: Transaction, *, conversation_id: str, turn: int, actor: str) -> None:
    """In the commit: what the plan read was not thrown away."""
    await audit.used(tx, conversation_id=conversation_id, turn=turn, actor=actor)
