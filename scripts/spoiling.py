"""Spoils a sentence as a caller and a poor line would: false starts, fillers, dropped and doubled words,
words that sound alike, words run together or torn apart. Used to train the monitor; seeded by its caller.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import numpy as np

# Heard on small recognisers, on words that matter here.
CONFUSED = {
    "order": ["odor", "older", "border", "orders"],
    "hours": ["ours", "our", "houses"],
    "open": ["opened", "hope and"],
    "return": ["returned", "we turn", "turn"],
    "policy": ["police", "palace see", "policies"],
    "where": ["were", "wear"],
    "is": ["his", "as"],
    "my": ["the", "by"],
    "package": ["packet", "back age"],
    "delivery": ["delivering", "the livery"],
    "person": ["purse", "parson", "first and"],
    "please": ["police", "peas"],
    "warranty": ["warrant", "war and tea"],
    "cancel": ["council", "cancelled", "can so"],
    "refund": ["re fund", "refunds"],
    "shipping": ["chipping", "shopping"],
    "cost": ["caused", "coast"],
    "speak": ["beak", "speaker"],
    "agent": ["age and", "agents"],
    "pay": ["bay", "play"],
    "store": ["door", "stored", "story"],
    "assembly": ["a symbol he", "assemble"],
    "status": ["state us", "stay does"],
    "can": ["and", "could"],
    "what": ["but", "that"],
    "you": ["your", "u"],
    "to": ["two", "the"],
    "for": ["four"],
    "broken": ["spoken", "broke and"],
    "charged": ["charge", "large"],
    "human": ["you man", "woman"],
    "repeat": ["the beat", "repeated"],
    "account": ["a count", "accounts"],
    "gift": ["give", "gifts"],
    "yes": ["yet", "us"],
    "goodbye": ["good by", "good buy"],
    "damaged": ["damage", "manage"],
    "late": ["laid", "light"],
    "invoice": ["in voice", "in noise"],
    "receipt": ["receive", "recede"],
    "discount": ["this count", "discounts"],
    "password": ["past word", "pass word"],
    "membership": ["member ship", "members"],
    "newsletter": ["news letter", "new letter"],
    "financing": ["finances", "fine and sing"],
    "exchange": ["ex change", "change"],
    "missing": ["mission", "missed and"],
    "parcel": ["parsley", "parts all"],
    "address": ["a dress", "addresses"],
    "delete": ["the lead", "deleted"],
}
PREFIXES = [
    "um",
    "yeah",
    "hi",
    "hello",
    "okay so",
    "well",
    "so",
    "hey",
    "yes hi",
    "good morning",
    "excuse me",
    "i mean",
    "hi there",
    "yeah hi",
    "please",
    "sorry",
    "oh",
    "and",
    "quick question",
    "i was wondering",
    "listen",
    "look",
    "right so",
    "hello yes",
    "good afternoon",
    "i'm calling because",
]
SUFFIXES = [
    "please",
    "thanks",
    "thank you",
    "you know",
    "right",
    "then",
    "if that is possible",
    "for me",
    "actually",
    "or what",
    "i guess",
]
FILLERS = ["um", "uh", "like", "you know", "i mean", "er", "well", "kind of"]


def spoiled(sentence: str, rng: random.Random) -> str:
    """The sentence as it may come out of a recogniser; never empty."""
    words = sentence.split()
    if rng.random() < 0.4:
        words = [word for word in words if len(words) < 4 or rng.random() > 0.10]
    words = [_misheard(word, rng) if rng.random() < 0.12 else word for word in words]
    if len(words) > 4 and rng.random() < 0.10:
        at = rng.randrange(len(words) - 1)
        words[at : at + 1] = [words[at], words[at]]
    if len(words) > 3 and rng.random() < 0.15:
        words.insert(rng.randrange(1, len(words)), rng.choice(FILLERS))
    if len(words) > 3 and rng.random() < 0.08:
        at = rng.randrange(len(words) - 1)
        words[at : at + 2] = [words[at] + words[at + 1]]
    if rng.random() < 0.3:
        words = [*rng.choice(PREFIXES).split(), *words]
    if rng.random() < 0.18:
        words = [*words, *rng.choice(SUFFIXES).split()]
    return " ".join(words) or sentence


def _misheard(word: str, rng: random.Random) -> str:
    if word in CONFUSED and rng.random() < 0.6:
        return rng.choice(CONFUSED[word])
    alike = [other for other in _by_sound().get(sound_of(word), ()) if other != word]
    if alike and rng.random() < 0.7:
        return rng.choice(alike)
    if len(word) > 6 and rng.random() < 0.4:
        at = rng.randrange(2, len(word) - 2)
        return f"{word[:at]} {word[at:]}"
    return word


_ALIKE = (
    ("ph", "f"), ("ck", "k"), ("sch", "x"), ("sh", "x"), ("ch", "x"), ("th", "t"), ("wh", "w"), ("wr", "r"),
    ("kn", "n"), ("gh", ""), ("ce", "s"), ("ci", "s"), ("ge", "j"), ("gi", "j"),
)  # fmt: skip
_LETTERS = str.maketrans("cqdbgvzyj", "kktpkfsix")


def sound_of(word: str) -> str:
    """What stays of a word on a bad line: its consonants, voiced and voiceless as one, and its first vowel.

    >>> sound_of("bear") == sound_of("pair"), sound_of("bear") == sound_of("desk")
    (True, False)
    """
    for letters, sound in _ALIKE:
        word = word.replace(letters, sound)
    word = word.translate(_LETTERS)
    word = re.sub(r"(.)\1+", r"\1", word)
    first = "V" if word[:1] in "aeiou" else ""
    return first + re.sub(r"[aeiouhw]", "", word)


@cache
def _by_sound() -> dict[str, list[str]]:
    """Common words (the vocabulary of the word vectors) by their sound."""
    path = Path(__file__).resolve().parent.parent / "models" / "monitor_words.npz"
    with np.load(path, allow_pickle=False) as arrays:
        words = arrays["words"].tobytes().decode("ascii").split("\n")[:6000]
    groups: dict[str, list[str]] = defaultdict(list)
    for word in words:
        if len(word) > 2 and len(sound_of(word)) > 1:
            groups[sound_of(word)].append(word)
    return {sound: alike[:8] for sound, alike in groups.items() if len(alike) > 1}
