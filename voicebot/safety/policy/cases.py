"""Policy tests: ``business/policy_tests.yaml``, beside the policy and reviewed with it.

    cases:
      - name: a stranger hears nothing about an order
        intent: order_status
        sure: 0.95
        expect: {action: clarify, row: order_status/tier1/unverified}

They run in `make test`, in `voicebot doctor --policy`, and at every boot. `make test` and the doctor want
the very ruling; a boot only refuses what is freer than what was agreed, so that a table may be made
stricter in a hurry.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path
from typing import Literal

from pydantic import Field

from voicebot.core.conversation import Action, Confidences, Route, Strict, Urgency
from voicebot.safety.policy.circumstances import DAYS
from voicebot.safety.policy.facts import Health, PolicyFacts, Ruling
from voicebot.safety.policy.policy import Policy
from voicebot.safety.policy.reading import read_model
from voicebot.safety.policy.risk import FREEDOM, TO_A_PERSON, WRITERS
from voicebot.safety.policy.segment import supposed


class Expected(Strict):
    """What the ruling must be. What is not named may be anything."""

    action: Action
    row: str | None = None
    route: Route | None = None
    tier: int | None = Field(default=None, ge=0, le=3)
    urgency: Urgency | None = None
    owner: str | None = None
    tools: tuple[str, ...] | None = None
    clearances: tuple[str, ...] | None = None


class Case(Strict):
    """Facts, and what must come of them.

    ``sure``, ``grounding`` and ``answer`` are the three confidences. Several ``intents`` share one
    expectation.
    """

    name: str = Field(min_length=3)
    intents: tuple[str, ...] = Field(min_length=1)
    sure: float | None = Field(default=None, ge=0, le=1)
    grounding: float | None = Field(default=None, ge=0, le=1)
    answer: float | None = Field(default=None, ge=0, le=1)
    verified: bool = False
    segment: str | None = None
    region: str | None = None
    at: str | None = Field(default=None, pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    day: Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"] | None = None
    today: date | None = None
    health: Health = Health.OK
    distress: float = Field(default=0.0, ge=0, le=1)
    vulnerable: bool = False
    expect: Expected

    def facts(self, intent: str) -> PolicyFacts:
        """What the policy is asked for one of the intents."""
        return PolicyFacts(
            intent,
            Confidences(classification=self.sure, grounding=self.grounding, answer=self.answer),
            self.verified,
            segment=None if self.segment is None else supposed(self.segment),
            region=self.region,
            local_time=None if self.at is None else time.fromisoformat(self.at),
            weekday=None if self.day is None else DAYS.index(self.day),
            today=self.today,
            healthy=self.health,
            distress=self.distress,
            vulnerable=self.vulnerable,
        )


class PolicyCases(Strict):
    """The whole file."""

    cases: tuple[Case, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Failure:
    """A case that the policy decides otherwise."""

    case: str
    intent: str
    wrong: tuple[str, ...]
    ruling: Ruling
    freer: bool
    """Not only different: freer, less urgent, away from a person, or more may be read and written."""

    def __str__(self) -> str:
        under = "".join(f", under {name}" for name in self.ruling.in_force)
        return (
            f"{'; '.join(self.wrong)}{under} (policy test {self.case!r}, {self.intent}); "
            "if the change is meant, change policy_tests.yaml with it"
        )


def read_cases(path: Path) -> PolicyCases:
    """The policy tests in a file.

    Raises:
        PolicyError: no such file, not YAML, a key or value that does not exist.
    """
    return read_model(path, PolicyCases)


def run_cases(policy: Policy, cases: PolicyCases) -> tuple[Failure, ...]:
    """Every case, for each of its intents. Returns what came out otherwise."""
    failures: list[Failure] = []
    for case in cases.cases:
        for intent in case.intents:
            ruling = policy.decide(case.facts(intent))
            wrong = tuple(_differences(case.expect, ruling))
            if wrong:
                failures.append(Failure(case.name, intent, wrong, ruling, _freer(case.expect, ruling)))
    return tuple(failures)


def untested(policy: Policy, cases: PolicyCases) -> tuple[str, ...]:
    """Rows that no case speaks of: intents that none names, overrides and grants that none meets."""
    rulings = [policy.decide(case.facts(intent)) for case in cases.cases for intent in case.intents]
    tested = {intent for case in cases.cases for intent in case.intents}
    missing = [f"intents.{intent}" for intent in policy.table.intents if intent not in tested]
    met = {name for ruling in rulings for name in ruling.in_force}
    circumstances = [f"overrides.{name}" for name in policy.table.overrides]
    circumstances += [f"grants.{name}" for name in policy.table.grants]
    return (*missing, *(row for row in circumstances if row not in met))


def _freer(expected: Expected, ruling: Ruling) -> bool:
    return (
        FREEDOM[ruling.action] > FREEDOM[expected.action]
        or (ruling.action is Action.END and expected.action is not Action.END)
        or (expected.action in TO_A_PERSON and ruling.action not in {*TO_A_PERSON, Action.DRAFT})
        or (expected.route is not None and WRITERS[ruling.route] > WRITERS[expected.route])
        or (expected.tier is not None and ruling.tier < expected.tier)
        or (
            expected.urgency is not None
            and _URGENCIES.index(ruling.urgency) < _URGENCIES.index(expected.urgency)
        )
        or (expected.tools is not None and not set(ruling.tools) <= set(expected.tools))
        or (expected.clearances is not None and not set(ruling.clearances) <= set(expected.clearances))
    )


_URGENCIES = tuple(Urgency)


def _differences(expected: Expected, ruling: Ruling) -> Iterable[str]:
    for name in Expected.model_fields:
        want, got = getattr(expected, name), getattr(ruling, name)
        if want is not None and want != got:
            yield f"{name} is `{got}`, the tests want `{want}`"
