"""A stream token opens one socket, of one call, soon; anything else is refused with its reason."""

from __future__ import annotations

import asyncio

import pytest

from voicebot.core.store import tokens
from voicebot.core.store.database import Database
from voicebot.core.store.tokens import TokenRefused


async def issue(database: Database, call_sid: str = "CA1", ttl_s: float = 60) -> str:
    async with database.transaction() as tx:
        return await tokens.issue(tx, call_sid, ttl_s=ttl_s)


async def redeem(database: Database, token: str, call_sid: str = "CA1") -> str:
    """``ok`` or the reason of the refusal."""
    try:
        async with database.transaction() as tx:
            await tokens.redeem(tx, token, call_sid)
    except TokenRefused as refused:
        return refused.reason
    return "ok"


async def test_a_token_works_once(database: Database) -> None:
    token = await issue(database)
    assert [await redeem(database, token) for _ in range(3)] == ["ok", "used", "used"]


async def test_of_many_at_once_one_gets_in(database: Database) -> None:
    token = await issue(database)
    outcomes = await asyncio.gather(*(redeem(database, token) for _ in range(6)))
    assert sorted(outcomes) == ["ok"] + ["used"] * 5


async def test_another_calls_token_is_refused_and_not_used_up(database: Database) -> None:
    token = await issue(database, "CA1")
    assert await redeem(database, token, "CA2") == "wrong_call"
    assert await redeem(database, token, "CA1") == "ok"


async def test_an_expired_token_is_refused(database: Database) -> None:
    assert await redeem(database, await issue(database, ttl_s=0)) == "expired"


@pytest.mark.parametrize("token", ["", "x", "\0", "\ud800", "a" * 100_000, "' OR 1=1 --"])
async def test_what_was_never_issued_is_unknown(database: Database, token: str) -> None:
    await issue(database)
    assert await redeem(database, token) == "unknown"


async def test_a_use_that_rolls_back_is_no_use(database: Database) -> None:
    token = await issue(database)

    async def fail() -> None:
        async with database.transaction() as tx:
            await tokens.redeem(tx, token, "CA1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await redeem(database, token) == "ok"


async def test_only_a_hash_is_stored_and_old_ones_are_forgotten(database: Database) -> None:
    token = await issue(database)
    async with database.transaction() as tx:
        cursor = await tx.execute("SELECT t::text AS whole FROM stream_tokens t")
        assert token not in str(await cursor.fetchall())
        await tx.execute("UPDATE stream_tokens SET expires_at = now() - interval '2 hours'")
    await issue(database)
    assert await redeem(database, token) == "unknown"


async def leg_token(database: Database, leg: tokens.Leg = "agent", call_sid: str = "CA9") -> tuple[str, str]:
    """A conversation's id and the token of one of its legs."""
    conversation_id = f"cv_{7:032x}"
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO subjects (id, kind, key_id, wrapped_key) VALUES (%s, 'conversation', 'k', 'x')",
            (f"sb_{7:032x}",),
        )
        await tx.execute(
            "INSERT INTO conversations (id, channel, subject_id, sealed_state) VALUES (%s, 'phone', %s, 'x')",
            (conversation_id, f"sb_{7:032x}"),
        )
        return conversation_id, await tokens.issue_leg(tx, conversation_id, leg, call_sid)


async def redeem_leg(database: Database, token: str, leg: str, call_sid: str) -> str:
    """The conversation's id or the reason of the refusal."""
    try:
        async with database.transaction() as tx:
            return await tokens.redeem_leg(tx, token, leg, call_sid)
    except TokenRefused as refused:
        return refused.reason


async def test_a_legs_token_names_its_conversation_once(database: Database) -> None:
    conversation_id, token = await leg_token(database)
    assert await redeem_leg(database, token, "caller", "CA9") == "unknown"
    assert await redeem_leg(database, token, "agent", "CA8") == "wrong_call"
    assert await redeem_leg(database, token, "agent", "CA9") == conversation_id
    assert await redeem_leg(database, token, "agent", "CA9") == "used"


async def test_a_legs_token_does_not_open_the_bots_stream_nor_the_other_way_round(database: Database) -> None:
    _, token = await leg_token(database)
    assert await redeem(database, token, "CA9") == "unknown"
    assert await redeem_leg(database, await issue(database), "caller", "CA1") == "unknown"
