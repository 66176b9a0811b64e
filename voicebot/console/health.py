"""``/healthz`` (alive), ``/readyz`` (takes new calls) and ``/metrics``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest


def health_router(ready: Callable[[], Awaitable[dict[str, str]]]) -> APIRouter:
    """``ready`` returns what is wrong, by part; empty means that calls are taken."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "alive"}

    @router.get("/readyz")
    async def readyz() -> JSONResponse:
        """200 while new calls are taken; else 503 with the reason by part."""
        wrong = await ready()
        if wrong:
            return JSONResponse({"status": "not ready", "wrong": wrong}, status_code=503)
        return JSONResponse({"status": "ready"})

    @router.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        """Prometheus' text format."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router
