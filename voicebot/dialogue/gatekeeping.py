"""The identity gate where it counts: in the transaction of a turn's commit.

A plan compares; what comes of it counts only here, under locks that all nodes share. So two calls at once
cannot get a fourth try, a code is used once, and no code is sent by a plan that was thrown away.
"""

from __future__ import annotations

from datetime import timedelta

from voicebot.core.store import lockouts, one_time_codes, text_messages
from voicebot.core.store.conversations import Snapshot
from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.flow.trial import Trial
from voicebot.safety.identity import GateRules


class Gatekeeping:
    """Counts tries, sends and closes codes. Stateless; one per orchestrator."""

    def __init__(self, keys: KeyRing, rules: GateRules) -> None:
        self._keys = keys
        self._rules = rules
        self._window = timedelta(minutes=rules.lockout.window_minutes)

    async def perform(self, tx: Transaction, snapshot: Snapshot, turn: int, trial: Trial) -> str:
        """Does what a turn tries, once, and says what came of it: `Trial.expected`, or something else."""
        caller = self._caller(snapshot)
        references = [self._reference(value) for value in trial.references]
        await lockouts.lock(tx, [*references, *caller])
        outcome = await self._tried(tx, snapshot, turn, trial, references, caller)
        if outcome in {"not_matched", "wrong"}:
            await lockouts.failed(tx, [*references, *caller], conversation_id=snapshot.id, turn=turn)
            if await self._over(tx, references[:1], caller):
                outcome = "locked"
        elif outcome in {"matched", "right"}:
            for reference in references:
                await lockouts.passed(tx, reference)
        await lockouts.note(tx, snapshot.id, turn, outcome)
        return outcome

    async def already(self, tx: Transaction, conversation_id: str, turn: int) -> str | None:
        """What came of the turn's try when it was committed."""
        return await lockouts.outcome_of(tx, conversation_id, turn)

    async def locked(self, tx: Transaction, snapshot_caller: str | None, references: tuple[str, ...]) -> bool:
        """Whether nothing more is compared for this caller, or about the likeliest reference. Only reads."""
        caller = [self._of_caller(snapshot_caller)] if snapshot_caller else []
        return await self._over(tx, [self._reference(value) for value in references[:1]], caller)

    async def _tried(
        self,
        tx: Transaction,
        snapshot: Snapshot,
        turn: int,
        trial: Trial,
        references: list[bytes],
        caller: list[bytes],
    ) -> str:
        if await self._over(tx, references[:1], caller):
            return "locked"
        match trial.kind:
            case "facts":
                return trial.expected
            case "code":
                return await one_time_codes.told(
                    tx,
                    self._keys,
                    conversation_id=snapshot.id,
                    number=trial.number,
                    candidates=trial.code,
                    use=True,
                )
            case "send":
                return await self._send(tx, snapshot, turn, trial)

    async def _send(self, tx: Transaction, snapshot: Snapshot, turn: int, trial: Trial) -> str:
        rules = self._rules.code
        customer = lockouts.subject_of(self._keys, "customer", trial.customer_id)
        await lockouts.lock(tx, [customer])
        fine = await one_time_codes.may_send(
            tx,
            conversation_id=snapshot.id,
            customer=customer,
            sends=rules.sends,
            pause=timedelta(seconds=rules.pause_s),
            per_hour=rules.per_hour,
        )
        if not fine:
            return "not_sent"
        code = await one_time_codes.make(
            tx,
            self._keys,
            conversation_id=snapshot.id,
            turn=turn,
            customer=customer,
            number=trial.number,
            digits=trial.digits,
            lasts=timedelta(minutes=rules.minutes),
        )
        await text_messages.order(
            tx,
            self._keys,
            conversation_id=snapshot.id,
            key=f"{snapshot.id}:{turn}:code",
            to=trial.number,
            words=trial.words.replace("{code}", code),
        )
        return "sent"

    async def _over(self, tx: Transaction, references: list[bytes], caller: list[bytes]) -> bool:
        rules = self._rules.lockout
        limits = [(one, rules.per_reference) for one in references]
        limits += [(one, rules.per_caller) for one in caller]
        return any([await lockouts.tries(tx, one, self._window) >= most for one, most in limits])

    def _reference(self, value: str) -> bytes:
        return lockouts.subject_of(self._keys, "reference", value)

    def _caller(self, snapshot: Snapshot) -> list[bytes]:
        return [] if snapshot.caller is None else [self._of_caller(snapshot.caller)]

    def _of_caller(self, number: str) -> bytes:
        return lockouts.subject_of(self._keys, "caller", number)
