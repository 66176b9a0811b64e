"""Follows a call on the server's own API, to show its words; the caller itself never looks here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx

_LOOK_EVERY_S = 0.1
_NEWEST = 20


class ServerWatch:
    """Reads ``/api`` of the server under call. Absent or refusing API: no events, ``reason`` says why."""

    def __init__(self, url: str, api_token: str | None) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {api_token}"} if api_token else {}
        self.conversation_id: str | None = None
        self.reason: str | None = None

    async def events(self, call_sid: str) -> AsyncIterator[dict[str, Any]]:
        """The events of the call's conversation as the live stream gives them, until it ends."""
        timeout = httpx.Timeout(5.0, read=None)
        async with httpx.AsyncClient(headers=self._headers, trust_env=False, timeout=timeout) as client:
            try:
                await self._find(client, call_sid)
                async for event in self._stream(client):
                    yield event
            except httpx.HTTPStatusError as error:
                self.reason = f"/api answered {error.response.status_code}"
            except httpx.HTTPError as error:
                self.reason = f"/api: {type(error).__name__}"
            except (ValueError, KeyError, TypeError):
                self.reason = "what /api answers is not this server's API"

    async def conversation(self) -> dict[str, Any] | None:
        """The whole conversation as the API shows it afterwards; None when it cannot be had."""
        if self.conversation_id is None:
            return None
        async with httpx.AsyncClient(headers=self._headers, trust_env=False, timeout=10.0) as client:
            try:
                answer = await client.get(f"{self._url}/api/conversations/{self.conversation_id}")
                answer.raise_for_status()
            except httpx.HTTPError as error:
                self.reason = f"/api: {type(error).__name__}"
                return None
            return answer.json()

    async def _find(self, client: httpx.AsyncClient, call_sid: str) -> None:
        others: set[str] = set()
        while self.conversation_id is None:
            listed = await client.get(f"{self._url}/api/conversations", params={"limit": _NEWEST})
            listed.raise_for_status()
            for row in listed.json():
                if row["id"] in others:
                    continue
                detail = await client.get(f"{self._url}/api/conversations/{row['id']}")
                detail.raise_for_status()
                if detail.json().get("call_sid") == call_sid:
                    self.conversation_id = row["id"]
                    return
                others.add(row["id"])
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _stream(self, client: httpx.AsyncClient) -> AsyncIterator[dict[str, Any]]:
        path = f"{self._url}/api/conversations/{self.conversation_id}/stream"
        async with client.stream("GET", path) as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                if line.startswith("data:"):
                    yield json.loads(line[5:])
