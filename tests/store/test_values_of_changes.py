"""Towards a read-back: an offer is taken with a yes, values are no circles, a chat takes no card."""

from __future__ import annotations

from datetime import UTC, datetime

from changes_kit import DELIVERED, PACKED, change, stored, verified
from dialogue_kit import Talk

from voicebot.core.conversation import Channel
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing

SATURDAY_NOON = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)  # in Portland
UNPAID = ("830274", "30309")


async def test_a_day_that_is_offered_is_taken_with_a_yes(shop_database: Database, keys: KeyRing) -> None:
    """We don't deliver on Sundays: the Monday that was offered is what the yes is to."""
    talk = await Talk.begin(shop_database, keys, now=lambda: SATURDAY_NOON)
    assert "Which day" in await verified(talk, PACKED, "i need another delivery day")
    await talk.turn("sunday")
    assert "Would Monday the twenty third of November suit you?" in await talk.turn("in the morning")
    words = await talk.turn("yes please")
    assert "Monday the twenty third of November" in words
    assert [row["status"] for row in await stored(talk)] == ["open"]


async def test_a_yes_to_which_of_them_is_not_all_of_them(shop_database: Database, keys: KeyRing) -> None:
    """Asked again; only "everything" is everything."""
    talk = await Talk.begin(shop_database, keys)
    assert "Which item" in await verified(talk, DELIVERED, "start a return please")
    assert "reason" not in await talk.turn("yes")
    assert "what is the reason" in await talk.turn("everything")


async def test_a_no_to_it_proposes_nothing(shop_database: Database, keys: KeyRing) -> None:
    talk = await Talk.begin(shop_database, keys, now=lambda: SATURDAY_NOON)
    await verified(talk, PACKED, "i need another delivery day")
    await talk.turn("sunday")
    await talk.turn("in the morning")
    assert "Shall I" not in await talk.turn("no")
    assert await stored(talk) == []


async def test_a_city_said_with_the_street_and_again_is_no_circle(
    shop_database: Database, keys: KeyRing
) -> None:
    """An answer to our own question is not the caller's want in other words."""
    await change(shop_database, "UPDATE shop.orders SET total_cents = 30000 WHERE number = %s", PACKED[0])
    talk = await Talk.begin(shop_database, keys)
    await verified(talk, PACKED, "i want my order delivered to another address")
    await talk.turn("14 elm street, denver 80014")
    words = await talk.turn("denver")
    assert "circles" not in words
    assert "post code" in words


async def test_a_chat_says_that_it_is_paid_before_that_it_takes_no_card(
    shop_database: Database, keys: KeyRing
) -> None:
    """Whether it went through is answered from the records; who was verified stands in the audit."""
    talk = await Talk.begin(shop_database, keys, channel=Channel.CHAT)
    words = await verified(talk, DELIVERED, "did my payment go through")
    assert "paid" in words
    assert "in a call only" not in words

    other = await Talk.begin(shop_database, keys, channel=Channel.CHAT)
    words = await verified(other, UNPAID, "i want to pay for my order")
    assert words.startswith("Thank you. I can take a card payment in a call only.")
    assert "identity.verified" in await other.audited()


async def test_wanting_to_return_a_thing_leads_to_the_return(shop_database: Database, keys: KeyRing) -> None:
    """Not to the article on returns."""
    talk = await Talk.begin(shop_database, keys)
    words = await verified(talk, DELIVERED, "i want to return the wool rug")
    assert "Which item" in words
