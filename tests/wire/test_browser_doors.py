"""The doors of browser calls: who gets in, how many, and that a page brings nothing from elsewhere."""

from __future__ import annotations

import base64
import re
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from twilio_kit import settings_for

from voicebot.channels.browser.access import (
    CALLS_EACH,
    BrowserAccess,
    BrowserRefused,
    PasswordNeeded,
    TooMany,
)
from voicebot.channels.browser.gate import Answer, CallUnknown
from voicebot.channels.browser.router import CLIENT, ClientFiles, browser_router

PASSWORD = "correct horse battery"


class Gate:
    """Answers every offer for a call it knows with the offer."""

    def __init__(self) -> None:
        self.candidates: list[str] = []

    async def offer(self, call: str, caller: Any, sdp: str, kind: str, name: str | None) -> Answer:
        if not call.startswith("WB"):
            raise CallUnknown("begin with POST /webrtc/start")
        return Answer(sdp, name or "wb_1")

    async def candidate(
        self, call: str, name: str, candidate: str, mid: str | None, line: int | None
    ) -> None:
        self.candidates.append(candidate)


def page(*, local: bool = False, host: str = "127.0.0.1", **settings: Any) -> httpx.AsyncClient:
    known = {"public_url": None} | settings
    access = BrowserAccess(settings_for(**known), insecure_local=local, clock=lambda: 0.0)
    app = FastAPI()
    app.include_router(browser_router(Gate(), access, ()))  # type: ignore[arg-type]
    app.mount(CLIENT, ClientFiles())
    transport = httpx.ASGITransport(app, client=(host, 1234))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


def basic(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"me:{password}".encode()).decode()}


@pytest.mark.parametrize(
    ("settings", "headers", "status"),
    [
        ({}, {}, 403),
        ({"api_token": "t" * 20}, {"Authorization": "Bearer " + "t" * 20}, 200),
        ({"api_token": "t" * 20}, {"Authorization": "Bearer nope"}, 403),
        ({"browser": "open"}, {}, 200),
        ({"browser": "open"}, {"Origin": "https://elsewhere.example"}, 403),
        ({"browser": "open"}, {"Origin": "http://localhost"}, 200),
        (
            {"browser": "open", "public_url": "https://voice.example"},
            {"Origin": "https://voice.example"},
            200,
        ),
        ({"browser": "password", "browser_password": PASSWORD}, {}, 401),
        ({"browser": "password", "browser_password": PASSWORD}, basic("nope"), 401),
        ({"browser": "password", "browser_password": PASSWORD}, {"Authorization": "Basic %%%"}, 401),
        ({"browser": "password", "browser_password": PASSWORD}, basic(PASSWORD), 200),
        ({"local": True}, {}, 200),
        ({"local": True}, {"Origin": "https://elsewhere.example"}, 403),
        ({"local": True}, {"X-Forwarded-For": "192.0.2.9"}, 403),
        ({"local": True, "host": "192.0.2.9"}, {}, 403),
    ],
)
async def test_who_gets_in(settings: dict[str, Any], headers: dict[str, str], status: int) -> None:
    async with page(**settings) as http:
        for answer in (
            await http.get("/", headers=headers),
            await http.post("/webrtc/start", json={}, headers=headers),
            await http.post(
                "/webrtc/sessions/WB1/api/offer", json={"sdp": "v=0", "type": "offer"}, headers=headers
            ),
            await http.patch(
                "/webrtc/sessions/WB1/api/offer", json={"pc_id": "wb_1", "candidates": []}, headers=headers
            ),
        ):
            assert answer.status_code == status, answer.text
            if status == 401:
                assert answer.headers["www-authenticate"].startswith("Basic")


async def test_passwords_cannot_be_tried_fast() -> None:
    async with page(browser="password", browser_password=PASSWORD) as http:
        statuses = [(await http.get("/", headers=basic(f"guess {n}"))).status_code for n in range(12)]
        right = await http.get("/", headers=basic(PASSWORD))
    assert statuses == [401] * 10 + [429] * 2
    assert right.status_code == 429, "or who tries fast would learn the right one all the same"


def test_an_address_has_so_many_calls_at_once_and_the_node_so_many_in_all() -> None:
    access = BrowserAccess(
        settings_for(browser="open", browser_calls=3), insecure_local=False, clock=lambda: 0.0
    )

    def caller(host: str) -> Any:
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "client": (host, 1),
                 "query_string": b"", "scheme": "https", "server": ("voice.example", 443)}  # fmt: skip
        return access.admit(Request(scope))

    one, other = caller("192.0.2.1"), caller("192.0.2.2")
    for _ in range(5):
        access.begin(one)
    with pytest.raises(TooMany, match="too many calls"):
        access.begin(one)
    with access.place(one), access.place(one):
        with pytest.raises(TooMany, match="already"), access.place(one):
            pass
        with access.place(other), pytest.raises(TooMany, match="busy"), access.place(caller("192.0.2.3")):
            pass
        assert access.calls == CALLS_EACH
    assert access.calls == 0
    assert issubclass(PasswordNeeded, BrowserRefused)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/start", {"transport": "daily"}, 422),
        ("/start", {"transport": "webrtc", "createDailyRoom": False, "enableDefaultIceServers": True}, 200),
        ("/start", {"surprise": 1}, 422),
        ("/sessions/WB1/api/offer", {"sdp": "v=0", "type": "offer", "pc_id": None, "restart_pc": False}, 200),
        ("/sessions/WB1/api/offer", {"sdp": "v=0"}, 422),
        ("/sessions/WB1/api/offer", {"sdp": "x" * 70_000, "type": "offer"}, 422),
        ("/sessions/WB1/api/offer", {"sdp": "x" * 120_000, "type": "offer"}, 413),
        ("/sessions/other/api/offer", {"sdp": "v=0", "type": "offer"}, 404),
    ],
)
async def test_what_the_page_may_send(path: str, body: Any, status: int) -> None:
    """Under the client's own addresses as under /webrtc."""
    async with page(browser="open") as http:
        for prefix in ("", "/webrtc"):
            answer = await http.post(prefix + path, json=body)
            assert answer.status_code == status, answer.text
        plain = await http.post(path, content="{}", headers={"Content-Type": "text/plain"})
        assert plain.status_code == 415


async def test_the_page_is_the_packages_with_our_microphone_and_may_fetch_from_here_only() -> None:
    async with page(browser="open") as http:
        index = await http.get("/")
        assert f'<base href="{CLIENT}/">' in index.text
        assert "connect-src 'self'" in index.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in index.headers["content-security-policy"]
        script = re.search(r'src="\./(assets/[^"]+\.js)"', index.text)
        assert script is not None
        code = (await http.get(f"{CLIENT}/{script[1]}")).text
        transport = re.search(r"import\(`\./(index\.module-[\w-]+\.js)`\);return\{SmallWebRTCTransport", code)
        assert transport is not None
        ours = await http.get(f"{CLIENT}/assets/{transport[1]}")
        assert ours.headers["content-type"].startswith("text/javascript")
        assert "class Microphone" in ours.text
        theirs = await http.get(f"{CLIENT}/assets/{transport[1]}?prebuilt")
        assert "as SmallWebRTCTransport}" in theirs.text
        assert (await http.get(f"{CLIENT}/../../../etc/passwd")).status_code == 404
