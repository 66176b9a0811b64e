"""Makes the outcomes of conversations, behind the calls: any node takes one, each is one node's at a time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import structlog
from pydantic import ValidationError

from voicebot.core.conversation import BY_CALLER, Decision
from voicebot.core.store import outcomes
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database, Transaction
from voicebot.core.store.keys import KeyRing, SealBroken, SubjectErased
from voicebot.core.store.outcomes import Claimed
from voicebot.dialogue import state as states
from voicebot.dialogue.intents import OUT_OF_SCOPE
from voicebot.dialogue.outcome import ERASED, REPEAT, UNREAD, Facts, Outcome, TurnFact, decide
from voicebot.dialogue.state import UnknownState

log = structlog.get_logger(__name__)

EVERY_S = 5.0
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
    """

    def __init__(
        self, database: Database, keys: KeyRing, is_topic: Callable[[str], bool], *, quiet_s: float = QUIET_S
    ) -> None:
        self._database = database
        self._keys = keys
        self._is_topic = is_topic
        self._quiet_s = quiet_s
        self._conversations = Conversations(keys)

    async def run(self) -> None:
        """Makes what is due until cancelled."""
        while True:
            while await self.one():
                pass
            await asyncio.sleep(EVERY_S)

    async def one(self) -> str | None:
        """Makes the oldest outcome that is due, in one transaction. None: nothing is due.

        Raises:
            DatabaseDown: Postgres does not answer.
        """
        async with self._database.transaction() as tx:
            claimed = await outcomes.claim(tx, quiet_s=self._quiet_s)
            if claimed is None:
                return None
            await self._make(tx, claimed)
            return claimed.id

    async def _make(self, tx: Transaction, claimed: Claimed) -> None:
        if claimed.erased and await outcomes.known(tx, claimed.id):
            await outcomes.settled(tx, claimed)
            return
        again = await outcomes.again(tx, claimed.id, REPEAT)
        handoffs, reached, trigger = await outcomes.people(tx, claimed.id)
        read = None if claimed.erased else await self._read(tx, claimed)
        if read is None:
            outcome, first = ERASED if claimed.erased else UNREAD, None
        else:
            turns, standing, first = read
            outcome = decide(
                Facts(
                    turns=turns,
                    end_reason=claimed.end_reason,
                    handoffs=handoffs,
                    reached=reached,
                    sign_standing=standing,
                    again=frozenset(again),
                )
            )
        row = _row(claimed, outcome) | {"escalated": handoffs > 0, "trigger": trigger}
        if first is not None:
            row |= {"first_sign": first[0], "first_sign_at": first[1]}
        await outcomes.save(tx, claimed, row, _intents(outcome, again))
        named = [one.intent for one in outcome.intents]
        reopened = await outcomes.reopen_earlier(tx, claimed.id, named, REPEAT) if named else 0
        log.info(
            "conversation.outcome", conversation=claimed.id, resolution=outcome.resolution, reopened=reopened
        )

    async def _read(
        self, tx: Transaction, claimed: Claimed
    ) -> tuple[tuple[TurnFact, ...], bool, tuple[str, datetime] | None] | None:
        """Its turns without words, whether a sign of trouble stands, and the first sign of it."""
        try:
            snapshot = await self._conversations.load(tx, claimed.id)
            rows = await self._conversations.turns(tx, claimed.id)
            decisions = [Decision.model_validate_json(json.dumps(row["decision"])) for row in rows]
        except (SubjectErased, SealBroken, ValidationError) as error:  # it must not hold up the others
            log.warning("conversation.outcome_unread", conversation=claimed.id, why=type(error).__name__)
            return None
        turns = tuple(self._turn(row, one) for row, one in zip(rows, decisions, strict=True))
        fired = next((one.fired for one in decisions if one.fired is not None), None)
        try:
            sign = states.load(snapshot.state).risk.first
        except UnknownState:
            sign = None
        first = None if fired is None else (fired.first_sign, fired.first_sign_at)
        if first is None and sign is not None:
            first = (sign.name, sign.at)
        return turns, sign is not None, first

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
            grounded=bool(decision.sources),
            by_caller=kind in BY_CALLER and kind != "silence",
            promised=any(call.tool in _PROMISES and call.result for call in decision.tools),
        )


def _moved(at: datetime, timings: dict[str, Any], to: str) -> datetime:
    """A moment of the turn by the database's clock: its row is written when ``committed_ms`` is."""
    there, committed = timings.get(to), timings.get("committed_ms")
    if there is None or committed is None:
        return at
    return at + timedelta(milliseconds=there - committed)


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
    }


def _intents(outcome: Outcome, again: dict[str, str]) -> list[dict[str, Any]]:
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
            "repeated_by": again.get(one.intent),
        }
        for one in outcome.intents
    ]
