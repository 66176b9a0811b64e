"""From words to features: the same code trains the classifier and runs it. Pure.

Word unigrams and pairs carry meaning; character n-grams inside words survive a recogniser that
writes "return pole a see" for "return policy". Numbers become one token.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from voicebot.core.number_words import DIGIT_WORDS

NUMBER = "#"
MAX_CHARS = 2000
"""More than two minutes of speech; what lies beyond is not read."""
MAX_WORDS = 120
MAX_READ = 720
"""Letters of these words that are looked at: 120 words of speech have fewer, and gibberish costs no more."""
MAX_LETTERS = 24
_APOSTROPHE = re.compile(r"[’`´]")
_TOKEN = re.compile(r"\[[a-z][a-z ]* \d+\]")
"""What stands for a number, a name or an address that was masked: it counts as a number."""
_NOT_WORD = re.compile(r"[^a-z0-9' ]+")
_CONTRACTIONS = (
    (re.compile(r"\b(what|where|when|who|how|that|it|there|here|he|she)'s\b"), r"\1 is"),
    (re.compile(r"\bcan't\b|\bcannot\b"), "can not"),
    (re.compile(r"\bwon't\b"), "will not"),
    (re.compile(r"n't\b"), " not"),
    (re.compile(r"\bi'm\b"), "i am"),
    (re.compile(r"'re\b"), " are"),
    (re.compile(r"'ve\b"), " have"),
    (re.compile(r"'ll\b"), " will"),
    (re.compile(r"'d\b"), " would"),
    (re.compile(r"'s\b"), " s"),
)
_FILLERS = frozenset({"um", "uh", "er", "erm", "hm", "hmm", "mm", "ah", "eh"})
_DIGIT_WORDS = DIGIT_WORDS | {"hundred"}


def words_of(text: str) -> list[str]:
    """The normalised words: lower case, contractions opened, fillers dropped, runs of numbers as ``#``."""
    plain = _APOSTROPHE.sub("'", text[:MAX_CHARS].lower())
    plain = _NOT_WORD.sub(" ", _TOKEN.sub(" 0 ", plain))
    for pattern, replacement in _CONTRACTIONS:
        plain = pattern.sub(replacement, plain)
    words = [word for word in plain.replace("'", " ").split() if word not in _FILLERS]
    return list(_numbers_as_one(words))


def _numbers_as_one(words: list[str]) -> Iterator[str]:
    """Runs of two digit words, and figures, become `NUMBER`; "one moment" keeps its "one"."""
    run: list[str] = []
    for word in [*words, ""]:
        if word.isdigit() or word in _DIGIT_WORDS:
            run.append(word)
            continue
        if run:
            yield from [NUMBER] if len(run) > 1 or run[0].isdigit() else run
            run = []
        if word:
            yield word


def features_of(text: str) -> Iterator[str]:
    """Feature names of a text, with repeats: ``w:word``, ``b:pair``, ``t:triple``, ``c:characters``."""
    return features_in(words_of(text))


def _beginning(words: Sequence[str]) -> list[str]:
    """The first words, as many as half of what is looked at has room for."""
    out: list[str] = []
    room = MAX_READ // 2
    for word in words[: MAX_WORDS // 2]:
        room -= min(len(word), MAX_LETTERS)
        if room < 0:
            break
        out.append(word)
    return out


def features_in(words: Sequence[str]) -> Iterator[str]:
    """The same of words that were normalised before. Of a long speech its beginning and its end count."""
    if len(words) > MAX_WORDS or sum(min(len(word), MAX_LETTERS) for word in words) > MAX_READ:
        words = [*_beginning(words), *reversed(_beginning(words[::-1]))]
    padded = ["<", *words, ">"]
    for word in words:
        yield "w:" + word
    for left, right in pairwise(padded):
        yield f"b:{left} {right}"
    for left, middle, right in zip(padded, padded[1:], padded[2:], strict=False):
        yield f"t:{left} {middle} {right}"
    for word in words:
        marked = f" {word[:MAX_LETTERS]} "
        for size in (3, 4, 5):
            for at in range(len(marked) - size + 1):
                yield "c:" + marked[at : at + size]
