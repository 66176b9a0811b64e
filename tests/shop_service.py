"""The shop's HTTP service as a process of its own, and a connector to it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[1]
TOKEN = "for tests"


class ShopService:
    """The running service. ``url`` is its base; `restart` comes back on the same port after it died."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._port = 0
        self._process = self._start()

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``."""
        return f"http://127.0.0.1:{self._port}"

    def client(self, **options: Any) -> httpx.AsyncClient:
        """A client with the service's token."""
        return httpx.AsyncClient(
            base_url=self.url, headers={"Authorization": f"Bearer {TOKEN}"}, **{"timeout": 30.0, **options}
        )

    def breaks(self, **faults: Any) -> None:
        """What goes wrong with the next change (``times``: the next ones)."""
        response = httpx.put(
            f"{self.url}/faults",
            json={"times": 1, **faults},
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=30.0,
        )
        response.raise_for_status()

    def wait_dead(self) -> int:
        """Waits until it has died; the exit status."""
        return self._process.wait(timeout=30)

    def restart(self) -> None:
        """Again, on the same port."""
        self.close()
        self._process = self._start()

    def close(self) -> None:
        """Ends it."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(timeout=30)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(  # our own file
            [
                sys.executable,
                str(ROOT / "business/shop/service.py"),
                f"--database-url={self._database_url}",
                f"--port={self._port}",
                "--faults",
            ],
            env={**os.environ, "SHOP_TOKEN": TOKEN, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        said = re.search(r":(\d+)$", process.stdout.readline().strip())
        assert said is not None, "the shop's service did not start"
        self._port = int(said[1])
        return process


@contextmanager
def running(database_url: str) -> Iterator[ShopService]:
    """The service on a database with the shop in it."""
    service = ShopService(database_url)
    try:
        yield service
    finally:
        service.close()
