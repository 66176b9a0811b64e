"""Only a caller who gives both facts is verified, and only the gate can say so."""

from __future__ import annotations

import pytest

from voicebot.core.conversation import Keys, Utterance
from voicebot.safety.identity import (
    Ask,
    AskHow,
    Check,
    Factor,
    Gate,
    GateProgress,
    GateRules,
    IdentityRecord,
    Passed,
    Refused,
    VerifiedCustomer,
)

RULES = GateRules(factors=(Factor(name="order_number", digits=6), Factor(name="post_code", digits=5)))
GATE = Gate(RULES)
ORDER, CODE = "four two seven one oh three", "nine four one oh seven"
RECORD = IdentityRecord(customer_id="cu_00001", values={"post_code": "94107"})
FOUND = [("427103", RECORD)]
EMPTY = GateProgress()


def say(progress: GateProgress, words: str, asked: str | None = None, *others: str) -> GateProgress:
    return GATE.hear(progress, Utterance(text=words, alternatives=others), asked=asked)


def both(order: str = ORDER, code: str = CODE) -> GateProgress:
    return say(say(EMPTY, order, "order_number"), code, "post_code")


def test_the_way_through_order_number_post_code_check() -> None:
    """Asked one after the other, then checked, then verified as the record's customer."""
    assert GATE.next(EMPTY) == Ask(RULES.factors[0], AskHow.FIRST)
    one = say(EMPTY, ORDER, "order_number")
    assert GATE.next(one) == Ask(RULES.factors[1], AskHow.FIRST)
    two = say(one, CODE, "post_code")
    assert GATE.next(two) == Check(("427103",))
    done = GATE.check(two, FOUND)
    assert GATE.next(done) == Passed()
    customer = GATE.customer(done)
    assert customer is not None
    assert (customer.customer_id, customer.reference) == ("cu_00001", "427103")
    assert customer.method == ("order_number", "post_code")


def test_nobody_else_can_make_a_verified_customer() -> None:
    """The constructor refuses every token but the gate's own; before a match the gate makes none."""
    with pytest.raises(TypeError, match="identity gate"):
        VerifiedCustomer(object(), "cu_00001", "427103", ("order_number",))
    assert GATE.customer(both()) is None


def test_both_facts_in_one_sentence_are_taken_together() -> None:
    """Said with words between them, or in one run of eleven digits."""
    said = f"order {ORDER} and the post code is {CODE}"
    assert isinstance(GATE.next(say(EMPTY, said)), Check)
    assert isinstance(GATE.next(say(EMPTY, f"{ORDER} {CODE}", "order_number")), Check)


def test_a_number_given_unasked_counts_if_it_is_the_reference() -> None:
    """Saying "where is my order 427103" saves a question; five stray digits are nobody's post code."""
    assert GATE.heard_as(say(EMPTY, f"where is my order {ORDER}"), "order_number") == "427103"
    assert say(EMPTY, CODE) == EMPTY


def test_misheard_is_asked_again_differently_then_by_keypad_then_a_person() -> None:
    """Each miss changes how the question is put; the ladder ends with a person."""
    progress, ways = EMPTY, []
    for _ in range(4):
        progress = say(progress, "four two seven", "order_number")
        step = GATE.next(progress)
        ways.append((step.how, step.nth) if isinstance(step, Ask) else step)
    assert ways == [
        (AskHow.AGAIN, 0),
        (AskHow.KEYPAD, 0),
        (AskHow.KEYPAD, 1),  # in other words
        Refused("not_understood"),
    ]


def test_a_wrong_pair_costs_a_try_and_tells_nothing() -> None:
    """After a wrong pair the same is asked, whichever of the two was wrong."""
    wrong_code = GATE.check(both(code="one one one one one"), FOUND)
    wrong_order = GATE.check(both(order="one one one one one one"), [])
    assert GATE.next(wrong_code) == GATE.next(wrong_order) == Ask(RULES.factors[0], AskHow.RETRY)
    assert wrong_code.tries == wrong_order.tries == 1
    assert GATE.heard_as(wrong_code, "order_number") is None


@pytest.mark.parametrize("words", [CODE, "the post code is nine four one oh seven", "94107"])
def test_after_a_wrong_pair_the_other_fact_alone_goes_with_the_number_as_given(words: str) -> None:
    """Who mends the post code is not asked for the number again; it costs a try like any pair."""
    wrong = GATE.check(both(code="one one one one one"), FOUND)
    mended = say(wrong, words, "order_number")
    assert GATE.next(mended) == Check(("427103",))
    assert GATE.check(mended, FOUND).match is not None
    keyed = GATE.hear(wrong, Keys(digits="94107"), asked="order_number")
    assert GATE.check(keyed, FOUND).match is not None
    assert GATE.check(say(wrong, "two two two two two", "order_number"), FOUND).tries == 2


@pytest.mark.parametrize(
    "words", ["four two seven one oh", "two seven one oh three", "four two seven", "yes"]
)
def test_what_is_left_of_the_number_is_no_post_code(words: str) -> None:
    """Near misses: digits lost on the line, too few, none; and before a try nothing is mended."""
    wrong = GATE.check(both(code="one one one one one"), FOUND)
    assert GATE.next(say(wrong, words, "order_number")) == Ask(RULES.factors[0], AskHow.AGAIN)
    assert GATE.next(say(EMPTY, CODE, "order_number")) == Ask(RULES.factors[0], AskHow.AGAIN)


def test_the_number_itself_said_again_asks_for_the_other_fact_again() -> None:
    """Both are suspect: a pair is not checked with the post code that was just refused."""
    wrong = GATE.check(both(code="one one one one one"), FOUND)
    assert GATE.next(say(wrong, ORDER, "order_number")) == Ask(RULES.factors[1], AskHow.FIRST)


def test_three_wrong_pairs_are_refused_for_good() -> None:
    """The third failed try is the last; even the right facts do not help after it."""
    progress = EMPTY
    for nth in range(3):
        assert not isinstance(GATE.next(progress), Refused), nth
        progress = say(say(progress, ORDER, "order_number"), "one two three four five", "post_code")
        progress = GATE.check(progress, FOUND)
    assert GATE.next(progress) == Refused("too_many_tries")
    assert GATE.next(say(say(progress, ORDER, "order_number"), CODE, "post_code")) == Refused(
        "too_many_tries"
    )


def test_the_second_failed_try_brings_the_keypad() -> None:
    """Misheard in spite of everything: keys are exact."""
    progress = GATE.check(GATE.check(both(code="one two three four five"), FOUND), FOUND)
    assert GATE.next(progress) == Ask(RULES.factors[0], AskHow.KEYPAD)


def test_the_recognisers_second_choice_may_be_the_right_one() -> None:
    """N-best: a post code that was right in an alternative passes; beyond the limit it does not."""
    ok = say(say(EMPTY, ORDER, "order_number"), "nine four one oh one", "post_code", CODE)
    assert GATE.check(ok, FOUND).match is not None
    others = ("one one one one one", "two two two two two", "three three three three three", CODE)
    many = say(say(EMPTY, ORDER, "order_number"), "nine four one oh one", "post_code", *others)
    assert GATE.check(many, FOUND).match is None


@pytest.mark.parametrize("keys", ["94107", "94107#"])
def test_keys_count_wherever_digits_were_asked(keys: str) -> None:
    """Keyed digits fill the factor that was asked for, with or without the hash."""
    progress = GATE.hear(say(EMPTY, ORDER, "order_number"), Keys(digits=keys), asked="post_code")
    assert GATE.check(progress, FOUND).match is not None


def test_keys_of_another_length_are_misheard() -> None:
    """Four keys are no post code: asked again, on the keypad; nothing is guessed."""
    progress = GATE.hear(say(EMPTY, ORDER, "order_number"), Keys(digits="9410"), asked="post_code")
    assert GATE.next(progress) == Ask(RULES.factors[1], AskHow.KEYPAD)
    assert GATE.next(say(say(EMPTY, ORDER, "order_number"), "nine four", "post_code")) == Ask(
        RULES.factors[1], AskHow.AGAIN
    )


def test_a_correction_asks_for_the_number_again() -> None:
    """A "no, that's wrong" after the read-back throws the number away, not the post code's turn."""
    progress = GATE.forget(say(EMPTY, ORDER, "order_number"), "order_number")
    assert GATE.next(progress) == Ask(RULES.factors[0], AskHow.AGAIN)


def test_a_record_without_the_value_never_matches() -> None:
    """An empty or missing value in the system of record verifies nobody."""
    for values in ({}, {"post_code": ""}):
        record = IdentityRecord(customer_id="cu_00001", values=values)
        assert GATE.check(both(), [("427103", record)]).match is None


def test_progress_survives_storage() -> None:
    """What is stored with the conversation is enough to go on, a passed gate included."""
    done = GATE.check(both(), FOUND)
    again = GateProgress.model_validate_json(done.model_dump_json())
    assert GATE.customer(again) == GATE.customer(done)


def test_a_shorter_reading_of_one_number_is_no_other_fact() -> None:
    """A recogniser's second choice that drops a digit of the order number does not give a post code."""
    one = say(EMPTY, ORDER, "order_number", "four two seven one oh", "four seven one oh three")
    assert GATE.next(one) == Ask(RULES.factors[1], AskHow.FIRST)
    two = say(one, CODE, "post_code")
    assert GATE.next(GATE.check(two, FOUND)) == Passed()
    together = say(EMPTY, "four two seven one", "order_number", f"{ORDER} and it is {CODE}")
    assert GATE.next(together) == Check(("427103",))
