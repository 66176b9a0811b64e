"""A critical handoff that nobody picks up is said in the log, thrice; one that somebody has is not."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import pytest
from dialogue_kit import Talk
from structlog.testing import capture_logs

from voicebot.core.conversation import Channel
from voicebot.core.store import handoffs
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.runtime.neglect import Neglect, said_by

DANGER = "I smell gas please help me"


@pytest.mark.parametrize(
    ("waited_s", "times"), [(59, 0), (60, 1), (599, 1), (600, 2), (3600, 3), (80_000, 3)]
)
def test_it_is_said_after_a_minute_ten_and_an_hour(waited_s: float, times: int) -> None:
    assert said_by(waited_s) == times


async def handed_over(
    database: Database, keys: KeyRing, *, words: str = DANGER, channel: Channel = Channel.CHAT
) -> Talk:
    talk = await Talk.begin(database, keys, channel=channel)
    await talk.turn(words)
    await talk.close()
    return talk


async def age(database: Database, minutes: int) -> None:
    async with database.transaction() as tx:
        await tx.execute("UPDATE handoffs SET created_at = now() - make_interval(mins => %s)", (minutes,))


async def warnings(neglect: Neglect) -> list[MutableMapping[str, Any]]:
    with capture_logs() as lines:
        await neglect.look()
    return [line for line in lines if line["event"] == "handoff.not_picked_up"]


async def test_a_critical_handoff_is_named_until_somebody_has_it(
    shop_database: Database, keys: KeyRing
) -> None:
    """Once a step, with its conversation and how long it waits."""
    talk = await handed_over(shop_database, keys)
    neglect = Neglect(shop_database)
    assert await warnings(neglect) == [], "just now"
    await age(shop_database, 2)
    (line,) = await warnings(neglect)
    assert (line["log_level"], line["conversation"]) == ("warning", talk.id)
    assert 110 < line["waited_s"] < 180
    assert await warnings(neglect) == [], "said already"
    await age(shop_database, 11)
    assert len(await warnings(neglect)) == 1
    async with shop_database.transaction() as tx:
        assert await handoffs.claim(tx, line["handoff"], "ada")
    await age(shop_database, 61)
    assert await warnings(neglect) == []


async def test_what_is_not_critical_waits_for_a_report(shop_database: Database, keys: KeyRing) -> None:
    """A wish to speak to somebody is no emergency."""
    await handed_over(shop_database, keys, words="a person please")
    await age(shop_database, 5)
    assert await warnings(Neglect(shop_database)) == []


@pytest.mark.parametrize(
    ("ended", "said"), [(None, 0), ("person_took_over", 0), ("person_not_reached", 1), ("caller_hung_up", 1)]
)
async def test_a_call_counts_once_it_ended_without_a_person(
    shop_database: Database, keys: KeyRing, ended: str | None, said: int
) -> None:
    """While it is being put through nobody is missing."""
    talk = await handed_over(shop_database, keys, channel=Channel.PHONE)
    if ended is not None:
        async with shop_database.transaction() as tx:
            await talk.conversations.finish(tx, talk.id, reason=ended)
    await age(shop_database, 5)
    assert len(await warnings(Neglect(shop_database))) == said
