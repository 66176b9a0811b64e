"""An answer waits for a person at the desk, who rewords it; what the customer gets is exactly those words.

Whoever only watches sees the time run down and who decided; a supervisor tells the bot something live. Who
has a chat writes in it.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

from desk_kit import Site
from playwright.async_api import Page, expect
from websockets.asyncio.client import ClientConnection, connect

SitsDown = Callable[..., Awaitable[Page]]
EDITED = "We do: from $10 to $500, in the shop or by mail. Nobody waits longer than two days for one!"


async def clauses(line: ClientConnection, until: str) -> list[str]:
    """What the customer reads, up to the clause that holds ``until``."""
    read: list[str] = []
    async with asyncio.timeout(60):
        async for told in line:
            event: dict[str, Any] = json.loads(told)
            if event["type"] == "clause":
                read.append(event["text"])
                if until in event["text"]:
                    return read
    raise AssertionError(read)


async def test_the_customer_gets_exactly_the_words_that_were_approved(
    site: Site, sits_down: SitsDown
) -> None:
    ada, ben = await sits_down("ada"), await sits_down("ben")
    async with connect(f"{site.url.replace('http', 'ws')}/chat") as line:
        await line.send(json.dumps({"text": "do you have gift cards"}))
        await clauses(line, "about a minute")
        for page in (ada, ben):
            await page.get_by_role("heading", name="For approval").wait_for()
            await expect(page.get_by_role("timer")).to_contain_text("s left")
        await ada.keyboard.press("e")
        field = ada.get_by_label("Say this instead")
        await expect(field).to_have_value(re.compile("ten to five hundred dollars"))
        await expect(field).to_be_focused()
        await field.fill("My card is 4242 4242 4242 4242.")
        await ada.get_by_role("button", name="Say this").click()
        await expect(ada.get_by_role("alert").filter(has_text="card's number")).to_be_visible()
        await field.fill(EDITED)
        await ada.get_by_role("button", name="Say this").click()
        read = " ".join(await clauses(line, "two days"))
        assert EDITED in read
        assert "ten to five hundred" not in read
    await expect(ben.get_by_text("ada changed the words.")).to_be_visible()
    await expect(ben.get_by_role("heading", name="For approval")).to_be_hidden()


async def test_a_supervisor_tells_the_bot_what_to_say(site: Site, sits_down: SitsDown) -> None:
    page = await sits_down("cleo", width=390, height=844)
    async with connect(f"{site.url.replace('http', 'ws')}/chat") as line:
        await line.send(json.dumps({"text": "when are you open on sunday"}))
        await clauses(line, "eleven to six")
        (live, *_) = [one for one in site.get("/api/conversations", "cleo") if one["status"] == "live"]
        await page.goto(f"{site.desk}/desk/conversations/{live['id']}")
        await page.get_by_label("Words", exact=True).fill("The lift is out of order today.")
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        await page.get_by_role("button", name="Tell the bot").click()
        read = await clauses(line, "lift")
        assert read[-1] == "The lift is out of order today."
        await expect(page.get_by_text("the bot has it")).to_be_visible()


async def told(line: ClientConnection, kind: str) -> dict[str, Any]:
    """The next event of a kind."""
    async with asyncio.timeout(60):
        async for came in line:
            event: dict[str, Any] = json.loads(came)
            if event["type"] == kind:
                return event
    raise AssertionError(kind)


async def test_who_has_a_chat_writes_in_it_and_gives_it_back(site: Site, sits_down: SitsDown) -> None:
    """By keyboard, on a phone's width too; a reload on either side loses nothing."""
    page = await sits_down("ada")
    url = f"{site.url.replace('http', 'ws')}/chat"
    async with connect(url) as line:
        await line.send(json.dumps({"text": "I want to talk to a person"}))
        conversation = (await told(line, "turn.done"))["conversation_id"]
        await page.goto(f"{site.desk}/desk/handoffs/{site.handoff_of(conversation)['id']}")
        field = page.get_by_role("textbox", name="Message to the customer")
        await expect(field).to_be_hidden()
        await page.get_by_role("button", name="Accept").click()
        await expect(field).to_be_visible()
        await page.keyboard.press("w")
        await expect(field).to_be_focused()
        await page.keyboard.type("Hello, Ada here.")
        assert (await told(line, "colleague.types"))["conversation_id"] == conversation
        await page.keyboard.press("Shift+Enter")
        await page.keyboard.type("How can I help?")
        await page.keyboard.press("Enter")
        wrote = (await told(line, "colleague.wrote"))["line"]
        assert (wrote["who"], wrote["text"]) == ("colleague", "Hello, Ada here.\nHow can I help?")
        await expect(field).to_have_value("")
        await expect(page.get_by_text("The customer has it.")).to_be_visible()
        log = page.get_by_role("log")
        await expect(log.locator(".said.agent")).to_contain_text("How can I help?")
        await line.send(json.dumps({"conversation_id": conversation, "text": "my chair is late"}))
        assert (await told(line, "turn.done"))["reply"]["replies"] == []
        await expect(log).to_contain_text("my chair is late")
        await field.fill("My card is 4242 4242 4242 4242")
        await field.press("Enter")
        await expect(page.get_by_role("alert").filter(has_text="card's number")).to_be_visible()
        await expect(field).to_have_value("My card is 4242 4242 4242 4242")
    await page.set_viewport_size({"width": 390, "height": 844})
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    await page.reload()
    await field.fill("It comes on Monday.")
    await field.press("Enter")
    await expect(page.get_by_text("The customer's page is closed")).to_be_visible()
    async with connect(url) as line:
        await line.send(json.dumps({"follow": conversation, "after": wrote["line"]}))
        missed = (await told(line, "chat.so_far"))["lines"]
        assert [(one["who"], one["text"]) for one in missed] == [
            ("customer", "my chair is late"),
            ("colleague", "It comes on Monday."),
        ]
        await page.get_by_role("button", name="Hand back to the bot").click()
        back = (await told(line, "turn.done"))["reply"]
        assert back["decision"]["action"] != "escalate"
        await expect(field).to_be_hidden()
    assert site.handoff_of(conversation)["status"] == "done"
