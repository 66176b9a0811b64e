"""A real NATS server on a port of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def nats_server(folder: Path, *, port: int = -1) -> Generator[str]:
    """Starts ``nats-server`` (Debian's package of that name) on a free port; yields its URL."""
    program = shutil.which("nats-server", path="/usr/sbin:/usr/bin:/usr/local/bin")
    assert program is not None, "nats-server is not installed: apt-get install nats-server"
    folder.mkdir(parents=True, exist_ok=True)
    server = subprocess.Popen(
        [program, "-a", "127.0.0.1", "-p", str(port), "--ports_file_dir", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield _url(folder, server)
    finally:
        server.terminate()
        server.wait(60)


def _url(folder: Path, server: subprocess.Popen[bytes]) -> str:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert server.poll() is None, "nats-server ended"
        for file in folder.glob("*.ports"):
            try:
                return json.loads(file.read_text())["nats"][0]
            except ValueError:  # half written
                break
        time.sleep(0.02)  # another program's start cannot be awaited otherwise
    raise AssertionError("nats-server named no port")
