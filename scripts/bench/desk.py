"""The desk with many conversations going on: how soon a page and a line are there, and what it weighs.

    .venv/bin/python -m scripts.bench.desk [--minutes 3] [--conversations 50] [--pages 20] [--pace 5] [--json]

A server with its desk; so many customers write, ``pace`` lines a second in all, each in a conversation that
waits for a person. In a real Chromium agents have pages open: hand-overs, each of another conversation, the
queue, and conversations that a supervisor listens in to. Sound is left out: how words of a call become lines
is measured by ``scripts.bench.live``; from there both take the same way.

*Line*: from the moment the customer's message is sent until its words stand in the page (seen by an observer
in the page itself; browser, desk, node and customers share this machine and its clock). *Desk's share*: from
the moment another reader of the node's live transcript has the line until the page has it. *Load*: from
the call for the page until its transcript (its queue) stands there, with the scripts in the browser's cache.
*Memory*: of the desk's process (RSS), before the first page, with all of them open, at the end, and what a
straight line through the samples of the second half would come to in an hour.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import random
import shutil
import sys
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import websockets
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from scripts.bench import report
from scripts.bench.servers import BenchError, Bot, data_directory, free_port, voicebot

LOADS = 20
SAMPLE_S = 5.0
SETTLED = 6
RETRIES = 30
QUEUES, LISTENERS = 3, 3
"""Pages of the queue and of a supervisor who listens in; all others are hand-overs."""

OBSERVER = """
window.seen = {};
new MutationObserver((changes) => {
  for (const change of changes) for (const node of change.addedNodes)
    for (const [word] of (node.textContent || "").matchAll(/zq[a-z]{8}/g)) window.seen[word] ??= Date.now();
}).observe(document, { childList: true, subtree: true });
"""


@dataclass
class Talk:
    """One conversation. ``sent``, ``told``: by marker, when it was sent and when the node told it, ms."""

    id: str
    handoff: str | None
    sent: dict[str, float] = field(default_factory=dict[str, float])
    told: dict[str, float] = field(default_factory=dict[str, float])


class Customers:
    """All who write, from one client."""

    def __init__(self, url: str, seed: int = 7) -> None:
        self._http = httpx.AsyncClient(base_url=url, timeout=60)
        self._random = random.Random(seed)
        self.talks: list[Talk] = []
        self.late = self.refused = 0

    async def begin(self, count: int, listeners: int) -> None:
        """``count`` conversations; all but ``listeners`` of them wait for a person.

        Some are settled before, at once: else the bot, which reckons with what people took for others, would
        soon offer to call back instead.
        """
        for nth in range(SETTLED):
            path = f"/api/handoffs/{await self._asks_for_a_person()}"
            for step in ("accept", "done"):
                await self._http.post(f"{path}/{step}", json={"agent": f"bench:{nth}"})
        for nth in range(count):
            talk = await self._say("hello, it is about my blue lamp", None)
            handoff = await self._asks_for_a_person(talk) if nth >= listeners else None
            self.talks.append(Talk(talk, handoff))

    async def write(self, pace: float) -> None:
        """Lines, one conversation after the other, until cancelled; at the pace, or as fast as it goes."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for talk in itertools.cycle(self.talks):
            due += 1 / pace
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
            else:
                self.late += 1
            marker = "zq" + "".join(self._random.choices("abcdefghijklmnopqrstuvwxyz", k=8))
            talk.sent[marker] = time.time() * 1000
            await self._say(f"it is still about the lamp {marker}", talk.id)

    async def read(self, talk: Talk, url: str) -> None:
        """Another reader of the live transcript, until cancelled."""
        path = f"{url.replace('http', 'ws', 1)}/api/conversations/{talk.id}/stream"
        async with websockets.connect(path, proxy=None) as line:
            async for entry in line:
                now = time.time() * 1000
                told: dict[str, Any] = json.loads(entry)
                if told.get("type") == "line":
                    for word in str(told.get("text", "")).split():
                        if word.startswith("zq"):
                            talk.told.setdefault(word, now)

    async def close(self) -> None:
        """Ends the client."""
        await self._http.aclose()

    async def _asks_for_a_person(self, talk: str | None = None) -> str:
        talk = await self._say("i want to talk to a person", talk)
        rows = (await self._http.get("/api/handoffs", params={"conversation": talk, "brief": True})).json()
        if not rows:
            raise BenchError("nobody was asked for: the bot takes the wait to be too long")
        return rows[0]["id"]

    async def _say(self, text: str, conversation: str | None) -> str:
        body = {"text": text} | ({"conversation_id": conversation} if conversation else {})
        answer = await self._http.post("/chat", json=body)
        for _ in range(RETRIES):
            if answer.status_code != 503:
                break
            self.refused += 1  # a database that does not answer in time; the customer sends it again
            await asyncio.sleep(1.0)
            answer = await self._http.post("/chat", json=body)
        if not answer.is_success:
            raise BenchError(f"a message was not taken: {answer.status_code} {answer.text[:200]}")
        return answer.json()["conversation_id"]


@contextlib.asynccontextmanager
async def chromium() -> AsyncGenerator[Browser]:
    """Debian's, as the tests use it."""
    program = shutil.which("chromium")
    if program is None:
        raise BenchError("Chromium is not installed: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        await browser.close()


async def sign_in(browser: Browser, desk: str, agent: str) -> BrowserContext:
    """A browser of an agent's own."""
    context = await browser.new_context(viewport={"width": 1280, "height": 860})
    await context.add_init_script(OBSERVER)
    page = await context.new_page()
    page.set_default_timeout(60_000)
    await page.goto(f"{desk}/desk")
    await page.select_option("#name", agent)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("heading", name="Queue").wait_for()
    await page.close()
    return context


async def opened(context: BrowserContext, url: str, stands: str) -> tuple[Page, float]:
    """A page, and ms until ``stands`` was to be seen in it."""
    page = await context.new_page()
    page.set_default_timeout(60_000)
    began = time.monotonic()
    await page.goto(url, wait_until="commit")
    await page.locator(stands).first.wait_for()
    return page, (time.monotonic() - began) * 1000


def desk_process(bot: Bot) -> psutil.Process:
    """The desk's, among the server's."""
    for process in psutil.Process(bot.pid).children(recursive=True):
        if "voicebot.runtime.desk" in " ".join(process.cmdline()):
            return process
    raise BenchError("the server has no desk")


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    port = free_port()
    with data_directory() as data_dir, voicebot(data_dir, "--desk-port", str(port)) as bot:
        desk = f"http://127.0.0.1:{port}"
        await _answers(desk)
        customers = Customers(bot.url)
        process = desk_process(bot)
        memory: dict[str, float] = {"before": process.memory_info().rss / 1e6}
        await customers.begin(options.conversations, LISTENERS)
        async with chromium() as browser:
            contexts = {agent: await sign_in(browser, desk, agent) for agent in ("ada", "ben", "cleo")}
            watched = await _open_all(contexts, desk, customers, options.pages)
            tasks = [asyncio.create_task(customers.read(talk, bot.url)) for talk, _ in watched]
            tasks.append(asyncio.create_task(customers.write(options.pace)))
            await asyncio.sleep(SAMPLE_S)
            memory["open"] = process.memory_info().rss / 1e6
            samples = await _sample(process, options.minutes * 60, tasks[-1])
            seen = [(talk, await page.evaluate("window.seen")) for talk, page in watched]
            told = {talk.id: len(talk.told) for talk, _ in watched}
            loads = await _loads(contexts["ada"], desk, customers)
            busy = process.cpu_times()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await customers.close()
        memory["end"] = samples[-1][1]
        half = samples[len(samples) // 2 :]
        memory["mb_an_hour"] = report.slope(half) * 3600 if len(half) > 2 else 0.0
    lines = [
        (s - talk.sent[m], s - talk.told[m]) for talk, by in seen for m, s in by.items() if m in talk.told
    ]
    written = sum(len(talk.sent) for talk in customers.talks)
    due = sum(told.values())
    return {
        "ms": {
            "line on the page": [one for one, _ in lines],
            "of it the desk's share": [one for _, one in lines],
            "load, a hand-over": loads["handoff"],
            "load, the queue": loads["queue"],
        },
        "memory_mb": memory,
        "desk_cpu_s": busy.user + busy.system,
        "lines": {
            "written": written,
            "due_on_pages": due,
            "seen": len(lines),
            "late": customers.late,
            "refused": customers.refused,
        },
        "options": {
            "minutes": options.minutes,
            "conversations": options.conversations,
            "pages": options.pages,
        },
        "load_average": os.getloadavg()[1],
    }


async def _open_all(
    contexts: dict[str, BrowserContext], desk: str, customers: Customers, pages: int
) -> list[tuple[Talk, Page]]:
    watched: list[tuple[Talk, Page]] = []
    for talk in customers.talks[:LISTENERS]:
        page, _ = await opened(contexts["cleo"], f"{desk}/desk/conversations/{talk.id}", ".said")
        watched.append((talk, page))
    for nth, talk in enumerate(customers.talks[LISTENERS : LISTENERS + pages - QUEUES - LISTENERS]):
        context = contexts[("ada", "ben")[nth % 2]]
        page, _ = await opened(context, f"{desk}/desk/handoffs/{talk.handoff}", ".said")
        watched.append((talk, page))
    for agent in itertools.islice(itertools.cycle(contexts), QUEUES):
        await opened(contexts[agent], f"{desk}/desk", ".rows .row")
    return watched


async def _sample(
    process: psutil.Process, for_s: float, writing: asyncio.Task[None]
) -> list[tuple[float, float]]:
    """(s, MB), every `SAMPLE_S`."""
    began, samples = time.monotonic(), list[tuple[float, float]]()
    while (at := time.monotonic() - began) < for_s or len(samples) < 3:
        if writing.done():
            writing.result()  # says why nobody writes any more
        samples.append((at, process.memory_info().rss / 1e6))
        await asyncio.sleep(SAMPLE_S)
    return samples


async def _loads(context: BrowserContext, desk: str, customers: Customers) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {"handoff": [], "queue": []}
    waiting = [talk for talk in customers.talks if talk.handoff]
    for talk in waiting[-LOADS:]:
        page, took_ms = await opened(context, f"{desk}/desk/handoffs/{talk.handoff}", ".said")
        found["handoff"].append(took_ms)
        await page.close()
        page, took_ms = await opened(context, f"{desk}/desk", ".rows .row")
        found["queue"].append(took_ms)
        await page.close()
    return found


async def _answers(desk: str) -> None:
    async with httpx.AsyncClient() as http:
        for _ in range(600):
            with contextlib.suppress(httpx.TransportError):
                if (await http.get(f"{desk}/healthz")).is_success:
                    return
            await asyncio.sleep(0.1)
    raise BenchError("the desk does not answer")


def tell(result: dict[str, Any]) -> str:
    """The tables of ``docs/benchmarks.md``."""
    head = ["ms", "p50", "p95", "longest", "n"]
    rows = [
        [
            name,
            report.show(report.quantile(values, 0.5)),
            report.show(report.quantile(values, 0.95)),
            report.show(max(values, default=None)),
            str(len(values)),
        ]
        for name, values in result["ms"].items()
    ]
    memory = result["memory_mb"]
    weights = [
        [name, report.show(memory[key], 0)]
        for name, key in (
            ("before the first page", "before"),
            ("all pages open", "open"),
            ("at the end", "end"),
            ("a straight line through the second half, an hour", "mb_an_hour"),
        )
    ]
    return report.markdown_table(head, rows) + "\n\n" + report.markdown_table(["the desk, MB", ""], weights)


def main() -> int:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--conversations", type=int, default=50)
    parser.add_argument("--pages", type=int, default=20)
    parser.add_argument("--pace", type=float, default=5.0, help="lines a second, of all together")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    try:
        result = asyncio.run(measure(options))
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    if not options.json:
        print(tell(result))
        print(f"\nlines: {result['lines']}, the desk's CPU: {result['desk_cpu_s']:.1f} s,"
              f" load average {result['load_average']:.1f}")  # fmt: skip
    report.finish(result, as_json=options.json, out=options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
