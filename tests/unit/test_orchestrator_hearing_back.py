"""Truth is what was heard: facts and questions become true by the playout ledger, not by the commit."""

from __future__ import annotations

import pytest

from voicebot.core.conversation import Heard
from voicebot.dialogue.hearing_back import settle
from voicebot.dialogue.state import (
    Asked,
    AskedKind,
    ConversationState,
    OpenTurn,
    Owed,
    UnknownState,
    dump,
    load,
    new_state,
)

NOTICE = Owed(key="notice", text="I'm an automated assistant, and this call is recorded.")
QUESTION = "What is your order number? It has six digits."
TEXT = f"Hello. {NOTICE.text} {QUESTION}"
ASKED = Asked(kind=AskedKind.FACTOR, factor="order_number")
OPEN = OpenTurn(
    turn=1, text=TEXT, caller="hi", owes=(NOTICE,), asked=ASKED, question=QUESTION, tells=("hours",)
)
STATE = ConversationState(open_turns=(OPEN,), asked=Asked(kind=AskedKind.OPEN))


def heard(text: str, *, complete: bool = False) -> ConversationState:
    return settle(STATE, 1, Heard(text=text, complete=complete))


def test_what_was_heard_to_the_end_is_true() -> None:
    """Nothing owed, the question stands, facts are told, history holds the exchange."""
    state = heard(TEXT, complete=True)
    assert (state.owed, state.asked, state.told) == ((), ASKED, ("notice", "hours"))
    assert state.open_turns == ()
    assert [(one.caller, one.bot) for one in state.history] == [("hi", TEXT)]
    assert state.last_said == TEXT


@pytest.mark.parametrize(
    ("words", "owed"),
    [
        ("", True),
        ("Hello.", True),
        ("Hello. I'm an automated assistant, and", True),
        ("Hello. I'm an automated assistant, and this call", True),
        ("Hello. I'm an automated assistant, and this call is", False),
        ("Hello. I'm an automated assistant, and this call is recorded. What", False),
    ],
)
def test_a_must_say_fact_is_owed_until_heard_to_a_word(words: str, owed: bool) -> None:
    """The ledger is right to one word: the last word may be missing, two may not."""
    state = heard(words)
    assert (NOTICE in state.owed) is owed
    assert ("notice" in state.told) is not owed


@pytest.mark.parametrize(
    ("words", "stands"),
    [
        ("", False),
        (f"Hello. {NOTICE.text}", False),
        (f"Hello. {NOTICE.text} What is your", False),
        (f"Hello. {NOTICE.text} What is your order number?", True),
        (TEXT, True),
    ],
)
def test_a_question_counts_once_half_of_it_was_heard(words: str, stands: bool) -> None:
    """People answer before the end; an unheard question leaves the one before it open."""
    assert (heard(words).asked == ASKED) is stands


def test_what_is_told_is_told_only_to_the_end() -> None:
    """An interrupted answer was not told."""
    assert "hours" not in heard("Hello.").told


def test_repeating_says_the_whole_answer_even_if_it_was_cut() -> None:
    """Asking "say that again" after an interruption means all of it; unknown text: what was heard."""
    assert heard("Hello.").last_said == TEXT
    written = STATE.model_copy(update={"open_turns": (OPEN.model_copy(update={"text": None}),)})
    assert settle(written, 1, Heard(text="We are", complete=False)).last_said == "We are"


def test_a_second_report_of_one_turn_changes_nothing() -> None:
    """The first counts; another turn's report leaves this one open."""
    once = heard(TEXT, complete=True)
    assert settle(once, 1, Heard(text="", complete=False)) is once
    assert settle(STATE, 2, Heard(text="x", complete=True)) is STATE


@pytest.mark.parametrize(
    ("words", "kept"), [("", "hi"), ("Hello.", "hi"), ("Hello. I'm an automated", None), (TEXT, None)]
)
def test_words_whose_answer_was_talked_over_are_kept(words: str, kept: str | None) -> None:
    """Who talks on has not finished: the next words may belong to the last ones."""
    assert heard(words, complete=words == TEXT).cut_off == kept


def test_history_stays_short() -> None:
    """Six exchanges are kept for whoever writes the next answer."""
    state = ConversationState()
    for turn in range(10):
        state = state.model_copy(update={"open_turns": (OpenTurn(turn=turn),)})
        state = settle(state, turn, Heard(text=str(turn), complete=True))
    assert [one.bot for one in state.history] == ["4", "5", "6", "7", "8", "9"]


def test_state_is_stored_and_read_back_whole() -> None:
    """Through JSON and back it is the same; a new conversation's state loads."""
    assert load(dump(STATE)) == STATE
    assert load(new_state()) == ConversationState()


@pytest.mark.parametrize(
    "change", [{"schema_version": 4}, {"schema_version": None}, {"mood": "good"}, {"not_heard": "three"}]
)
def test_a_state_of_another_version_is_not_touched(change: dict) -> None:
    """Another schema version, an unknown field, a wrong type: refused by name, nothing guessed."""
    with pytest.raises(UnknownState):
        load({**new_state(), **change})
