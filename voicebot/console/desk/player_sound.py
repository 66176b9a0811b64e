"""What a player in the browser fetches by itself, passed on from the nodes as it comes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Annotated, Any, Literal

import httpx
from fastapi import FastAPI, Path, Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse

from voicebot.console.desk.client import ApiError

if TYPE_CHECKING:
    from voicebot.console.desk.site import Desk

_PASSED_ON = ("content-type", "content-length", "content-range", "accept-ranges", "cache-control")


def add_sound(site: FastAPI, desk: Desk) -> None:
    """``/recordings/{id}/sessions/{name}/...``, for who is signed in; the nodes say who may, and log it."""

    @site.get("/recordings/{conversation_id}/sessions/{name}/{what}")
    async def fetched(
        request: Request,
        conversation_id: Annotated[str, Path(pattern="^cv_[0-9a-f]{32}$")],
        name: Annotated[str, Path(pattern=r"^[0-9]{3}(\.[0-9]{1,3})?$")],
        what: Literal["sound", "peaks", "timeline"],
    ) -> Response:
        agent = desk.signed_in(request)
        if agent is None:
            return PlainTextResponse("Sign in again.\n", status_code=401)
        path = f"/api/recordings/{conversation_id}/sessions/{name}{'' if what == 'timeline' else f'/{what}'}"
        query = f"?{request.url.query}" if request.url.query else ""
        asked = request.headers.get("range")
        return await _passed_on(desk, agent.id, path + query, {"Range": asked} if asked else {})

    _ = fetched  # used by the site


async def _passed_on(desk: Desk, agent: str, path: str, headers: dict[str, str]) -> Response:
    stack = AsyncExitStack()
    try:
        answer = await stack.enter_async_context(desk.api.raw(agent, path, headers))
    except ApiError as error:
        return PlainTextResponse(f"{error}\n", status_code=503)
    kept = {name: answer.headers[name] for name in _PASSED_ON if name in answer.headers}
    return StreamingResponse(_bytes(stack, answer), status_code=answer.status_code, headers=kept)


async def _bytes(stack: AsyncExitStack, answer: httpx.Response) -> AsyncGenerator[Any]:
    async with stack:
        async for data in answer.aiter_raw():
            yield data
