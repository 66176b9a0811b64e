"""Every kind of fact is heard as people say it, compared within its limits, and asked for as policy says."""

from __future__ import annotations

import pytest

from voicebot.core.conversation import Keys, Utterance
from voicebot.safety.identity import (
    Ask,
    AskHow,
    Check,
    CheckCode,
    Factor,
    FactorKind,
    FactorSet,
    Gate,
    GateProgress,
    GateRules,
    IdentityRecord,
    Passed,
    Refused,
    SendCode,
    not_come,
    refuses,
)
from voicebot.safety.identity.facts import keyed_fact, read_fact, said_dates, said_post_codes, same_fact
from voicebot.safety.identity.names import alike, said_names, same_name

FACTORS = (
    Factor(name="order_number", digits=6),
    Factor(name="post_code", kind=FactorKind.POST_CODE, digits=5),
    Factor(name="name", kind=FactorKind.NAME),
    Factor(name="birth_date", kind=FactorKind.DATE),
    Factor(name="card_digits", kind=FactorKind.CARD, digits=4),
    Factor(name="code", kind=FactorKind.CODE, digits=6),
)
RULES = GateRules(
    factors=FACTORS,
    sets=(
        FactorSet(name="order", level=1, factors=("order_number", "post_code")),
        FactorSet(name="person", level=1, factors=("order_number", "name", "birth_date")),
        FactorSet(name="by_code", level=2, factors=("order_number", "post_code", "code")),
        FactorSet(
            name="by_card", level=2, factors=("order_number", "post_code", "birth_date", "card_digits")
        ),
    ),
    demands={"delivery_address": 2},
)
GATE = Gate(RULES)
RECORD = IdentityRecord(
    customer_id="cu_00001",
    values={"post_code": "94107", "name": "Ana Adams", "birth_date": "1985-03-03", "card_digits": "4417"},
    number="+12025550000",
)
FOUND = [("427103", RECORD)]
ORDER, CODE = "four two seven one oh three", "nine four one oh seven"


def said(progress: GateProgress, *turns: tuple[str, str | None], level: int = 1) -> GateProgress:
    for words, asked in turns:
        progress = GATE.hear(progress, Utterance(text=words), asked=asked, level=level)
    return progress


def known(level: int = 1) -> GateProgress:
    given = said(GateProgress(), (ORDER, "order_number"), (CODE, "post_code"), level=level)
    return GATE.check(given, FOUND, level)


@pytest.mark.parametrize(
    ("words", "date"),
    [
        ("the third of March eighty-five", "1985-03-03"),
        ("March third nineteen eighty five", "1985-03-03"),
        ("it's oh three oh three eighty five", "1985-03-03"),
        ("03/04/1985", "1985-03-04"),
        ("march 3 1985", "1985-03-03"),
        ("twelve eleven nineteen seventy", "1970-12-11"),
    ],
)
def test_a_date_is_read_as_it_is_said(words: str, date: str) -> None:
    """Months by name or number, years in two digits or four."""
    assert said_dates(words, "mdy") == (date,)


def test_keyed_dates_follow_the_locale() -> None:
    """The same keys are another day where the day comes first; a day that does not exist is none."""
    birth = FACTORS[3]
    assert keyed_fact(birth, "03041985", order="mdy") == "1985-03-04"
    assert keyed_fact(birth, "03041985", order="dmy") == "1985-04-03"
    assert keyed_fact(birth, "31121985", order="mdy") is None
    assert keyed_fact(birth, "030485", order="mdy") is None
    assert said_dates("03/04/1985", "dmy") == ("1985-04-03",)


@pytest.mark.parametrize("words", ["the thirtieth of february eighty five", "march third", "i don't know"])
def test_what_is_no_whole_date_is_none(words: str) -> None:
    assert said_dates(words, "mdy") == ()


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("my name is Ana Adams", "ana adams"),
        ("Ana Adams", "ana adams"),
        ("it's B for Bravo, A, K, E, R", "baker"),
        ("bravo alpha kilo echo romeo", "baker"),
        ("it's Ana Baker, B A K E R", "ana baker"),
        ("my first name is ana and my last name is adams", "ana adams"),
    ],
)
def test_a_name_is_read_as_it_is_said_or_spelled(words: str, name: str) -> None:
    assert said_names(words)[0] == name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("stephen", "steven"),
        ("clark", "clarke"),
        ("reed", "reid"),
        ("smith", "smyth"),
        ("ana", "anna"),
        ("jon", "john"),
    ],
)
def test_names_that_sound_alike_agree(one: str, other: str) -> None:
    assert alike(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("dan", "don"),
        ("dan", "ben"),
        ("adams", "evans"),
        ("hill", "hull"),
        ("nolan", "dolan"),
        ("leo", "lea"),
        ("ana", "ian"),
    ],
)
def test_names_that_only_look_alike_do_not(one: str, other: str) -> None:
    """Near misses: other consonants, and other vowels in a short name."""
    assert not alike(one, other)


def test_a_name_needs_each_of_its_parts() -> None:
    """A family name alone is half the household; in which order they come is no matter."""
    assert same_name("adams ana", "Ana Adams")
    assert not same_name("adams", "Ana Adams")
    assert not same_name("ben adams", "Ana Adams")
    assert not same_name("adams adams", "Ana Adams")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("s w one a one a a", "sw1a1aa"),
        ("sierra whiskey one alpha one alpha alpha", "sw1a1aa"),
        ("K1A 0B1", "k1a0b1"),
    ],
)
def test_post_codes_with_letters(words: str, code: str) -> None:
    """Spelled by letter or by the alphabet of the air; one letter may be one that sounds like it."""
    factor = Factor(name="post_code", kind=FactorKind.POST_CODE)
    assert code in said_post_codes(words)
    assert same_fact(factor, (code,), code.upper())
    assert same_fact(factor, (code.replace("b", "d"),), code)
    assert not same_fact(factor, (code.replace("1", "7"),), code)
    assert not same_fact(factor, ("d" + code[1:],), "x" + code[1:])


def test_card_digits_count_in_every_reading() -> None:
    """Double four seventeen is four digits."""
    assert "4417" in read_fact(FACTORS[4], "double four seventeen", (), order="mdy", limit=3)


def test_all_facts_in_one_sentence() -> None:
    """Number, name and birthday together, where the policy asks for these."""
    start = GATE.decline(GateProgress(), "post_code")
    words = f"order {ORDER}, born on the third of March eighty five, my name is Ana Adams"
    progress = said(start, (words, "order_number"))
    assert GATE.next(progress) == Check(("427103",))
    done = GATE.check(progress, FOUND)
    assert done.match is not None
    assert done.match.method == ("order_number", "name", "birth_date")


def test_a_fact_that_is_refused_is_replaced_where_policy_can() -> None:
    """No post code: name and birthday. No birthday either: nothing is left, a person."""
    progress = said(GateProgress(), (ORDER, "order_number"))
    other = GATE.decline(progress, "post_code")
    assert GATE.next(other) == Ask(FACTORS[2], AskHow.FIRST)
    assert GATE.next(GATE.decline(other, "birth_date")) == Refused("declined")


def test_a_higher_level_asks_for_what_is_missing_only() -> None:
    """Verified for an order, then an address: the code alone; the level counts afterwards."""
    progress = known()
    assert GATE.next(progress) == Passed()
    assert GATE.next(progress, 2) == SendCode("427103")
    waiting = GATE.sent(progress)
    assert GATE.next(waiting, 2) == Ask(FACTORS[5], AskHow.FIRST)
    told = said(waiting, ("one two three four five six", "code"), level=2)
    assert GATE.next(told, 2) == CheckCode("427103", ("123456",))
    done = GATE.code_checked(told, right=True)
    customer = GATE.customer(done)
    assert GATE.next(done, 2) == Passed()
    assert customer is not None
    assert (customer.level, customer.method) == (2, ("order_number", "post_code", "code"))


def test_level_two_from_the_start_begins_with_the_facts() -> None:
    """No code goes to anybody who has not given number and post code."""
    assert GATE.next(GateProgress(), 2) == Ask(FACTORS[0], AskHow.FIRST)
    assert GATE.next(known(level=2), 2) == SendCode("427103")
    wrong = GATE.check(
        said(GateProgress(), (ORDER, "order_number"), ("one one one one one", "post_code"), level=2), FOUND, 2
    )
    assert not isinstance(GATE.next(wrong, 2), SendCode)


def test_a_code_before_it_was_asked_for_counts_for_nothing() -> None:
    """Six digits are no code until one was sent, and then no order number."""
    early = said(known(), ("one two three four five six", None), level=2)
    assert early.given.get("code") is None
    assert GATE.next(early, 2) == SendCode("427103")


def test_a_wrong_code_costs_a_try_and_leaves_what_was_proved() -> None:
    """The third ends it for this level; what needs less stays open."""
    progress = GATE.sent(known())
    for _ in range(3):
        told = said(progress, ("one two three four five six", "code"), level=2)
        progress = GATE.code_checked(told, right=False)
    assert GATE.next(progress, 2) == Refused("too_many_tries")
    assert GATE.next(progress, 1) == Passed()


def test_without_a_code_the_card_and_the_birthday_prove_as_much() -> None:
    """Only what is missing is asked, and compared with the record of the customer who is known."""
    progress = GATE.decline(known(), "code")
    assert GATE.next(progress, 2) == Ask(FACTORS[3], AskHow.FIRST)
    given = said(
        progress, ("march third eighty five", "birth_date"), ("four four one seven", "card_digits"), level=2
    )
    assert GATE.next(given, 2) == Check(("427103",))
    done = GATE.check(given, FOUND, 2)
    assert done.match is not None
    assert done.match.level == 2
    other = RECORD.model_copy(update={"customer_id": "cu_00002"})
    assert GATE.check(given, [("427103", other)], 2).tries == 1


def test_two_customers_who_both_match_are_nobody() -> None:
    """One household: two readings of the number find two customers with one post code."""
    other = RECORD.model_copy(update={"customer_id": "cu_00002"})
    given = said(GateProgress(), (ORDER, "order_number"), (CODE, "post_code"))
    assert GATE.check(given, [*FOUND, ("427108", other)]).match is None
    assert GATE.check(given, [*FOUND, ("427108", RECORD)]).match is not None


def test_keys_give_dates_and_codes() -> None:
    """A date is eight keys, a code six."""
    progress = GATE.hear(GATE.decline(known(), "code"), Keys(digits="03031985#"), asked="birth_date", level=2)
    assert progress.given["birth_date"].candidates == ("1985-03-03",)
    code = GATE.hear(GATE.sent(known()), Keys(digits="123456"), asked="code", level=2)
    assert code.given["code"].candidates == ("123456",)


def test_a_locked_gate_compares_nothing_more() -> None:
    progress = GATE.lock(said(GateProgress(), (ORDER, "order_number"), (CODE, "post_code")))
    assert GATE.next(progress) == Refused("locked")
    assert progress.given["order_number"].candidates == ()


@pytest.mark.parametrize(
    "words", ["I'd rather not say", "i don't remember it", "I won't give you that", "that's private"]
)
def test_refusals_are_heard(words: str) -> None:
    assert refuses(words)


@pytest.mark.parametrize(
    "words", ["it's nine four one oh seven", "the post code", "not sure I heard you", "no"]
)
def test_what_is_no_refusal(words: str) -> None:
    assert not refuses(words)


@pytest.mark.parametrize(
    "words",
    ["it hasn't arrived", "nothing came", "I didn't get a code", "I have a new phone", "send it again"],
)
def test_a_code_that_did_not_come_is_heard(words: str) -> None:
    assert not_come(words)


@pytest.mark.parametrize("words", ["one moment", "it is four four one seven", "just a second, I'm looking"])
def test_somebody_who_is_looking_for_it_is_waited_for(words: str) -> None:
    assert not not_come(words)
