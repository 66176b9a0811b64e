"""Each conversation that is over has one outcome, whichever node looks; a repeat makes an old one due."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from voicebot.core.conversation import Action, Channel, Decision, FiredTrigger, Route
from voicebot.core.store import handoffs, outcomes
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue import state as states
from voicebot.dialogue.outcomes import Outcomes
from voicebot.dialogue.state import Want

CALLER, OTHER = "+12025550100", "+12025550199"
FIRED = FiredTrigger(
    name="asked_for_person",
    evidence={},
    at=datetime(2026, 11, 21, 10, 1, tzinfo=UTC),
    first_sign_at=datetime(2026, 11, 21, 10, tzinfo=UTC),
    first_sign="falling_mood",
)


def job(database: Database, keys: KeyRing, quiet_s: float = 0) -> Outcomes:
    steering = {"goodbye", "person", "call_started"}
    return Outcomes(database, keys, lambda intent: intent not in steering, quiet_s=quiet_s)


async def held(
    database: Database,
    keys: KeyRing,
    *turns: tuple[str, Action],
    caller: str | None = CALLER,
    ended: str | None = "goodbye",
    days_ago: float = 0,
    fired: FiredTrigger | None = None,
    **state: Any,
) -> str:
    """A conversation with these turns, each heard to its end. ``state``: fields of it that are not as new."""
    conversations = Conversations(keys)
    async with database.transaction() as tx:
        cv = await conversations.create(
            tx,
            channel=Channel.PHONE,
            call_sid=None,
            caller=caller,
            called=None,
            state=states.new_state() | state,
        )
        for n, (intent, action) in enumerate(turns, 1):
            decision = Decision(
                intent=intent, category="orders", tier=0, action=action, route=Route.FIXED,
                policy_row=f"{intent}/tier0/sure", fired=fired if action is Action.ESCALATE else None,
            )  # fmt: skip
            given: dict[str, Any] = {"kind": "utterance", "text": "my secret words"}
            await conversations.save_turn(
                tx, cv, turn=n, transaction_id=f"{cv}:{n}", input=given,
                decision=decision.model_dump(mode="json"), spoken="said",
            )  # fmt: skip
            timings = {
                "last_voiced_ms": 1000, "committed_ms": 1500, "first_heard_ms": 1800, "finished_ms": 4500,
            }  # fmt: skip
            await conversations.close_turn(
                tx, cv, turn=n, heard={"text": "said", "complete": True}, timings=timings
            )
        if ended is not None:
            await conversations.finish(tx, cv, reason=ended)
        await tx.execute(
            "UPDATE conversations SET created_at = created_at - make_interval(secs => %s),"
            " ended_at = ended_at - make_interval(secs => %s) WHERE id = %s",
            (days_ago * 86400, days_ago * 86400, cv),
        )
    return cv


async def all_of(work: Outcomes) -> list[str]:
    made: list[str] = []
    while (one := await work.one()) is not None:
        made.append(one)
    return made


async def outcome(database: Database, conversation: str) -> dict[str, Any]:
    async with database.transaction() as tx:
        found = await outcomes.of(tx, conversation)
    assert found is not None
    return found


async def test_one_outcome_each_and_none_while_it_lives(database: Database, keys: KeyRing) -> None:
    cv = await held(database, keys, ("warranty", Action.ANSWER), ("goodbye", Action.END))
    await held(database, keys, ("warranty", Action.ANSWER), ended=None)
    nodes = [job(database, keys) for _ in range(4)]
    made = await asyncio.gather(*(node.one() for node in nodes))
    assert sorted(one for one in made if one) == [cv]
    assert await all_of(nodes[0]) == []
    row = await outcome(database, cv)
    assert (row["resolution"], row["disposition"], row["intent"]) == ("resolved", "answered", "warranty")
    (intent,) = row["intents"]
    assert (intent["resolved_at"] - intent["asked_at"]).total_seconds() == 3.5, "last voiced to finished"
    assert (intent["first_useful_s"], row["first_useful_s"]) == (0.8, 0.8), "last voiced to first heard"
    assert row["waited_ms"] == [800, 800]
    assert "secret" not in repr(row)


async def test_of_all_nodes_one_works_at_a_time(database: Database, keys: KeyRing) -> None:
    """An outcome changes those of the same person's other conversations: two at once would wait in a ring."""
    cv = await held(database, keys, ("warranty", Action.ANSWER))
    async with database.transaction() as tx:
        assert await outcomes.take_turn(tx)
        assert await job(database, keys).one() is None
    assert await job(database, keys).one() == cv


async def test_what_has_just_ended_waits(database: Database, keys: KeyRing) -> None:
    """A hand-over may follow a hang-up."""
    await held(database, keys, ("warranty", Action.ANSWER))
    assert await all_of(job(database, keys, quiet_s=60)) == []


async def test_a_repeat_within_seven_days_unresolves_the_earlier_one(
    database: Database, keys: KeyRing
) -> None:
    """Of the same caller, about the same thing, within the time; three near misses stay resolved."""
    asked = ("warranty", Action.ANSWER)
    first = await held(database, keys, asked, days_ago=3)
    old = await held(database, keys, asked, days_ago=11)
    other_caller = await held(database, keys, asked, caller=OTHER, days_ago=2)
    other_thing = await held(database, keys, ("invoice_copy", Action.ANSWER), days_ago=2)
    work = job(database, keys)
    assert len(await all_of(work)) == 4
    assert (await outcome(database, first))["resolution"] == "resolved"
    again = await held(database, keys, asked)
    assert sorted(await all_of(work)) == sorted([again, first])
    row = await outcome(database, first)
    assert (row["resolution"], row["resolved_at"], row["intents"][0]["repeated_by"]) == (
        "unresolved",
        None,
        again,
    )
    for one in (old, other_caller, other_thing, again):
        assert (await outcome(database, one))["resolution"] == "resolved"
    assert await all_of(work) == [], "it ends"
    async with database.transaction() as tx:
        await tx.execute("UPDATE conversations SET outcome_of = NULL")
    assert len(await all_of(work)) == 5
    standing = {
        one: (await outcome(database, one))["resolution"]
        for one in (first, old, other_caller, other_thing, again)
    }
    assert [one for one, how in standing.items() if how == "unresolved"] == [first], (
        "made again it is the same"
    )
    third = await held(database, keys, asked)
    assert sorted(await all_of(work)) == sorted([third, again]), "what counts as unresolved is left alone"


async def test_a_repeat_counts_whichever_is_looked_at_first(database: Database, keys: KeyRing) -> None:
    first = await held(database, keys, ("warranty", Action.ANSWER), days_ago=3)
    await held(database, keys, ("warranty", Action.ANSWER))
    await all_of(job(database, keys))
    assert (await outcome(database, first))["resolution"] == "unresolved"


async def test_what_was_unresolved_or_with_a_person_is_noted_as_asked_again_and_the_later_one_as_a_repeat(
    database: Database, keys: KeyRing
) -> None:
    """Whichever is looked at first; it stays what it was."""
    person = await held(database, keys, ("exchange_item", Action.ROUTE), days_ago=3)
    open_ = await held(database, keys, ("warranty", Action.ABSTAIN), days_ago=2)
    await all_of(job(database, keys))
    again = await held(database, keys, ("exchange_item", Action.ANSWER), ("warranty", Action.ANSWER))
    assert await all_of(job(database, keys)) == [again]
    for cv, intent, how in ((person, "exchange_item", "handed_over"), (open_, "warranty", "unresolved")):
        row = await outcome(database, cv)
        assert (row["resolution"], row["asked_again"], row["is_repeat"]) == (how, True, False)
        assert [(one["intent"], one["repeated_by"]) for one in row["intents"]] == [(intent, again)]
    row = await outcome(database, again)
    assert (row["asked_again"], row["is_repeat"], row["told_apart"]) == (False, True, True)
    assert {one["intent"]: one["repeats"] for one in row["intents"]} == {
        "exchange_item": person,
        "warranty": open_,
    }
    late = await held(database, keys, ("warranty", Action.ANSWER), caller=OTHER)
    await all_of(job(database, keys))
    early = await held(database, keys, ("warranty", Action.ANSWER), caller=OTHER, days_ago=1)
    await all_of(job(database, keys))
    assert [one["repeats"] for one in (await outcome(database, late))["intents"]] == [early]
    assert (await outcome(database, late))["is_repeat"]


async def test_a_call_that_we_made_asks_nothing_again_and_nobody_knows_who_hides_their_number(
    database: Database, keys: KeyRing
) -> None:
    asked = ("warranty", Action.ANSWER)
    first = await held(database, keys, asked, days_ago=3)
    want = Want(intent="warranty", text="", confidence=1.0).model_dump(mode="json")
    calling = {"callback": "cb_1", "purpose": "callback", "want": want}
    ours = await held(database, keys, asked, days_ago=1, calling=calling)
    hidden = await held(database, keys, asked, caller=None, customer={"segment": "plus", "region": None})
    await all_of(job(database, keys))
    async with database.transaction() as tx:
        await tx.execute("UPDATE conversations SET outcome_of = NULL WHERE id = %s", (first,))
    await all_of(job(database, keys))
    row = await outcome(database, first)
    assert (row["resolution"], row["asked_again"], row["told_apart"]) == ("resolved", False, True)
    row = await outcome(database, ours)
    assert (row["ours"], row["is_repeat"]) == (True, False)
    row = await outcome(database, hidden)
    assert (row["told_apart"], row["segment"], row["is_repeat"]) == (False, "plus", False)


async def test_a_customer_who_calls_from_another_phone_is_the_same_person(
    database: Database, keys: KeyRing
) -> None:
    first = await held(database, keys, ("warranty", Action.ANSWER), days_ago=3)
    again = await held(database, keys, ("warranty", Action.ANSWER), caller=OTHER)
    async with database.transaction() as tx:
        subject = await keys.new_subject(tx, "person")
        customer = f"cm_{'0' * 32}"
        await tx.execute(
            "INSERT INTO customers (id, subject_id, sealed_record) VALUES (%s, %s, '')", (customer, subject)
        )
        for cv in (first, again):
            await tx.execute(
                "INSERT INTO customer_links (conversation_id, customer_id, turn, factors)"
                " VALUES (%s, %s, 1, '{}')",
                (cv, customer),
            )
    await all_of(job(database, keys))
    assert (await outcome(database, first))["resolution"] == "unresolved"


async def test_a_handoff_after_the_hang_up_makes_it_due_again(database: Database, keys: KeyRing) -> None:
    cv = await held(database, keys, ("warranty", Action.ANSWER))
    work = job(database, keys)
    assert await all_of(work) == [cv]
    conversations = Conversations(keys)
    async with database.transaction() as tx:
        await handoffs.save(
            tx, keys, conversation_id=cv, turn=2, trigger="lost", urgency="high", payload={"version": 3}
        )
        snapshot = await conversations.load(tx, cv, lock=True)
        await conversations.advance(tx, snapshot, turn=2, state=snapshot.state)
    assert await all_of(work) == [cv]
    row = await outcome(database, cv)
    assert (row["resolution"], row["escalated"], row["trigger"]) == ("handed_over", True, "lost")


async def test_one_that_cannot_be_read_holds_up_no_other(database: Database, keys: KeyRing) -> None:
    """A turn of a newer server, say."""
    strange = await held(database, keys, caller=None, days_ago=1)
    async with database.transaction() as tx:
        await Conversations(keys).save_turn(
            tx,
            strange,
            turn=1,
            transaction_id="tx",
            input={},
            decision={"intent": "x", "new": 1},
            spoken=None,
        )
    other = await held(database, keys, ("warranty", Action.ANSWER), caller=None)
    assert await all_of(job(database, keys)) == [strange, other]
    row = await outcome(database, strange)
    assert (row["resolution"], row["disposition"]) == ("unknown", "not_settled")


async def test_the_first_sign_of_risk_stands_with_it(database: Database, keys: KeyRing) -> None:
    cv = await held(database, keys, ("person", Action.ESCALATE), fired=FIRED)
    await all_of(job(database, keys))
    row = await outcome(database, cv)
    assert (row["first_sign"], row["first_sign_at"]) == (FIRED.first_sign, FIRED.first_sign_at)


async def test_erased_before_is_unknown_and_erased_after_stays_as_it_was(
    database: Database, keys: KeyRing
) -> None:
    first = await held(database, keys, ("warranty", Action.ANSWER), caller=None)
    second = await held(database, keys, ("warranty", Action.ANSWER), caller=None)
    erase = (
        "UPDATE subjects SET wrapped_key = NULL, erased_at = now()"
        " WHERE id = (SELECT subject_id FROM conversations WHERE id = %s)"
    )
    async with database.transaction() as tx:
        await tx.execute(erase, (first,))
    work = job(database, keys)
    await all_of(work)
    row = await outcome(database, first)
    assert (row["resolution"], row["disposition"], row["intents"]) == ("unknown", "erased", [])
    async with database.transaction() as tx:
        await tx.execute(erase, (second,))
        await tx.execute("UPDATE conversations SET outcome_of = NULL WHERE id = %s", (second,))
    assert await all_of(work) == [second]
    assert (await outcome(database, second))["resolution"] == "resolved"


async def test_days_are_counted_by_one_node_at_a_time_and_today_once_a_round(
    database: Database, keys: KeyRing
) -> None:
    for days_ago in (0, 1, 2):
        await held(database, keys, ("warranty", Action.ANSWER), caller=None, days_ago=days_ago)
    nodes = [
        Outcomes(database, keys, lambda intent: intent != "goodbye", quiet_s=0, zone="UTC") for _ in range(3)
    ]
    await all_of(nodes[0])
    first = [day for day in await asyncio.gather(*(node.count_day() for node in nodes)) if day is not None]
    assert len(first) == len(set(first))
    counted = {*first}
    while (day := await nodes[0].count_day(counted)) is not None:
        assert day not in counted
        counted.add(day)
        async with database.transaction() as tx:
            await tx.execute("UPDATE outcomes SET gaps = gaps + 1")
    assert len(counted) == 3
    assert await nodes[0].count_day() == max(counted), "what has changed meanwhile is the next round's"
    assert await job(database, keys).count_day() is None, "a node without a zone keeps none"
