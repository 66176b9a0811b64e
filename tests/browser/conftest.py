"""A real Chromium, and a server with its desk, for one file of pages."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
import pytest_asyncio
from desk_kit import Site, desk_of
from playwright.async_api import Browser, Page, async_playwright
from serving import serving


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("desk")
    with serving("--insecure-local", "--desk-port", "0", data_dir=folder) as server:
        yield Site(server.url, desk_of(server))


@pytest_asyncio.fixture
async def chromium() -> AsyncIterator[Browser]:
    """Playwright's asynchronous side: the other one works with greenlets, which Python 3.11 does not survive
    (``AST constructor recursion depth mismatch`` in whatever the same process tests next).
    """
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    assert program is not None, "Chromium is not installed: apt-get install chromium"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest_asyncio.fixture
async def sits_down(chromium: Browser, site: Site) -> AsyncIterator[Callable[..., Awaitable[Page]]]:
    """Opens a browser of its own for an agent and signs them in; no page may show an error in its console."""
    errors: list[str] = []

    async def sit(agent: str, *, width: int = 1280, height: int = 800) -> Page:
        context = await chromium.new_context(viewport={"width": width, "height": height})
        page = await context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(f"{site.desk}/desk")
        await page.select_option("#name", agent)
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_role("heading", name="Queue").wait_for()
        return page

    yield sit
    assert errors == []
