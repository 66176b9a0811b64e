"""The right passage is found by meaning and by words; doubt is said; an old version is kept but not found."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
import pytest_asyncio

from voicebot.core.store.database import Database
from voicebot.core.store.embedded import EmbeddedPostgres
from voicebot.dialogue.knowledge.articles import Article, read_articles
from voicebot.dialogue.knowledge.embedding import EmbeddingMismatch, Vectors, choose_embedding, unit
from voicebot.dialogue.knowledge.ingest import cited, ingest, ingest_all
from voicebot.dialogue.knowledge.passage import Retrieval
from voicebot.dialogue.knowledge.retriever import FLOOR, PASSAGES, Retriever, read_weights

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "models"
CLIPS = "reference_articles"


class Letters:
    """An embedding for tests: how often each letter occurs."""

    def __init__(self, kind: str = "letters") -> None:
        self.id = f"{kind}-1"
        self.dimensions = 26

    def embed(self, texts: Sequence[str]) -> Vectors:
        rows = [[text.lower().count(chr(97 + at)) for at in range(26)] for text in texts]
        return unit(np.array(rows, dtype=np.float32).reshape(len(texts), 26))


def folder_of(path: Path, **texts: str) -> tuple[Article, ...]:
    """Articles with these texts; ``region`` of an article stands before a colon in its text."""
    for old in path.glob("*.md"):
        old.unlink()
    for name, text in texts.items():
        region, _, body = text.rpartition("::")
        front = f"title: {name}\nintents: [talk]\nowner: o\nreviewed: 2026-01-01\n"
        (path / f"{name}.md").write_text(
            f"---\n{front}{f'region: {region}' if region else ''}\n---\n{body}\n"
        )
    return read_articles(path)


async def found(
    database: Database, question: str, retriever: Retriever | None = None, **how: Any
) -> Retrieval:
    async with database.transaction() as tx:
        return await (retriever or Retriever(Letters())).search(tx, question, **how)


@pytest.fixture(scope="module")
def reference(postgres: EmbeddedPostgres, database_url: str) -> Iterator[str]:
    """A database with the reference deployment's articles, made once: never written to."""
    source = database_url.partition("?")[0].rpartition("/")[2]
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {CLIPS} TEMPLATE {source}".encode())
        head, _, query = postgres.url.partition("?")
        url = f"{head.rpartition('/')[0]}/{CLIPS}?{query}"
        ingest(url, read_articles(ROOT / "business" / "knowledge"), choose_embedding("auto", MODELS))
        yield url
        admin.execute(f"DROP DATABASE {CLIPS} WITH (FORCE)".encode())


@pytest.fixture(scope="module")
def retriever() -> Retriever:
    return Retriever(choose_embedding("auto", MODELS), read_weights(MODELS))


@pytest_asyncio.fixture
async def shop(reference: str) -> AsyncIterator[Database]:
    opened = await Database.open(reference, timeout_s=10.0)
    yield opened
    await opened.close()


@pytest.mark.parametrize(
    ("question", "intent", "article"),
    [
        ("does a gift voucher run out", "gift_card", "gift-cards"),
        ("is there parking", "store_location", "store-location"),
        ("how much is express delivery", "shipping_cost", "shipping-cost"),
        ("do you deliver to alaska", "shipping_time", "shipping-time"),
        ("does the warranty cover water damage", "warranty", "warranty"),
        ("can i pay in installments", "financing", "financing"),
        ("who pays the return of furniture", "return_policy", "returns"),
        ("do i still get help when a leg breaks after three years", "warranty", "warranty"),
        ("do you haul off the old bed", None, "old-furniture"),
        ("can i bring my dog into the store", None, "store-visit"),
        ("is it open on thanksgiving", "opening_hours", "opening-hours"),
    ],
)
async def test_a_paraphrase_finds_its_article_and_is_sure(
    shop: Database, retriever: Retriever, question: str, intent: str | None, article: str
) -> None:
    """Above the floor, cited with its version, with the evidence for it."""
    got = await found(shop, question, retriever, **({"intent": intent} if intent else {}))
    best = got.passages[0]
    assert best.source.article == article
    assert best.source.version
    assert got.grounding == best.grounding >= FLOOR
    assert best.tagged is (intent is not None)
    assert best.evidence is not None
    assert best.evidence.coverage > 0
    assert got.best_of >= len(got.passages) == PASSAGES


@pytest.mark.parametrize("question", ["tell me a joke about penguins", "who is the president of brazil"])
async def test_what_no_article_is_about_stays_below_the_floor(
    shop: Database, retriever: Retriever, question: str
) -> None:
    """The bot says that it does not know."""
    assert (await found(shop, question, retriever)).grounding < FLOOR


@pytest.mark.parametrize(
    "question",
    ["", " ", "the and of", "''' | & ! ( \\ :*", "\0\x07\xff", "x" * 100_000, "日本 العربية", "7 " * 999],
)
async def test_any_question_can_be_asked(shop: Database, retriever: Retriever, question: str) -> None:
    """Empty, enormous, binary, query syntax, other letters: the intent's articles, or an abstention."""
    assert (await found(shop, question, retriever)).grounding < FLOOR
    with_intent = await found(shop, question, retriever, intent="warranty")
    assert with_intent.passages
    assert all(passage.tagged for passage in with_intent.passages[:1])


async def test_an_old_version_can_be_looked_up_but_is_not_found(
    fresh_database_url: str, tmp_path: Path
) -> None:
    """Edited, taken back, deleted: what was cited keeps its words, and only what is current is found."""
    database = await Database.open(fresh_database_url, timeout_s=10.0)
    first = folder_of(tmp_path, teapot="Pots of clay.", kettle="Boils water.")
    assert ingest(fresh_database_url, first, Letters()) == ["kettle", "teapot"]
    version = (await found(database, "clay pots")).passages[0].source.version
    second = folder_of(tmp_path, teapot="Pots of iron.", kettle="Boils water.")
    assert ingest(fresh_database_url, second, Letters()) == ["teapot"]
    bodies = [passage.body for passage in (await found(database, "clay pots")).passages]
    assert bodies == ["Pots of iron.", "Boils water."]
    async with database.transaction() as tx:
        assert [(one.body, one.superseded) for one in await cited(tx, "teapot", version)] == [
            ("Pots of clay.", True)
        ]
        assert await cited(tx, "teapot", "no such") == ()
    assert ingest(fresh_database_url, first, Letters()) == ["teapot"]  # the edit is taken back
    async with database.transaction() as tx:
        assert not (await cited(tx, "teapot", version))[0].superseded
    assert ingest(fresh_database_url, first[:1], Letters()) == ["teapot"]
    assert {p.source.article for p in (await found(database, "clay pots")).passages} == {"kettle"}
    async with database.transaction() as tx:
        assert (await cited(tx, "teapot", version))[0].superseded
    assert ingest(fresh_database_url, first[:1], Letters()) == []
    await database.close()


async def test_vectors_of_another_embedding_are_refused_and_made_anew_on_command(
    fresh_database_url: str, tmp_path: Path
) -> None:
    """At boot and in a search; the message says what to run, and nothing is changed by the refusal."""
    database = await Database.open(fresh_database_url, timeout_s=10.0)
    articles = folder_of(tmp_path, teapot="Pots of clay.")
    ingest(fresh_database_url, articles)
    with pytest.raises(EmbeddingMismatch, match=r"no vectors.*voicebot kb ingest"):
        await found(database, "pots")
    ingest(fresh_database_url, articles, Letters())
    other = Retriever(Letters("runes"))
    with pytest.raises(EmbeddingMismatch, match=r"vectors of letters-1.*runes-1.*voicebot kb ingest"):
        await found(database, "pots", other)
    with pytest.raises(EmbeddingMismatch):
        ingest(fresh_database_url, folder_of(tmp_path, teapot="Pots of iron."), Letters("runes"))
    assert (await found(database, "pots")).passages[0].body == "Pots of clay."
    done = ingest_all(fresh_database_url, articles, Letters("runes"), again=True)
    assert (done.changed, done.embedded) == ((), 1)
    assert (await found(database, "pots", other)).passages
    await database.close()


async def test_an_article_for_a_region_is_found_there_only(fresh_database_url: str, tmp_path: Path) -> None:
    """Or where the question names it; one for everybody is found everywhere."""
    database = await Database.open(fresh_database_url, timeout_s=10.0)
    texts = {"hawaii": "hawaii::Sent by ship.", "vermont": "vermont::Sent by truck.", "all": "Sent at noon."}
    ingest(fresh_database_url, folder_of(tmp_path, **texts), Letters())

    async def articles(question: str, **how: str) -> set[str]:
        return {p.source.article for p in (await found(database, question, **how)).passages}

    assert await articles("when is it sent") == {"all"}
    assert await articles("when is it sent", intent="talk") == {"all"}
    assert await articles("when is it sent", region="vermont") == {"all", "vermont"}
    assert await articles("when is it sent to Hawaii") == {"all", "hawaii"}
    await database.close()


async def test_the_index_finds_what_the_scan_finds_and_stays_until_told_otherwise(
    fresh_database_url: str, tmp_path: Path
) -> None:
    """HNSW on request, with a region's filter; a later ingest keeps it, and so does another embedding."""
    database = await Database.open(fresh_database_url, timeout_s=10.0)
    draw = random.Random(1)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=9)) for _ in range(600)]
    texts = {f"n{at}": ("vermont::" if at % 10 else "") + word for at, word in enumerate(words)}
    articles = folder_of(tmp_path, **texts)
    assert not ingest_all(fresh_database_url, articles, Letters(), again=False).hnsw
    scan = await found(database, "zebra abbey", limit=30)
    near = [p.source.article for p in scan.passages]
    assert ingest_all(fresh_database_url, articles, Letters(), again=False, index="hnsw").hnsw
    async with database.transaction() as tx:
        await tx.execute("SET LOCAL enable_seqscan = off")  # so few rows are cheaper to scan
        await tx.execute("SET LOCAL enable_sort = off")
        indexed = await Retriever(Letters()).search(tx, "zebra abbey", limit=30)
    assert len(near) == len(indexed.passages) == 30
    assert len(set(near) & {p.source.article for p in indexed.passages}) >= 28
    assert ingest_all(fresh_database_url, articles[1:], Letters(), again=False).hnsw
    assert ingest_all(fresh_database_url, articles, Letters("runes"), again=True).hnsw
    assert not ingest_all(fresh_database_url, articles, Letters("runes"), again=True, index="exact").hnsw
    await database.close()


async def test_two_articles_nearly_alike_are_both_named(fresh_database_url: str, tmp_path: Path) -> None:
    """So that the bot can ask which is meant."""
    database = await Database.open(fresh_database_url, timeout_s=10.0)
    ingest(fresh_database_url, folder_of(tmp_path, ab="Cups.", ba="Cups.", far="Zzz."), Letters())
    got = await found(database, "cups saucers plates bowls")
    assert {passage.source.article for passage in got.ambiguous} == {"ab", "ba"}
    await database.close()


async def test_the_question_is_embedded_off_the_event_loop(fresh_database_url: str, tmp_path: Path) -> None:
    """A slow embedding does not stop the loop: whatever else runs on it goes on meanwhile."""
    import threading

    database = await Database.open(fresh_database_url, timeout_s=10.0)
    ingest(fresh_database_url, folder_of(tmp_path, teapot="Pots of clay."), Letters())
    loop = asyncio.get_running_loop()

    class Slow(Letters):
        def embed(self, texts: Sequence[str]) -> Vectors:
            came_round = threading.Event()
            loop.call_soon_threadsafe(came_round.set)
            assert came_round.wait(10), "the loop stood still"
            return super().embed(texts)

    assert (await found(database, "pots", Retriever(Slow()))).passages
    await database.close()
