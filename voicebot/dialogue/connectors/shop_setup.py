"""At boot: the deployment's own schema is applied, and an empty shop is filled by its seed."""

from __future__ import annotations

import importlib.util
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import LiteralString, cast

import psycopg

_LOCK = 0x73686F70  # "shop": two booting servers take turns


class ShopSetupError(Exception):
    """The deployment's schema or seed cannot be used; the message names the file."""


def prepare_shop(url: str, folder: Path, *, today: date) -> int:
    """Applies ``schema.sql`` and, when there is a ``seed.py`` and no customer, fills the tables.

    Args:
        url: ``postgresql://...``.
        folder: the deployment's ``business/shop``; nothing happens when it holds no schema.
        today: dates of the seed are relative to it.

    Returns:
        Orders written by the seed; 0 when the shop was there.

    Raises:
        ShopSetupError: a file cannot be used.
    """
    schema, seed = folder / "schema.sql", folder / "seed.py"
    if not schema.exists():
        return 0
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            connection.execute(cast("LiteralString", schema.read_text(encoding="utf-8")))
            if not seed.exists():
                return 0
            row = connection.execute("SELECT EXISTS (SELECT 1 FROM shop.customers)").fetchone()
            if row is None or row[0]:
                return 0
            with connection.cursor() as cursor:
                return int(_load(seed).seed(cursor, today=today))
    except (psycopg.errors.SyntaxError, psycopg.errors.UndefinedTable, psycopg.DataError) as error:
        raise ShopSetupError(f"{folder}: {error}") from error


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("deployment_shop_seed", path)
    if spec is None or spec.loader is None:
        raise ShopSetupError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up while the class is made.
    import sys

    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    if not hasattr(module, "seed"):
        raise ShopSetupError(f"{path} defines no function `seed(cursor, *, today)`")
    return module
