"""A server with its desk, for tests of pages."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any

import httpx
from serving import Serving

_DESK = re.compile(r"desk\s+(http://\S+)/desk")


@dataclass(frozen=True)
class Site:
    """``url`` of the nodes, ``desk`` of the agents' pages."""

    url: str
    desk: str

    def chat(self, text: str, conversation: str | None = None) -> dict[str, Any]:
        """A customer writes."""
        body = {"text": text} | ({"conversation_id": conversation} if conversation else {})
        answer = httpx.post(f"{self.url}/chat", json=body, timeout=20)
        assert answer.is_success, answer.text
        return answer.json()

    def handoff_of(self, conversation: str) -> dict[str, Any]:
        """The hand-over of a conversation."""
        (one,) = httpx.get(f"{self.url}/api/handoffs", params={"conversation": conversation}).json()
        return one


def desk_of(server: Serving) -> str:
    for _ in range(200):
        found = next((match.group(1) for line in server.lines if (match := _DESK.search(line))), None)
        try:
            if found is not None and httpx.get(f"{found}/healthz").is_success:
                return found
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError("the desk does not answer:\n" + "".join(server.lines))
