"""Starts the two bots of a comparison as outside programs, and weighs their processes."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent.parent
READY_S = 120.0
STOP_S = 30.0


class BenchError(Exception):
    """A measurement cannot be made; the message says why and what to do."""


@dataclass(frozen=True)
class Bot:
    """A running phone bot. ``ready_s``: from its start as a process until it took calls."""

    name: str
    url: str
    pid: int
    ready_s: float

    @property
    def voice_url(self) -> str:
        """Where a call is announced."""
        return f"{self.url}/twilio/voice"

    @property
    def status_url(self) -> str | None:
        """Where the end of a call is told; the stock bot has no such place."""
        return None if self.name == "stock" else f"{self.url}/twilio/status"

    def pss_mb(self) -> dict[str, float]:
        """Proportional set size by part of the program, with everything it started, Postgres included."""
        parts: dict[str, float] = {}
        top = psutil.Process(self.pid)
        for process in [top, *top.children(recursive=True)]:
            try:
                part = _part(process.cmdline())
                parts[part] = parts.get(part, 0.0) + process.memory_full_info().pss / 1e6
            except psutil.NoSuchProcess:
                continue
            except psutil.AccessDenied as error:
                raise BenchError(
                    f"may not read the memory of {process.name()} (pid {process.pid}): run the bench as root"
                ) from error
        return parts


def _part(command: list[str]) -> str:
    """What a process is, from its command line."""
    line = " ".join(command)
    if "postgres" in line:
        return "Postgres"
    if "voicebot.audio.engines.host" in line:
        after = command[command.index("voicebot.audio.engines.host") + 1 :]
        return "engine " + next((word for word in after if not word.startswith("-")), "")
    if "voicebot.runtime.node" in line:
        return "call node"
    return "stock bot" if "stock_bot" in line else "supervisor"


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def end_tidily_on_sigterm() -> None:
    """Makes SIGTERM unwind the stack, so that no bot outlives its bench."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def environment(data_dir: Path, **settings: str) -> dict[str, str]:
    """Our environment without any setting of voicebot's, plus ``settings``."""
    clean = {
        k: v for k, v in os.environ.items() if not k.startswith(("VOICEBOT_", "TWILIO_", "DATABASE_URL"))
    }
    return {**clean, "VOICEBOT_DATA_DIR": str(data_dir), "VOICEBOT_LOG_LEVEL": "WARNING", **settings}


@contextmanager
def data_directory() -> Iterator[Path]:
    """An empty data directory for one server, gone afterwards with its database.

    Open to be entered by the user that runs Postgres for root, or the database would lie elsewhere.
    """
    with tempfile.TemporaryDirectory(prefix="bench-data-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@contextmanager
def voicebot(data_dir: Path, *arguments: str, signed: bool = False, **settings: str) -> Iterator[Bot]:
    """``voicebot serve --insecure-local`` on a data directory, until the block ends.

    ``signed``: without that flag; ``settings`` then need TWILIO_AUTH_TOKEN.

    Raises:
        BenchError: it did not become ready.
    """
    end_tidily_on_sigterm()
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "voicebot.cli",
        "serve",
        *([] if signed else ["--insecure-local"]),
        "--port",
        str(port),
        *arguments,
    ]
    settings.setdefault("VOICEBOT_DRAIN_S", "1")
    settings.setdefault("VOICEBOT_ADMISSION", "configured")  # a bench says itself how many calls there are
    with tempfile.TemporaryFile() as log:
        began = time.monotonic()
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment(data_dir, **settings), stdout=log, stderr=subprocess.STDOUT
        )
        try:
            url = f"http://127.0.0.1:{port}"
            while not _answers(f"{url}/readyz"):
                if process.poll() is not None or time.monotonic() - began > READY_S:
                    log.seek(0)
                    raise BenchError("voicebot did not become ready:\n" + log.read().decode()[-4000:])
                time.sleep(0.01)
            yield Bot("voicebot", url, process.pid, time.monotonic() - began)
        finally:
            end(process)


@contextmanager
def stock(*arguments: str, **settings: str) -> Iterator[Bot]:
    """The stock Pipecat bot, until the block ends. ``settings`` choose its engines, as voicebot's do.

    Raises:
        BenchError: it did not start.
    """
    end_tidily_on_sigterm()
    command = [sys.executable, "-m", "scripts.bench.stock_bot", "--parent", str(os.getpid()), *arguments]
    with tempfile.TemporaryDirectory(prefix="bench-stock-") as data:
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(Path(data), **settings),
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            url = told_url(process, "the stock bot")
            yield Bot("stock", url, process.pid, time.monotonic() - began)
        finally:
            end(process)


@contextmanager
def language_model(answers: Path) -> Iterator[str]:
    """Canned answers over OpenAI's protocol (``model_server``), until the block ends; gives the base URL.

    Raises:
        BenchError: it did not start.
    """
    end_tidily_on_sigterm()
    command = [sys.executable, "-m", "scripts.bench.model_server", "--parent", str(os.getpid())]
    process = subprocess.Popen([*command, "--answers", str(answers)], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        yield told_url(process, "the model server") + "/v1"
    finally:
        end(process)


def told_url(process: subprocess.Popen, name: str) -> str:
    """The URL in the line of JSON that a program of ours prints once it serves."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], READY_S)
    line = process.stdout.readline() if ready else b""
    if not line:
        raise BenchError(f"{name} did not start; its message stands above")
    return json.loads(line)["url"]


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310  # our own loopback URL
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def end(process: subprocess.Popen) -> None:
    """SIGTERM, and SIGKILL when that is not enough."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
