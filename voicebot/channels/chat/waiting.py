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
from voicebot.safety.pii.masking import Masker

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
    """Writes the message, masked, and its answer as a turn; the dialogue's state stays as it is.

    Returns:
        The turn.

    Raises:
        StaleState: another message came first.
        ConversationEnded: the chat is over.
    """
    if snapshot.status == "ended":
        raise ConversationEnded(f"chat {snapshot.id} has ended")
    turn = snapshot.turn + 1
    masker = Masker(shapes, await vault.values(tx, keys, snapshot.id), turn=turn)
    given, heard = Utterance(text=masker.mask(text).text), Heard(text=said, complete=True)
    await vault.save(tx, keys, snapshot.id, turn=turn, values=masker.kept)
    await conversations.advance(tx, snapshot, turn=turn, state=snapshot.state)
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
