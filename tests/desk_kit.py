"""A server with its desk, for tests of pages; a desk of one's own, whose list and line a test can change."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from serving import REPOSITORY, Serving, environment_of

_VOICEBOT = (sys.executable, "-m", "voicebot.cli")
PATIENCE_S = 60.0
"""For a server whose machine is busy with other tests."""

_DESK = re.compile(r"desk\s+(http://\S+)/desk")


@dataclass(frozen=True)
class Site:
    """``url`` of the nodes, ``desk`` of the agents' pages, ``folder`` of the server's data."""

    url: str
    desk: str
    folder: Path

    def chat(self, text: str, conversation: str | None = None) -> dict[str, Any]:
        """A customer writes."""
        body = {"text": text} | ({"conversation_id": conversation} if conversation else {})
        answer = httpx.post(f"{self.url}/chat", json=body, timeout=PATIENCE_S)
        assert answer.is_success, answer.text
        return answer.json()

    def talk(self, *lines: str) -> str:
        """A customer writes one line after the other; the conversation's id."""
        conversation: str | None = None
        for line in lines:
            conversation = self.chat(line, conversation)["conversation_id"]
        assert conversation is not None
        return conversation

    def handoff_of(self, conversation: str) -> dict[str, Any]:
        """The hand-over of a conversation."""
        asked = {"conversation": conversation}
        (one,) = httpx.get(f"{self.url}/api/handoffs", params=asked, timeout=PATIENCE_S).json()
        return one

    def settle(self) -> None:
        """Nobody waits any more: of few agents at the desk the bot would soon offer to call back instead."""
        for status in ("waiting", "offered", "accepted", "bridged"):
            for one in self.get(f"/api/handoffs?status={status}&brief=true&limit=500", "cleo"):
                if one["claimed_by"] is not None:
                    self.post(f"/api/handoffs/{one['id']}/decline", "cleo")
                self.post(f"/api/handoffs/{one['id']}/accept", "cleo")
                self.post(f"/api/handoffs/{one['id']}/done", "cleo")

    def get(self, path: str, agent: str) -> Any:
        """What the API answers an agent."""
        return self._ask("GET", path, agent)

    def post(self, path: str, agent: str, body: dict[str, Any] | None = None) -> Any:
        """An agent acts by the API."""
        return self._ask("POST", path, agent, body or {})

    def _ask(self, method: str, path: str, agent: str, body: dict[str, Any] | None = None) -> Any:
        headers = {"X-Voicebot-Agent": agent}
        answer = httpx.request(method, f"{self.url}{path}", headers=headers, json=body, timeout=PATIENCE_S)
        assert answer.is_success, answer.text
        return answer.json()


def desk_of(server: Serving) -> str:
    for _ in range(600):
        found = next((match.group(1) for line in server.lines if (match := _DESK.search(line))), None)
        if found is not None and _answers(found):
            return found
        time.sleep(0.1)
    raise AssertionError("the desk does not answer:\n" + "".join(server.lines))


@dataclass(frozen=True)
class OwnDesk:
    """A desk on the same nodes. ``people``: its list of agents; ``line``: its way to the nodes."""

    url: str
    people: Path
    line: Line


@contextmanager
def own_desk(site: Site, folder: Path) -> Generator[OwnDesk]:
    """Starts ``voicebot desk`` with a list of agents and a line to the nodes that a test can change."""
    people = folder / "business" / "people.yaml"
    people.parent.mkdir()
    shutil.copy(REPOSITORY / "business" / "people.yaml", people)
    with _kept_port() as port, Line.to(site.url) as line:
        process = subprocess.Popen(
            [*_VOICEBOT, "desk", "--insecure-local", "--port", str(port), "--api", line.url],
            cwd=REPOSITORY,
            env=environment_of(site.folder, VOICEBOT_DEPLOYMENT=str(folder)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(600):
                if _answers(url):
                    break
                assert process.poll() is None, "the desk ended"
                time.sleep(0.1)
            yield OwnDesk(url, people, line)
        finally:
            process.terminate()
            process.wait(60)


@contextmanager
def _kept_port() -> Generator[int]:
    """A port on which others may listen here, and which nobody else is given meanwhile."""
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        yield kept.getsockname()[1]


class Line:
    """A way to a server that can be cut and mended; connections over it end when it is cut."""

    def __init__(self, host: str, port: int, own: int) -> None:
        self._target = host, port
        self._open: list[socket.socket] = []
        self._door: socket.socket | None = None
        self._port = own
        self.mend()

    @classmethod
    @contextmanager
    def to(cls, url: str) -> Generator[Line]:
        """A line to ``http://HOST:PORT``, cut at the end."""
        host, _, port = url.removeprefix("http://").partition(":")
        with _kept_port() as own:
            line = cls(host, int(port), own)
            yield line
            line.cut()

    @property
    def url(self) -> str:
        """Where it begins; the same after every mending."""
        return f"http://127.0.0.1:{self._port}"

    def mend(self) -> None:
        """Connections are taken (again)."""
        self._door = door = socket.create_server(("127.0.0.1", self._port))
        threading.Thread(target=self._take, args=(door,), daemon=True).start()

    def cut(self) -> None:
        """Nobody gets through any more."""
        door, self._door = self._door, None
        for one in [door, *self._open]:
            if one is not None:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()
        self._open.clear()

    def _take(self, door: socket.socket) -> None:
        with suppress(OSError):  # the line was cut
            while True:
                near, _ = door.accept()
                far = socket.create_connection(self._target)
                self._open += [near, far]
                if self._door is not door:  # it was cut meanwhile
                    near.close()
                    far.close()
                    return
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=_pump, args=(one, other), daemon=True).start()


def _pump(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):  # the line was cut
        while data := one.recv(65536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz").is_success
    except httpx.TransportError:
        return False
