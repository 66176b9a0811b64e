"""A card payment: for what the records say is open, once after a yes, and told as it ended."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import pytest
from changes_kit import change, count, verified
from dialogue_kit import DEPLOYMENT, Talk, node
from shop_service import running

from voicebot.core.conversation import CallStarted, Channel, PaymentOver
from voicebot.core.settings import Settings, SettingsError
from voicebot.core.store import follow_ups, payments, vault
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.connectors.card_processor import Charged, ChargeUnknown
from voicebot.dialogue.connectors.http import HttpConnector
from voicebot.dialogue.orchestrator import Orchestrator
from voicebot.dialogue.payments import Told
from voicebot.handoff.desk import StoredHandoffs
from voicebot.safety.cards import Card
from voicebot.safety.policy import Policy

UNPAID = ("830274", "30309")
WISH = "my card was declined, can i try the payment again"
PAID = Told("paid", "success", "twilio", {"confirmation": "ch_1"})


async def agreed(database: Database, keys: KeyRing, **more: Any) -> tuple[Talk, str]:
    """A payment that the caller has said yes to, and its id."""
    talk = await Talk.begin(database, keys, **more)
    words = await verified(talk, UNPAID, WISH)
    assert "eighty nine dollars left to pay" in words, words
    words = await talk.turn("yes please")
    assert "secure payment line" in words, words
    (row,) = await rows(talk)
    assert (row["status"], row["amount_cents"], row["currency"]) == ("agreed", 8900, "USD")
    return talk, row["id"]


async def rows(talk: Talk) -> list[dict[str, Any]]:
    async with talk.database.transaction() as tx:
        return await payments.of(tx, talk.id)


async def taken(talk: Talk) -> None:
    """The call is at `<Pay>`."""
    async with talk.database.transaction() as tx:
        assert await talk.orchestrator.payments.begin(tx, talk.id, "pay") is not None


async def test_yes_pay_booked_and_told(shop_database: Database, keys: KeyRing) -> None:
    """From the read-back to the shop's books; told once, and a second callback changes nothing."""
    talk, payment = await agreed(shop_database, keys)
    assert talk.last is not None
    assert talk.last.after == "pay"
    await taken(talk)
    await talk.orchestrator.payments.settle(payment, PAID)
    again = await talk.orchestrator.payments.settle(payment, PAID)
    assert again.booked
    assert (
        await count(shop_database, "shop.card_payments", "amount_cents = 8900 AND confirmation = 'ch_1'") == 1
    )
    assert await count(shop_database, "shop.payments", "order_number = '830274' AND status = 'paid'") == 1
    words = await talk.turn(CallStarted(resumed=True))
    assert "your payment of eighty nine dollars went through" in words
    assert (await talk.state()).paying is None
    assert [kind for kind in await talk.events() if kind.startswith("payment")] == [
        "payment.taking",
        "payment.paid",
    ]
    assert (await talk.audited()).count("payment.paid") == 1


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        ("declined", "card was not accepted. Nothing was charged. Would you like to try again?"),
        ("spent", "couldn't be read. Nothing was charged. Would you like to try again?"),
        ("stopped", "was stopped. Nothing was charged. Would you like to try again?"),
        ("left", "cut off before the payment. Nothing was charged. Would you like"),
        ("failed", "can't take card payments at the moment. Nothing was charged. Shall I connect you"),
        ("unknown", "please don't pay again. A colleague will check it"),
    ],
)
async def test_each_end_has_honest_words_and_a_next_step(
    shop_database: Database, keys: KeyRing, outcome: Any, says: str
) -> None:
    """Nothing is booked for any of them; only who may have paid is told not to pay again."""
    talk, payment = await agreed(shop_database, keys)
    await taken(talk)
    await talk.orchestrator.payments.settle(payment, Told(outcome, "x", "twilio"))
    assert says in await talk.turn(CallStarted(resumed=True))
    assert await count(shop_database, "shop.card_payments") == 0


async def test_trying_again_reads_back_and_asks_again_then_a_person(
    shop_database: Database, keys: KeyRing
) -> None:
    """A second payment needs a second yes; after two that came to nothing a colleague is offered."""
    talk, payment = await agreed(shop_database, keys)
    await taken(talk)
    await talk.orchestrator.payments.settle(payment, Told("declined", "x", "twilio"))
    await talk.turn(CallStarted(resumed=True))
    assert "eighty nine dollars left to pay" in await talk.turn("yes")
    assert "secure payment line" in await talk.turn("yes")
    first, second = await rows(talk)
    assert (first["status"], second["status"]) == ("declined", "agreed")
    await taken(talk)
    await talk.orchestrator.payments.settle(second["id"], Told("declined", "x", "twilio"))
    assert "Shall I connect you with a colleague?" in await talk.turn(CallStarted(resumed=True))


async def test_no_callback_is_told_as_not_known_and_a_late_one_still_counts(
    shop_database: Database, keys: KeyRing
) -> None:
    """The call is back without a result: a person looks. Money that is told of later is booked."""
    talk, payment = await agreed(shop_database, keys)
    await taken(talk)
    assert "can't see whether your payment went through" in await talk.turn(CallStarted(resumed=True))
    assert [row["status"] for row in await rows(talk)] == ["unknown"]
    async with shop_database.transaction() as tx:
        (promise,) = await follow_ups.list(tx, conversation_id=talk.id)
    assert promise["owner"] == "service team"
    await talk.orchestrator.payments.settle(payment, PAID)
    assert await count(shop_database, "shop.card_payments") == 1
    await talk.orchestrator.payments.settle(payment, Told("declined", "x", "twilio"))
    assert [row["status"] for row in await rows(talk)] == ["paid"]


async def test_one_thing_is_paid_by_one_call_at_a_time(shop_database: Database, keys: KeyRing) -> None:
    """Another call about the same order, while the first one is at `<Pay>`, gets no second card."""
    talk, payment = await agreed(shop_database, keys)
    other = await Talk.begin(shop_database, keys)
    await verified(other, UNPAID, WISH)
    assert "under way already" in await other.turn("yes")
    assert await rows(other) == []
    await talk.orchestrator.payments.settle(payment, Told("left", "call-over", "server"))
    await other.turn(WISH)
    assert "secure payment line" in await other.turn("yes")


async def test_a_no_before_the_card_stops_it_and_anything_else_goes_on(
    shop_database: Database, keys: KeyRing
) -> None:
    """The words before the card were spoken over."""
    talk, _ = await agreed(shop_database, keys)
    assert "secure payment line" in await talk.turn("hm what was that")
    assert talk.last is not None
    assert talk.last.after == "pay"
    assert "leave that" in await talk.turn("no stop that")
    assert [row["status"] for row in await rows(talk)] == ["stopped"]
    async with shop_database.transaction() as tx:
        assert await talk.orchestrator.payments.begin(tx, talk.id, "pay") is None


async def test_a_chat_takes_no_card(shop_database: Database, keys: KeyRing) -> None:
    """It says where one can be paid."""
    talk = await Talk.begin(shop_database, keys, channel=Channel.CHAT)
    assert "in a call only" in await verified(talk, UNPAID, WISH)


async def test_a_paid_order_is_not_paid_again(shop_database: Database, keys: KeyRing) -> None:
    """The records decide, before anything is proposed."""
    talk = await Talk.begin(shop_database, keys)
    assert "paid already" in await verified(talk, ("427103", "94107"), WISH)


async def test_the_sweep_ends_what_nobody_else_does(shop_database: Database, keys: KeyRing) -> None:
    """Calls that are over: what was never begun is left, what was at `<Pay>` is for a person to look at."""
    talk, _ = await agreed(shop_database, keys)
    await end(talk)
    await talk.orchestrator.payments.sweep()
    assert [row["status"] for row in await rows(talk)] == ["left"]
    other, _ = await agreed(shop_database, keys)
    await taken(other)
    await end(other)
    await node(shop_database, keys).payments.sweep()  # any node
    assert [row["status"] for row in await rows(other)] == ["unknown"]


async def end(talk: Talk) -> None:
    """The call is over, and that was a while ago."""
    async with talk.database.transaction() as tx:
        await talk.conversations.finish(tx, talk.id, reason="caller_hung_up")
        await tx.execute("UPDATE payments SET changed_at = clock_timestamp() - interval '1 hour'")


async def test_money_that_cannot_be_booked_goes_to_a_person(shop_database: Database, keys: KeyRing) -> None:
    """The order was paid elsewhere meanwhile: the money is written down, and somebody is told."""
    talk, payment = await agreed(shop_database, keys)
    await taken(talk)
    async with shop_database.transaction() as tx:
        await tx.execute("UPDATE shop.payments SET status = 'paid' WHERE order_number = '830274'")
    await talk.orchestrator.payments.settle(payment, PAID)
    assert await count(shop_database, "shop.card_payments") == 1
    async with shop_database.transaction() as tx:
        (promise,) = await follow_ups.list(tx, conversation_id=talk.id)
        known = await follow_ups.get(tx, keys, promise["id"])
    assert known["details"]["why"] == "paid, and the records say paid"


async def test_a_payment_that_was_told_already_says_nothing(shop_database: Database, keys: KeyRing) -> None:
    """The end of it comes as an input after the call had told it."""
    talk, payment = await agreed(shop_database, keys)
    await talk.orchestrator.payments.settle(payment, PAID)
    await talk.turn(CallStarted(resumed=True))
    committed = await talk.commit(await talk.plan(PaymentOver(payment=payment)))
    assert committed.silent


SPOKEN = "four five three nine five seven eight seven six three six two one four eight six"


async def test_a_card_that_is_said_aloud_is_stopped_and_kept_nowhere(
    shop_database: Database, keys: KeyRing
) -> None:
    """Not even in the vault, where other numbers lie; the caller is offered the keypad."""
    talk = await Talk.begin(shop_database, keys)
    words = await talk.turn(f"i want to pay my card is {SPOKEN}")
    assert words.startswith("Please don't tell me your card number. I haven't kept it.")
    assert "type it in on your keypad. Shall we do that?" in words
    async with shop_database.transaction() as tx:
        assert await vault.values(tx, keys, talk.id) == {}
    assert "card.spoken" in await talk.audited()
    words = await verified(talk, UNPAID, "yes")
    assert "eighty nine dollars left to pay" in words


async def test_a_card_said_in_pieces_is_kept_nowhere_either(shop_database: Database, keys: KeyRing) -> None:
    """Four turns of four digits: once they are a card, the pieces go, too."""
    talk = await Talk.begin(shop_database, keys)
    digits = SPOKEN.split()
    await talk.turn(f"my card is {' '.join(digits[:4])}")
    for at in (4, 8):
        await talk.turn(" ".join(digits[at : at + 4]))
    async with shop_database.transaction() as tx:
        assert await vault.values(tx, keys, talk.id) != {}
    assert "don't tell me your card number" in await talk.turn(" ".join(digits[12:]))
    async with shop_database.transaction() as tx:
        assert await vault.values(tx, keys, talk.id) == {}


async def test_four_digits_of_a_card_are_no_card(shop_database: Database, keys: KeyRing) -> None:
    """As the identity gate asks for them."""
    talk = await Talk.begin(shop_database, keys)
    assert "don't tell me" not in await talk.turn("my card ends in four four one seven")


async def test_during_the_read_back_a_spoken_card_gets_the_question_again(
    shop_database: Database, keys: KeyRing
) -> None:
    """It is no yes."""
    talk = await Talk.begin(shop_database, keys)
    await verified(talk, UNPAID, WISH)
    words = await talk.turn(f"yes it's {SPOKEN}")
    assert "don't tell me your card number" in words
    assert await rows(talk) == []


async def test_a_remote_shop_books_once_though_its_answer_is_lost(
    shop_database: Database, keys: KeyRing
) -> None:
    """The money has come: the booking is repeated under the payment's id until it is known."""
    with running(shop_database.url) as service:
        async with service.client(timeout=20.0) as client:
            records = HttpConnector(client, DEPLOYMENT.queries, attempts=1)
            talk, payment = await agreed(shop_database, keys, connector=records)
            service.breaks(drop=True)
            await talk.orchestrator.payments.settle(payment, PAID)
            (row,) = await rows(talk)
            assert (row["status"], row["booked_at"]) == ("paid", None)
            await change(shop_database, "UPDATE payments SET changed_at = changed_at - interval '1 minute'")
            await talk.orchestrator.payments.sweep()
            (row,) = await rows(talk)
            assert row["booked_at"] is not None
    assert await count(shop_database, "shop.card_payments") == 1
    assert await count(shop_database, "shop.payments", "order_number = '830274' AND status = 'paid'") == 1


class Remembers:
    """A processor of which one thing is known: what came of a key."""

    def __init__(self, outcome: Literal["approved", "declined", "none"] | None) -> None:
        self.outcome = outcome

    async def charge(self, card: Card, *, amount: str, currency: str, key: str) -> Charged:
        raise AssertionError("a card is never sent again")

    async def outcome_of(self, key: str) -> Charged:
        if self.outcome is None:
            raise ChargeUnknown("not now")
        return Charged(self.outcome, "ok_1")

    async def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize(
    ("outcome", "status"),
    [("approved", "paid"), ("declined", "declined"), ("none", "failed"), (None, "unknown")],
)
async def test_a_node_that_died_while_it_charged_is_asked_after(
    shop_database: Database, keys: KeyRing, outcome: Any, status: str
) -> None:
    """On the keypad: the digits died with it, the processor knows what came of the key."""
    talk, _ = await agreed(shop_database, keys)
    await change(
        shop_database,
        "UPDATE payments SET way = 'keypad', status = 'charging', changed_at = changed_at - interval '2 min'",
    )
    await node(shop_database, keys, processor=Remembers(outcome)).payments.sweep()
    assert [row["status"] for row in await rows(talk)] == [status]
    assert await count(shop_database, "shop.card_payments") == (1 if status == "paid" else 0)


async def test_a_server_that_takes_cards_has_somebody_to_charge_them(
    shop_database: Database, keys: KeyRing
) -> None:
    """`cards: keypad` without a processor refuses to start, and says what to set."""
    table = DEPLOYMENT.policy.table.model_copy(update={"cards": "keypad"})
    deployment = replace(DEPLOYMENT, policy=Policy(table))
    settings = Settings.model_construct(card_processor=None, llm="grounded")
    with pytest.raises(SettingsError, match="VOICEBOT_CARD_PROCESSOR"):
        await Orchestrator.create(
            database=shop_database,
            keys=keys,
            deployment=deployment,
            settings=settings,
            handoffs=StoredHandoffs.of(keys, deployment.folder),
        )
