"""A real Chromium for all files of a worker, and a server with its desk.

The server and what was said to it is shared: a test speaks of its own conversations only.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from desk_kit import OwnDesk, Site, desk_of, own_desk
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect
from serving import REPOSITORY, serving

HERE = Path(__file__).parent


def drafting(folder: Path) -> Path:
    """The reference deployment, but for gift cards: what is said of them waits for a person's approval."""
    for name in ("pipelines", "tools", "models"):
        (folder / name).symlink_to(REPOSITORY / name)
    shutil.copytree(REPOSITORY / "business", folder / "business")
    policy = folder / "business" / "policy.yaml"
    text, changed = re.subn(r"(  gift_card:\s+\{[^}]*)\}", r"\1, route: draft}", policy.read_text())
    assert changed == 1
    policy.write_text(text)
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of pages share one event loop, and with it Playwright's driver: it takes a second to start."""
    for item in items:
        if HERE in item.path.parents and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


expect.set_options(timeout=30_000)  # of a machine with three tests at once


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("desk")
    deployment = drafting(tmp_path_factory.mktemp("deployment"))
    where = {"VOICEBOT_DEPLOYMENT": str(deployment)}
    with serving("--insecure-local", "--desk-port", "0", data_dir=folder, **where) as server:
        yield Site(server.url, desk_of(server), folder)


@pytest.fixture(scope="module")
def own(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnDesk]:
    """A desk of this file's own."""
    with own_desk(site, tmp_path_factory.mktemp("own-desk")) as desk:
        yield desk


@pytest.fixture(scope="session")
def chromium_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One Chromium for all tests of a worker; each has contexts of its own in it."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    assert program is not None, "Chromium is not installed: apt-get install chromium"
    profile = tmp_path_factory.mktemp("chromium")
    process = subprocess.Popen(
        [
            program,
            *("--headless=new", "--no-sandbox", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage"),
            *("--disable-background-networking", "--disable-component-update", "--disable-default-apps"),
            *("--disable-extensions", "--disable-sync", "--metrics-recording-only", "--mute-audio"),
            *("--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    told = profile / "DevToolsActivePort"
    for _ in range(600):
        if told.exists() and (lines := told.read_text().splitlines()):
            break
        assert process.poll() is None, "Chromium ended"
        time.sleep(0.1)
    else:
        raise AssertionError("Chromium does not say where it listens")
    yield f"http://127.0.0.1:{lines[0]}"
    process.terminate()
    process.wait(60)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium(chromium_address: str) -> AsyncIterator[Browser]:
    """Playwright's asynchronous side: the other one works with greenlets, which Python 3.11 does not survive
    (``AST constructor recursion depth mismatch`` in whatever the same process tests next).
    """
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(chromium_address)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def sits_down(chromium: Browser, site: Site) -> AsyncIterator[Callable[..., Awaitable[Page]]]:
    """Opens a browser of its own for an agent and signs them in; no page may show an error in its console."""
    errors: list[str] = []
    contexts: list[BrowserContext] = []

    async def sit(agent: str, *, width: int = 1280, height: int = 800, desk: str = site.desk) -> Page:
        context = await chromium.new_context(viewport={"width": width, "height": height})
        contexts.append(context)
        page = await context.new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(f"{desk}/desk")
        await page.select_option("#name", agent)
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_role("heading", name="Queue").wait_for()
        return page

    yield sit
    for context in contexts:
        await context.close()
    site.settle()
    assert errors == []
