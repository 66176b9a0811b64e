"""Puts the deployment's articles into Postgres. Runs at boot; an unchanged article costs one comparison.

An edited or removed article leaves its old version behind, marked superseded: what an answer cited can
still be looked up (`cited`). Only current chunks have vectors and are ever searched.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import psycopg
from psycopg import sql

from voicebot.core.conversation import Strict
from voicebot.core.store.database import Transaction
from voicebot.dialogue.knowledge.articles import Article
from voicebot.dialogue.knowledge.embedding import Embedding, EmbeddingMismatch, Vectors
from voicebot.dialogue.knowledge.gaps import FORGET, FORGOTTEN_AFTER_DAYS

HNSW_FROM_CHUNKS = 100_000
"""From here on an approximate index answers sooner than a scan of all vectors (docs/knowledge.md)."""
Index = Literal["auto", "exact", "hnsw"]
_LOCK = 0x6B6E6F77  # "know": two booting servers take turns
_BATCH = 256


class Ingested(Strict):
    """What an ingest did. ``changed``: ids of the articles that were written or removed."""

    changed: tuple[str, ...]
    embedded: int
    """Chunks that were given a vector."""
    chunks: int
    """Current chunks."""
    hnsw: bool
    """Searched by an HNSW index, not by a scan."""


def ingest(url: str, articles: Sequence[Article], embedding: Embedding | None = None) -> list[str]:
    """At boot: writes new and changed articles, supersedes those that are gone; all in one transaction.

    Args:
        url: the database.
        articles: all that there are.
        embedding: makes the vectors; None leaves full text only.

    Returns:
        Ids of the articles that were written or removed.

    Raises:
        EmbeddingMismatch: the database's vectors are of another embedding; nothing is changed.
    """
    return list(ingest_all(url, articles, embedding, again=False).changed)


def ingest_all(
    url: str,
    articles: Sequence[Article],
    embedding: Embedding | None,
    *,
    again: bool,
    index: Index | None = None,
) -> Ingested:
    """What `ingest` does; with ``again``, vectors of another embedding are made anew instead of refused.

    Args:
        url: the database.
        articles: all that there are.
        embedding: makes the vectors; None leaves full text only.
        again: replace vectors of another embedding.
        index: how vectors are searched from now on: ``exact`` scan, ``hnsw`` index, ``auto`` by
            `HNSW_FROM_CHUNKS`; None: as it was decided last.

    Raises:
        EmbeddingMismatch: see `ingest`.
    """
    with psycopg.connect(url, connect_timeout=5) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        stored_embedding, decided, indexed = _state(cursor)
        index = index or decided
        if embedding is not None and stored_embedding not in {None, embedding.id} and not again:
            raise EmbeddingMismatch(stored_embedding, embedding.id)
        cursor.execute(FORGET, (FORGOTTEN_AFTER_DAYS,))
        changed = _write_texts(cursor, articles)
        embedded = 0 if embedding is None else _write_vectors(cursor, embedding, stored_embedding)
        chunks = _count(cursor)
        hnsw = embedding is not None and (index == "hnsw" or (index == "auto" and chunks >= HNSW_FROM_CHUNKS))
        anew = embedding is not None and stored_embedding != embedding.id
        if embedding is not None and (hnsw != indexed or anew):
            _index(cursor, embedding.dimensions if hnsw else None)
        cursor.execute(
            "UPDATE knowledge SET chunks = %s, ingested_at = now(), searched_by = %s, hnsw = %s,"
            " embedding = coalesce(%s, embedding), dimensions = coalesce(%s, dimensions)",
            (
                chunks,
                index,
                hnsw if embedding is not None else indexed,
                embedding.id if embedding is not None else None,
                embedding.dimensions if embedding is not None else None,
            ),
        )
    return Ingested(changed=tuple(changed), embedded=embedded, chunks=chunks, hnsw=hnsw)


class CitedChunk(Strict):
    """A chunk as it stood in one version of an article; ``superseded``: it may not be quoted any more."""

    heading: str
    body: str
    superseded: bool


async def cited(tx: Transaction, article: str, version: str) -> tuple[CitedChunk, ...]:
    """The chunks of a version that was cited, in their order; empty if there never was one."""
    cursor = await tx.execute(
        "SELECT heading, body, NOT current AS superseded FROM chunks WHERE article_id = %s AND version = %s"
        " ORDER BY position",
        (article, version),
    )
    return tuple(CitedChunk(**row) for row in await cursor.fetchall())


def _state(cursor: psycopg.Cursor) -> tuple[str | None, Index, bool]:
    row = cursor.execute("SELECT embedding, searched_by, hnsw FROM knowledge").fetchone()
    assert row is not None
    return row[0], row[1], row[2]


def _write_texts(cursor: psycopg.Cursor, articles: Sequence[Article]) -> list[str]:
    cursor.execute("SELECT id, version FROM articles WHERE superseded_at IS NULL")
    stored: dict[str, str] = {row[0]: row[1] for row in cursor}
    gone = sorted(set(stored) - {article.id for article in articles})
    changed = [article for article in articles if stored.get(article.id) != article.version]
    out = [*gone, *(article.id for article in changed)]
    if not out:
        return []
    cursor.execute(
        "UPDATE articles SET superseded_at = now() WHERE id = ANY(%s) AND superseded_at IS NULL", (out,)
    )
    cursor.execute(
        "WITH old AS (UPDATE chunks SET current = false WHERE article_id = ANY(%s) AND current RETURNING id)"
        " DELETE FROM chunk_vectors USING old WHERE chunk_id = old.id",
        (out,),
    )
    _write(cursor, changed)
    cursor.execute("DELETE FROM chunk_words")
    cursor.execute(
        "INSERT INTO chunk_words SELECT word, ndoc"
        " FROM ts_stat('SELECT words FROM chunks WHERE current') AS s(word, ndoc, nentry)"
    )
    return out


def _write(cursor: psycopg.Cursor, articles: Sequence[Article]) -> None:
    """New versions; those that were there before (an edit that was taken back) are current again."""
    versions = [article.version for article in articles]
    cursor.execute(
        "UPDATE articles a SET superseded_at = NULL FROM unnest(%s::text[], %s::text[]) AS n(id, version)"
        " WHERE a.id = n.id AND a.version = n.version RETURNING a.id",
        ([article.id for article in articles], versions),
    )
    revived = {row[0] for row in cursor.fetchall()}
    cursor.execute(
        "UPDATE chunks c SET current = true FROM articles a"
        " WHERE a.id = ANY(%s) AND a.superseded_at IS NULL AND c.article_id = a.id AND c.version = a.version",
        (sorted(revived),),
    )
    fresh = [article for article in articles if article.id not in revived]
    cursor.executemany(
        "INSERT INTO articles (id, title, intents, owner, reviewed, region, review_days, version)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        [
            (a.id, a.title, list(a.intents), a.owner, a.reviewed, a.region, a.review_days, a.version)
            for a in fresh
        ],
    )
    cursor.executemany(
        "INSERT INTO chunks (article_id, version, position, heading, body, words) VALUES (%s, %s, %s, %s, %s,"
        " setweight(to_tsvector('english', %s), 'A') || setweight(to_tsvector('english', %s), 'B'))",
        [
            (a.id, a.version, position, chunk.heading, chunk.body, f"{a.title} {chunk.heading}", chunk.body)
            for a in fresh
            for position, chunk in enumerate(a.chunks)
        ],
    )


def _write_vectors(cursor: psycopg.Cursor, embedding: Embedding, stored: str | None) -> int:
    """Gives every current chunk that has none its vector; all of them when the embedding is another one."""
    if stored != embedding.id:
        _index(cursor, None)  # of the other's dimensions
        cursor.execute("DELETE FROM chunk_vectors")
    cursor.execute(
        "SELECT c.id, a.title, c.heading, c.body, a.intents, a.region FROM chunks c"
        " JOIN articles a ON a.id = c.article_id AND a.version = c.version"
        " WHERE c.current AND NOT EXISTS (SELECT 1 FROM chunk_vectors v WHERE v.chunk_id = c.id)"
        " ORDER BY c.id"
    )
    rows = cursor.fetchall()
    for start in range(0, len(rows), _BATCH):
        batch = rows[start : start + _BATCH]
        vectors = embedding.embed(
            [searched_text(title, heading, body) for _, title, heading, body, *_ in batch]
        )
        with cursor.copy("COPY chunk_vectors (chunk_id, embedding, intents, region) FROM STDIN") as copy:
            for (chunk, _, _, _, intents, region), vector in zip(batch, literals(vectors), strict=True):
                copy.write_row((chunk, vector, intents, region))
    return len(rows)


def searched_text(title: str, heading: str, body: str) -> str:
    """What of a chunk is embedded: its heading holds the words that people ask with."""
    return f"{title}. {heading}. {body}" if heading else f"{title}. {body}"


def literals(vectors: Vectors) -> list[str]:
    """Rows as pgvector reads them."""
    return ["[" + ",".join(f"{value:.5g}" for value in row) + "]" for row in vectors.tolist()]


def _count(cursor: psycopg.Cursor) -> int:
    row = cursor.execute("SELECT count(*) FROM chunks WHERE current").fetchone()
    assert row is not None
    return row[0]


def _index(cursor: psycopg.Cursor, dimensions: int | None) -> None:
    """Makes the approximate index for vectors of this length; None only drops it."""
    cursor.execute("DROP INDEX IF EXISTS chunk_vectors_hnsw")
    if dimensions is not None:
        cursor.execute(
            sql.SQL(
                "CREATE INDEX chunk_vectors_hnsw ON chunk_vectors"
                " USING hnsw ((embedding::halfvec({})) halfvec_cosine_ops)"
            ).format(sql.Literal(dimensions))
        )
