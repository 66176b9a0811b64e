"""Fixtures of the whole suite: one embedded Postgres, a fresh migrated database for each test."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from database_kit import Shelf, database_url_of, name_in
from hypothesis import HealthCheck, settings
from keys_kit import MASTER_KEY
from serving import PHRASES
from xdist.scheduler import LoadFileScheduling

from voicebot.core.store import embedded
from voicebot.core.store.chain.linking import Linker
from voicebot.core.store.database import Database
from voicebot.core.store.embedded import EmbeddedPostgres
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.migrate import ensure_schema

REAL_TIME = (
    "tests/faults/test_serve_faults.py",
    "tests/wire/test_serve_calls.py",
    "tests/wire/test_rating_calls.py",
    "tests/wire/test_bad_line_calls.py",
    "tests/wire/test_local_twilio_caller.py",
    "tests/store/test_browser_calls.py",
    "tests/store/test_browser_page.py",
)
"""Files in which sound is spoken and heard as it comes. A recogniser that is late is given up, as in life,
and sound that is late has holes: on two cores they may share these with other tests, but not with each other,
and they come first."""

CHROMIUM = "tests/browser/"

CLOUD = (
    "tests/wire/test_handoff_summaries.py",
    "tests/wire/test_models_streaming.py",
    "tests/wire/test_writers_fallback.py",
)
"""Files that need the cloud models' libraries, which take four seconds to import."""

TOGETHER = {"real time": REAL_TIME, "chromium": CHROMIUM, "cloud": CLOUD}
"""Files that run on one worker, one after the other."""

LONG = (*REAL_TIME, CHROMIUM)
"""Files with real calls, which wait more than they compute: first, so that the rest runs beside them."""

AFTER_LONG = 5
"""Niceness of all that is not of ``LONG``."""

TEMPLATE = "voicebot_template"

os.environ.pop("SSL_CERT_FILE", None)
os.environ["SSL_CERT_DIR"] = str(Path(__file__).parent)
"""Nothing here speaks TLS: no certificates, which every HTTP client would read for 30 ms."""

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")  # no made-up case fails because the machine was busy

PATIENCE_S = 10.0
"""Of the tests' database: a machine with three tests at once may stall for longer than a server waits."""


def is_worker(config: pytest.Config) -> bool:
    """Whether this process runs a part of the suite, beside others."""
    return hasattr(config, "workerinput")


def pytest_configure(config: pytest.Config) -> None:
    """What servers of an earlier run rendered is not this run's."""
    if not is_worker(config):
        shutil.rmtree(PHRASES, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is collected stays: half a million objects that nobody looks through for garbage."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files first, then all folders evenly mixed, since some wait and some compute; the order within
    a file stays.
    """
    files: dict[Path, dict[Path, None]] = {}
    for item in items:
        files.setdefault(item.path.parent, {})[item.path] = None
    place = {file: (nth + 0.5) / len(folder) for folder in files.values() for nth, file in enumerate(folder)}

    def key(item: pytest.Item) -> tuple[int, float]:
        long = (at for at, name in enumerate(LONG) if item.nodeid.startswith(name))
        at = next(long, len(LONG))
        return at, place[item.path] if at == len(LONG) else 0.0

    items.sort(key=key)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A worker that is not, or no longer, at ``LONG`` leaves the processors to those that are."""
    if is_worker(item.config) and not item.nodeid.startswith(LONG):
        os.nice(max(0, AFTER_LONG - os.nice(0)))


class OneAtATime(LoadFileScheduling):
    """A file's tests run on one worker, and all of a group of ``TOGETHER`` do."""

    def _split_scope(self, nodeid: str) -> str:
        group = next((name for name, files in TOGETHER.items() if nodeid.startswith(files)), None)
        return super()._split_scope(nodeid) if group is None else group


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneAtATime | None:
    """For ``--dist loadfile``."""
    return OneAtATime(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The suite's server. Not durable: ``fsync`` off. For tests that stop it, start one of your own."""
    home = Path(tempfile.mkdtemp(prefix="vb-test-"))
    home.chmod(0o755)  # so that as root the database lies below it
    with EmbeddedPostgres.start(home / "data", settings={"fsync": "off"}) as server:
        yield server
    embedded.erase(home / "data")
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def database_url(postgres: EmbeddedPostgres) -> str:
    """A migrated database of the session. It is the template of all others and can only be read: never
    connect to it for long; servers under test take `fresh_database_url`.
    """
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {TEMPLATE}")
    url = database_url_of(postgres.url, TEMPLATE)
    ensure_schema(url)
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {TEMPLATE} SET default_transaction_read_only = on")
    return url


@pytest.fixture(scope="session")
def shelf(postgres: EmbeddedPostgres, database_url: str) -> Iterator[Shelf]:
    """Migrated, empty databases."""
    with closing(Shelf(postgres.url, name_in(database_url))) as databases:
        yield databases


@pytest.fixture
def fresh_database_url(shelf: Shelf) -> Iterator[str]:
    """URL of a migrated, empty database of this test alone."""
    with shelf.lent() as url:
        yield url


@pytest_asyncio.fixture
async def database(fresh_database_url: str) -> AsyncIterator[Database]:
    """An open `Database` on `fresh_database_url`; its audit is chained."""
    opened = await Database.open(
        fresh_database_url, timeout_s=PATIENCE_S, at_commit=Linker(KeyRing(MASTER_KEY))
    )
    yield opened
    await opened.close()


@pytest.fixture
def keys() -> KeyRing:
    """A key ring with a fixed master key."""
    return KeyRing(MASTER_KEY)
