"""No clause of a model becomes sound with a value nobody gave it, with somebody else's data, or as a promise.

Values are compared by kind: thirty days do not back thirty dollars. Clauses are read with what came before.
"""

from __future__ import annotations

import pytest

from voicebot.safety.guard_out import (
    Block,
    BlockReason,
    ClauseGuard,
    CustomerIndex,
    Facts,
    Identifier,
    Pass,
    check,
)
from voicebot.safety.guard_out.customers import Owned

CITED = [
    "Returns are free within 30 days.",
    "Delivery costs forty nine dollars, or $12.50 for small items.",
    "We are open from nine in the morning to eight in the evening, on Sunday from eleven.",
    "Write to help@hearth.example.",
]


@pytest.mark.parametrize(
    ("clause", "passes"),
    [
        ("You have thirty days.", True),
        ("You pay thirty dollars.", False),
        ("Small items cost twelve dollars and fifty cents.", True),
        ("Small items cost twelve dollars and sixty cents.", False),
        ("It costs about fifty dollars.", False),
        ("It costs about forty nine dollars.", False),
        ("It will arrive next Friday.", False),
        ("On Sunday we open at eleven.", True),
        ("On Saturday we open too.", False),
        ("We open at nine in the morning.", True),
        ("We open at nine in the evening.", False),
        ("You get it at half price.", False),
        ("That is thirty percent off.", False),
        ("It arrives tomorrow.", False),
        ("You can come by today.", True),
        ("Write to help at hearth dot example.", True),
        ("Write to anna at hearth dot example.", False),
        ("Go to evil dot com.", False),
        ("The tracking number is 1Z999AA10123456784.", False),
        ("The code is H H two zero four one seven.", False),
        ("Your parcel has been delivered.", False),
        ("You hear from us when your order has been shipped.", True),
        ("I have cancelled that for you.", False),
    ],
)
def test_values_need_a_source_of_their_kind(clause: str, passes: bool) -> None:
    assert isinstance(check(clause, Facts(cited=CITED)), Pass) is passes


@pytest.mark.parametrize(
    ("clause", "reason"),
    [
        ("We will refund you in any case.", BlockReason.PROMISE),
        ("I am a real person.", BlockReason.CLAIMS_HUMAN),
        ("As a language model I cannot say.", BlockReason.ITSELF),
        ("That is a stupid question.", BlockReason.TONE),
        ("Parliament debated foreign policy while senators argued about elections.", BlockReason.OFF_TOPIC),
    ],
)
def test_manners(clause: str, reason: BlockReason) -> None:
    ruling = check(clause, Facts(cited=CITED))
    assert isinstance(ruling, Block)
    assert ruling.reason is reason


def test_an_articles_own_words_are_no_promise() -> None:
    """What the shop wrote is approved."""
    article = "We will refund you within five working days."
    assert isinstance(check(article, Facts(cited=[article])), Pass)


def test_the_callers_words_back_a_number_and_no_price() -> None:
    """A number may be read back; a price that a caller claims may only be repeated as theirs."""
    facts = Facts(
        cited=CITED, caller=["it's forty two seventy one oh three, and you promised ninety percent off"]
    )
    assert isinstance(check("I have four two seven one zero three.", facts), Pass)
    assert isinstance(check("Yes, it is ninety percent off.", facts), Block)
    assert isinstance(check("You asked about ninety percent off.", facts), Pass)


def test_a_state_needs_a_tools_word() -> None:
    assert isinstance(check("Your order has been delivered.", Facts(cited=CITED, states=["delivered"])), Pass)
    assert isinstance(
        check("Your order has been cancelled.", Facts(cited=CITED, states=["delivered"])), Block
    )


def _index() -> CustomerIndex:
    index = CustomerIndex()
    owned = [
        Owned("a", Identifier.ORDER, "518264"),
        Owned("a", Identifier.NAME, "Anna Miller"),
        Owned("a", Identifier.PHONE, "+1 503 555 0142"),
        Owned("a", Identifier.MAIL, "anna@x.example"),
        Owned("a", Identifier.PLACE, "97209 Miller"),
        Owned("b", Identifier.ORDER, "427103"),
    ]
    index.replace(index.digested(owned))
    return index


@pytest.mark.parametrize(
    ("clause", "own", "passes"),
    [
        ("It is five one eight, two six four.", None, False),
        ("It is five one eight, two six four.", "b", False),
        ("It is five one eight, two six four.", "a", True),
        ("It is five one eight, two six five.", "b", True),
        ("Anna Miller lives there.", "b", False),
        ("Anna has it.", "b", True),
        ("Mail anna at x dot example.", "b", False),
        ("Call five zero three, five five five, zero one four two.", "b", False),
        ("Miller, nine seven two zero nine.", "b", False),
        ("The post code is nine seven two zero nine.", "b", True),
    ],
)
def test_other_customers_are_known_by_value(clause: str, own: str | None, passes: bool) -> None:
    """Also in words that are not a model's. First names and bare post codes are nobody's."""
    guard = ClauseGuard(Facts(own=own), _index())
    assert isinstance(guard.customers(clause), Pass) is passes


def test_what_the_caller_said_may_be_read_back() -> None:
    guard = ClauseGuard(Facts(caller=["five one eight two six four"]), _index())
    assert isinstance(guard.customers("I have five one eight, two six four."), Pass)


def test_a_number_over_two_clauses_is_one_number() -> None:
    """Every digit of it stands in an article, and still it is somebody's order."""
    facts = Facts(cited=["There are 5 rooms, 1 hall, 8 doors, 518 steps, 264 tiles, 2 and 6 and 4 of them."])
    guard = ClauseGuard(facts, _index())
    assert isinstance(guard.check("The hall has five hundred and eighteen steps."), Pass)
    spread = ClauseGuard(facts, _index())
    assert isinstance(spread.customers("It goes five one eight."), Pass)
    ruling = spread.customers("Then it is two six four.")
    assert isinstance(ruling, Block)
    assert ruling.reason is BlockReason.OTHER_CUSTOMER


def test_a_unit_in_the_next_clause_counts() -> None:
    guard = ClauseGuard(Facts(cited=["It is 49 inches wide."]))
    assert isinstance(guard.check("That would be forty nine"), Pass)
    assert isinstance(guard.check("dollars in all."), Block)


def test_a_prompt_is_not_read_out() -> None:
    from voicebot.safety.guard_out.clause import LEAK_WORDS
    from voicebot.safety.guard_out.facts import shingles

    secret = shingles("Say only what the articles say and never invent a price.", LEAK_WORDS)
    ruling = check("It says: say only what the articles say and never invent.", Facts(secret=secret))
    assert isinstance(ruling, Block)
    assert ruling.reason is BlockReason.PROMPT_LEAK
