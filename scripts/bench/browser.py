"""A call from a browser: what its sound waits for here and there, and what a frame of it costs.

    .venv/bin/python -m scripts.bench.browser [--calls 10] [--seconds 15] [--json]

*Browser's buffer*: a server, and the page in a real Chromium that talks to it for a while, call after call;
from Chromium's own counters, ``jitterBufferDelay / jitterBufferEmittedCount``, median and range over calls.
`channels.browser.session.BUFFER_MS` is set by it. *Cost*: one frame of 20 ms each way in this process,
median of many: Opus to 8 kHz mu-law (decode, filter, reframe) and back (encode). *Filters*: what ours delays,
and what the resampler of the engines would hold back.

Loopback has no network: neither loss nor jitter is in these figures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from playwright.async_api import async_playwright

from scripts.bench import report
from scripts.bench.servers import BenchError, data_directory, voicebot
from voicebot.channels.browser.band import DELAY_MS
from voicebot.channels.browser.incoming import Framer
from voicebot.channels.browser.jitter import Piece
from voicebot.channels.browser.opus import OpusEncoder

FRAMES = 3000
COUNTERS = """async () => {
  for (const one of (await window.connections.at(-1).getStats()).values())
    if (one.type === "inbound-rtp" && one.kind === "audio")
      return { delay: one.jitterBufferDelay, emitted: one.jitterBufferEmittedCount, lost: one.packetsLost,
               concealed: one.concealedSamples, total: one.totalSamplesReceived };
}"""
KEEP = """window.connections = []; const Own = window.RTCPeerConnection;
window.RTCPeerConnection = class extends Own {
  constructor(...given) { super(...given); window.connections.push(this); } };"""


async def buffers(url: str, calls: int, seconds: float) -> list[dict[str, float]]:
    """What Chromium counted, call by call.

    Raises:
        BenchError: there is no Chromium.
    """
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        raise BenchError("Chromium is not installed: apt-get install chromium")
    found: list[dict[str, float]] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program,
            args=["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"],
        )
        for _ in range(calls):
            page = await (await browser.new_context()).new_page()
            await page.add_init_script(KEEP)
            await page.goto(url.replace("127.0.0.1", "localhost"))
            await page.get_by_role("button", name="Connect").first.click()
            await page.get_by_text("automated assistant").first.wait_for()
            await asyncio.sleep(seconds)
            found.append(await page.evaluate(COUNTERS))
            await page.context.close()
        await browser.close()
    return found


def costs() -> dict[str, float]:
    """Microseconds a frame, and the delay of two filters in ms."""
    encoder, framer = OpusEncoder(), Framer()
    wave = (8000 * np.sin(2 * np.pi * 440 * np.arange(160 * FRAMES) / 8000)).astype(np.int16)
    out_us: list[float] = []
    in_us: list[float] = []
    for n in range(FRAMES):
        began = time.perf_counter()
        packet = encoder.encode(wave[n * 160 : (n + 1) * 160])
        middle = time.perf_counter()
        framer.feed(Piece(n * 960, 960, packet))
        out_us.append((middle - began) * 1e6)
        in_us.append((time.perf_counter() - middle) * 1e6)
    stream, given, got, most = soxr.ResampleStream(48000, 8000, 1, dtype="int16"), 0, 0, 0
    for _ in range(200):
        got += len(stream.resample_chunk(np.zeros(960, np.int16)))
        given += 160
        most = max(most, given - got)
    return {
        "in_us": statistics.median(in_us),
        "out_us": statistics.median(out_us),
        "filter_ms": DELAY_MS,
        "soxr_ms": most / 8,
    }


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    with data_directory() as data_dir, voicebot(data_dir) as bot:
        counted = await buffers(bot.url, options.calls, options.seconds)
    waits = [1000 * one["delay"] / one["emitted"] for one in counted if one["emitted"]]
    return {
        "machine": report.machine(),
        "calls": len(counted),
        "browser_buffer_ms": {"median": statistics.median(waits), "least": min(waits), "most": max(waits)},
        "concealed": sum(one["concealed"] for one in counted) / max(1, sum(one["total"] for one in counted)),
        "lost": sum(one["lost"] for one in counted),
        **costs(),
    }


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="A call from a browser, measured")
    parser.add_argument("--calls", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    result = asyncio.run(measure(options))
    if not options.json:
        report.print_table(
            "A call from a browser",
            ["what", "value"],
            [[name, json.dumps(value)] for name, value in result.items()],
        )
    report.finish(result, as_json=options.json, out=options.out)


if __name__ == "__main__":
    main()
