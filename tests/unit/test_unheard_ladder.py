"""When words fail: other words, the keypad, a person; what failed is remembered, and forgotten again."""

from __future__ import annotations

import pytest

from voicebot.core.conversation import Action, HearingFailure, Keys, NotHeard, Route, Utterance
from voicebot.dialogue.flow.draft import Draft
from voicebot.dialogue.flow.speech import Line
from voicebot.dialogue.flow.unheard import (
    Kind,
    Rung,
    at_beginning,
    at_end,
    failed,
    keypad_first,
    kind_of,
    put_otherwise,
    rung,
    worked,
)
from voicebot.dialogue.monitor.monitor import Want
from voicebot.dialogue.phrases import Phrases
from voicebot.dialogue.state import Asked, AskedKind, ConversationState, HearingMemory, Option
from voicebot.safety.identity import FactorProgress, GateProgress

WANT = Want(intent="x", confidence=1.0, text="x")
FACTOR = Asked(kind=AskedKind.FACTOR, factor="order_number")
NOTHING = HearingMemory()
VOICE_FAILED = HearingMemory(voice={"digits": 2})
BOTH_FAILED = HearingMemory(voice={"digits": 2}, keys={"digits": 2})
EMPTY, DOWN, FOREIGN = HearingFailure.EMPTY, HearingFailure.ENGINE_DOWN, HearingFailure.WRONG_LANGUAGE


@pytest.mark.parametrize(
    ("reason", "count", "memory", "limit", "then"),
    [
        (EMPTY, 1, NOTHING, 3, Rung.REPHRASE),
        (EMPTY, 2, NOTHING, 3, Rung.KEYPAD),
        (EMPTY, 3, NOTHING, 3, Rung.PERSON),
        (HearingFailure.TOO_NOISY, 1, NOTHING, 3, Rung.REPHRASE),
        # A machine that cannot hear asks nobody to repeat; nor does one that speaks another language twice.
        (DOWN, 1, NOTHING, 3, Rung.KEYPAD),
        (DOWN, 2, NOTHING, 3, Rung.PERSON),
        (FOREIGN, 1, NOTHING, 3, Rung.REPHRASE),
        (FOREIGN, 2, NOTHING, 3, Rung.PERSON),
        # What failed before is not tried again.
        (EMPTY, 1, VOICE_FAILED, 3, Rung.KEYPAD),
        (EMPTY, 1, BOTH_FAILED, 3, Rung.PERSON),
        (EMPTY, 2, BOTH_FAILED, 3, Rung.PERSON),
        (DOWN, 1, BOTH_FAILED, 3, Rung.PERSON),
        # The deployment's own patience.
        (EMPTY, 1, NOTHING, 1, Rung.PERSON),
        (EMPTY, 2, NOTHING, 2, Rung.PERSON),
        (EMPTY, 3, NOTHING, 5, Rung.KEYPAD),
        (EMPTY, 5, NOTHING, 5, Rung.PERSON),
    ],
)
def test_the_rung(reason: HearingFailure, count: int, memory: HearingMemory, limit: int, then: Rung) -> None:
    assert rung(reason, count, Kind.DIGITS, memory, limit) is then


def test_failures_of_another_kind_of_question_say_nothing() -> None:
    assert rung(EMPTY, 1, Kind.OPEN, VOICE_FAILED, 3) is Rung.REPHRASE


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        (None, Kind.OPEN),
        (Asked(kind=AskedKind.OPEN), Kind.OPEN),
        (Asked(kind=AskedKind.MORE), Kind.OPEN),
        (FACTOR, Kind.DIGITS),
        (Asked(kind=AskedKind.CONTACT, want=WANT), Kind.DIGITS),
        (Asked(kind=AskedKind.PROPOSAL), Kind.YES_NO),
        (Asked(kind=AskedKind.PERSON), Kind.YES_NO),
        (Asked(kind=AskedKind.CHOICE, options=(Option(named="a", want=WANT),)), Kind.YES_NO),
        (
            Asked(
                kind=AskedKind.CHOICE, options=(Option(named="a", want=WANT), Option(named="b", want=WANT))
            ),
            Kind.CHOICE,
        ),
    ],
)
def test_how_a_question_can_be_keyed(asked: Asked | None, kind: Kind) -> None:
    assert kind_of(asked) is kind


def test_hearing_that_recovers_is_believed_again() -> None:
    """Two failures bring the keypad at once; one success takes that back; it never falls below none."""
    memory = failed(failed(NOTHING, Kind.DIGITS), Kind.DIGITS)
    assert keypad_first(memory, Kind.DIGITS)
    memory = worked(memory, Kind.DIGITS)
    assert not keypad_first(memory, Kind.DIGITS)
    assert worked(NOTHING, Kind.OPEN).voice == {"open": 0}


def test_keys_that_failed_too_are_not_offered_first() -> None:
    assert not keypad_first(BOTH_FAILED, Kind.DIGITS)


def test_words_that_came_count_for_the_question_they_answer() -> None:
    """Whatever they mean; but digits are judged by the gate."""
    state = ConversationState(hearing=HearingMemory(voice={"open": 1, "digits": 2}))
    assert at_beginning(state, Utterance(text="hello")).hearing.voice == {"open": 0, "digits": 2}
    at_gate = state.model_copy(update={"asked": FACTOR})
    assert at_beginning(at_gate, Utterance(text="hello")).hearing == state.hearing
    unheard = at_beginning(at_gate, NotHeard(reason=EMPTY))
    assert unheard.hearing.voice == {"open": 1, "digits": 3}


def gate_draft(after: FactorProgress, memory: HearingMemory = NOTHING, row: str = "x") -> Draft:
    state = ConversationState(asked=FACTOR, hearing=memory, gate=GateProgress(given={"order_number": after}))
    return Draft(state=state, intent="x", action=Action.CLARIFY, route=Route.FIXED, row=row, parts=())


BEFORE = ConversationState(
    asked=FACTOR, gate=GateProgress(given={"order_number": FactorProgress(misheard=1)})
)


@pytest.mark.parametrize(
    ("given", "after", "voice", "keys"),
    [
        (Utterance(text="four"), FactorProgress(misheard=2), {"digits": 2}, {"digits": 1}),
        (
            Utterance(text="427103"),
            FactorProgress(misheard=1, candidates=("427103",)),
            {"digits": 0},
            {"digits": 1},
        ),
        (Keys(digits="42"), FactorProgress(misheard=2, keyed=True), {"digits": 1}, {"digits": 2}),
        (
            Keys(digits="427103"),
            FactorProgress(misheard=1, candidates=("427103",)),
            {"digits": 1},
            {"digits": 0},
        ),
        (Utterance(text="what for"), FactorProgress(misheard=1), {"digits": 1}, {"digits": 1}),
    ],
)
def test_digits_are_judged_by_what_the_gate_made_of_them(
    given: Utterance | Keys, after: FactorProgress, voice: dict[str, int], keys: dict[str, int]
) -> None:
    memory = HearingMemory(voice={"digits": 1}, keys={"digits": 1})
    kept = at_end(BEFORE, gate_draft(after, memory), given).state.hearing
    assert (kept.voice, kept.keys) == (voice, keys)


def test_keys_that_were_no_answer_count() -> None:
    draft = gate_draft(FactorProgress(misheard=1), row="keys/unexpected")
    asked = ConversationState(asked=Asked(kind=AskedKind.PERSON))
    assert at_end(asked, draft, Keys(digits="7")).state.hearing.keys == {"yes_no": 1}


LINES = Phrases.model_construct(spoken={"ask": ("One?", "Two?"), "only": "Same."})


def test_what_was_just_said_is_put_in_other_words() -> None:
    """Where there are other words; what must be said is said as it stands."""
    parts = (Line("only"), Line("ask", question=True))
    assert put_otherwise(parts, "Well. One?", LINES) == (Line("only"), Line("ask", 1, question=True))
    assert put_otherwise(parts, "Same. Two?", LINES) == parts
    assert put_otherwise((Line("ask", 1),), "Two?", LINES) == (Line("ask", 0),)
    assert put_otherwise((Line("ask", owed="notice"),), "One?", LINES) == (Line("ask", owed="notice"),)
    assert put_otherwise(parts, None, LINES) == parts
