"""The database of a run: the deployment's schema, shop and articles; clean before each call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from datetime import date

from voicebot.core.settings import Settings
from voicebot.core.store.database import Database
from voicebot.core.store.migrate import ensure_schema
from voicebot.dialogue.connectors.shop_setup import prepare_shop
from voicebot.dialogue.deployment import Deployment
from voicebot.proof.evals.scratch import scratch_database
from voicebot.proof.evals.slate import Slate


class World:
    """Where it is, and how it becomes again what it was."""

    def __init__(self, url: str, wipe: Callable[[], None]) -> None:
        self.url = url
        self.wipe = wipe

    @classmethod
    @contextmanager
    def made(
        cls, deployment: Deployment, settings: Settings, day: date, url: str | None = None
    ) -> Generator[World]:
        """In a new server, or in the empty database ``url`` that has the schema.

        Raises:
            DeploymentError, EmbeddedPostgresError, ShopSetupError: it cannot be used.
        """
        with ExitStack() as stack:
            if url is None:
                url = stack.enter_context(scratch_database())
                ensure_schema(url)
            prepare_shop(url, deployment.folder / "business" / "shop", today=day)
            asyncio.run(deployment.prepare(url, settings.embedding))
            yield cls(url, asyncio.run(_slate(url)))


async def _slate(url: str) -> Callable[[], None]:
    database = await Database.open(url, timeout_s=30.0)
    try:
        slate = await Slate.of(database)
    finally:
        await database.close()

    async def wipe() -> None:
        again = await Database.open(url, timeout_s=30.0)
        try:
            await slate.on(again).wipe()
        finally:
            await again.close()

    return lambda: asyncio.run(wipe())
