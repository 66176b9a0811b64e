"""Insight in the browser: from a figure to the conversations behind it; agents see their teams' alone.

Charts are drawn by what the desk itself serves, in the page's own colours; every day stands in a table too.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import pytest
from desk_kit import Site
from playwright.async_api import Page, expect

SitsDown = Callable[..., Awaitable[Page]]
WISH = "could i please speak with a human being"
FITS = "document.documentElement.scrollWidth <= window.innerWidth"


@pytest.fixture(scope="module")
def conversation(site: Site) -> str:
    """A conversation that went to a person and whose outcome is known: nodes look every 5 s."""
    conversation = site.talk("hello", WISH)
    path = "/api/kpis/conversations?figure=escalation&limit=200"
    until = time.monotonic() + 90
    while conversation not in [one["conversation_id"] for one in site.get(path, "cleo")["cases"]]:
        assert time.monotonic() < until, "no outcome was made"
        time.sleep(0.2)
    return conversation


async def test_from_a_figure_to_the_conversation_behind_it(
    site: Site, conversation: str, sits_down: SitsDown
) -> None:
    page = await sits_down("cleo")
    elsewhere: list[str] = []
    page.on(
        "request",
        lambda asked: elsewhere.append(asked.url) if not asked.url.startswith((site.desk, "data:")) else None,
    )
    await page.get_by_role("link", name="Insight").click()
    await page.get_by_role("heading", name="Insight").wait_for()
    await page.get_by_role("region", name="by intent").wait_for()
    await page.get_by_role("link", name="Escalation").first.click()
    chosen = page.get_by_role("region", name="Escalation by day")
    await chosen.get_by_role("img", name="Escalation by day").locator("svg").wait_for()
    colours = []
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        line = chosen.locator("svg path[stroke='var(--accent)']").first
        colours.append(await line.evaluate("one => getComputedStyle(one).stroke"))
    assert colours[0] != colours[1]
    assert "none" not in colours
    await chosen.get_by_text("Every day as a table").click()
    day = site.get("/api/kpis?days=1", "cleo")["last"]
    await expect(chosen.get_by_role("row", name=day)).to_be_visible()
    await chosen.get_by_role("link", name="Went to a person").click()
    await page.get_by_role("heading", name="Escalation: went to a person").wait_for()
    await page.locator(f"a[href='/desk/conversations/{conversation}']").click()
    await expect(page.get_by_text(WISH).first).to_be_visible()
    file = await page.request.get(f"{site.desk}/insight.csv?by=channel&days=7")
    assert [line.split(",")[0] for line in (await file.text()).splitlines()[:2]] == ["by", "all"]
    assert "attachment" in file.headers["content-disposition"]
    assert elsewhere == [], "nothing is loaded from outside"


async def test_an_agent_sees_the_teams_figures_and_no_lists_on_a_phone(
    site: Site, conversation: str, sits_down: SitsDown
) -> None:
    page = await sits_down("ada", width=390, height=844)
    await page.goto(f"{site.desk}/insight?days=7")
    await page.get_by_role("heading", name="Your teams").wait_for()
    await page.get_by_role("img", name="Resolution by day").locator("svg").wait_for()
    assert await page.evaluate(FITS)
    assert await page.get_by_role("link", name="Containment").count() == 0
    assert await page.locator("a[href*='/insight/conversations']").count() == 0
    await page.goto(f"{site.desk}/insight/conversations?figure=escalation")
    await page.get_by_role("heading", name="For supervisors").wait_for()
    assert conversation not in await page.content()
    assert (await page.request.get(f"{site.desk}/insight.csv?by=intent")).status == 403
