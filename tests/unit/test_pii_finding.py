"""What is personal is found in every spoken form of it; amounts, times and measures are none."""

from __future__ import annotations

import pytest

from voicebot.safety.pii.finding import NOTHING, Expected, Shapes
from voicebot.safety.pii.masking import Masker, near
from voicebot.safety.pii.spoken_form import normalise, written

SHAPES = Shapes({"order number": 6, "post code": 5})


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("double four two, one oh three", "442103"),
        ("nineteen eighty five", "1985"),
        ("twelve thirty four", "1234"),
        ("four hundred and twenty seven thousand one hundred and three", "427103"),
        ("s w one a one a a", "sw1a1aa"),
        ("b for bravo one two", "b12"),
        ("j underscore doe eighty five at yahoo dot co dot uk", "j_doe85@yahoo.co.uk"),
        ("the third of march eighty five", "1985-03-03"),
        ("october nineteen oh five", "1905-10"),
        ("quarter to twelve", "11:45"),
        ("twenty nine dollars and fifty cents", "$29.50"),
        ("one point eight million", "1800000"),
        ("twenty third", "23rd"),
        ("four two to one", "4221"),
        ("one moment please", "1 moment please"),
    ],
)
def test_spoken_forms(said: str, text: str) -> None:
    """As they are written, in our convention."""
    assert written(said) == text


def test_a_written_token_knows_its_characters() -> None:
    """So that they can be masked."""
    text = "it's four two, um, seven please"
    token = next(one for one in normalise(text) if one.text == "427")
    assert text[token.start : token.end] == "four two, um, seven"


@pytest.mark.parametrize(
    ("said", "masked"),
    [
        ("my card is 4242 4242 4242 4242", "my card is [card 1]"),
        ("call me at six one seven five five five oh one two three", "call me at [phone number 1]"),
        ("order four two seven, uh, one oh three", "order [order number 1]"),
        ("we're in nine four one oh seven", "we're in [post code 1]"),
        ("i was born on march third eighty five", "i was born on [date of birth 1]"),
        ("my name is anna lee and i need help", "my name is [name 1] and i need help"),
        ("i live at forty four oak road", "i live at [address 1]"),
        ("g b two nine n w b k six oh one six one three three one nine two six eight one nine",
         "[bank account 1]"),
        ("my pin is four four one nine", "my pin is [code 1]"),
    ],
)  # fmt: skip
def test_what_is_personal_is_masked(said: str, masked: str) -> None:
    """By length, check digits and the words around."""
    assert Masker(SHAPES).mask(said).text == masked


@pytest.mark.parametrize(
    "said",
    [
        "it costs four hundred and twenty seven dollars",
        "it costs six hundred fifty one fifty",
        "we open at nine thirty",
        "i waited twenty five minutes",
        "i bought it on the third of march twenty twenty six",
        "the table is sixty by ninety",
        "this is ridiculous",
        "it's two doors down the road",
        "i ordered two thousand and five chairs",
        "call me at 10",
    ],
)
def test_near_misses_are_left(said: str) -> None:
    """Amounts, times, measures, dates of orders, complaints."""
    assert Masker(SHAPES).mask(said).text == said


def test_what_was_asked_for_decides() -> None:
    """Three digits are an answer where digits were asked for, and nothing elsewhere."""
    assert Masker(SHAPES).mask("four two seven", NOTHING).text == "four two seven"
    asked = Expected("order number", 6)
    assert Masker(SHAPES).mask("four two seven one oh", asked).text == "[order number 1]"


def test_a_card_over_two_turns_is_one_card() -> None:
    """The second piece gets the token of the whole, and the first is known to belong to it."""
    first = Masker(SHAPES, turn=1)
    begun = first.mask("my card is four two four two")
    assert (begun.text, begun.carry is not None) == ("my card is [card 1]", True)
    second = Masker(SHAPES, first.values, carry=begun.carry, turn=2)
    rest = second.mask("four two four two four two four two four two four two")
    assert (rest.text, rest.joined) == ("[card 2]", ("[card 1]", "[card 2]"))
    assert second.values["[card 2]"] == "4242424242424242"


def test_digits_before_a_house_number_do_not_join_it() -> None:
    """Four digits of a card, then an address: the address is one."""
    first = Masker(SHAPES, turn=1)
    begun = first.mask("my card ends in oh four eight eight")
    second = Masker(SHAPES, first.values, carry=begun.carry, turn=2)
    assert begun.carry is not None
    assert second.mask("14 Elm Street").text == "[address 1]"


def test_a_card_number_that_was_misheard_is_not_kept_either() -> None:
    """One digit too many, or wrong: nobody's vault needs it. A short number of a card is kept."""
    masker = Masker(SHAPES)
    masker.mask("my card number is 4242 4242 4242 4243 1")
    assert list(masker.values) == ["[card 1]"]
    assert masker.kept == {}
    masker = Masker(SHAPES)
    masker.mask("my card ends in 4242")
    assert list(masker.kept.values()) == ["4242"]


def test_a_known_value_is_found_with_a_slip_and_hidden_in_our_words() -> None:
    """One digit misheard; spoken back; cut off in the middle; a shorter number is another one."""
    masker = Masker(SHAPES, {"[order number 1]": "427103"})
    assert masker.hide("Order four two seven, one zero three is late.") == "Order [order number 1] is late."
    assert masker.hide_cut("I have four two seven,") == "I have [order number 1],"
    assert masker.hide("It costs 427 dollars.") == "It costs 427 dollars."
    assert near("427103", "427113")
    assert not near("427103", "427131")


@pytest.mark.parametrize(
    ("held", "hidden"),
    [
        ("dr_73301f0a9b3c4d5e6f708192a3b4c5d6", "dr_73301f0a9b3c4d5e6f708192a3b4c5d6"),
        ("the post code 73301", "the post code [post code 1]"),
    ],
)
def test_an_id_of_ours_is_no_ones_post_code(held: str, hidden: str) -> None:
    """Its hexadecimal digits may hold one by chance; hidden, the state would lose what it names."""
    assert Masker(SHAPES, {"[post code 1]": "73301"}).hide(held) == hidden
