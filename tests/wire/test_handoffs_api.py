"""The queue over REST: who waits, how long, for whom; one has it; who acts sees values, others tokens.

A value of the caller's is shown to the agent who has the handoff and to nobody else, never a card or a code,
and every look is written down with who looked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import pytest_asyncio
from deployment_kit import LIBRARY, PEOPLE
from fastapi import FastAPI
from pydantic import SecretStr

from voicebot.console.access import bearer_guard
from voicebot.console.follow_ups import follow_ups_router
from voicebot.console.handoffs import Queue, handoffs_router
from voicebot.console.readers import agent_key, readers
from voicebot.core.conversation import Channel
from voicebot.core.store import audit, follow_ups, handoffs, outbox, vault
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue import state as states
from voicebot.dialogue.handover import HandoverRequest
from voicebot.dialogue.state import ConversationState
from voicebot.handoff.desk import StoredHandoffs

ROUTE = "/api/handoffs"
TOKEN = SecretStr("token-of-the-test")
OPEN = datetime(2026, 11, 20, 19, tzinfo=UTC)
"""A Friday, eleven in the morning at the shop."""
NIGHT = datetime(2026, 11, 21, 6, tzinfo=UTC)
VALUES = {
    "[address 1]": "12 Elm Street",
    "[card 1]": "4242424242424242",
    "[code 1]": "881204",
    "[number 1]": "5555 5555 5555 4444",
}
PROMISED = {"where": "[address 1]", "card": "[card 1]", "contact": "+12025550100"}
SAID = "it is [address 1] and my card is [card 1] or [number 1] and the code [code 1]"


KEPT = {"where": "12 Elm Street", "card": "[card 1]", "contact": "+12025550100"}
MASKED = {**PROMISED, "contact": "[caller's phone number]"}


class Desk:
    """The endpoints over a database, asked by agents; no socket, the same routes."""

    def __init__(self, database: Database, keys: KeyRing) -> None:
        self.database = database
        self.keys = keys
        self.now = OPEN
        self.pokes = 0
        app = FastAPI()
        guard = bearer_guard(TOKEN, insecure_local=False)
        queue = Queue(database, keys, PEOPLE, LIBRARY.reasons, self._poke, lambda: self.now)
        who = readers(guard, TOKEN, PEOPLE)
        app.include_router(handoffs_router(queue, who))
        app.include_router(follow_ups_router(queue, who))
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://voice.example")

    def _poke(self) -> None:
        self.pokes += 1

    async def ask(
        self,
        path: str = "",
        who: str | None = None,
        *,
        post: Any = None,
        status: int = 200,
        route: str = ROUTE,
    ) -> Any:
        """As an agent with a key, or (None) with the API's token."""
        key = TOKEN.get_secret_value() if who is None else agent_key(TOKEN, who)
        headers = {"Authorization": f"Bearer {key}"}
        method = "GET" if post is None else "POST"
        body = None if post in (None, {}) else post
        answer = await self.http.request(method, f"{route}{path}", headers=headers, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def handoff(self, *, urgency: str = "normal", owner: str | None = None) -> str:
        """A conversation that was handed over, with a vault and a promise."""
        conversations = Conversations(self.keys)
        async with self.database.transaction() as tx:
            conversation = await conversations.create(
                tx,
                channel=Channel.PHONE,
                call_sid=None,
                caller="+12025550100",
                called=None,
                state=states.new_state(),
            )
            await vault.save(tx, self.keys, conversation, turn=1, values=VALUES)
            await follow_ups.save(
                tx,
                self.keys,
                conversation_id=conversation,
                turn=1,
                kind="callback",
                intent="order_status",
                owner="delivery desk",
                urgency="normal",
                due_at=OPEN,
                details=PROMISED,
            )
            request = HandoverRequest(
                snapshot=await conversations.load(tx, conversation),
                turn=1,
                state=ConversationState(),
                decision=None,
                trigger="asked_for_person",
                urgency=urgency,
                caller=SAID,
                said=None,
                turns=(),
                policy_version="p1",
                owner=owner,
            )
            return await StoredHandoffs(self.keys, LIBRARY, PEOPLE, lambda: OPEN).store(tx, request)


@pytest_asyncio.fixture
async def desk(database: Database, keys: KeyRing) -> AsyncIterator[Desk]:
    made = Desk(database, keys)
    yield made
    await made.http.aclose()


def words(row: dict[str, Any]) -> str:
    return row["payload"]["transcript"][0]["text"]


async def test_who_has_it_sees_values_and_everybody_else_tokens(desk: Desk) -> None:
    handoff = await desk.handoff()
    for who in (None, "ada", "cleo"):
        row = await desk.ask(f"/{handoff}", who)
        assert words(row) == SAID
        assert row["payload"]["identity"]["caller"] == "[caller's phone number]"
        assert row["follow_ups"][0]["details"] == MASKED
        assert row["revealed"] == []
    mine = await desk.ask(f"/{handoff}/accept", "ada", post={})
    shown = "it is 12 Elm Street and my card is [card 1] or [number 1] and the code [code 1]"
    assert words(mine) == shown, "a number that checks out as a card's is one"
    assert mine["payload"]["identity"]["caller"] == "+12025550100"
    assert mine["follow_ups"][0]["details"] == KEPT
    assert mine["revealed"] == ["address", "phone number"]
    for who in (None, "ben", "cleo"):
        assert words(await desk.ask(f"/{handoff}", who)) == SAID
    (listed,) = await desk.ask("", "ada")
    assert words(listed) == shown
    assert words(await desk.ask(f"/{handoff}/done", "ada", post={})) == SAID, "done: no longer"


async def test_who_answers_the_phone_that_took_the_call_has_it_on_the_screen(desk: Desk) -> None:
    """Put through to the service desk, which ada answers and ben does not."""
    handoff = await desk.handoff()
    async with desk.database.transaction() as tx:
        await handoffs.move(tx, handoff, "offered", who="service desk")
        assert await handoffs.claim(tx, handoff, "service desk")
    assert "12 Elm Street" in words(await desk.ask(f"/{handoff}", "ada"))
    assert words(await desk.ask(f"/{handoff}", "ben")) == SAID
    await desk.ask(f"/{handoff}/done", "ben", post={}, status=409)
    done = await desk.ask(f"/{handoff}/done", "ada", post={})
    assert (done["status"], words(done)) == ("done", SAID)


async def test_every_look_is_written_down_with_who_and_what_kinds(desk: Desk) -> None:
    handoff = await desk.handoff()
    await desk.ask(f"/{handoff}", "ben")
    row = await desk.ask(f"/{handoff}/accept", "ada", post={})
    async with desk.database.transaction() as tx:
        reads = await audit.accesses(tx, row["conversation_id"])
        done = await audit.records(tx, conversation_id=row["conversation_id"])
    seen = [(one["actor"], one["resource"], one["purpose"], one["fields"]) for one in reads]
    assert seen == [
        ("ben", "handoff", "console", []),
        ("ben", "follow_up", "console", []),
        ("ada", "handoff", "handoff.held", ["address", "phone number"]),
        ("ada", "follow_up", "handoff.held", ["address", "phone number"]),
    ]
    assert [(one["what"], one["actor"]) for one in done] == [("handoff.accepted", "ada")]


async def test_two_agents_at_once_one_wins_the_other_is_told_who(desk: Desk) -> None:
    handoff = await desk.handoff()

    async def accept(who: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {agent_key(TOKEN, who)}"}
        return await desk.http.post(f"{ROUTE}/{handoff}/accept", headers=headers)

    answers = {
        who: await one
        for who, one in [(who, asyncio.create_task(accept(who))) for who in ("ada", "ben", "cleo")]
    }
    won = [who for who, answer in answers.items() if answer.status_code == 200]
    assert len(won) == 1
    lost = [answer.json()["detail"] for answer in answers.values() if answer.status_code == 409]
    assert [one["claimed_by"] for one in lost] == won * 2
    again = await desk.ask(f"/{handoff}/accept", won[0], post={})
    assert [one["what"] for one in again["changes"]] == ["requested", "accepted"]
    assert desk.pokes == 2
    async with desk.database.transaction() as tx:
        events = await outbox.events_of(tx, desk.keys, again["conversation_id"])
    assert [event.type for event in events] == ["handoff.accepted"], "told once"


async def test_declining_gives_it_back_and_only_the_holder_is_done(desk: Desk) -> None:
    handoff = await desk.handoff()
    await desk.ask(f"/{handoff}/accept", "ada", post={})
    refused = await desk.ask(f"/{handoff}/done", "ben", post={}, status=409)
    assert refused["detail"]["claimed_by"] == "ada"
    await desk.ask(f"/{handoff}/decline", "ben", post={}, status=409)
    row = await desk.ask(f"/{handoff}/decline", "ada", post={})
    assert (row["status"], row["claimed_by"], row["declined_by"]) == ("waiting", None, ["ada"])
    none = await desk.ask(f"/{handoff}/done", "ada", post={}, status=409)
    assert none["detail"]["problem"] == "nobody has it (waiting)"
    await desk.ask(f"/{handoff}/accept", "ben", post={})
    assert (await desk.ask(f"/{handoff}/done", "ben", post={}))["status"] == "done"
    await desk.ask(f"/{handoff}/accept", "ada", post={}, status=409)


async def test_a_supervisor_gives_back_what_another_left_lying(desk: Desk) -> None:
    """And cannot settle it in their name; an agent can do neither. The audit says who it was."""
    handoff = await desk.handoff()
    await desk.ask(f"/{handoff}/accept", "ada", post={})
    await desk.ask(f"/{handoff}/done", "cleo", post={}, status=409)
    row = await desk.ask(f"/{handoff}/decline", "cleo", post={})
    assert (row["status"], row["claimed_by"]) == ("waiting", None)
    async with desk.database.transaction() as tx:
        done = await audit.records(tx, conversation_id=row["conversation_id"])
    assert (done[0]["what"], done[0]["actor"]) == ("handoff.declined", "cleo")


async def test_the_queue_shows_place_wait_reason_and_team(desk: Desk) -> None:
    first = await desk.handoff()
    urgent = await desk.handoff(urgency="critical")
    third = await desk.handoff(owner="payments team")
    rows = {row["id"]: row for row in await desk.ask()}
    place = {one: (rows[one]["team"], rows[one]["position"]) for one in rows}
    assert place == {urgent: ("general", 1), first: ("general", 2), third: ("payments team", 1)}
    assert rows[first]["reason"] == "the caller asked for a person"
    assert rows[third]["skill"] == "payments team"
    assert [rows[one]["estimate_s"] for one in (urgent, first)] == [0.0, 0.0], "three people are free"
    await desk.ask(f"/{urgent}/accept", "cleo", post={})
    mine = await desk.ask(f"/{urgent}", "cleo")
    assert (mine["position"], mine["estimate_s"]) == (None, None)
    assert [row["id"] for row in await desk.ask("?skill=payments team")] == [third]
    assert [row["id"] for row in await desk.ask("?status=accepted")] == [urgent]


async def test_a_page_that_looks_every_second_gets_little_and_is_written_down_once(desk: Desk) -> None:
    """Summaries with tokens, also for who has it; values come with the handoff itself."""
    handoff = await desk.handoff()
    await desk.ask(f"/{handoff}/accept", "ada", post={})
    async with desk.database.transaction() as tx:
        (row,) = await handoffs.list(tx)
        before = len(await audit.accesses(tx, row["conversation_id"]))
    for _ in range(3):
        (shown,) = await desk.ask("?brief=true", "ada")
        assert set(shown["payload"]) == {"summary"}
        assert shown["revealed"] == []
    await desk.ask("?brief=true", "ben")
    async with desk.database.transaction() as tx:
        reads = (await audit.accesses(tx, row["conversation_id"]))[before:]
    assert [(one["actor"], one["purpose"], one["fields"]) for one in reads] == [
        ("ada", "queue", ["summary"]),
        ("ben", "queue", ["summary"]),
    ]


async def test_a_page_of_promises_that_looks_again_and_again_is_written_down_once(desk: Desk) -> None:
    """And once more when it shows more: who takes a promise sees its values."""
    await desk.handoff()
    (listed,) = await desk.ask(route=FOLLOW_UPS, who="ada")
    for _ in range(2):
        await desk.ask(route=FOLLOW_UPS, who="ada")
    await desk.ask(f"/{listed['id']}/accept", "ada", post={}, route=FOLLOW_UPS)
    for _ in range(3):
        await desk.ask(route=FOLLOW_UPS, who="ada")
    async with desk.database.transaction() as tx:
        reads = await audit.accesses(tx, listed["conversation_id"])
    kinds = ["address", "phone number"]
    assert [(one["actor"], one["purpose"], one["fields"]) for one in reads] == [
        ("ada", "console", []),
        ("ada", "follow_up.held", kinds),  # by taking it
        ("ada", "follow_up.held", kinds),  # in the list
    ]


async def test_at_night_a_closed_team_falls_to_another(desk: Desk) -> None:
    handoff = await desk.handoff(owner="payments team")
    desk.now = NIGHT
    row = await desk.ask(f"/{handoff}")
    assert (row["skill"], row["team"]) == ("payments team", "general")


async def test_an_outside_desk_names_its_agent_and_sees_no_values(desk: Desk) -> None:
    """The API's token is nobody's: who acts is said in the body, and values are for agents with a key."""
    handoff = await desk.handoff()
    await desk.ask(f"/{handoff}/accept", post={}, status=422)
    row = await desk.ask(f"/{handoff}/accept", post={"agent": "zendesk:77"})
    assert (row["claimed_by"], words(row)) == ("zendesk:77", SAID)
    await desk.ask(f"/{handoff}/done", "ada", post={"agent": "zendesk:77"}, status=403)


async def test_the_schema_is_published_for_readers(desk: Desk) -> None:
    schema = await desk.ask("/schema", "ada")
    assert schema["properties"]["version"]["const"] == 3


async def test_a_payload_that_cannot_be_read_is_said_not_hidden(desk: Desk) -> None:
    handoff = await desk.handoff()
    async with desk.database.transaction() as tx:
        await handoffs.resummarise(tx, desk.keys, handoff, {"version": 99})
    row = await desk.ask(f"/{handoff}", "ada")
    assert (row["payload"], row["status"]) == (None, "waiting")
    assert "version 99" in row["problem"]


async def test_an_erased_conversation_is_said_to_be_and_cannot_be_taken(desk: Desk) -> None:
    handoff = await desk.handoff()
    async with desk.database.transaction() as tx:
        await tx.execute("UPDATE subjects SET wrapped_key = NULL, erased_at = now()")
    row = await desk.ask(f"/{handoff}", "ada")
    assert (row["payload"], row["follow_ups"]) == (None, [])
    assert "erased" in row["problem"]
    await desk.ask(f"/{handoff}/accept", "ada", post={}, status=410)
    assert len(await desk.ask("", "ada")) == 1


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("?status=%00", 422),
        ("?status=taken", 422),
        ("?conversation=x", 422),
        ("?limit=0", 422),
        ("/ho_1", 422),
        (f"/ho_{'0' * 32}", 404),
        ("/%00", 422),
    ],
)
async def test_nonsense_in_an_address_is_a_clear_refusal(desk: Desk, path: str, status: int) -> None:
    await desk.ask(path, status=status)


@pytest.mark.parametrize(
    ("step", "body", "status"),
    [
        ("accept", {"agent": "x" * 81}, 422),
        ("accept", {"agent": "ada", "colour": "red"}, 422),
        ("accept", {"agent": 7}, 422),
        ("done", [1], 422),
        ("decline", {"agent": "\x00"}, 422),
    ],
)
async def test_a_wrong_body_changes_nothing(desk: Desk, step: str, body: Any, status: int) -> None:
    handoff = await desk.handoff()
    await desk.ask(f"/{handoff}/{step}", post=body, status=status)
    assert (await desk.ask(f"/{handoff}"))["status"] == "waiting"
    await desk.ask(f"/ho_{'0' * 32}/{step}", post={"agent": "ada"}, status=404)


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer ada." + "0" * 64}, 401),
        ({"Authorization": f"Bearer {agent_key(TOKEN, 'mallory')}"}, 401),
        ({"Authorization": f"Bearer {agent_key(SecretStr('another token'), 'ada')}"}, 401),
        ({"Authorization": f"Bearer {agent_key(TOKEN, 'ada').replace('ada', 'ben')}"}, 401),
        ({"X-Voicebot-Agent": "ada"}, 401),
        ({"Authorization": "Bearer token-of-the-test", "X-Voicebot-Agent": "mallory"}, 403),
        ({"Authorization": "Bearer token-of-the-test", "X-Voicebot-Agent": "ada"}, 200),
        ({"Authorization": f"Bearer {agent_key(TOKEN, 'ada')}"}, 200),
    ],
)
async def test_a_key_is_one_agents_and_made_with_this_servers_token(
    desk: Desk, header: dict[str, str], status: int
) -> None:
    assert (await desk.http.get(ROUTE, headers=header)).status_code == status


FOLLOW_UPS = "/api/follow-ups"


async def test_a_promise_is_one_persons_who_sees_what_it_takes(desk: Desk) -> None:
    """Also without a handoff of theirs: of two at once one has it; values while they have it, tokens else."""
    await desk.handoff()
    (listed,) = await desk.ask(route=FOLLOW_UPS, who="ada")
    assert (listed["details"], listed["claimed_by"]) == (MASKED, None)
    path = f"/{listed['id']}"

    async def accept(who: str) -> int:
        headers = {"Authorization": f"Bearer {agent_key(TOKEN, who)}"}
        return (await desk.http.post(f"{FOLLOW_UPS}{path}/accept", headers=headers)).status_code

    assert sorted(await asyncio.gather(accept("ada"), accept("ben"))) == [200, 409]
    (taken,) = await desk.ask(route=FOLLOW_UPS)
    mine, other = taken["claimed_by"], {"ada": "ben", "ben": "ada"}[taken["claimed_by"]]
    assert taken["details"] == MASKED
    (held,) = await desk.ask(route=FOLLOW_UPS, who=mine)
    assert (held["details"], held["revealed"]) == (KEPT, ["address", "phone number"])
    refused = await desk.ask(f"{path}/done", other, post={}, status=409, route=FOLLOW_UPS)
    assert refused["detail"]["claimed_by"] == mine
    await desk.ask(f"{path}/decline", mine, post={}, route=FOLLOW_UPS)
    await desk.ask(f"{path}/accept", post={"agent": "zendesk:1"}, route=FOLLOW_UPS)
    (outside,) = await desk.ask("?status=open", route=FOLLOW_UPS)
    assert (outside["claimed_by"], outside["details"]) == ("zendesk:1", MASKED)
    done = await desk.ask(f"{path}/done", post={"agent": "zendesk:1"}, route=FOLLOW_UPS)
    assert done["status"] == "done"
    assert await desk.ask("?status=open", route=FOLLOW_UPS) == []
    async with desk.database.transaction() as tx:
        told = await audit.records(tx, conversation_id=listed["conversation_id"])
    steps = ["follow_up.accepted", "follow_up.declined", "follow_up.accepted", "follow_up.done"]
    assert [one["what"] for one in reversed(told)] == steps


@pytest.mark.parametrize(
    ("path", "status"),
    [("/fu_1/accept", 422), (f"/fu_{'0' * 32}/accept", 404), (f"/fu_{'0' * 32}/done", 404)],
)
async def test_a_promise_that_is_not_there_is_said(desk: Desk, path: str, status: int) -> None:
    await desk.ask(path, "ada", post={}, status=status, route=FOLLOW_UPS)
