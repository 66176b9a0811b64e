"""The desk's hands: the REST API of the nodes, as the agent who is signed in."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus, WebSocketException

from voicebot.console.readers import AGENT_HEADER

_TIMEOUT_S = 10.0
_LONGEST_ENTRY = 1 << 20


class ApiError(Exception):
    """The API refused or is away; the message is for the person at the desk."""

    def __init__(self, status: int, message: str, detail: Any = None) -> None:
        super().__init__(message)
        self.status = status
        self.detail = detail


class DeskApi:
    """One for the whole desk; every call names the agent it is made for.

    Args:
        url: of any node.
        token: of the API; None only where the nodes take unsigned calls from this machine.
    """

    def __init__(self, url: str, token: str | None) -> None:
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._live_url = url.replace("http", "ws", 1)
        self._http = httpx.AsyncClient(base_url=url, headers=self._headers, timeout=_TIMEOUT_S)

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
        try:
            async with connect(
                f"{self._live_url}{path}",
                additional_headers={**self._headers, AGENT_HEADER: agent},
                open_timeout=_TIMEOUT_S,
                max_size=_LONGEST_ENTRY,
                proxy=None,
            ) as line:
                async for entry in line:
                    yield json.loads(entry)
        except InvalidStatus as refused:
            if refused.response.status_code != 204:
                raise ApiError(refused.response.status_code, "The live transcript is not open.") from refused
        except (OSError, TimeoutError, ConnectionClosedError, WebSocketException) as error:
            raise ApiError(0, "The line to the server was lost; trying again.") from error

    async def _asked(self, agent: str, method: str, path: str, **more: Any) -> Any:
        try:
            answer = await self._http.request(method, path, headers={AGENT_HEADER: agent}, **more)
        except httpx.TransportError as error:
            raise ApiError(0, "The server does not answer. Calls go on; try again in a moment.") from error
        if not answer.is_success:
            raise _refused(answer)
        return answer.json()


def _refused(answer: httpx.Response) -> ApiError:
    try:
        detail: Any = answer.json().get("detail")
    except (ValueError, AttributeError):
        detail = None
    if isinstance(detail, dict) and isinstance(detail.get("problem"), str):
        return ApiError(answer.status_code, detail["problem"], detail)
    words = detail if isinstance(detail, str) else f"The server answered {answer.status_code}."
    return ApiError(answer.status_code, words, detail)
