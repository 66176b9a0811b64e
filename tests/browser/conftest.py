"""A real Chromium, and a server with its desk, for one file of pages."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from desk_kit import Site, desk_of
from playwright.sync_api import Browser, Page, sync_playwright
from serving import serving


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("desk")
    with serving("--insecure-local", "--desk-port", "0", data_dir=folder) as server:
        yield Site(server.url, desk_of(server))


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
