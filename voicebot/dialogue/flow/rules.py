"""Asks the policy: what it is told of a turn, and what its ruling means for the flow. Pure."""

from __future__ import annotations

from voicebot.core.conversation import Confidences
from voicebot.dialogue.flow.setting import Setting
from voicebot.dialogue.state import ConversationState
from voicebot.safety.policy import IntentRule, Policy, PolicyFacts, Ruling


class Rules:
    """The policy as the flow uses it. Stateless; one per deployment."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.version = policy.version
        self.table = policy.table

    def rule(self, intent: str) -> IntentRule | None:
        """The intent's row."""
        return self._policy.rule(intent)

    def sure(self, intent: str) -> float:
        """The probability from which an intent counts as certain."""
        rule = self._policy.rule(intent)
        default = self._policy.table.thresholds.sure
        return rule.sure if rule is not None and rule.sure is not None else default

    def decide(
        self, state: ConversationState, setting: Setting, intent: str, confidences: Confidences
    ) -> Ruling:
        """What may be done for an intent, as things stand."""
        return self._policy.decide(PolicyFacts(intent, confidences, state.gate.match is not None))


def is_lost(ruling: Ruling) -> bool:
    """It is not known what the caller wants."""
    return ruling.row.endswith("/lost")


def is_unsure(ruling: Ruling) -> bool:
    """What the caller wants is likely, not certain."""
    return ruling.row.endswith("/unsure")


def lacks_identity(ruling: Ruling) -> bool:
    """The ruling stands as long as the caller is not verified."""
    return ruling.row.endswith("/unverified")


def lacks_grounding(ruling: Ruling) -> bool:
    """The ruling stands as long as nothing is found that answers."""
    return ruling.row.endswith("/ungrounded")


def owner_of(ruling: Ruling) -> str | None:
    """The team that deals with it, None for whoever is free."""
    return getattr(ruling, "owner", None)
