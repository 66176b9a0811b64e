"""What found no answer is counted without naming anybody; what helped before is found by shape alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql
from typer.testing import CliRunner

from voicebot.cli import app
from voicebot.core.conversation import Channel, Urgency
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.knowledge import gaps, similar
from voicebot.dialogue.knowledge.ingest import ingest
from voicebot.dialogue.knowledge.similar import Shape

KEYS = KeyRing(b"k" * 32)
FRONT = "---\ntitle: {name}\nintents: [{intent}]\nowner: o\nreviewed: {reviewed}\n---\n{text}\n"


async def log(
    database: Database, question: str, conversation: str = "", intent: str | None = "warranty"
) -> None:
    async with database.transaction() as tx:
        await gaps.log(
            tx,
            question,
            intent,
            "no_grounding",
            index=KEYS.index,
            conversation=conversation,
            known={"insurance"},
        )


async def listed(database: Database) -> list[tuple[tuple[str, ...], int, int]]:
    async with database.transaction() as tx:
        return [(gap.keywords, gap.hidden, gap.count) for gap in await gaps.gaps(tx)]


async def test_a_gap_is_counted_by_its_keywords(database: Database) -> None:
    """Order, chatter and stop words make no other question; intent and reason do."""
    for question in ("do you have insurance", "insurance please", "well, the insurance?"):
        await log(database, question)
    await log(database, "insurance", intent=None)
    assert await listed(database) == [(("insurance",), 0, 3), (("insurance",), 0, 1)]


async def test_a_word_that_may_be_a_name_is_held_back_until_several_used_it(database: Database) -> None:
    """One conversation's repetition counts once; no table holds the word before."""
    for _ in range(5):
        await log(database, "insurance for quimby", conversation="one")
    await log(database, "insurance for quimby", conversation="two")
    assert await listed(database) == [(("insurance",), 1, 6)]
    async with database.transaction() as tx:
        rows: list[Any] = []
        for table in ("knowledge_gaps", "gap_words"):
            query = sql.SQL("SELECT {0}::text AS row FROM {0}").format(sql.Identifier(table))
            rows += await (await tx.execute(query)).fetchall()
    assert rows
    assert not [row for row in rows if "quimby" in row["row"]]
    await log(database, "insurance for quimby", conversation="three")
    assert await listed(database) == [(("insurance",), 1, 6), (("insurance", "quimby"), 0, 1)]


async def test_two_conversations_that_take_turns_are_two(database: Database) -> None:
    """A word is not shown because two callers said it again and again."""
    for conversation in ("one", "two") * 4:
        await log(database, "insurance for quimby", conversation=conversation)
    assert await listed(database) == [(("insurance",), 1, 8)]


async def test_a_digest_cannot_be_opened_with_a_dictionary(database: Database) -> None:
    """Another key gives another digest, and no two words of one conversation share one."""
    await log(database, "quimby snodgrass", conversation="one")
    async with database.transaction() as tx:
        rows = await (await tx.execute("SELECT digest, seen_by FROM gap_words")).fetchall()
    digests = {bytes(row["digest"]) for row in rows}
    assert digests == {KEYS.index("gap word", "quimby"), KEYS.index("gap word", "snodgrass")}
    assert not digests & {KeyRing(b"j" * 32).index("gap word", word) for word in ("quimby", "snodgrass")}
    assert rows[0]["seen_by"] != rows[1]["seen_by"]


async def test_a_flood_of_rare_words_is_a_few_rows(database: Database) -> None:
    """What anybody can write into the table at once is bounded."""
    await log(database, " ".join(f"zorb{'abcdefgh'[n % 8]}{'abcdefgh'[n // 8]}" for n in range(64)))
    async with database.transaction() as tx:
        row = await (await tx.execute("SELECT count(*) AS n FROM gap_words")).fetchone()
    assert row is not None
    assert row["n"] == gaps.MAX_WORDS


async def test_digests_that_nobody_used_again_are_forgotten(database: Database) -> None:
    """After their days, not before, by the next ingest."""
    await log(database, "quimby", conversation="one")
    await log(database, "snodgrass", conversation="one")
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE gap_words SET last_at = now() - make_interval(days => CASE WHEN ctid = (SELECT min(ctid)"
            " FROM gap_words) THEN 91 ELSE 89 END)"
        )
    ingest(database.url, ())
    async with database.transaction() as tx:
        row = await (await tx.execute("SELECT count(*) AS n FROM gap_words")).fetchone()
    assert row is not None
    assert row["n"] == 1


@pytest.mark.parametrize("question", ["", "\0\xff", "日本", "9" * 5000, "x" * 100_000, "a'b | c & !"])
async def test_any_question_can_be_a_gap(database: Database, question: str) -> None:
    """Without an error, without its words."""
    await log(database, question)
    assert len(await listed(database)) == 1


async def test_cases_are_found_by_what_happened(database: Database) -> None:
    """Equal shapes are one row with a count; the likest first; another intent is no case."""
    late = Shape(intents=("order_status",), tools=("order_status.delayed",), channel=Channel.PHONE)
    angry = late.model_copy(update={"mood": "low", "urgency": Urgency.HIGH})
    other = Shape(intents=("warranty",), channel=Channel.PHONE)
    async with database.transaction() as tx:
        for _ in range(3):
            await similar.record(tx, late, resolution="answered", articles=["shipping-time"])
        await similar.record(tx, angry, resolution="person")
        await similar.record(tx, other, resolution="answered")
        cases = await similar.find(tx, late)
        assert [(case.resolution, case.count, case.articles) for case in cases] == [
            ("answered", 3, ("shipping-time",)),
            ("person", 1, ()),
        ]
        assert cases[0].likeness == 1.0 > cases[1].likeness
        assert await similar.find(tx, Shape(intents=("gift_card",))) == []
        assert await similar.find(tx, Shape()) == []


@pytest.fixture
def shop(tmp_path: Path, fresh_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A deployment with two articles, and the settings that lead to it."""
    knowledge = tmp_path / "business" / "knowledge"
    knowledge.mkdir(parents=True)
    (tmp_path / "business" / "intents.yaml").write_text("intents: {warranty: {}, returns: {}}\n")
    (tmp_path / "models").symlink_to(Path(__file__).parents[2] / "models")
    for name, reviewed, text in (
        ("warranty", "2020-01-01", "Our furniture has a warranty of five years."),
        ("returns", "2100-01-01", "You can return it within thirty days."),
    ):
        (knowledge / f"{name}.md").write_text(
            FRONT.format(name=name, intent=name, reviewed=reviewed, text=text)
        )
    monkeypatch.setenv("DATABASE_URL", fresh_database_url)
    monkeypatch.setenv("VOICEBOT_DEPLOYMENT", str(tmp_path))
    monkeypatch.setenv("VOICEBOT_EMBEDDING", "lsa")
    monkeypatch.setenv("VOICEBOT_ENV_FILE", str(tmp_path / "none"))
    return tmp_path


def kb(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["kb", *arguments])
    return result.exit_code, result.output


def test_the_command_ingests_searches_and_names_what_is_due(shop: Path) -> None:
    """Exit status 1 where the bot would abstain, and while a review is overdue; 2 for a bad article."""
    status, text = kb("search", "how long is the warranty")
    assert (status, "voicebot kb ingest" in text) == (2, True)
    status, text = kb("ingest", "--json")
    assert (status, json.loads(text)["changed"]) == (0, ["returns", "warranty"])
    assert "2 articles, 2 chunks, searched by an exact scan" in kb("ingest")[1]
    status, text = kb("search", "how long is the warranty", "--intent", "warranty", "--json")
    document = json.loads(text)
    assert status == 0
    assert document["passages"][0]["source"]["article"] == "warranty"
    assert document["passages"][0]["stale"] is True
    assert document["grounding"] >= document["floor"]
    status, text = kb("search", "a joke about penguins")
    assert (status, "abstains" in text) == (1, True)
    status, text = kb("stale", "--json")
    assert (status, [one["article"] for one in json.loads(text)]) == (1, ["warranty"])
    assert "no gaps" in kb("gaps")[1]
    (shop / "business" / "knowledge" / "returns.md").write_text("No front matter.")
    status, text = kb("ingest")
    assert (status, "returns.md: must begin with front matter" in text.replace("\n", " ")) == (2, True)


async def test_the_command_shows_gaps(shop: Path, fresh_database_url: str) -> None:
    """The most frequent first."""
    import asyncio

    database = await Database.open(fresh_database_url, timeout_s=10.0)
    await log(database, "insurance")
    await database.close()
    status, text = await asyncio.to_thread(kb, "gaps")
    assert (status, "insurance" in text, "no_grounding" in text) == (0, True, True)
