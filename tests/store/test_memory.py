"""Memory is reached by a verified customer only, each read is written down, an erased key erases it all."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dialogue_kit import DEPLOYMENT

from voicebot.core.conversation import Action, Channel, Decision, MonitorScores, Route, Utterance
from voicebot.core.store import audit
from voicebot.core.store.conversations import Conversations, Snapshot
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.connectors.connector import Connector, ConnectorError
from voicebot.dialogue.connectors.postgres import PostgresConnector
from voicebot.dialogue.memory import memories
from voicebot.dialogue.memory.clearances import Clearance
from voicebot.dialogue.memory.features import Feature, Layer, Purpose, Role
from voicebot.dialogue.memory.memory import Known, Memory
from voicebot.dialogue.memory.profile import read_profile
from voicebot.dialogue.reading import mark_used
from voicebot.safety.identity import Factor, Gate, GateProgress, GateRules, Match, VerifiedCustomer

GATE = Gate(GateRules(factors=(Factor(name="order_number", digits=6), Factor(name="post_code", digits=5))))
ACTOR = "bot:tx_1"


def verified(customer_id: str = "cu_00001") -> VerifiedCustomer:
    match = Match(customer_id=customer_id, reference="427103", method=("order_number", "post_code"))
    customer = GATE.customer(GateProgress(match=match))
    assert customer is not None
    return customer


def memory_on(database: Database, keys: KeyRing, connector: Connector | None = None, **more: Any) -> Memory:
    return Memory(
        database,
        keys,
        connector or PostgresConnector(database, DEPLOYMENT.queries),
        DEPLOYMENT.clearances,
        is_topic=DEPLOYMENT.intents.is_content,
        means=DEPLOYMENT.intents.means,
        **more,
    )


class Talk:
    """A conversation whose turns are written by hand."""

    def __init__(self, database: Database, keys: KeyRing, memory: Memory) -> None:
        self.database, self.keys, self.memory = database, keys, memory
        self.conversations = Conversations(keys)

    async def begin(self, channel: Channel = Channel.CHAT) -> str:
        async with self.database.transaction() as tx:
            return await self.conversations.create(
                tx, channel=channel, call_sid=None, caller="+12025550100", called=None, state={}
            )

    async def turn(
        self,
        conversation: str,
        intent: str,
        action: Action,
        *,
        by: VerifiedCustomer | None = None,
        remembers: bool | None = None,
        sentiment: float = 0.0,
        slots: dict[str, str] | None = None,
    ) -> Snapshot:
        decision = Decision(
            intent=intent, action=action, route=Route.GROUNDED, tier=1, policy_row="row",
            scores=MonitorScores(sentiment=sentiment),
        )  # fmt: skip
        async with self.database.transaction() as tx:
            snapshot = await self.conversations.load(tx, conversation)
            turn = snapshot.turn + 1
            await self.conversations.advance(tx, snapshot, turn=turn, state={})
            await self.conversations.save_turn(
                tx,
                conversation,
                turn=turn,
                transaction_id=f"tx_{conversation}_{turn}",
                input=Utterance(text="something private").model_dump(mode="json"),
                decision=decision.model_dump(mode="json"),
                spoken="an answer",
            )
            if by is not None:
                await self.memory.note(
                    tx, by, snapshot=snapshot, turn=turn, decision=decision, remembers=remembers, slots=slots
                )
            return snapshot

    async def known(self, conversation: str, by: VerifiedCustomer, intent: str = "order_status") -> Known:
        return await self.memory.known(
            by, intent=intent, region=None, actor=ACTOR, conversation_id=conversation, turn=1
        )


@pytest.fixture
def talk(shop_database: Database, keys: KeyRing) -> Talk:
    return Talk(shop_database, keys, memory_on(shop_database, keys))


async def yesterday(talk: Talk, by: VerifiedCustomer) -> str:
    """A chat of the day before: a question before the gate, an order behind it, a claim left open."""
    chat = await talk.begin()
    await talk.turn(chat, "return_policy", Action.ANSWER, sentiment=0.2)
    await talk.turn(chat, "order_status", Action.ANSWER, by=by, remembers=True)
    slots = {"callback_number": "+12025550199", "order_number": "427103"}
    await talk.turn(chat, "warranty_claim", Action.ESCALATE, by=by, sentiment=-0.8, slots=slots)
    return chat


async def test_a_chat_yesterday_is_known_on_the_phone_today_once_verified(talk: Talk):
    await yesterday(talk, verified())
    call = await talk.begin(Channel.PHONE)
    known = await talk.known(call, verified())
    assert known.last is not None
    assert known.last.channel is Channel.CHAT
    assert set(known.last.topics) == {"return_policy", "order_status", "warranty_claim"}
    assert [topic.intent for topic in known.unresolved] == ["warranty_claim"]
    assert known.repeat is not None
    assert known.repeat.contacts == 1
    assert known.mood is not None
    assert known.mood.sentiment < 0
    assert known.slots == {"callback_number": "+12025550199"}  # an identity factor is never kept
    offer = talk.memory.recall(known, intent="order_status", told=(), now=datetime.now(UTC))
    assert offer is not None
    assert offer.line == "recall.offer.today"


async def test_this_conversation_is_not_its_own_past(talk: Talk):
    chat = await yesterday(talk, verified())
    known = await talk.known(chat, verified())
    assert (known.last, known.repeat, known.unresolved) == (None, None, ())


async def test_another_customer_from_the_same_number_knows_nothing_of_it(talk: Talk):
    await yesterday(talk, verified("cu_00001"))
    known = await talk.known(await talk.begin(Channel.PHONE), verified("cu_00002"))
    assert (known.last, known.unresolved, known.repeat, known.mood, dict(known.slots)) == (
        None, (), None, None, {},
    )  # fmt: skip


async def test_only_the_gate_leads_in(talk: Talk, keys: KeyRing):
    call = await talk.begin()
    stranger: Any = Match(customer_id="cu_00001", reference="427103", method=())
    for subject in (stranger, "cu_00001", None):
        with pytest.raises(TypeError):
            await talk.known(call, subject)
        async with talk.database.transaction() as tx:
            with pytest.raises(TypeError):
                await talk.memory.customers.link(tx, subject, conversation_id=call, turn=1)


async def test_the_profile_is_what_the_system_of_record_says(talk: Talk):
    known = await talk.known(await talk.begin(), verified())
    async with talk.database.transaction() as tx:
        row = await (await tx.execute("SELECT * FROM shop.customers WHERE id = 'cu_00001'")).fetchone()
    assert row is not None
    assert (known.preferred_name, known.segment, known.language) == (row["first_name"], row["tier"], "en")
    assert "427103" in {order.number for order in known.open_orders}
    nobody = await talk.known(await talk.begin(), verified("cu_99999"))
    assert (nobody.preferred_name, nobody.segment, nobody.remembers) == (None, None, False)


async def test_each_read_is_logged_as_discarded_until_the_plan_is_committed(talk: Talk):
    call = await talk.begin()
    known = await talk.known(call, verified())
    async with talk.database.transaction() as tx:
        rows = await audit.accesses(tx, call)
    assert len(rows) == known.logged > 0
    assert all(row["discarded"] and row["turn"] == 1 and row["actor"] == ACTOR for row in rows)
    assert {row["purpose"] for row in rows} == {
        "answer:order_status",
        "route:order_status",
        "recall:order_status",
    }
    logged = {(row["resource"], field) for row in rows for field in row["fields"]}
    assert {
        ("customer.profile", "segment"),
        ("customer.memory", "known_slots"),
        ("customer.insight", "last_mood"),
    } < logged
    async with talk.database.transaction() as tx:
        await mark_used(tx, conversation_id=call, turn=1, actor=ACTOR)
        assert not any(row["discarded"] for row in await audit.accesses(tx, call))


class Counting:
    """A system of record that counts its queries, and may be away."""

    def __init__(self, inner: Connector | None) -> None:
        self.inner, self.asked = inner, 0

    async def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        self.asked += 1
        if self.inner is None:
            raise ConnectorError("away")
        return await self.inner.rows(query, **parameters)


@pytest.mark.parametrize("purpose", [Purpose.MARKETING, Purpose.TRAINING, Purpose.FOLLOW_UP])
async def test_what_is_not_cleared_is_not_even_read(purpose: Purpose, shop_database: Database, keys: KeyRing):
    records = Counting(PostgresConnector(shop_database, DEPLOYMENT.queries))
    memory = memory_on(shop_database, keys, records)
    call = await Talk(shop_database, keys, memory).begin()
    barred = [
        feature
        for feature in Feature
        if DEPLOYMENT.clearances.refusal(
            feature, intent="order_status", role=Role.ANALYST, region=None, purpose=purpose
        )
    ]
    granted = await memory.broker.fetch(
        verified(), {purpose: barred}, intent="order_status", role=Role.ANALYST, region=None, actor=ACTOR,
        conversation_id=call, turn=1,
    )  # fmt: skip
    assert granted.values == {}
    assert granted.refused == dict.fromkeys(barred, "not_cleared")
    assert records.asked == 0
    async with shop_database.transaction() as tx:
        assert await audit.accesses(tx, call) == []
        (refusal,) = await audit.records(tx, conversation_id=call)
    assert (refusal["what"], refusal["facts"]["features"]) == ("features", sorted(barred))


@pytest.mark.parametrize("agreed", [True, False])
async def test_training_needs_a_consent_of_its_own(agreed: bool, talk: Talk):
    async with talk.database.transaction() as tx:
        await tx.execute("UPDATE shop.customers SET consent_training = %s WHERE id = 'cu_00001'", (agreed,))
    granted = await talk.memory.broker.fetch(
        verified(), {Purpose.TRAINING: [Feature.CONSENTS]}, intent="order_status", role=Role.ANALYST,
        region=None, actor="analyst:1", conversation_id=await talk.begin(), turn=1, discarded=False,
    )  # fmt: skip
    assert set(granted.values) == ({Feature.CONSENTS} if agreed else set())
    assert granted.refused == ({} if agreed else {Feature.CONSENTS: "no_consent"})


async def test_asked_for_two_purposes_and_cleared_for_one_is_refused(talk: Talk):
    granted = await talk.memory.broker.fetch(
        verified(), {Purpose.ROUTE: [Feature.SEGMENT], Purpose.ANSWER: [Feature.SEGMENT]},
        intent="order_status", role=Role.BOT, region=None, actor=ACTOR,
        conversation_id=await talk.begin(), turn=1,
    )  # fmt: skip
    assert granted.values == {}
    assert granted.refused == {Feature.SEGMENT: "not_cleared"}


async def test_a_layer_that_the_policy_does_not_clear_for_the_turn_stays_closed(talk: Talk):
    await yesterday(talk, verified())
    asked: dict[str, Any] = {"intent": "order_status", "region": None, "actor": ACTOR, "turn": 1}
    call = await talk.begin()
    known = await talk.memory.known(verified(), conversation_id=call, layers=["profile", "memory"], **asked)
    assert known.segment is not None
    assert known.slots
    assert (known.last, known.unresolved, known.mood) == (None, (), None)
    nothing = await talk.memory.known(verified(), conversation_id=await talk.begin(), layers=[], **asked)
    assert (nothing.segment, nothing.preferred_name, dict(nothing.slots)) == (None, None, {})
    assert nothing.remembers is None  # he was not asked, so nothing is forgotten


@pytest.mark.parametrize(("lives_in", "known_name"), [("canada", True), ("hawaii", False), (None, False)])
async def test_a_line_for_a_region_counts_for_customers_who_live_there(
    lives_in: str | None, known_name: bool, shop_database: Database, keys: KeyRing
):
    line = Clearance(roles=(Role.BOT,), purposes=(Purpose.ANSWER,), intents=("*",), regions=("canada",))
    features = {**DEPLOYMENT.clearances.features, Feature.PREFERRED_NAME: (line,)}
    clearances = DEPLOYMENT.clearances.model_copy(update={"features": features})
    records = PostgresConnector(shop_database, DEPLOYMENT.queries)
    memory = Memory(
        shop_database, keys, records, clearances, is_topic=lambda _: True, means=lambda intent: intent
    )
    talk = Talk(shop_database, keys, memory)
    async with shop_database.transaction() as tx:
        await tx.execute("UPDATE shop.customers SET region = %s WHERE id = 'cu_00001'", (lives_in,))
    call = await talk.begin()
    known = await talk.known(call, verified())
    assert (known.preferred_name is not None) == known_name
    async with shop_database.transaction() as tx:
        assert len(await audit.accesses(tx, call)) == known.logged


async def test_without_the_system_of_record_nothing_is_known_and_nothing_breaks(
    shop_database: Database, keys: KeyRing
):
    memory = memory_on(shop_database, keys, Counting(None))
    talk = Talk(shop_database, keys, memory)
    known = await talk.known(await talk.begin(), verified())
    assert (known.segment, known.last, known.remembers) == (None, None, None)
    assert known.logged > 0


async def test_a_record_with_other_columns_is_an_error_of_the_connector():
    class Odd:
        async def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
            return [{"preferred_name": 7, "shoe_size": 42}]

    with pytest.raises(ConnectorError, match="customer_profile"):
        await read_profile(Odd(), "cu_00001")


async def test_who_does_not_want_to_be_remembered_is_not_and_what_was_kept_goes(talk: Talk):
    chat = await yesterday(talk, verified())
    async with talk.database.transaction() as tx:
        await tx.execute("UPDATE shop.customers SET consent_memory = false WHERE id = 'cu_00001'")
    call = await talk.begin(Channel.PHONE)
    known = await talk.known(call, verified())
    assert known.remembers is False
    assert known.last is None
    await talk.turn(call, "order_status", Action.ANSWER, by=verified(), remembers=known.remembers)
    await talk.turn(call, "order_status", Action.ANSWER, by=verified())  # and on the turns after it
    async with talk.database.transaction() as tx:
        assert await rows(tx, "SELECT * FROM memories") == []
        assert len(await rows(tx, "SELECT * FROM customer_links")) == 2
    assert chat


async def rows(tx: Any, query: str) -> list[dict[str, Any]]:
    return await (await tx.execute(query)).fetchall()


async def test_erasing_a_customers_key_makes_all_of_it_unreadable(talk: Talk, keys: KeyRing):
    chat = await yesterday(talk, verified())
    async with talk.database.transaction() as tx:
        stored = await rows(tx, "SELECT id, subject_id FROM customers")
        await tx.execute(
            "UPDATE subjects SET wrapped_key = NULL, erased_at = now() WHERE id = %s",
            (stored[0]["subject_id"],),
        )
    known = await talk.known(await talk.begin(Channel.PHONE), verified())
    assert (known.last, known.repeat, known.unresolved, dict(known.slots)) == (None, None, (), {})
    # Who comes back is a new customer, to whom the old row does not lead.
    await talk.turn(await talk.begin(), "order_status", Action.ANSWER, by=verified(), remembers=True)
    async with talk.database.transaction() as tx:
        hashes = {row["id"]: row["record_hash"] for row in await rows(tx, "SELECT * FROM customers")}
    assert hashes.pop(stored[0]["id"]) is None
    assert len(hashes) == 1
    assert chat


async def test_erasing_a_customer_takes_his_conversations_along_and_is_audited(talk: Talk):
    chat = await yesterday(talk, verified())
    other = await talk.begin()
    async with talk.database.transaction() as tx:
        (customer,) = await rows(tx, "SELECT id FROM customers")
        assert await talk.memory.customers.erase(tx, customer["id"], actor="cli") == 1
    async with talk.database.transaction() as tx:
        with pytest.raises(Exception, match="erased"):
            await talk.conversations.load(tx, chat)
        assert (await talk.conversations.load(tx, other)).id == other
        assert await rows(tx, "SELECT * FROM memories") == []
        assert (await audit.records(tx))[0]["what"] == "customer.erased"
        with pytest.raises(LookupError):
            await talk.memory.customers.erase(tx, "cm_" + "0" * 32, actor="cli")


async def test_erasing_a_customer_ends_his_open_chats_and_no_call_or_chat_of_others(talk: Talk):
    """Nothing could be read or written in them; the idle sweep need not find that out."""
    chat = await yesterday(talk, verified())
    call, other = await talk.begin(Channel.PHONE), await talk.begin()
    await talk.turn(call, "order_status", Action.ANSWER, by=verified(), remembers=True)
    await talk.turn(other, "order_status", Action.ANSWER, by=verified("cu_00002"), remembers=True)
    async with talk.database.transaction() as tx:
        mine = await talk.memory.customers.of_conversation(tx, chat)
        assert mine is not None
        await talk.memory.customers.erase(tx, mine, actor="cli")
        found = await rows(tx, "SELECT id, status, end_reason FROM conversations")
    stand = {row["id"]: (row["status"], row["end_reason"]) for row in found}
    assert stand[chat] == ("ended", "erased")
    assert stand[call] == stand[other] == ("live", None)


async def test_what_another_version_keeps_of_a_conversation_is_left_to_it(talk: Talk):
    """During a rolling upgrade: not read, not written over; the slots are kept all the same."""
    chat = await yesterday(talk, verified())
    async with talk.database.transaction() as tx:
        customer = await talk.memory.customers.find(tx, verified())
        assert customer is not None
        newer = {"schema_version": 9, "topics": {}}
        sealed = customer.cipher.seal_json(newer, f"memory:{customer.id}:contact:{chat}")
        await tx.execute("UPDATE memories SET sealed_value = %s WHERE kind = 'contact'", (sealed,))
    slots = {"item": "kept too"}
    await talk.turn(chat, "warranty", Action.ANSWER, by=verified(), remembers=True, slots=slots)
    async with talk.database.transaction() as tx:
        (row,) = await rows(tx, "SELECT sealed_value FROM memories WHERE kind = 'contact'")
        assert row["sealed_value"] == sealed
        assert (await memories.slots(tx, customer))["item"] == "kept too"


async def test_memory_goes_by_the_clock_it_is_given(shop_database: Database, keys: KeyRing):
    """What was left open is open for so many days of that clock, whatever the machine's says."""
    now = datetime(2031, 5, 1, 10, tzinfo=UTC)
    memory = memory_on(shop_database, keys, now=lambda: now)
    talk = Talk(shop_database, keys, memory)
    chat = await talk.begin()
    for intent in ("order_status", "warranty_claim"):
        await talk.turn(chat, intent, Action.ESCALATE, by=verified(), remembers=True)
    later = await talk.known(await talk.begin(Channel.PHONE), verified())
    assert "warranty_claim" in [topic.intent for topic in later.unresolved]
    now += timedelta(days=400)
    much_later = await talk.known(await talk.begin(Channel.PHONE), verified())
    assert "warranty_claim" not in [topic.intent for topic in much_later.unresolved]


async def test_nothing_personal_lies_in_the_clear(talk: Talk):
    await yesterday(talk, verified())
    async with talk.database.transaction() as tx:
        kept = [
            row
            for table in ("customers", "customer_links", "memories")
            for row in await rows(tx, f"SELECT * FROM {table}")  # noqa: S608  # constant
        ]
    assert kept
    for row in kept:
        text = repr({name: value for name, value in row.items() if not name.startswith("sealed_")})
        assert not any(secret in text for secret in ("cu_00001", "427103", "2025550", "warranty"))
        for name, value in row.items():
            if name.startswith("sealed_"):
                assert b"cu_00001" not in bytes(value)
                assert b"warranty" not in bytes(value)


async def test_two_conversations_verified_at_the_same_moment_belong_to_one_customer(talk: Talk):
    calls = [await talk.begin() for _ in range(4)]
    await asyncio.gather(
        *(talk.turn(call, "order_status", Action.ANSWER, by=verified(), remembers=True) for call in calls)
    )
    async with talk.database.transaction() as tx:
        (customer,) = await rows(tx, "SELECT id FROM customers")
        assert set(await talk.memory.customers.conversations(tx, customer["id"])) == set(calls)
        assert len(await rows(tx, "SELECT * FROM subjects WHERE kind = 'person'")) == 1


async def test_what_has_expired_is_not_handed_out_and_then_deleted(talk: Talk):
    await yesterday(talk, verified())
    async with talk.database.transaction() as tx:
        await tx.execute("UPDATE memories SET expires_at = now() - interval '1 second'")
    known = await talk.known(await talk.begin(Channel.PHONE), verified())
    assert (known.last, dict(known.slots)) == (None, {})
    async with talk.database.transaction() as tx:
        assert await memories.expire(tx) == 2
        assert await rows(tx, "SELECT * FROM memories") == []


async def test_what_another_version_kept_is_left_alone(talk: Talk):
    chat = await yesterday(talk, verified())
    async with talk.database.transaction() as tx:
        customer = await talk.memory.customers.find(tx, verified())
        assert customer is not None
        sealed = customer.cipher.seal_json({"colour": "red"}, f"memory:{customer.id}:contact:{chat}")
        await tx.execute("UPDATE memories SET sealed_value = %s WHERE name = %s", (sealed, chat))
    known = await talk.known(await talk.begin(Channel.PHONE), verified())
    assert known.last is None
    assert known.slots


def test_insights_are_worked_out_and_never_kept():
    assert {feature.layer for feature in Feature} == set(Layer)
    assert set(memories.Kind.__args__) == {"contact", "slot"}
