"""An agent speaks with a caller from a real Chromium: each hears what only the other can have said."""

from __future__ import annotations

import asyncio
import shutil
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest_asyncio
from desk_kit import Site
from playwright.async_api import Page, async_playwright, expect
from talk_kit import Speaks, likeness
from twilio_kit import eventually

from voicebot.audio import mulaw
from voicebot.proof.simulation import LocalTwilio
from voicebot.proof.simulation.clips import read_wav

LINES = Path(__file__).parents[2] / "recordings" / "lines"
AGENT, CALLER = read_wav(LINES / "slt" / "returns_b.wav"), read_wav(LINES / "rms" / "hesitant_returns.wav")
SURE, OTHER = 0.6, 0.4
"""How like a piece of a line is to itself through Opus, level control and a jitter buffer that stretches, and
how like to another line's at most.
"""
PIECE_MS = 400
PATIENCE_MS = 60_000
"""For a server whose machine is busy with other tests."""

LISTEN = """() => {
  const context = new AudioContext({ sampleRate: 8000 });
  const tap = context.createScriptProcessor(1024, 1, 1);
  window.heard = [];
  tap.onaudioprocess = (e) => window.heard.push(...e.inputBuffer.getChannelData(0));
  context.createMediaStreamSource(voicebotTalk.sound.srcObject).connect(tap);
  tap.connect(context.destination);
}"""
HEARD = "() => window.heard.map((one) => Math.round(one * 32767))"

Sits = Callable[[str], Awaitable[Page]]


@pytest_asyncio.fixture(loop_scope="session")
async def sits(site: Site, tmp_path: Path) -> AsyncIterator[Sits]:
    """Opens a browser with a microphone into which the agent says their line, again and again."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    assert program is not None, "Chromium is not installed: apt-get install chromium"
    with wave.open(str(tmp_path / "agent.wav"), "wb") as file:
        file.setparams((1, 2, 48000, 0, "NONE", ""))
        sound = np.repeat(mulaw.decode(AGENT), 6)
        file.writeframes(np.concatenate([sound, np.zeros(24000, np.int16)]).tobytes())
    errors: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program,
            args=[
                "--no-sandbox",
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
                f"--use-file-for-fake-audio-capture={tmp_path / 'agent.wav'}",
            ],
        )

        async def sit(agent: str) -> Page:
            page = await (await browser.new_context()).new_page()
            page.set_default_timeout(PATIENCE_MS)
            page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
            page.on("pageerror", lambda error: errors.append(str(error)))
            await page.goto(f"{site.desk}/desk")
            await page.select_option("#name", agent)
            await page.get_by_role("button", name="Sign in").click()
            await page.get_by_role("heading", name="Queue").wait_for()
            return page

        yield sit
        await browser.close()
    assert errors == []


def alike(sent: bytes, heard: bytes) -> float:
    """The median, over the loud pieces of what was said, of how well each is found in what was heard."""
    size = PIECE_MS * 8
    pieces = [sent[at : at + size] for at in range(0, len(sent) - size, size)]
    power = [float((mulaw.decode(one).astype(float) ** 2).mean()) for one in pieces]
    loud = [one for one, p in zip(pieces, power, strict=True) if p > float(np.median(power)) / 4]
    return float(np.median([likeness(one, heard)[0] for one in loud]))


async def calls(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    found = (await client.get("/api/conversations", params={"limit": 20})).json()
    return [one for one in found if one["channel"] == "phone" and one["status"] == "live"]


async def test_a_live_call_is_taken_over_and_both_hear_each_other(site: Site, sits: Sits) -> None:
    ear = Speaks()
    async with LocalTwilio() as twilio, httpx.AsyncClient(base_url=site.url, timeout=60) as client:
        call = await twilio.phone(f"{site.url}/twilio/voice", ear=ear)
        page = await sits("cleo")
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(60):
            while not (found := await calls(client)):
                await asyncio.sleep(0.1)
        await page.goto(f"{site.desk}/desk/conversations/{found[0]['id']}")
        await page.get_by_role("button", name="Take the call over").click()
        status = page.get_by_role("region", name="speak with the caller").get_by_role("status")
        await expect(status).to_have_text("You are speaking with the caller.", timeout=PATIENCE_MS)
        await page.evaluate(LISTEN)
        before = len(ear.heard)
        async with asyncio.timeout(180):
            while True:
                ear.says(CALLER)
                await asyncio.sleep(len(CALLER) / 8000 + 1.5)
                agent_heard = mulaw.encode(
                    np.clip(await page.evaluate(HEARD), -32768, 32767).astype(np.int16)
                )
                caller_heard = bytes(ear.heard[before:])
                if alike(CALLER, agent_heard) > SURE and alike(AGENT, caller_heard) > SURE:
                    break  # else too much was lost while something stood still
        assert alike(AGENT, agent_heard) < OTHER
        assert alike(CALLER, caller_heard) < OTHER
        await expect(page.locator(".said.agent:not(.going)").first).to_be_visible(timeout=PATIENCE_MS)
        await expect(page.locator(".said.caller:not(.going)").first).to_be_visible(timeout=PATIENCE_MS)
        await page.keyboard.press("m")
        await expect(status).to_have_text("You are muted: the caller does not hear you.")
        handoff = site.handoff_of(found[0]["id"])["id"]
        await page.goto(f"{site.desk}/desk/handoffs/{handoff}")  # leaves the page that spoke
        await expect(status).to_have_text("You are speaking with the caller.", timeout=PATIENCE_MS)
        await page.keyboard.press("h")
        await expect(status).to_have_text("Ended: the caller was told goodbye.", timeout=PATIENCE_MS)
        await eventually(lambda: call.ended)
