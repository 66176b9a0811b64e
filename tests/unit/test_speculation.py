"""A plan made early counts only for the same words: the same tokens and the same slots."""

from __future__ import annotations

import pytest

from voicebot.core.conversation import CallStarted, Keys, Silence, Utterance
from voicebot.dialogue.speculation import ALIVE, Verdict, gist, weigh


def wants(given: Utterance) -> tuple[str, ...]:
    """A monitor that hears one want, and another one in the recogniser's second choice."""
    return ("returns",) if "return" in given.text or "return pole" in given.alternatives else ("other",)


def of(text: str, *alternatives: str):
    return gist(Utterance(text=text, alternatives=alternatives), wants)


@pytest.mark.parametrize(
    ("partial", "final", "same"),
    [
        ("where is my order", "Where is my order?", True),
        ("when's it open", "when is it open", True),
        ("um where is my order", "where is my order", True),
        ("where is my", "where is my order", False),
        ("where is my order", "where is my order today", False),
        ("four two seven", "four two seven", True),
        ("four two seven", "four two seven one", False),
        ("four two seven", "four two eight", False),
        ("a sofa for three", "a sofa for four", False),
        ("can i return it", "can i return it", True),
        ("", "", True),
    ],
)
def test_the_same_words_are_the_same_tokens_and_the_same_slots(partial: str, final: str, same: bool) -> None:
    """Case, punctuation and fillers do not matter; digits do, though every number is one token."""
    assert (of(partial) == of(final)) is same


def test_an_alternative_that_changes_a_slot_changes_the_words() -> None:
    """The final result brings second choices: if they could verify or mean something else, plan again."""
    assert of("four two seven") != of("four two seven", "four two eight")
    assert of("four two seven") == of("four two seven", "i can not hear you")
    assert of("retain policy") != of("retain policy", "return pole")


def test_keys_agree_by_their_digits_and_nothing_else_has_a_gist() -> None:
    """A beginning or a silence is no word of the caller's."""
    assert gist(Keys(digits="427"), wants) == gist(Keys(digits="427"), wants)
    assert gist(Keys(digits="427"), wants) != gist(Keys(digits="428"), wants)
    assert gist(CallStarted(), wants) is None
    assert gist(Silence(nth=1), wants) is None


@pytest.mark.parametrize(
    ("offered", "at_hand", "alive", "busy", "verdict"),
    [
        ("where is it", None, 0, False, Verdict.START),
        ("where is it", "where is it", 1, False, Verdict.SAME),
        ("where is it", "where is it", ALIVE, True, Verdict.SAME),
        ("where is it now", "where is it", 1, False, Verdict.REPLACE),
        ("where is it now", "where is it", ALIVE, False, Verdict.REPLACE),
        ("where is it", None, ALIVE, False, Verdict.FULL),
        ("where is it", None, ALIVE - 1, False, Verdict.START),
        ("where is it", None, 0, True, Verdict.BUSY),
        ("where is it now", "where is it", 1, True, Verdict.BUSY),
        ("", None, 0, False, Verdict.UNFIT),
        ("um", None, 0, False, Verdict.UNFIT),
    ],
)
def test_an_offer_is_weighed(
    offered: str, at_hand: str | None, alive: int, busy: bool, verdict: Verdict
) -> None:
    """What is at hand is kept; a busy or full node starts nothing; words that say nothing are not planned."""
    hand = None if at_hand is None else of(at_hand)
    assert weigh(of(offered), hand, alive=alive, busy=busy) is verdict
    assert weigh(None, hand, alive=alive, busy=busy) is Verdict.UNFIT
