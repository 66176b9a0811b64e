"""Calls that we make, over the wire: one dial whatever fails or is repeated, and a mailbox is no person."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from outbound_kit import CUSTOMER, MESSAGE, Clock, Node, calls_of, dialling, order
from twilio_kit import AUTH_TOKEN, eventually, new_sid, settings_for

from voicebot.channels.twilio.rest import TwilioRest
from voicebot.core.conversation import Channel
from voicebot.core.store import audit, callbacks, follow_ups
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue import state as states
from voicebot.proof.simulation import LocalCall, LocalTwilio, Options, Person, Quiet, out_of_order, twice
from voicebot.proof.simulation.faults import RestFault
from voicebot.proof.simulation.people import machine

ANSWERS = Person(after_s=0.05, ear=Quiet, detected_after_s=1.0)
BUSY = Person(does="busy", after_s=0.05)
RINGS_ON = Person(does="no_answer")


@pytest_asyncio.fixture
async def twilio() -> AsyncIterator[LocalTwilio]:
    async with LocalTwilio(options=Options(second_s=0.02), auth_token=AUTH_TOKEN) as running:
        running.people[CUSTOMER] = ANSWERS
        yield running


@pytest_asyncio.fixture
async def node(twilio: LocalTwilio, database: Database, keys: KeyRing) -> AsyncIterator[Node]:
    async with dialling(twilio, database, keys) as running:
        yield running


async def ended(twilio: LocalTwilio, nth: int = -1) -> LocalCall:
    call = twilio.calls[nth]
    async with asyncio.timeout(60):
        await call.wait_ended()
    await call.settle()
    return call


def said_to(call: LocalCall) -> str:
    """The TwiML that a call was given."""
    return " ".join(entry.data.get("body", "") for entry in call.log.of("twiml"))


def no_violations(twilio: LocalTwilio) -> None:
    assert [str(one) for call in twilio.calls for one in call.violations] == []


async def test_a_person_answers_and_the_bot_knows_why_it_called(
    twilio: LocalTwilio, node: Node, database: Database, keys: KeyRing
) -> None:
    callback = await order(database, keys, node.clock.now)
    assert await node.calls.dial_due() == 1
    await eventually(lambda: bool(node.echo.sessions))
    assert await node.stands(callback, "reached")
    call = twilio.calls[0]
    assert (call.to, call.answered_by) == (CUSTOMER, "human")
    snapshot = await node.channel.of_call(call.call_sid)
    calling = states.load(snapshot.state).calling
    assert calling is not None
    assert (calling.callback, calling.purpose, calling.person) == (callback, "callback", True)
    assert snapshot.caller == CUSTOMER
    call.hang_up()
    await ended(twilio)
    await node.channel.status_of(call.call_sid, "ended")
    assert await node.calls.dial_due() == 0
    shown = await node.shown(callback)
    assert [(one["status"], one["conversation_id"]) for one in shown["dials"]] == [("connected", snapshot.id)]
    async with database.transaction() as tx:
        audited = [row["what"] for row in await audit.records(tx) if row["what"].startswith("outbound")]
    assert sorted(audited) == ["outbound.answered", "outbound.dialled"]
    no_violations(twilio)


async def test_nothing_is_dialled_before_its_time(
    twilio: LocalTwilio, node: Node, database: Database, keys: KeyRing
) -> None:
    start = node.clock.now
    node.clock.forward(minutes=30)
    callback = await order(database, keys, node.clock.now)
    node.clock.now = start
    assert await node.calls.dial_due() == 0
    node.clock.forward(minutes=29, seconds=59)
    assert await node.calls.dial_due() == 0
    node.clock.forward(seconds=1)
    assert await node.calls.dial_due() == 1
    assert (await node.shown(callback))["tries"] == 1


async def test_two_nodes_that_see_the_same_due_call_make_one(
    twilio: LocalTwilio, node: Node, database: Database, keys: KeyRing
) -> None:
    settings = settings_for(
        twilio_api=twilio.api_url, twilio_account_sid=twilio.account_sid, twilio_auth_token=twilio.auth_token
    )
    rest = TwilioRest.from_settings(settings)
    assert rest is not None
    async with rest:
        others = [calls_of(database, keys, rest, node.clock, name=name) for name in "bcd"]
        callback = await order(database, keys, node.clock.now)
        dialled = await asyncio.gather(*(one.dial_due() for one in (node.calls, *others) for _ in range(3)))
    assert sum(dialled) == 1
    assert len(twilio.calls) == 1
    assert (await node.shown(callback))["tries"] == 1


async def test_busy_then_no_answer_then_a_person_sees_to_it(
    twilio: LocalTwilio, node: Node, database: Database, keys: KeyRing
) -> None:
    """Bounded tries, spaced; what was promised stays open, and is due now."""
    async with database.transaction() as tx:
        conversation = await node.channel.services.conversations.create(
            tx,
            channel=Channel.PHONE,
            call_sid=None,
            caller=CUSTOMER,
            called=None,
            state=states.new_state(),
        )
        promised = await follow_ups.save(
            tx, keys, conversation_id=conversation, turn=1, kind="callback", intent="person", owner="general",
            urgency="normal", due_at=node.clock.now, details={},
        )  # fmt: skip
    callback = await order(
        database, keys, node.clock.now, conversation_id=conversation, follow_up_id=promised, origin="caller"
    )
    twilio.people[CUSTOMER] = BUSY
    await node.calls.dial_due()
    await ended(twilio)
    await eventually(lambda: node.stands(callback, "booked"))
    node.clock.forward(minutes=9)
    assert await node.calls.dial_due() == 0
    twilio.people[CUSTOMER] = RINGS_ON
    node.clock.forward(minutes=2)
    await node.dials_again()
    await ended(twilio)
    await eventually(lambda: node.stands(callback, "gone"))
    shown = await node.shown(callback)
    assert [one["status"] for one in shown["dials"]] == ["busy", "no_answer"]
    async with database.transaction() as tx:
        kept = await follow_ups.get(tx, keys, promised)
    assert (kept["status"], kept["urgency"]) == ("open", "high")
    node.clock.forward(days=2)
    assert await node.calls.dial_due() == 0
    no_violations(twilio)


@pytest.mark.parametrize(
    ("who", "rules", "said", "first", "then"),
    [
        (machine(), {}, True, "machine", "booked"),
        (machine(), {"machine": "hang_up"}, False, "machine", "booked"),
        (Person(after_s=0.05, ear=Quiet, is_="fax"), {}, False, "machine", "failed"),
    ],
)
async def test_a_machine_is_never_talked_to_as_a_person(
    twilio: LocalTwilio,
    database: Database,
    keys: KeyRing,
    who: Person,
    rules: dict[str, Any],
    said: bool,
    first: str,
    then: str,
) -> None:
    """A short message, once, or nothing; no conversation begins."""
    twilio.people[CUSTOMER] = who
    async with dialling(twilio, database, keys, **rules) as node:
        callback = await order(database, keys, node.clock.now)
        await node.calls.dial_due()
        call = await ended(twilio)
        await eventually(lambda: node.stands(callback, then))
        assert (MESSAGE in said_to(call)) is said
        assert not await node.channel.knows(call.call_sid)
        shown = await node.shown(callback)
        assert [(one["status"], one["left_message"]) for one in shown["dials"]] == [(first, said)]
        node.clock.forward(minutes=11)
        if then == "booked":  # the second time nothing is left any more
            await node.dials_again()
            call = await ended(twilio)
            assert MESSAGE not in said_to(call)
            await eventually(lambda: node.stands(callback, "gone"))
    no_violations(twilio)


async def test_whom_nobody_can_tell_from_a_machine_is_spoken_with(
    twilio: LocalTwilio, node: Node, database: Database, keys: KeyRing
) -> None:
    twilio.people[CUSTOMER] = Person(after_s=0.05, ear=Quiet, is_="unknown")
    callback = await order(database, keys, node.clock.now)
    await node.calls.dial_due()
    await eventually(lambda: bool(node.echo.sessions))
    assert await node.stands(callback, "reached")


async def test_a_verdict_that_comes_while_the_bot_speaks(
    twilio: LocalTwilio, database: Database, keys: KeyRing
) -> None:
    """A machine is rung off and counts as a try; a person stays, and was reached only then."""
    twilio.options.second_s = 60.0  # the machine is told from a person when the test says so
    async with dialling(twilio, database, keys, detection="meanwhile") as node:
        twilio.people[CUSTOMER] = Person(after_s=0.05, ear=Quiet, is_="machine", detected_after_s=10)
        callback = await order(database, keys, node.clock.now)
        await node.calls.dial_due()
        await eventually(lambda: bool(node.echo.sessions))
        assert await node.stands(callback, "dialling")
        dial, call = (await node.shown(callback))["dials"][0]["id"], twilio.calls[-1]
        told = await node.channel.post(
            f"/twilio/outbound/{dial}/detected", CallSid=call.call_sid, AnsweredBy="machine_start"
        )
        assert told.status_code == 204
        await asyncio.wait_for(call.wait_ended(), 60)
        await eventually(lambda: node.stands(callback, "booked"))
        twilio.options.second_s = 0.25
        twilio.people[CUSTOMER] = Person(after_s=0.05, ear=Quiet, detected_after_s=14)
        node.clock.forward(minutes=11)
        await node.dials_again()
        await eventually(lambda: node.stands(callback, "reached"))
        assert not twilio.calls[-1].ended


@pytest.mark.parametrize(
    ("verdict", "then"), [("machine_start", "booked"), ("human", "reached"), ("", "dialling")]
)
async def test_a_verdict_that_overtakes_the_answer(
    twilio: LocalTwilio, database: Database, keys: KeyRing, verdict: str, then: str
) -> None:
    """The webhooks come on connections of their own: what is known by then decides what the call gets."""
    twilio.people[CUSTOMER] = Person(after_s=3600, ear=Quiet)  # it rings: we tell what Twilio would
    async with dialling(twilio, database, keys, detection="meanwhile") as node:
        callback = await order(database, keys, node.clock.now)
        await node.calls.dial_due()
        dial, call = (await node.shown(callback))["dials"][0]["id"], twilio.calls[-1]
        if verdict:
            told = await node.channel.post(
                f"/twilio/outbound/{dial}/detected", CallSid=call.call_sid, AnsweredBy=verdict
            )
            assert told.status_code == 204
        assert await node.stands(callback, "dialling")
        answer = await node.channel.post(
            f"/twilio/outbound/{dial}/answer", CallSid=call.call_sid, CallStatus="in-progress"
        )
        assert ("<Stream" in answer.text) is (then != "booked")
        assert await node.stands(callback, then)
        shown = (await node.shown(callback))["dials"][0]
        assert shown["answered_by"] == (verdict or None)
    no_violations(twilio)


async def test_a_machine_that_rings_off_before_it_is_answered_was_a_machine(
    twilio: LocalTwilio, database: Database, keys: KeyRing
) -> None:
    """Its verdict came, the question what the call gets did not."""
    twilio.people[CUSTOMER] = Person(after_s=3600, ear=Quiet)
    async with dialling(twilio, database, keys, detection="meanwhile") as node:
        callback = await order(database, keys, node.clock.now)
        await node.calls.dial_due()
        path, call = f"/twilio/outbound/{(await node.shown(callback))['dials'][0]['id']}", twilio.calls[-1]
        await node.channel.post(f"{path}/detected", CallSid=call.call_sid, AnsweredBy="machine_start")
        await node.channel.post(f"{path}/status", CallSid=call.call_sid, CallStatus="completed")
        assert [one["status"] for one in (await node.shown(callback))["dials"]] == ["machine"]


@pytest.mark.parametrize("how", ["done_then_refused", "refused"])
async def test_twilio_does_not_say_whether_it_dialled(
    twilio: LocalTwilio, node: Node, database: Database, keys: KeyRing, how: Any
) -> None:
    """It is looked which calls there are; one that exists is adopted, else the same try is made again."""
    twilio.people[CUSTOMER] = Person(after_s=0.3, ear=Quiet)
    twilio.faults.append(RestFault(path="/Calls.json", method="POST", how=how, status=503))
    callback = await order(database, keys, node.clock.now)
    await node.calls.dial_due()
    assert (await node.shown(callback))["dials"][0]["status"] in {
        "unknown",
        "placed",
        "answered",
        "connected",
    }
    for _ in range(8):
        node.clock.forward(seconds=15)
        await node.calls.look()
        await node.calls.dial_due()
    await eventually(lambda: node.stands(callback, "reached"))
    assert len(twilio.calls) == 1
    assert (await node.shown(callback))["tries"] == 1


class LosesAnswers(httpx.AsyncBaseTransport):
    """Carries every request, and the answers of all but those to the first order for a call."""

    def __init__(self) -> None:
        self._real = httpx.AsyncHTTPTransport()
        self._lost = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._real.handle_async_request(request)
        if request.method == "POST" and not self._lost:
            self._lost = True
            await answer.aclose()
            raise httpx.ReadTimeout("no answer", request=request)
        return answer

    async def aclose(self) -> None:
        await self._real.aclose()


async def test_an_order_that_times_out_is_not_given_twice(
    twilio: LocalTwilio, node: Node, database: Database, keys: KeyRing
) -> None:
    """No callback comes either: what was placed is found among Twilio's calls."""
    twilio.people[CUSTOMER] = RINGS_ON
    twilio.options.callbacks = lambda nth: ()
    async with TwilioRest(
        twilio.account_sid, twilio.auth_token, twilio.api_url, transport=LosesAnswers()
    ) as rest:
        calls = calls_of(database, keys, rest, node.clock, name="b")
        callback = await order(database, keys, node.clock.now)
        assert await calls.dial_due() == 1
        assert (await node.shown(callback))["dials"][0]["status"] == "unknown"
        for _ in range(4):
            node.clock.forward(seconds=25)
            assert await calls.look() == 1
            assert await calls.dial_due() == 0
            if (await node.shown(callback))["dials"][0]["call_sid"]:
                break
    assert (await node.shown(callback))["dials"][0]["call_sid"] == twilio.calls[0].call_sid
    assert len(twilio.calls) == 1


async def test_a_look_that_fails_places_nothing(
    twilio: LocalTwilio, node: Node, database: Database, keys: KeyRing
) -> None:
    """As long as Twilio cannot be asked, it may have dialled."""
    twilio.faults.append(RestFault(path="/Calls.json", how="refused", status=500, times=1000))
    callback = await order(database, keys, node.clock.now)
    for _ in range(10):
        await node.calls.dial_due()
        node.clock.forward(minutes=1)
        await node.calls.look()
    assert twilio.calls == []
    assert (await node.shown(callback))["tries"] == 1


async def test_a_node_that_dies_after_the_claim(
    twilio: LocalTwilio, node: Node, database: Database, keys: KeyRing
) -> None:
    """Whether it dialled is not known: another one looks, then makes the call."""
    callback = await order(database, keys, node.clock.now)
    async with database.transaction() as tx:
        await callbacks.claim(tx, keys, now=node.clock.now, look_at=node.clock.now, node_id="dead")
    node.clock.forward(seconds=30)
    await node.calls.look()
    assert await node.calls.dial_due() == 0
    node.clock.forward(seconds=30)
    await node.calls.look()
    assert await node.calls.dial_due() == 1
    await eventually(lambda: node.stands(callback, "reached"))
    assert len(twilio.calls) == 1


async def test_a_refusal_of_twilios_is_an_end(twilio: LocalTwilio, database: Database, keys: KeyRing) -> None:
    async with dialling(twilio, database, keys, **{"from": "+12025550199"}) as node:
        callback = await order(database, keys, node.clock.now)
        await node.calls.dial_due()
        shown = await node.shown(callback)
        assert (shown["status"], shown["reason"]) == ("failed", "twilio_21210")


@pytest.mark.parametrize("plan", [twice(0.02), out_of_order(0.1)])
async def test_callbacks_twice_and_out_of_order(
    twilio: LocalTwilio, node: Node, database: Database, keys: KeyRing, plan: Any
) -> None:
    twilio.options.callbacks = plan
    callback = await order(database, keys, node.clock.now)
    await node.calls.dial_due()
    await eventually(lambda: bool(node.echo.sessions))
    twilio.calls[0].hang_up()
    await ended(twilio)
    assert await node.stands(callback, "reached")
    node.clock.forward(hours=1)
    await node.calls.look()
    assert await node.calls.dial_due() == 0


async def test_callbacks_that_never_came_are_asked_for(
    twilio: LocalTwilio, node: Node, database: Database, keys: KeyRing
) -> None:
    twilio.people[CUSTOMER] = BUSY
    twilio.options.callbacks = lambda nth: ()
    callback = await order(database, keys, node.clock.now)
    await node.calls.dial_due()
    await ended(twilio)
    assert await node.stands(callback, "dialling")
    node.clock.forward(minutes=5)
    await node.calls.look()
    assert await node.stands(callback, "booked")


async def test_who_asked_to_be_left_alone_is_not_dialled(
    twilio: LocalTwilio, node: Node, database: Database, keys: KeyRing
) -> None:
    callback = await order(database, keys, node.clock.now)
    async with database.transaction() as tx:
        await callbacks.claim(tx, keys, now=node.clock.now, look_at=node.clock.now, node_id="a")
        await callbacks.settle(tx, callback, "booked", uncount=True)
        assert await callbacks.refuse_calls(tx, keys, CUSTOMER, None) == 1
    assert await node.calls.dial_due() == 0
    later = await order(database, keys, node.clock.now)
    assert await node.calls.dial_due() == 1
    assert await node.stands(later, "cancelled")
    assert twilio.calls == []


async def test_webhooks_about_no_call_of_ours(node: Node) -> None:
    """A signed request with another's id, or none, begins nothing."""
    for path in ("dl_" + "0" * 32, "nonsense"):
        sid = new_sid("CA")
        answer = await node.channel.post(
            f"/twilio/outbound/{path}/answer", CallSid=sid, From="+1", To=CUSTOMER, CallStatus="in-progress"
        )
        assert "Stream" not in answer.text
        assert "signature" not in answer.text
        assert not await node.channel.knows(sid)
    forged = await node.channel.post(
        "/twilio/outbound/dl_" + "0" * 32 + "/answer", token="f" * 32, CallSid=new_sid("CA"), CallStatus="x"
    )
    assert forged.status_code == 403


async def test_another_call_for_the_same_try_is_rung_off(
    twilio: LocalTwilio, node: Node, database: Database, keys: KeyRing
) -> None:
    callback = await order(database, keys, node.clock.now)
    await node.calls.dial_due()
    await eventually(lambda: bool(node.echo.sessions))
    dial = (await node.shown(callback))["dials"][0]["id"]
    sid = new_sid("CA")
    answer = await node.channel.post(
        f"/twilio/outbound/{dial}/answer", CallSid=sid, From="+1", To=CUSTOMER, CallStatus="in-progress"
    )
    assert "<Hangup" in answer.text
    assert not await node.channel.knows(sid)


def test_a_clock_of_its_own() -> None:
    clock = Clock()
    before = clock()
    clock.forward(minutes=1)
    assert (clock() - before).total_seconds() == 60
