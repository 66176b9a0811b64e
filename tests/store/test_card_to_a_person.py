"""A card number written or said once a person has taken over stands in no vault, nor do its pieces."""

from __future__ import annotations

from datetime import UTC, datetime

from chat_kit import chat_on

from voicebot.channels.phone.leg_lines import HeardLine, LegLines
from voicebot.core.store import vault
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.safety.pii.finding import Shapes

CARD = "4111 1111 1111 1111"
PHONE = "my phone is six one seven five five five oh one four two"


async def values(database: Database, keys: KeyRing, conversation_id: str) -> list[str]:
    async with database.transaction() as tx:
        return sorted((await vault.values(tx, keys, conversation_id)).values())


async def test_written_while_a_person_is_waited_for(shop_database: Database, keys: KeyRing) -> None:
    """Masked and dropped; another number is kept for the colleague."""
    chat = chat_on(shop_database, keys)
    begun = await chat.say(None, "a person please")
    assert begun.handoff is not None
    await chat.say(begun.conversation_id, f"my card is {CARD}")
    await chat.say(begun.conversation_id, PHONE)
    assert await values(shop_database, keys, begun.conversation_id) == ["6175550142"]


async def test_written_in_pieces(shop_database: Database, keys: KeyRing) -> None:
    """Over several messages: what was kept as a number is forgotten once it turns out to begin a card's."""
    chat = chat_on(shop_database, keys)
    begun = await chat.say(None, "a person please")
    for piece in ("my card is 4242 4242", "4242", "4242"):
        await chat.say(begun.conversation_id, piece)
    assert await values(shop_database, keys, begun.conversation_id) == []


async def test_said_to_a_person_on_the_phone(shop_database: Database, keys: KeyRing) -> None:
    """In one line, or over two: then the beginning, which was kept, is forgotten."""
    chat = chat_on(shop_database, keys)
    begun = await chat.say(None, "a person please")
    async with shop_database.transaction() as tx:
        snapshot = await Conversations(keys).load(tx, begun.conversation_id)
    leg = LegLines(
        shop_database,
        keys,
        Shapes({}, frozenset()),
        conversation_id=begun.conversation_id,
        leg="caller",
        stream_sid="MZ1",
        epoch=snapshot.epoch,
    )
    said = (
        f"it is {CARD}",
        PHONE,
        "my card is four two four two four two four two",
        "four two four two four two four two",
    )
    for n, text in enumerate(said, start=1):
        await leg.store(HeardLine(n, text, sure=True, at=datetime(2026, 11, 21, 12, 0, n, tzinfo=UTC)))
    assert await values(shop_database, keys, begun.conversation_id) == ["6175550142"]


async def test_its_code_and_date_are_not_kept_either(shop_database: Database, keys: KeyRing) -> None:
    """What stands beside the number goes with it; digits of a turn without a card stay."""
    chat = chat_on(shop_database, keys)
    begun = await chat.say(None, f"my card is {CARD} expiry 12 29 cvv 123")
    assert await values(shop_database, keys, begun.conversation_id) == []
