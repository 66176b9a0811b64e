"""The prebuilt page in a real Chromium: it connects, is ready, hears, and shows who said what."""

from __future__ import annotations

import shutil
import wave
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from playwright.async_api import Page, async_playwright, expect
from test_browser_calls import talking

from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing

RATE_HZ = 48_000
QUIET_S = 5.0
"""The microphone opens with the page; the greeting is mostly over by then, else the tone comes again."""


def microphone(path: Path) -> Path:
    """A file that Chromium takes for a microphone, again and again: a tone after a while, then nothing."""
    at = np.arange(int(0.7 * RATE_HZ))
    tone = (8000 * np.sin(2 * np.pi * 400 * at / RATE_HZ)).astype(np.int16)
    silence = np.zeros(int(QUIET_S * RATE_HZ), np.int16)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(np.concatenate([silence, tone, silence]).tobytes())
    return path


async def level(page: Page) -> float:
    """How loud the bot is in the page's ears: the energy that its receiver has counted."""
    return await page.evaluate(
        "async () => { for (const one of (await window.connections.at(-1).getStats()).values())"
        " if (one.type === 'inbound-rtp' && one.kind === 'audio') return one.totalAudioEnergy; return 0; }"
    )


async def test_the_page_talks_with_the_bot_and_shows_what_is_said(
    shop_database: Database, keys: KeyRing, tmp_path: Path
) -> None:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    assert program is not None, "Chromium is not installed: apt-get install chromium"
    sound = microphone(tmp_path / "microphone.wav")
    wrong: list[str] = []
    async with (
        talking(shop_database, keys, tmp_path, *["what are your opening hours"] * 20) as here,
        async_playwright() as playwright,
    ):
        browser = await playwright.chromium.launch(
            executable_path=program,
            args=[
                "--no-sandbox",
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
                f"--use-file-for-fake-audio-capture={sound}",
            ],
        )
        page = await (await browser.new_context()).new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda asked: hosts.add(urlsplit(asked.url).netloc))
        hosts: set[str] = set()
        await page.add_init_script(
            "window.connections = []; const Own = window.RTCPeerConnection;"
            "window.RTCPeerConnection = class extends Own {"
            " constructor(...given) { super(...given); window.connections.push(this); } };"
        )
        await page.goto(here.url.replace("127.0.0.1", "localhost"))
        await expect(page.get_by_text('"initialized"').first).to_be_visible(timeout=30_000)
        await page.get_by_role("button", name="Connect").first.click()
        await expect(page.get_by_text("ready", exact=True).first).to_be_visible(timeout=30_000)
        await expect(page.get_by_text("automated assistant").first).to_be_visible(timeout=30_000)
        await expect(page.get_by_text("what are your opening hours").first).to_be_visible(timeout=30_000)
        await expect(page.get_by_text("We are open Monday").first).to_be_visible(timeout=30_000)
        assert await level(page) > 0
        await page.get_by_role("button", name="Disconnect").first.click()
        async with here.database.transaction() as tx:
            cursor = await tx.execute("SELECT call_sid FROM conversations")
            call = (await cursor.fetchone() or {})["call_sid"]
        ended = await here.ends(call)
        await browser.close()
    assert ended.end_reason == "caller_hung_up"
    assert wrong == []
    assert {host for host in hosts if host} == {urlsplit(here.url).netloc.replace("127.0.0.1", "localhost")}
