"""A message in a chat that was given to a person: kept for them, and answered honestly."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from voicebot.core.conversation import Action, Decision, Event, Heard, Route, TurnTimings, Utterance
from voicebot.core.store import outbox, vault
from voicebot.core.store.conversations import ConversationEnded, Conversations, Snapshot
from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing
from voicebot.safety.pii.finding import Shapes
from voicebot.safety.pii.masking import Carry, Masker

DECISION = Decision(
    intent="handoff",
    tier=0,
    action=Action.FOLLOW_UP,
    route=Route.FIXED,
    policy_row="handoff/waiting",
    reasons=("a person has this conversation",),
)


async def keep(
    tx: Transaction,
    keys: KeyRing,
    conversations: Conversations,
    snapshot: Snapshot,
    text: str,
    said: str,
    transaction_id: str,
    *,
    shapes: Shapes,
) -> int:
    """Writes the message, masked, and its answer as a turn; of the state only digits that were begun change.

    Returns:
        The turn.

    Raises:
        StaleState: another message came first.
        ConversationEnded: the chat is over.
    """
    if snapshot.status == "ended":
        raise ConversationEnded(f"chat {snapshot.id} has ended")
    turn = snapshot.turn + 1
    begun = snapshot.state.get("carry")
    masker = Masker(
        shapes,
        await vault.values(tx, keys, snapshot.id),
        carry=Carry.model_validate(begun) if begun else None,
        turn=turn,
    )
    masked = masker.mask(text)
    given, heard = Utterance(text=masked.text), Heard(text=said, complete=True)
    await vault.save(tx, keys, snapshot.id, turn=turn, values=masker.kept)
    await vault.forget(tx, snapshot.id, masker.unkept)
    carry = None if masked.carry is None else masked.carry.model_dump(mode="json")
    await conversations.advance(tx, snapshot, turn=turn, state={**snapshot.state, "carry": carry})
    await conversations.save_turn(
        tx,
        snapshot.id,
        turn=turn,
        transaction_id=transaction_id,
        input=given.model_dump(mode="json"),
        decision=DECISION.model_dump(mode="json"),
        spoken=said,
    )
    await conversations.close_turn(
        tx,
        snapshot.id,
        turn=turn,
        heard=heard.model_dump(mode="json"),
        timings=TurnTimings().model_dump(mode="json"),
    )
    told = {
        "input": given.model_dump(mode="json"),
        "decision": DECISION.model_dump(mode="json"),
        "said": said,
        "after": "hand_over",
    }
    read = {"heard": heard.model_dump(mode="json"), "timings": TurnTimings().model_dump(mode="json")}
    for kind, data in (("turn.committed", told), ("turn.heard", read)):
        event = Event(
            id=f"ev_{uuid.uuid4().hex}",
            type=kind,
            conversation_id=snapshot.id,
            turn=turn,
            transaction_id=transaction_id,
            time=datetime.now(UTC),
            data=data,
        )
        await outbox.append(tx, keys, snapshot.subject_id, event)
    return turn
