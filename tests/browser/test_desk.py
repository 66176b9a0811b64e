"""The desk as an agent has it in the browser: who waits is seen at once, words grow live, one agent has it.

Callers' words are text and nothing else; pages work by keyboard and on a phone's width.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

import httpx
from desk_kit import PATIENCE_S, Site
from playwright.async_api import Page, expect

SitsDown = Callable[..., Awaitable[Page]]
SCRIPT = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script> I want a person please'


async def test_who_asks_for_a_person_is_seen_accepted_by_keyboard_and_followed(
    site: Site, sits_down: SitsDown
) -> None:
    page = await sits_down("ada")
    conversation = site.chat("hello")["conversation_id"]
    site.chat("I want to talk to a person", conversation)
    row = page.get_by_role("listitem").filter(
        has=page.locator(f'[href$="{site.handoff_of(conversation)["id"]}"]')
    )
    await row.wait_for()  # without a reload
    accept = row.get_by_role("button", name="Accept")
    await accept.focus()
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="asked for a person", level=1).wait_for()
    await expect(page.get_by_text("accepted by ada")).to_be_visible()
    log = page.get_by_role("log")
    await expect(log).to_contain_text("I want to talk to a person")
    site.chat("it is about my blue lamp", conversation)
    await expect(log).to_contain_text("it is about my blue lamp")
    for title in ("Next", "Summary", "Caller", "Why a person"):
        await expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()
    await page.get_by_role("button", name="Done", exact=True).click()
    await expect(page.get_by_text("done by ada")).to_be_visible()
    assert site.handoff_of(conversation)["status"] == "done"


async def test_of_two_agents_one_has_it_and_the_other_is_told(site: Site, sits_down: SitsDown) -> None:
    conversation = site.chat("can i speak to a human being")["conversation_id"]
    handoff = site.handoff_of(conversation)["id"]
    ada, ben = await sits_down("ada"), await sits_down("ben")
    for page in (ada, ben):
        await page.goto(f"{site.desk}/desk/handoffs/{handoff}")
        await page.get_by_role("button", name="Accept").wait_for()
    site.post(f"/api/handoffs/{handoff}/accept", "ada")
    await ben.get_by_role("button", name="Accept").click()
    await expect(ben.get_by_role("status").filter(has_text="ada has it")).to_be_visible()
    assert await ben.get_by_role("button", name="Done", exact=True).count() == 0
    await ada.get_by_role("button", name="Give back").click()  # seen there without a reload
    await expect(ada.get_by_text("waits", exact=True)).to_be_visible()


async def test_of_two_at_once_in_the_queue_the_second_is_told_for_good(
    site: Site, sits_down: SitsDown
) -> None:
    """Also where nobody else waits: nothing that comes by itself takes the words away."""
    site.settle()
    site.talk("hi", "a human please")
    pages = [await sits_down("ada"), await sits_down("ben")]
    for page in pages:
        await page.get_by_role("button", name="Accept").wait_for()
    await asyncio.gather(*(page.keyboard.press("a") for page in pages))
    told = re.compile("Not done: (ada|ben) has it")
    for _ in range(300):
        here = [page for page in pages if page.url.endswith("/desk")]
        if len(here) == 1 and await here[0].get_by_text(told).count():
            break
        await asyncio.sleep(0.1)
    else:
        raise AssertionError([page.url for page in pages])
    (second,) = here
    await expect(second.get_by_text("Nobody waits.")).to_be_visible()
    await asyncio.sleep(5)  # the queue is looked at every two seconds
    await expect(second.get_by_text(told)).to_be_visible()


async def test_suggestions_come_while_the_agent_speaks_and_go_when_set_aside(
    site: Site, sits_down: SitsDown
) -> None:
    conversation = site.chat("please let me speak to a person")["conversation_id"]
    page = await sits_down("ada", width=390, height=844)
    await page.goto(f"{site.desk}/desk/handoffs/{site.handoff_of(conversation)['id']}")
    suggestions = page.get_by_role("region", name="suggestions")
    await page.get_by_role("button", name="Accept").click()
    await expect(suggestions).to_contain_text("Nothing yet")
    site.chat("how long do i have to send a lamp back", conversation)
    reply = suggestions.get_by_role("listitem").filter(has_text="You could say")
    await expect(reply).to_contain_text("thirty days")
    await page.keyboard.press("c")
    await expect(reply).to_contain_text("used")
    article = suggestions.get_by_role("listitem").filter(has_text="Article").first
    await article.get_by_text("Not useful").click()
    await article.get_by_label("What would be right?").fill("A lamp goes back within a month.")
    title = await article.locator("summary").first.inner_text()
    await article.get_by_role("button", name="Take it away").click()
    await expect(suggestions.get_by_text(title, exact=True)).to_have_count(0)
    log, below = await page.get_by_role("log").bounding_box(), await suggestions.bounding_box()
    assert log is not None
    assert below is not None
    assert below["y"] >= log["y"] + log["height"]
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    await page.get_by_role("button", name="Give back").click()
    await expect(suggestions).to_be_hidden()


async def test_a_callers_words_are_text(site: Site, sits_down: SitsDown) -> None:
    conversation = site.chat(SCRIPT)["conversation_id"]
    site.chat("let me talk to a person", conversation)
    page = await sits_down("ada")
    await page.goto(f"{site.desk}/desk/handoffs/{site.handoff_of(conversation)['id']}")
    await expect(page.get_by_role("log")).to_contain_text("<script>window.hacked=1</script>")
    assert await page.evaluate("window.hacked") is None
    over = site.talk(f"my name is {SCRIPT}", "thank you, bye")
    site.post(f"/api/conversations/{over}/notes", "ben", {"turn": 2, "note": "other", "text": SCRIPT})
    await page.goto(f"{site.desk}/desk/conversations/{over}")
    await expect(page.locator(".noted").last).to_contain_text("<script>window.hacked=1</script>")
    assert await page.evaluate("window.hacked") is None


async def test_on_a_phone_nothing_is_cut_off(site: Site, sits_down: SitsDown) -> None:
    conversation = site.chat("get me a person")["conversation_id"]
    page = await sits_down("cleo", width=390, height=844)
    await page.get_by_role("button", name="Accept").first.wait_for()
    fits = "document.documentElement.scrollWidth <= window.innerWidth"
    assert await page.evaluate(fits)
    await page.goto(f"{site.desk}/desk/handoffs/{site.handoff_of(conversation)['id']}")
    await page.get_by_role("log").wait_for()
    assert await page.evaluate(fits)


async def test_supervisors_listen_in_and_agents_do_not(site: Site, sits_down: SitsDown) -> None:
    conversation = site.chat("hello there")["conversation_id"]
    listens = await sits_down("cleo")
    await listens.goto(f"{site.desk}/desk/conversations/{conversation}")
    await expect(listens.get_by_role("log")).to_contain_text("hello there")
    agent = await sits_down("ada")
    await agent.goto(f"{site.desk}/desk/conversations/{conversation}")
    await expect(agent.get_by_role("heading", name="For supervisors")).to_be_visible()
    await expect(agent.get_by_text("You are signed in as agent")).to_be_visible()
    assert await agent.get_by_role("log").count() == 0


async def test_a_reload_loses_nothing_and_signing_out_ends_it(site: Site, sits_down: SitsDown) -> None:
    conversation = site.chat("a real person please")["conversation_id"]
    page = await sits_down("ada")
    await page.goto(f"{site.desk}/desk/handoffs/{site.handoff_of(conversation)['id']}")
    log = page.get_by_role("log")
    await expect(log).to_contain_text("a real person please")
    await page.reload()
    await expect(log).to_contain_text("a real person please")
    site.chat("and my chair is broken", conversation)
    await expect(log).to_contain_text("and my chair is broken")
    assert await log.get_by_text("a real person please").count() == 1
    await page.get_by_role("button", name="Sign out").click()
    await page.get_by_role("heading", name="Sign in").wait_for()
    await page.goto(f"{site.desk}/desk")
    await page.get_by_role("heading", name="Sign in").wait_for()


def test_a_node_sends_people_to_the_desk(site: Site) -> None:
    answer = httpx.get(f"{site.url}/desk/handoffs/ho_1?x=1", timeout=PATIENCE_S)
    assert answer.headers["location"] == f"{site.desk}/desk/handoffs/ho_1?x=1"


def test_a_desk_without_keys_is_for_pages_of_this_machine(site: Site) -> None:
    """A page elsewhere may give its own name this machine's address, or post here: it names its host."""
    for headers, status in (
        ({"Host": "evil.example"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": site.desk}, 200),
        ({"Host": "localhost"}, 200),
    ):
        answer = httpx.get(f"{site.desk}/desk/sign-in", headers=headers, timeout=PATIENCE_S)
        assert answer.status_code == status, headers


def test_a_forged_cookie_is_nobody(site: Site) -> None:
    forged = {"voicebot_desk": "WyJhZGEiXQ.forged"}
    answer = httpx.get(f"{site.desk}/desk", cookies=forged, timeout=PATIENCE_S)
    assert answer.headers["location"].endswith("/desk/sign-in?to=/desk")
