"""What an agent tells the bot changes what it says, at a fitting moment, and never what it may do.

A whisper is no yes, opens no gate and loosens no policy; it passes the guard; it is taken up once.
"""

from __future__ import annotations

import pytest_asyncio
from dialogue_kit import DEPLOYMENT
from drafts_kit import Desk, desk_with
from test_proposals import done, read_back, statuses

from voicebot.core.conversation import Action
from voicebot.core.store import audit
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.whispers import MOST_WAITING

FACT = "The store at Elm Street closes at two on 3 December."


@pytest_asyncio.fixture
async def desk(shop_database: Database, keys: KeyRing) -> Desk:
    """A greeted caller."""
    return await desk_with(shop_database, keys, deployment=DEPLOYMENT)


async def test_words_are_said_as_they_are_after_who_they_are_from(desk: Desk) -> None:
    await desk.whisper("cleo", what="say", text=FACT)
    (said,) = await desk.woke()
    assert said.startswith(f"My colleague asks me to tell you this: {FACT}")
    assert await desk.woke() == []
    (row,) = await desk.ask(f"conversations/{desk.talk.id}/whispers", "cleo")
    assert (row["status"], row["who"], row["text"]) == ("taken", "cleo", FACT)
    assert desk.talk.last is not None
    assert "cleo whispered: say" in desk.talk.last.decision.reasons
    audited = await desk.talk.audited()
    assert {"whisper.given", "whisper.taken"} <= {*audited}
    assert FACT not in str(await desk.told("whisper.given"))


async def test_the_callers_own_values_in_them_are_kept_as_tokens(desk: Desk) -> None:
    """Said as they are, stored like everything else."""
    for line in ("where is my order", "four two seven one zero three", "nine four one zero seven"):
        await desk.talk.turn(line)
    text = "Order 427103 left the depot at noon."
    await desk.whisper("cleo", what="say", text=text)
    (said,) = await desk.woke()
    assert text in said
    assert "427103" not in str(await desk.talk.turns())
    assert "427103" not in str((await desk.talk.snapshot()).state)


async def test_a_question_that_is_open_is_put_again_behind_them(desk: Desk) -> None:
    """Somebody looks for their order number meanwhile."""
    await desk.talk.turn("where is my order")
    await desk.whisper("cleo", what="say", text=FACT)
    (said,) = await desk.woke()
    assert FACT in said
    assert "order number" in said.partition(FACT)[2]
    await desk.talk.turn("four two seven one zero three")
    assert "on its way" in await desk.talk.turn("nine four one zero seven")


async def test_a_yes_that_is_waited_for_is_not_spoilt(shop_database: Database, keys: KeyRing) -> None:
    """The words come first in the next answer; the caller's yes still counts, and it is the caller's."""
    talk = await read_back(shop_database, keys)
    desk = Desk(talk)
    for body in ({"what": "say", "text": FACT}, {"what": "avoid", "intent": "gift_card"}):
        await desk.whisper("cleo", **body)
    assert await desk.woke() == ["", ""]
    assert await done(talk) == []
    said = await talk.turn("yes")
    assert said.startswith(FACT)
    assert len(await done(talk)) == 1
    assert await statuses(talk) == ["done"]


async def test_a_fact_goes_with_the_next_answer_about_its_topic_once(desk: Desk) -> None:
    await desk.whisper("cleo", what="fact", text=FACT, intent="opening_hours")
    assert await desk.woke() == [""]
    assert FACT not in await desk.talk.turn("do you have gift cards")
    said = await desk.talk.turn("when are you open on sunday")
    assert "eleven to six" in said
    assert "closes at two on" in said
    assert desk.talk.last is not None
    assert any(reason.startswith("cleo gave a fact") for reason in desk.talk.last.decision.reasons)
    assert "closes at two on" not in await desk.talk.turn("when are you open on saturday")


async def test_a_fact_goes_with_what_the_records_say(desk: Desk) -> None:
    """And is no way past the gate."""
    await desk.whisper("cleo", what="fact", text="The driver is five minutes away.", intent="order_status")
    await desk.woke()
    assert "driver" not in await desk.talk.turn("where is my order")
    await desk.talk.turn("four two seven one zero three")
    assert "driver is five minutes" in await desk.talk.turn("nine four one zero seven")


async def test_a_topic_is_offered_and_taken_up_on_the_callers_yes(desk: Desk) -> None:
    await desk.whisper("cleo", what="steer", intent="gift_card")
    (said,) = await desk.woke()
    assert said == "A colleague suggests that we talk about gift cards. Shall I go on with that?"
    assert "hundred dollars" in await desk.talk.turn("yes please")


async def test_a_topic_waits_until_nothing_else_is_asked(desk: Desk) -> None:
    await desk.talk.turn("where is my order")
    await desk.whisper("cleo", what="steer", intent="gift_card")
    assert await desk.woke() == [""]
    await desk.talk.turn("four two seven one zero three")
    said = await desk.talk.turn("nine four one zero seven")
    assert said.endswith("A colleague suggests that we talk about gift cards. Shall I go on with that?")
    assert "suggests" not in await desk.talk.turn("no thanks")


async def test_steering_opens_no_gate(desk: Desk) -> None:
    """What is offered is what policy allows."""
    await desk.whisper("cleo", what="steer", intent="refund_status")
    await desk.woke()
    assert "order number" in await desk.talk.turn("yes")
    assert desk.talk.last is not None
    assert desk.talk.last.decision.action is Action.CLARIFY


async def test_a_topic_that_was_taken_from_the_bot_goes_to_a_person(desk: Desk) -> None:
    await desk.whisper("cleo", what="avoid", intent="gift_card")
    assert await desk.woke() == [""]
    assert "eleven to six" in await desk.talk.turn("when are you open on sunday")
    await desk.talk.turn("do you have gift cards")
    assert desk.talk.last is not None
    assert (desk.talk.last.after, desk.talk.last.decision.trigger) == ("hand_over", "switched_off")


async def test_the_caller_is_fetched(desk: Desk) -> None:
    await desk.whisper("cleo", what="hand_over")
    (said,) = await desk.woke()
    assert said.startswith("A colleague would like to talk to you directly.")
    assert await desk.handoffs() == ["colleague"]
    refused = await desk.whisper("cleo", 409, what="say", text=FACT)
    assert refused["detail"]["status"] == "handoff"


async def test_who_takes_over_after_a_whisper_reads_what_was_said(desk: Desk) -> None:
    await desk.whisper("cleo", what="say", text=FACT)
    await desk.woke()
    await desk.talk.turn("a person please")
    handoff = await desk.talk.handoff()
    assert handoff is not None
    assert any(FACT in line["text"] for line in handoff["payload"]["transcript"] if line["who"] == "bot")


async def test_who_may_whisper(desk: Desk) -> None:
    """Supervisors; an agent where they have had a part; a program says for whom."""
    await desk.whisper("ada", 403, what="say", text=FACT)
    await desk.ask(f"conversations/{desk.talk.id}/whispers", "ada", status=403)
    await desk.whisper(None, 422, what="say", text=FACT)
    await desk.whisper(None, what="say", text=FACT, agent="crm:7")
    await desk.ask(f"conversations/cv_{'0' * 32}/whisper", "cleo", {"what": "hand_over"}, status=404)


async def test_a_page_that_looks_every_two_seconds_is_written_down_once(desk: Desk) -> None:
    await desk.whisper("cleo", what="say", text=FACT)
    for who in ("cleo", "cleo", None, None):
        await desk.ask(f"conversations/{desk.talk.id}/whispers", who)
    async with desk.database.transaction() as tx:
        reads = await audit.accesses(tx, desk.talk.id)
    assert [one["actor"] for one in reads if one["resource"] == "whisper"] == ["cleo", "api"]


async def test_an_agent_who_decided_on_a_draft_may_go_on_telling(
    shop_database: Database, keys: KeyRing
) -> None:
    desk = await desk_with(shop_database, keys, "do you have gift cards")
    (draft,) = await desk.held()
    await desk.ask(f"drafts/{draft}/approve", "ada", {})
    await desk.whisper("ada", what="say", text=FACT)
    await desk.whisper("ben", 403, what="say", text=FACT)
    said = await desk.woke()
    assert "dollars" in said[0]
    assert FACT in said[1]


UNFIT = (
    ({"what": "say"}, "`text`"),
    ({"what": "say", "text": "  "}, "`text`"),
    ({"what": "say", "text": FACT, "intent": "gift_card"}, "names no `intent`"),
    ({"what": "steer"}, "needs an `intent`"),
    ({"what": "avoid", "intent": "weather_report"}, "no topic"),
    ({"what": "avoid", "intent": "person"}, "no topic"),
    ({"what": "say", "text": "Your card 4242424242424242 is fine."}, "card's number"),
    ({"what": "fact", "text": "You will definitely get it, I guarantee."}, "promises"),
)


async def test_what_does_not_fit_is_refused_with_why(desk: Desk) -> None:
    """And nothing of it is kept."""
    for body, says in UNFIT:
        refused = await desk.whisper("cleo", 422, **body)
        assert says in refused["detail"]["problem"], body
    assert await desk.ask(f"conversations/{desk.talk.id}/whispers", "cleo") == []


async def test_a_bot_is_not_buried_in_whispers(desk: Desk) -> None:
    for _ in range(MOST_WAITING):
        await desk.whisper("cleo", what="hand_over")
    await desk.whisper("cleo", 429, what="hand_over")
