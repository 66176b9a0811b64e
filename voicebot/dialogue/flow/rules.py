"""Asks the policy: what it is told of a turn, and what its ruling means for the flow. Pure."""

from __future__ import annotations

from voicebot.core.conversation import Confidences
from voicebot.dialogue.flow.setting import Setting
from voicebot.dialogue.state import ConversationState
from voicebot.safety.identity import Gate
from voicebot.safety.policy import Band, Health, IntentRule, Policy, PolicyFacts, Ruling, Segment


class Rules:
    """The policy as the flow uses it. Stateless; one per deployment."""

    def __init__(self, policy: Policy, gate: Gate) -> None:
        self._policy = policy
        self._gate = gate
        self.version = policy.version
        self.table = policy.table

    def rule(self, intent: str) -> IntentRule | None:
        """The intent's row."""
        return self._policy.rule(intent)

    def sure(self, intent: str) -> float:
        """The probability from which an intent counts as certain."""
        rule = self._policy.rule(intent)
        table = self._policy.table
        return table.thresholds.sure if rule is None else table.confidences(rule).sure

    def decide(
        self, state: ConversationState, setting: Setting, intent: str, confidences: Confidences
    ) -> Ruling:
        """What may be done for an intent, as things stand.

        The segment comes from the record of the verified customer and from nowhere else.
        """
        scene, scores = setting.scene, setting.scores
        customer = self._gate.customer(state.gate)
        enough = customer is not None and customer.level >= self._gate.rules.demanded(intent)
        known = state.customer if customer is not None else None
        segment = None
        if customer is not None and known is not None and known.segment is not None:
            segment = Segment.of_record(customer, known.segment)
        return self._policy.decide(
            PolicyFacts(
                intent,
                confidences,
                verified=enough,
                segment=segment,
                region=known.region if known is not None else None,
                local_time=scene.now.time(),
                weekday=scene.now.weekday(),
                today=scene.now.date(),
                healthy=Health.DEGRADED if scene.degraded else Health.OK,
                distress=scores.distress if scores is not None else 0.0,
                vulnerable=state.vulnerable,
            )
        )


def is_lost(ruling: Ruling) -> bool:
    """It is not known what the caller wants."""
    return ruling.band is Band.LOST


def is_unsure(ruling: Ruling) -> bool:
    """What the caller wants is likely, not certain."""
    return ruling.band is Band.UNSURE


def lacks_identity(ruling: Ruling) -> bool:
    """The ruling stands as long as the caller is not verified."""
    return ruling.band is Band.UNVERIFIED


def lacks_grounding(ruling: Ruling) -> bool:
    """The ruling stands as long as nothing is found that answers."""
    return ruling.band is Band.UNGROUNDED


def owner_of(ruling: Ruling) -> str | None:
    """Who answers for it, None for nobody in particular."""
    return ruling.owner or None


def team_of(ruling: Ruling) -> str | None:
    """The owner, if it is a team a caller can be connected with; a role ("head of ...") is none."""
    return ruling.owner if ruling.owner.endswith((" team", " desk")) else None
