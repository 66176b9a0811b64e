"""Nobody is there to take over: a call back that is really made, a message, a link; never a dead end."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from dialogue_kit import ROOT, Talk
from outbound_kit import CUSTOMER, RULES, dialling
from twilio_kit import AUTH_TOKEN, eventually

from voicebot.core.conversation import (
    CallStarted,
    Channel,
    HearingFailure,
    Keys,
    NotHeard,
    Silence,
    TurnInput,
    Utterance,
)
from voicebot.core.store import callbacks, follow_ups, text_messages
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.handoff.outbound import Outbound
from voicebot.handoff.people import Agent, People
from voicebot.handoff.presence import Presence
from voicebot.proof.simulation import LocalTwilio, Person, Quiet

PEOPLE = People.model_validate(
    {
        "time_zone": "America/Los_Angeles",
        "skills": {"general": {"hours": {"mon-fri": "09:00-18:00"}, "falls_to": None}},
        "destinations": [{"name": "desk", "number": "+12025550140", "skills": ["general"]}],
    },
    strict=False,
)
NIGHT = datetime(2026, 11, 19, 6, 0, tzinfo=UTC)  # Wednesday, ten at night in Portland
DAY = datetime(2026, 11, 18, 18, 30, tzinfo=UTC)  # Wednesday, half past ten in the morning


def presence() -> Presence:
    return Presence(PEOPLE, Outbound.read(ROOT, PEOPLE))


async def at(database: Database, keys: KeyRing, now: datetime, **more: Any) -> Talk:
    given: dict[str, Any] = {"staff": presence(), "caller": CUSTOMER, "texting": True} | more
    return await Talk.begin(database, keys, now=lambda: now, **given)


async def booked(talk: Talk) -> list[dict[str, Any]]:
    async with talk.database.transaction() as tx:
        return await callbacks.list(tx, status="booked", conversation_id=talk.id)


async def promises(talk: Talk) -> list[dict[str, Any]]:
    async with talk.database.transaction() as tx:
        rows = await follow_ups.list(tx, conversation_id=talk.id)
        return [await follow_ups.get(tx, talk.keys, row["id"]) for row in rows]


@pytest.mark.parametrize(
    ("said", "read_back", "due"),
    [
        (["tomorrow at half past ten"], "tomorrow at ten thirty in the morning", "2026-11-19T18:30"),
        (["friday", "quarter to three"], "on Friday at two forty five in the afternoon", "2026-11-20T22:45"),

        (["sunday at noon", "then monday morning"], "on Monday between nine in the morning and noon",
         "2026-11-23T17:00"),
        (["whenever you can"], "tomorrow at nine in the morning", "2026-11-19T17:00"),
        ([Keys(digits="1")], "tomorrow at nine in the morning", "2026-11-19T17:00"),
        ([Keys(digits="1430#")], "tomorrow at two thirty in the afternoon", "2026-11-19T22:30"),
        (["friday", Keys(digits="1015")], "on Friday at ten fifteen in the morning", "2026-11-20T18:15"),
    ],
)  # fmt: skip
async def test_a_call_back_is_booked_by_speech_or_keys(
    shop_database: Database, keys: KeyRing, said: list[TurnInput | str], read_back: str, due: str
) -> None:
    talk = await at(shop_database, keys, NIGHT)
    words = await talk.turn("i want to talk to a person")
    assert "back tomorrow at nine in the morning" in words
    assert talk.last is not None
    assert (talk.last.after, talk.last.decision.trigger) == ("continue", "asked_for_person")
    for given in said:
        words = await talk.turn(given)
    assert f"We can call you {read_back}, at the number you're calling from" in words
    assert await booked(talk) == []
    assert "That's booked" in await talk.turn("yes please")
    (row,) = await booked(talk)
    assert row["due_at"].astimezone(UTC).isoformat()[:16] == due
    (promise,) = await promises(talk)
    assert (promise["id"], promise["due_at"]) == (row["follow_up_id"], row["due_at"])


async def test_a_yes_before_time_and_number_were_heard_books_nothing(
    shop_database: Database, keys: KeyRing
) -> None:
    talk = await at(shop_database, keys, DAY)
    await talk.turn("please call me tomorrow at half past ten", heard=3)
    await talk.turn("yes")
    assert await booked(talk) == []
    await talk.turn("yes")
    assert len(await booked(talk)) == 1


async def test_a_number_that_was_given_is_read_back_and_called(
    shop_database: Database, keys: KeyRing
) -> None:
    talk = await at(shop_database, keys, DAY, caller=None)
    await talk.turn("please call me back tomorrow at ten in the morning")
    words = await talk.turn("two oh two five five five oh one two three")
    assert "at two zero two, five five five, zero one two, three" in words
    await talk.turn("yes")
    (row,) = await booked(talk)
    async with shop_database.transaction() as tx:
        made = await callbacks.get(tx, keys, row["id"])
    assert (made.number, made.conversation_id) == (CUSTOMER, talk.id)


async def test_another_time_takes_the_place_of_the_first(shop_database: Database, keys: KeyRing) -> None:
    talk = await at(shop_database, keys, DAY)
    await talk.turn("call me back tomorrow at ten in the morning please")
    await talk.turn("yes")
    await talk.turn("could you call me on friday at four in the afternoon instead")
    await talk.turn("yes")
    (row,) = await booked(talk)
    assert row["due_at"] == datetime(2026, 11, 21, 0, 0, tzinfo=UTC)
    assert len(await promises(talk)) == 1


async def test_a_number_we_may_not_dial_is_left_to_a_person(shop_database: Database, keys: KeyRing) -> None:
    talk = await at(shop_database, keys, DAY, caller="+4930111111")
    words = await talk.turn("call me tomorrow at 3 please")
    assert "colleague call you back by tomorrow at three" in words
    await talk.turn("yes")
    assert await booked(talk) == []
    assert len(await promises(talk)) == 1


async def test_danger_waits_for_nobodys_hours(shop_database: Database, keys: KeyRing) -> None:
    talk = await at(shop_database, keys, NIGHT)
    await talk.turn("i want to kill myself")
    assert talk.last is not None
    assert talk.last.after == "hand_over"


async def test_by_day_a_person_takes_over_unless_the_wait_is_too_long(
    shop_database: Database, keys: KeyRing
) -> None:
    there = presence()
    there.learn({"general": 90.0})
    talk = await at(shop_database, keys, DAY, staff=there)
    await talk.turn("i want to talk to a person")
    assert talk.last is not None
    assert talk.last.after == "hand_over"
    there.learn({"general": 900.0})
    talk = await at(shop_database, keys, DAY, staff=there)
    assert "you would wait about fifteen minutes" in await talk.turn("i want to talk to a person")
    assert talk.last is not None
    assert talk.last.after == "continue"


async def test_a_message_is_kept_as_it_is_spoken(shop_database: Database, keys: KeyRing) -> None:
    """Notice first; nothing is said into it; a caller who hangs up in the middle has left what was said."""
    talk = await at(shop_database, keys, NIGHT)
    await talk.turn("i want to talk to a person")
    assert "It is recorded" in await talk.turn("i'd rather leave a message")
    first = Utterance(
        text="my number is 202 555 0188 and my lamp is broken", started_ms=9000, last_voiced_ms=12500
    )
    assert await talk.turn(first) == ""
    (kept,) = await promises(talk)  # the line may go dead now
    assert kept["kind"] == "message"
    assert kept["details"]["message"] == "my number is [phone number 1] and my lamp is broken"
    assert (kept["details"]["parts"][0]["from_ms"], kept["details"]["parts"][0]["until_ms"]) == (9000, 12500)
    assert await talk.turn("please send somebody") == ""
    assert "I have your message" in await talk.turn(Silence(nth=1))
    (kept,) = await promises(talk)
    assert kept["details"]["message"].endswith("broken please send somebody")


@pytest.mark.parametrize("ends", [Keys(digits="#"), "okay that's all, thank you", Silence(nth=1)])
async def test_a_message_without_words_is_none(
    shop_database: Database, keys: KeyRing, ends: TurnInput | str
) -> None:
    talk = await at(shop_database, keys, NIGHT)
    await talk.turn("can i leave a message")
    await talk.turn(NotHeard(reason=HearingFailure.EMPTY))
    assert "haven't got a message" in await talk.turn(ends)
    assert await promises(talk) == []


async def test_a_link_goes_to_a_number_that_was_confirmed(shop_database: Database, keys: KeyRing) -> None:
    talk = await at(shop_database, keys, DAY)
    await talk.turn("how long can i return something")
    words = await talk.turn("can you text me the link")
    assert "page on returning an item, to the number you're calling from" in words
    async with shop_database.transaction() as tx:
        assert await text_messages.of(tx, talk.id) == []
    assert "on its way" in await talk.turn("yes")
    async with shop_database.transaction() as tx:
        (sent,) = await text_messages.claim(tx, keys)
    assert (sent.to, sent.words.split()[-1]) == (CUSTOMER, "https://hearthandhome.example/help/returns")


async def test_a_link_goes_nowhere_without_a_number_we_may_text(
    shop_database: Database, keys: KeyRing
) -> None:
    talk = await at(shop_database, keys, DAY, caller=None)
    await talk.turn("how long can i return something")
    assert "Which mobile number" in await talk.turn("can you text me the link")
    assert "I can't text that number" in await talk.turn("nine oh oh five five five oh one two three")
    assert "to two zero two" in await talk.turn("two oh two five five five oh one two three")
    await talk.turn("no")
    async with shop_database.transaction() as tx:
        assert await text_messages.of(tx, talk.id) == []


async def test_a_booked_call_is_made_when_due_and_knows_why(shop_database: Database, keys: KeyRing) -> None:
    """From the words of one call to the first words of the next, over the wire."""
    async with (
        LocalTwilio(auth_token=AUTH_TOKEN) as twilio,
        dialling(twilio, shop_database, keys) as node,
    ):
        twilio.people[CUSTOMER] = Person(after_s=0.05, ear=Quiet)
        talk = await at(shop_database, keys, node.clock.now, staff=open_presence())
        await talk.turn("please call me back in two hours")
        await talk.turn("yes")
        (row,) = await booked(talk)
        await talk.close()
        node.clock.forward(minutes=110)
        assert await node.calls.dial_due() == 0
        node.clock.forward(minutes=20)
        assert await node.calls.dial_due() == 1
        await eventually(lambda: bool(node.echo.sessions))
        again = await node.channel.of_call(twilio.calls[0].call_sid)
        assert await node.stands(row["id"], "reached")
        assert [one["status"] for one in await promises(talk)] == ["done"]
    spoken = Talk(shop_database, keys, (await at(shop_database, keys, DAY)).orchestrator, again.id)
    words = await spoken.turn(CallStarted())
    assert words == (
        "Hello, this is Hearth and Home's automated assistant. This call is recorded. You asked us to call"
        " you back. Shall I put you through to a colleague now?"
    )
    await spoken.turn("yes please")
    assert spoken.last is not None
    assert (spoken.last.after, spoken.last.decision.owner) == ("hand_over", "customer service")
    given = await spoken.handoff()
    assert given is not None
    assert given["payload"]["form"]["earlier_conversation"] == talk.id
    assert given["payload"]["form"]["question"] == "please call me back in two hours"


def open_presence() -> Presence:
    """Somebody is there at all hours: the wire keeps real time."""
    return Presence(People(), Outbound.model_validate(RULES, strict=False))


async def test_who_does_not_want_to_be_called_never_is_again(shop_database: Database, keys: KeyRing) -> None:
    async with (
        LocalTwilio(auth_token=AUTH_TOKEN) as twilio,
        dialling(twilio, shop_database, keys) as node,
    ):
        twilio.people[CUSTOMER] = Person(after_s=0.05, ear=Quiet)
        talk = await at(shop_database, keys, node.clock.now, staff=open_presence())
        await talk.turn("please call me back in two hours")
        await talk.turn("yes")
        node.clock.forward(minutes=130)
        await node.calls.dial_due()
        await eventually(lambda: bool(node.echo.sessions))
        again = await node.channel.of_call(twilio.calls[0].call_sid)
    spoken = Talk(shop_database, keys, talk.orchestrator, again.id)
    await spoken.turn(CallStarted())
    assert "won't call this number again" in await spoken.turn("you have the wrong number")
    assert spoken.last is not None
    assert spoken.last.after == "hang_up"
    async with shop_database.transaction() as tx:
        assert not await callbacks.may_be_called(tx, keys, CUSTOMER)


async def test_not_now_asks_for_another_time(shop_database: Database, keys: KeyRing) -> None:
    talk = await at(shop_database, keys, DAY, greeted=False)
    async with shop_database.transaction() as tx:
        snapshot = await talk.conversations.load(tx, talk.id, lock=True)
        calling = {
            "callback": "cb_1",
            "purpose": "delivery",
            "want": {"intent": "delivery_reschedule", "confidence": 1.0, "text": ""},
        }
        state = {**snapshot.state, "calling": calling}
        await talk.conversations.advance(tx, snapshot, turn=0, state=state)
    assert "I'm calling about a delivery. Do you have a moment" in await talk.turn(CallStarted())
    assert "When would suit you" in await talk.turn("no not now")
    assert "We can call you tomorrow at ten in the morning" in await talk.turn("tomorrow at ten")


async def test_a_browser_is_promised_only_who_is_at_a_desk(shop_database: Database, keys: KeyRing) -> None:
    """No telephone rings for it: an agent of the team, there and not pausing, or a call back is offered."""
    people = PEOPLE.model_copy(
        update={"agents": (Agent(id="ada", skills=("general",)), Agent(id="ben", skills=("other",)))}
    )
    said: dict[str, str] = {}
    for there in ("", "ben", "ada"):
        staff = Presence(people, Outbound.read(ROOT, PEOPLE))
        staff.learn({}, {there})
        talk = await at(shop_database, keys, DAY, channel=Channel.BROWSER, staff=staff)
        said[there] = await talk.turn("i want to talk to a person")
    assert said["ben"] == said[""]
    assert said[""].startswith("I can't put anybody through to you in the browser")
    assert said["ada"].startswith("I'll connect you")
