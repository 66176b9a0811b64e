"""The policy: intent, tier, three confidences and verification in; one action of a closed set out.

Pure. The table is the deployment's ``business/policy.yaml``, read into strict models: an unknown
key, an unknown action, an intent without a row or a tier that gives more freedom for less
confidence refuses to load. Whatever the table does not name ends with a person.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Self

from pydantic import Field, model_validator

from voicebot.core.conversation import Action, Confidences, Route, Strict
from voicebot.safety.identity import GateRules


class PolicyError(Exception):
    """The policy cannot be used; the message names the row and what to change."""


class Reads(StrEnum):
    """What an intent's answer is made from."""

    NOTHING = "nothing"
    """Said from approved phrases (yes, thanks, goodbye)."""
    KNOWLEDGE = "knowledge"
    TOOL = "tool"
    PERSON = "person"
    """Nothing is read: a person deals with it."""


class IntentRule(Strict):
    """One intent's row.

    ``sure`` and ``grounding`` override the defaults of `Thresholds` for this intent. ``urgency`` goes
    into the handoff when the intent ends with a person.
    """

    tier: int = Field(ge=0, le=3)
    reads: Reads
    tool: str | None = None
    identity: bool = False
    route: Route = Route.GROUNDED
    sure: float | None = Field(default=None, gt=0, le=1)
    grounding: float | None = Field(default=None, ge=0, le=1)
    urgency: Literal["low", "normal", "high", "critical"] = "normal"
    apology: bool = False
    """A person who takes this over is announced with an apology."""
    priority: int = Field(default=0, ge=0, le=100)
    """Of several wants in one sentence the highest priority is taken first."""
    then: Action | None = None
    """What a sure reading means instead of the tier's `sure`; never more free than that."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.reads is Reads.TOOL) != (self.tool is not None):
            raise ValueError("`tool` is named exactly when `reads` is tool")
        if self.then in {Action.ACT, Action.PROPOSE, Action.DRAFT}:
            raise ValueError("`then` may only lead to words, a person or the end")
        if self.reads is Reads.TOOL and not self.identity and self.tier > 0:
            raise ValueError("a tool above tier 0 needs `identity: true`")
        return self


class TierRow(Strict):
    """What a tier allows, by how sure the bot is. The first that applies, from the bottom up, is taken."""

    sure: Action
    """Intent, grounding and identity are all good enough."""
    ungrounded: Action
    """No article or record carries an answer."""
    unverified: Action
    """Identity is needed and missing."""
    unsure: Action
    """The intent is likely, not certain."""


class Thresholds(Strict):
    """Default limits of the three confidences, each 0..1."""

    sure: float = Field(default=0.70, gt=0, le=1)
    """Classification at or above: sure."""
    unsure: float = Field(default=0.40, gt=0, le=1)
    """Classification below: lost."""
    grounding: float = Field(default=0.35, ge=0, le=1)
    answer: float = Field(default=0.85, ge=0, le=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.unsure > self.sure:
            raise ValueError("`unsure` must not lie above `sure`")
        return self


class Ladder(Strict):
    """How often the bot tries in other words before a person takes over."""

    not_heard: int = Field(default=3, ge=1, le=6)
    not_understood: int = Field(default=3, ge=1, le=6)
    silences: int = Field(default=3, ge=2, le=6)
    """The silence at which the call is ended politely."""


class PolicyTable(Strict):
    """The whole of ``business/policy.yaml``."""

    version: str = Field(min_length=1)
    thresholds: Thresholds = Thresholds()
    ladder: Ladder = Ladder()
    identity: GateRules
    lost: Literal[Action.CLARIFY, Action.ABSTAIN, Action.ESCALATE] = Action.CLARIFY
    """When it is not known what the caller wants, so that no tier applies."""
    tiers: dict[int, TierRow]
    intents: dict[str, IntentRule]

    @model_validator(mode="after")
    def _closed(self) -> Self:
        missing = sorted({rule.tier for rule in self.intents.values()} - set(self.tiers))
        if missing:
            raise ValueError(f"tiers {missing} are used by intents but have no row under `tiers`")
        for number, row in sorted(self.tiers.items()):
            _check_tier(number, row)
        for name, rule in self.intents.items():
            if rule.then is not None and _FREEDOM[rule.then] > _FREEDOM[self.tiers[rule.tier].sure]:
                raise ValueError(f"intents.{name}: `then: {rule.then}` gives more freedom than its tier")
        return self


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """What is known when the policy is asked. ``verified``: a VerifiedCustomer is at hand."""

    intent: str
    confidences: Confidences
    verified: bool


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the policy says: the action, who writes the words, the row that decided and why."""

    action: Action
    route: Route
    tier: int
    row: str
    reasons: tuple[str, ...]


class Policy:
    """Decides. Stateless, shared by all conversations of a node."""

    def __init__(self, table: PolicyTable) -> None:
        self.table = table
        self.version = table.version

    def rule(self, intent: str) -> IntentRule | None:
        """The intent's row, None when the table does not name it."""
        return self.table.intents.get(intent)

    def decide(self, facts: PolicyFacts) -> Ruling:
        """One outcome for every combination of facts. An intent without a row ends with a person."""
        rule = self.rule(facts.intent)
        if rule is None:
            return Ruling(Action.ESCALATE, Route.PERSON, 3, "unlisted", (f"no row for {facts.intent}",))
        band, reasons = self._band(rule, facts)
        row = self.table.tiers[rule.tier]
        if rule.reads is Reads.PERSON and band in {"sure", "unverified", "ungrounded"}:
            action = Action.ESCALATE
            reasons = (*reasons, "a person deals with this")
        elif band == "sure" and rule.then is not None:
            action = rule.then
        elif band == "lost":
            action: Action = self.table.lost
        else:
            action = getattr(row, band)
        return Ruling(
            action, _route(action, rule), rule.tier, f"{facts.intent}/tier{rule.tier}/{band}", reasons
        )

    def _band(self, rule: IntentRule, facts: PolicyFacts) -> tuple[str, tuple[str, ...]]:
        limits = self.table.thresholds
        sure = rule.sure if rule.sure is not None else limits.sure
        score = facts.confidences.classification
        if score is None or score < min(limits.unsure, sure):
            return "lost", (f"classification {_shown(score)} below {min(limits.unsure, sure)}",)
        if score < sure:
            return "unsure", (f"classification {_shown(score)} below {sure}",)
        if rule.identity and not facts.verified:
            return "unverified", ("identity needed",)
        needed = rule.grounding if rule.grounding is not None else limits.grounding
        grounding = facts.confidences.grounding
        if rule.reads is Reads.KNOWLEDGE and (grounding is None or grounding < needed):
            return "ungrounded", (f"grounding {_shown(grounding)} below {needed}",)
        return "sure", (f"classification {_shown(score)}",)


def check_policy(table: PolicyTable, *, intents: Iterable[str], tools: Iterable[str]) -> None:
    """Compares the table with what the deployment has.

    Raises:
        PolicyError: an intent has no row, a row has no intent, or a tool is not loaded.
    """
    known, rows = set(intents), set(table.intents)
    if known - rows:
        raise PolicyError(f"policy.yaml: intents {sorted(known - rows)} have no row; add one under `intents`")
    if rows - known:
        raise PolicyError(f"policy.yaml: rows {sorted(rows - known)} name no intent of intents.yaml")
    named = {rule.tool for rule in table.intents.values() if rule.tool is not None}
    missing = sorted(named - set(tools))
    if missing:
        raise PolicyError(f"policy.yaml: tools {missing} are not in tools/; known are {sorted(set(tools))}")


_FREEDOM = {
    Action.END: 0, Action.ESCALATE: 0, Action.ROUTE: 1, Action.FOLLOW_UP: 1, Action.DRAFT: 1,
    Action.ABSTAIN: 2, Action.CLARIFY: 2, Action.PROPOSE: 3, Action.ANSWER: 4, Action.ACT: 5,
}  # fmt: skip


def _check_tier(number: int, row: TierRow) -> None:
    if number == 3 and {row.sure, row.unsure, row.ungrounded, row.unverified} & {
        Action.ANSWER,
        Action.ACT,
    }:
        raise ValueError("tier 3 must not end in an unattended answer or act")
    for band in ("ungrounded", "unverified", "unsure"):
        action: Action = getattr(row, band)
        if _FREEDOM[action] > _FREEDOM[row.sure]:
            raise ValueError(f"tier {number}: `{band}: {action}` gives more freedom than `sure: {row.sure}`")


def _route(action: Action, rule: IntentRule) -> Route:
    match action:
        case Action.ANSWER | Action.ACT | Action.PROPOSE:
            return Route.FIXED if rule.reads is Reads.NOTHING else rule.route
        case Action.ESCALATE | Action.ROUTE | Action.FOLLOW_UP:
            return Route.PERSON
        case Action.DRAFT:
            return Route.DRAFT
        case Action.CLARIFY | Action.ABSTAIN | Action.END:
            return Route.FIXED


def _shown(score: float | None) -> str:
    return "unknown" if score is None else f"{score:.2f}"
