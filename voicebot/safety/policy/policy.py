"""Decides: facts in, one action of a closed set out, with the row that decided and why. Pure."""

from __future__ import annotations

from voicebot.core.conversation import Action, Confidences, Route, Urgency
from voicebot.safety.policy.facts import Band, PolicyFacts, Ruling
from voicebot.safety.policy.risk import FREEDOM, Compliance, Standing, Vulnerability
from voicebot.safety.policy.rows import IntentRule, Reads
from voicebot.safety.policy.setting import Row, Setting, row_of, setting_of
from voicebot.safety.policy.table import PolicyTable

NOBODY = "unlisted"
"""The row of an intent that the table does not name."""


class Policy:
    """Decides by a table. Stateless, shared by all conversations of a node.

    ``version`` is the table's own with a digest of its content, so that two tables never share it.
    """

    def __init__(self, table: PolicyTable) -> None:
        self.table = table
        self.version = f"{table.version}.{table.digest}"
        self._rows = {intent: row_of(table, intent, rule) for intent, rule in table.intents.items()}

    def rule(self, intent: str) -> IntentRule | None:
        """The intent's row, None when the table does not name it."""
        return self.table.intents.get(intent)

    def exposed(self, intent: str) -> frozenset[str]:
        """The tools that the intent's row names, its act among them: no other may be asked for it."""
        rule = self.table.intents.get(intent)
        if rule is None:
            return frozenset()
        return frozenset((*rule.reading_tools, *((rule.act,) if rule.act else ())))

    def row(self, intent: str) -> Row:
        """The intent's row with everything that bears on it.

        Raises:
            KeyError: the table does not name the intent.
        """
        return self._rows[intent]

    def decide(self, facts: PolicyFacts) -> Ruling:
        """One outcome for every combination of facts. An intent without a row ends with a person."""
        row = self._rows.get(facts.intent)
        urgent = self.distressed(facts)
        if row is None:
            urgency = Urgency.CRITICAL if urgent else Urgency.NORMAL
            reasons = (f"no row for {facts.intent}",)
            owner = self.table.tiers[3].owner
            return Ruling(Action.ESCALATE, Route.PERSON, 3, NOBODY, reasons, urgency, owner, band=Band.LOST)
        setting = setting_of(row, facts)
        scores = facts.confidences
        if urgent:
            band, action, decided_by = Band.DISTRESS, Action.ESCALATE, ""
        else:
            band = self.band(row, setting, scores, verified=facts.verified, vulnerable=facts.vulnerable)
            action, decided_by = self.action(row, setting, band)
        name = f"{facts.intent}/tier{row.rule.tier}/{band}"
        speaks = action in {Action.ANSWER, Action.PROPOSE, Action.ACT}
        return Ruling(
            action=action,
            route=self.route(row, setting, action, scores),
            tier=row.rule.tier,
            row=f"{decided_by}>{name}" if decided_by else name,
            reasons=self._reasons(row, setting, band, facts, decided_by),
            urgency=Urgency.CRITICAL if urgent else setting.urgency,
            owner=setting.owner,
            clearances=row.clearances if facts.verified and band is not Band.LOST else (),
            tools=_tools(row.rule, setting, action) if speaks and facts.verified >= row.rule.identity else (),
            band=band,
            in_force=setting.in_force,
        )

    def distressed(self, facts: PolicyFacts) -> bool:
        """Whether somebody may be in danger or despair."""
        limits = self.table.thresholds
        limit = limits.distress_vulnerable if facts.vulnerable else limits.distress
        return not facts.distress < limit  # a number that is none counts as distress

    def band(
        self, row: Row, setting: Setting, scores: Confidences, *, verified: bool, vulnerable: bool
    ) -> Band:
        """Where the confidences stand. A confidence that was not measured counts as too low.

        The answer's is the exception: without one nobody has composed anything that could be judged.
        """
        rule = row.rule
        if not _reaches(scores.classification, setting.unsure):
            return Band.LOST
        if not _reaches(scores.classification, setting.sure):
            return Band.UNSURE
        if vulnerable and rule.vulnerability is not Vulnerability.LOW:
            return Band.VULNERABLE
        if rule.identity and not verified:
            return Band.UNVERIFIED
        if rule.reads is Reads.KNOWLEDGE and not _reaches(scores.grounding, setting.grounding):
            return Band.UNGROUNDED
        judged = rule.reads in _ANSWERS and scores.answer is not None
        if judged and not _reaches(scores.answer, setting.answer):
            return Band.DOUBTFUL
        return Band.SURE

    def action(self, row: Row, setting: Setting, band: Band) -> tuple[Action, str]:
        """What a band means for a row, and the override that had the last word ("" if none)."""
        action = self._unbound(row, setting, band)
        if row.rule.reads is Reads.NOTHING:
            return action, ""
        watched = row.standing is Standing.POOR or row.rule.route is Route.DRAFT
        if watched and FREEDOM[action] > FREEDOM[Action.DRAFT]:
            action = Action.DRAFT
        if setting.at_most is not None and FREEDOM[action] > FREEDOM[setting.at_most]:
            return setting.at_most, setting.at_most_by
        if action is Action.ESCALATE and band is Band.SURE and setting.person is not None:
            return setting.person, setting.person_by
        return action, ""

    def _unbound(self, row: Row, setting: Setting, band: Band) -> Action:
        """The action of rows alone, before record and overrides."""
        rule, tier = row.rule, row.tier
        match band:
            case Band.DISTRESS | Band.VULNERABLE:
                return Action.ESCALATE
            case Band.LOST:
                return self.table.lost
            case Band.UNSURE:
                return tier.unsure
            case Band.UNVERIFIED:
                return tier.unverified
            case Band.UNGROUNDED:
                return tier.ungrounded
            case Band.DOUBTFUL:
                return tier.doubtful
            case Band.SURE:
                if rule.reads is Reads.PERSON:
                    return rule.then or Action.ESCALATE
                if rule.act is None or rule.tier > 2:  # an act belongs into tier 2
                    return rule.then or tier.sure
                if setting.may is Action.PROPOSE and FREEDOM[tier.sure] < FREEDOM[Action.PROPOSE]:
                    return tier.sure
                return setting.may or Action.DRAFT

    def route(self, row: Row, setting: Setting, action: Action, scores: Confidences) -> Route:
        """Who writes the words: the row's route at most, less where evidence is thin."""
        match action:
            case Action.ANSWER | Action.PROPOSE | Action.ACT:
                return self._writer(row.rule, setting, scores)
            case Action.ESCALATE | Action.ROUTE | Action.FOLLOW_UP:
                return Route.PERSON
            case Action.DRAFT:
                return Route.DRAFT
            case Action.CLARIFY | Action.ABSTAIN | Action.END:
                return Route.FIXED

    def _writer(self, rule: IntentRule, setting: Setting, scores: Confidences) -> Route:
        if rule.reads is Reads.NOTHING:
            return Route.FIXED
        if rule.route not in {Route.SMALL, Route.STRONG}:
            return rule.route
        thin = not _reaches(scores.grounding, max(setting.grounding, self.table.thresholds.writing))
        unjudged = rule.tier > 0 and scores.answer is None
        quoted = thin or unjudged or not setting.model_writes or rule.compliance is not Compliance.NONE
        return Route.GROUNDED if quoted else rule.route

    def _reasons(
        self, row: Row, setting: Setting, band: Band, facts: PolicyFacts, decided_by: str
    ) -> tuple[str, ...]:
        reasons = [_why(row, setting, band, facts)]
        if row.rule.reads is Reads.PERSON and band is Band.SURE:
            reasons.append("a person deals with this")
        if row.rule.act is not None and band is Band.SURE:
            reasons.append(
                f"granted by {setting.may_by}" if setting.may else "no grant: a person approves it"
            )
        if row.standing is Standing.POOR:
            reasons.append("automation has done poorly with this so far")
        if decided_by:
            reasons.append(f"{decided_by}: {self.table.overrides[decided_by].why}")
        return tuple(reasons)


_ANSWERS = frozenset({Reads.KNOWLEDGE, Reads.TOOL})


def _reaches(score: float | None, limit: float) -> bool:
    """Whether a score was measured and is high enough. A number that is none (NaN) never is."""
    return score is not None and score >= limit


def _tools(rule: IntentRule, setting: Setting, action: Action) -> tuple[str, ...]:
    granted = rule.act is not None and setting.may is not None and action in {Action.PROPOSE, Action.ACT}
    return (*rule.reading_tools, *((rule.act,) if granted and rule.act else ()))


def _why(row: Row, setting: Setting, band: Band, facts: PolicyFacts) -> str:
    scores = facts.confidences
    match band:
        case Band.DISTRESS:
            return f"distress {_shown(facts.distress)}"
        case Band.LOST:
            return f"classification {_shown(scores.classification)} below {setting.unsure:g}"
        case Band.UNSURE:
            return f"classification {_shown(scores.classification)} below {setting.sure:g}"
        case Band.VULNERABLE:
            return "the caller is vulnerable"
        case Band.UNVERIFIED:
            return "identity needed"
        case Band.UNGROUNDED:
            return f"grounding {_shown(scores.grounding)} below {setting.grounding:g}"
        case Band.DOUBTFUL:
            return f"answer {_shown(scores.answer)} below {setting.answer:g}"
        case Band.SURE:
            return f"classification {_shown(scores.classification)}"


def _shown(score: float | None) -> str:
    return "unknown" if score is None else f"{score:.2f}"
