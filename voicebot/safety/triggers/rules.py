"""``triggers:`` of ``business/policy.yaml``: when a person takes over, one model for each trigger. Strict.

Numbers that other parts of the policy have already stand there and nowhere else: `thresholds` (distress,
grounding), `ladder` (not heard, not understood), `limits` (acts), `identity` (tries).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from voicebot.core.conversation import Strict
from voicebot.safety.triggers.signs import SignName

Share = Annotated[float, Field(gt=0, le=1)]
Part = Literal["recogniser", "voice", "records", "model", "database"]
"""What can be down: engines of hearing and speaking, the system of record, language model, our database."""
Always = Literal[True]
"""A trigger that cannot be switched off: whoever asks for a person, or is in danger, gets one."""


class Trigger(Strict):
    """A trigger without numbers of its own. Off: the person is offered, and not put through at once."""

    on: bool = True


class AlwaysOn(Strict):
    """One that no deployment may do without."""

    on: Always = True


class Asked(Strict):
    """A person was asked for. Limits are probabilities of that intent, below its own `sure`."""

    on: Always = True
    at_gate: Share = 0.30
    """Enough while digits are asked for, where nothing else is expected."""
    hint: Share = 0.20
    """A weak sign."""


class Distress(Strict):
    """Danger or despair; it fires at `thresholds.distress`."""

    on: Always = True
    hint: Share = 0.25
    """A weak sign."""


class Circle(Strict):
    """A circle is counted from the second time round: a person is offered first, then takes over."""

    offer_at: int = Field(default=2, ge=2, le=6)
    person_at: int = Field(default=3, ge=2, le=8)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.offer_at > self.person_at:
            raise ValueError("`offer_at` must not lie above `person_at`")
        return self


class Loop(Trigger):
    """The caller says it again in other words, wants the same again unresolved, hears the same again."""

    rephrasing: Circle = Circle()
    same_intent: Circle = Circle()
    same_answer: Circle = Circle()


class Grounding(Trigger):
    """So many questions in a row that no article covers as well as their intent demands."""

    times: int = Field(default=3, ge=1, le=6)


class Mood(Trigger):
    """Sentiment (-1 to 1) fell by ``fall`` over the last ``over`` turns of the caller, down to ``low``."""

    over: int = Field(default=3, ge=2, le=5)
    fall: float = Field(default=0.4, gt=0, le=2)
    low: float = Field(default=-0.6, ge=-1, lt=0)
    hint: float = Field(default=-0.55, ge=-1, lt=0)
    """At or below: a weak sign."""


def _phrase(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9' ]+", value):
        raise ValueError(f"{value!r}: lower-case words only, as a recogniser writes them")
    return value


class Regulated(Trigger):
    """Topics that only a person may speak about, by the words that name them; words are matched whole."""

    topics: dict[str, tuple[Annotated[str, AfterValidator(_phrase)], ...]] = Field(
        default_factory=dict[str, tuple[str, ...]]
    )


class CustomerTier(Trigger):
    """Segments of verified customers whom a person is given at so many signs of trouble, of any kind."""

    segments: dict[str, Annotated[int, Field(ge=1, le=8)]] = Field(default_factory=dict[str, int])


class Latency(Trigger):
    """So many answers in a row began later than this after the caller's last sound."""

    ms: int = Field(default=3000, ge=500, le=30_000)
    times: int = Field(default=2, ge=1, le=5)


class Outage(Trigger):
    """Parts whose failure the caller would be kept waiting for. ``failures``: in a row until it counts."""

    parts: tuple[Part, ...] = ("recogniser", "voice", "records", "database")
    failures: int = Field(default=2, ge=1, le=10)


class TooLong(Trigger):
    """A conversation that is still not over. Minutes count where somebody listens, turns everywhere."""

    minutes: float = Field(default=15, gt=0, le=240)
    turns: int = Field(default=40, ge=5, le=500)


class WeakSignals(Trigger):
    """Two different weak signs ``within`` so many turns of the caller."""

    within: int = Field(default=2, ge=1, le=5)
    of: tuple[SignName, ...] = ("mood", "circle", "slow", "distress", "person", "tool_error")


class TriggerRules(Strict):
    """All triggers, by name."""

    asked_for_person: Asked = Asked()
    key_zero: AlwaysOn = AlwaysOn()
    accepted_offer: AlwaysOn = AlwaysOn()
    distress: Distress = Distress()
    policy: AlwaysOn = AlwaysOn()
    regulated: Regulated = Regulated()
    loop: Loop = Loop()
    not_understood: Trigger = Trigger()
    language: Trigger = Trigger()
    asr_failure: Trigger = Trigger()
    no_grounding: Grounding = Grounding()
    mood: Mood = Mood()
    tool_error: Trigger = Trigger()
    act_failed: Trigger = Trigger()
    act_limit: AlwaysOn = AlwaysOn()
    identity_not_verified: AlwaysOn = AlwaysOn()
    abuse: Trigger = Trigger()
    draft_rejected: AlwaysOn = AlwaysOn()
    draft_overdue: AlwaysOn = AlwaysOn()
    latency: Latency = Latency()
    outage: Outage = Outage()
    too_long: TooLong = TooLong()
    customer_tier: CustomerTier = CustomerTier()
    weak_signals: WeakSignals = WeakSignals()
    calm_after: int = Field(default=3, ge=1, le=20)
    """Turns of the caller without a sign, after which trouble is over."""

    def is_on(self, trigger: str) -> bool:
        """Whether a trigger is on; what is no trigger of the policy (a switch, a failed call) always is."""
        rule = getattr(self, trigger, None)
        return rule.on if isinstance(rule, Trigger) else True

    def names(self) -> Iterator[str]:
        """The names of all triggers."""
        return (name for name in type(self).model_fields if name != "calm_after")


MODELS: dict[str, type[Strict]] = {
    name: field.annotation
    for name, field in TriggerRules.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Strict)
}
"""Each trigger's model, by its key in the policy."""
