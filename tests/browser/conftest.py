"""A real Chromium, and a server with its desk, once for all pages."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from serving import Serving, serving

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


def _desk_of(server: Serving) -> str:
    for _ in range(200):
        found = next((match.group(1) for line in server.lines if (match := _DESK.search(line))), None)
        try:
            if found is not None and httpx.get(f"{found}/healthz").is_success:
                return found
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError("the desk does not answer:\n" + "".join(server.lines))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("desk")
    with serving("--insecure-local", "--desk-port", "0", data_dir=folder) as server:
        yield Site(server.url, _desk_of(server))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """For one file: while Playwright runs, its event loop stands in the way of other tests'."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    assert program is not None, "Chromium is not installed: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def sits_down(chromium: Browser, site: Site) -> Iterator[Callable[..., Page]]:
    """Opens a browser of its own for an agent and signs them in; no page may show an error in its console."""
    contexts: list[Any] = []
    errors: list[str] = []

    def sit(agent: str, *, width: int = 1280, height: int = 800) -> Page:
        context = chromium.new_context(viewport={"width": width, "height": height})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{site.desk}/desk")
        page.select_option("#name", agent)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("heading", name="Queue").wait_for()
        return page

    yield sit
    for context in contexts:
        context.close()
    assert errors == []
