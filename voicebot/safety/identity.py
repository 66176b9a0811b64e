"""The identity gate: which facts a caller must give, and the only maker of a VerifiedCustomer.

Pure: values in, decision out. The gate never says which of the facts was wrong, never reads a
stored value back, and compares without telling by its time how much of a value was right.
What the deployment asks for (which factors, how many digits, how many tries) is data.

    progress = gate.hear(progress, utterance)      # digits out of the caller's words or keys
    step = gate.next(progress)                     # Ask | Check | Passed | Refused
    progress = gate.check(progress, records)       # records: what the system of record holds
    customer = gate.customer(progress)             # VerifiedCustomer | None
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from pydantic import Field

from voicebot.core.conversation import Keys, Strict, Utterance
from voicebot.safety.spoken_numbers import count_digits, digit_runs, read_digits

_SEAL = object()


@dataclass(frozen=True, slots=True, init=False)
class VerifiedCustomer:
    """A caller whose identity this gate has checked. Tools that touch an account demand this type.

    Cannot be made by hand: `Gate.customer` is the only source, so code that holds one has been
    through the gate.
    """

    customer_id: str
    reference: str
    """The value of the factor that found the customer (an order number), as the caller gave it."""
    method: tuple[str, ...]
    """Names of the factors that matched."""

    def __init__(self, seal: object, customer_id: str, reference: str, method: tuple[str, ...]) -> None:
        if seal is not _SEAL:
            raise TypeError("VerifiedCustomer is made by the identity gate only: use Gate.customer(progress)")
        object.__setattr__(self, "customer_id", customer_id)
        object.__setattr__(self, "reference", reference)
        object.__setattr__(self, "method", method)


class Factor(Strict):
    """One fact to be given: ``name`` as policy and records know it, ``digits`` how many."""

    name: str = Field(pattern=r"^[a-z][a-z_]*$")
    digits: int = Field(ge=3, le=19)


class GateRules(Strict):
    """What the deployment demands. The first factor finds the record, the others must match it."""

    factors: tuple[Factor, ...] = Field(min_length=2)
    max_tries: int = Field(default=3, ge=1, le=5)
    """Complete but wrong sets of facts until a person takes over."""
    spoken_attempts: int = Field(default=2, ge=1, le=4)
    """Misheard attempts per factor, or failed tries, until the keypad is asked for."""
    max_misheard: int = Field(default=4, ge=2, le=8)
    """Misheard attempts at one factor until a person takes over."""
    candidates: int = Field(default=3, ge=1, le=5)
    """Readings of one answer (n-best) that are compared at most."""


class FactorProgress(Strict):
    """What the caller has given for one factor in this try. ``candidates``: readings, likeliest first."""

    candidates: tuple[str, ...] = ()
    keyed: bool = False
    misheard: int = 0
    asked: int = 0
    before: tuple[str, ...] = ()
    """The candidates of the last failed try: they count again if the caller mends the other fact only."""


class Match(Strict):
    """The outcome of a passed check, kept with the conversation."""

    customer_id: str
    reference: str
    method: tuple[str, ...]


class GateProgress(Strict):
    """Where a conversation stands at the gate; part of its state, encrypted with it."""

    given: dict[str, FactorProgress] = Field(default_factory=dict[str, FactorProgress])
    tries: int = 0
    match: Match | None = None


class IdentityRecord(Strict):
    """What the system of record holds for a reference: the expected ``values`` by factor name."""

    customer_id: str
    values: dict[str, str]


class AskHow(StrEnum):
    """How to ask: for the first time, again in other words, or for the keypad."""

    FIRST = "first"
    AGAIN = "again"
    RETRY = "retry"
    KEYPAD = "keypad"


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the caller for ``factor``."""

    factor: Factor
    how: AskHow
    nth: int = 0
    """How often it was asked this way before in a row: the same words are not said twice."""


@dataclass(frozen=True, slots=True)
class Check:
    """Everything was given: look the references up, then call `Gate.check`."""

    references: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Passed:
    """The caller is verified."""


@dataclass(frozen=True, slots=True)
class Refused:
    """No more tries: a person takes over."""

    reason: Literal["too_many_tries", "not_understood"]


Step = Ask | Check | Passed | Refused


class Gate:
    """Decides what to ask next and who is verified. Stateless; one per deployment, shared by all calls."""

    def __init__(self, rules: GateRules) -> None:
        self.rules = rules

    def hear(
        self, progress: GateProgress, given: Utterance | Keys, *, asked: str | None = None
    ) -> GateProgress:
        """Takes digits out of the caller's words or keys.

        ``asked`` names the factor that was just asked for: an answer to it that holds no usable
        digits counts as misheard; unasked words that hold none change nothing. Several factors in
        one sentence are taken together.
        """
        if isinstance(given, Keys):
            return self._keyed(progress, given.raw.rstrip("#"), asked)
        given = given.raw
        updated = dict(progress.given)
        open_factors = [f for f in self._ordered(asked) if not self._of(progress, f).candidates]
        taken = self._spoken(given, open_factors, asked) or self._mended(progress, given, asked)
        for name, candidates in taken.items():
            updated[name] = self._of(progress, name).model_copy(update={"candidates": candidates})
        if asked is not None and asked not in taken:
            before = self._of(progress, asked)
            updated[asked] = before.model_copy(update={"misheard": before.misheard + 1})
        return progress.model_copy(update={"given": updated})

    def holds_digits(self, given: Utterance | Keys) -> bool:
        """Whether the input could be meant for a factor: enough digits, spoken or keyed."""
        if isinstance(given, Keys):
            return len(given.raw) >= 3
        return count_digits(given.raw.text) >= 3

    def fits(self, given: Utterance, name: str) -> bool:
        """Whether the words hold exactly as many digits as the factor has."""
        factor = next(one for one in self.rules.factors if one.name == name)
        return bool(read_digits(given.raw.text, factor.digits, given.raw.alternatives))

    def next(self, progress: GateProgress) -> Step:
        """What to do now."""
        if progress.match is not None:
            return Passed()
        if progress.tries >= self.rules.max_tries:
            return Refused("too_many_tries")
        for factor in self.rules.factors:
            one = self._of(progress, factor.name)
            if one.candidates:
                continue
            if one.misheard >= self.rules.max_misheard:
                return Refused("not_understood")
            how = self._how(progress, factor, one)
            beyond = one.misheard - self.rules.spoken_attempts if how is AskHow.KEYPAD else 0
            return Ask(factor, how, max(0, beyond))
        return Check(self._of(progress, self.rules.factors[0].name).candidates)

    def forget(self, progress: GateProgress, name: str) -> GateProgress:
        """The caller says a value was taken down wrongly: it is asked for again."""
        before = self._of(progress, name)
        again = before.model_copy(update={"candidates": (), "misheard": before.misheard + 1})
        return progress.model_copy(update={"given": {**progress.given, name: again}})

    def asked(self, progress: GateProgress, name: str) -> GateProgress:
        """Notes that the question for a factor was put, so that the next one is put differently."""
        before = self._of(progress, name)
        return progress.model_copy(
            update={"given": {**progress.given, name: before.model_copy(update={"asked": before.asked + 1})}}
        )

    def check(self, progress: GateProgress, records: Sequence[tuple[str, IdentityRecord]]) -> GateProgress:
        """Compares what was given with the records found, as pairs (reference, record).

        A failed check costs one try and clears what was given; nothing tells which fact was wrong.
        """
        others = self.rules.factors[1:]
        found: Match | None = None
        for reference, record in records:
            matches = [
                _any_equal(self._of(progress, factor.name).candidates, record.values.get(factor.name, ""))
                for factor in others
            ]
            if all(matches) and found is None:
                found = Match(
                    customer_id=record.customer_id,
                    reference=reference,
                    method=tuple(factor.name for factor in self.rules.factors),
                )
        if found is not None:
            return progress.model_copy(update={"match": found})
        cleared = {
            name: one.model_copy(
                update={"candidates": (), "keyed": False, "misheard": 0, "before": one.candidates}
            )
            for name, one in progress.given.items()
        }
        return progress.model_copy(update={"given": cleared, "tries": progress.tries + 1})

    def customer(self, progress: GateProgress) -> VerifiedCustomer | None:
        """The verified caller, or None. The only place a VerifiedCustomer is made."""
        if progress.match is None:
            return None
        match = progress.match
        return VerifiedCustomer(_SEAL, match.customer_id, match.reference, match.method)

    def heard_as(self, progress: GateProgress, name: str) -> str | None:
        """The likeliest reading of what the caller said for a factor (his own words, not a record's)."""
        candidates = self._of(progress, name).candidates
        return candidates[0] if candidates else None

    def _of(self, progress: GateProgress, factor: Factor | str) -> FactorProgress:
        name = factor if isinstance(factor, str) else factor.name
        return progress.given.get(name, FactorProgress())

    def _ordered(self, asked: str | None) -> list[Factor]:
        return sorted(self.rules.factors, key=lambda factor: factor.name != asked)

    def _how(self, progress: GateProgress, factor: Factor, one: FactorProgress) -> AskHow:
        keyed_wrong = one.keyed and one.misheard > 0  # who began on the keypad goes on there
        if (
            keyed_wrong
            or one.misheard >= self.rules.spoken_attempts
            or progress.tries >= self.rules.spoken_attempts
        ):
            return AskHow.KEYPAD
        if one.misheard:
            return AskHow.AGAIN
        first = self.rules.factors[0].name == factor.name
        return AskHow.RETRY if progress.tries and first else AskHow.FIRST

    def _mended(
        self, progress: GateProgress, given: Utterance, asked: str | None
    ) -> dict[str, tuple[str, ...]]:
        """After a wrong pair: another fact, said where the first was asked for, goes with the first as given.

        Digits that are no answer to the question but just as many as the other fact has.
        """
        first = self.rules.factors[0]
        before = self._of(progress, first).before
        if asked != first.name or not before or len(digit_runs(given.text)) != 1:
            return {}
        for factor in self.rules.factors[1:]:
            readings = read_digits(given.text, factor.digits, given.alternatives, limit=self.rules.candidates)
            if readings and not any(_within(readings[0], one) for one in before):
                return {first.name: before, factor.name: readings}
        return {}

    def _spoken(
        self, given: Utterance, factors: Sequence[Factor], asked: str | None
    ) -> dict[str, tuple[str, ...]]:
        """Readings by factor name. One run of digits may hold all factors one after the other."""
        taken: dict[str, tuple[str, ...]] = {}
        said = (given.text, *given.alternatives)
        for factor in factors:
            readings = read_digits(said[0], factor.digits, said[1:], limit=self.rules.candidates)
            if not readings:
                continue
            if not taken:
                # One reading of one number is one factor: another length in another reading is a slip.
                said = tuple(text for text in said if read_digits(text, factor.digits))
            taken[factor.name] = readings
        if len(factors) > 1 and not taken:
            total = sum(factor.digits for factor in self.rules.factors)
            order = [factor for factor in self.rules.factors if factor in factors]
            whole = read_digits(given.text, total, given.alternatives, limit=1)
            if whole and len(order) == len(self.rules.factors):
                at = 0
                for factor in order:
                    taken[factor.name] = (whole[0][at : at + factor.digits],)
                    at += factor.digits
        if asked is not None and asked not in taken and len(taken) > 0 and len(digit_runs(given.text)) == 1:
            return {}  # one run of the wrong length for what was asked: misheard, not another factor
        if asked is None and self.rules.factors[0].name not in taken:
            return {}  # digits nobody asked for can only be the reference
        return taken

    def _keyed(self, progress: GateProgress, digits: str, asked: str | None) -> GateProgress:
        updated = dict(progress.given)
        for factor in self._ordered(asked):
            fits = len(digits) == factor.digits and digits.isdigit()
            if fits and (factor.name == asked or not self._of(progress, factor).candidates):
                before = self._of(progress, factor)
                updated[factor.name] = before.model_copy(update={"candidates": (digits,), "keyed": True})
                first = self.rules.factors[0]
                earlier = self._of(progress, first)
                if asked == first.name != factor.name and earlier.before and not earlier.candidates:
                    updated[first.name] = earlier.model_copy(update={"candidates": earlier.before})
                return progress.model_copy(update={"given": updated})
        if asked is not None:
            before = self._of(progress, asked)
            updated[asked] = before.model_copy(update={"misheard": before.misheard + 1, "keyed": True})
        return progress.model_copy(update={"given": updated})


def _within(digits: str, number: str) -> bool:
    """Whether a number holds the digits in their order: it was said again, and some were lost."""
    rest = iter(number)
    return all(digit in rest for digit in digits)


def _any_equal(candidates: Sequence[str], expected: str) -> bool:
    """Whether one candidate equals the value; always compares all of them, in constant time each."""
    results = [hmac.compare_digest(candidate.encode(), expected.encode()) for candidate in candidates]
    return bool(expected) and any(results)
