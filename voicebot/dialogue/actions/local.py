"""Acts on our own database, done in the transaction of the turn that does them, once each.

An act either happens together with its turn or not at all; the same turn again finds what came of it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

from pydantic import Field, ValidationError

from voicebot.core.conversation import Strict
from voicebot.core.store import acts, callbacks, follow_ups, handoffs, outcomes, text_messages, vault
from voicebot.core.store.conversations import Snapshot
from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.flow.draft import ActOutcome

_E164 = re.compile(r"\+[1-9][0-9]{4,14}")


class UnknownLocalAct(LookupError):
    """The plan names an act that this server does not have."""


class FollowUpRequest(Strict):
    """Arguments of the act ``follow_up``: what is promised, to whom, by whom, until when.

    ``contact``: where the caller can be reached, None if the channel or the records know it. ``call_at``: we
    call them then by ourselves (until ``call_until``): at ``contact`` behind ``dial`` ("+1"), or, if that is
    None, where they call from.
    """

    kind: follow_ups.Kind
    intent: str
    owner: str
    urgency: str
    due_at: str
    question: str
    contact: str | None = None
    known: dict[str, str] = Field(default_factory=dict[str, str])
    call_at: str | None = None
    call_until: str | None = None
    dial: str | None = None


class MessagePart(Strict):
    """Arguments of ``leave_message``: a piece of one. ``message``: the follow-up that it goes on with."""

    message: str | None
    intent: str
    owner: str
    due_at: str
    question: str
    words: str
    from_ms: int | None = None
    until_ms: int | None = None


class LinkText(Strict):
    """Arguments of ``text_link``. ``to``: a number that was read back, behind ``prefix``; None: their own."""

    article: str
    to: str | None
    prefix: str | None = None
    words: str


class Rated(Strict):
    """Arguments of ``rate_conversation``: 1 to 5, and how it was given."""

    score: int = Field(ge=1, le=5)
    how: Literal["keys", "voice", "text"]


class CallsRefused(Strict):
    """Arguments of ``refuse_calls``: the call that was refused."""

    callback: str


MOST_LINKS = 3
"""Text messages with a link, of one conversation."""


Perform = Callable[[Transaction, KeyRing, Snapshot, int, dict[str, Any]], Awaitable[ActOutcome]]


async def promise(
    tx: Transaction, keys: KeyRing, snapshot: Snapshot, turn: int, arguments: dict[str, Any]
) -> ActOutcome:
    """Stores a promise; a conversation that has an open one for the same intent keeps that one.

    A call at another time takes the place of the one that was booked.

    Outcome: ``promised`` or ``already``, with ``follow_up``, ``owner`` and ``due_at``; ``callback`` if we
    call.
    """
    request = FollowUpRequest.model_validate(arguments)
    due_at = datetime.fromisoformat(request.call_at or request.due_at)
    for row in await follow_ups.list(tx, status="open", conversation_id=snapshot.id):
        if row["intent"] == request.intent:
            if request.call_at is None:
                return _promised("already", row["id"], row["owner"], row["due_at"])
            for booked in await callbacks.list(tx, status="booked", conversation_id=snapshot.id):
                if booked["follow_up_id"] == row["id"]:
                    await callbacks.cancel(tx, booked["id"])
            await follow_ups.move(tx, row["id"], due_at)
            return await _booked(tx, keys, snapshot, turn, request, row["id"])
    follow_up = await follow_ups.save(
        tx,
        keys,
        conversation_id=snapshot.id,
        turn=turn,
        kind=request.kind,
        intent=request.intent,
        owner=request.owner,
        urgency=request.urgency,
        due_at=due_at,
        details={
            "question": request.question,
            "contact": request.contact or snapshot.caller,
            "known": request.known,
        },
    )
    if request.call_at is not None:
        return await _booked(tx, keys, snapshot, turn, request, follow_up)
    return _promised("promised", follow_up, request.owner, due_at)


async def _booked(
    tx: Transaction,
    keys: KeyRing,
    snapshot: Snapshot,
    turn: int,
    request: FollowUpRequest,
    follow_up: str,
) -> ActOutcome:
    """The call that keeps a promise. Who asks to be called is called, whatever was said before."""
    number = await _number(tx, keys, snapshot, request.contact if request.dial else None, request.dial)
    if number is None or request.call_at is None:
        return ActOutcome("failed", {"outcome": "no_number", "follow_up": follow_up})
    due_at = datetime.fromisoformat(request.call_at)
    await callbacks.allow_calls(tx, keys, number)
    callback = await callbacks.book(
        tx,
        keys,
        key=f"{snapshot.id}:{turn}",
        origin="caller",
        number=number,
        due_at=due_at,
        until_at=datetime.fromisoformat(request.call_until) if request.call_until else due_at,
        purpose="callback",
        intent=request.intent,
        owner=request.owner,
        about=request.question,
        from_=snapshot.called,
        conversation_id=snapshot.id,
        follow_up_id=follow_up,
    )
    for row in await handoffs.list(tx, conversation_id=snapshot.id):
        if row["status"] in {"waiting", "missed"}:
            await handoffs.move(tx, row["id"], "callback", who="bot")
    outcome = _promised("promised", follow_up, request.owner, due_at)
    return ActOutcome("done", {**outcome.result, "callback": callback})


async def leave_message(
    tx: Transaction, keys: KeyRing, snapshot: Snapshot, turn: int, arguments: dict[str, Any]
) -> ActOutcome:
    """Keeps a piece of a message; the first one makes the follow-up that somebody listens to."""
    part = MessagePart.model_validate(arguments)
    follow_up = part.message
    if follow_up is None:
        follow_up = await follow_ups.save(
            tx,
            keys,
            conversation_id=snapshot.id,
            turn=turn,
            kind="message",
            intent=part.intent,
            owner=part.owner,
            urgency="normal",
            due_at=datetime.fromisoformat(part.due_at),
            details={"question": part.question, "contact": snapshot.caller, "known": {}},
        )
    piece = {
        "words": part.words,
        "from_ms": part.from_ms,
        "until_ms": part.until_ms,
        "recording": f"{snapshot.id}/{snapshot.epoch:03d}",
    }
    await follow_ups.add_part(tx, keys, follow_up, conversation_id=snapshot.id, turn=turn, part=piece)
    return ActOutcome("done", {"outcome": "kept", "follow_up": follow_up})


async def text_link(
    tx: Transaction, keys: KeyRing, snapshot: Snapshot, turn: int, arguments: dict[str, Any]
) -> ActOutcome:
    """Orders one text message with the link; it is sent after the transaction."""
    link = LinkText.model_validate(arguments)
    number = await _number(tx, keys, snapshot, link.to, link.prefix)
    if number is None:
        return ActOutcome("refused", {"outcome": "no_number"})
    sent = [one for one in await text_messages.of(tx, snapshot.id) if one["key"].endswith(":text_link")]
    if len(sent) >= MOST_LINKS:
        return ActOutcome("refused", {"outcome": "too_many"})
    key = acts.key_of(snapshot.id, turn, "text_link")
    message = await text_messages.order(
        tx, keys, conversation_id=snapshot.id, key=key, to=number, words=link.words
    )
    return ActOutcome("done", {"outcome": "sent", "text_message": message, "article": link.article})


async def refuse_calls(
    tx: Transaction, keys: KeyRing, snapshot: Snapshot, turn: int, arguments: dict[str, Any]
) -> ActOutcome:
    """The number of this conversation is not called any more; what is booked for it is cancelled."""
    CallsRefused.model_validate(arguments)
    if snapshot.caller is None:
        return ActOutcome("failed", {"outcome": "no_number"})
    cancelled = await callbacks.refuse_calls(tx, keys, snapshot.caller, snapshot.id)
    return ActOutcome("done", {"outcome": "left_alone", "cancelled": cancelled})


async def rate_conversation(
    tx: Transaction, keys: KeyRing, snapshot: Snapshot, turn: int, arguments: dict[str, Any]
) -> ActOutcome:
    """Keeps how satisfied the caller was; the first time counts."""
    given = Rated.model_validate(arguments)
    kept = await outcomes.rate(tx, snapshot.id, given.score, given.how, turn=turn)
    return ActOutcome("done", {"outcome": "kept" if kept else "known"})


LOCAL_ACTS: Mapping[str, Perform] = MappingProxyType(
    {
        "follow_up": promise,
        "leave_message": leave_message,
        "text_link": text_link,
        "refuse_calls": refuse_calls,
        "rate_conversation": rate_conversation,
    }
)


class LocalActs:
    """Does the acts of a turn. Stateless but for the keys; one per node.

    Args:
        keys: seals arguments and outcomes.
        known: acts by name.
    """

    def __init__(self, keys: KeyRing, known: Mapping[str, Perform] = LOCAL_ACTS) -> None:
        self._keys = keys
        self._known = known

    async def perform(
        self, tx: Transaction, snapshot: Snapshot, turn: int, name: str, arguments: dict[str, Any]
    ) -> ActOutcome:
        """Does it, or gives the outcome of the time it was done under this turn's key.

        Raises:
            UnknownLocalAct: there is no such act; nothing was done.
            DatabaseDown: nothing is certain; the same turn may be committed again.
        """
        perform = self._known.get(name)
        if perform is None:
            raise UnknownLocalAct(f"no act {name!r}; known are {', '.join(sorted(self._known))}")
        act = await acts.intend(
            tx, self._keys, conversation_id=snapshot.id, turn=turn, act=name, arguments=arguments
        )
        if act.outcome is not None:
            return stored(act)
        try:
            outcome = await perform(tx, self._keys, snapshot, turn, arguments)
        except ValidationError as error:
            fields = sorted({".".join(map(str, e["loc"])) for e in error.errors()})
            outcome = ActOutcome("refused", {"outcome": "refused", "fields": fields})
        await acts.settle(tx, self._keys, act.key, status=outcome.status, outcome=outcome.result)
        return outcome

    async def outcome_of(self, tx: Transaction, conversation_id: str, turn: int, name: str) -> ActOutcome:
        """What came of an act that was committed.

        Raises:
            UnknownAct: it was not.
        """
        return stored(await acts.get(tx, self._keys, acts.key_of(conversation_id, turn, name)))


def stored(act: acts.Act) -> ActOutcome:
    """The outcome of a settled act."""
    assert act.status != "intended"  # a local act is settled in the transaction that intends it
    return ActOutcome(act.status, act.outcome or {})


async def _number(
    tx: Transaction, keys: KeyRing, snapshot: Snapshot, given: str | None, prefix: str | None
) -> str | None:
    """A number in E.164 whose digits, behind the prefix, may stand as a token; None: there is none."""
    if given is None:
        return snapshot.caller
    for token, value in (await vault.values(tx, keys, snapshot.id)).items():
        given = given.replace(token, value)
    number = f"{prefix or ''}{given.removeprefix('+').lstrip('0')}"
    return number if _E164.fullmatch(number) else None


def _promised(outcome: str, follow_up: str, owner: str, due_at: datetime) -> ActOutcome:
    result = {"outcome": outcome, "follow_up": follow_up, "owner": owner, "due_at": due_at.isoformat()}
    return ActOutcome("done", result)
