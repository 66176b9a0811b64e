"""Each trigger gives a real conversation to a person, and leaves its evidence and its first sign behind."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from deployment_kit import stored_handoffs
from dialogue_kit import DEPLOYMENT, Talk, with_policy
from triggers_kit import NEAR, WAYS

from voicebot.core.conversation import (
    Action,
    Channel,
    FiredTrigger,
    Heard,
    HearingFailure,
    Keys,
    NotHeard,
    Route,
    TurnTimings,
)
from voicebot.core.health import Health
from voicebot.core.store import outbox
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue import state as states
from voicebot.dialogue.connectors.connector import ConnectorError
from voicebot.dialogue.deployment import Deployment
from voicebot.handoff.failed import FailedCalls
from voicebot.safety.policy import Policy

NOW = datetime(2026, 11, 18, 18, 0, tzinfo=UTC)
ANGRY = "this is absolutely ridiculous what are your damn opening hours"
NOWHERE = {"grounding": 1.0}


class Dead:
    """A system of record that is away."""

    async def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        raise ConnectorError("gone")


def with_triggers(**rules: dict[str, Any]) -> Deployment:
    """The deployment with some triggers changed."""
    table = DEPLOYMENT.policy.table
    changed = {
        name: getattr(table.triggers, name).model_copy(update=update) for name, update in rules.items()
    }
    triggers = table.triggers.model_copy(update=changed)
    return replace(DEPLOYMENT, policy=Policy(table.model_copy(update={"triggers": triggers})))


async def fired(talk: Talk) -> FiredTrigger:
    """What was stored with the last turn, which gave the caller to a person."""
    assert talk.last is not None
    assert talk.last.after == "hand_over"
    stored = (await talk.turns())[-1]["decision"]["fired"]
    made = FiredTrigger.model_validate_json(json.dumps(stored))
    assert made == talk.last.decision.fired
    assert made.name == talk.last.decision.trigger
    return made


async def say(talk: Talk, *words: str) -> str:
    said = ""
    for one in words:
        said = await talk.turn(one)
    return said


async def anew(talk: Talk) -> Talk:
    """Another conversation with the same node."""
    async with talk.database.transaction() as tx:
        made = await talk.conversations.create(
            tx, channel=Channel.CHAT, call_sid=None, caller=None, called=None, state=states.new_state()
        )
    return Talk(talk.database, talk.keys, talk.orchestrator, made)


async def late(talk: Talk, words: str, ms: int = 4000) -> None:
    """A turn whose answer is heard so late."""
    committed = await talk.commit(await talk.plan(words))
    heard = Heard(text=await talk.words(committed), complete=True)
    timings = TurnTimings(last_voiced_ms=1000, first_heard_ms=1000 + ms)
    await talk.orchestrator.heard(talk.id, committed.turn, heard, timings)


async def test_the_greeting_says_how_to_reach_a_person(shop_database: Database, keys: KeyRing) -> None:
    talk = await Talk.begin(shop_database, keys)
    assert "For a person, ask at any time, or press zero." in talk.said[0]


async def test_a_person_is_had_in_many_ways(shop_database: Database, keys: KeyRing) -> None:
    """Ways that stand in no example; the near misses are answered."""
    got: dict[str, str | None] = {}
    first = await Talk.begin(shop_database, keys, greeted=False)
    for words in (*WAYS, *NEAR):
        talk = await anew(first)
        await talk.turn(words)
        assert talk.last is not None
        got[words] = talk.last.decision.trigger
    sooner = {"i need live support": "distress", "supervisor now": "policy:complaint"}  # a person as well
    assert {words: got[words] for words in WAYS} == dict.fromkeys(WAYS, "asked_for_person") | sooner
    assert not [words for words in NEAR if got[words] == "asked_for_person"]


@pytest.mark.parametrize(
    ("given", "name"), [("let me talk to somebody", "asked_for_person"), (Keys(digits="0"), "key_zero")]
)
async def test_a_person_is_had_in_the_middle_of_an_answer_and_of_the_gate(
    given: Any, name: str, shop_database: Database, keys: KeyRing
) -> None:
    talk = await Talk.begin(shop_database, keys)
    await talk.turn("what are your opening hours", heard=3)
    await talk.turn(given)
    assert (await fired(talk)).name == name
    talk = await Talk.begin(shop_database, keys)
    await talk.turn("where is my order")
    await talk.turn(given)
    assert (await fired(talk)).name == name


async def test_danger(shop_database: Database, keys: KeyRing) -> None:
    talk = await Talk.begin(shop_database, keys)
    await talk.turn("my husband is trapped under the wardrobe and can not breathe")
    made = await fired(talk)
    assert (made.name, made.evidence["limit"]) == ("distress", 0.4)
    assert made.first_sign_at == made.at


async def test_the_same_want_again_and_again_and_when_it_began(
    shop_database: Database, keys: KeyRing
) -> None:
    """Offered the second time round, put through the third; time runs from the first round."""
    now = [NOW]
    talk = await Talk.begin(shop_database, keys, channel=Channel.CHAT, now=lambda: now[0])
    for _ in range(3):
        now[0] += timedelta(seconds=40)
        await talk.turn("where is my order")
    made = await fired(talk)
    assert made.name == "loop"
    assert made.evidence["rounds"] == made.evidence["limit"] == 3
    assert (made.at - made.first_sign_at, made.first_sign) == (timedelta(seconds=40), "circle")
    async with talk.database.transaction() as tx:
        events = await outbox.events_of(tx, keys, talk.id)
    (told,) = [event.data for event in events if event.type == "handoff.requested"]
    assert told["fired"] == made.model_dump(mode="json")


async def test_one_want_in_words_that_have_nothing_in_common(shop_database: Database, keys: KeyRing) -> None:
    """The same intent, unresolved: told by what is wanted, not by the words."""
    talk = await Talk.begin(shop_database, keys)
    await say(
        talk,
        "where is my order",
        "has the parcel been sent yet",
        "when will my sofa arrive",
        "what is the status of what i ordered",
    )
    made = await fired(talk)
    assert (made.name, made.evidence["circle"]) == ("loop", "same_intent")


async def test_rephrasing_brings_a_person(shop_database: Database, keys: KeyRing) -> None:
    deployment = with_policy(availability=NOWHERE, product_advice=NOWHERE)
    talk = await Talk.begin(shop_database, keys, deployment=deployment)
    await say(
        talk,
        "is the green velvet armchair in stock",
        "i mean the green velvet armchair, is it in stock",
        "the green velvet armchair in stock yes or what",
    )
    made = await fired(talk)
    assert (made.name, made.evidence["circle"]) == ("loop", "rephrasing")


async def test_questions_that_no_article_covers(shop_database: Database, keys: KeyRing) -> None:
    deployment = with_policy(opening_hours=NOWHERE, warranty=NOWHERE, payment_methods=NOWHERE)
    talk = await Talk.begin(shop_database, keys, deployment=deployment)
    await say(talk, "when do you open", "how long is the warranty")
    assert talk.last is not None
    assert talk.last.after == "continue"
    await talk.turn("how can i pay")
    made = await fired(talk)
    assert made.name == "no_grounding"
    assert (made.evidence["times"], made.evidence["limit"]) == (3, 1.0)
    assert made.first_sign == "ungrounded"


async def test_the_mood_falls(shop_database: Database, keys: KeyRing) -> None:
    talk = await Talk.begin(shop_database, keys, deployment=with_policy(opening_hours=NOWHERE))
    await say(talk, "how long is the warranty", ANGRY)
    made = await fired(talk)
    assert made.name == "mood"
    assert isinstance(made.evidence["sentiment"], float)
    assert made.evidence["sentiment"] < -0.6


async def test_a_falling_mood_that_an_answer_may_mend_is_left_to_it(
    shop_database: Database, keys: KeyRing
) -> None:
    talk = await Talk.begin(shop_database, keys)
    await say(talk, "how long is the warranty", ANGRY)
    assert talk.last is not None
    assert talk.last.decision.action is Action.ANSWER


async def test_what_only_a_person_may_speak_about(shop_database: Database, keys: KeyRing) -> None:
    for words, name in (
        ("what is your return policy, my lawyer wants to know", "regulated:legal"),
        ("i want a copy of all the data you hold about me", "regulated:data_request"),
    ):
        talk = await Talk.begin(shop_database, keys)
        assert "colleague has to take care of" in await talk.turn(words)
        made = await fired(talk)
        assert made.name == name
        assert "lawyer" not in str(made.evidence)


async def test_the_policy_matrix(shop_database: Database, keys: KeyRing) -> None:
    talk = await Talk.begin(shop_database, keys)
    await talk.turn("i want to make a complaint")
    made = await fired(talk)
    assert (made.name, made.evidence["tier"]) == ("policy:complaint", 3)


async def test_the_ladder_of_hearing_is_at_its_end(shop_database: Database, keys: KeyRing) -> None:
    talk = await Talk.begin(shop_database, keys)
    for _ in range(3):
        await talk.turn(NotHeard(reason=HearingFailure.TOO_NOISY))
    made = await fired(talk)
    assert made.name == "asr_failure"
    assert made.evidence == {"reason": "too_noisy", "times": 3, "limit": 3}
    assert made.first_sign == "not_heard"


async def test_nothing_is_understood(shop_database: Database, keys: KeyRing) -> None:
    talk = await Talk.begin(shop_database, keys)
    await say(talk, "flurb the gommel", "wobbet nirp", "zzkl mimsy borogove")
    assert (await fired(talk)).name == "not_understood"


async def test_a_tool_without_remedy_and_then_the_outage_is_known(
    shop_database: Database, keys: KeyRing
) -> None:
    """Two callers meet the failure; the third is not asked for digits that would help nobody."""
    health = Health()
    for _ in range(2):
        talk = await Talk.begin(shop_database, keys, connector=Dead(), health=health)
        await say(talk, "where is my order 427103", "94107")
        assert (await fired(talk)).name == "tool_error"
    talk = await Talk.begin(shop_database, keys, connector=Dead(), health=health)
    assert "can't reach our order system" in await talk.turn("where is my order")
    made = await fired(talk)
    assert made.name == "outage:records"
    assert made.evidence == {"part": "records", "failures": 2, "limit": 2}
    talk = await Talk.begin(shop_database, keys, connector=Dead(), health=health)
    assert "open" in await talk.turn("when do you open"), "who needs no records is answered"


async def test_a_deaf_machine_gives_its_third_caller_away_at_once(
    shop_database: Database, keys: KeyRing
) -> None:
    health = Health()
    for caller in range(3):
        talk = await Talk.begin(shop_database, keys, health=health)
        await talk.turn(NotHeard(reason=HearingFailure.ENGINE_DOWN))
        assert talk.last is not None
        assert (talk.last.after == "hand_over") is (caller == 2)
    assert (await fired(talk)).name == "outage:recogniser"


async def test_a_model_that_is_down_brings_a_person_where_policy_says_so(
    shop_database: Database, keys: KeyRing
) -> None:
    """As shipped the article is quoted instead, which is a remedy."""
    down = Health()
    for by in ("cv_1", "cv_2"):
        down.failed("model", by=by)
    rows = with_policy(warranty={"route": Route.SMALL})
    for parts, after in ((("records",), "continue"), (("model",), "hand_over")):
        table = rows.policy.table
        outage = table.triggers.outage.model_copy(update={"parts": parts})
        triggers = table.triggers.model_copy(update={"outage": outage})
        changed = replace(rows, policy=Policy(table.model_copy(update={"triggers": triggers})))
        talk = await Talk.begin(shop_database, keys, deployment=changed, health=down)
        await talk.turn("how long is the warranty")
        assert talk.last is not None
        assert talk.last.after == after


async def test_answers_that_come_too_late(shop_database: Database, keys: KeyRing) -> None:
    talk = await Talk.begin(shop_database, keys)
    await late(talk, "when do you open")
    await late(talk, "how long is the warranty", 2900)
    await late(talk, "how much is delivery")
    await late(talk, "how can i pay", 3001)
    assert "my answers take so long" in await talk.turn("what is your return policy")
    made = await fired(talk)
    assert made.name == "latency"
    assert made.evidence == {"ms": 3001, "limit_ms": 3000, "answers": 2, "answers_limit": 2}


async def test_a_call_that_is_too_long(shop_database: Database, keys: KeyRing) -> None:
    now = [NOW]
    talk = await Talk.begin(shop_database, keys, now=lambda: now[0])
    await talk.turn("when do you open")
    now[0] += timedelta(minutes=15)
    assert "long enough" in await talk.turn("how long is the warranty")
    made = await fired(talk)
    assert (made.name, made.evidence["minutes"]) == ("too_long", 15.0)


async def test_two_weak_signs_together(shop_database: Database, keys: KeyRing) -> None:
    """A late answer, or an angry question that is answered, is none by itself."""
    talk = await Talk.begin(shop_database, keys)
    await late(talk, "how long is the warranty")
    await talk.turn(ANGRY)
    made = await fired(talk)
    assert (made.name, made.evidence["signs"]) == ("weak_signals", ["mood", "slow"])


async def test_customers_whom_nobody_keeps_waiting(shop_database: Database, keys: KeyRing) -> None:
    """A Plus member at the third sign of trouble; the near miss is the same call of another customer."""
    async with shop_database.transaction() as tx:
        cursor = await tx.execute(
            "SELECT DISTINCT ON (c.tier) c.tier, o.number, o.post_code FROM shop.customers c"
            " JOIN shop.orders o ON o.customer_id = c.id ORDER BY c.tier, o.number"
        )
        found = {row["tier"]: row for row in await cursor.fetchall()}
    deployment = with_policy(opening_hours=NOWHERE)
    for segment, after in (("plus", "hand_over"), ("standard", "continue")):
        row = found[segment]
        talk = await Talk.begin(shop_database, keys, deployment=deployment)
        await talk.turn(f"where is my order {row['number']}")
        await talk.turn(Keys(digits=row["post_code"]))
        for _ in range(2):
            await talk.turn(NotHeard(reason=HearingFailure.EMPTY))
        await talk.turn("when do you open")
        assert talk.last is not None
        assert talk.last.after == after
        if segment == "plus":
            made = await fired(talk)
            assert made.name == "customer_tier"
            assert made.evidence["signs"] == ["not_heard", "not_heard", "ungrounded"]


async def test_a_trigger_that_is_off_offers_a_person_instead(shop_database: Database, keys: KeyRing) -> None:
    talk = await Talk.begin(shop_database, keys, deployment=with_triggers(asr_failure={"on": False}))
    for _ in range(3):
        words = await talk.turn(NotHeard(reason=HearingFailure.TOO_NOISY))
    assert talk.last is not None
    assert (talk.last.after, talk.last.decision.fired) == ("continue", None)
    assert "Shall I connect you" in words
    await talk.turn("yes please")
    assert (await fired(talk)).name == "accepted_offer"


@pytest.mark.parametrize(("reason", "part"), [("database_down", "database"), ("speech_engine_down", "voice")])
async def test_a_call_that_fails_between_turns_says_since_when(
    reason: str, part: str, shop_database: Database, keys: KeyRing
) -> None:
    talk = await Talk.begin(shop_database, keys, now=lambda: NOW)
    await talk.turn(NotHeard(reason=HearingFailure.TOO_NOISY))
    failed = FailedCalls(keys, stored_handoffs(keys), DEPLOYMENT.policy.version)
    async with talk.database.transaction() as tx:
        await failed.store(tx, talk.id, reason)
        events = await outbox.events_of(tx, keys, talk.id)
    (told,) = [event.data["fired"] for event in events if event.type == "handoff.requested"]
    made = FiredTrigger.model_validate_json(json.dumps(told))
    assert (made.name, made.evidence) == (reason, {"part": part})
    assert (made.first_sign, made.first_sign_at) == ("not_heard", min(NOW, made.at))
