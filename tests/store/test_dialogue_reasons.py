"""A turn carries why: scores, row, sources, tools, versions, one transaction id; and distress comes first."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio
from dialogue_kit import Talk

from voicebot.console.api import Console, api_router
from voicebot.console.readers import API, Reader
from voicebot.core.bus import Bus
from voicebot.core.conversation import Urgency
from voicebot.core.store import audit, outbox
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing

ORDER, CODE = "four two seven one zero three", "nine four one oh seven"


@pytest.fixture
def database(shop_database: Database) -> Database:
    """The shop is there already."""
    return shop_database


@pytest_asyncio.fixture
async def talk(database: Database, keys: KeyRing) -> Talk:
    return await Talk.begin(database, keys)


async def detail(talk: Talk) -> dict[str, Any]:
    """What ``GET /api/conversations/{id}`` gives."""
    program = Reader("api", API)
    router = api_router(Console(talk.database, talk.keys, Bus()), lambda request: program)
    endpoint = next(
        route.endpoint  # type: ignore[attr-defined]
        for route in router.routes
        if route.path == "/api/conversations/{conversation_id}"  # type: ignore[attr-defined]
    )
    return (await endpoint(program, talk.id)).model_dump(mode="json")


async def test_the_api_shows_why_a_turn_went_as_it_did(talk: Talk) -> None:
    """Scores, category, row, reasons, sources, versions of everything that took part."""
    await talk.turn("when are you open on sunday")
    turn = (await detail(talk))["turns"][-1]
    made = turn["decision"]
    assert (made["intent"], made["category"], made["policy_row"]) == (
        "opening_hours",
        "store",
        "opening_hours/tier0/sure",
    )
    assert made["scores"]["guesses"][0]["intent"] == "opening_hours"
    assert made["sources"][0]["article"] == "opening-hours"
    assert made["reasons"]
    versions = made["versions"]
    assert all(versions[name] for name in ("policy", "monitor", "knowledge", "writer"))
    assert turn["transaction_id"].startswith("tx_")


async def test_a_tool_that_was_read_stands_on_the_turn_with_its_result(talk: Talk) -> None:
    """Name, arguments, outcome."""
    await talk.turn(f"where is my order {ORDER}")
    await talk.turn(CODE)
    (tool,) = (await detail(talk))["turns"][-1]["decision"]["tools"]
    assert (tool["tool"], tool["result"]["outcome"]) == ("order_status", "shipped")


async def test_one_transaction_id_is_on_the_turn_its_events_and_its_audit(talk: Talk) -> None:
    """So that whoever finds one finds the others."""
    await talk.turn(f"where is my order {ORDER}")
    await talk.turn(CODE)
    turn = (await talk.turns())[-1]
    async with talk.database.transaction() as tx:
        events = [e for e in await outbox.events_of(tx, talk.keys, talk.id) if e.turn == turn["turn"]]
        rows = [r for r in await audit.records(tx, conversation_id=talk.id) if r["turn"] == turn["turn"]]
    by_commit = [event for event in events if event.type != "turn.heard"]
    assert by_commit
    assert {event.transaction_id for event in by_commit} == {turn["transaction_id"]}
    assert {row["transaction_id"] for row in rows if row["actor"] == "bot"} >= {turn["transaction_id"]}


@pytest.mark.parametrize(
    "words",
    [
        "i want to kill myself",
        "where is my order and i want to kill myself",
        "the bookcase fell on my child and he is not breathing",
    ],
)
async def test_distress_goes_straight_to_a_person_whatever_else_is_asked(talk: Talk, words: str) -> None:
    """In the middle of the gate too: critical, no question, no article."""
    await talk.turn("where is my order")
    said = await talk.turn(words)
    assert talk.last is not None
    assert (talk.last.decision.intent, talk.last.after) == ("distress", "hand_over")
    assert "stay on the line" in said
    handoff = await talk.handoff()
    assert handoff is not None
    assert handoff["payload"]["urgency"] == Urgency.CRITICAL.value
    assert handoff["payload"]["trigger"]["name"] == "distress"


async def test_a_verified_customers_record_counts_and_a_callers_word_does_not(talk: Talk) -> None:
    """Segment and region come from the system of record, after the gate."""
    await talk.turn("i am a plus member in hawaii, where is my order")
    assert (await talk.state()).customer is None
    await talk.turn(ORDER)
    await talk.turn(CODE)
    customer = (await talk.state()).customer
    assert customer is not None
    assert customer.segment in {"standard", "plus"}


async def test_more_of_an_answer_is_given_when_it_is_asked_for(talk: Talk) -> None:
    """Two sentences, then the next ones; never the same again."""
    first = await talk.turn("what is your return policy")
    more = await talk.turn("tell me more please")
    assert talk.last is not None
    assert talk.last.decision.policy_row.endswith("/more")
    assert first.split(".")[0] not in more


async def test_a_person_sees_how_conversations_like_this_one_were_resolved(
    talk: Talk, database: Database, keys: KeyRing
) -> None:
    """By their shape: the first is counted when it ends, the second is shown it."""
    await talk.turn("i want to change my order")
    other = await Talk.begin(database, keys)
    await other.turn("please change my order")
    handoff = await other.handoff()
    assert handoff is not None
    (case,) = handoff["payload"]["similar"]
    assert (case["resolution"], case["count"]) == ("person", 1)
