"""uvicorn, but we decide when it stops: SIGTERM drains instead of closing live sockets."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Generator
from functools import partial

import uvicorn
from fastapi import FastAPI

from voicebot.channels.door import Door
from voicebot.runtime.guarded_http import GuardedHttp
from voicebot.runtime.refusing import RefusingSockets

MAX_MESSAGE_BYTES = 64 * 1024  # a Media Streams message is under 1 KB; ten seconds of audio fit

PEER_STUCK_MS = 20_000
"""How long sent data may stay unacknowledged before the connection counts as dead."""

MOST_UNSENT_BYTES = 64 * 1024
"""What the kernel takes for a peer beyond what is on its way: one that stops reading is noticed, and costs
this, where it could otherwise have 4 MB of the kernel's memory."""

_KEEP_ALIVE_S = 10


class NodeServer(uvicorn.Server):
    """Serves until ``should_exit``; signals only call ``on_signal`` (uvicorn would close every
    socket about 40 ms after SIGTERM).
    """

    def __init__(
        self, app: FastAPI, on_signal: Callable[[signal.Signals], None], door: Door | None = None
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                ws=RefusingSockets,
                http=partial(GuardedHttp, door or Door()),  # pyright: ignore[reportArgumentType]  # it is only called
                ws_max_size=MAX_MESSAGE_BYTES,
                ws_per_message_deflate=False,
                ws_ping_interval=None,
                timeout_graceful_shutdown=5,
                timeout_keep_alive=_KEEP_ALIVE_S,
                log_config=None,
                access_log=False,
                lifespan="on",
                server_header=False,
                proxy_headers=False,  # uvicorn would believe any program of this machine; see ChatAccess
            )
        )
        self._on_signal = on_signal

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Sends SIGTERM and SIGINT to ``on_signal`` while serving."""
        loop = asyncio.get_running_loop()
        handled = (signal.SIGTERM, signal.SIGINT)
        for number in handled:
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            yield
        finally:
            for number in handled:
                loop.remove_signal_handler(number)


def shared_socket(host: str, port: int, *, listen: bool) -> socket.socket:
    """A TCP socket that several processes may bind (SO_REUSEPORT).

    With ``listen=False`` it only reserves the port: the kernel sends it no connections.

    Raises:
        OSError: the address is taken by a socket without SO_REUSEPORT, or is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    if listen:
        # Inherited by accepted sockets: a peer that stops reading is dropped by the kernel.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, PEER_STUCK_MS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MOST_UNSENT_BYTES)
        sock.listen(1024)
        sock.setblocking(False)
    return sock
