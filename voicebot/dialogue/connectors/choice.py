"""Which connector a deployment has: ``business/shop/connector.yaml``; none means our own database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import httpx
import yaml
from pydantic import Field, ValidationError, model_validator

from voicebot.core.conversation import Strict
from voicebot.core.documents import parse_yaml
from voicebot.core.store.database import Database
from voicebot.dialogue.connectors.http import HttpConnector
from voicebot.dialogue.connectors.postgres import PostgresConnector
from voicebot.dialogue.connectors.queries import Query

_STARTS_S = 15.0


class ConnectionUnusable(Exception):
    """The file cannot be used, or the service does not start; the message says what to write."""


class Connection(Strict):
    """How the shop is reached. ``timeout_s``: of one attempt; ``attempts``: of a read, or under one key."""

    kind: Literal["local", "http"] = "local"
    url: str | None = None
    token_env: str | None = Field(default=None, pattern=r"^[A-Z][A-Z0-9_]*$")
    timeout_s: float = Field(default=1.5, gt=0, le=10)
    attempts: int = Field(default=2, ge=1, le=4)
    start: bool = False

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.kind == "http") != (self.url is not None):
            raise ValueError("`url` is given exactly when `kind` is http")
        if self.kind == "local" and (self.start or self.token_env):
            raise ValueError("`start` and `token_env` belong to `kind: http`")
        if self.url is not None:
            parts = urlsplit(self.url)
            home = parts.hostname in {"127.0.0.1", "::1", "localhost"}
            if parts.scheme not in {"http", "https"} or not parts.hostname:
                raise ValueError("`url` is http://HOST:PORT or https://HOST")
            if parts.scheme == "http" and not home:
                raise ValueError("`url`: records of people leave this machine: https")
            if self.start and not (home and parts.port):
                raise ValueError("`start` needs a `url` on this machine, with a port")
        return self

    def headers(self) -> dict[str, str]:
        """What every request carries.

        Raises:
            ConnectionUnusable: the token's variable is not set.
        """
        if self.token_env is None:
            return {}
        token = os.environ.get(self.token_env)
        if not token:
            raise ConnectionUnusable(f"connector.yaml: token_env names {self.token_env}, which is not set")
        return {"Authorization": f"Bearer {token}"}


def read_connection(path: Path) -> Connection:
    """The file's connection; a local one without the file.

    Raises:
        ConnectionUnusable: it cannot be used.
    """
    if not path.exists():
        return Connection()
    try:
        document: Any = parse_yaml(path.read_text(encoding="utf-8"))
        return Connection.model_validate_json(json.dumps(document))
    except (OSError, yaml.YAMLError, TypeError) as error:
        raise ConnectionUnusable(f"{path}: {error}") from error
    except ValidationError as error:
        wrong = [
            f"{'.'.join(map(str, one['loc'])) or '(whole file)'}: {one['msg']}" for one in error.errors()
        ]
        raise ConnectionUnusable(f"{path}:\n  " + "\n  ".join(wrong)) from error


def connect(
    connection: Connection, database: Database, queries: Mapping[str, Query]
) -> PostgresConnector | HttpConnector:
    """The connector. Close a `HttpConnector` when the node ends.

    Raises:
        ConnectionUnusable: the token's variable is not set.
    """
    if connection.url is None:
        return PostgresConnector(database, queries)
    client = httpx.AsyncClient(
        base_url=connection.url, headers=connection.headers(), timeout=connection.timeout_s
    )
    return HttpConnector(client, queries, attempts=connection.attempts)


@contextmanager
def started(connection: Connection, folder: Path, database_url: str) -> Generator[None]:
    """Runs the shop's own service beside us, where the connection says so; ended with the block.

    Raises:
        ConnectionUnusable: it does not start, or its token is not set.
    """
    connection.headers()
    if not connection.start or connection.url is None:
        yield
        return
    environment = {**os.environ}
    if connection.token_env is not None:
        environment["SHOP_TOKEN"] = environment.get(connection.token_env, "")
    process = subprocess.Popen(
        [
            sys.executable,
            str(folder / "service.py"),
            f"--database-url={database_url}",
            f"--port={urlsplit(connection.url).port}",
        ],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        if not process.stdout.readline().startswith("listening"):
            raise ConnectionUnusable(
                f"{folder / 'service.py'} does not start: exit {process.wait(_STARTS_S)}"
            )
        yield
    finally:
        process.terminate()
        process.wait(_STARTS_S)
        if process.stdout is not None:
            process.stdout.close()
