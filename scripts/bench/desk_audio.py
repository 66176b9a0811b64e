"""How late an agent in the browser hears a caller, and the caller the agent: mouth to ear, by correlation.

    .venv/bin/python -m scripts.bench.desk_audio [--rounds 20] [--json] [--out FILE]

One server, the local Twilio, the desk's own classes (`TalkLine`, `Peer`) in this process, a real Chromium.
Each round a burst of noise that is like no other is said on the caller's phone and another one into the
browser's WebRTC track; both are looked for in what the other side got. All times are of this machine's clock.

*Caller to agent*: from the 20 ms in which the phone says it to the browser's audio graph, Chromium's own
jitter buffer included. *Agent to caller*: from the browser's audio graph to the 20 ms in which the phone
hears it. Not in it: sound cards, and the networks between caller, Twilio, server, desk and browser.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import shutil
import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse
from playwright.async_api import Page, async_playwright

from scripts.bench import report
from scripts.bench.servers import BenchError, data_directory, free_port, voicebot
from voicebot.audio import mulaw
from voicebot.console.desk.client import DeskApi
from voicebot.console.desk.talk_line import TalkLine, new_peer
from voicebot.proof.simulation import LocalTwilio

BURST_MS = 240
ROUND_S = 1.6
SURE = 0.35
"""Bursts that are found by less are not counted, and how many is told. Others are alike by 0.15 at most."""
SETTLE_S = 4.0

PAGE = """<!doctype html><title>bench</title><script>
const tap = `registerProcessor("tap", class extends AudioWorkletProcessor {
  constructor() { super(); this.held = []; }
  process(inputs) {
    const one = inputs[0][0];
    if (one) this.held.push(...one);
    if (this.held.length >= 960) {
      this.port.postMessage([currentTime + 128 / sampleRate, this.held]); this.held = [];
    }
    return true;
  }
})`;
let context, out, chunks = [];
const wall = (at) => performance.timeOrigin + performance.now() + (at - context.currentTime) * 1000;
async function begin() {
  context = new AudioContext({ sampleRate: 48000, latencyHint: "interactive" });
  await context.resume();
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([tap], { type: "text/javascript" })));
  out = context.createMediaStreamDestination();
  const hum = context.createOscillator(), low = context.createGain();
  low.gain.value = 0.0005; hum.connect(low).connect(out); hum.start();  // a microphone never is silent
  const pc = window.pc = new RTCPeerConnection();
  pc.addTrack(out.stream.getAudioTracks()[0], out.stream);
  pc.ontrack = (event) => {
    const stream = new MediaStream([event.track]);
    const sound = window.sound = new Audio(); sound.srcObject = stream; sound.play();
    const node = new AudioWorkletNode(context, "tap");
    node.port.onmessage = (event) => chunks.push([wall(event.data[0]), event.data[1]]);
    context.createMediaStreamSource(stream).connect(node).connect(context.destination);
  };
  await pc.setLocalDescription(await pc.createOffer());
  await new Promise((done) => { pc.onicegatheringstatechange = () =>
    pc.iceGatheringState === "complete" && done(); setTimeout(done, 1500); });
  const answer = await fetch("/offer", { method: "POST", body: JSON.stringify(pc.localDescription) });
  await pc.setRemoteDescription(await answer.json());
}
function say(packed) {
  const bytes = Uint8Array.from(atob(packed), (one) => one.charCodeAt(0));
  const samples = Float32Array.from(new Int16Array(bytes.buffer), (one) => one / 32768);
  const buffer = context.createBuffer(1, samples.length, 8000);
  buffer.copyToChannel(samples, 0);
  const source = context.createBufferSource();
  source.buffer = buffer; source.connect(out);
  const at = context.currentTime + 0.05;
  source.start(at);
  return wall(at);
}
function heard() {
  const all = chunks; chunks = [];
  const every = all.flatMap(([, held]) => held).filter((_, n) => n % 6 === 0);
  const bytes = new Uint8Array(Int16Array.from(every, (one) => one * 32767).buffer);
  let packed = "";
  for (const one of bytes) packed += String.fromCharCode(one);
  return { ends: all.map(([at]) => at), sizes: all.map(([, held]) => held.length), packed: btoa(packed) };
}
</script>"""


def burst(seed: int) -> np.ndarray:
    """Noise of 300-3000 Hz, 8 kHz, int16: the band of a phone."""
    samples = np.random.default_rng(seed).normal(0, 1, BURST_MS * 8)
    spectrum = np.fft.rfft(samples)
    hz = np.fft.rfftfreq(samples.size, 1 / 8000)
    spectrum[(hz < 300) | (hz > 3000)] = 0
    shaped = np.fft.irfft(spectrum, samples.size)
    return (shaped / np.abs(shaped).max() * 12000).astype(np.int16)


def found(sent: np.ndarray, got: np.ndarray) -> tuple[float, int]:
    """How like ``sent`` its best place in ``got`` is, and the sample where it begins."""
    if got.size < sent.size:
        return 0.0, 0
    size = 1 << (got.size + sent.size).bit_length()
    a, b = sent.astype(float), got.astype(float)
    cross = np.fft.irfft(np.fft.rfft(b, size) * np.conj(np.fft.rfft(a, size)), size)[: b.size - a.size + 1]
    sums = np.concatenate([[0.0], np.cumsum(b**2)])
    power = np.sqrt(np.maximum((sums[a.size :] - sums[: -a.size]) * (a**2).sum(), 1.0))
    score = cross / power
    best = int(score.argmax())
    return float(score[best]), best


@dataclass
class Phone:
    """The caller's phone, with the time of every frame."""

    heard: list[tuple[float, bytes]] = field(default_factory=list)
    says: bytearray = field(default_factory=bytearray)
    began_ms: float | None = None

    def on_audio(self, frame: bytes, at_ms: int) -> None:
        """20 ms that were heard: they began 20 ms ago."""
        self.heard.append((time.time() * 1000 - 20, frame))

    def next_frame(self, at_ms: int) -> bytes | None:
        """20 ms that are said from now on."""
        if not self.says:
            return None
        if self.began_ms is None:
            self.began_ms = time.time() * 1000
        piece = bytes(self.says[:160])
        del self.says[:160]
        return piece.ljust(160, b"\xff")


async def measure(rounds: int) -> dict[str, Any]:
    """Both ways, ms.

    Raises:
        BenchError: the two do not come to speak with each other.
    """
    with data_directory() as folder, voicebot(folder) as bot:
        async with LocalTwilio() as twilio, httpx.AsyncClient(base_url=bot.url) as http:
            phone = Phone()
            await twilio.phone(f"{bot.url}/twilio/voice", ear=phone)
            conversation = await _live(http)
            api = DeskApi(bot.url, None)
            talk = await api.post("cleo", f"/api/conversations/{conversation}/take-over")
            async with _Browser(api, talk["id"]) as (page, talking):
                try:
                    await asyncio.wait_for(talking.wait(), 40)
                except TimeoutError:
                    raise BenchError("agent and caller did not come to speak with each other") from None
                await asyncio.sleep(SETTLE_S)
                result = await _rounds(page, phone, rounds)
            await api.close()
    return {**result, "rounds": rounds, "machine": report.machine(), "date": report.today()}


async def _live(http: httpx.AsyncClient) -> str:
    async with asyncio.timeout(15):
        while True:
            for one in (await http.get("/api/conversations", params={"limit": 5})).json():
                if one["status"] == "live":
                    return one["id"]
            await asyncio.sleep(0.2)


class _Browser:
    """A Chromium with the page open, the line of a talk behind it, and whether the two speak."""

    def __init__(self, api: DeskApi, talk: str) -> None:
        self._api, self._talk = api, talk

    async def __aenter__(self) -> tuple[Page, asyncio.Event]:
        program = shutil.which("chromium") or shutil.which("chromium-browser")
        if program is None:
            raise BenchError("Chromium is not installed: apt-get install chromium")
        site, port, talking = FastAPI(), free_port(), asyncio.Event()

        @site.get("/")
        async def page() -> HTMLResponse:
            return HTMLResponse(PAGE)

        @site.post("/offer")
        async def offer(request: Request) -> dict[str, str]:
            given = json.loads(await request.body())
            peer = new_peer(())
            answer = await peer.answer(given["sdp"], given["type"])
            line = TalkLine(
                self._api,
                "cleo",
                self._talk,
                peer,
                lambda state: talking.set() if state == "talking" else None,
            )
            self._running = asyncio.create_task(line.run())
            return {"type": "answer", "sdp": answer}

        config = uvicorn.Config(site, port=port, log_config=None, lifespan="off")
        self._server = uvicorn.Server(config)
        self._server.capture_signals = nullcontext  # type: ignore[method-assign]
        self._serving = asyncio.create_task(self._server.serve())
        while not self._server.started:  # noqa: ASYNC110  # uvicorn's own flag
            await asyncio.sleep(0.05)
        self._playwright = await async_playwright().start()
        args = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        self._chromium = await self._playwright.chromium.launch(executable_path=program, args=args)
        opened = await self._chromium.new_page()
        await opened.goto(f"http://127.0.0.1:{port}/")
        await opened.evaluate("begin()")
        _ = (page, offer)  # used by the site
        return opened, talking

    async def __aexit__(self, *_: object) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        await self._chromium.close()
        await self._playwright.stop()
        self._server.should_exit = True
        await self._serving


async def _rounds(page: Page, phone: Phone, rounds: int) -> dict[str, Any]:
    to_agent: list[float] = []
    to_caller: list[float] = []
    missed = {"to_agent": 0, "to_caller": 0}
    for nth in range(rounds):
        down, up = burst(2 * nth + 1), burst(2 * nth + 2)
        await page.evaluate("heard()")
        phone.heard.clear()
        phone.began_ms = None
        phone.says += mulaw.encode(down)
        said_ms = await page.evaluate("(packed) => say(packed)", base64.b64encode(up.tobytes()).decode())
        await asyncio.sleep(ROUND_S)
        came = await page.evaluate("heard()")
        if came["ends"] and phone.began_ms is not None:
            got = np.frombuffer(base64.b64decode(came["packed"]), np.int16)
            # each piece's end has its time; the earliest of them, reckoned back, is the true one
            ends = np.cumsum(came["sizes"]) / 48
            began = min(at_ms - end for at_ms, end in zip(came["ends"], ends, strict=True))
            score, place = found(down, got)
            if score > SURE:
                to_agent.append(began + place / 8 - phone.began_ms)
            else:
                missed["to_agent"] += 1
        if phone.heard:
            first = min(at_ms - 20 * n for n, (at_ms, _) in enumerate(phone.heard))
            score, place = found(up, mulaw.decode(b"".join(frame for _, frame in phone.heard)))
            if score > SURE:
                to_caller.append(first + place / 8 - said_ms)
            else:
                missed["to_caller"] += 1
    return {"ms": {"caller to agent": to_agent, "agent to caller": to_caller}, "missed": missed}


def rows(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """One a way."""
    return [
        (
            way,
            str(len(values)),
            *(report.show(report.quantile(values, share)) for share in (0.5, 0.95, 1.0)),
        )
        for way, values in result["ms"].items()
    ]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path, help="keep the result here (JSON)")
    options = parser.parse_args()
    try:
        result = asyncio.run(measure(options.rounds))
    except BenchError as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from None
    if not options.json:
        report.print_table("Mouth to ear, ms", ("way", "bursts", "p50", "p95", "worst"), rows(result))
        print(f"not found: {result['missed']}")
    report.finish(result, as_json=options.json, out=options.out)


if __name__ == "__main__":
    main()
