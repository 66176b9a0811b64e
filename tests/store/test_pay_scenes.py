"""`<Pay>` ends in every way Twilio knows, and the caller hears the truth; hang-ups, deaths, late news."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from changes_kit import count
from dialogue_kit import Talk, node
from test_payments import UNPAID, WISH
from twilio_kit import Channel, eventually, new_sid, settings_for, twilio_channel

from voicebot.channels.twilio.media import CallOutcome, MediaSession
from voicebot.core.conversation import CallStarted
from voicebot.core.store import follow_ups, payments
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database, DatabaseDown
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue import state as states
from voicebot.dialogue.orchestrator import Orchestrator
from voicebot.dialogue.payments import Told
from voicebot.proof.simulation import LocalCall, LocalTwilio, Quiet, late
from voicebot.proof.simulation.paying import PayConnector

CARD, EXPIRY, CODE = "4539578763621486", "1131", "917"


@dataclass
class Scene:
    """A node whose callers type what they would say: they agree to pay, and hear what came of it."""

    twilio: LocalTwilio
    database: Database
    keys: KeyRing
    port: int
    said: list[str] = field(default_factory=list[str])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextlib.asynccontextmanager
    async def open(self, node_id: str = "node-a") -> AsyncIterator[tuple[Channel, Orchestrator]]:
        orchestrator = node(self.database, self.keys)
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self.port))
        self.port = listening.getsockname()[1]
        settings = settings_for(
            public_url=self.url,
            twilio_api=self.twilio.api_url,
            twilio_account_sid=self.twilio.account_sid,
            twilio_auth_token=self.twilio.auth_token,
        )

        async def run(session: MediaSession) -> CallOutcome:
            talk = Talk(self.database, self.keys, orchestrator, session.conversation_id)
            if not session.resumed:
                for given in (CallStarted(), WISH, " ".join(UNPAID[0]), " ".join(UNPAID[1]), "yes please"):
                    await talk.turn(given)
                assert talk.last is not None
                assert talk.last.after == "pay"
                return CallOutcome("away", "payment")
            self.said.append(await talk.turn(CallStarted(resumed=True)))
            async for _ in session.messages():
                pass
            return CallOutcome("lost", "media ended")

        async with twilio_channel(
            self.database,
            self.keys,
            run_call=run,
            settings=settings,
            port=listening,
            keep=True,
            node_id=node_id,
            new_state=states.new_state,
            payments=orchestrator.payments,
        ) as channel:
            yield channel, orchestrator
        await orchestrator.close()

    async def phones(self) -> LocalCall:
        """A call that is at `<Pay>`, or past it."""
        call = await self.twilio.phone(
            f"{self.url}/twilio/voice",
            ear=Quiet(),
            status_callback=f"{self.url}/twilio/status",
            fallback_url=f"{self.url}/twilio/resume",
        )
        await call.log.wait("verb", name="Pay")
        return call

    async def pays(self, call: LocalCall, *parts: str) -> None:
        for part in parts or (CARD, EXPIRY, CODE):
            await call.press(part, every_ms=5)
            await asyncio.sleep(0.05)  # the next field is asked for

    async def told(self) -> str:
        await eventually(lambda: bool(self.said))
        return self.said[-1]

    async def over(self, call: LocalCall) -> None:
        call.hang_up()
        await asyncio.wait_for(call.wait_ended(), 60)
        await call.settle()

    async def row(self, call: LocalCall) -> dict[str, Any]:
        async with self.database.transaction() as tx:
            known = await Conversations(self.keys).by_call(tx, call.call_sid)
            assert known is not None
            (row,) = await payments.of(tx, known)
        return row

    async def becomes(self, call: LocalCall, status: str) -> None:
        async def is_it() -> bool:
            return (await self.row(call))["status"] == status

        await eventually(is_it)


@pytest.fixture
async def scene(shop_database: Database, keys: KeyRing) -> AsyncIterator[Scene]:
    async with LocalTwilio() as twilio:
        yield Scene(twilio, shop_database, keys, 0)


@pytest.mark.parametrize(
    ("connector", "keys_pressed", "status", "says"),
    [
        (PayConnector(declines=frozenset({CARD})), None, "declined", "was not accepted. Nothing was charged"),
        (PayConnector(error="64007"), None, "failed", "can't take card payments at the moment"),
        (PayConnector(broken=True), None, "unknown", "please don't pay again"),
        (PayConnector(), ("4242*",), "stopped", "was stopped. Nothing was charged"),
        (PayConnector(), ("1#", "1#", "1#"), "spent", "couldn't be read. Nothing was charged"),
    ],
    ids=["declined", "connector", "gateway silent", "star", "wrong numbers"],
)
async def test_each_result_of_pay_is_told_as_it_is(
    scene: Scene, connector: PayConnector, keys_pressed: tuple[str, ...] | None, status: str, says: str
) -> None:
    """Result by result, on a real `<Pay>`; nothing is booked that was not said to be paid."""
    scene.twilio.options.pay.connectors["Default"] = connector
    async with scene.open():
        call = await scene.phones()
        await scene.pays(call, *(keys_pressed or ()))
        assert says in await scene.told()
        assert (await scene.row(call))["status"] == status
        await scene.over(call)
        assert call.violations == []
    assert await count(scene.database, "shop.card_payments") == 0


@pytest.mark.parametrize("how", ["validation-error", "internal-error", "next_verb"])
async def test_an_account_that_may_not_use_pay(
    scene: Scene, how: Literal["validation-error", "internal-error", "next_verb"]
) -> None:
    """Whatever Twilio does then, the call comes back and nobody is told that money moved."""
    scene.twilio.options.pay.enabled = False
    scene.twilio.options.pay.not_enabled = how
    async with scene.open():
        call = await scene.phones()
        words = await scene.told()
        assert "can't take card payments" in words or "please don't pay again" in words
        await scene.over(call)


async def test_a_hang_up_inside_pay_leaves_nothing_open(scene: Scene) -> None:
    """Before the card was whole nothing was charged; the order can be paid by another call at once."""
    async with scene.open():
        call = await scene.phones()
        await scene.pays(call, "4539")
        await scene.over(call)
        await scene.becomes(call, "left")
        again = await scene.phones()
        await scene.pays(again)
        assert "went through" in await scene.told()
        await scene.over(again)
        assert (await scene.row(again))["status"] == "paid"


async def test_a_hang_up_while_it_is_charged_is_for_a_person(scene: Scene) -> None:
    """Twilio says that the caller hung up, and the processor has the card: somebody looks."""
    scene.twilio.options.pay.processing_s = 5.0
    async with scene.open():
        call = await scene.phones()
        await scene.pays(call)
        await scene.becomes(call, "charging")
        await scene.over(call)
        await scene.becomes(call, "unknown")
        async with scene.database.transaction() as tx:
            (promise,) = await follow_ups.list(tx)
        assert (promise["intent"], promise["owner"]) == ("payment", "service team")


async def test_a_node_dies_while_the_card_is_taken(scene: Scene) -> None:
    """Another one gets the result, and goes on with the conversation."""
    async with contextlib.AsyncExitStack() as first:
        await first.enter_async_context(scene.open("node-a"))
        call = await scene.phones()
        await first.aclose()
        async with scene.open("node-b"):
            await scene.pays(call)
            assert "your payment of eighty nine dollars went through" in await scene.told()
            await scene.over(call)
    assert await count(scene.database, "shop.card_payments") == 1


async def test_late_and_repeated_callbacks_change_nothing(scene: Scene) -> None:
    """Progress that arrives after the end, and the action once more, by hand."""
    scene.twilio.options.pay_callbacks = late(0.5)
    async with scene.open() as (channel, _):
        call = await scene.phones()
        await scene.pays(call)
        await scene.told()
        row = await scene.row(call)
        path = f"/twilio/pay/{row['id']}"
        form = {"CallSid": call.call_sid, "CallStatus": "in-progress", "Result": "payment-connector-error"}
        channel.base = scene.url
        for where in (path, f"{path}/status"):
            answer = await channel.post(where, token=scene.twilio.auth_token, **form)
            assert answer.is_success
        await scene.over(call)
        assert (await scene.row(call))["status"] == "paid"
    assert await count(scene.database, "shop.card_payments") == 1


async def test_a_callback_that_is_not_twilios_or_of_another_call_is_refused(scene: Scene) -> None:
    """Unsigned; another call's; a payment that is not there."""
    async with scene.open() as (channel, _):
        call = await scene.phones()
        row = await scene.row(call)
        channel.base = scene.url
        path, form = f"/twilio/pay/{row['id']}", {"CallSid": call.call_sid, "Result": "success"}
        token = scene.twilio.auth_token
        assert (await channel.post(path, token=None, **form)).status_code == 403
        other = form | {"CallSid": new_sid("CA")}
        assert (await channel.post(path, token=token, **other)).status_code == 400
        assert (await channel.post(f"{path[:-1]}z", token=token, **form)).status_code == 400
        assert (await scene.row(call))["status"] == "taking"
        await scene.over(call)


async def test_what_the_database_could_not_take_is_written_later(
    shop_database: Database, keys: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processor has the money, Postgres is away: the result is kept, and booked once it is back."""
    from test_payments import PAID, agreed

    talk, payment = await agreed(shop_database, keys)
    ours = talk.orchestrator.payments
    transaction = shop_database.transaction

    def away(*more: Any, **named: Any) -> Any:
        raise DatabaseDown("away")

    monkeypatch.setattr(shop_database, "transaction", away)
    monkeypatch.setattr(shop_database, "reading", away)
    with pytest.raises(DatabaseDown):
        await ours.settle(payment, PAID)
    ours.keep(payment, Told("declined", "later", "twilio"))  # money that moved is not forgotten for it
    monkeypatch.setattr(shop_database, "transaction", transaction)
    await ours.sweep()
    assert await count(shop_database, "shop.card_payments") == 1
    assert await count(shop_database, "payments", "status = 'paid' AND booked_at IS NOT NULL") == 1
