"""The reference shop is the same for the same day, is filled once, and every order in it can be told."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path

import psycopg
import pytest
from dialogue_kit import DEPLOYMENT, ROOT, Talk

from voicebot.core.conversation import Keys
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.connectors.shop_setup import ShopSetupError, prepare_shop

SHOP = ROOT / "business" / "shop"
DAY = date(2026, 11, 20)


def dump(url: str) -> list[tuple]:
    with psycopg.connect(url) as connection:
        return [
            row
            for table in ("customers", "orders", "order_items", "shipments", "payments", "returns")
            for row in connection.execute(f"SELECT * FROM shop.{table} ORDER BY 1, 2".encode())  # noqa: S608
        ]


def test_the_same_day_gives_the_same_shop_and_a_full_one_is_left_alone(fresh_database_url: str) -> None:
    """Seeded once; a second start changes nothing; a fresh one is equal to the byte."""
    orders = prepare_shop(fresh_database_url, SHOP, today=DAY)
    first = dump(fresh_database_url)
    assert orders > 300
    assert prepare_shop(fresh_database_url, SHOP, today=date(2027, 1, 1)) == 0
    assert dump(fresh_database_url) == first
    with psycopg.connect(fresh_database_url) as connection:
        connection.execute("DROP SCHEMA shop CASCADE")
    prepare_shop(fresh_database_url, SHOP, today=DAY)
    assert dump(fresh_database_url) == first


def test_the_script_fills_a_database_and_says_so(fresh_database_url: str) -> None:
    """The command of the documentation, twice."""
    command = [sys.executable, "scripts/seed_shop.py", "--url", fresh_database_url]
    for says in ("orders written", "nothing written"):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert says in done.stdout


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        ("427103", "94107", "oak side table is on its way with"),
        ("518264", "60614", "wool rug, with the floor lamp, was delivered on"),
        ("635192", "73301", "linen sofa is being packed"),
        ("284917", "30305", "walnut desk, with two more items, is running late"),
        ("951738", "98109", "round mirror is out for delivery"),
        ("746205", "10025", "was cancelled, and six hundred ninety nine dollars went back to your"),
        ("362841", "85004", "three hundred ninety nine dollars is on its way to your"),
    ],
)
async def test_every_status_is_told_in_words(
    shop_database: Database, keys: KeyRing, number: str, code: str, words: str
) -> None:
    """Amounts, dates and items spoken; nothing that is not known."""
    talk = await Talk.begin(shop_database, keys)
    await talk.turn(Keys(digits="2"))
    await talk.turn(Keys(digits=number))
    said = await talk.turn(Keys(digits=code))
    assert words in said
    assert "None" not in said
    assert not any(character.isdigit() for character in said)


def test_every_order_has_a_line_and_all_its_slots(fresh_database_url: str) -> None:
    """No order of the shop leaves the bot without words: each outcome's slots have values."""
    prepare_shop(fresh_database_url, SHOP, today=DAY)
    with psycopg.connect(fresh_database_url) as connection:
        rows = connection.execute(
            "SELECT o.status, s.carrier, s.due_on, s.delivered_on, p.method FROM shop.orders o"
            " LEFT JOIN shop.shipments s ON s.order_number = o.number"
            " JOIN shop.payments p ON p.order_number = o.number"
        ).fetchall()
    needed = {"{carrier}": 1, "{due_on}": 2, "{delivered_on}": 3, "{paid_with}": 4}
    assert {row[0] for row in rows} >= {
        "processing",
        "shipped",
        "delivered",
        "delayed",
        "cancelled",
        "returned",
    }
    for row in rows:
        line = DEPLOYMENT.phrases.results[f"order_status.{row[0]}"]
        assert not [slot for slot, at in needed.items() if slot in line and row[at] is None]


def test_a_broken_schema_or_seed_is_named(fresh_database_url: str, tmp_path: Path) -> None:
    """The folder stands in the message; a deployment without a schema is none of our business."""
    assert prepare_shop(fresh_database_url, tmp_path, today=DAY) == 0
    (tmp_path / "schema.sql").write_text("CREATE TABEL x ();")
    with pytest.raises(ShopSetupError, match=tmp_path.name):
        prepare_shop(fresh_database_url, tmp_path, today=DAY)
