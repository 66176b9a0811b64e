"""When words fail: the question in other words, then the keypad, then a person. Pure.

What failed is remembered for the whole call, by kind of question and by means (voice, keys): where voice has
failed, the next question of that kind comes with the keypad at once, until voice works again.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from voicebot.core.conversation import Action, Expects, HearingFailure, Keys, NotHeard, TurnInput, Utterance
from voicebot.dialogue.flow.draft import Draft, Fact
from voicebot.dialogue.flow.questions import Question, again, factor_question
from voicebot.dialogue.flow.speech import Line, Part, text_of
from voicebot.dialogue.flow.steering import Steering
from voicebot.dialogue.intents import IntentCatalog
from voicebot.dialogue.phrases import Phrases
from voicebot.dialogue.state import Asked, AskedKind, ConversationState, HearingMemory
from voicebot.safety.identity import Ask, AskHow, FactorProgress, Gate, GateProgress
from voicebot.safety.policy import Ladder
from voicebot.safety.triggers import Cause
from voicebot.safety.triggers.hearing import at_gate, exhausted

FAILED_OFTEN = 2
"""So many failures of one means at one kind of question: the other means is offered at once."""


class Kind(StrEnum):
    """Kinds of question, by how they can be answered on a keypad."""

    DIGITS = "digits"
    YES_NO = "yes_no"
    CHOICE = "choice"
    OPEN = "open"


class Rung(StrEnum):
    """What is tried next."""

    REPHRASE = "rephrase"
    KEYPAD = "keypad"
    PERSON = "person"


_SAID = {
    HearingFailure.EMPTY: "heard.empty",
    HearingFailure.HALLUCINATION: "heard.empty",
    HearingFailure.LOW_CONFIDENCE: "heard.unsure",
    HearingFailure.WRONG_LANGUAGE: "scope.language",
    HearingFailure.TOO_NOISY: "heard.noise",
    HearingFailure.ENGINE_DOWN: "heard.deaf",
}
"""What the caller is told of the reason."""

_LAST = {HearingFailure.WRONG_LANGUAGE: "scope.language", HearingFailure.TOO_NOISY: "heard.noise_last"}
"""The same before a person takes over; else ``heard.last``."""

ODD_KEYS = frozenset({"keys/again", "keys/unexpected"})
"""Rows of turns in which keys were no answer."""


def kind_of(asked: Asked | None) -> Kind:
    """How the question that is open can be answered."""
    if asked is None:
        return Kind.OPEN
    match asked.kind:
        case AskedKind.FACTOR | AskedKind.CONTACT:
            return Kind.DIGITS
        case AskedKind.CONFIRM | AskedKind.WAITING | AskedKind.PERSON | AskedKind.PROPOSAL:
            return Kind.YES_NO
        case AskedKind.CHOICE:
            return Kind.CHOICE if len(asked.options) > 1 else Kind.YES_NO
        case AskedKind.OPEN | AskedKind.MORE | AskedKind.SLOT | AskedKind.CALL_TIME | AskedKind.MESSAGE:
            return Kind.OPEN


def rung(reason: HearingFailure, count: int, kind: Kind, memory: HearingMemory, limit: int) -> Rung:
    """What to try now.

    Args:
        reason: why there are no words.
        count: failures in a row, this one included.
        kind: of the question that is open.
        memory: what failed in this call before.
        limit: the failure in a row at which a person takes over.
    """
    if last_rung(reason, count, kind, memory, limit) is not None:
        return Rung.PERSON
    return Rung.KEYPAD if _by_keypad(reason, count, kind, memory) else Rung.REPHRASE


def last_rung(
    reason: HearingFailure, count: int, kind: Kind, memory: HearingMemory, limit: int
) -> Cause | None:
    """Why a person takes over now, None while something else can be tried; arguments as of `rung`."""
    by_keys = _by_keypad(reason, count, kind, memory)
    return exhausted(
        reason,
        count,
        limit=limit,
        keys_failed=memory.keys.get(kind, 0),
        keys_limit=FAILED_OFTEN if by_keys else None,
    )


def _by_keypad(reason: HearingFailure, count: int, kind: Kind, memory: HearingMemory) -> bool:
    deaf = reason is HearingFailure.ENGINE_DOWN
    return deaf or count > 1 or memory.voice.get(kind, 0) >= FAILED_OFTEN


def keypad_first(memory: HearingMemory, kind: Kind) -> bool:
    """Whether a question of this kind is asked with the keypad from the start."""
    return memory.voice.get(kind, 0) >= FAILED_OFTEN > memory.keys.get(kind, 0)


def failed(memory: HearingMemory, kind: Kind, *, by_keys: bool = False) -> HearingMemory:
    """Once more."""
    return _counted(memory, kind, 1, by_keys=by_keys)


def worked(memory: HearingMemory, kind: Kind, *, by_keys: bool = False) -> HearingMemory:
    """Once less: hearing has recovered."""
    return _counted(memory, kind, -1, by_keys=by_keys)


def _counted(memory: HearingMemory, kind: Kind, step: int, *, by_keys: bool) -> HearingMemory:
    counts = memory.keys if by_keys else memory.voice
    now = max(0, counts.get(kind, 0) + step)
    return memory.model_copy(update={"keys" if by_keys else "voice": {**counts, kind.value: now}})


def at_beginning(state: ConversationState, given: TurnInput) -> ConversationState:
    """What the input itself tells about hearing. Digits are judged by what the gate makes of them."""
    kind = kind_of(state.asked)
    match given:
        case NotHeard():
            memory = failed(state.hearing, kind)
        case Utterance() if kind is not Kind.DIGITS:
            memory = worked(state.hearing, kind)
        case _:
            return state
    return state.model_copy(update={"hearing": memory})


def at_end(before: ConversationState, draft: Draft, given: TurnInput) -> Draft:
    """The draft with what was made of digits: taken, or misheard; and of keys."""
    if not isinstance(given, Utterance | Keys):
        return draft
    by_keys = isinstance(given, Keys)
    memory = draft.state.hearing
    if by_keys and draft.row in ODD_KEYS:
        memory = failed(memory, kind_of(before.asked), by_keys=True)
    elif kind_of(before.asked) is Kind.DIGITS:
        misheard, taken = _at_gate(before.gate, draft.state.gate)
        if misheard or draft.row == "contact/again":
            memory = failed(memory, Kind.DIGITS, by_keys=by_keys)
        elif taken or len(draft.state.slots) > len(before.slots):
            memory = worked(memory, Kind.DIGITS, by_keys=by_keys)
    return replace(draft, state=draft.state.model_copy(update={"hearing": memory}))


def _at_gate(before: GateProgress, after: GateProgress) -> tuple[bool, bool]:
    """Whether digits were misheard, and whether some were taken."""
    misheard = taken = False
    for name, now in after.given.items():
        was = before.given.get(name, FactorProgress())
        misheard = misheard or now.misheard > was.misheard
        taken = taken or bool(now.candidates and now.candidates != was.candidates)
    return misheard, taken or after.match != before.match or after.tries > before.tries


class Unheard:
    """Drafts the turns without usable words. Stateless.

    Args:
        steering: says things.
        phrases: the deployment's lines.
        intents: what wants are called.
        gate: knows which factor is due.
        ladder: of policy.
    """

    def __init__(
        self, steering: Steering, phrases: Phrases, intents: IntentCatalog, gate: Gate, ladder: Ladder
    ) -> None:
        self._steering = steering
        self._phrases = phrases
        self._intents = intents
        self._gate = gate
        self._ladder = ladder

    def draft(self, state: ConversationState, given: NotHeard, factor: str | None) -> Draft:
        """The next rung for the question that is open. ``factor``: the gate waits for this one.

        ``state`` has this failure in its memory of hearing already (`at_beginning`).
        """
        kind = kind_of(state.asked)
        count = state.not_heard + 1
        earlier = worked(state.hearing, kind)  # without this one
        step = rung(given.reason, count, kind, earlier, self._ladder.not_heard)
        cause = last_rung(given.reason, count, kind, earlier, self._ladder.not_heard)
        state = state.model_copy(update={"not_heard": count})
        row = f"not_heard/{given.reason}/{step}"
        fact = Fact(
            "hearing.failed", {"reason": given.reason.value, "rung": step.value, "question": kind.value}
        )
        due: Ask | None = None
        if factor is not None:
            state = state.model_copy(
                update={"gate": self._gate.hear(state.gate, Utterance(text=""), asked=factor)}
            )
            open_step = self._gate.due(state.gate, state.topic.intent if state.topic else None)
            due = open_step if isinstance(open_step, Ask) else None
            step = step if due is not None else Rung.PERSON
        intent = state.topic.intent if factor is not None and state.topic is not None else "not_heard"
        if step is Rung.PERSON:
            last = Line(_LAST.get(given.reason, "heard.last"))
            cause = cause or at_gate(given.reason, count)
            draft = self._steering.person(
                state,
                intent,
                row,
                trigger=cause.name,
                evidence=cause.evidence,
                before=(last,),
            )
        else:
            lead = (Line(_SAID[given.reason], count - 1),)
            question = self._question(state, step) if due is None else self._by_gate(due, step)
            draft = self._steering.say(state, intent, row, lead, question, action=Action.CLARIFY)
        return replace(draft, facts=(*draft.facts, fact), reasons=(f"not heard: {given.reason}, {step}",))

    def _by_gate(self, due: Ask, step: Rung) -> Question:
        if step is Rung.KEYPAD or due.how is AskHow.KEYPAD:
            nth = due.nth if due.how is AskHow.KEYPAD else 0
            return factor_question(replace(due, how=AskHow.KEYPAD, nth=nth))
        question = factor_question(due)
        return replace(question, parts=(Line(f"identity.{due.factor.name}.say", question=True),))

    def _question(self, state: ConversationState, step: Rung) -> Question:
        question = again(state.asked, state, self._gate, self._intents)
        return question if step is Rung.REPHRASE else on_keypad(question)


def on_keypad(question: Question) -> Question:
    """The question with how it is answered by keys."""
    asked = question.asked
    match kind_of(asked):
        case Kind.OPEN:
            return replace(question, parts=(Line("keypad.menu", question=True),))
        case Kind.YES_NO:
            return replace(question, parts=(*question.parts, Line("keypad.yes_no")))
        case Kind.CHOICE:
            slots = {"this": asked.options[0].named, "that": asked.options[1].named}
            return replace(question, parts=(Line("keypad.choice", slots=slots, question=True),))
        case Kind.DIGITS if asked.kind is AskedKind.CONTACT:
            return replace(question, parts=(Line("keypad.contact", question=True),))
        case Kind.DIGITS:
            return question


def keypad_at_once(draft: Draft) -> Draft:
    """A question of a kind at which voice has failed in this call comes with the keypad."""
    asked = draft.asked
    if asked is None or draft.expects == Expects() or any(_by_keys(part) for part in draft.parts):
        return draft
    kind = kind_of(asked)
    if not keypad_first(draft.state.hearing, kind) or asked.kind is AskedKind.FACTOR:
        return draft  # the gate's questions have a form of their own
    hint = {Kind.YES_NO: "keypad.yes_no", Kind.DIGITS: "keypad.contact"}.get(kind)
    return draft if hint is None else replace(draft, parts=(*draft.parts, Line(hint)))


def put_otherwise(parts: tuple[Part, ...], last_said: str | None, phrases: Phrases) -> tuple[Part, ...]:
    """Lines that were said just before, in another wording where there is one."""
    if not last_said:
        return parts
    return tuple(_otherwise(part, last_said, phrases) for part in parts)


def _otherwise(part: Part, last_said: str, phrases: Phrases) -> Part:
    if not isinstance(part, Line) or part.owed is not None or (text_of(part, phrases) or "") not in last_said:
        return part
    count = phrases.variants(part.key)
    others = (replace(part, nth=(part.nth + step) % count) for step in range(1, count))
    return next((one for one in others if (text_of(one, phrases) or "") not in last_said), part)


def _by_keys(part: Part) -> bool:
    return isinstance(part, Line) and part.key.startswith("keypad.")
