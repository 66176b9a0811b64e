"""A server for one call: started in processes of its own, signed, ended afterwards."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

_READY_S = 200.0  # longer than the server itself gives its parts, so that its own words are shown
_END_S = 30.0
_OURS = ("VOICEBOT_", "TWILIO_", "DATABASE_URL")


class OwnServerError(Exception):
    """The server for this call did not start; the message holds its last lines."""


@dataclass(frozen=True)
class OwnServer:
    """Where it answers, its API's bearer token, and how long it took to be ready."""

    url: str
    api_token: str
    ready_s: float


@asynccontextmanager
async def own_server(
    environment: Mapping[str, str], *, data_dir: Path, log: Path
) -> AsyncGenerator[OwnServer]:
    """Runs ``voicebot serve`` on a free loopback port until the block ends.

    Args:
        environment: settings for it; ours of the same kind are not passed on.
        data_dir: its data directory.
        log: where its output goes.

    Raises:
        OwnServerError: it ended or was not ready in time.
    """
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    token = secrets.token_hex(16)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(_OURS)}
    settings = {
        **inherited,
        **environment,
        "VOICEBOT_DATA_DIR": str(data_dir),
        "VOICEBOT_PUBLIC_URL": url,
        "VOICEBOT_API_TOKEN": token,
    }
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "voicebot.cli", "serve", "--port", str(port)),
            env=settings,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        await _ready(process, url, log)
        yield OwnServer(url, token, time.monotonic() - began)
    finally:
        await _end(process)


async def _ready(process: asyncio.subprocess.Process, url: str, log: Path) -> None:
    deadline = time.monotonic() + _READY_S
    async with httpx.AsyncClient(timeout=2.0) as client:
        while time.monotonic() < deadline:
            if process.returncode is not None:
                raise OwnServerError(f"the server ended with status {process.returncode}:\n{_tail(log)}")
            try:
                if (await client.get(f"{url}/readyz")).is_success:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)
    raise OwnServerError(f"the server was not ready after {_READY_S:.0f} s:\n{_tail(log)}")


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), _END_S)
    except TimeoutError:
        process.kill()
        await process.wait()


def _tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
