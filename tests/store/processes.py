"""Owners of an embedded Postgres that tests may kill: each runs in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from voicebot.core.store import postmaster

NOT_DURABLE = {"fsync": "off"}
"""Ten times as fast on a busy disk. Loses nothing when processes die, only when the machine does."""

OWNER = """
import sys, time
from pathlib import Path
from voicebot.core.store.embedded import EmbeddedPostgres
server = EmbeddedPostgres.{how}(Path(sys.argv[1]), settings={{"fsync": "off"}})
print(server.pid, server.owner, server.data_dir, server.url, flush=True)
{then}
"""


class Owner:
    """A process that starts (or attaches to) the Postgres of ``data_dir`` and then sleeps."""

    def __init__(self, data_dir: Path, *, how: str = "start", then: str = "time.sleep(600)") -> None:
        self.process = python(OWNER.format(how=how, then=then), str(data_dir))
        assert self.process.stdout is not None
        pid, owner, cluster, self.url = self.process.stdout.readline().split()
        self.postgres_pid = int(pid)
        self.owns = owner == "True"
        self.cluster = Path(cluster)

    def kill(self) -> None:
        """``kill -9``."""
        self.process.kill()
        self.process.communicate()

    def postgres_processes(self) -> list[int]:
        """What is alive of its server."""
        return postmaster.processes(self.cluster)


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Runs ``code`` in a fresh interpreter."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


def eventually(true: Callable[[], bool], seconds: float = 30.0) -> bool:
    """Whether ``true`` becomes so; other processes' ends cannot be awaited otherwise."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
