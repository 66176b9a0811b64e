"""Pages that people ask a node for: they live in the desk's process, so a node says where."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse, RedirectResponse

PAGES = ("desk", "insight", "recordings")


def pages_router(desk_url: str | None) -> APIRouter:
    """``/desk``, ``/insight`` and ``/recordings``, sent on to the desk with path and query."""
    router = APIRouter(include_in_schema=False)

    async def send_on(request: Request) -> Response:
        if desk_url is None:
            return PlainTextResponse(
                "The desk does not run beside this server. Start it with `voicebot desk`, or both with "
                "`voicebot serve --desk-port 8090`, and set VOICEBOT_DESK_URL to its address.\n",
                status_code=503,
            )
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"{desk_url}{request.url.path}{query}")

    for page in PAGES:
        router.add_api_route(f"/{page}", send_on)
        router.add_api_route(f"/{page}/{{rest:path}}", send_on)
    return router
