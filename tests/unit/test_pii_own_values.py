"""A verified customer's own values are masked when they are said again, misheard; others' are left alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from voicebot.dialogue.connectors.connector import ConnectorError
from voicebot.dialogue.own_records import AGAIN_S, KEPT_S, MOST, QUERY, OwnRecords
from voicebot.safety.pii import cues
from voicebot.safety.pii.finding import Shapes
from voicebot.safety.pii.masking import Masker
from voicebot.safety.pii.own_values import OwnValue

OWN = (
    OwnValue(cues.NAME, "Anna Baker"),
    OwnValue(cues.EMAIL, "anna.baker.1@example.com"),
    OwnValue(cues.PHONE, "+12025550147"),
    OwnValue(cues.ADDRESS, "12 Maple Street"),
    OwnValue(cues.ORDER, "427103"),
)


def masked(text: str, own: Iterable[OwnValue] = OWN) -> str:
    return Masker(Shapes({}), own=tuple(own)).mask(text).text


@pytest.mark.parametrize(
    ("said", "stored"),
    [
        ("please send it to anna baker", "please send it to [name 1]"),
        ("please send it to ana backer now", "please send it to [name 1] now"),
        ("it goes to baker anna", "it goes to [name 1]"),
        ("deliver to twelve mapel street", "deliver to [address 1]"),
        ("it is two oh two five five five oh one four eight", "it is [phone number 1]"),
    ],
)
def test_own_values_are_found_an_error_away(said: str, stored: str) -> None:
    assert masked(said).startswith(stored)


@pytest.mark.parametrize("said", ["please send it to anna backer", "to ana baker please"])
def test_without_the_records_these_would_have_stayed(said: str) -> None:
    """The near miss: no other detector sees them."""
    assert masked(said, ()) == said
    assert "[name 1]" in masked(said)


@pytest.mark.parametrize(
    "said",
    [
        "i am a baker",
        "anna is my sister",
        "does it come with an apron for a baker",
        "i live on maple street",
        "twenty maple chairs",
        "the total was two hundred dollars",
        "tell hannah becker",
    ],
)
def test_half_a_name_or_anothers_is_no_value_of_his(said: str) -> None:
    assert masked(said) == said


def test_the_token_holds_what_was_said_not_what_the_records_have() -> None:
    """A mask corrects nobody: what sounds like his own name may be somebody else."""
    masker = Masker(Shapes({}), own=OWN)
    assert masker.mask("send it to ana backer").text == "send it to [name 1]"
    assert masker.fresh == {"[name 1]": "ana backer"}


class Records:
    """Rows for one customer; counts how often it was asked."""

    queries = (QUERY,)

    def __init__(self) -> None:
        self.asked = 0
        self.down = False

    async def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        self.asked += 1
        if self.down:
            raise ConnectorError("away")
        return [
            {"kind": "name", "value": "Anna Baker"},
            {"kind": "address", "value": None},
            {"kind": "shoe size", "value": "38"},
        ]


async def test_records_are_read_once_and_again_when_they_are_old() -> None:
    """Only kinds that are known, only values that are there."""
    records, now = Records(), [0.0]
    own = OwnRecords(records, lambda: now[0])  # type: ignore[arg-type]
    assert await own.of("cu_1") == (OwnValue("name", "Anna Baker"),)
    await own.of("cu_1")
    assert records.asked == 1
    now[0] = KEPT_S + 1
    await own.of("cu_1")
    assert records.asked == 2


async def test_records_that_do_not_answer_cost_one_wait_and_no_turn() -> None:
    records, now = Records(), [0.0]
    records.down = True
    own = OwnRecords(records, lambda: now[0])  # type: ignore[arg-type]
    assert await own.of("cu_1") == ()
    assert await own.of("cu_1") == ()
    assert records.asked == 1
    records.down, now[0] = False, AGAIN_S + 1
    assert await own.of("cu_1") != ()


async def test_memory_is_bounded() -> None:
    records = Records()
    own = OwnRecords(records, lambda: 0.0)  # type: ignore[arg-type]
    for nth in range(MOST + 1):
        await own.of(f"cu_{nth}")
    await own.of("cu_0")
    assert records.asked == MOST + 2
