"""Articles go in once per version, come out by meaning of their words, and weak grounding stays weak."""

from __future__ import annotations

from pathlib import Path

import pytest

from voicebot.core.store.database import Database
from voicebot.dialogue.knowledge.articles import ArticleError, read_article, read_articles
from voicebot.dialogue.knowledge.ingest import ingest
from voicebot.dialogue.knowledge.search import search

FRONT = "---\ntitle: T\nintents: [warranty]\nowner: o\nreviewed: 2026-01-01\n---\n"


@pytest.fixture
def database(shop_database: Database) -> Database:
    """The shop is there already."""
    return shop_database


async def best(database: Database, question: str, intent: str | None = None) -> tuple[str, str, float]:
    async with database.transaction() as tx:
        passage = (await search(tx, question, intent=intent))[0]
    return passage.source.article, passage.heading, passage.grounding


@pytest.mark.parametrize(
    ("question", "intent", "article", "heading"),
    [
        ("are you open on thanksgiving", "opening_hours", "opening-hours", "Holidays"),
        ("is there parking", "store_location", "store-location", "Parking"),
        ("how much is express delivery", "shipping_cost", "shipping-cost", "Express"),
        ("do you deliver to alaska", "shipping_time", "shipping-time", "Where we deliver"),
        ("does the warranty cover water damage", "warranty", "warranty", "Not covered"),
        ("can i pay in installments", "payment_methods", "payment", "Installments"),
        ("can you take my old mattress away", None, "old-furniture", ""),
        ("what does the membership cost", None, "plus", ""),
        ("who pays the return of furniture", "return_policy", "returns", "What a return costs"),
    ],
)
async def test_the_right_part_of_the_right_article_is_found(
    database: Database, question: str, intent: str | None, article: str, heading: str
) -> None:
    """By what was asked, with and without a known intent."""
    found = await best(database, question, intent)
    assert found[0] == article
    assert found[1].startswith(heading)
    assert found[2] >= 0.45


@pytest.mark.parametrize(
    "question", ["who is the president of brazil", "do you sell insurance for my boat trip"]
)
async def test_what_no_article_is_about_has_little_grounding(database: Database, question: str) -> None:
    """Below the policy's floor: the bot abstains."""
    async with database.transaction() as tx:
        passages = await search(tx, question, intent=None)
    assert all(passage.grounding < 0.45 for passage in passages)


@pytest.mark.parametrize("question", ["", "the and of", "''' | & ! ( \\", "a'b\\c & d:*", "x" * 3000, "日本"])
async def test_any_question_can_be_asked(database: Database, question: str) -> None:
    """Empty, only stop words, full of query syntax: no error."""
    async with database.transaction() as tx:
        await search(tx, question, intent=None)
        assert await search(tx, question, intent="warranty")


async def test_ingesting_again_changes_only_what_changed(fresh_database_url: str, tmp_path: Path) -> None:
    """New text is a new version; unchanged articles are left alone; removed ones go."""
    database = await Database.open(fresh_database_url)
    for name in ("teapot", "kettle"):
        (tmp_path / f"{name}.md").write_text(
            f"{FRONT}The {name} text.\n\n## Details\nDetails of the {name}.\n"
        )
    assert ingest(fresh_database_url, read_articles(tmp_path)) == ["kettle", "teapot"]
    assert ingest(fresh_database_url, read_articles(tmp_path)) == []
    before = await best(database, "teapot details", None)
    (tmp_path / "teapot.md").write_text(f"{FRONT}Quite another lamp.\n")
    (tmp_path / "kettle.md").unlink()
    assert ingest(fresh_database_url, read_articles(tmp_path)) == ["kettle", "teapot"]
    assert before[:2] == ("teapot", "Details")
    assert (await best(database, "lamp"))[2] == 1.0
    async with database.transaction() as tx:
        row = await (await tx.execute("SELECT count(*) AS n FROM chunks WHERE current")).fetchone()
    assert row is not None
    assert row["n"] == 1
    await database.close()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("no front matter", "front matter"),
        ("---\ntitle: T\n---\nText.\n", "owner"),
        (FRONT, "chunks"),
        (FRONT.replace("owner: o", "owner: o\nmood: good") + "Text.", "mood"),
        ("---\n- a\n---\nText.", "front matter"),
        ("---\ntitle: [\n---\nText.", "YAML"),
    ],
)
def test_an_article_that_cannot_be_used_is_named(tmp_path: Path, text: str, says: str) -> None:
    """File and key stand in the message."""
    path = tmp_path / "bad.md"
    path.write_text(text)
    with pytest.raises(ArticleError, match=rf"bad\.md.*{says}"):
        read_article(path)
