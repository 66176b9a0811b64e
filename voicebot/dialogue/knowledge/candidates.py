"""Candidates for a question: by meaning, by words, and by meaning among the articles of the intent. SQL only.

Meaning is searched by scanning all vectors, exactly, or by the HNSW index where `ingest` made one; then
``hnsw.iterative_scan`` goes on until enough of what it finds passes the filter.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from voicebot.core.conversation import Strict
from voicebot.core.store.database import Transaction
from voicebot.dialogue.knowledge.words import Asked

PER_LIST = 30
EF_SEARCH = 200
"""How widely the HNSW index looks around; recall against the exact scan stands in docs/knowledge.md."""
MAX_POSTINGS = 2_000
"""Rare words lead to candidates; a word that stands in more chunks than this tells no chunk from another."""

_SEARCH = """
WITH near AS (
    SELECT v.chunk_id, {vector} <=> {asked} AS distance
    FROM chunk_vectors v
    WHERE v.region IS NULL OR v.region = ANY(%(regions)s::text[])
    ORDER BY {vector} <=> {asked}
    LIMIT %(limit)s
),
tagged AS (
    SELECT v.chunk_id, v.embedding <=> %(vector)s::halfvec AS distance
    FROM chunk_vectors v
    WHERE v.intents && %(intents)s::text[]
      AND (v.region IS NULL OR v.region = ANY(%(regions)s::text[]))
    ORDER BY v.embedding <=> %(vector)s::halfvec
    LIMIT %(limit)s
),
hits AS (
    SELECT c.id, sum(w.weight) AS weight
    FROM unnest(%(rare)s::text[], %(weights)s::float8[]) AS w(lexeme, weight)
    CROSS JOIN LATERAL (
        SELECT c.id FROM chunks c WHERE c.current AND c.words @@ w.lexeme::tsquery LIMIT %(postings)s
    ) c
    GROUP BY c.id
),
worded AS (
    SELECT h.id AS chunk_id, h.weight
    FROM hits h JOIN chunk_vectors v ON v.chunk_id = h.id
    WHERE v.region IS NULL OR v.region = ANY(%(regions)s::text[])
    ORDER BY h.weight DESC, h.id
    LIMIT %(limit)s
),
found AS (
    SELECT chunk_id, min(near) AS near, min(worded) AS worded, min(tagged) AS tagged
    FROM (
        SELECT chunk_id, row_number() OVER (ORDER BY distance, chunk_id) AS near,
               NULL::bigint AS worded, NULL::bigint AS tagged FROM near
        UNION ALL
        SELECT chunk_id, NULL, row_number() OVER (ORDER BY weight DESC, chunk_id), NULL FROM worded
        UNION ALL
        SELECT chunk_id, NULL, NULL, row_number() OVER (ORDER BY distance, chunk_id) FROM tagged
    ) AS lists
    GROUP BY chunk_id
)
SELECT f.near, f.worded, f.tagged, c.article_id AS article, c.version, c.position, c.heading, c.body,
       a.title, a.intents, a.region, a.reviewed + a.review_days < current_date AS stale,
       (1 - (v.embedding <=> %(vector)s::halfvec))::float8 AS cosine,
       ARRAY(SELECT n FROM unnest(%(lexemes)s::text[]) WITH ORDINALITY AS l(lexeme, n)
             WHERE c.words @@ l.lexeme::tsquery) AS found,
       ARRAY(SELECT n FROM unnest(%(lexemes)s::text[]) WITH ORDINALITY AS l(lexeme, n)
             WHERE c.words @@ (l.lexeme || ':A')::tsquery) AS headed
FROM found f
JOIN chunk_vectors v ON v.chunk_id = f.chunk_id
JOIN chunks c ON c.id = f.chunk_id
JOIN articles a ON a.id = c.article_id AND a.version = c.version
ORDER BY c.article_id, c.position
"""


class Candidate(Strict):
    """A chunk that some list holds. ``found`` and ``headed``: which of the question's lexemes, from 1."""

    near: int | None
    worded: int | None
    tagged: int | None
    article: str
    version: str
    position: int
    heading: str
    body: str
    title: str
    intents: tuple[str, ...]
    region: str | None = None
    stale: bool
    cosine: float
    found: tuple[int, ...]
    headed: tuple[int, ...]


async def candidates(
    tx: Transaction,
    question: Asked,
    vector: str,
    *,
    intent: str | None,
    regions: Sequence[str],
) -> list[Candidate]:
    """Up to `PER_LIST` chunks of each list.

    Args:
        tx: the transaction.
        question: its words.
        vector: its meaning, as pgvector reads it.
        intent: the caller's, if it is known.
        regions: articles for other regions than these are left out.
    """
    exact, asked = sql.SQL("v.embedding"), sql.SQL("%(vector)s::halfvec")
    indexed = question.hnsw and question.dimensions is not None
    if indexed:
        length = sql.Literal(question.dimensions)
        exact = sql.SQL("(v.embedding::halfvec({}))").format(length)
        asked = sql.SQL("%(vector)s::halfvec({})").format(length)
    rare = _rare(question)
    search = sql.SQL(_SEARCH).format(vector=exact, asked=asked)
    values = {
        "vector": vector,
        "intents": [intent] if intent else [],
        "regions": list(regions),
        "rare": [question.lexemes[at].query for at in rare],
        "weights": [question.lexemes[at].weight for at in rare],
        "lexemes": [lexeme.query for lexeme in question.lexemes],
        "limit": PER_LIST,
        "postings": MAX_POSTINGS,
    }
    if indexed:
        async with tx.transaction():  # the settings hold to its end
            await tx.execute(
                "SELECT set_config('hnsw.iterative_scan', 'strict_order', true),"
                " set_config('hnsw.ef_search', %s, true)",
                (str(EF_SEARCH),),
            )
            cursor = await tx.execute(search, values)
    else:
        cursor = await tx.execute(search, values)
    return [_candidate(row) for row in await cursor.fetchall()]


def _rare(question: Asked) -> Sequence[int]:
    """The lexemes that lead to candidates: the rarest, as far as they lead to few enough chunks."""
    rare: list[int] = []
    postings = 0
    for at, lexeme in enumerate(question.lexemes):
        if lexeme.chunks == 0:
            continue
        postings += lexeme.chunks
        if rare and postings > MAX_POSTINGS:
            break
        rare.append(at)
    return rare


def _candidate(row: dict[str, object]) -> Candidate:
    lists = {key: tuple(row[key]) for key in ("intents", "found", "headed")}  # pyright: ignore[reportArgumentType]  # arrays
    return Candidate.model_validate({**row, **lists})
