"""Makes the pictures of the player in ``docs/images/``: a server with the sample calls, a real Chromium.

    .venv/bin/python -m scripts.make_player_images [--out docs/images]

Needs Debian's Chromium. Takes about a minute.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import httpx
from playwright.async_api import Page, async_playwright

from scripts.bench.servers import BenchError, data_directory, free_port, voicebot
from scripts.make_desk_images import keep, sit, take
from scripts.seed_recordings import seed
from voicebot.core.settings import load_settings
from voicebot.core.store.database import Database
from voicebot.core.store.embedded import EmbeddedPostgres
from voicebot.core.store.keys import KeyRing

SAMPLES = (
    "02-opening-hours",
    "05-barge-in",
    "11-person-asked-for",
    "14-return-registered",
    "03-order-by-voice",
)


async def calls(data_dir: Path) -> dict[str, str]:
    """The samples as calls that are over: their conversations."""
    postgres = EmbeddedPostgres.attach(data_dir)
    keys = KeyRing.from_settings(load_settings(data_dir=data_dir))
    try:
        database = await Database.open(postgres.url)
        try:
            return {
                one: await seed(database, keys, data_dir, one, ago=timedelta(minutes=9 * (len(SAMPLES) - n)))
                for n, one in enumerate(SAMPLES)
            }
        finally:
            await database.close()
    finally:
        postgres.stop()


async def ready(desk: str) -> None:
    """Waits until the desk answers: its pages take longer to start than the nodes."""
    async with httpx.AsyncClient() as http:
        for _ in range(240):
            with suppress(httpx.TransportError):
                if (await http.get(f"{desk}/healthz")).is_success:
                    return
            await asyncio.sleep(0.5)
    raise BenchError("the desk does not answer")


async def listening(page: Page, desk: str, call: str) -> None:
    """The page of a call, at a word of it."""
    await page.goto(f"{desk}/recordings/{call}")
    await page.locator("#player[data-ready]").wait_for()
    await page.wait_for_function("document.getElementById('sound').readyState >= 1")
    await page.locator(".said.caller .w").nth(5).click()
    await page.wait_for_timeout(300)
    await page.evaluate("document.getElementById('sound').pause()")


async def pictures(data_dir: Path, desk: str, out: Path) -> None:
    """All of them."""
    made = await calls(data_dir)
    await ready(desk)
    program = shutil.which("chromium")
    if program is None:
        raise BenchError("Chromium is not installed: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        phone = await sit(browser, desk, "ada", phone=True)
        await listening(phone, desk, made["14-return-registered"])
        await phone.evaluate("scrollTo(0, 0)")
        await phone.wait_for_timeout(300)
        keep(await phone.screenshot(), out / "player-phone.png")
        cleo = await sit(browser, desk, "cleo")
        await cleo.set_viewport_size({"width": 1280, "height": 1000})
        await listening(cleo, desk, made["03-order-by-voice"])
        await cleo.get_by_role("radio", name="As it was heard then").check()
        await cleo.get_by_role("button", name="Run again").click()
        await cleo.locator(".beside .pair").first.wait_for(timeout=240_000)
        await cleo.locator(".beside .pair summary").nth(1).click()
        await cleo.evaluate("scrollTo(0, 0)")
        await take(cleo, out / "player.png", ".beside details[open] table")
        await browser.close()


def main() -> int:
    """Writes the files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    port = free_port()
    try:
        with data_directory() as data_dir, voicebot(data_dir, "--desk-port", str(port)):
            asyncio.run(pictures(data_dir, f"http://127.0.0.1:{port}", out))
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
