"""A real server for tests: ``voicebot serve`` in processes of its own, on a free port."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from media_client import MediaClient

from voicebot.core.store.data_dir import make_data_dir

REPOSITORY = Path(__file__).resolve().parents[1]
PHRASES = REPOSITORY / ".pytest_cache" / "phrases"
"""What one server of a run has rendered the others need not: a third of what a start costs."""

READY_S = 180
"""A start takes 6-10 s of a processor; on a busy machine many times as long."""

_READY = re.compile(r"voicebot is ready.* at (http://\S+)")


@dataclass
class Serving:
    """A running server. ``url`` is where it answers; ``lines`` is all it printed so far."""

    process: subprocess.Popen[str]
    url: str
    lines: list[str] = field(default_factory=list)

    def children(self, containing: str) -> list[psutil.Process]:
        """Processes of this server whose command line contains a word, e.g. ``engines.host``."""
        found: list[psutil.Process] = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # a backend of Postgres that ends just now
                if containing in " ".join(process.cmdline()):
                    found.append(process)
        return found

    async def conversation(self, call_sid: str, token: str | None = None) -> dict[str, Any]:
        """The conversation of a call, whole, by /api."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=60) as api:
            rows = (await api.get("/api/conversations", params={"limit": 100})).json()
            [row] = [row for row in rows if row["call_sid"] == call_sid]
            return (await api.get(f"/api/conversations/{row['id']}")).json()

    async def answers(self, caller: MediaClient, ulaw: bytes) -> None:
        """A caller says a line and hears the answer begin: says it again when it was not heard, as when the
        recogniser of a busy machine is late.
        """

        async def turns_since(known: int) -> list[str]:
            turns = (await self.conversation(caller.call_sid))["turns"]
            return [turn["input"]["kind"] for turn in turns[known:]]

        known = len(await turns_since(0))
        caller.say(ulaw)
        async with asyncio.timeout(120):
            while "utterance" not in (new := await turns_since(known)):
                if new:
                    known += len(new)
                    await caller.quiet(1.0, within_s=60)
                    caller.say(ulaw)
                await asyncio.sleep(0.2)
        await caller.spoken_to(1.0, within_s=60)


def environment_of(data_dir: Path, **environment: str) -> dict[str, str]:
    """Ours without any ``VOICEBOT_*``, ``TWILIO_*`` and ``DATABASE_*``, plus ``environment``."""
    base = {k: v for k, v in os.environ.items() if not k.startswith(("VOICEBOT_", "TWILIO_", "DATABASE_"))}
    ours = {"VOICEBOT_DATA_DIR": str(data_dir), "VOICEBOT_ADMISSION": "configured", "PYTHONUNBUFFERED": "1"}
    return {**base, **ours, **environment}  # a busy machine that runs tests must not turn calls away


def shares_phrases(data_dir: Path) -> None:
    """Makes a data directory whose phrases are those of all servers of this run."""
    PHRASES.mkdir(parents=True, exist_ok=True)
    make_data_dir(data_dir)
    link = data_dir / "phrases"
    if not link.exists():
        link.symlink_to(PHRASES, target_is_directory=True)


@contextmanager
def serving(*arguments: str, data_dir: Path, **environment: str) -> Iterator[Serving]:
    """Starts ``voicebot serve --port 0`` with ``arguments``, waits until it is ready, ends it.

    The environment is ours without any ``VOICEBOT_*`` and ``TWILIO_*``, plus ``environment``.

    Raises:
        AssertionError: it did not become ready; the message holds what it printed.
    """
    shares_phrases(data_dir)
    process = subprocess.Popen(
        [sys.executable, "-m", "voicebot.cli", "serve", "--port", "0", *arguments],
        cwd=REPOSITORY,
        env=environment_of(data_dir, **environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    server = Serving(process, "")
    ready = threading.Event()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            server.lines.append(line)
            found = _READY.search(line)
            if found:
                server.url = found.group(1)
                ready.set()
        ready.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        assert ready.wait(READY_S), f"not ready in {READY_S} s:\n" + "".join(server.lines)
        assert server.url, "it ended:\n" + "".join(server.lines)
        yield server
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
        reader.join(5)
        assert process.stdout is not None
        process.stdout.close()
