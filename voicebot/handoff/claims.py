"""Taking a handoff, giving it back, being done with it: step, event and audit in one transaction."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from voicebot.core.conversation import Event
from voicebot.core.store import audit, handoffs, outbox
from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing

Step = Literal["accept", "decline", "done"]

_STEPS = {"accept": handoffs.claim, "decline": handoffs.decline, "done": handoffs.finish}
_TOLD = {"accept": "handoff.accepted", "decline": "handoff.declined", "done": "handoff.done"}


class Taken(Exception):
    """Another has it, or nobody, or it is done already. ``holder``: who has or had it."""

    def __init__(self, status: str, holder: str | None) -> None:
        self.status = status
        self.holder = holder
        super().__init__(f"{holder} has it ({status})" if holder else f"nobody has it ({status})")


async def take_step(
    tx: Transaction,
    keys: KeyRing,
    handoff_id: str,
    step: Step,
    who: str,
    *,
    answers: str | None = None,
    supervises: bool = False,
) -> None:
    """One step by ``who``, told to whoever watches; the same again changes and tells nothing.

    ``answers``: the destination whose phone they answer: what it has is theirs to give back or to settle.
    ``supervises``: may give back what anybody has.

    Raises:
        UnknownHandoff: there is none.
        Taken: it is not theirs.
        SubjectErased: what was said was erased, and there is nothing to take.
    """
    conversation_id = (await handoffs.bare(tx, handoff_id))["conversation_id"]
    # The conversation before its handoff, as a turn's commit and a transfer lock them.
    await tx.execute("SELECT 1 FROM conversations WHERE id = %s FOR NO KEY UPDATE", (conversation_id,))
    before = (await handoffs.changes(tx, handoff_id))[-1:]
    named = who
    holder = await handoffs.holder(tx, handoff_id)
    if holder is not None and (
        (step != "accept" and holder == answers) or (step == "decline" and supervises)
    ):
        named = holder
    done = await _STEPS[step](tx, handoff_id, named)
    row = await handoffs.bare(tx, handoff_id)
    if not done:
        raise Taken(row["status"], row["claimed_by"])
    after = (await handoffs.changes(tx, handoff_id))[-1:]
    if after == before:
        return
    facts = {"handoff": handoff_id, "who": who, "skill": row["skill"], "status": row["status"]}
    await tell(tx, keys, conversation_id, f"ev_{handoff_id[3:]}_{after[0]['seq']}", _TOLD[step], facts)
    await audit.record(tx, action=_TOLD[step], actor=who, facts=facts, conversation_id=conversation_id)


async def tell(
    tx: Transaction, keys: KeyRing, conversation_id: str, event_id: str, kind: str, facts: dict[str, str]
) -> None:
    """An event of a conversation's handoff, for others; the same ``event_id`` again tells nothing."""
    row = await (
        await tx.execute("SELECT subject_id FROM conversations WHERE id = %s", (conversation_id,))
    ).fetchone()
    assert row is not None  # a handoff goes with its conversation
    event = Event(
        id=event_id, type=kind, conversation_id=conversation_id, time=datetime.now(UTC), data={**facts}
    )
    await outbox.append(tx, keys, row["subject_id"], event)
