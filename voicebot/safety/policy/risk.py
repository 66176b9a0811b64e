"""Risk and freedom: the scales on which rows are compared, and the limits no deployment may go below.

A row says its risk twice, on purpose: as a tier, and as the reasons for it (`Effect`, `Criticality`,
`Vulnerability`, `Compliance`, `Complexity`, `Concern`). The two must agree, so that no single edit
makes a risky thing look harmless.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from voicebot.core.conversation import Action, Route


class Effect(StrEnum):
    """What being wrong would touch."""

    NONE = "none"
    """General words, true for everybody."""
    PERSONAL = "personal"
    """The caller's own data are read out."""
    CHANGE = "change"
    """An order, a payment or an account is changed."""


class Criticality(StrEnum):
    """What a wrong outcome costs the caller or the business."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    """Money, a home without a bed tonight, an account in the wrong hands."""
    CRITICAL = "critical"
    """Somebody may come to harm, or it cannot be put right again."""


class Vulnerability(StrEnum):
    """How likely somebody who asks this is in need, and how hard a wrong answer would hit them."""

    LOW = "low"
    RAISED = "raised"
    """A caller known to be vulnerable gets a person."""
    HIGH = "high"
    """Everybody gets a person."""


class Compliance(StrEnum):
    """Which rules bind the answer."""

    NONE = "none"
    NOTICE = "notice"
    """The approved words, quoted: consumer rights, credit terms, privacy. No model rephrases them."""
    DUTY = "duty"
    """A legal duty hangs on it: a deadline, a record."""
    RESERVED = "reserved"
    """Only a person may."""


class Complexity(StrEnum):
    """How much has to come together."""

    SIMPLE = "simple"
    STEPS = "steps"
    JUDGEMENT = "judgement"
    """Somebody has to weigh it up."""


class Concern(StrEnum):
    """What always ends with a person, however sure the bot is. Every deployment has an intent for each."""

    ACCOUNT_SECURITY = "account_security"
    BILLING_DISPUTE = "billing_dispute"
    CHURN_RISK = "churn_risk"
    DISTRESS = "distress"


class Standing(StrEnum):
    """How automation has done so far, out of an intent's `Record`."""

    GOOD = "good"
    FAIR = "fair"
    UNTRIED = "untried"
    """Too few calls to say."""
    POOR = "poor"
    """The bot's answers are approved by a person before they are said."""


TIER_OF_EFFECT = {Effect.NONE: 0, Effect.PERSONAL: 1, Effect.CHANGE: 2}
TIER_OF_CRITICALITY = {
    Criticality.LOW: 0, Criticality.MEDIUM: 0, Criticality.HIGH: 2, Criticality.CRITICAL: 3,
}  # fmt: skip
TIER_OF_VULNERABILITY = {Vulnerability.LOW: 0, Vulnerability.RAISED: 0, Vulnerability.HIGH: 3}
TIER_OF_COMPLIANCE = {
    Compliance.NONE: 0, Compliance.NOTICE: 0, Compliance.DUTY: 2, Compliance.RESERVED: 3,
}  # fmt: skip
TIER_OF_COMPLEXITY = {Complexity.SIMPLE: 0, Complexity.STEPS: 0, Complexity.JUDGEMENT: 2}

FREEDOM = {
    Action.ESCALATE: 0, Action.ROUTE: 0, Action.FOLLOW_UP: 0, Action.CLARIFY: 0, Action.ABSTAIN: 0,
    Action.DRAFT: 1,
    Action.PROPOSE: 2,
    Action.ANSWER: 3, Action.END: 3,
    Action.ACT: 4,
}  # fmt: skip
"""What the bot takes upon itself. 0: it says nothing of substance; 1: a person approves the words;
2: it offers a change and waits for a yes; 3: it answers, or hangs up; 4: it acts unasked."""

TO_A_PERSON = frozenset({Action.ESCALATE, Action.ROUTE, Action.FOLLOW_UP})
"""Somebody deals with it: now, with a form, or by a promised time."""

WRITERS = {
    Route.PERSON: 0, Route.DRAFT: 0, Route.FIXED: 0, Route.GROUNDED: 1, Route.SMALL: 2, Route.STRONG: 2,
}  # fmt: skip
"""How far a route's words may stray: approved lines, quoted articles and records, a model's own words."""


class Floor(NamedTuple):
    """The lowest confidences at which a deployment may give an unattended answer, each 0..1."""

    sure: float
    grounding: float
    answer: float


FLOORS = {0: Floor(0.60, 0.25, 0.70), 1: Floor(0.70, 0.25, 0.80), 2: Floor(0.70, 0.25, 0.85)}
"""By tier. Below a classification of 0.60 two readings are about as likely as one; the usual limits
(0.70, 0.85) lie above these. Tier 3 has none: nothing is answered there."""

MOST_UNSURE = 0.50
"""A deployment may not ask for more before it takes a guess seriously: else a worry that is not
clearly understood would be taken for noise and not end with a person."""

MOST_DISTRESS = 0.50
"""The highest probability of distress at which a person may still be withheld."""

LEAST_DIGITS = 8
"""Digits that the gate's factors have together at least: one guess in a hundred million."""

LEAST_CODE = 6
"""Digits of a one-time code: with three tries, one guess in more than three hundred thousand."""

MOST_FAILED = 5
"""Failed tries about one reference within the window, over all calls."""

MOST_TRIES = 3
"""Wrong sets of facts that the gate forgives at most."""
