"""One golden conversation held with the real orchestrator, input by input, the way a channel does it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from voicebot.core.conversation import (
    CallStarted,
    Channel,
    Decision,
    Expects,
    Heard,
    Keys,
    NotHeard,
    Silence,
    TurnInput,
    TurnTimings,
    Utterance,
)
from voicebot.core.store import handoffs
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue import state as states
from voicebot.dialogue.orchestrator import Committed, Orchestrator
from voicebot.handoff import payload as payloads
from voicebot.proof.evals.clock import ConversationClock
from voicebot.proof.evals.conversation import Turn
from voicebot.proof.evals.got import Got, GotHandoff, GotTool


class Talk:
    """A caller's side. One per conversation; `contact` begins it, and begins it anew for a second visit.

    Args:
        database, keys, orchestrator: shared with the other conversations of the run.
        clock: of the orchestrator.
        phone: the caller's number.
    """

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        orchestrator: Orchestrator,
        clock: ConversationClock,
        phone: str,
    ) -> None:
        self._database = database
        self._keys = keys
        self._orchestrator = orchestrator
        self._conversations = Conversations(keys)
        self._clock = clock
        self._phone = phone
        self._id = ""

    async def contact(self, channel: Channel, at: datetime | None) -> Got:
        """A new conversation on this channel, at this local time; what is said first."""
        self._clock.set(at)
        async with self._database.transaction() as tx:
            self._id = await self._conversations.create(
                tx, channel=channel, call_sid=None, caller=self._phone, called=None, state=states.new_state()
            )
        return await self._say(CallStarted())

    async def turn(self, turn: Turn) -> Got:
        """One turn of the script."""
        if turn.contact is not None:
            return await self.contact(turn.contact, turn.at)
        return await self._say(_input(turn), turn.heard)

    async def _say(self, given: TurnInput, heard: int | None = None) -> Got:
        committed = await self._orchestrator.commit(await self._orchestrator.plan(self._id, given))
        words = " ".join([clause.text async for clause in self._orchestrator.words(committed)])
        part = " ".join(words.split()[:heard])
        complete = heard is None or part == words
        await self._orchestrator.heard(
            self._id, committed.turn, Heard(text=part, complete=complete), TurnTimings(first_heard_ms=1)
        )
        return await self._got(committed, words)

    async def _got(self, committed: Committed, said: str) -> Got:
        async with self._database.transaction() as tx:
            snapshot = await self._conversations.load(tx, self._id)
            rows = await handoffs.list(tx, conversation_id=self._id)
            row = next((row for row in rows if row["turn"] == committed.turn), None)
            stored = None if row is None else await handoffs.get(tx, self._keys, row["id"])
        decision = committed.decision
        return Got(
            intent=decision.intent,
            category=decision.category,
            tier=decision.tier,
            action=decision.action.value,
            route=decision.route.value,
            expects=_awaited(decision.expects),
            row=decision.policy_row,
            trigger=decision.trigger,
            urgency=None if decision.scores is None else decision.scores.urgency.value,
            sentiment=None if decision.scores is None else decision.scores.sentiment,
            confidence=decision.confidences.classification,
            sources=tuple(source.article for source in decision.sources),
            tools=_tools(decision),
            handoff=None if stored is None else _handoff(stored),
            after=committed.after,
            verified=states.load(snapshot.state).gate.match is not None,
            said=said,
        )


def _input(turn: Turn) -> TurnInput:
    if turn.caller is not None:
        return Utterance(text=turn.caller * turn.times, alternatives=turn.alternatives)
    if turn.keys is not None:
        return Keys(digits=turn.keys)
    if turn.silence is not None:
        return Silence(nth=turn.silence)
    assert turn.not_heard is not None  # the format demands one beginning
    return NotHeard(reason=turn.not_heard)


def _awaited(expects: Expects) -> str:
    return expects.kind if expects.length is None else f"{expects.kind}({expects.length})"


def _tools(decision: Decision) -> tuple[GotTool, ...]:
    """Calls as they are stored: plain JSON values."""
    return tuple(
        GotTool.model_validate(
            json.loads(read.model_dump_json(include={"tool", "arguments", "result", "error"}))
        )
        for read in decision.tools
    )


def _handoff(stored: dict[str, Any]) -> GotHandoff:
    payload = payloads.read(stored["payload"], stored["created_at"])
    return GotHandoff(
        trigger=str(stored["trigger"]),
        urgency=str(stored["urgency"]),
        tells=f"{payload.summary.text} {payload.reason} {payload.next_action}",
    )
