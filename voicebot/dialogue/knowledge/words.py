"""The words of a question that say what it is about, and how much each says.

A word weighs by its rarity among the chunks, and words that occur in no chunk weigh most: so a question about
something we have no article on is seen to be badly covered.
"""

from __future__ import annotations

import math
from itertools import pairwise

from voicebot.core.conversation import Strict
from voicebot.core.store.database import Transaction
from voicebot.dialogue.monitor.features import NUMBER, words_of

# Words that carry no part of a question, beyond Postgres's own stop words.
_CHATTER_LINES = (
    "hi hello hey yeah yes no okay ok so well please thanks thank you sorry excuse guys like want need would",
    "could can may might know tell ask question wonder wondering quick just actually maybe really get got go",
    "going let say said see um uh good morning afternoon evening one more thing things something anything",
    "someone somebody about also much many long",
)
CHATTER = frozenset(word for line in _CHATTER_LINES for word in line.split())
MAX_LEXEMES = 32
"""The rarest are kept: nobody's question has more words that matter."""

MAX_WORDS = 64
"""How many words of a question are looked at for the name of a region."""


class Lexeme(Strict):
    """A word as Postgres stems it. ``chunks``: in how many current chunks it occurs."""

    word: str
    chunks: int
    weight: float

    @property
    def query(self) -> str:
        """As a ``tsquery``."""
        return "'" + self.word.replace("\\", "\\\\").replace("'", "''") + "'"


class Asked(Strict):
    """A question's lexemes, the rarest first, and the state of the searchable whole."""

    lexemes: tuple[Lexeme, ...]
    chunks: int
    embedding: str | None
    dimensions: int | None
    hnsw: bool


def telling_words(question: str) -> str:
    """The question without numbers and chatter."""
    return " ".join(word for word in words_of(question) if word != NUMBER and word not in CHATTER)


def places_in(question: str) -> tuple[str, ...]:
    """What of a question may name a region, as regions are written: each word, and each two.

    >>> places_in("to New York")
    ('to', 'new', 'york', 'to-new', 'new-york')
    """
    words = words_of(question)[:MAX_WORDS]
    return (*words, *(f"{left}-{right}" for left, right in pairwise(words)))


async def asked(tx: Transaction, question: str) -> Asked:
    """Looks up what the question's words weigh, in one round trip."""
    cursor = await tx.execute(
        "SELECT k.embedding, k.dimensions, k.hnsw, k.chunks AS total, l.lexeme,"
        " coalesce(w.chunks, 0) AS chunks"
        " FROM knowledge k LEFT JOIN unnest(to_tsvector('english', %s)) AS l ON true"
        " LEFT JOIN chunk_words w ON w.word = l.lexeme ORDER BY coalesce(w.chunks, 0), l.lexeme",
        (telling_words(question),),
    )
    rows = await cursor.fetchall()
    state = rows[0]
    return Asked(
        lexemes=tuple(
            Lexeme(
                word=row["lexeme"],
                chunks=row["chunks"],
                weight=math.log((row["total"] + 1) / (row["chunks"] + 0.5)),
            )
            for row in rows
            if row["lexeme"] is not None
        )[:MAX_LEXEMES],
        chunks=state["total"],
        embedding=state["embedding"],
        dimensions=state["dimensions"],
        hnsw=state["hnsw"],
    )
