"""What happened to a call, as events of its conversation: the channel's own memory across nodes.

``call.media_started`` a media session began · ``call.connecting`` TwiML that connects was
given · ``call.paying`` TwiML that takes a card was given · ``call.forwarded`` TwiML that dials a
person or hangs up was given · ``call.media_ended`` · ``call.ended``.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from voicebot.channels.twilio.resumption import Step
from voicebot.core.conversation import Event
from voicebot.core.store import outbox
from voicebot.core.store.conversations import Snapshot
from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing

MEDIA_STARTED = "call.media_started"
MEDIA_ENDED = "call.media_ended"
CONNECTING = "call.connecting"
FORWARDED = "call.forwarded"
PAYING = "call.paying"
ENDED = "call.ended"

_STEPS: dict[str, Step] = {
    MEDIA_STARTED: "media",
    CONNECTING: "connecting",
    PAYING: "paying",
    FORWARDED: "forwarded",
}


async def note(tx: Transaction, keys: KeyRing, snapshot: Snapshot, kind: str, data: dict[str, Any]) -> None:
    """Appends an event in the caller's transaction; whoever commits pokes the relay."""
    event = Event(
        id=f"ev_{uuid.uuid4().hex}",
        type=kind,
        conversation_id=snapshot.id,
        time=datetime.now(UTC),
        data=data,
    )
    await outbox.append(tx, keys, snapshot.subject_id, event)


async def unmet(tx: Transaction, keys: KeyRing, conversation_id: str) -> int:
    """How many documents that connect were given since a media session last began."""
    given = 0
    for event in await outbox.events_of(tx, keys, conversation_id):
        if event.type == MEDIA_STARTED:
            given = 0
        elif event.type == CONNECTING:
            given += 1
    return given


async def last_step(tx: Transaction, keys: KeyRing, conversation_id: str) -> Step:
    """The latest of the steps that matter for a call without a socket."""
    step: Step = "none"
    for event in await outbox.events_of(tx, keys, conversation_id):
        step = _STEPS.get(event.type, step)
    return step
