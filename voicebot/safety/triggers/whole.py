"""The triggers that look at a whole turn, when it is planned and would go on with the bot. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from voicebot.safety.triggers.cause import Cause
from voicebot.safety.triggers.evidence import ungrounded
from voicebot.safety.triggers.faults import latency, outage
from voicebot.safety.triggers.length import too_long
from voicebot.safety.triggers.matrix import customer_tier
from voicebot.safety.triggers.mood import falling
from voicebot.safety.triggers.rules import TriggerRules
from voicebot.safety.triggers.signs import Risk
from voicebot.safety.triggers.together import weak_signals
from voicebot.safety.triggers.topics import named


@dataclass(frozen=True, slots=True)
class TurnFacts:
    """What is known at the end of planning a turn of the caller.

    ``risk`` has this turn's signs already. ``meant``: the words say something of their own, unlike a yes, a
    thanks or digits. ``declined``: the caller wants no person. ``needs``: parts that the turn asks something
    of; ``down``: failures in a row by part. ``grounding`` and its limit: None where none was measured.
    """

    now: datetime
    risk: Risk
    spoken: bool
    words: str = field(default="", repr=False)
    meant: bool = True
    declined: bool = False
    answered: bool = False
    sentiments: tuple[float, ...] = ()
    segment: str | None = None
    grounding: float | None = None
    grounding_limit: float = 0.0
    needs: frozenset[str] = frozenset()
    down: Mapping[str, int] = field(default_factory=dict[str, int])


def judge(facts: TurnFacts, rules: TriggerRules) -> Cause | None:
    """The first that fires: what the law says, what is broken, then how the conversation goes.

    Whoever wants no person is left with the bot as long as it works; nobody is sent on for a plain yes.
    """
    found = (
        (rules.regulated.on and facts.meant and named(facts.words, rules.regulated)) or None,
        (rules.outage.on and outage(facts.down, facts.needs, rules.outage)) or None,
        (rules.latency.on and latency(facts.risk, rules.latency)) or None,
    )
    cause = next((one for one in found if one is not None), None)
    if cause is not None or facts.declined or not facts.meant:
        return cause
    risk = facts.risk
    course = (
        (rules.mood.on and falling(facts.sentiments, rules.mood, answered=facts.answered)) or None,
        (rules.no_grounding.on and not facts.answered and _uncovered(facts, rules)) or None,
        (rules.weak_signals.on and weak_signals(risk, rules.weak_signals)) or None,
        (rules.customer_tier.on and customer_tier(facts.segment, risk, rules.customer_tier)) or None,
        (rules.too_long.on and too_long(risk, facts.now, spoken=facts.spoken, rules=rules.too_long)) or None,
    )
    return next((one for one in course if one is not None), None)


def _uncovered(facts: TurnFacts, rules: TriggerRules) -> Cause | None:
    return ungrounded(facts.risk.ungrounded, facts.grounding, facts.grounding_limit, rules.no_grounding)
