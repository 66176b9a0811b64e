"""The proof goes through every case with the code that decides: a hole or an inversion is found and named."""

from __future__ import annotations

import itertools
import random
from datetime import date, time
from pathlib import Path
from typing import Any

import pytest
from policy_kit import BUSINESS, boot, edited, shipped

from voicebot.core.conversation import Action, Confidences, Route
from voicebot.safety.policy import (
    FREEDOM,
    Band,
    Health,
    Policy,
    PolicyError,
    PolicyFacts,
    Ruling,
    read_policy,
)
from voicebot.safety.policy.domain import OTHER, steps, worlds
from voicebot.safety.policy.proof import prove
from voicebot.safety.policy.rows import Reads
from voicebot.safety.policy.segment import supposed
from voicebot.safety.policy.setting import Row, Setting

TABLE = read_policy(BUSINESS / "policy.yaml")


def with_override(**changes: Any) -> dict[str, Any]:
    document = shipped()
    document["overrides"]["trial"] = {"why": "to see what the proof says", **changes}
    return document


@pytest.mark.parametrize(
    ("document", "row", "says"),
    [
        (
            edited("tiers.1.at_least", {"answer": 0.95}),
            "tiers.2.at_least",
            "needs less `answer` than tier 1",
        ),
        (
            edited("tiers.1.at_least", {"sure": 0.5}),
            "tiers.1.at_least",
            "changes nothing",
        ),
        (
            with_override(when={"health": "degraded"}, intents=["order_status"], at_most="abstain")
            | {"overrides": {"only_tier_0": {
                "why": "to see what the proof says", "when": {"health": "degraded"}, "tiers": [0],
                "at_most": "abstain"}}},
            "overrides.only_tier_0",
            "tier 1 instead of 0 gives more freedom",
        ),
        (
            with_override(when={"segments": ["plus"]}, intents=["warranty"], at_most="route"),
            "overrides.trial",
            "an unverified caller would have more freedom",
        ),
        (
            with_override(when={"segments": ["plus"]}, intents=["warranty"], grounding=0.9),
            "overrides.trial",
            "an unverified caller would have more freedom",
        ),
    ],
    ids=[
        "a tier that needs less", "a limit that is none", "a cap that a riskier row escapes",
        "a cap that strangers escape", "a limit that strangers escape",
    ],
)  # fmt: skip
def test_an_inversion_is_named(document: dict[str, Any], row: str, says: str, tmp_path: Path) -> None:
    """Rows that are well formed by themselves, and wrong together."""
    with pytest.raises(PolicyError) as caught:
        boot(document, tmp_path, tested=False)
    assert row in str(caught.value)
    assert says in str(caught.value)


def test_the_same_restrictions_boot_when_nobody_escapes_them(tmp_path: Path) -> None:
    """The near misses of the inversions above."""
    document = shipped()
    document["overrides"] = {
        "both_tiers": {
            "why": "to see what the proof says",
            "when": {"health": "degraded"},
            "tiers": [0, 1, 2],
            "at_most": "abstain",
        },
        "strangers_too": {
            "why": "to see what the proof says",
            "when": {"segments": ["plus"], "unknown": True},
            "intents": ["warranty"],
            "at_most": "route",
        },
        "behind_the_gate": {
            "why": "to see what the proof says",
            "when": {"segments": ["plus"]},
            "intents": ["order_status"],
            "at_most": "draft",
        },
    }
    boot(document, tmp_path, tested=False)


class AnswersAnything(Policy):
    """Takes every caller at their word."""

    def band(
        self, row: Row, setting: Setting, scores: Confidences, *, verified: bool, vulnerable: bool
    ) -> Band:
        return Band.SURE if scores.classification is None else super().band(
            row, setting, scores, verified=verified, vulnerable=vulnerable
        )  # fmt: skip


class OffByOne(Policy):
    """Wants a little less than the limit."""

    def band(
        self, row: Row, setting: Setting, scores: Confidences, *, verified: bool, vulnerable: bool
    ) -> Band:
        if scores.classification is not None and setting.sure > scores.classification > setting.sure - 1e-9:
            scores = scores.model_copy(update={"classification": setting.sure})
        return super().band(row, setting, scores, verified=verified, vulnerable=vulnerable)


class TrustsAnybody(Policy):
    """Forgets the gate."""

    def band(
        self, row: Row, setting: Setting, scores: Confidences, *, verified: bool, vulnerable: bool
    ) -> Band:
        return super().band(row, setting, scores, verified=True, vulnerable=vulnerable)


class DoubtsTheSure(Policy):
    """Answers what is likely, and asks back what is certain."""

    def action(self, row: Row, setting: Setting, band: Band) -> tuple[Action, str]:
        swapped = {Band.SURE: Band.UNSURE, Band.UNSURE: Band.SURE}
        return super().action(row, setting, swapped.get(band, band))


class ForgetsOverrides(Policy):
    """A restriction that loosens."""

    def action(self, row: Row, setting: Setting, band: Band) -> tuple[Action, str]:
        action, by = super().action(row, setting, band)
        return (Action.ACT, by) if by else (action, by)


class WritesOutOfThinAir(Policy):
    """The less there is to write from, the freer the writer."""

    def route(self, row: Row, setting: Setting, action: Action, scores: Confidences) -> Route:
        route = super().route(row, setting, action, scores)
        return {Route.STRONG: Route.GROUNDED, Route.GROUNDED: Route.STRONG}.get(route, route)


class SendsNobody(Policy):
    """An answer that nobody says."""

    def route(self, row: Row, setting: Setting, action: Action, scores: Confidences) -> Route:
        return Route.PERSON


class SparesTheVulnerable(Policy):
    """Does not bother them with questions."""

    def band(
        self, row: Row, setting: Setting, scores: Confidences, *, verified: bool, vulnerable: bool
    ) -> Band:
        band = super().band(row, setting, scores, verified=verified, vulnerable=vulnerable)
        return Band.SURE if vulnerable and band is Band.UNGROUNDED else band


class WritesWhenDegraded(Policy):
    """Lets a model write when nothing else works."""

    def route(self, row: Row, setting: Setting, action: Action, scores: Confidences) -> Route:
        route = super().route(row, setting, action, scores)
        return Route.STRONG if route is Route.GROUNDED and not setting.model_writes else route


class AnswersComplaints(Policy):
    """Settles by itself what a person should."""

    def action(self, row: Row, setting: Setting, band: Band) -> tuple[Action, str]:
        settled = row.rule.tier == 3 and band is Band.SURE
        return (Action.ANSWER, "") if settled else super().action(row, setting, band)


class KeepsCalm(Policy):
    """Hears no distress."""

    def distressed(self, facts: PolicyFacts) -> bool:
        return False


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        (AnswersAnything, "less classification confidence gives more freedom"),
        (OffByOne, "below 0.7"),
        (TrustsAnybody, "for a caller who is not verified"),
        (DoubtsTheSure, "less classification confidence gives more freedom"),
        (ForgetsOverrides, "gives more freedom"),
        (WritesOutOfThinAir, "gives a freer writer"),
        (SendsNobody, "has nobody to say it"),
        (KeepsCalm, "not with a person"),
        (SparesTheVulnerable, "a vulnerable caller gives more freedom"),
        (WritesWhenDegraded, "a degraded channel gives a freer writer"),
        (AnswersComplaints, "tier 3 must not end in an unattended `answer`"),
    ],
)
def test_a_decider_that_goes_wrong_is_found(policy: type[Policy], says: str) -> None:
    """The proof is of table and code together: it finds code that breaks a promise with a good table."""
    _, problems = prove(policy(TABLE))
    assert any(says in str(problem) for problem in problems), problems[:3]


def test_a_sound_table_has_no_problems_and_every_row_was_gone_through() -> None:
    """Tens of thousands of cases, each decided."""
    proof, problems = prove(Policy(TABLE))
    assert problems == ()
    assert proof.rows == len(TABLE.intents)
    assert proof.cases > 10_000


def test_each_limit_is_tried_from_both_sides() -> None:
    """What is compared with a limit by >= is told apart by it and by the number just below it."""
    below, at = 0.45, 0.7
    points = steps([at, below])
    assert points[0] is None
    for limit in (below, at):
        assert limit in points
        assert any(point is not None and limit - 1e-12 < point < limit for point in points)
    assert steps([]) == (None,)


def test_the_worlds_of_a_row_are_all_its_circumstances() -> None:
    """Each named region, another one, none; each edge of the hours, midnight, none; and so on."""
    row = Policy(TABLE).row("shipping_cost")
    facts = [world.facts for world in worlds(row)]
    assert {one.region for one in facts} == {None, "canada", "hawaii", OTHER}
    assert {one.healthy for one in facts} == set(Health)
    assert {(one.verified, one.vulnerable) for one in facts} == set(
        itertools.product((False, True), repeat=2)
    )
    clocks = {world.facts.local_time for world in worlds(Policy(TABLE).row("invoice_copy"))}
    assert clocks == {None, time(0), time(8), time(20)}


def test_random_facts_are_decided_as_the_nearest_proved_case_is() -> None:
    """The cases that were gone through stand for all: nothing in between decides otherwise."""
    policy, pick = Policy(TABLE), random.Random(3)
    for _ in range(3000):
        facts = anything(policy, pick)
        ruling = policy.decide(facts)
        limits = {0.0, 0.4, 0.6, 0.7, 0.8, 0.45, 0.85, 0.59, 0.55}
        nearest = Confidences(
            classification=floor(facts.confidences.classification, limits),
            grounding=floor(facts.confidences.grounding, limits),
            answer=floor(facts.confidences.answer, limits),
        )
        stands_for = policy.decide(replace_scores(facts, nearest))
        assert (ruling.action, ruling.route, ruling.row) == (
            stands_for.action,
            stands_for.route,
            stands_for.row,
        )


def test_losing_one_thing_never_gives_freedom() -> None:
    """Random facts and the same with one thing worse, asked of `decide` from outside."""
    policy, pick = Policy(TABLE), random.Random(5)
    for _ in range(3000):
        facts = anything(policy, pick)
        for worse in worsened(facts):
            one, other = policy.decide(worse), policy.decide(facts)
            assert freedom(one) <= freedom(other), (facts, worse)


def anything(policy: Policy, pick: random.Random) -> PolicyFacts:
    def score() -> float | None:
        return pick.choice([None, round(pick.random(), 3), pick.choice([0.4, 0.45, 0.6, 0.7, 0.8, 0.85])])

    verified = pick.random() < 0.5
    return PolicyFacts(
        pick.choice(list(policy.table.intents)),
        Confidences(classification=score(), grounding=score(), answer=score()),
        verified,
        segment=supposed(pick.choice(["plus", "standard"])) if verified and pick.random() < 0.7 else None,
        region=pick.choice([None, "hawaii", "canada", "vermont", "oregon"]),
        local_time=pick.choice([None, time(3), time(12), time(20)]),
        weekday=pick.choice([None, 0, 6]),
        today=pick.choice([None, date(2026, 11, 21)]),
        healthy=pick.choice(list(Health)),
        distress=pick.choice([0.0, 0.3, 0.5]),
        vulnerable=pick.random() < 0.3,
    )


def replace_scores(facts: PolicyFacts, scores: Confidences) -> PolicyFacts:
    return PolicyFacts(
        facts.intent,
        scores,
        facts.verified,
        segment=facts.segment,
        region=facts.region,
        local_time=facts.local_time,
        weekday=facts.weekday,
        today=facts.today,
        healthy=facts.healthy,
        distress=facts.distress,
        vulnerable=facts.vulnerable,
    )


def worsened(facts: PolicyFacts) -> list[PolicyFacts]:
    scores = facts.confidences
    worse = [
        replace_scores(facts, scores.model_copy(update={name: value - 0.2}))
        for name in ("classification", "grounding", "answer")
        if (value := getattr(scores, name)) is not None and value >= 0.2
    ]
    worse += [
        replace_scores(facts, scores.model_copy(update={name: None}))
        for name in ("classification", "grounding")
    ]
    base = {
        "region": facts.region, "local_time": facts.local_time, "weekday": facts.weekday,
        "today": facts.today, "healthy": facts.healthy, "distress": facts.distress,
        "vulnerable": facts.vulnerable,
    }  # fmt: skip
    worse.append(PolicyFacts(facts.intent, scores, False, **base))
    for change in ({"healthy": Health.DEGRADED}, {"vulnerable": True}, {"distress": 1.0}):
        worse.append(
            PolicyFacts(facts.intent, scores, facts.verified, segment=facts.segment, **(base | change))
        )
    return worse


def floor(score: float | None, limits: set[float]) -> float | None:
    return None if score is None else max(limit for limit in limits if limit <= score)


def freedom(ruling: Ruling) -> int:
    return FREEDOM[ruling.action]


def test_only_phrases_are_the_same_under_all_circumstances() -> None:
    """Thanks and goodbye are said on a bad line, at night and overseas alike, but not in distress."""
    policy = Policy(TABLE)
    for intent, rule in TABLE.intents.items():
        if rule.reads is Reads.NOTHING:
            scores = Confidences(classification=0.95)
            plain = policy.decide(PolicyFacts(intent, scores, False))
            bad = policy.decide(
                PolicyFacts(
                    intent, scores, False, healthy=Health.DEGRADED, region="hawaii", local_time=time(3)
                )
            )
            assert (plain.action, plain.route) == (bad.action, bad.route)
