"""A model hub on loopback: ranges, tags and redirects as huggingface.co has them, and all that goes wrong.

Faults are queued per path and used up one per request; a path without any is answered properly.
"""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections import defaultdict, deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BLOCK = 16 * 1024


@dataclass(frozen=True)
class Fault:
    """How one answer goes wrong.

    Attributes:
        status: instead of the file.
        headers: besides or instead of the usual ones.
        body: instead of the file's bytes (its own length is said).
        break_after: the connection is cut after so many bytes of the body.
        stall_s: silence before the body.
        ignore_range: the whole file, whatever was asked for.
        no_length: chunked, without saying how much there is.
        extra: bytes sent after what was promised (with ``no_length``).
        shift: the part that is sent begins so many bytes late.
    """

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    break_after: int | None = None
    stall_s: float = 0.0
    ignore_range: bool = False
    no_length: bool = False
    extra: int = 0
    shift: int = 0


@dataclass(frozen=True)
class Asked:
    """One request."""

    path: str
    range: str | None
    if_range: str | None


class LocalHub:
    """``with LocalHub() as hub: hub.put("a/b/resolve/main/model.bin", content)``; its address is ``url``."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, deque[Fault]] = defaultdict(deque)
        self.asked: list[Asked] = []
        self.sent = 0
        self.tags = True
        self.cdn = False
        self.pause_s = 0.0
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                try:
                    hub.answer(self)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                pass  # a client that hangs up is part of the tests

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> LocalHub:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def put(self, path: str, content: bytes) -> None:
        self.files["/" + path] = content

    def fail(self, path: str, *faults: Fault) -> None:
        self.faults["/" + path].extend(faults)

    def ranges(self, end: str) -> list[str | None]:
        """What was asked of the files whose path ends so."""
        return [asked.range for asked in self.asked if asked.path.endswith(end)]

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path
        if self.cdn and not path.startswith("/cdn/"):
            request.send_response(302)
            request.send_header("Location", f"/cdn{path}")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        path = path.removeprefix("/cdn")
        wanted, only_if = request.headers.get("Range"), request.headers.get("If-Range")
        self.asked.append(Asked(path, wanted, only_if))
        fault = self.faults[path].popleft() if self.faults[path] else Fault()
        content = self.files.get(path)
        if fault.status is not None or content is None:
            self._say(request, fault.status or 404, fault.headers, fault.body or b"no\n", fault)
            return
        tag = f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
        headers = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        headers |= {"ETag": tag} if self.tags else {}
        headers |= fault.headers
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        whole = not wanted or fault.ignore_range or (only_if is not None and only_if != tag)
        if fault.body is not None:
            self._say(request, 200, headers, fault.body, fault)
        elif whole:
            self._say(request, 200, headers, content, fault)
        elif start >= len(content):
            self._say(request, 416, {"Content-Range": f"bytes */{len(content)}"}, b"", fault)
        else:
            start += fault.shift
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self._say(request, 206, headers, content[start:], fault)

    def _say(
        self, request: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes, fault: Fault
    ) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        if fault.no_length:
            request.send_header("Transfer-Encoding", "chunked")
            body += b"x" * fault.extra
        else:
            request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if fault.stall_s:
            request.wfile.flush()
            time.sleep(fault.stall_s)  # a hub that says nothing is what this fault is
        end = len(body) if fault.break_after is None else fault.break_after
        for at in range(0, end, BLOCK):
            piece = body[at : min(at + BLOCK, end)]
            request.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if fault.no_length else piece)
            self.sent += len(piece)
            if self.pause_s:
                time.sleep(self.pause_s)  # a slow hub, for tests that kill a pull half way
        if fault.break_after is not None:
            request.wfile.flush()
            request.connection.shutdown(socket.SHUT_RDWR)
            request.close_connection = True
        elif fault.no_length:
            request.wfile.write(b"0\r\n\r\n")
