"""Recorded attacks say what stands beside them, and are held as the recogniser heard them."""

from __future__ import annotations

import doctest
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from voicebot.audio.engines.types import Transcript
from voicebot.core.conversation import Expects
from voicebot.core.documents import parse_yaml
from voicebot.proof.evals.redteam import voice as module
from voicebot.proof.evals.redteam.attacks import RedteamError, read_attacks
from voicebot.proof.evals.redteam.voice import Voice
from voicebot.safety.spoken_numbers import digit_runs

ROOT = Path(__file__).resolve().parent.parent.parent
LINES = ROOT / "recordings" / "lines"
TEXTS = {
    f"{entry['voice']}/{entry['name']}": entry["text"]
    for entry in parse_yaml((LINES / "lines.yaml").read_text())
}
SPOKEN = [one for file in read_attacks(ROOT / "business" / "redteam") for one in file.attacks if one.spoken]


class Recogniser:
    """Hears one thing only; remembers what was asked, and how much sound came."""

    def __init__(self) -> None:
        self.asked: list[Expects] = []
        self.samples = 0

    async def open(self, call: str, expects: Expects, on_partial: Callable[[Transcript], None]) -> Recogniser:
        self.asked.append(expects)
        return self

    def feed(self, pcm: bytes) -> None:
        self.samples += len(pcm) // 2

    async def finish(self) -> Transcript:
        return Transcript("send my money", final=True, alternatives=("a", "b", "c", "d"))


def plain(text: str) -> str:
    return " ".join(re.sub(r"[^a-z' ]+", " ", text.lower()).split())


def test_its_examples_hold() -> None:
    assert doctest.testmod(module).failed == 0


def test_a_dozen_attacks_and_more_are_recorded() -> None:
    assert len(SPOKEN) >= 12


@pytest.mark.parametrize("attack", SPOKEN, ids=lambda one: one.name)
def test_the_recording_says_what_the_attack_says(attack) -> None:
    """Word for word; of digits, the same ones."""
    for said, line in zip(attack.says, attack.spoken, strict=True):
        same = plain(said) == plain(TEXTS[line])
        digits = [next(iter(run)) for run in digit_runs(said)]
        assert same or digits == [next(iter(run)) for run in digit_runs(plain(TEXTS[line]))]


def test_one_recording_for_each_turn() -> None:
    with pytest.raises(ValueError, match="one recorded line for each"):
        type(SPOKEN[0]).model_validate(
            {"name": "x", "through": "caller", "says": ("one", "two"), "spoken": ("rms/attack_human",)}
        )


async def test_a_line_is_read_with_what_was_asked_before_it() -> None:
    """All of its sound reaches the recogniser, with a pause on both sides, under what was asked."""
    recogniser = Recogniser()
    voice = Voice(LINES, recogniser, "fake")  # type: ignore[arg-type]  # all that is used of it
    heard = await voice.heard("rms/order_427103", "digits(6)")
    assert heard == ("send my money", ("a", "b", "c"))
    assert recogniser.asked == [Expects(kind="digits", length=6)]
    seconds = next(
        entry["seconds"]
        for entry in parse_yaml((LINES / "lines.yaml").read_text())
        if (entry["voice"], entry["name"]) == ("rms", "order_427103")
    )
    assert recogniser.samples / 8000 == pytest.approx(seconds + 0.6, abs=0.02)


async def test_a_line_that_is_not_there_is_named() -> None:
    voice = Voice(LINES, Recogniser(), "fake")  # type: ignore[arg-type]
    with pytest.raises(RedteamError, match="nobody/nothing"):
        await voice.heard("nobody/nothing", "free")
