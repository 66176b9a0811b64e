"""A handoff stands at once with a composed summary; a model's replaces it if it comes in time and holds up.

Both protocols, over a real socket; a model that hangs, fails or makes things up leaves the composed one, and
one that keeps failing is left alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from deployment_kit import LIBRARY
from generation_kit import shop_words
from language_model_server import LanguageModelServer, running

from voicebot.core.bus import Bus
from voicebot.core.conversation import Channel
from voicebot.core.settings import Settings
from voicebot.core.store import audit, handoffs, outbox
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.outbox import Relay
from voicebot.dialogue import state as states
from voicebot.dialogue.generation.writer import model_of
from voicebot.dialogue.handover import HandoverRequest
from voicebot.dialogue.state import ConversationState
from voicebot.handoff.claims import tell
from voicebot.handoff.desk import StoredHandoffs
from voicebot.handoff.people import People
from voicebot.handoff.summaries import Summaries

SAID = "i want to send it to [address 1] instead"
GOOD = ["issue: Wants it sent to [address 1].\n", "tried: Nothing was ", "tried yet.\n", "mood: Calm."]


@dataclass
class World:
    database: Database
    keys: KeyRing
    server: LanguageModelServer
    url: str
    bus: Bus

    @asynccontextmanager
    async def summaries(self, llm: str = "openai:little", within_s: float = 30.0) -> AsyncIterator[Summaries]:
        settings = Settings(
            _env_file=None,
            openai_base_url=f"{self.url}/v1",
            anthropic_base_url=self.url,
            anthropic_api_key="sk-test",
        )
        prompts = shop_words().prompts
        model, prompt = model_of(settings, llm, prompts), prompts.summary
        assert model is not None
        assert prompt is not None
        yield Summaries(self.database, self.keys, self.bus, model, prompt, within_s=within_s)
        await model.close()

    async def asked(self) -> str:
        """A handoff as a turn's commit stores and tells it."""
        conversations = Conversations(self.keys)
        async with self.database.transaction() as tx:
            conversation = await conversations.create(
                tx, channel=Channel.PHONE, call_sid=None, caller=None, called=None, state=states.new_state()
            )
            request = HandoverRequest(
                snapshot=await conversations.load(tx, conversation),
                turn=1,
                state=ConversationState(),
                decision=None,
                trigger="asked_for_person",
                urgency="normal",
                caller=SAID,
                said=None,
                turns=(),
                policy_version="p1",
            )
            desk = StoredHandoffs(self.keys, LIBRARY, People(), lambda: datetime.now(UTC))
            handoff = await desk.store(tx, request)
            await tell(tx, self.keys, conversation, "ev_1", "handoff.requested", {"handoff": handoff})
        return handoff

    async def summary(self, handoff: str) -> dict[str, Any]:
        async with self.database.transaction() as tx:
            return (await handoffs.get(tx, self.keys, handoff))["payload"]["summary"]


@pytest_asyncio.fixture
async def world(database: Database, keys: KeyRing) -> AsyncIterator[World]:
    server = LanguageModelServer(words=GOOD)
    async with running(server) as url:
        yield World(database, keys, server, url, Bus())


@pytest.mark.parametrize("llm", ["openai:little", "anthropic:big"])
async def test_the_models_summary_takes_the_composed_ones_place(world: World, llm: str) -> None:
    """Told to whoever watches, kept in the audit; the model has seen tokens and no value."""
    handoff = await world.asked()
    before = await world.summary(handoff)
    assert before["written_by"] == "composed"
    async with world.summaries(llm) as summaries:
        assert await summaries.write(handoff) == "model"
    assert await world.summary(handoff) == {
        "issue": "Wants it sent to [address 1].",
        "tried": "Nothing was tried yet.",
        "mood": "Calm.",
        "next": before["next"],
        "written_by": llm,
    }
    (asked,) = world.server.requests
    assert SAID in str(asked["body"]["messages"])
    async with world.database.transaction() as tx:
        row = await handoffs.get(tx, world.keys, handoff)
        events = await outbox.events_of(tx, world.keys, row["conversation_id"])
        reads = await audit.accesses(tx, row["conversation_id"])
    assert [event.type for event in events] == ["handoff.requested", "handoff.summarised"]
    assert [(one["actor"], one["purpose"]) for one in reads] == [(f"model:{llm}", "handoff.summary")]


@pytest.mark.parametrize(
    ("fault", "words", "came"),
    [
        ("stall", GOOD, "late"),
        ("drip", GOOD * 9, "late"),
        ("error", GOOD, "status"),
        ("rate_limit", GOOD, "rate_limit"),
        ("empty", GOOD, "empty"),
        ("refusal", GOOD, "refusal"),
        ("tool", GOOD, "tool"),
        ("cut", GOOD, "format"),
        ("endless", GOOD, "endless"),
        ("", ["I'd rather not."], "format"),
        ("", [GOOD[0], "tried: Refunded the order.\n", GOOD[3]], "tried: deed"),
    ],
)
async def test_what_comes_late_or_wrong_leaves_the_composed_one(
    world: World, fault: str, words: list[str], came: str
) -> None:
    world.server.fault, world.server.words = fault, words
    handoff = await world.asked()
    before = await world.summary(handoff)
    async with world.summaries(within_s=0.4 if came == "late" else 30.0) as summaries:
        assert await summaries.write(handoff) == came
    assert await world.summary(handoff) == before


async def test_a_model_that_keeps_failing_is_left_alone(world: World) -> None:
    world.server.fault = "error"
    handoff = await world.asked()
    async with world.summaries() as summaries:
        assert [await summaries.write(handoff) for _ in range(3)] == ["status", "status", "left_alone"]
    assert len(world.server.requests) == 2


async def test_who_is_done_with_it_already_is_not_given_another_text(world: World) -> None:
    handoff = await world.asked()
    before = await world.summary(handoff)
    async with world.database.transaction() as tx:
        await handoffs.claim(tx, handoff, "ada")
        await handoffs.finish(tx, handoff, "ada")
    async with world.summaries() as summaries:
        assert await summaries.write(handoff) == "done"
    assert await world.summary(handoff) == before


async def test_it_runs_behind_the_commit_and_holds_nothing_up(world: World) -> None:
    """The event of the commit wakes it; while the model thinks, the handoff can be taken."""
    world.server.may_speak = asyncio.Event()
    relay = Relay(world.database, world.keys, world.bus)
    async with world.summaries() as summaries:
        running_ = asyncio.create_task(summaries.run())
        await asyncio.sleep(0)
        handoff = await world.asked()
        await relay.deliver()
        async with asyncio.timeout(30):
            while not world.server.requests:
                await asyncio.sleep(0.01)  # the model has been asked and thinks
        async with world.database.transaction() as tx:
            assert await handoffs.claim(tx, handoff, "ada")
        assert (await world.summary(handoff))["written_by"] == "composed"
        world.server.may_speak.set()
        async with asyncio.timeout(30):
            while (await world.summary(handoff))["written_by"] == "composed":
                await asyncio.sleep(0.02)
        running_.cancel()
        await asyncio.wait({running_})
