"""Each trigger fires on its facts and not on their near miss; its evidence holds numbers and no words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from triggers_kit import NEAR, WAYS

from voicebot.core.conversation import HearingFailure
from voicebot.core.health import FORGOTTEN_S, Health
from voicebot.safety.triggers import Cause, Risk, SignName, TriggerRules, TurnFacts, fired, judge
from voicebot.safety.triggers.circles import circle, not_understood, offers, other_language
from voicebot.safety.triggers.danger import DangerFacts, distress
from voicebot.safety.triggers.evidence import ungrounded
from voicebot.safety.triggers.faults import latency, outage, tool_error
from voicebot.safety.triggers.hearing import exhausted
from voicebot.safety.triggers.length import too_long
from voicebot.safety.triggers.matrix import abused, customer_tier, ruled
from voicebot.safety.triggers.mood import falling
from voicebot.safety.triggers.rules import (
    Asked,
    CustomerTier,
    Grounding,
    Latency,
    Loop,
    Mood,
    Outage,
    Regulated,
    TooLong,
    Trigger,
    WeakSignals,
)
from voicebot.safety.triggers.together import weak_signals
from voicebot.safety.triggers.topics import named
from voicebot.safety.triggers.wishes import PersonFacts, accepted, asked, by_key, says_so

NOW = datetime(2026, 11, 20, 18, 30, tzinfo=UTC)
LEGAL = Regulated(topics={"legal": ("my lawyer", "take you to court")})


def risk(*turns: set[SignName], calm_after: int = 3) -> Risk:
    """Remembered after these turns of the caller, half a minute apart."""
    made = Risk().begun(NOW)
    for nth, names in enumerate(turns):
        made = made.after(names, now=NOW + timedelta(seconds=30 * nth), calm_after=calm_after)
    return made


WANTED = PersonFacts(first=True, confidence=0.6, sure=0.55)
AT_GATE = PersonFacts(first=False, confidence=0.5, sure=0.55, probability=0.3, at_gate=True)
DOWN = HearingFailure.ENGINE_DOWN
NAN = float("nan")
PLUS = CustomerTier(segments={"plus": 2})
NOISE = HearingFailure.TOO_NOISY


@pytest.mark.parametrize(
    ("cause", "name"),
    [
        (asked(WANTED, Asked()), "asked_for_person"),
        (asked(replace(WANTED, confidence=0.54), Asked()), None),
        (asked(AT_GATE, Asked()), "asked_for_person"),
        (asked(replace(AT_GATE, at_gate=False), Asked()), None),
        (asked(replace(AT_GATE, probability=0.29), Asked()), None),
        (by_key("0"), "key_zero"),
        (by_key("00"), None),
        (accepted(offered=True, yes=True), "accepted_offer"),
        (accepted(offered=True, yes=False), None),
        (distress(DangerFacts(first=True, confidence=0.4), sure=0.4, limit=0.5), "distress"),
        (distress(DangerFacts(first=True, confidence=0.39, score=0.49), sure=0.4, limit=0.5), None),
        (distress(DangerFacts(first=False, confidence=0.9, score=0.5), sure=0.4, limit=0.5), "distress"),
        (distress(DangerFacts(first=False, confidence=0.9, score=NAN), sure=0.4, limit=0.5), "distress"),
        (circle("rephrasing", 3, Loop()), "loop"),
        (circle("same_intent", 3, Loop()), "loop"),
        (circle("same_answer", 2, Loop()), None),
        (circle("none", 9, Loop()), None),
        (not_understood(3, 3), "not_understood"),
        (not_understood(2, 3), None),
        (other_language(told=True), "language"),
        (other_language(told=False), None),
        (exhausted(NOISE, 3, limit=3), "asr_failure"),
        (exhausted(NOISE, 2, limit=3), None),
        (exhausted(DOWN, 2, limit=3), "asr_failure"),
        (exhausted(NOISE, 2, limit=3, keys_failed=2, keys_limit=2), "asr_failure"),
        (exhausted(NOISE, 2, limit=3, keys_failed=2), None),
        (ungrounded(3, 0.2, 0.45, Grounding(times=3)), "no_grounding"),
        (ungrounded(2, 0.2, 0.45, Grounding(times=3)), None),
        (falling((0.1, -0.2, -0.7), Mood()), "mood"),
        (falling((-0.7, -0.8), Mood()), None),
        (falling((0.1, -0.7), Mood(), answered=True), None),
        (falling((0.1, -0.6, -0.7), Mood(), answered=True), "mood"),
        (falling((0.1, -0.5), Mood()), None),
        (falling((0.1, -0.9, -0.7), Mood()), None),
        (falling((-0.9,), Mood()), None),
        (named("I'll call My Lawyer about it", LEGAL), "regulated:legal"),
        (named("i lawyered up my garden", LEGAL), None),
        (named("my lawyers", LEGAL), None),
        (tool_error("order_status", "no answer"), "tool_error"),
        (tool_error("order_status", "no answer", remedies=("article",)), None),
        (latency(Risk().timed(3100, 3000).timed(4000, 3000), Latency()), "latency"),
        (latency(Risk().timed(3100, 3000).timed(2900, 3000), Latency()), None),
        (latency(Risk().timed(3100, 3000).timed(None, 3000), Latency()), None),
        (outage({"records": 2}, {"records"}, Outage()), "outage:records"),
        (outage({"records": 1}, {"records"}, Outage()), None),
        (outage({"records": 9}, {"recogniser"}, Outage()), None),
        (outage({"model": 9}, {"model"}, Outage()), None),
        (too_long(risk(), NOW + timedelta(minutes=15), spoken=True, rules=TooLong()), "too_long"),
        (too_long(risk(), NOW + timedelta(minutes=14), spoken=True, rules=TooLong()), None),
        (too_long(risk(), NOW + timedelta(hours=9), spoken=False, rules=TooLong()), None),
        (too_long(risk(*[set()] * 40), NOW, spoken=False, rules=TooLong()), "too_long"),
        (customer_tier("plus", risk({"mood"}, {"mood"}), PLUS), "customer_tier"),
        (customer_tier("plus", risk({"mood"}), PLUS), None),
        (customer_tier("standard", risk({"mood"}, {"mood"}), PLUS), None),
        (customer_tier(None, risk({"mood"}, {"mood"}), PLUS), None),
        (weak_signals(risk({"mood"}, {"slow"}), WeakSignals()), "weak_signals"),
        (weak_signals(risk({"mood"}, {"mood"}), WeakSignals()), None),
        (weak_signals(risk({"mood", "distress"}), WeakSignals()), None),
        (weak_signals(risk({"mood"}, {"distress"}), WeakSignals()), "weak_signals"),
        (weak_signals(risk({"mood", "tool_error"}), WeakSignals()), "weak_signals"),
        (weak_signals(risk({"mood"}, set(), {"slow"}), WeakSignals()), None),
        (weak_signals(risk({"mood", "not_heard"}), WeakSignals()), None),
        (abused(2, 1), "abuse"),
    ],
)  # fmt: skip
def test_a_trigger_fires_on_its_facts_and_not_beside_them(cause: Cause | None, name: str | None) -> None:
    assert (cause.name if cause is not None else None) == name
    if cause is not None and name not in {"accepted_offer", "key_zero", "language"}:
        assert cause.evidence, "evidence is what makes a trigger a reason"


@pytest.mark.parametrize(
    ("compliance", "name"), [("reserved", "regulated:data_request"), ("duty", "policy:data_request")]
)
def test_what_law_reserves_to_people_is_a_topic_of_its_own(compliance: str, name: str) -> None:
    cause = ruled(
        "data_request", row="r", tier=3, action="escalate", classification=0.8, compliance=compliance
    )
    assert cause.name == name
    assert cause.evidence["classification"] == 0.8


def test_a_person_is_offered_before_one_takes_over() -> None:
    assert [offers("rephrasing", n, Loop()) for n in (1, 2, 3)] == [False, True, True]
    assert not offers("none", 5, Loop())


def test_evidence_names_the_topic_and_never_the_words() -> None:
    cause = named("my lawyer is mr smith of elm street", LEGAL)
    assert cause is not None
    assert cause.evidence == {"topic": "legal", "by": "words"}


@pytest.mark.parametrize("words", WAYS)
def test_plain_words_ask_for_a_person(words: str) -> None:
    assert says_so(words)


@pytest.mark.parametrize("words", NEAR)
def test_people_in_a_question_are_no_wish_for_one(words: str) -> None:
    assert not says_so(words)


def test_trouble_is_over_after_calm_turns_and_begins_anew() -> None:
    """The first sign stays while signs follow one another, and is forgotten after three calm turns."""
    on = risk({"mood"}, set(), set(), set(), {"slow"})
    assert on.first is not None
    assert on.first.name == "slow"
    still = risk({"mood"}, set(), set(), {"slow"})
    assert still.first is not None
    assert (still.first.name, still.first.at) == ("mood", NOW)


def test_time_runs_from_the_first_sign_to_the_trigger() -> None:
    then = NOW + timedelta(seconds=75)
    made = fired(Cause("loop", {"rounds": 3}), then, risk({"circle"}).first)
    assert (made.first_sign, made.first_sign_at, made.at) == ("circle", NOW, then)
    alone = fired(Cause("key_zero"), then, None)
    assert (alone.first_sign, alone.first_sign_at) == ("key_zero", then)


FACTS = TurnFacts(now=NOW, risk=risk({"mood"}, {"slow"}), spoken=True, sentiments=(0.2, -0.8))


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "mood"),
        ({"declined": True}, None),
        ({"meant": False}, None),
        ({"sentiments": ()}, "weak_signals"),
        ({"words": "i'll take you to court"}, "regulated:legal"),
        ({"words": "i'll take you to court", "declined": True}, "regulated:legal"),
        ({"down": {"records": 3}, "needs": frozenset({"records"}), "declined": True}, "outage:records"),
        ({"risk": risk(), "sentiments": ()}, None),
    ],
)
def test_whoever_wants_no_person_gets_one_only_where_the_bot_cannot_help(
    changes: dict[str, Any], name: str | None
) -> None:
    cause = judge(replace(FACTS, **changes), TriggerRules(regulated=LEGAL))
    assert (cause.name if cause is not None else None) == name


def test_a_trigger_that_is_off_does_not_fire() -> None:
    rules = TriggerRules(mood=Mood(on=False), weak_signals=WeakSignals(on=False))
    assert judge(FACTS, rules) is None
    assert not rules.is_on("mood")


def test_asking_for_a_person_cannot_be_switched_off() -> None:
    for name in ("asked_for_person", "key_zero", "accepted_offer", "distress", "policy"):
        with pytest.raises(ValueError, match="True"):
            TriggerRules.model_validate({name: {"on": False}})
    assert TriggerRules().is_on("switched_off"), "what is no trigger of the policy is always on"
    assert {name for name in TriggerRules().names() if isinstance(getattr(TriggerRules(), name), Trigger)}


def test_a_part_is_down_for_others_once_two_callers_met_it_and_is_tried_again() -> None:
    """One caller's own failures count once; half a minute later nothing is held against it."""
    now = [100.0]
    health = Health(lambda: now[0])
    for by in ("cv_1", "cv_1", "cv_1"):
        health.failed("records", by=by)
    assert health.down() == {"records": 1}
    health.failed("records", by="cv_2")
    assert health.down() == {"records": 2}
    now[0] += FORGOTTEN_S + 1
    assert health.down() == {}
    health.failed("records", by="cv_3")
    assert health.down() == {"records": 1}
    health.worked("records")
    assert health.down() == {}
