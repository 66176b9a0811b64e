"""Makes the outcomes of conversations, behind the calls: any node takes one, each is one node's at a time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal, overload

import structlog
from pydantic import ValidationError

from voicebot.core.conversation import BY_CALLER, Decision, TurnTimings
from voicebot.core.store import kpi_days, outcomes
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database, Transaction
from voicebot.core.store.keys import KeyRing, SealBroken, SubjectErased
from voicebot.core.store.outcomes import Claimed, Kin
from voicebot.core.waterfall import waited_ms
from voicebot.dialogue import state as states
from voicebot.dialogue.cut_offs import cut_offs
from voicebot.dialogue.intents import OUT_OF_SCOPE
from voicebot.dialogue.outcome import ERASED, REPEAT, UNREAD, Facts, Outcome, TurnFact, decide
from voicebot.dialogue.state import UnknownState

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Read:
    """What the words and the state of a conversation say, without them.

    ``ours``: we made the call. ``cut_offs``: turns that were probably ended too early; None: not known.
    """

    turns: tuple[TurnFact, ...]
    sign_standing: bool = False
    first_sign: tuple[str, datetime] | None = None
    segment: str = ""
    ours: bool = False
    cut_offs: int | None = None


EVERY_S = 5.0
COUNT_EVERY_S = 30.0
"""So often the days of the figures are counted again; in between, who looks counts what has changed."""
QUIET_S = 10.0
"""A hang-up may still be followed by a hand-over to a person who calls back."""
_PROMISES = frozenset({"follow_up", "leave_message"})


class Outcomes:
    """One per node.

    Args:
        database: ours.
        keys: opens the turns.
        is_topic: whether an intent is a question of its own (`IntentCatalog.is_content`).
        quiet_s: how long a conversation must be over.
        zone: of the days of the figures, which are kept counted; None: they are not.
    """

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        is_topic: Callable[[str], bool],
        *,
        quiet_s: float = QUIET_S,
        zone: str | None = None,
    ) -> None:
        self._database = database
        self._keys = keys
        self._is_topic = is_topic
        self._quiet_s = quiet_s
        self._conversations = Conversations(keys)
        self._zone = zone

    async def run(self) -> None:
        """Makes what is due, and counts days, until cancelled."""
        clock = asyncio.get_running_loop().time
        count_at_s = clock()
        while True:
            while await self.one():
                pass
            if clock() >= count_at_s:
                counted: set[date] = set()
                while (day := await self.count_day(counted)) is not None:
                    counted.add(day)  # today changes all the time: once a round
                count_at_s = clock() + COUNT_EVERY_S
            await asyncio.sleep(EVERY_S)

    async def count_day(self, but: Collection[date] = ()) -> date | None:
        """Counts one of the days of which something changed; None: all are, or another node is at it.

        Raises:
            DatabaseDown: Postgres does not answer.
        """
        if self._zone is None:
            return None
        async with self._database.transaction() as tx:
            return await kpi_days.keep(tx, self._zone, but=but) if await outcomes.take_turn(tx) else None

    async def one(self) -> str | None:
        """Makes the oldest outcome that is due, in one transaction.

        None: nothing is due, or another node is at it; of all nodes one works at a time, since an outcome
        changes those of the same person's other conversations.

        Raises:
            DatabaseDown: Postgres does not answer.
        """
        async with self._database.transaction() as tx:
            if not await outcomes.take_turn(tx):
                return None
            claimed = await outcomes.claim(tx, quiet_s=self._quiet_s)
            if claimed is None:
                return None
            await self._make(tx, claimed)
            return claimed.id

    async def _make(self, tx: Transaction, claimed: Claimed) -> None:
        if claimed.erased and await outcomes.known(tx, claimed.id):
            await outcomes.settled(tx, claimed)
            return
        kin = await outcomes.kin(tx, claimed.id, REPEAT)
        handoffs, reached, trigger = await outcomes.people(tx, claimed.id)
        read = None if claimed.erased else await self._read(tx, claimed)
        if read is None:
            outcome, read = ERASED if claimed.erased else UNREAD, _Read(())
        else:
            outcome = decide(
                Facts(
                    turns=read.turns,
                    end_reason=claimed.end_reason,
                    handoffs=handoffs,
                    reached=reached,
                    sign_standing=read.sign_standing,
                    again=frozenset(kin.again),
                )
            )
        intents = _intents(outcome, kin, ours=read.ours)
        row = _row(claimed, outcome) | {
            "escalated": handoffs > 0,
            "trigger": trigger,
            "segment": read.segment,
            "ours": read.ours,
            "cut_offs": read.cut_offs,
            "told_apart": kin.told_apart,
            "asked_again": any(one["repeated_by"] for one in intents),
            "is_repeat": any(one["repeats"] for one in intents),
        }
        if read.first_sign is not None:
            row |= {"first_sign": read.first_sign[0], "first_sign_at": read.first_sign[1]}
        await outcomes.save(tx, claimed, row, intents)
        named = [one.intent for one in outcome.intents]
        reopened = await outcomes.tell_kin(tx, claimed.id, named, REPEAT, ours=read.ours) if named else 0
        log.info(
            "conversation.outcome", conversation=claimed.id, resolution=outcome.resolution, reopened=reopened
        )

    async def _read(self, tx: Transaction, claimed: Claimed) -> _Read | None:
        """Its turns without words, and what its state says; None: it cannot be read."""
        try:
            snapshot = await self._conversations.load(tx, claimed.id)
            rows = await self._conversations.turns(tx, claimed.id)
            decisions = [Decision.model_validate_json(json.dumps(row["decision"])) for row in rows]
        except (SubjectErased, SealBroken, ValidationError) as error:  # it must not hold up the others
            log.warning("conversation.outcome_unread", conversation=claimed.id, why=type(error).__name__)
            return None
        turns = tuple(self._turn(row, one) for row, one in zip(rows, decisions, strict=True))
        fired = next((one.fired for one in decisions if one.fired is not None), None)
        first = None if fired is None else (fired.first_sign, fired.first_sign_at)
        cut = cut_offs(rows)
        try:
            state = states.load(snapshot.state)
        except UnknownState:
            return _Read(turns, first_sign=first, cut_offs=cut)
        sign = state.risk.first
        if first is None and sign is not None:
            first = (sign.name, sign.at)
        segment = state.customer.segment if state.customer is not None else None
        return _Read(turns, sign is not None, first, segment or "", state.calling is not None, cut)

    def _turn(self, row: dict[str, Any], decision: Decision) -> TurnFact:
        timings = row["timings"] or {}
        kind = row["input"].get("kind")
        heard = row["heard"]
        return TurnFact(
            intent=decision.intent,
            category=decision.category,
            action=decision.action,
            row=decision.policy_row,
            tier=decision.tier,
            topic=self._is_topic(decision.intent) or decision.intent == OUT_OF_SCOPE,
            asked_at=_moved(row["created_at"], timings, "last_voiced_ms"),
            told_at=_moved(row["created_at"], timings, "finished_ms"),
            heard=None if heard is None else bool(heard.get("complete")),
            begun_at=_moved(row["created_at"], timings, "first_heard_ms", measured=True),
            waited_ms=_waited_ms(kind, timings),
            gap=decision.gap is not None,
            grounded=bool(decision.sources),
            by_caller=kind in BY_CALLER and kind != "silence",
            promised=any(call.tool in _PROMISES and call.result for call in decision.tools),
        )


@overload
def _moved(at: datetime, timings: dict[str, Any], to: str) -> datetime: ...
@overload
def _moved(at: datetime, timings: dict[str, Any], to: str, *, measured: Literal[True]) -> datetime | None: ...
def _moved(at: datetime, timings: dict[str, Any], to: str, *, measured: bool = False) -> datetime | None:
    """A moment of the turn by the database's clock: its row is written when ``committed_ms`` is.

    In writing nothing is timed, and the row's time it is. ``measured``: None where the turn was timed and
    this moment never came.
    """
    there, committed = timings.get(to), timings.get("committed_ms")
    if committed is None:
        return at
    if there is None:
        return None if measured else at
    return at + timedelta(milliseconds=there - committed)


def _waited_ms(kind: str | None, timings: dict[str, Any]) -> int | None:
    if kind != "utterance" or not timings:
        return None
    waited = waited_ms(TurnTimings.model_validate_json(json.dumps(timings)))
    return None if waited is None else max(0, waited)


def _row(claimed: Claimed, outcome: Outcome) -> dict[str, Any]:
    main = outcome.main
    return {
        "channel": claimed.channel,
        "disposition": outcome.disposition,
        "resolution": outcome.resolution,
        "intent": "" if main is None else main.intent,
        "category": "" if main is None else main.category,
        "missed_sign": outcome.missed_sign,
        "turns": outcome.turns,
        "grounded": outcome.grounded,
        "gaps": outcome.gaps,
        "began_at": claimed.created_at,
        "ended_at": claimed.ended_at,
        "resolved_at": outcome.resolved_at,
        "first_useful_s": outcome.first_useful_s,
        "waited_ms": [*outcome.waited_ms],
    }


def _intents(outcome: Outcome, kin: Kin, *, ours: bool) -> list[dict[str, Any]]:
    return [
        {
            "intent": one.intent,
            "category": one.category,
            "resolution": one.resolution,
            "complex": one.complex,
            "grounded": one.grounded,
            "gaps": one.gaps,
            "asked_at": one.asked_at,
            "resolved_at": one.resolved_at,
            "first_useful_s": one.first_useful_s,
            "repeated_by": kin.again.get(one.intent),
            "repeats": None if ours else kin.before.get(one.intent),
        }
        for one in outcome.intents
    ]
