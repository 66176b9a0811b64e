"""What a correction would change is seen at a glance: words that go, words that come."""

from __future__ import annotations

import pytest

from voicebot.console.desk import changes
from voicebot.console.desk.changes import Piece

ARTICLE = "asked: what does it cost\nsaid: It costs forty nine dollars.\nshould_say: It costs $59.\n"
ROW = "text: where is my lamp\nread_as: order_status\nshould_be: return_status\n"


def test_only_the_words_that_change_are_marked() -> None:
    assert changes.difference("It costs forty nine dollars today.", "It costs $59 today.") == (
        Piece("same", "It costs"),
        Piece("gone", "forty nine dollars"),
        Piece("new", "$59"),
        Piece("same", "today."),
    )


@pytest.mark.parametrize(
    ("before", "after", "kinds"),
    [("", "new words", ["new"]), ("old words", "", ["gone"]), ("same", "same", ["same"]), ("", "", [])],
)
def test_at_the_edges(before: str, after: str, kinds: list[str]) -> None:
    assert [piece.kind for piece in changes.difference(before, after)] == kinds


@pytest.mark.parametrize(
    ("kind", "document", "found"),
    [
        ("article_change", ARTICLE, (("Answer", "It costs forty nine dollars.", "It costs $59."),)),
        ("training_row", ROW, (("Understood as", "order_status", "return_status"),)),
        ("golden_case", "- say: hello\n", ()),
        ("article_change", "- not a mapping\n", ()),
        ("article_change", "said: [", ()),
    ],
)
def test_what_stands_against_what(kind: str, document: str, found: tuple[tuple[str, str, str], ...]) -> None:
    assert changes.proposed(kind, document) == found


def test_what_the_caller_had_said() -> None:
    assert changes.asked(ARTICLE) == "what does it cost"
    assert changes.asked(ROW) == "where is my lamp"
    assert changes.asked("- say: hello\n") == ""
