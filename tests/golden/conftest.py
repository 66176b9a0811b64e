"""The reference shop as it stands on the golden set's day, made once. Golden runs only add conversations."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from deployment_kit import REFERENCE

from voicebot.core.store.embedded import EmbeddedPostgres
from voicebot.dialogue.deployment import Deployment
from voicebot.proof.evals.reading import GoldenSet, read_set
from voicebot.proof.evals.scratch import prepare

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def deployment() -> Deployment:
    return REFERENCE


@pytest.fixture(scope="session")
def golden() -> GoldenSet:
    return read_set(ROOT / "business" / "golden")


@pytest.fixture(scope="session")
def shop_url(postgres: EmbeddedPostgres, deployment: Deployment, golden: GoldenSet) -> Iterator[str]:
    name = "golden_runs"
    head, _, query = postgres.url.partition("?")
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        url = f"{head.rpartition('/')[0]}/{name}?{query}"
        asyncio.run(prepare(url, deployment, golden.rules))
        yield url
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
