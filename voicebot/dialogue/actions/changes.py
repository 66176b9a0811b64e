"""How a change is made: against its limits, under its key, with its row among the calls.

In our own database everything is one transaction, the turn's own::

    outcome = await changes.perform(tx, prepared, act)

On a remote system it is three, and nothing is said before the last::

    refused = await changes.reserve(tx, prepared, act)      # with the row that says it is intended
    outcome = await changes.send(prepared, act)             # no transaction is open
    await changes.settle(tx, prepared, act, outcome)        # with the row of the outcome

`send` may raise `OutcomeUnknown`: then `recall` reads by key what came of it; None says that nothing did, and
`send` may be called again with the same key.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import structlog

from voicebot.core.store import limits as uses
from voicebot.core.store import tool_calls
from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.payments import Way
from voicebot.dialogue.actions.office import OwnOffice
from voicebot.dialogue.actions.prepared import Prepared
from voicebot.dialogue.actions.registry import Departs, ToolRefused, ToolRegistry
from voicebot.dialogue.actions.tool import Outcome, ToolContext
from voicebot.dialogue.connectors.connector import Connector, ConnectorError, NeverDone, OutcomeUnknown
from voicebot.dialogue.flow.draft import ActOutcome
from voicebot.safety.identity import VerifiedCustomer
from voicebot.safety.policy.limits import Limit

log = structlog.get_logger(__name__)

OVER_LIMIT = "over_limit"
"""Refused: it would pass a limit (``limit`` says which). A person may do it."""
CHANGED = "changed"
"""Refused: the records no longer say what was read back. Nothing was done; propose it anew."""
UNAVAILABLE = "unavailable"
"""Failed: the records did not do it, or its tool is broken. Nothing was done."""
DISAGREES = "disagrees"
"""Unknown: a remote system says it did something else than was agreed to. A person must look."""
GENERAL_OUTCOMES = (OVER_LIMIT, CHANGED, UNAVAILABLE, DISAGREES)
"""What any change may come to besides its tool's own outcomes; each has its line under ``spoken.act``."""


@dataclass(frozen=True, slots=True)
class Act:
    """One change that is going to be made, once.

    ``segment`` is the customer's as the records have it, None if it is not known. ``key`` is the idempotency
    key. ``now`` is aware.
    """

    key: str
    customer: VerifiedCustomer = field(repr=False)
    segment: str | None
    conversation_id: str
    turn: int
    now: datetime
    transaction_id: str | None = None


class Changes:
    """Makes changes; one per node. Keeps nothing but how long those took that are not settled.

    Args:
        tools: what can be done.
        records: the system of record.
        keys: seals what is stored.
        limits: the policy's, by name.
        zone: where the business is.
        cards: who takes a card.
    """

    def __init__(
        self,
        tools: ToolRegistry,
        records: Connector,
        keys: KeyRing,
        limits: Mapping[str, Limit] = MappingProxyType({}),
        zone: ZoneInfo = ZoneInfo("UTC"),  # noqa: B008  # a value
        cards: Way = "pay",
    ) -> None:
        self._cards: Way = cards
        self._tools = tools
        self._records = records
        self._keys = keys
        self._limits = limits
        self._zone = zone
        self._took_s: dict[str, float] = {}

    def local(self, prepared: Prepared) -> bool:
        """Whether the change is made on our own transaction: `perform`. Else `reserve`, `send`, `settle`."""
        return prepared.tool.home == "house" or self._records.local

    async def perform(self, tx: Transaction, prepared: Prepared, act: Act) -> ActOutcome:
        """Makes a local change: done with everything that belongs to it, or refused with nothing changed.

        Raises:
            ToolRefused: it is none that may be made: no terms, not a change.
            DatabaseDown: nothing is certain; the same transaction may be tried again.
        """
        started = time.perf_counter()
        over = await self._take(tx, prepared, act)
        outcome = over
        if outcome is None:
            outcome = await self._within(tx, prepared, act)
            if outcome.status != "done":
                await uses.release(tx, act.key)
        await self._note(tx, prepared, act, outcome, started)
        return outcome

    async def reserve(self, tx: Transaction, prepared: Prepared, act: Act) -> ActOutcome | None:
        """Counts a remote change against its limits before it is sent. None: it may be sent."""
        over = await self._take(tx, prepared, act)
        if over is not None:
            await self._note(tx, prepared, act, over, time.perf_counter())
        return over

    async def send(self, prepared: Prepared, act: Act) -> ActOutcome:
        """Makes a remote change, under the act's key. No transaction of ours may be open.

        Raises:
            OutcomeUnknown: no answer came: `recall` it before anything is said.
        """
        return await self._remote(self._records.keyed(act.key), prepared, act)

    async def recall(self, prepared: Prepared, act: Act) -> ActOutcome | None:
        """What came of a change that was sent, read by its key; None if the remote system never made it.

        Raises:
            OutcomeUnknown: that cannot be told now either.
        """
        try:
            return await self._remote(self._records.recalling(act.key), prepared, act, recall=True)
        except NeverDone:
            return None

    async def settle(self, tx: Transaction, prepared: Prepared, act: Act, outcome: ActOutcome | None) -> None:
        """With the row of its outcome: what was not done no longer counts. None: nobody knows, it counts."""
        made = outcome is None or outcome.status == "done" or outcome.result.get("outcome") == DISAGREES
        if not made:
            await uses.release(tx, act.key)
        took_s = self._took_s.pop(act.key, 0.0)
        await self._note(tx, prepared, act, outcome, time.perf_counter() - took_s)

    async def _within(self, tx: Transaction, prepared: Prepared, act: Act) -> ActOutcome:
        """The change in a savepoint: what is refused, broken or other than agreed leaves nothing behind."""
        office = OwnOffice(
            tx,
            self._keys,
            conversation_id=act.conversation_id,
            turn=act.turn,
            key=act.key,
            cards=self._cards,
        )
        records = self._records.within(tx) if self._records.local else self._records
        context = self._context(records, prepared, act, office)
        try:
            async with tx.transaction():
                done = await self._tools.write(
                    prepared, context=context, customer=act.customer, conversation_id=act.conversation_id
                )
                outcome = _outcome(prepared, done)
                if outcome.status != "done":
                    raise _Back(outcome)
        except _Back as back:
            return back.outcome
        except Departs as error:
            log.info("act.departs", tool=prepared.tool.name, fields=error.fields)
            return ActOutcome("refused", {"outcome": CHANGED, "fields": list(error.fields)})
        except ConnectorError as error:
            log.warning("act.unavailable", tool=prepared.tool.name, why=str(error))
            return ActOutcome("failed", {"outcome": UNAVAILABLE})
        return outcome

    async def _remote(
        self, records: Connector, prepared: Prepared, act: Act, *, recall: bool = False
    ) -> ActOutcome:
        context = self._context(records, prepared, act, None)
        began = time.perf_counter()
        try:
            done = await self._tools.write(
                prepared, context=context, customer=act.customer, conversation_id=act.conversation_id
            )
        except NeverDone:
            raise
        except Departs as error:
            log.error("act.disagrees", tool=prepared.tool.name, key=act.key, fields=error.fields)
            return ActOutcome("failed", {"outcome": DISAGREES, "fields": list(error.fields)})
        except ConnectorError as error:
            if recall:
                raise OutcomeUnknown(act.key, str(error)) from error
            log.warning("act.unavailable", tool=prepared.tool.name, key=act.key, why=str(error))
            return ActOutcome("failed", {"outcome": UNAVAILABLE})
        finally:
            self._took_s[act.key] = self._took_s.get(act.key, 0.0) + time.perf_counter() - began
        return _outcome(prepared, done)

    def _context(
        self, records: Connector, prepared: Prepared, act: Act, office: OwnOffice | None
    ) -> ToolContext:
        return ToolContext(
            records=records, now=act.now, zone=self._zone, key=act.key, terms=prepared.terms, office=office
        )

    async def _take(self, tx: Transaction, prepared: Prepared, act: Act) -> ActOutcome | None:
        over = await uses.take(tx, self._charges(prepared, act), key=act.key)
        return None if over is None else ActOutcome("refused", {"outcome": OVER_LIMIT, "limit": over})

    def _charges(self, prepared: Prepared, act: Act) -> list[uses.Charge]:
        amount: Decimal | None = getattr(prepared.terms, "amount", None)
        charges: list[uses.Charge] = []
        for name in prepared.tool.limits:
            limit = self._limits.get(name)
            if limit is None:
                raise ToolRefused(f"tool {prepared.tool.name!r}: policy has no limit {name!r}")
            try:
                counted = limit.amount_of(amount)
            except ValueError as error:
                raise ToolRefused(f"tool {prepared.tool.name!r}: limit {name!r}: {error}") from None
            window = None if limit.days is None else timedelta(days=limit.days)
            charges.append(
                uses.Charge(name, self._subject(limit, act), counted, limit.most_for(act.segment), window)
            )
        return charges

    def _subject(self, limit: Limit, act: Act) -> str:
        match limit.per:
            case "customer":
                return f"customer:{self._keys.index('limit', act.customer.customer_id).hex()}"
            case "segment":
                return f"segment:{act.segment or 'unknown'}"
            case "deployment":
                return "deployment"

    async def _note(
        self, tx: Transaction, prepared: Prepared, act: Act, outcome: ActOutcome | None, started: float
    ) -> None:
        result: Mapping[str, Any] = {} if outcome is None else outcome.result
        disagrees = result.get("outcome") == DISAGREES
        status: tool_calls.Status = "unknown" if outcome is None or disagrees else outcome.status
        call = tool_calls.Call(
            tool=prepared.tool.name,
            effect=prepared.tool.effect.value,
            status=status,
            inputs=prepared.arguments,
            outputs=dict(result) or None,
            reason=None if outcome is None else str(result.get("outcome")),
            key=act.key,
            duration_ms=(time.perf_counter() - started) * 1000,
        )
        await tool_calls.write(
            tx,
            self._keys,
            call,
            conversation_id=act.conversation_id,
            turn=act.turn,
            transaction_id=act.transaction_id,
        )


class _Back(Exception):  # takes the savepoint back, never seen outside
    def __init__(self, outcome: ActOutcome) -> None:
        self.outcome = outcome


def _outcome(prepared: Prepared, done: Outcome) -> ActOutcome:
    status = "done" if done.outcome in prepared.tool.done else "refused"
    return ActOutcome(status, done.model_dump(mode="json"))
