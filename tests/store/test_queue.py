"""A handoff has one holder: of all who want it at once one gets it, and whoever comes second learns who."""

from __future__ import annotations

import asyncio

import pytest

from voicebot.core.conversation import Channel
from voicebot.core.store import handoffs
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.handoffs import FOLLOWS, FREE, UnknownHandoff
from voicebot.core.store.keys import KeyRing


async def a_handoff(database: Database, keys: KeyRing, *, skill: str = "general") -> str:
    async with database.transaction() as tx:
        conversation = await Conversations(keys).create(
            tx, channel=Channel.PHONE, call_sid=None, caller="+12025550100", called=None, state={}
        )
        return await handoffs.save(
            tx,
            keys,
            conversation_id=conversation,
            turn=1,
            trigger="asked_for_person",
            urgency="normal",
            payload={"version": 3},
            skill=skill,
        )


async def happened(database: Database, handoff: str) -> list[tuple[str, str | None]]:
    async with database.transaction() as tx:
        return [(row["what"], row["who"]) for row in await handoffs.changes(tx, handoff)]


async def test_of_two_agents_at_once_one_wins_and_the_other_learns_who(
    database: Database, keys: KeyRing
) -> None:
    handoff = await a_handoff(database, keys)

    async def claim(who: str) -> tuple[bool, str | None]:
        async with database.transaction() as tx:
            return await handoffs.claim(tx, handoff, who), await handoffs.holder(tx, handoff)

    answers = await asyncio.gather(*(claim(f"agent {n}") for n in range(6)))
    assert [won for won, _ in answers].count(True) == 1
    winner = next(f"agent {n}" for n, (won, _) in enumerate(answers) if won)
    assert {holder for _, holder in answers} == {winner}
    assert await claim(winner) == (True, winner), "twice is once"
    assert await happened(database, handoff) == [("requested", None), ("accepted", winner)]


async def test_only_who_has_it_can_be_done_with_it_and_once(database: Database, keys: KeyRing) -> None:
    handoff = await a_handoff(database, keys)
    async with database.transaction() as tx:
        assert not await handoffs.finish(tx, handoff, "ada"), "nobody has it"
        assert await handoffs.claim(tx, handoff, "ada")
        assert not await handoffs.finish(tx, handoff, "bob")
        assert await handoffs.finish(tx, handoff, "ada")
        assert await handoffs.finish(tx, handoff, "ada")
        assert not await handoffs.claim(tx, handoff, "bob"), "what is done stays done"
        assert [what for what, _ in await happened_in(tx, handoff)] == ["requested", "accepted", "done"]
        assert len(await handoffs.talk_times(tx, "general")) == 1


async def happened_in(tx: object, handoff: str) -> list[tuple[str, str | None]]:
    return [(row["what"], row["who"]) for row in await handoffs.changes(tx, handoff)]  # type: ignore[arg-type]


async def test_what_is_given_back_waits_again_and_keeps_its_age(database: Database, keys: KeyRing) -> None:
    handoff = await a_handoff(database, keys)
    async with database.transaction() as tx:
        (before,) = await handoffs.waiting(tx)
        assert await handoffs.claim(tx, handoff, "ada")
        assert await handoffs.waiting(tx) == []
        assert not await handoffs.decline(tx, handoff, "bob"), "it is not his to give back"
        assert await handoffs.decline(tx, handoff, "ada")
        (after,) = await handoffs.waiting(tx)
        assert (after["created_at"], after["declined_by"]) == (before["created_at"], ["ada"])
        assert await handoffs.holder(tx, handoff) is None


@pytest.mark.parametrize("to", ["offered", "bridged", "missed", "callback", "waiting", "done"])
async def test_a_step_that_does_not_follow_changes_nothing(
    database: Database, keys: KeyRing, to: handoffs.Status
) -> None:
    """From each status in turn, the table of what follows is what happens."""
    for status in FOLLOWS:
        handoff = await a_handoff(database, keys)
        async with database.transaction() as tx:
            await tx.execute(
                "UPDATE handoffs SET status = %s, claimed_by = 'ada', accepted_at = now() WHERE id = %s",
                (status, handoff),
            )
            moved = await handoffs.move(tx, handoff, to, who="ada")
            assert moved is (to in FOLLOWS[status]), (status, to)
            if moved and to in FREE:
                assert await handoffs.holder(tx, handoff) is None, "free again: nobody's"


async def test_an_unknown_one_is_said_and_accepted_comes_by_a_claim_alone(
    database: Database, keys: KeyRing
) -> None:
    async with database.transaction() as tx:
        for attempt in (
            handoffs.claim(tx, "ho_none", "ada"),
            handoffs.decline(tx, "ho_none", "ada"),
            handoffs.finish(tx, "ho_none", "ada"),
            handoffs.holder(tx, "ho_none"),
        ):
            with pytest.raises(UnknownHandoff):
                await attempt
        with pytest.raises(ValueError, match="claim"):
            await handoffs.move(tx, "ho_none", "accepted")


async def test_a_summary_is_replaced_once_and_not_behind_the_back_of_who_is_done(
    database: Database, keys: KeyRing
) -> None:
    first, second = await a_handoff(database, keys), await a_handoff(database, keys)
    async with database.transaction() as tx:
        assert await handoffs.resummarise(tx, keys, first, {"version": 3, "new": True})
        assert not await handoffs.resummarise(tx, keys, first, {"version": 3, "new": 2})
        assert (await handoffs.get(tx, keys, first))["payload"] == {"version": 3, "new": True}
        await handoffs.claim(tx, second, "ada")
        await handoffs.finish(tx, second, "ada")
        assert not await handoffs.resummarise(tx, keys, second, {"version": 3, "new": True})
