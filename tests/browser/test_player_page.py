"""A call is heard from the word that was clicked, silent where it is personal, and read without a mouse.

One page at the width of a desk and of a phone; what is fetched comes from the desk itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from desk_kit import Site
from notes_kit import note_wrong_answer
from playwright.async_api import Page, expect

from scripts.seed_recordings import seed
from voicebot.core.settings import load_settings
from voicebot.core.store.chain.linking import Linker
from voicebot.core.store.database import Database
from voicebot.core.store.embedded import EmbeddedPostgres
from voicebot.core.store.keys import KeyRing

SitsDown = Callable[..., Awaitable[Page]]
SAMPLE = "03-order-by-voice"
FITS = "document.documentElement.scrollWidth <= window.innerWidth"
TIME = "document.getElementById('sound').currentTime"
DRAWN = """() => { const c = document.querySelector('#player canvas'), g = c.getContext('2d');
  const all = g.getImageData(0, 0, c.width, c.height).data; let n = 0;
  for (let i = 3; i < all.length; i += 4) if (all[i]) n += 1; return n / (all.length / 4); }"""
"""What share of the canvas is painted."""


def on_the_shelf(site: Site, put: Callable[[Database, KeyRing], Awaitable[Any]]) -> Any:
    """Puts something into the server's store, from outside of it."""
    postgres = EmbeddedPostgres.attach(site.folder)

    async def work() -> Any:
        database = await Database.open(postgres.url, timeout_s=20.0, at_commit=Linker(keys))
        try:
            return await put(database, keys)
        finally:
            await database.close()

    keys = KeyRing.from_settings(load_settings(data_dir=site.folder))
    try:
        return asyncio.run(work())
    finally:
        postgres.stop()


@pytest.fixture(scope="module")
def call(site: Site) -> str:
    """A sample, as if this server had taken the call."""
    return on_the_shelf(site, lambda database, keys: seed(database, keys, site.folder, SAMPLE))


async def listening(page: Page, site: Site, call: str) -> None:
    """The page of the call, drawn and ready to be heard."""
    await page.goto(f"{site.desk}/recordings/{call}")
    await page.locator("#player[data-ready]").wait_for()
    await page.wait_for_function("document.getElementById('sound').readyState >= 1")


@pytest.fixture(scope="module")
def forgotten(site: Site) -> None:
    """A call of nine days ago in which the bot was wrong, as an agent noted; nobody has listened to any."""

    async def put(database: Database, keys: KeyRing) -> None:
        call = await seed(database, keys, site.folder, "05-barge-in", ago=timedelta(days=9))
        await note_wrong_answer(database, keys, call)

    on_the_shelf(site, put)


async def test_a_supervisor_is_reminded_of_the_weekly_review(
    site: Site, forgotten: None, sits_down: SitsDown
) -> None:
    """Before anybody listens to anything here."""
    page = await sits_down("cleo")
    await page.goto(f"{site.desk}/recordings")
    reminder = page.get_by_role("status", name="reviews that are overdue")
    await expect(reminder).to_contain_text("nobody has listened in four weeks; 1 call since")
    await reminder.get_by_role("link", name="Look through them").click()
    await expect(page.locator(".row .why-listen").first).to_have_text(
        "an agent noted a wrong answer or a misunderstanding"
    )
    await page.set_viewport_size({"width": 360, "height": 740})
    assert await page.evaluate(FITS)
    agent = await sits_down("ada")
    await agent.goto(f"{site.desk}/recordings")
    await agent.get_by_role("heading", name="Recordings").wait_for()
    await expect(agent.get_by_text("weekly review")).to_have_count(0)


async def test_from_the_list_to_a_word_that_is_heard(site: Site, call: str, sits_down: SitsDown) -> None:
    page = await sits_down("cleo")
    elsewhere: list[str] = []
    page.on(
        "request",
        lambda asked: elsewhere.append(asked.url) if not asked.url.startswith((site.desk, "data:")) else None,
    )
    await page.get_by_role("link", name="Recordings", exact=True).click()
    await page.get_by_role("heading", name="Recordings").wait_for()
    await page.locator(f"a[href='/recordings/{call}']").click()
    await page.locator("#player[data-ready]").wait_for()
    await page.wait_for_function("document.getElementById('sound').readyState >= 1")
    view = site.get(f"/api/recordings/{call}/sessions/001", "cleo")
    line = next(one for one in view["lines"] if one["who"] == "caller")
    word = line["words"][5]
    assert await page.evaluate(TIME) == 0
    await page.locator(".said.caller .w").nth(5).click()
    begun = word["at_ms"] / 1000
    await page.wait_for_function(f"{TIME} > {begun}")
    await page.keyboard.press("Space")
    await page.wait_for_function("document.getElementById('sound').paused")
    stands = await page.evaluate(TIME)
    await page.keyboard.press("ArrowLeft")
    await page.wait_for_function(f"Math.abs({TIME} - {stands - 5}) < 0.05")
    await page.get_by_role("button", name="to the next turn").click()
    assert await page.evaluate(TIME) * 1000 in [pytest.approx(one["at_ms"], abs=2) for one in view["turns"]]
    await page.wait_for_function(f"({DRAWN})() > 0.05")
    await page.get_by_text("Turn 4:").click()
    await expect(page.get_by_text("It should arrive on").first).to_be_visible()
    await expect(page.locator(".waterfall").first).to_contain_text("turn over")
    assert "427103" not in await page.content()
    assert elsewhere == [], "nothing is loaded from outside"


async def test_a_turn_is_marked_and_becomes_a_proposal(site: Site, call: str, sits_down: SitsDown) -> None:
    page = await sits_down("ada")
    await listening(page, site, call)
    await page.locator(".said.bot").last.hover()
    await page.get_by_role("button", name="Mark: Thank you.").click()
    await page.get_by_role("radio", name="Misunderstood").check()
    await page.get_by_label("In your words").fill("it was <b>about</b> a parcel")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator(".turn-end.marked .tag")).to_have_text(
        "Misunderstood (ada): it was <b>about</b> a parcel"
    )
    await page.get_by_text("Turn 2:").click()
    await page.get_by_role("button", name="Propose as a golden case").click()
    await expect(page.get_by_label("Intent", exact=True)).to_have_value("order_status")
    await page.get_by_label("It must say").fill("order number")
    await page.get_by_role("button", name="Propose", exact=True).click()
    await expect(page.get_by_text("Proposed. It stands under Corrections")).to_be_visible()
    proposed = [one for one in site.get("/api/corrections", "cleo") if one["conversation_id"] == call]
    assert sorted(one["kind"] for one in proposed) == ["golden_case", "training_row"]
    await expect(page.get_by_text("Supervisors can run the call again")).to_be_visible()
    await page.goto(f"{site.desk}/recordings/cv_{'0' * 32}")
    await page.get_by_role("heading", name="There is no such page").wait_for()


async def test_on_a_phone_in_the_dark_and_of_a_call_that_was_cut_short(
    site: Site, call: str, sits_down: SitsDown
) -> None:
    page = await sits_down("cleo", width=390, height=844)
    await page.emulate_media(color_scheme="dark")
    await listening(page, site, call)
    assert await page.evaluate(FITS)
    await page.get_by_role("button", name="nearer").click()
    place = page.get_by_role("slider", name="place in the call")
    assert await place.evaluate("one => one.scrollWidth > one.clientWidth")
    await expect(place).to_have_attribute("aria-valuetext", "0 seconds")
    sound = site.folder / "recordings" / call / "001.vbrec"
    whole = sound.read_bytes()
    sound.write_bytes(whole[: len(whole) // 3])
    try:
        await listening(page, site, call)
        await expect(page.get_by_role("region", name="faults")).to_contain_text("Cut short")
        assert await page.evaluate(FITS)
    finally:
        sound.write_bytes(whole)
    await page.goto(f"{site.desk}/recordings")
    await page.get_by_role("heading", name="Recordings").wait_for()
    assert await page.evaluate(FITS)
    fetched = await page.request.get(
        f"{site.desk}/recordings/{call}/sessions/001/sound", headers={"Range": "bytes=0-99"}
    )
    assert (fetched.status, len(await fetched.body())) == (206, 100)
    policy = (await page.request.get(f"{site.desk}/recordings")).headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "connect-src 'self'" in policy
    await page.context.clear_cookies()
    assert (await page.request.get(f"{site.desk}/recordings/{call}/sessions/001/sound")).status == 401
