"""A system outside is told of every step of every handoff, in order and signed, until it has taken it.

A target that hangs, fails or redirects is tried again with longer waits and the same delivery id; two nodes
never send one delivery at once; what is sent holds tokens; only the deployment's address is asked.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import pytest_asyncio
from deployment_kit import LIBRARY
from fastapi import FastAPI, Request, Response
from pydantic import SecretStr
from twilio_kit import eventually

from voicebot.core.bus import Bus
from voicebot.core.conversation import Channel
from voicebot.core.settings import Settings, SettingsError
from voicebot.core.store import handoff_deliveries, handoffs
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue import state as states
from voicebot.dialogue.handover import HandoverRequest
from voicebot.dialogue.state import ConversationState
from voicebot.handoff.connectors.deliveries import Deliveries
from voicebot.handoff.connectors.signing import is_genuine
from voicebot.handoff.connectors.webhook import WebhookConnector, webhook_of
from voicebot.handoff.desk import StoredHandoffs
from voicebot.handoff.people import People, Webhook

SECRET = SecretStr("a secret of both sides")
NOW = 1_764_000_000.0


@dataclass
class Target:
    """A ticket system: checks signatures, remembers what it was sent, answers what it is told to."""

    answers: list[int | str] = field(default_factory=list)
    """A status each, ``hang``, ``others first``, or ``redirect``; then 204."""
    got: list[dict[str, Any]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.post("/{path:path}")
        async def take(request: Request, path: str) -> Response:
            self.paths.append(path)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            try:
                return await self._take(request)
            finally:
                self.at_once -= 1

        return app

    async def _take(self, request: Request) -> Response:
        body = await request.body()
        delivery = request.headers["x-voicebot-delivery"]
        assert is_genuine(
            SECRET.get_secret_value().encode(), delivery, body, request.headers["x-voicebot-signature"], NOW
        )
        self.ids.append(delivery)
        answer = self.answers.pop(0) if self.answers else 204
        if answer == "hang":
            await asyncio.sleep(60)
        if answer == "others first":
            await eventually(lambda: len(self.got) >= 3, 25)
            return Response(status_code=500)
        if answer == "redirect":
            return Response(status_code=307, headers={"location": "/elsewhere"})
        if answer == 204:
            self.got.append(json.loads(body))
        return Response(status_code=int(answer), headers={"retry-after": "7"} if answer == 429 else {})


@dataclass
class World:
    """A database with a handoff in it, and a target."""

    database: Database
    keys: KeyRing
    target: Target
    handoff: str = ""

    def node(self, *, tries: int = 12, timeout_s: float = 30.0) -> Deliveries:
        """A node of its own."""
        webhook = Webhook(url="https://tickets.example/in", timeout_s=timeout_s, tries=tries)
        transport = httpx.ASGITransport(self.target.app())
        connector = WebhookConnector(webhook, SECRET, lambda: NOW, transport)
        return Deliveries(self.database, self.keys, Bus(), connector, LIBRARY.reasons.reason)

    async def asked(self) -> str:
        """A new handoff."""
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
            request = HandoverRequest(
                snapshot=await conversations.load(tx, conversation),
                turn=1,
                state=ConversationState(),
                decision=None,
                trigger="asked_for_person",
                urgency="normal",
                caller="send it to [address 1]",
                said=None,
                turns=(),
                policy_version="p1",
            )
            return await StoredHandoffs(self.keys, LIBRARY, People(), lambda: datetime.now(UTC)).store(
                tx, request
            )

    async def due(self) -> None:
        """As if every wait were over."""
        async with self.database.transaction() as tx:
            await tx.execute("UPDATE handoff_deliveries SET due_at = now() - interval '1 second'")

    async def later(self) -> None:
        """As if no wait were over for a good while."""
        async with self.database.transaction() as tx:
            await tx.execute("UPDATE handoff_deliveries SET due_at = due_at + interval '1 minute'")

    async def rows(self) -> list[tuple[str, str, int, str | None]]:
        async with self.database.transaction() as tx:
            found = await handoff_deliveries.of(tx, self.handoff)
        return [(row["what"], row["status"], row["tries"], row["reason"]) for row in found]  # type: ignore[misc]

    async def waits_s(self) -> float:
        async with self.database.transaction() as tx:
            query = "SELECT extract(epoch FROM due_at - changed_at)::float8 AS s FROM handoff_deliveries"
            row = await (await tx.execute(query)).fetchone()
        assert row is not None
        return row["s"]


@pytest_asyncio.fixture
async def world(database: Database, keys: KeyRing) -> AsyncIterator[World]:
    made = World(database, keys, Target())
    made.handoff = await made.asked()
    yield made


async def test_a_handoff_is_sent_once_signed_and_with_tokens(world: World) -> None:
    node = world.node()
    assert await node.once() == 1
    assert await node.once() == 0
    (sent,) = world.target.got
    assert (sent["event"], sent["handoff"]["id"], sent["handoff"]["reason"]) == (
        "handoff.requested",
        world.handoff,
        "the caller asked for a person",
    )
    assert sent["payload"]["transcript"][0]["text"] == "send it to [address 1]"
    assert sent["payload"]["identity"]["caller"] == "[caller's phone number]"
    assert "+1202555" not in json.dumps(sent)
    assert await world.rows() == [("requested", "delivered", 1, None)]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("hang", "no answer in time"),
        (500, "status 500"),
        (503, "status 503"),
        (404, "status 404"),
        ("redirect", "status 307"),
    ],
)
async def test_what_is_not_taken_is_tried_again_under_the_same_id(
    world: World, answer: int | str, reason: str
) -> None:
    """A redirect is not followed: only the deployment's address is ever asked."""
    world.target.answers = [answer]
    await world.node(timeout_s=0.15 if answer == "hang" else 30.0).once()
    assert await world.rows() == [("requested", "queued", 1, reason)]
    assert 0.3 < await world.waits_s() <= 1.0
    await world.later()
    node = world.node()
    assert await node.once() == 0, "it waits"
    await world.due()
    await node.once()
    assert len(set(world.target.ids)) == 1
    assert len(world.target.got) == 1
    assert set(world.target.paths) == {"in"}
    assert (await world.rows())[0][1:3] == ("delivered", 2)


async def test_waits_double_and_tries_end(world: World) -> None:
    world.target.answers = [500] * 9
    node = world.node(tries=4)
    waits = []
    for _ in range(4):
        await world.due()
        await node.once()
        waits.append(await world.waits_s())
    for wait_s, own_s in zip(waits, (1, 2, 4), strict=False):
        assert 0.8 * own_s - 0.2 < wait_s <= own_s
    assert await world.rows() == [("requested", "given_up", 4, "status 500")]


@pytest.mark.parametrize("status", [400, 410, 422])
async def test_what_will_never_be_taken_is_not_sent_again(world: World, status: int) -> None:
    world.target.answers = [status]
    await world.node().once()
    assert await world.rows() == [("requested", "given_up", 1, f"status {status}")]


async def test_a_target_that_asks_for_a_rest_gets_it(world: World) -> None:
    world.target.answers = [429]
    await world.node().once()
    assert 6 < await world.waits_s() <= 7


async def test_steps_of_one_handoff_go_in_order_and_do_not_hold_up_another(world: World) -> None:
    world.target.answers = [500]
    async with world.database.transaction() as tx:
        await handoffs.claim(tx, world.handoff, "ada")
    node = world.node()
    await node.once()
    assert await world.rows() == [
        ("requested", "queued", 1, "status 500"),
        ("accepted", "queued", 0, None),
    ]
    await world.later()
    other = await world.asked()
    await node.once()
    assert [sent["handoff"]["id"] for sent in world.target.got] == [other]
    await world.due()
    await node.once()
    await node.once()
    told = [
        (sent["event"], sent["who"]) for sent in world.target.got if sent["handoff"]["id"] == world.handoff
    ]
    assert told == [("handoff.requested", None), ("handoff.accepted", "ada")]


async def test_two_nodes_never_send_one_delivery_at_once(world: World) -> None:
    for _ in range(6):
        await world.asked()
    first, second = world.node(), world.node()
    tries = await asyncio.gather(first.once(), second.once())
    assert sum(tries) == 7
    assert len(world.target.ids) == len(set(world.target.ids)) == 7


async def test_what_a_dead_node_had_in_hand_is_sent_by_another_under_its_id(world: World) -> None:
    """It died between the claim and the answer; its own late answer then settles nothing."""
    async with world.database.transaction() as tx:
        await handoff_deliveries.queue(tx, "webhook")
        (left,) = await handoff_deliveries.claim(tx, "webhook", lease_s=30, limit=5)
    node = world.node()
    assert await node.once() == 0, "somebody sends it"
    async with world.database.transaction() as tx:
        await tx.execute("UPDATE handoff_deliveries SET sending_until = now() - interval '1 second'")
    assert await node.once() == 1
    assert world.target.ids == [left.id]
    async with world.database.transaction() as tx:
        assert not await handoff_deliveries.settle(tx, left, "queued", reason="late")
    assert (await world.rows())[0][1] == "delivered"


async def test_what_no_node_survives_is_given_up(world: World) -> None:
    async with world.database.transaction() as tx:
        await handoff_deliveries.queue(tx, "webhook")
        await tx.execute("UPDATE handoff_deliveries SET tries = 4")
    await world.node(tries=4).once()
    assert world.target.ids == []
    assert await world.rows() == [("requested", "given_up", 5, "too many tries")]


async def test_a_target_that_hangs_holds_up_nobody_else(world: World) -> None:
    world.target.answers = ["others first"]
    for _ in range(3):
        await world.asked()
    await world.node(timeout_s=30.0).once()
    assert len(world.target.got) == 3
    assert world.target.most_at_once > 1


async def test_an_erased_conversation_is_not_sent(world: World) -> None:
    async with world.database.transaction() as tx:
        await tx.execute("UPDATE subjects SET wrapped_key = NULL, erased_at = now()")
    await world.node().once()
    assert world.target.ids == []
    assert (await world.rows())[0][1] == "given_up"


async def test_a_webhook_without_a_secret_is_no_start() -> None:
    people = People(webhook=Webhook(url="https://tickets.example/in"))
    for secret in (None, SecretStr("short")):
        with pytest.raises(SettingsError, match="VOICEBOT_HANDOFF_SECRET"):
            webhook_of(Settings(_env_file=None, handoff_secret=secret), people)
    assert webhook_of(Settings(_env_file=None), People()) is None
    made = webhook_of(Settings(_env_file=None, handoff_secret=SECRET), people)
    assert made is not None
    await made.close()


@pytest.mark.parametrize(
    ("change", "genuine"),
    [
        ({}, True),
        ({"body": b'{"a":2}'}, False),
        ({"delivery": "de_2"}, False),
        ({"secret": b"another"}, False),
        ({"now": NOW + 301}, False),
        ({"now": NOW - 301}, False),
        ({"given": "t=1764000000"}, False),
        ({"given": "v1=00"}, False),
        ({"given": "t=٣,v1=0"}, False),
        ({"given": ""}, False),
    ],
)
def test_a_signature_stands_for_secret_delivery_body_and_time(change: dict[str, Any], genuine: bool) -> None:
    from voicebot.handoff.connectors.signing import signature

    facts: dict[str, Any] = {"secret": b"s" * 20, "delivery": "de_1", "body": b'{"a":1}', "now": NOW}
    facts["given"] = signature(b"s" * 20, "de_1", b'{"a":1}', int(NOW))
    assert is_genuine(**{**facts, **change}) is genuine
