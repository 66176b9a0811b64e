"""Tokens become clauses as soon as they stand; no word is lost, added or moved."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.audio.speaking.clauses import LONGEST, ClauseSplitter, clauses


def split(*tokens: str) -> list[str]:
    splitter = ClauseSplitter()
    out = [clause for token in tokens for clause in splitter.push(token)]
    return out + splitter.flush()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello there. How are you?", ["Hello there.", "How are you?"]),
        ("It costs 3.50 dollars. Fine.", ["It costs 3.50 dollars.", "Fine."]),
        ("We open at 9 a.m. on Monday.", ["We open at 9 a.m. on Monday."]),
        ("Ask Dr. Smith or Mrs. Jones.", ["Ask Dr. Smith or Mrs. Jones."]),
        ("Really?! Yes.", ["Really?!", "Yes."]),
        ('He said "no." Then he left.', ['He said "no."', "Then he left."]),
        ("Yes, it is.", ["Yes, it is."]),  # too short to end at a comma
        (
            "Your order was sent on Monday, and it will arrive on Thursday.",
            ["Your order was sent on Monday,", "and it will arrive on Thursday."],
        ),
        ("That is 1,250 dollars for everything.", ["That is 1,250 dollars for everything."]),
        ("First line\nSecond line", ["First line", "Second line"]),
        ("  \n ", []),
        ("", []),
    ],
)
def test_clauses_of_a_text(text: str, expected: list[str]) -> None:
    """The same whether it comes at once or a character at a time."""
    assert split(text) == expected
    assert split(*text) == expected


def test_a_clause_stands_before_the_rest_is_there() -> None:
    splitter = ClauseSplitter()
    assert splitter.push("It was sent on Monday.") == []
    assert splitter.push(" It") == ["It was sent on Monday."]


def test_a_text_without_punctuation_is_cut_between_words() -> None:
    parts = split("word " * 200)
    assert all(len(part) <= LONGEST for part in parts)
    assert " ".join(parts) == ("word " * 200).strip()


@given(st.text(alphabet="ab1,.;:!? \n-–'\"", max_size=600), st.integers(1, 7))
def test_no_word_is_lost_added_or_moved(text: str, step: int) -> None:
    tokens = [text[at : at + step] for at in range(0, len(text), step)]
    joined = "".join(" ".join(split(*tokens)).split())
    assert joined == "".join(text.split())
    assert split(*tokens) == split(text)


async def test_the_async_form_yields_them_as_they_stand() -> None:
    async def tokens():
        for token in ("One mo", "ment. ", "Two", "."):
            yield token

    assert [clause.text async for clause in clauses(tokens())] == ["One moment.", "Two."]
