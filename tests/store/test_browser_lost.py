"""A browser's call whose connection is gone: it may come back for half a minute; then it is over."""

from __future__ import annotations

import asyncio

import pytest
from browser_kit import Node, browser_node, browsing
from twilio_kit import eventually

from voicebot.channels.browser.session import BrowserSession, new_call
from voicebot.channels.twilio.keeper import BROWSER_CLAIMS
from voicebot.channels.twilio.media import CallOutcome
from voicebot.core.conversation import Channel
from voicebot.core.store import handoffs
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.leases import Leases
from voicebot.handoff.talks import Talks


async def nobody_calls(session: BrowserSession) -> CallOutcome:
    raise AssertionError("nobody calls here")


async def lost_call(node: Node, claims: int) -> str:
    """A call of a node that died, which others have claimed so often; the last claim has run out."""
    call = new_call()
    async with node.database.transaction() as tx:
        conversation = await node.services.conversations.create(
            tx, channel=Channel.BROWSER, call_sid=call, caller=None, called=None, state={}
        )
        await Leases("dead", "http://dead").take(tx, call, conversation, "wb_1")
        await tx.execute(
            "UPDATE leases SET status = 'claimed', claims = %s, expires_at = now() - interval '1 s'",
            (claims,),
        )
    return call


@pytest.mark.parametrize(("claims", "status"), [(BROWSER_CLAIMS - 1, "live"), (BROWSER_CLAIMS, "ended")])
async def test_a_lost_call_is_waited_for_and_then_ended_without_anybody_asking_twilio(
    database: Database, keys: KeyRing, claims: int, status: str
) -> None:
    async with browser_node(database, keys, nobody_calls) as node:
        call = await lost_call(node, claims)
        keeping = asyncio.create_task(node.services.keep_leases())

        async def claimed() -> bool:
            async with database.transaction() as tx:
                row = await (await tx.execute("SELECT claims FROM leases")).fetchone()
            return row is None or row["claims"] > claims

        await eventually(claimed)
        if status == "ended":
            assert (await node.ends(call)).end_reason == "lost"
        else:
            seen = await node.snapshot(call)
            assert seen is not None
            assert seen.status == status
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def test_who_waits_for_a_person_comes_back_to_their_place_until_it_is_settled(
    database: Database, keys: KeyRing
) -> None:
    async def holds(session: BrowserSession) -> CallOutcome:
        async for _ in session.messages():
            pass
        assert [one async for one in session.messages()] == [], "who reads after the end waits for nothing"
        return CallOutcome("handoff", "handed_over")

    async with browser_node(database, keys, holds) as node, browsing(node.url) as first:
        node.services.talks = Talks(keys, None)
        await first.connects()
        await eventually(lambda: first.has("bot-ready"))
        await node.ends(first.call, "live")
        seen = await node.snapshot(first.call)
        assert seen is not None
        async with database.transaction() as tx:
            await node.services.store_handoff(tx, seen.id, "asked_for_person")
            await node.services.conversations.set_status(tx, seen.id, "handoff")
        await node.gate.move()
        await eventually(lambda: node.services.node.calls == 0)
        async with browsing(node.url, first.call) as second:
            await second.connects()
            (row,) = await node.handoffs(first.call)
            assert row["status"] == "waiting"
            await node.gate.move()
            await eventually(lambda: node.services.node.calls == 0)
            async with database.transaction() as tx:
                await handoffs.move(tx, row["id"], "done", who="ada")
            assert (await second.offers(restart_pc=True)).status_code == 410
