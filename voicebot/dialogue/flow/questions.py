"""What the caller is asked next, and how a question that is open is put again. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from voicebot.core.conversation import FREE, Expects
from voicebot.dialogue.flow.speech import Line, Part
from voicebot.dialogue.intents import IntentCatalog
from voicebot.dialogue.state import Asked, AskedKind, ConversationState
from voicebot.safety.identity import Ask, AskHow, Factor, Gate

YES_NO = Expects(kind="yes_no")


@dataclass(frozen=True, slots=True)
class Question:
    """The end of an utterance: its parts, what it asks, and what hearing should expect."""

    parts: tuple[Part, ...]
    asked: Asked
    expects: Expects = FREE


def open_question(key: str = "ask.what") -> Question:
    """An open line, such as "what can I do for you?"."""
    return Question((Line(key, question=True),), Asked(kind=AskedKind.OPEN))


def factor_question(factor: Factor, how: AskHow, heard: tuple[str, str] | None = None) -> Question:
    """Asks for one factor of the gate. ``heard``: another factor and the caller's own digits, said back."""
    parts: list[Part] = []
    if heard is not None:
        parts.append(Line(f"identity.{heard[0]}.heard", slots={"value": heard[1]}))
    parts.append(Line(f"identity.{factor.name}.{how}", question=True))
    return Question(
        tuple(parts),
        Asked(kind=AskedKind.FACTOR, factor=factor.name),
        Expects(kind="digits", length=factor.digits),
    )


def person_question() -> Question:
    """Offers a person."""
    return Question((Line("ask.person", question=True),), Asked(kind=AskedKind.PERSON), YES_NO)


def next_question(state: ConversationState, gate: Gate, intents: IntentCatalog) -> Question:
    """What follows an answer: the topic that is still open, a want that was put off, or "anything else?"."""
    if state.topic is not None:
        step = gate.next(state.gate)
        if isinstance(step, Ask):
            question = factor_question(step.factor, step.how)
            return Question((Line("ask.continue"), *question.parts), question.asked, question.expects)
    if state.waiting:
        want = state.waiting[0]
        line = Line("ask.waiting", slots={"means": intents.means(want.intent)}, question=True)
        return Question((line,), Asked(kind=AskedKind.WAITING, want=want), YES_NO)
    return Question((Line("ask.more", state.asked_more, question=True),), Asked(kind=AskedKind.MORE))


def again(asked: Asked | None, state: ConversationState, gate: Gate, intents: IntentCatalog) -> Question:
    """The open question once more, in the form that is due now."""
    if asked is None:
        return open_question()
    match asked.kind:
        case AskedKind.FACTOR:
            step = gate.next(state.gate)
            if isinstance(step, Ask):
                return factor_question(step.factor, step.how)
            return open_question()
        case AskedKind.CONFIRM if asked.want is not None:
            line = Line("ask.confirm", slots={"means": intents.means(asked.want.intent)}, question=True)
            return Question((line,), asked, YES_NO)
        case AskedKind.WAITING if asked.want is not None:
            line = Line("ask.waiting", slots={"means": intents.means(asked.want.intent)}, question=True)
            return Question((line,), asked, YES_NO)
        case AskedKind.PERSON:
            return person_question()
        case _:
            return open_question()
