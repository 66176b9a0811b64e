"""The policy as a table for people: what happens with each intent, and why it stands where it stands."""

from __future__ import annotations

from voicebot.core.conversation import Action, Confidences, Strict
from voicebot.safety.policy.facts import Band, PolicyFacts
from voicebot.safety.policy.policy import Policy
from voicebot.safety.policy.risk import (
    TIER_OF_COMPLEXITY,
    TIER_OF_COMPLIANCE,
    TIER_OF_CRITICALITY,
    TIER_OF_EFFECT,
    TIER_OF_VULNERABILITY,
    Compliance,
    Effect,
    Vulnerability,
)
from voicebot.safety.policy.rows import IntentRule, Reads
from voicebot.safety.policy.setting import setting_of

COLUMNS = (Band.SURE, Band.DOUBTFUL, Band.UNGROUNDED, Band.UNVERIFIED, Band.UNSURE)
"""The bands a matrix shows, from the best down."""


class MatrixRow(Strict):
    """One intent, everything well: a verified caller on a good line at an ordinary hour.

    ``actions``: by band; None where the band cannot occur. ``because``: what its tier comes from.
    ``limits``: the confidences it needs; None where one is not asked for.
    """

    intent: str
    category: str
    tier: int
    because: tuple[str, ...]
    reads: str
    route: str
    sure: float
    grounding: float | None
    answer: float | None
    actions: dict[str, str | None]
    owner: str
    urgency: str
    priority: int
    standing: str
    overrides: tuple[str, ...]
    grants: tuple[str, ...]


def matrix(policy: Policy) -> tuple[MatrixRow, ...]:
    """All rows, in the order of the file."""
    return tuple(_row(policy, intent) for intent in policy.table.intents)


def _row(policy: Policy, intent: str) -> MatrixRow:
    row = policy.row(intent)
    rule, limits = row.rule, row.limits
    setting = setting_of(row, PolicyFacts(intent, Confidences(), verified=True))
    possible = {
        Band.SURE: True,
        Band.DOUBTFUL: rule.reads in {Reads.KNOWLEDGE, Reads.TOOL},
        Band.UNGROUNDED: rule.reads is Reads.KNOWLEDGE,
        Band.UNVERIFIED: rule.identity,
        Band.UNSURE: True,
    }
    actions: dict[Band, Action | None] = {
        band: policy.action(row, setting, band)[0] if possible[band] else None for band in COLUMNS
    }
    scores = Confidences(classification=1.0, grounding=1.0, answer=1.0)
    return MatrixRow(
        intent=intent,
        category=rule.category,
        tier=rule.tier,
        because=because(rule),
        reads=rule.tool or rule.reads.value,
        route=policy.route(row, setting, actions[Band.SURE] or Action.ESCALATE, scores).value,
        sure=limits.sure,
        grounding=limits.grounding if possible[Band.UNGROUNDED] else None,
        answer=limits.answer if possible[Band.DOUBTFUL] else None,
        actions={band.value: None if one is None else one.value for band, one in actions.items()},
        owner=row.owner,
        urgency=rule.urgency.value,
        priority=rule.priority,
        standing=row.standing.value,
        overrides=tuple(name for name, _ in row.overrides),
        grants=tuple(name for name, _ in row.grants),
    )


def because(rule: IntentRule) -> tuple[str, ...]:
    """The reasons that put a row into its tier."""
    if rule.concern is not None:
        return (f"{rule.concern.value}: always a person",)
    notes = (
        *(("approved words only",) if rule.compliance is Compliance.NOTICE else ()),
        *(("vulnerable callers: a person",) if rule.vulnerability is Vulnerability.RAISED else ()),
    )
    touches = "changes something" if rule.effect is Effect.CHANGE else "personal data"
    reasons = (
        (TIER_OF_EFFECT[rule.effect], touches),
        (TIER_OF_CRITICALITY[rule.criticality], f"{rule.criticality.value} stakes"),
        (TIER_OF_VULNERABILITY[rule.vulnerability], f"{rule.vulnerability.value} vulnerability"),
        (TIER_OF_COMPLIANCE[rule.compliance], f"compliance: {rule.compliance.value}"),
        (TIER_OF_COMPLEXITY[rule.complexity], "needs judgement"),
    )  # fmt: skip
    if rule.tier > rule.risk_tier:
        return (rule.stricter or "general", *notes)
    return (*(tuple(word for tier, word in reasons if 0 < tier == rule.tier) or ("general",)), *notes)
