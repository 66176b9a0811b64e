"""A card processor on loopback: charges once per key, remembers, and goes wrong when it is told to."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Header, Request
from fastapi.responses import JSONResponse


@dataclass
class CardProcessor:
    """``charged``: what was taken, by key, card included: the only place where a test may find it."""

    declines: frozenset[str] = frozenset()
    loses_answers: bool = False
    """It charges, and then the answer gets lost."""
    hangs_s: float = 0.0
    charged: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    asked: int = 0

    def app(self) -> FastAPI:
        """Its two requests."""
        app = FastAPI()

        @app.post("/charges")
        async def charge(request: Request, idempotency_key: str = Header()) -> JSONResponse:
            self.asked += 1
            body = await request.json()
            if not body["number"]:
                return JSONResponse({"error": "no card"}, 422)
            await asyncio.sleep(self.hangs_s)
            if body["number"] not in self.declines:
                self.charged.setdefault(idempotency_key, body)
            if self.loses_answers:
                return JSONResponse({"error": "lost"}, 502)
            return JSONResponse(self._answer(idempotency_key, declined=body["number"] in self.declines))

        @app.get("/charges")
        async def outcome(key: str) -> JSONResponse:
            return JSONResponse(self._answer(key))

        return app

    def _answer(self, key: str, *, declined: bool = False) -> dict[str, str]:
        if key in self.charged:
            return {"key": key, "outcome": "approved", "confirmation": f"ok_{key[4:12]}"}
        return {"key": key, "outcome": "declined" if declined else "none", "reason": "do-not-honor"}
