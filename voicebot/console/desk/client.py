"""The desk's hands: the REST API of the nodes, as the agent who is signed in."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Protocol, Self

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus, WebSocketException

from voicebot.channels.browser.ice import IceServer
from voicebot.console.readers import AGENT_HEADER

_TIMEOUT_S = 10.0
_QUIET_S = 40.0
"""A stream that says nothing for so long is lost: a server gives signs of life."""
_LONGEST_ENTRY = 1 << 20
_AWAY = frozenset({502, 503, 504})


class ApiError(Exception):
    """The API refused or is away; the message is for the person at the desk."""

    def __init__(self, status: int, message: str, detail: Any = None) -> None:
        super().__init__(message)
        self.status = status
        self.detail = detail


class Gate(Protocol):
    """What an open page knows of itself: whether anything may be done in its agent's name at this moment."""

    def closed(self) -> str | None:
        """Why nothing is asked for it now, in words; None: it may go on."""

    def reached(self, reached: bool) -> None:
        """Told after every request, and with every entry of a live line: whether the server was there."""


class DeskApi:
    """One for the whole desk; every call names the agent it is made for. A page has its own by `through`.

    Args:
        url: of any node.
        token: of the API; None only where the nodes take unsigned calls from this machine.
        ice: servers by which agents' browsers and the desk find each other.
    """

    def __init__(self, url: str, token: str | None, ice: tuple[IceServer, ...] = ()) -> None:
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._live_url = url.replace("http", "ws", 1)
        self._http = httpx.AsyncClient(base_url=url, headers=self._headers, timeout=_TIMEOUT_S)
        self._gate: Gate | None = None
        self.ice = ice

    def through(self, gate: Gate) -> Self:
        """The same connections for one open page; while ``gate`` is closed every call is `ApiError` 401."""
        page = copy.copy(self)
        page._gate = gate
        return page

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def get(self, agent: str, path: str, **query: Any) -> Any:
        """What ``path`` answers.

        Raises:
            ApiError: it refused, or nobody answers.
        """
        return await self._asked(agent, "GET", path, params=query)

    async def post(self, agent: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Acts through ``path``; as `get`."""
        return await self._asked(agent, "POST", path, json=body or {})

    async def follow(self, agent: str, conversation_id: str, after: int) -> AsyncGenerator[dict[str, Any]]:
        """The live transcript after entry ``after``; ends when the conversation has.

        Raises:
            ApiError: refused, or the connection was lost: follow again after the last id.
        """
        path = f"/api/conversations/{conversation_id}/stream?after={after}"
        self._pass()
        try:
            async with connect(
                f"{self._live_url}{path}",
                additional_headers={**self._headers, AGENT_HEADER: agent},
                open_timeout=_TIMEOUT_S,
                max_size=_LONGEST_ENTRY,
                proxy=None,
            ) as line:
                self._tell(reached=True)
                async for entry in line:
                    self._pass()
                    yield json.loads(entry)
        except InvalidStatus as refused:
            if refused.response.status_code != 204:
                raise ApiError(refused.response.status_code, "The live transcript is not open.") from refused
        except (OSError, TimeoutError, ConnectionClosedError, WebSocketException) as error:
            self._tell(reached=False)
            raise ApiError(0, "The line to the server was lost; trying again.") from error

    @asynccontextmanager
    async def line(self, agent: str, talk_id: str) -> AsyncGenerator[ClientConnection]:
        """The line of a talk, to whichever node: sound both ways. Not a page's gate's matter: a talk that was
        begun goes on while its page asks to sign in again.

        Raises:
            ApiError: refused (the talk is not theirs, or there is none), or nobody answers.
        """
        try:
            async with connect(
                f"{self._live_url}/api/talks/{talk_id}/audio",
                additional_headers={**self._headers, AGENT_HEADER: agent},
                open_timeout=_TIMEOUT_S,
                compression=None,
                proxy=None,
            ) as line:
                yield line
        except InvalidStatus as refused:
            status = refused.response.status_code
            raise ApiError(status, f"The line to the caller was refused ({status}).") from refused
        except (OSError, TimeoutError, WebSocketException) as error:
            raise ApiError(0, "The line to the caller was lost; trying again.") from error

    @asynccontextmanager
    async def raw(self, agent: str, path: str, headers: dict[str, str]) -> AsyncGenerator[httpx.Response]:
        """What ``path`` answers, whatever its status is, unread: of what is passed on as it comes.

        Raises:
            ApiError: nobody answers.
        """
        self._pass()
        try:
            async with self._http.stream("GET", path, headers={**headers, AGENT_HEADER: agent}) as answer:
                yield answer
        except httpx.TransportError as error:
            self._tell(reached=False)
            raise ApiError(0, "The server does not answer. Calls go on; try again in a moment.") from error

    async def events(self, agent: str, path: str, method: str = "GET") -> AsyncGenerator[dict[str, Any]]:
        """What a stream of server-sent events tells, each as its JSON; ends when the server ends it.

        Raises:
            ApiError: refused, or the connection was lost: ask again.
        """
        self._pass()
        headers, patience = {AGENT_HEADER: agent}, httpx.Timeout(_TIMEOUT_S, read=_QUIET_S)
        try:
            async with self._http.stream(method, path, headers=headers, timeout=patience) as stream:
                if not stream.is_success:
                    await stream.aread()
                    raise _refused(stream)
                self._tell(reached=True)
                async for line in stream.aiter_lines():
                    if line.startswith("data: "):
                        self._pass()
                        yield json.loads(line[6:])
        except httpx.TransportError as error:
            self._tell(reached=False)
            raise ApiError(0, "The line to the server was lost; trying again.") from error

    async def _asked(self, agent: str, method: str, path: str, **more: Any) -> Any:
        self._pass()
        try:
            answer = await self._http.request(method, path, headers={AGENT_HEADER: agent}, **more)
        except httpx.TransportError as error:
            self._tell(reached=False)
            raise ApiError(0, "The server does not answer. Calls go on; try again in a moment.") from error
        self._tell(reached=answer.status_code not in _AWAY)
        if not answer.is_success:
            raise _refused(answer)
        try:
            return answer.json()
        except ValueError as error:
            raise ApiError(answer.status_code, "What answers there is not this desk's server.") from error

    def _pass(self) -> None:
        closed = self._gate.closed() if self._gate is not None else None
        if closed is not None:
            raise ApiError(401, closed)

    def _tell(self, *, reached: bool) -> None:
        if self._gate is not None:
            self._gate.reached(reached)


def _refused(answer: httpx.Response) -> ApiError:
    try:
        detail: Any = answer.json().get("detail")
    except (ValueError, AttributeError):
        detail = None
    if isinstance(detail, dict) and isinstance(detail.get("problem"), str):
        return ApiError(answer.status_code, detail["problem"], detail)
    if answer.status_code == 422 and isinstance(detail, list):
        return ApiError(422, f"That is not of the form it should have: {_wrong(detail)}", detail)
    words = detail if isinstance(detail, str) else f"The server answered {answer.status_code}."
    return ApiError(answer.status_code, words, detail)


def _wrong(errors: list[Any]) -> str:
    """What a request lacked, as the server's schema says; never what was given."""
    told = [f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in errors if isinstance(one, dict)]
    return "; ".join(told) or "see the server's log"
