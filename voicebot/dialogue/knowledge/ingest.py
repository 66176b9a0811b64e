"""Puts the deployment's articles into Postgres. Runs at boot; an unchanged article costs one comparison."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from voicebot.dialogue.knowledge.articles import Article

_LOCK = 0x6B6E6F77  # "know": two booting servers take turns


def ingest(url: str, articles: Sequence[Article]) -> list[str]:
    """Writes new and changed articles, removes those that are gone; all in one transaction.

    Returns:
        Ids of the articles that were written or removed.
    """
    with psycopg.connect(url, connect_timeout=5) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        stored = {row[0]: row[1] for row in cursor.execute("SELECT id, version FROM articles")}
        gone = sorted(set(stored) - {article.id for article in articles})
        changed = [article for article in articles if stored.get(article.id) != article.version]
        if not gone and not changed:
            return []
        cursor.execute("DELETE FROM articles WHERE id = ANY(%s)", ([*gone, *(a.id for a in changed)],))
        for article in changed:
            _write(cursor, article)
        cursor.execute("DELETE FROM chunk_words")
        cursor.execute(
            "INSERT INTO chunk_words"
            " SELECT word, ndoc FROM ts_stat('SELECT words FROM chunks') AS s(word, ndoc, nentry)"
        )
        return [*gone, *(article.id for article in changed)]


def _write(cursor: psycopg.Cursor, article: Article) -> None:
    cursor.execute(
        "INSERT INTO articles (id, title, intents, owner, reviewed, region, version)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (
            article.id,
            article.title,
            list(article.intents),
            article.owner,
            article.reviewed,
            article.region,
            article.version,
        ),
    )
    for position, chunk in enumerate(article.chunks):
        cursor.execute(
            "INSERT INTO chunks (article_id, position, heading, body, words) VALUES (%s, %s, %s, %s,"
            " setweight(to_tsvector('english', %s), 'A') || setweight(to_tsvector('english', %s), 'B'))",
            (article.id, position, chunk.heading, chunk.body, f"{article.title} {chunk.heading}", chunk.body),
        )
