"""What the caller is asked next, and how a question that is open is put again. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from voicebot.core.conversation import FREE, Expects
from voicebot.dialogue.flow.speech import Line, Part
from voicebot.dialogue.intents import IntentCatalog
from voicebot.dialogue.monitor.monitor import Want
from voicebot.dialogue.state import Asked, AskedKind, ConversationState
from voicebot.safety.identity import Ask, AskHow, FactorKind, Gate

YES_NO = Expects(kind="yes_no")
PHONE_DIGITS = 10
OFFERS = 2
"""How often it is offered to go on with a want that waits; then it is left to the caller."""


@dataclass(frozen=True, slots=True)
class Question:
    """The end of an utterance: its parts, what it asks, and what hearing should expect."""

    parts: tuple[Part, ...]
    asked: Asked
    expects: Expects = FREE


def open_question(key: str = "ask.what") -> Question:
    """An open line, such as "what can I do for you?"."""
    return Question((Line(key, question=True),), Asked(kind=AskedKind.OPEN))


def factor_question(step: Ask, heard: tuple[str, str] | None = None) -> Question:
    """Asks for one factor of the gate. ``heard``: another factor and the caller's own digits, said back."""
    factor = step.factor
    parts: list[Part] = []
    if heard is not None:
        parts.append(Line(f"identity.{heard[0]}.heard", slots={"value": heard[1]}))
    parts.append(Line(f"identity.{factor.name}.{step.how}", step.nth, question=True))
    return Question(
        tuple(parts),
        Asked(kind=AskedKind.FACTOR, factor=factor.name),
        _expected(step),
    )


def _expected(step: Ask) -> Expects:
    factor = step.factor
    if factor.numeric or (step.how is AskHow.KEYPAD and factor.keys):
        return Expects(kind="digits", length=factor.keys)
    match factor.kind:
        case FactorKind.NAME:
            return Expects(kind="name")
        case FactorKind.DATE:
            return Expects(kind="date")
        case _:
            return FREE


def person_question(want: Want | None = None) -> Question:
    """Offers a person, because of ``want`` if that could not be answered."""
    return Question((Line("ask.person", question=True),), Asked(kind=AskedKind.PERSON, want=want), YES_NO)


def next_question(state: ConversationState, gate: Gate, intents: IntentCatalog) -> Question:
    """What follows an answer: the topic that is still open, a want that was put off, or "anything else?"."""
    if state.topic is not None:
        step = gate.due(state.gate, state.topic.intent)
        if isinstance(step, Ask):
            question = factor_question(step)
            return Question((Line("ask.continue"), *question.parts), question.asked, question.expects)
    want = next((w for w in state.waiting if state.clarified.count(offered_key(w)) < OFFERS), None)
    if want is not None:
        line = Line("ask.waiting", slots={"means": intents.means(want.intent)}, question=True)
        return Question((line,), Asked(kind=AskedKind.WAITING, want=want), YES_NO)
    return Question((Line("ask.more", state.asked_more, question=True),), Asked(kind=AskedKind.MORE))


def offered_key(want: Want) -> str:
    """Stands in `ConversationState.clarified` once for each time that it was offered to go on with it."""
    return f"waiting:{want.intent}"


def again(asked: Asked | None, state: ConversationState, gate: Gate, intents: IntentCatalog) -> Question:
    """The open question once more, in the form that is due now."""
    if asked is None:
        return open_question()
    match asked.kind:
        case AskedKind.FACTOR:
            step = gate.due(state.gate, state.topic.intent if state.topic else None)
            if isinstance(step, Ask):
                return factor_question(step)
            return open_question()
        case AskedKind.CONFIRM if asked.want is not None:
            line = Line("ask.confirm", slots={"means": intents.means(asked.want.intent)}, question=True)
            return Question((line,), asked, YES_NO)
        case AskedKind.WAITING if asked.want is not None:
            line = Line("ask.waiting", slots={"means": intents.means(asked.want.intent)}, question=True)
            return Question((line,), asked, YES_NO)
        case AskedKind.PERSON:
            return person_question(asked.want)
        case AskedKind.MORE:
            return Question((Line("ask.more", state.asked_more, question=True),), asked)
        case AskedKind.CHOICE if asked.options:
            return choice_question(asked)
        case AskedKind.PROPOSAL if asked.proposes is not None:
            # The values were read back; who has not heard them hears them again before a yes counts.
            return Question((Line("act.again", question=True),), asked, YES_NO)
        case AskedKind.SLOT if asked.slot is not None and state.filling is not None:
            line = Line("act.value_again", question=True)
            return Question((line,), asked)
        case AskedKind.PROPOSAL if asked.proposal is not None and asked.proposal.act == "text_link":
            line = Line("link.confirm", slots={"page": asked.proposal.essentials[0]}, question=True)
            return Question((line,), asked, YES_NO)
        case AskedKind.PROPOSAL if asked.proposal is not None and asked.proposal.essentials:
            line = Line("promise.confirm", slots={"when": asked.proposal.essentials[0]}, question=True)
            return Question((line,), asked, YES_NO)
        case AskedKind.CALL_TIME:
            return Question((Line("callback.ask", 1, question=True),), asked)
        case AskedKind.MESSAGE:
            return Question((Line("message.begin", question=True),), asked)
        case AskedKind.CONTACT:
            line = Line("promise.contact", 1, question=True)
            return Question((line,), asked, Expects(kind="digits", length=PHONE_DIGITS))
        case _:
            return open_question()


def slot_question(tool: str, name: str, nth: int, has: Callable[[str], bool]) -> Question:
    """Asks for a value that an act needs: in the words for that tool, else for any."""
    own = f"slot.{tool}.{name}"
    line = Line(own if has(own) else f"slot.{name}", nth, question=True)
    return Question((line,), Asked(kind=AskedKind.SLOT, slot=name))


def choice_question(asked: Asked) -> Question:
    """Asks which of two things is meant, or whether the only one is."""
    named = [option.named for option in asked.options]
    if len(named) == 1:
        return Question((Line("ask.about", slots={"this": named[0]}, question=True),), asked, YES_NO)
    slots = {"this": named[0], "that": named[1]}
    return Question((Line("ask.choice", 1, slots=slots, question=True),), asked)
