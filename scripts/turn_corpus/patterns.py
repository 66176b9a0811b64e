"""What callers say in one turn, where they may pause, and what they had been asked."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from scripts.demo_whisper import grammar

Split = Literal["fit", "held_out"]
Rng = random.Random

_DATA: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "patterns.yaml").read_text())

PAUSES = 0.65
"""Share of the possible pauses inside a sentence that are made; between groups of digits it is more."""
GROUP_PAUSES = 0.8

GROUPS: dict[int, tuple[tuple[int, ...], ...]] = {
    4: ((4,), (2, 2)),
    5: ((5,), (3, 2), (2, 3), (2, 2, 1)),
    6: ((6,), (3, 3), (2, 2, 2), (4, 2), (3, 3), (2, 2, 2)),
    10: ((3, 3, 4), (3, 3, 2, 2), (5, 5), (3, 4, 3)),
}
"""How people group what they read out."""


@dataclass(frozen=True)
class Turn:
    """One turn: phrases with a pause between each two, and what had been asked (``digits``: how many)."""

    pattern: str
    phrases: tuple[str, ...]
    asked: str
    length: int | None

    @property
    def text(self) -> str:
        """All of it."""
        return " ".join(self.phrases)


def drawn(split: Split, rng: Rng) -> Turn:
    """A random turn of a split's patterns."""
    kinds = [kind for kind in _DATA if "share" in _DATA[kind]]
    return drawn_of(rng.choices(kinds, [_DATA[kind]["share"] for kind in kinds])[0], split, rng)


def besides() -> dict[str, float]:
    """Kinds that are made besides the others, and how many for each of them."""
    return {kind: data["besides"] for kind, data in _DATA.items() if "besides" in data}


def drawn_of(kind: str, split: Split, rng: Rng) -> Turn:
    """A random turn of one kind."""
    asked = _DATA[kind].get("asked", kind)
    pattern = rng.choice(_DATA[kind][split])
    text = re.sub(r"\{(\w+)\}", lambda slot: _slot(slot.group(1), rng), grammar_drawn(pattern, rng))
    length: int | None = None
    if asked == "digits":
        found = re.search(r"\{d(\d+)\}", pattern)
        length = int(found.group(1)) if found else 6
    return Turn(pattern, _paused(text, rng), asked, length)


def grammar_drawn(pattern: str, rng: Rng) -> str:
    """``(a|b)`` and ``[a]`` decided; the ``|`` of a pause, which has spaces around it, stays."""
    kept = pattern.replace(" | ", " ¦ ")
    return grammar.drawn(kept, rng).replace("¦", "|")


def _paused(text: str, rng: Rng) -> tuple[str, ...]:
    """Phrases; ``|`` and, between digits, ``/`` become a pause or nothing."""
    phrases = [""]
    for piece in re.split(r"([|/])", text):
        if piece == "|" or piece == "/":
            if rng.random() < (PAUSES if piece == "|" else GROUP_PAUSES):
                phrases.append("")
        else:
            phrases[-1] = f"{phrases[-1]} {piece.strip()}".strip()
    return tuple(phrase for phrase in phrases if phrase)


def _slot(name: str, rng: Rng) -> str:
    own = _OWN.get(name)
    return own(rng) if own is not None else grammar.SLOTS[name](rng)


def _digits(count: int, rng: Rng) -> str:
    zero = "oh" if rng.random() < 0.3 else "zero"
    digits = [rng.choice(grammar.DIGITS).replace("zero", zero) for _ in range(count)]
    groups: list[str] = []
    at = 0
    for size in rng.choice(GROUPS[count]):
        groups.append(" ".join(digits[at : at + size]))
        at += size
    return " / ".join(groups)


def _spelled(rng: Rng) -> str:
    letters = list(rng.choice([name for name in grammar.LAST_NAMES if len(name) <= 6]))
    return " ".join(letters[:3]) + " / " + " ".join(letters[3:])


_OWN: dict[str, Callable[[Rng], str]] = {
    **{f"d{count}": (lambda rng, count=count: _digits(count, rng)) for count in GROUPS},
    "first": lambda rng: rng.choice(grammar.FIRST_NAMES),
    "last": lambda rng: rng.choice(grammar.LAST_NAMES),
    "ordinal": lambda rng: rng.choice(grammar.ORDINALS),
    "month": lambda rng: rng.choice(grammar.MONTHS),
    "spelled": _spelled,
}
