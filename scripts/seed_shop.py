"""Fills the reference shop's tables in a database: schema, about 200 customers, their orders.

    .venv/bin/python scripts/seed_shop.py --url postgresql://... [--fresh] [--deployment DIR]

Without ``--fresh`` a shop that already has customers is left as it is. The server does the same at its
first start, so this is only needed for another database or a new day's dates.
"""

from __future__ import annotations

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from voicebot.dialogue.connectors.shop_setup import prepare_shop


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default=os.environ.get("DATABASE_URL"), help="else DATABASE_URL")
    parser.add_argument("--deployment", type=Path, default=Path("."))
    parser.add_argument("--fresh", action="store_true", help="throw the shop's tables away first")
    arguments = parser.parse_args()
    if not arguments.url:
        parser.error("give --url or set DATABASE_URL")
    if arguments.fresh:
        with psycopg.connect(arguments.url) as connection:
            connection.execute("DROP SCHEMA IF EXISTS shop CASCADE")
    today = datetime.now(UTC).date()
    orders = prepare_shop(arguments.url, arguments.deployment / "business" / "shop", today=today)
    print(
        f"{orders} orders written"
        if orders
        else "the shop is there already; nothing written (--fresh makes it new)"
    )


if __name__ == "__main__":
    main()
