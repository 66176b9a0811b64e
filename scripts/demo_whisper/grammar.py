"""What callers of a home-goods shop say, as sentences to synthesise.

Patterns come from `business/intents.yaml` and from `sentences.yaml` beside this file; both use the
deployment's pattern syntax, ``(a|b)`` for one of these and ``[a]`` for may be left out. ``{slot}`` is filled
here. Patterns are held out whole: a held-out pattern gives no training sentence, but each of its words
occurs elsewhere.
"""

from __future__ import annotations

import random
import re
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

_DATA = yaml.safe_load((Path(__file__).parent / "sentences.yaml").read_text())
DIGITS: list[str] = _DATA["digits"]
TEENS: list[str] = _DATA["teens"]
TENS: list[str] = _DATA["tens"]
ORDINALS: list[str] = _DATA["ordinals"]
MONTHS: list[str] = _DATA["months"]
DAYS: list[str] = _DATA["days"]
FIRST_NAMES: list[str] = _DATA["first_names"]
LAST_NAMES: list[str] = _DATA["last_names"]
GOODS: list[str] = _DATA["goods"]
COLOURS: list[str] = _DATA["colours"]
CITIES: list[str] = _DATA["cities"]
LETTERS = list("abcdefghijklmnopqrstuvwxyz")
ANSWERS: list[str] = _DATA["answers"]
LEADS: list[str] = _DATA["leads"]
TAILS: list[str] = _DATA["tails"]
PATTERNS: list[str] = _DATA["patterns"]
OTHER_ENGLISH: list[str] = _DATA["other_english"]
PAUSING_LEADS = frozenset(LEADS) - {"and", "so", "please", "but"}

Rng = random.Random


def normalised(text: str) -> str:
    """Lower case, letters, digits and apostrophes only: how the model writes."""
    return " ".join(re.sub(r"[^a-z0-9' ]+", " ", text.lower().replace("|", " ")).split())


def drawn(pattern: str, rng: Rng) -> str:
    """One random sentence of a pattern; slots stay."""
    innermost = re.compile(r"\(([^()\[\]]*)\)|\[([^()\[\]]*)\]")
    while found := innermost.search(pattern):
        one_of, optional = found.groups()
        if one_of is not None:
            chosen = rng.choice(one_of.split("|"))
        else:
            chosen = rng.choice(optional.split("|")) if rng.random() < 0.5 else ""
        pattern = pattern[: found.start()] + chosen + pattern[found.end() :]
    return " ".join(pattern.split())


def words_of(pattern: str) -> set[str]:
    """Every word a pattern can contribute besides its slots."""
    merged = pattern
    while "(" in merged or "[" in merged:
        innermost = re.search(r"\(([^()\[\]]*)\)|\[([^()\[\]]*)\]", merged)
        if innermost is None:
            raise ValueError(f"unbalanced brackets in the pattern {pattern!r}")
        inner = (innermost.group(1) or innermost.group(2) or "").replace("|", " ")
        glued = innermost.start() > 0 and merged[innermost.start() - 1] not in " (["
        merged = merged[: innermost.start()] + ("" if glued else " ") + inner + merged[innermost.end() :]
    return set(re.sub(r"\{\w+\}s?", " ", merged).replace("|", " ").split())


def digit_string(rng: Rng, least: int = 4, most: int = 6) -> str:
    """Digits as people read them out: singly, now and then "oh" for zero and "double" for a pair."""
    count = rng.randint(least, most)
    zero = "oh" if rng.random() < 0.3 else "zero"
    digits = [rng.choice(DIGITS) for _ in range(count)]
    if rng.random() < 0.3:  # pairs are rare by chance
        at = rng.randrange(count - 1)
        digits[at + 1] = digits[at]
    spoken: list[str] = []
    say_double = rng.random() < 0.6
    at = 0
    while at < count:
        if say_double and at + 1 < count and digits[at] == digits[at + 1]:
            spoken += ["double", digits[at]]
            at += 2
        else:
            spoken.append(digits[at])
            at += 1
    return " ".join(zero if word == "zero" else word for word in spoken)


def _small(rng: Rng) -> str:
    kind = rng.random()
    if kind < 0.55:
        return rng.choice(DIGITS[1:])
    if kind < 0.75:
        return rng.choice(TEENS)
    if kind < 0.85:
        return rng.choice(TENS)
    return f"{rng.choice(TENS)} {rng.choice(DIGITS[1:])}"


def _date(rng: Rng) -> str:
    ordinal = rng.choice(ORDINALS) if rng.random() < 0.75 else f"twenty {rng.choice(ORDINALS[:9])}"
    month = rng.choice(MONTHS)
    shapes = [f"{month} {ordinal}", f"the {ordinal} of {month}", f"{rng.choice(DAYS)} the {ordinal}"]
    return rng.choice([*shapes, rng.choice(DAYS)])


def _time(rng: Rng) -> str:
    hour = rng.choice([*DIGITS[1:], *TEENS[:3]])
    shapes = [
        f"{hour} {rng.choice(['a m', 'p m'])}",
        f"{hour} thirty",
        f"half past {hour}",
        f"{hour} o'clock",
        hour,
    ]
    return rng.choice(shapes)


def _money(rng: Rng) -> str:
    hundreds = f"{rng.choice(DIGITS[1:])} hundred"
    shapes = [f"{_small(rng)} dollars", f"{hundreds} dollars", f"{hundreds} and {_small(rng)} dollars"]
    return rng.choice([*shapes, f"{_small(rng)} dollars and {_small(rng)} cents"])


def _postcode(rng: Rng) -> str:
    letters = [rng.choice(LETTERS) for _ in range(4)]
    numbers = [rng.choice(DIGITS[1:]) for _ in range(2)]
    return " ".join([*letters[:2], numbers[0], numbers[1], *letters[2:]])


SLOTS: dict[str, Callable[[Rng], str]] = {
    "number": digit_string,
    "four": lambda rng: digit_string(rng, 4, 4),
    "zip": lambda rng: digit_string(rng, 5, 5),
    "postcode": _postcode,
    "date": _date,
    "day": lambda rng: rng.choice(DAYS),
    "time": _time,
    "small": _small,
    "money": _money,
    "name": lambda rng: f"{rng.choice(FIRST_NAMES)} {rng.choice(LAST_NAMES)}",
    "goods": lambda rng: rng.choice(GOODS),
    "colour": lambda rng: rng.choice(COLOURS),
    "city": lambda rng: rng.choice(CITIES),
}


@dataclass(frozen=True)
class Sentence:
    """What is written, and how it is given to a voice (with commas and an end mark at times)."""

    text: str
    spoken: str


@dataclass(frozen=True)
class Grammar:
    """Patterns for training, and two held-out sets: one to choose with, one to score with."""

    training: tuple[str, ...]
    choosing: tuple[str, ...]
    scoring: tuple[str, ...]
    vocabulary: tuple[str, ...]
    reserved: frozenset[str]

    def training_sentence(self, rng: Rng) -> Sentence:
        """Shop sentences mostly; digits, short answers and words in no order for the rest."""
        while True:
            kind = rng.random()
            if kind < 0.62:
                sentence = self.from_pattern(rng.choice(self.training), rng, around=0.5)
            elif kind < 0.78:
                sentence = punctuated(digit_string(rng), rng)
            elif kind < 0.86:
                sentence = punctuated(rng.choice(ANSWERS), rng)
            else:
                sentence = punctuated(" ".join(rng.choices(self.vocabulary, k=rng.randint(2, 7))), rng)
            words = sentence.text.split()
            if sentence.text not in self.reserved or len(words) < 3:
                return sentence

    def from_pattern(self, pattern: str, rng: Rng, around: float = 0.0) -> Sentence:
        """A sentence of the pattern; with probability `around` said with words before or after it."""
        text = drawn(pattern, rng)
        text = re.sub(r"\{(\w+)\}", lambda slot: SLOTS[slot.group(1)](rng), text)
        lead = rng.choice(LEADS) if rng.random() < around else ""
        tail = rng.choice(TAILS) if rng.random() < around / 2 else ""
        return punctuated(text, rng, lead, tail)


def punctuated(text: str, rng: Rng, lead: str = "", tail: str = "") -> Sentence:
    """Joins the parts; the voice gets commas after some leads, between digits at times, and an end mark."""
    spoken = text
    words = text.split()
    digits = sum(word in DIGITS or word in ("oh", "double") for word in words)
    if digits >= 4 and rng.random() < 0.5:
        every = rng.random() < 0.4
        spoken = " ".join(
            word + ("," if word != "double" and (every or rng.random() < 0.2) and word in DIGITS else "")
            for word in words
        )
    if lead:
        spoken = f"{lead}{',' if lead in PAUSING_LEADS and rng.random() < 0.7 else ''} {spoken}"
    if tail:
        spoken = f"{spoken}{',' if rng.random() < 0.3 else ''} {tail}"
    spoken += rng.choice(["", "", ".", "?"])
    spoken = re.sub(r"\bmm hm\b", "mm-hm", spoken)
    return Sentence(" ".join(f"{lead} {text} {tail}".split()), spoken)


def reserved_lines(paths: list[Path]) -> frozenset[str]:
    """The demo callers' lines and each sentence of them: never trained on when three words or more."""
    found: set[str] = set()

    def collect(value: object) -> None:
        if isinstance(value, str):
            found.add(normalised(value))
            found.update(normalised(part) for part in re.split(r"[.?!|]", value))
        elif isinstance(value, dict):
            for inner in value.values():
                collect(inner)
        elif isinstance(value, list):
            for inner in value:
                collect(inner)

    for path in paths:
        if path.exists():
            collect(yaml.safe_load(path.read_text()))
    return frozenset(found - {""})


def load(intents: Path, lines: list[Path]) -> Grammar:
    """The grammar of the deployment; about one pattern in eight is held out, chosen by its checksum."""
    entries = yaml.safe_load(intents.read_text())["intents"].values()
    patterns = sorted({example for entry in entries for example in entry["examples"]} | set(PATTERNS))
    seen = Counter(word for pattern in patterns for word in words_of(pattern))
    closed = set(" ".join([*ANSWERS, *LEADS, *TAILS]).split())
    candidates = sorted(
        (p for p in patterns if len(drawn(p, random.Random(0)).split()) >= 3),
        key=lambda p: zlib.crc32(p.encode()),
    )
    held: list[str] = []
    for pattern in candidates:
        if len(held) >= len(patterns) // 8:
            break
        words = words_of(pattern)
        if all(seen[word] >= 3 or word in closed for word in words):
            held.append(pattern)
            seen.subtract(words)
    training = tuple(pattern for pattern in patterns if pattern not in set(held))
    vocabulary = {word for pattern in training for word in words_of(pattern)} | closed
    for slot in (
        GOODS,
        COLOURS,
        CITIES,
        FIRST_NAMES,
        LAST_NAMES,
        DAYS,
        MONTHS,
        ORDINALS,
        TEENS,
        TENS,
        DIGITS,
    ):
        vocabulary |= {word for phrase in slot for word in phrase.split()}
    plain = tuple(sorted(word for word in vocabulary if re.fullmatch(r"[a-z']+", word)))
    return Grammar(
        training,
        tuple(held[::3]),
        tuple(p for i, p in enumerate(held) if i % 3),
        plain,
        reserved_lines(lines),
    )
