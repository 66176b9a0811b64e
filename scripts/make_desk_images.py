"""Makes the pictures of the desk in ``docs/images/``: a server, made-up conversations, a real Chromium.

    .venv/bin/python -m scripts.make_desk_images [--out docs/images]

Needs Debian's Chromium and what the tests need. Takes about a minute.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import shutil
import sys
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from playwright.async_api import Browser, Page, async_playwright

from scripts.bench.servers import BenchError, data_directory, free_port, voicebot

COLOURS = 255
"""Of a picture: the pages have few, and a small file loads fast."""

WAITING = (
    ("how long does delivery take", "and on saturdays", "can i talk to a person about it"),
    ("my lamp arrived broken and nobody answers", "i want a human now"),
    ("do you have the blue lamp in the store", "let me speak to somebody please"),
)
HELD = (
    "how long do I have to return a lamp",
    "thanks",
    "and what does the return cost",
    "your answers are useless, get me a human",
)
OVER = ("how long do i have to return a lamp", "and what does the return cost", "thank you, bye")
SHOULD_SAY = "For furniture that we pick up at your home, the return costs $39, unless it arrived damaged."


class Seed:
    """What customers write and agents do, by the server's own doors."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=30)

    def talk(self, *lines: str) -> str:
        """A conversation; its id."""
        conversation: str | None = None
        for line in lines:
            body = {"text": line} | ({"conversation_id": conversation} if conversation else {})
            answer = self._http.post("/chat", json=body)
            answer.raise_for_status()
            conversation = answer.json()["conversation_id"]
        assert conversation is not None
        return conversation

    def ask(self, agent: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """An agent's request: with a body it acts."""
        method = "GET" if body is None else "POST"
        answer = self._http.request(method, path, headers={"X-Voicebot-Agent": agent}, json=body)
        answer.raise_for_status()
        return answer.json()

    def handoff(self, conversation: str) -> str:
        """Its hand-over."""
        return self.ask("ada", f"/api/handoffs?conversation={conversation}")[0]["id"]


async def sit(browser: Browser, desk: str, agent: str, *, phone: bool = False) -> Page:
    """An agent signs in; on a phone it is dark."""
    size = {"width": 390, "height": 844} if phone else {"width": 1280, "height": 800}
    context = await browser.new_context(viewport=size, color_scheme="dark" if phone else "light")  # type: ignore[arg-type]
    page = await context.new_page()
    await page.goto(f"{desk}/desk")
    await page.select_option("#name", agent)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("heading", name="Queue").wait_for()
    return page


async def take(page: Page, to: Path, stands: str) -> None:
    """The picture, when ``stands`` is there."""
    await page.locator(stands).first.wait_for()
    await page.wait_for_timeout(2500)  # suggestions and presence come a moment later
    keep(await page.screenshot(), to)


def keep(screenshot: bytes, to: Path) -> None:
    """A small file of it."""
    picture = Image.open(io.BytesIO(screenshot)).convert("RGB")
    small = picture.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, kmeans=2, dither=Image.Dither.NONE)
    small.save(to, optimize=True)
    print(f"{to}: {to.stat().st_size // 1024} KB")


async def pictures(url: str, desk: str, out: Path) -> None:
    """All of them."""
    seed = Seed(url)
    for lines in WAITING:
        seed.talk(*lines)
    seed.talk("hello there", "do you ship to canada")
    held = seed.handoff(seed.talk(*HELD))
    seed.ask("ada", f"/api/handoffs/{held}/accept", {})
    over = seed.talk(*OVER)
    note = {"turn": 3, "note": "wrong_answer", "text": SHOULD_SAY}
    seed.ask("ben", f"/api/conversations/{over}/notes", note)
    seed.ask("ben", f"/api/conversations/{over}/notes", {"turn": 2, "note": "good"})
    (correction,) = seed.ask("cleo", "/api/corrections")
    program = shutil.which("chromium")
    if program is None:
        raise BenchError("Chromium is not installed: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        ada, ben = await sit(browser, desk, "ada"), await sit(browser, desk, "ben")
        await ben.keyboard.press("p")
        cleo = await sit(browser, desk, "cleo")
        await take(cleo, out / "desk-queue.png", ".rows .row")
        await ada.goto(f"{desk}/desk/handoffs/{held}")
        await take(ada, out / "desk-handoff.png", ".said.caller")
        await ada.goto(f"{desk}/desk/conversations/{over}")
        await ada.get_by_text("Turn 2:").click()
        await take(ada, out / "desk-conversation.png", ".noted .tag")
        await cleo.goto(f"{desk}/desk/corrections/{correction['id']}")
        await take(cleo, out / "desk-correction.png", "ins")
        phone = await sit(browser, desk, "ada", phone=True)
        await phone.goto(f"{desk}/desk/handoffs/{held}")
        await take(phone, out / "desk-phone.png", ".said.caller")
        await browser.close()


def main() -> int:
    """Writes the files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    port = free_port()
    try:
        with data_directory() as data_dir, voicebot(data_dir, "--desk-port", str(port)) as bot:
            asyncio.run(pictures(bot.url, f"http://127.0.0.1:{port}", out))
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
