"""When something is amiss, the desk says what and goes on by itself, and nothing that was typed is lost.

A session that ends, a sign-out, an agent taken off the list, a server that is away, a page for another role.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx
import yaml
from desk_kit import PATIENCE_S, OwnDesk, Site
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Page, expect

from voicebot.console.desk.sessions import COOKIE, LASTS, Sessions
from voicebot.core.settings import load_settings
from voicebot.core.store.keys import KeyRing

SitsDown = Callable[..., Awaitable[Page]]
WORDS = "nobody had to take this one"


def nearly_over(site: Site, agent: str, left: timedelta) -> str:
    """A session's cookie that ends so soon."""
    keys = KeyRing.from_settings(load_settings(data_dir=site.folder))
    sessions = Sessions(keys.index("desk sessions", "signing"))
    return sessions.issue(agent, datetime.now(UTC) - LASTS + left)


async def on_a_handoff(page: Page, site: Site, desk: str) -> str:
    """Has a hand-over accepted on ``page``, with words typed but not sent; its id."""
    handoff = site.handoff_of(site.talk("hello", "a person please"))["id"]
    await page.goto(f"{desk}/desk/handoffs/{handoff}")
    await page.get_by_role("button", name="Accept").click()
    await page.get_by_label("Why not").fill(WORDS)
    return handoff


async def typed_in_time(page: Page, site: Site, cookie: str, handoff: str) -> bool:
    """Has words typed on the page of an accepted hand-over, unless the cookie's session ends before."""
    host = urlsplit(site.desk).hostname
    await page.context.add_cookies([{"name": COOKIE, "value": cookie, "domain": host, "path": "/"}])
    await page.goto(f"{site.desk}/desk/handoffs/{handoff}")
    field = page.get_by_label("Why not")
    with suppress(PlaywrightError):  # it was over meanwhile
        await field.fill(WORDS, timeout=10_000)
        asked = await page.get_by_role("dialog", name="sign in again").is_visible()
        return not asked and await field.input_value() == WORDS
    return False


async def test_a_session_that_ends_asks_to_sign_in_and_keeps_what_was_typed(
    site: Site, sits_down: SitsDown
) -> None:
    page = await sits_down("ada")
    handoff = site.handoff_of(site.talk("hello", "a person please"))["id"]
    site.post(f"/api/handoffs/{handoff}/accept", "ada")
    for left_s in (3, 12, 48):  # as long as this machine needs to have typed before it is over
        cookie = nearly_over(site, "ada", timedelta(seconds=left_s))
        if await typed_in_time(page, site, cookie, handoff):
            break
    else:
        raise AssertionError("the session was over before anything was typed")
    again = page.get_by_role("dialog", name="sign in again")
    await again.wait_for(timeout=90_000)
    await page.keyboard.press("Escape")
    await expect(again).to_be_visible()
    await again.get_by_role("button", name="Sign in").click()
    await expect(again).to_be_hidden()
    await expect(page.get_by_label("Why not")).to_have_value(WORDS)
    await page.get_by_role("radio", name="No, the bot could have gone on").check()
    await page.get_by_role("button", name="Save answer").click()
    await expect(page.get_by_text("ada: no person was needed")).to_be_visible()
    (said,) = site.get(f"/api/handoffs/{handoff}/words", "ada")
    assert said["text"] == WORDS


async def test_signing_out_in_one_tab_ends_the_others(site: Site, sits_down: SitsDown) -> None:
    page = await sits_down("ada")
    handoff = await on_a_handoff(page, site, site.desk)
    other = await page.context.new_page()
    await other.goto(f"{site.desk}/desk")
    cookies = {one.get("name", ""): one.get("value", "") for one in await page.context.cookies()}
    await other.get_by_role("button", name="Sign out").click()
    await page.get_by_role("dialog", name="sign in again").wait_for()
    await page.evaluate("document.querySelector('[data-key=d]').click()")  # nothing acts behind the dialog
    assert site.get(f"/api/handoffs/{handoff}", "ada")["status"] == "accepted"
    async with httpx.AsyncClient(cookies=cookies, timeout=PATIENCE_S) as elsewhere:
        answer = await elsewhere.get(f"{site.desk}/desk")
    assert "/desk/sign-in" in answer.headers["location"], "the cookie is worth nothing any more"


def test_signing_in_anew_ends_the_session_before(site: Site) -> None:
    """A cookie that somebody copied is worth nothing then."""
    with httpx.Client(base_url=site.desk, timeout=PATIENCE_S) as browser:
        browser.post("/desk/sign-in", data={"name": "ada"})
        copied = browser.cookies[COOKIE]
        assert browser.get("/desk/follow-ups").status_code == 200
        browser.post("/desk/sign-in", data={"name": "cleo"})
        assert browser.get("/desk/corrections").status_code == 200
        answer = httpx.get(f"{site.desk}/desk", cookies={COOKIE: copied}, timeout=PATIENCE_S)
    assert "/desk/sign-in" in answer.headers["location"]


async def test_who_is_taken_off_the_list_is_out_on_every_page(
    site: Site, own: OwnDesk, sits_down: SitsDown
) -> None:
    before = own.people.read_text(encoding="utf-8")
    page = await sits_down("ben", desk=own.url)
    await on_a_handoff(page, site, own.url)
    document = yaml.safe_load(before)
    document["agents"] = [one for one in document["agents"] if one["id"] != "ben"]
    own.people.write_text(yaml.safe_dump(document), encoding="utf-8")
    try:
        again = page.get_by_role("dialog", name="sign in again")
        await expect(again).to_contain_text("not on the list")
        assert await again.get_by_role("button", name="Sign in").count() == 0
        await page.goto(f"{own.url}/desk")
        await page.get_by_role("heading", name="Sign in").wait_for()
        assert "ben" not in await page.locator("#name").inner_text()
    finally:
        own.people.write_text(before, encoding="utf-8")


async def test_a_server_that_is_away_is_said_and_comes_back_by_itself(
    site: Site, own: OwnDesk, sits_down: SitsDown
) -> None:
    page = await sits_down("ada", desk=own.url)
    await on_a_handoff(page, site, own.url)
    log = page.get_by_role("log")
    await expect(log).to_contain_text("a person please")
    conversation = site.get(page.url.rpartition("/desk")[2].replace("/handoffs", "/api/handoffs"), "ada")
    own.line.cut()
    try:
        line = page.get_by_text("The server does not answer. Calls go on")
        await expect(line).to_be_visible()
        blank = await page.context.new_page()
        await blank.goto(f"{own.url}/desk/conversations/{conversation['conversation_id']}")
        await expect(blank.get_by_role("heading", name="The server does not answer")).to_be_visible()
    finally:
        own.line.mend()
    site.chat("i am still here", conversation["conversation_id"])
    await expect(log).to_contain_text("i am still here")
    await expect(line).to_be_hidden()
    await expect(page.get_by_label("Why not")).to_have_value(WORDS)
    await expect(blank.get_by_role("log")).to_contain_text("i am still here")  # without a click


async def test_pages_that_are_none_and_pages_of_others_say_so(site: Site, sits_down: SitsDown) -> None:
    page = await sits_down("ada")
    for path, says in (
        (f"/desk/conversations/cv_{0:032x}", "no such page"),
        ("/desk/handoffs/ho_1", "no such page"),
        ("/desk/corrections", "For supervisors"),
    ):
        await page.goto(f"{site.desk}{path}")
        await expect(page.get_by_role("heading", level=1)).to_contain_text(says)


def test_an_address_that_is_none_is_a_404(site: Site) -> None:
    answer = httpx.get(f"{site.desk}/desk/nowhere/at/all", timeout=PATIENCE_S)
    assert (answer.status_code, "There is no such page" in answer.text) == (404, True)


def test_after_signing_in_one_is_where_one_wanted_to_be_and_never_elsewhere(site: Site) -> None:
    wanted = httpx.get(f"{site.desk}/desk/follow-ups", timeout=PATIENCE_S).headers["location"]
    assert wanted == "/desk/sign-in?to=/desk/follow-ups"
    asked = f"{site.desk}/insight?days=7&channel=chat"
    wanted = httpx.get(asked, timeout=PATIENCE_S).headers["location"]
    assert httpx.URL(wanted).params["to"] == "/insight?days=7&channel=chat"
    for to, lands in (
        ("/desk/follow-ups", "/desk/follow-ups"),
        ("/insight?days=7&channel=chat", "/insight?days=7&channel=chat"),
        ("//evil.example/desk", "/desk"),
        ("https://evil.example", "/desk"),
        ("/desk\\..\\", "/desk"),
    ):
        answer = httpx.post(f"{site.desk}/desk/sign-in", data={"name": "ada", "to": to}, timeout=PATIENCE_S)
        assert answer.headers["location"] == lands
