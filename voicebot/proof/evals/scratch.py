"""A database of the run's own: a new server in a temporary folder, gone afterwards."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from voicebot.core.store import embedded
from voicebot.core.store.embedded import EmbeddedPostgres
from voicebot.core.store.migrate import ensure_schema
from voicebot.dialogue.connectors.shop_setup import prepare_shop
from voicebot.dialogue.deployment import Deployment
from voicebot.proof.evals.conversation import SetRules


@contextmanager
def scratch_database() -> Generator[str]:
    """URL of an empty database. Nothing of the server's own data is touched, and nothing is left.

    Raises:
        EmbeddedPostgresError: it cannot be started.
    """
    home = Path(tempfile.mkdtemp(prefix="vb-eval-"))
    home.chmod(0o755)  # as root another account runs Postgres, and must reach it
    try:
        with EmbeddedPostgres.start(home / "data", settings={"fsync": "off"}) as server:
            yield server.url
    finally:
        embedded.erase(home / "data")
        shutil.rmtree(home, ignore_errors=True)


async def prepare(url: str, deployment: Deployment, rules: SetRules) -> None:
    """Schema, articles, and the shop as it stands on the set's day.

    Raises:
        DeploymentError, ShopSetupError: the deployment cannot be used.
    """
    ensure_schema(url)
    prepare_shop(url, deployment.folder / "business" / "shop", today=rules.today)
    await deployment.prepare(url)
