"""What an agent does after the words: judging an escalation, saying how it was left, notes, promises kept.

And what becomes of it: the finished conversation with its notes, the correction that somebody else reviews.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from desk_kit import Site
from playwright.async_api import Page, expect

SitsDown = Callable[..., Awaitable[Page]]
WHY = "It stands in the article and only had to be said again."


async def test_an_escalation_is_judged_and_left_and_typed_words_survive_new_lines(
    site: Site, sits_down: SitsDown
) -> None:
    conversation = site.talk("hello", "i want to talk to a person now")
    handoff = site.handoff_of(conversation)["id"]
    page = await sits_down("ada")
    await page.goto(f"{site.desk}/desk/handoffs/{handoff}")
    after = page.get_by_role("region", name="after the call")
    await expect(after).to_have_count(0)
    await page.get_by_role("button", name="Accept").click()
    await after.get_by_role("radio", name="No, the bot could have gone on").check()
    await after.get_by_role("button", name="Save answer").click()
    await expect(after.get_by_role("alert").first).to_contain_text("Say why")
    why = after.get_by_label("Why not")
    await why.fill(WHY)
    site.chat("are you still there, it is about a lamp", conversation)
    await expect(page.get_by_role("log")).to_contain_text("it is about a lamp")
    await expect(why).to_have_value(WHY)
    await after.get_by_role("button", name="Save answer").click()
    await expect(after.get_by_text("ada: no person was needed")).to_be_visible()
    await page.get_by_role("button", name="Done", exact=True).click()
    await after.get_by_role("radio", name="Not solved").check()
    await after.get_by_role("button", name="Save how it was left").click()
    await expect(after.get_by_text("ada: not solved")).to_be_visible()
    said = {
        (one["kind"], one["value"], one["text"]) for one in site.get(f"/api/handoffs/{handoff}/words", "ada")
    }
    assert said == {("verdict", "disagree", WHY), ("disposition", "not_solved", None)}


async def test_a_note_is_taken_from_the_line_itself(site: Site, sits_down: SitsDown) -> None:
    conversation = site.talk("how long does delivery take", "a person please")
    page = await sits_down("ben")
    await page.goto(f"{site.desk}/desk/handoffs/{site.handoff_of(conversation)['id']}")
    line = page.locator(".said.bot").filter(has_text="Small items arrive")
    await line.hover()
    await line.get_by_role("button", name="Note on").click()
    dialog = page.get_by_role("dialog", name="note on a turn")
    await expect(dialog).to_contain_text("Small items arrive")
    await dialog.get_by_role("radio", name="Wrong answer").check()
    await dialog.get_by_label("In your words").fill("It takes a week since March.")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog).to_be_hidden()
    await expect(line).to_contain_text("Wrong answer (ben): It takes a week since March.")
    (noted,) = site.get(f"/api/conversations/{conversation}/notes", "ben")
    assert (noted["turn"], noted["value"], noted["text"]) == (
        2,
        "wrong_answer",
        "It takes a week since March.",
    )
    await page.reload()
    await expect(line).to_contain_text("Wrong answer (ben)")


async def test_a_cards_number_in_a_note_is_refused_and_what_was_typed_stays(
    site: Site, sits_down: SitsDown
) -> None:
    conversation = site.talk("hello", "a human please")
    page = await sits_down("ada")
    await page.goto(f"{site.desk}/desk/handoffs/{site.handoff_of(conversation)['id']}")
    await page.locator(".said.caller").filter(has_text="a human please").wait_for()
    await page.keyboard.press("n")
    dialog = page.get_by_role("dialog", name="note on a turn")
    await dialog.get_by_role("radio", name="Other").check()
    await dialog.get_by_label("In your words").fill("they said 4242 4242 4242 4242")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("card's number")
    await expect(dialog.get_by_label("In your words")).to_have_value("they said 4242 4242 4242 4242")
    words = dialog.get_by_label("In your words")
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    lines = page.get_by_role("button", name="Note on")
    await lines.first.press("Enter")  # another turn's note is another's
    await expect(words).to_have_value("")
    await page.keyboard.press("Escape")
    await page.keyboard.press("n")
    await expect(words).to_have_value("they said 4242 4242 4242 4242")
    await dialog.get_by_role("button", name="Cancel").click()
    await page.keyboard.press("n")
    await expect(words).to_have_value("")
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()


async def test_a_finished_conversation_shows_turns_reasons_and_outcome(
    site: Site, sits_down: SitsDown
) -> None:
    conversation = site.talk("how long do i have to return a lamp", "thank you, bye")
    site.post(f"/api/conversations/{conversation}/notes", "ben", {"turn": 2, "note": "good"})
    page = await sits_down("ada")
    await page.goto(f"{site.desk}/desk/conversations")
    await page.locator(f'[href$="{conversation}"]').click()
    turns = page.get_by_role("region", name="turns")
    await expect(turns).to_contain_text("how long do i have to return a lamp")
    await expect(turns).to_contain_text("Good (ben)")
    await turns.get_by_text("Turn 2: return policy").click()
    await expect(turns).to_contain_text("return_policy/tier0/sure")
    await expect(turns).to_contain_text("Returning an item")
    await expect(page.get_by_role("region", name="in short")).to_contain_text("they said goodbye")


async def test_a_promise_is_taken_and_kept(site: Site, sits_down: SitsDown) -> None:
    conversation = site.talk("please call me back", "202 555 0117", "yes")
    page = await sits_down("ada")
    await page.goto(f"{site.desk}/desk/follow-ups")
    mine = page.get_by_role("listitem").filter(has=page.locator(f'[href$="{conversation}"]'))
    await expect(mine).to_contain_text("[phone number 1]")
    await mine.get_by_role("button", name="Take it").click()
    await expect(mine).to_contain_text("yours")
    await expect(mine).to_contain_text("2025550117")  # who keeps it sees whom to call
    await mine.get_by_role("button", name="Kept").click()
    await expect(mine).to_have_count(0)
    (promise,) = site.get(f"/api/follow-ups?conversation={conversation}", "ada")
    assert (promise["status"], promise["claimed_by"]) == ("done", "ada")


async def test_a_correction_is_reviewed_by_a_supervisor_who_did_not_propose_it(
    site: Site, sits_down: SitsDown
) -> None:
    conversation = site.talk("how long do i have to return a table", "bye")
    note = {"turn": 2, "note": "wrong_answer", "text": "You can return almost anything within sixty days."}
    site.post(f"/api/conversations/{conversation}/notes", "cleo", note)
    proposed = site.get("/api/corrections", "cleo")
    own = next(one["id"] for one in proposed if one["conversation_id"] == conversation)
    page = await sits_down("cleo")
    await page.goto(f"{site.desk}/desk/corrections/{own}")
    await expect(page.get_by_text("somebody else reviews it")).to_be_visible()
    assert await page.get_by_role("button", name="Accept").count() == 0
    other = site.talk("how long do i have to return a chair", "bye")
    site.post(f"/api/conversations/{other}/notes", "ben", note)
    proposed = site.get("/api/corrections", "cleo")
    bens = next(one["id"] for one in proposed if one["conversation_id"] == other)
    await page.goto(f"{site.desk}/desk/corrections")
    await page.locator(f'[href$="{bens}"]').click()
    change = page.get_by_role("region", name="change")
    await expect(change.locator("ins").first).to_contain_text("sixty days.")
    await expect(change.locator("del").first).to_contain_text("thirty days")
    await page.get_by_role("button", name="Accept").click()
    await expect(page.get_by_text("decided by cleo")).to_be_visible()
    assert site.get(f"/api/corrections/{bens}", "cleo")["status"] == "accepted"
    agent = await sits_down("ada")
    await agent.goto(f"{site.desk}/desk/corrections/{bens}")
    await expect(agent.get_by_role("heading", name="For supervisors")).to_be_visible()
    assert await agent.get_by_text("sixty days").count() == 0


async def test_who_is_at_the_desk_is_seen_and_who_pauses(site: Site, sits_down: SitsDown) -> None:
    ada, cleo = await sits_down("ada"), await sits_down("cleo")
    there = cleo.get_by_label("at the desk")
    await expect(there.get_by_text("ada", exact=True)).to_be_visible()
    await ada.keyboard.press("p")
    await expect(ada.get_by_role("switch", name="take callers")).not_to_be_checked()
    await expect(there.get_by_text("ada pauses")).to_be_visible()
    assert {one["agent"]: one["takes_callers"] for one in site.get("/api/desk/presence", "cleo")}[
        "ada"
    ] is False
    await ada.keyboard.press("p")
    await expect(there.get_by_text("ada", exact=True)).to_be_visible()


async def test_shortcuts_are_listed_lead_on_and_leave_fields_alone(site: Site, sits_down: SitsDown) -> None:
    conversation = site.talk("hello", "somebody real please")
    page = await sits_down("ada")
    await page.keyboard.press("?")
    listed = page.get_by_role("dialog", name="keyboard shortcuts")
    await expect(listed).to_contain_text("accept")
    await page.keyboard.press("3")
    await page.keyboard.press("Escape")
    await expect(listed).to_be_hidden()
    assert page.url.endswith("/desk"), "in the dialog keys do nothing"
    await page.keyboard.press("3")
    await page.get_by_role("heading", name="Conversations").wait_for()
    await page.goto(f"{site.desk}/desk/handoffs/{site.handoff_of(conversation)['id']}")
    await page.get_by_role("button", name="Accept").wait_for()
    await page.keyboard.press("a")
    why = page.get_by_role("region", name="after the call").get_by_label("Why not")
    await why.focus()
    await page.keyboard.type("dad had a pad")
    await expect(why).to_have_value("dad had a pad")
    await expect(page.get_by_text("accepted by ada")).to_be_visible()
    await page.evaluate("voicebotDesk.setKeys(false)")
    await page.get_by_role("heading", level=1).click()
    await page.keyboard.press("d")
    await expect(page.get_by_text("accepted by ada")).to_be_visible()
