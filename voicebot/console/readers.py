"""Who reads the API: an agent or a supervisor with a key of their own, or whoever holds the API's token.

An agent's key is ``ID.HMAC``, made of the API's token and their id: nothing is stored, who is taken off
``business/people.yaml`` has no access, and a new API token ends all keys. A desk that holds the API's token
itself says for whom it asks with ``X-Voicebot-Agent: ID``; under ``--insecure-local`` so does this machine.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import HTTPException
from pydantic import SecretStr
from starlette.requests import HTTPConnection

from voicebot.channels.door import Door
from voicebot.console.access import Guard
from voicebot.core.store.handoffs import HELD
from voicebot.handoff.people import Agent
from voicebot.handoff.roster import Agents

AGENT_HEADER = "X-Voicebot-Agent"
API = "api"
"""Who reads with the API's token and for nobody in particular."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Who asks. ``who``: an agent's id, or `API`; ``answers``: the destination whose phone they answer."""

    role: Literal["agent", "supervisor", "api"]
    who: str
    answers: str | None = None

    @classmethod
    def of(cls, agent: Agent) -> Reader:
        """An agent."""
        return cls(agent.role, agent.id, agent.answers)

    def holds(self, row: Mapping[str, Any]) -> bool:
        """Whether a handoff's row is theirs now: only who acts on it sees values."""
        if self.role == "api" or row["status"] not in HELD:
            return False
        return row["claimed_by"] is not None and row["claimed_by"] in (self.who, self.answers)


def agent_key(token: SecretStr, agent_id: str) -> str:
    """The key of one agent."""
    made = hmac.new(token.get_secret_value().encode(), f"voicebot agent {agent_id}".encode(), hashlib.sha256)
    return f"{agent_id}.{made.hexdigest()}"


def anyone(guard: Guard) -> Callable[[HTTPConnection], Reader]:
    """A FastAPI dependency: whoever ``guard`` lets pass, for nobody in particular."""

    def reader(request: HTTPConnection) -> Reader:
        guard(request)
        return Reader("api", API)

    return reader


def at_the_door(
    reader: Callable[[HTTPConnection], Reader], socket: HTTPConnection, door: Door | None
) -> Reader:
    """Who opens a WebSocket. An address that proves nothing again and again is not listened to any more.

    Raises:
        HTTPException: as ``reader``.
    """
    address = socket.client.host if socket.client is not None else None
    try:
        found = reader(socket)
    except HTTPException:
        if door is not None:
            door.refused(address)
        raise
    if door is not None:
        door.welcomed(address)
    return found


def readers(guard: Guard, token: SecretStr | None, people: Agents) -> Callable[[HTTPConnection], Reader]:
    """A FastAPI dependency: who asks. Who is no agent of ``people`` must pass ``guard``."""

    def reader(request: HTTPConnection) -> Reader:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        agent = people.agent(given.rpartition(".")[0])
        if token is not None and agent is not None:
            key = agent_key(token, agent.id)
            if secrets.compare_digest(given.encode(), key.encode()):
                return Reader.of(agent)
        guard(request)
        asked_for = request.headers.get(AGENT_HEADER)
        if asked_for is None:
            return Reader("api", API)
        agent = people.agent(asked_for)
        if agent is None:
            raise HTTPException(403, "no such agent: list them under `agents` in business/people.yaml")
        return Reader.of(agent)

    return reader
