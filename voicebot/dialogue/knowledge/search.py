"""Finds the passage that answers a question, and says how well it covers it.

Full text in Postgres. Grounding (0..1) is the share of the question's weight that the passage
covers: each word of the question weighs by its rarity among the chunks, words that occur in no
chunk included, so a question about something we have no article on scores low. An article
tagged with the caller's intent starts from `TAGGED` or `ALSO_TAGGED`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from voicebot.core.conversation import Source
from voicebot.core.store.database import Transaction
from voicebot.dialogue.knowledge.passage import Passage
from voicebot.dialogue.knowledge.words import CHATTER
from voicebot.dialogue.monitor.features import NUMBER, words_of

__all__ = ["Passage", "search"]

TAGGED = 0.5
"""Grounding an article has before any word of the question is found in it, if the intent is its first."""
ALSO_TAGGED = 0.3
"""The same for an article that names the intent second or later."""
OFF_INTENT = 0.6
"""What an article off the caller's intent covers counts this much: common words are no answer."""
OPENING = 0.06
"""An article begins with what most people ask."""
CANDIDATES = 20

_SEARCH = """
SELECT c.article_id, c.position, c.heading, c.body, a.title, a.version, a.intents,
       a.intents && %(intents)s AS tagged, a.intents[1:1] && %(intents)s AS first,
       ts_rank_cd('{0.1, 0.2, 0.6, 1.0}', c.words, q.query, 1) AS rank,
       ARRAY(SELECT w FROM unnest(%(lexemes)s::text[]) AS w WHERE c.words @@ w::tsquery) AS found
FROM chunks c
JOIN articles a ON a.id = c.article_id AND a.version = c.version,
     (SELECT array_to_string(%(lexemes)s::text[], ' | ')::tsquery AS query) q
WHERE c.current AND a.region IS NULL AND (a.intents && %(intents)s OR c.words @@ q.query)
ORDER BY first DESC, tagged DESC, rank DESC, c.article_id, c.position
LIMIT %(limit)s
"""


async def search(tx: Transaction, question: str, *, intent: str | None, limit: int = 3) -> list[Passage]:
    """The passages for a question, best first.

    Args:
        tx: the transaction.
        question: the caller's words.
        intent: what they want, as far as it is known; articles tagged with it come first.
        limit: most passages returned.
    """
    lexemes, weights = await _weights(tx, question)
    cursor = await tx.execute(
        _SEARCH,
        {
            "lexemes": [_quoted(lexeme) for lexeme in lexemes],
            "intents": [intent] if intent else [],
            "limit": CANDIDATES,
        },
    )
    rows = await cursor.fetchall()
    passages = [_passage(row, weights, known=intent is not None) for row in rows]
    passages.sort(key=lambda passage: -passage.source.score)
    return passages[:limit]


def grounding(found: Sequence[str], weights: dict[str, float], *, start: float = 0.0) -> float:
    """The share of the question's weight that is covered; ``start`` is what the article's tag is worth.

    >>> grounding(["sofa"], {"sofa": 1.0, "warranti": 3.0})
    0.25
    >>> grounding([], {"sofa": 1.0}, start=TAGGED)
    0.5
    """
    total = sum(weights.values())
    covered = sum(weights.get(lexeme, 0.0) for lexeme in found) / total if total else 0.0
    return start + (1 - start) * covered


async def _weights(tx: Transaction, question: str) -> tuple[list[str], dict[str, float]]:
    words = " ".join(word for word in words_of(question) if word != NUMBER and word not in CHATTER)
    cursor = await tx.execute(
        "SELECT l.lexeme, coalesce(w.chunks, 0) AS chunks, (SELECT k.chunks FROM knowledge k) AS total"
        " FROM unnest(to_tsvector('english', %s)) AS l LEFT JOIN chunk_words w ON w.word = l.lexeme"
        " ORDER BY l.lexeme",
        (words,),
    )
    rows = await cursor.fetchall()
    weights = {row["lexeme"]: math.log((row["total"] + 1) / (row["chunks"] + 0.5)) for row in rows}
    return list(weights), weights


def _passage(row: dict[str, Any], weights: dict[str, float], *, known: bool) -> Passage:
    found = [lexeme.strip("'") for lexeme in row["found"]]
    start = TAGGED if row["first"] else ALSO_TAGGED if row["tagged"] else 0.0
    covered = grounding(found, weights, start=start)
    if known and not row["tagged"]:
        covered *= OFF_INTENT
    opening = OPENING if row["position"] == 0 else 0.0
    score = round(covered + opening + 0.05 * min(1.0, float(row["rank"] or 0.0)), 4)
    return Passage(
        source=Source(article=row["article_id"], title=row["title"], version=row["version"], score=score),
        heading=row["heading"],
        body=row["body"],
        grounding=round(covered, 4),
        tagged=row["tagged"],
    )


def _quoted(lexeme: str) -> str:
    return "'" + lexeme.replace("\\", "\\\\").replace("'", "''") + "'"
