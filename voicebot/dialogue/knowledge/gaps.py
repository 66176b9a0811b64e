"""Questions that no article answers, counted: what to write next. Keywords only, never the words as said.

Numbers, addresses, what follows "my name is", and capitalised words inside a sentence are dropped. What is
left and stands in some article is kept. Any other word may still be a name: it is held as a digest under the
master key until `SHOWN_FROM` conversations have used it, and only then written down.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Literal, LiteralString

from voicebot.core.conversation import Strict
from voicebot.core.store.database import Transaction
from voicebot.dialogue.knowledge.words import CHATTER
from voicebot.dialogue.monitor.features import MAX_CHARS, NUMBER, words_of

Reason = Literal["no_grounding", "weak_grounding", "ambiguous", "out_of_scope"]
SHOWN_FROM = 3
"""A word that so many conversations used is nobody's name, or everybody's."""
MAX_KEYWORDS = 8
MAX_WORDS = 24
"""How many different words of a question are looked at: nobody asks for more at once."""
FORGOTTEN_AFTER_DAYS = 90
"""A digest that is not seen again for so long is deleted by the next ingest; every start is one."""
FORGET: LiteralString = "DELETE FROM gap_words WHERE last_at < now() - make_interval(days => %s)"
_TOKEN = re.compile(r"\[[a-z][a-z ]* \d+\]")
_MARKED = re.compile(r"[@\d/_]")
_CUE = re.compile(
    r"\b(my name is|my name's|this is|i am called|i'm called|name of|mister|missis|mrs|mr|ms|miss|dr|doctor)"
    r"\.?\s+(\S+(?:\s+\S+)?)",
    re.IGNORECASE,
)
_CAPITAL = re.compile(r"(?<=[a-z,;'’] )[A-Z][\w'’-]*")


Index = Callable[[str, str], bytes]
"""A value's digest for a purpose, under a key: `KeyRing.index`."""


class Gap(Strict):
    """A kind of question and how often it came. ``hidden``: how many of its words are held back."""

    keywords: tuple[str, ...]
    hidden: int
    intent: str
    reason: str
    count: int
    first_at: datetime
    last_at: datetime


def masked(question: str) -> tuple[str, ...]:
    """The question's telling words without numbers, addresses and what looks like a name; sorted, each once.

    Of a long question the first `MAX_WORDS`.

    >>> masked("My name is Ann Lee, do you sell boat insurance to 44 Oak Road?")
    ('boat', 'insurance', 'sell')
    """
    question = _TOKEN.sub(" ", question[:MAX_CHARS])
    plain = " ".join(word for word in question.split() if not _MARKED.search(word))
    text = _CAPITAL.sub(" ", " ".join(_CUE.sub(" ", plain).split()))
    words = (word for word in words_of(text) if word != NUMBER and word not in CHATTER and len(word) > 2)
    return tuple(sorted(list(dict.fromkeys(words))[:MAX_WORDS]))


async def log(
    tx: Transaction,
    question: str,
    intent: str | None,
    reason: Reason,
    *,
    index: Index,
    conversation: str | None = None,
    known: Collection[str] = (),
) -> None:
    """Counts a question that was not answered. Belongs into the commit of its turn.

    Args:
        tx: the transaction.
        question: the caller's words, masked or not: they are masked here.
        intent: as it was read; None: none.
        reason: why there was no answer.
        index: makes the digests of words and conversations.
        conversation: so that one caller's repeated word counts once; stored as a digest only.
        known: words that are nobody's name beyond those of the articles (the deployment's own examples).
    """
    words = masked(question)
    public, unknown = await _parted(tx, words, known)
    shown = await _seen(tx, unknown, conversation or "", index)
    keywords = sorted([*public, *shown])[:MAX_KEYWORDS]
    await tx.execute(
        "INSERT INTO knowledge_gaps (keywords, intent, reason, hidden) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (keywords, intent, reason) DO UPDATE SET count = knowledge_gaps.count + 1,"
        " last_at = now(), hidden = greatest(knowledge_gaps.hidden, excluded.hidden)",
        (keywords, intent or "", reason, len(unknown) - len(shown)),
    )
    await tx.execute(
        "INSERT INTO knowledge_gap_hours (hour, keywords, intent, reason)"
        " VALUES (date_trunc('hour', now(), 'UTC'), %s, %s, %s)"
        " ON CONFLICT (hour, keywords, intent, reason) DO UPDATE SET count = knowledge_gap_hours.count + 1",
        (keywords, intent or "", reason),
    )


async def gaps(tx: Transaction, *, limit: int = 50) -> list[Gap]:
    """The most frequent first."""
    cursor = await tx.execute(
        "SELECT keywords, hidden, intent, reason, count, first_at, last_at FROM knowledge_gaps"
        " ORDER BY count DESC, last_at DESC, keywords LIMIT %s",
        (limit,),
    )
    return [
        Gap.model_validate({**row, "keywords": tuple(row["keywords"])}) for row in await cursor.fetchall()
    ]


async def _parted(
    tx: Transaction, words: Sequence[str], known: Collection[str]
) -> tuple[list[str], list[str]]:
    """Words that some article holds (or are ``known``), and the others; Postgres's stop words are neither."""
    cursor = await tx.execute(
        "SELECT w.word, EXISTS (SELECT 1 FROM chunk_words c WHERE c.word = l.stem) AS there"
        " FROM unnest(%s::text[]) AS w(word),"
        " LATERAL (SELECT (ts_lexize('english_stem', w.word))[1] AS stem) AS l WHERE l.stem IS NOT NULL",
        (list(words),),
    )
    rows = await cursor.fetchall()
    public = [row["word"] for row in rows if row["there"] or row["word"] in known]
    return public, [row["word"] for row in rows if row["word"] not in public]


async def _seen(tx: Transaction, words: Sequence[str], conversation: str, index: Index) -> list[str]:
    """Counts a conversation's use of words; gives those that enough conversations have used.

    Always in the order of the digests, so that two commits never wait for each other's rows. A conversation's
    digest is another one for each word: rows do not tell that one conversation used both.
    """
    digests = {index("gap word", word): word for word in words}
    seen_by = [index("gap conversation", f"{conversation}\0{word}") for word in digests.values()]
    cursor = await tx.execute(
        "INSERT INTO gap_words (digest, seen_by) SELECT digest, ARRAY[seen_by]"
        " FROM unnest(%s::bytea[], %s::bytea[]) AS used (digest, seen_by) ORDER BY digest"
        " ON CONFLICT (digest) DO UPDATE SET last_at = now(), seen_by = CASE"
        " WHEN gap_words.seen_by @> excluded.seen_by OR cardinality(gap_words.seen_by) >= %s"
        " THEN gap_words.seen_by ELSE gap_words.seen_by || excluded.seen_by END"
        " RETURNING digest, cardinality(seen_by) AS conversations",
        (list(digests), seen_by, SHOWN_FROM),
    )
    rows = await cursor.fetchall()
    return sorted(digests[bytes(row["digest"])] for row in rows if row["conversations"] >= SHOWN_FROM)
