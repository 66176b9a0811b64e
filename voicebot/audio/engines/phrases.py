"""What callers of one deployment say: the file of phrases, written out as sentences for a language model.

The file (YAML, key ``recognition``)::

    recognition:
      phrases: ["what are your opening hours", "i want to return something"]
      patterns: ["where is my {item}", "can i {verb} my {item}"]
      slots:
        item: [order, parcel]
        verb: [return, cancel]

Patterns are multiplied out over their slots. Pure, apart from reading the file and writing the model.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pocketsphinx.lm import ArpaBoLM
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voicebot.audio.engines.types import EngineUnavailable
from voicebot.core.documents import parse_yaml

MAX_SENTENCES = 6000
"""Sentences made from all patterns together; beyond a few thousand the model grows, its use does not."""

WEIGHT = 24
"""How much of each pattern and phrase the model counts at least, see ``weigh``."""

DISCOUNT = 0.15
"""Probability the model keeps for what it has not seen. ArpaBoLM's own 0.5 suits a corpus; these sentences
are nearly all there is (in-domain word errors of the voice slt 7 % with 0.5, 4 % with 0.15)."""

_SLOT = re.compile(r"\{([a-z_]+)\}")
_NOT_A_WORD = re.compile(r"[^a-z' ]+")

DEFAULT_PHRASES = (
    "hello",
    "yes",
    "no",
    "yes please",
    "no thank you",
    "thank you",
    "thanks",
    "goodbye",
    "bye",
    "that's all",
    "that's right",
    "what",
    "sorry",
    "can you repeat that",
    "i don't know",
    "hold on",
    "a person please",
    "i want to talk to a person",
    "can i speak to a person",
    "i want a person",
    "operator",
    "agent please",
    "help",
    "i need help",
    "i have a question",
    "where is my order",
    "what are your opening hours",
)
"""Heard in every deployment, also without a phrases file."""


class Recognition(BaseModel):
    """The ``recognition`` part of the phrases file."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    phrases: list[str] = Field(default_factory=list)
    patterns: list[str] = Field(default_factory=list)
    slots: dict[str, list[str]] = Field(default_factory=dict)


@dataclass(frozen=True)
class Vocabulary:
    """Sentences a recogniser can hear, and the words it was asked for but cannot."""

    sentences: tuple[str, ...]
    unknown: tuple[str, ...]


def read_phrases(path: Path) -> Recognition:
    """The ``recognition`` part of a phrases file; other keys are somebody else's.

    Raises:
        EngineUnavailable: the file cannot be read or has another shape; says where.
    """
    try:
        document: Any = parse_yaml(path.read_text(encoding="utf-8"))
        part: Any = document.get("recognition", {}) if isinstance(document, dict) else None
        recognition = Recognition.model_validate(part)
        expand(recognition)
    except (OSError, yaml.YAMLError, ValueError) as error:
        what = (
            "; ".join(f"recognition.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            if isinstance(error, ValidationError)
            else str(error)
        )
        raise EngineUnavailable(f"phrases file {path} cannot be used: {what}") from error
    return recognition


def expand(recognition: Recognition, limit: int = MAX_SENTENCES) -> tuple[str, ...]:
    """All phrases, then the patterns written out; normalised, without doubles, in a fixed order.

    When the patterns make more than ``limit`` sentences, each keeps an equal share of them, spread evenly
    over its combinations so that every value of a slot still occurs.

    Raises:
        ValueError: a pattern names a slot that is not there, or is empty.
    """
    fixed = [normalise(p) for p in recognition.phrases]
    per_pattern = _shares([_combinations(p, recognition.slots) for p in recognition.patterns], limit)
    written = itertools.chain.from_iterable(
        _write_out(pattern, recognition.slots, share)
        for pattern, share in zip(recognition.patterns, per_pattern, strict=True)
    )
    return tuple(dict.fromkeys(s for s in itertools.chain(fixed, written) if s))


def weigh(recognition: Recognition, each: int = WEIGHT) -> tuple[str, ...]:
    """The sentences of ``expand``, and of every phrase and pattern ``each`` more (repeated if it has fewer).

    Otherwise a pattern with many slots would outweigh a plain phrase hundreds of times. Measured on
    phrasings that are in no pattern: word errors 27 % instead of 32 %.
    """
    written = [normalise(p) for p in recognition.phrases for _ in range(each)]
    for pattern in recognition.patterns:
        total = _combinations(pattern, recognition.slots)
        some = list(_write_out(pattern, recognition.slots, min(each, total)))
        written += some * (each // len(some))
    return (*expand(recognition), *(s for s in written if s))


def normalise(sentence: str) -> str:
    """Lower case, words and apostrophes only, single spaces: as a recogniser writes."""
    return " ".join(_NOT_A_WORD.sub(" ", sentence.lower().replace("’", "'")).split())


def select(sentences: Iterable[str], known: Mapping[str, Any]) -> Vocabulary:
    """Keeps the sentences whose words are all ``known``; names the words that are not."""
    kept: list[str] = []
    unknown: dict[str, None] = {}
    for sentence in sentences:
        missing = [word for word in sentence.split() if word not in known]
        if missing:
            unknown.update(dict.fromkeys(missing))
        else:
            kept.append(sentence)
    return Vocabulary(tuple(kept), tuple(unknown))


def build_language_model(phrases: Iterable[str], path: Path) -> None:
    """Writes an ARPA trigram model of the sentences to ``path``.

    Raises:
        EngineUnavailable: there is no sentence to build from.
    """
    text = "\n".join(phrases)
    if not text.strip():
        raise EngineUnavailable(
            "no phrase is left to build a language model from: add some to the phrases file"
        )
    model = ArpaBoLM(text=text, add_start=True, discount_mass=DISCOUNT)
    model.compute()
    with path.open("w", encoding="utf-8") as file:
        model.write(file)


def _combinations(pattern: str, slots: Mapping[str, Sequence[str]]) -> int:
    names = _SLOT.findall(pattern)
    for name in names:
        if not slots.get(name):
            raise ValueError(f"pattern {pattern!r} uses the slot {name!r}, which has no values under `slots`")
    return math.prod(len(slots[name]) for name in names)


def _shares(wanted: list[int], limit: int) -> list[int]:
    """How many sentences each pattern gets: small patterns whole, the rest of the limit evenly."""
    shares = [0] * len(wanted)
    left = limit
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    for place, i in enumerate(order):
        shares[i] = min(wanted[i], left // (len(order) - place))
        left -= shares[i]
    return shares


def _write_out(pattern: str, slots: Mapping[str, Sequence[str]], share: int) -> Iterable[str]:
    names = _SLOT.findall(pattern)
    pieces = _SLOT.split(pattern)[::2]
    total = math.prod(len(slots[name]) for name in names)
    # A stride coprime to the total visits combinations all over before it comes back to one. The values of
    # each slot also move on with every step, so that each occurs soon.
    stride = next(s for s in itertools.count(max(1, round(total * 0.618))) if math.gcd(s, total) == 1)
    for nth in range(min(share, total)):
        index = nth if share >= total else (nth * stride) % total
        turned = 0 if share >= total else nth
        sentence = pieces[0]
        for name, piece in zip(names, pieces[1:], strict=True):
            index, value = divmod(index, len(slots[name]))
            sentence += slots[name][(value + turned) % len(slots[name])] + piece
        yield normalise(sentence)
