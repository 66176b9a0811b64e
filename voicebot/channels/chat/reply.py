"""What a customer's program gets: a reply as a whole, or the same as events. Types only."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from voicebot.core.conversation import Action, Decision, Route, Source, Strict, ToolRead
from voicebot.dialogue.generation.written import written

Read = Annotated[str, AfterValidator(written)]
"""Words that were made to be spoken, with prices and codes in figures; they are kept as they were made."""


class ToolUse(Strict):
    """A tool that was called: which case came out of it, without what it read."""

    tool: str
    ok: bool
    outcome: str | None


class ChatDecision(Strict):
    """What was decided for a message. ``sentiment`` -1..1, None while nothing measures it."""

    intent: str
    confidence: float | None
    sentiment: float | None
    tier: int
    route: Route
    action: Action
    sources: tuple[Source, ...]
    tools: tuple[ToolUse, ...]

    @classmethod
    def of(cls, decision: Decision) -> ChatDecision:
        """The part of a decision that a customer's program may see."""
        return cls(
            intent=decision.intent,
            confidence=decision.confidences.classification,
            sentiment=decision.scores.sentiment if decision.scores is not None else None,
            tier=decision.tier,
            route=decision.route,
            action=decision.action,
            sources=decision.sources,
            tools=tuple(_use(read) for read in decision.tools),
        )


class ChatHandoff(Strict):
    """A person takes over: what they were told, in short."""

    id: str
    status: str
    trigger: str
    urgency: str
    summary: str


class ColleagueLine(Strict):
    """What a person wrote, exactly. ``line``: its number, which grows; the same number again is the same."""

    line: int
    who: Literal["colleague"] = "colleague"
    text: str
    at: datetime


class ChatReply(Strict):
    """The answer to one message. ``replies``: one text per turn (the greeting of a new chat is a turn).

    ``colleague``: what a person wrote meanwhile, for who has no socket open.
    """

    conversation_id: str
    turn: int
    replies: tuple[Read, ...]
    decision: ChatDecision
    handoff: ChatHandoff | None
    colleague: tuple[ColleagueLine, ...] = ()


class TurnStarted(Strict):
    """A turn was committed; its words follow."""

    type: Literal["turn.started"] = "turn.started"
    conversation_id: str
    turn: int


class DecisionMade(Strict):
    """What was decided; not sent for the greeting."""

    type: Literal["decision"] = "decision"
    conversation_id: str
    turn: int
    decision: ChatDecision


class ClauseWritten(Strict):
    """The next words of the answer."""

    type: Literal["clause"] = "clause"
    conversation_id: str
    turn: int
    text: Read


class TurnDone(Strict):
    """Everything is said: once for each message. ``reply`` is what ``POST /chat`` answers."""

    type: Literal["turn.done"] = "turn.done"
    conversation_id: str
    turn: int
    reply: ChatReply


class ColleagueWrote(Strict):
    """A person wrote; comes by itself. Where the socket broke in between it may come again."""

    type: Literal["colleague.wrote"] = "colleague.wrote"
    conversation_id: str
    line: ColleagueLine


class ColleagueTypes(Strict):
    """A person has pressed a key within the last seconds; repeated while they go on."""

    type: Literal["colleague.types"] = "colleague.types"
    conversation_id: str


class SaidLine(Strict):
    """One line of a chat so far. What is personal stands as a token, but in a person's own lines."""

    line: int
    who: Literal["customer", "assistant", "colleague"]
    text: str
    at: datetime


HasIt = Literal["assistant", "waiting", "colleague", "nobody"]


class ChatSoFar(Strict):
    """A chat as it stands, for a page that was loaded again. ``has_it``: who answers what is written next."""

    type: Literal["chat.so_far"] = "chat.so_far"
    conversation_id: str
    has_it: HasIt
    lines: tuple[SaidLine, ...]


class ChatFault(Strict):
    """The message was not answered; ``detail`` says what to do. The socket stays open."""

    type: Literal["error"] = "error"
    code: str
    detail: str
    retry_after_s: int | None = None


ChatEvent = TurnStarted | DecisionMade | ClauseWritten | TurnDone | ColleagueWrote | ColleagueTypes


def _use(read: ToolRead) -> ToolUse:
    result: dict[str, Any] = read.result or {}
    return ToolUse(tool=read.tool, ok=read.error is None, outcome=result.get("outcome"))
