"""Clauses stand as early as they can and never in the middle of a number; invented numbers never pass."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.dialogue.generation.clauses import MAX_CHARS, ClauseSplitter, split
from voicebot.safety.guard_out import Facts, Pass, check


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("We are open today. Come by!", ["We are open today.", "Come by!"]),
        ("It costs 12.50 dollars. Fine.", ["It costs 12.50 dollars.", "Fine."]),
        ("It costs 1,200 dollars in total. Fine.", ["It costs 1,200 dollars in total.", "Fine."]),
        ("Ask for Mr. Reed at the desk. Bye.", ["Ask for Mr. Reed at the desk.", "Bye."]),
        ("We open at 9 a.m. every day. Really.", ["We open at 9 a.m. every day.", "Really."]),
        ("Yes. It is on its way to you.", ["Yes. It is on its way to you."]),
        (
            "We are open from nine to eight, and on Sunday from eleven.",
            ["We are open from nine to eight,", "and on Sunday from eleven."],
        ),
        (
            "It should be unused and, if you have it, in its box.",
            ["It should be unused and, if you have it, in its box."],
        ),
        ("Red, green, and blue.", ["Red, green, and blue."]),
        ("Please note: it is late.", ["Please note:", "it is late."]),
        ('He said "never." Then he left.', ['He said "never."', "Then he left."]),
        ("no end at all", ["no end at all"]),
        ("", []),
        ("   ", []),
    ],
)
def test_where_clauses_end(text: str, clauses: list[str]) -> None:
    """At the end of a sentence, at a late comma; not in numbers, abbreviations or very short starts."""
    assert list(split(text)) == clauses


def test_a_clause_is_given_while_the_rest_is_still_being_written() -> None:
    """The first clause comes with the token after its full stop, not with the end of the answer."""
    splitter = ClauseSplitter()
    given_after = {}
    for nth, token in enumerate(["We ", "are ", "open ", "today. ", "Come ", "by ", "soon."]):
        for clause in splitter.feed(token):
            given_after[clause] = nth
    assert given_after == {"We are open today.": 3}
    assert list(splitter.finish()) == ["Come by soon."]


def test_a_writer_without_full_stops_is_cut() -> None:
    """An endless sentence is spoken in pieces."""
    clauses = split("and so on " * 40)
    assert len(clauses) > 3
    assert all(len(clause.split()) <= 28 for clause in clauses)


@given(st.text(alphabet="ab ,.!?;:19\n", max_size=120), st.integers(1, 7))
def test_no_word_is_lost_or_moved_however_the_tokens_fall(text: str, size: int) -> None:
    """Tokens of any size give the same words in the same order."""
    splitter = ClauseSplitter()
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    clauses = [clause for piece in pieces for clause in splitter.feed(piece)] + list(splitter.finish())
    assert " ".join(clauses).split() == text.split()


SOURCES = [
    "Returns are free within 30 days.",
    "Delivery costs forty nine dollars, or $12.50 for small items.",
]


@pytest.mark.parametrize(
    ("clause", "allowed"),
    [
        ("You have thirty days.", True),
        ("You have 30 days.", True),
        ("It costs forty nine dollars.", True),
        ("It costs 49 dollars.", True),
        ("It costs 12.5 dollars.", True),
        ("There is no number here.", True),
        ("That is one of our best.", True),
        ("You have sixty days.", False),
        ("You have 31 days.", False),
        ("It costs 12.55 dollars.", False),
        ("Your order is four two seven one oh three.", False),
        ("It costs four dollars and nine.", False),
    ],
)
def test_numbers_must_stand_in_a_source(clause: str, allowed: bool) -> None:
    """By value, in words or figures; the near misses must not pass."""
    assert isinstance(check(clause, Facts(cited=SOURCES)), Pass) is allowed


@pytest.mark.parametrize(
    "text", ["9" * 2000, "9 " * 1000, "1," * 1000, "word " * 400, "a" * 239 + ", " + "b" * 900]
)
def test_no_clause_is_longer_than_can_be_read_at_once(text: str) -> None:
    """Whatever a writer sends: what comes behind the splitter takes time by the clause. Nothing is lost."""
    clauses = split(text)
    assert max(len(clause) for clause in clauses) <= MAX_CHARS
    assert "".join(clauses).replace(" ", "") == text.replace(" ", "")
