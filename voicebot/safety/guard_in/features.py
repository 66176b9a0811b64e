"""A window of plain words as hashed features: the same code trains the guard's model and runs it. Pure.

Words, pairs and triples, and pairs of word stems, so that a recogniser's "ignores previous instruction" is
still seen.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

BUCKETS = 1 << 15
STEM = 5
"""Letters that stand for a word and its endings."""


def features(words: Sequence[str]) -> Iterator[str]:
    """Names of features, with repeats."""
    before, last, stem_before = "<", "<", "<"
    for word in words:
        if word.isdigit():
            word = "#"
        stem = word[:STEM]
        yield word
        yield f"{last} {word}"
        yield f"{before} {last} {word}"
        yield f"~{stem_before} {stem}"
        before, last, stem_before = last, word, stem
    yield f"{last} >"


def buckets(words: Sequence[str]) -> set[int]:
    """The places that are hit."""
    return {zlib.crc32(name.encode()) % BUCKETS for name in features(words)}
