"""The identity gate: which facts a caller must give, and the only maker of a VerifiedCustomer.

Pure: values in, decision out. The gate never says which of the facts was wrong, never reads a
stored value back, and compares without telling by its time how much of a value was right.
What the deployment asks for (which factors, how many digits, how many tries) is data.

    progress = gate.hear(progress, utterance)      # facts out of the caller's words or keys
    step = gate.next(progress, level)              # Ask | Check | SendCode | CheckCode | Passed | Refused
    progress = gate.check(progress, records)       # records: what the system of record holds
    customer = gate.customer(progress)             # VerifiedCustomer | None
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from voicebot.core.conversation import Keys, Utterance
from voicebot.core.number_words import MONTHS
from voicebot.safety.identity.customer import SEAL, VerifiedCustomer
from voicebot.safety.identity.facts import keyed_fact, read_fact, same_fact
from voicebot.safety.identity.names import introduces, said_names
from voicebot.safety.identity.progress import (
    Ask,
    AskHow,
    Check,
    CheckCode,
    FactorProgress,
    GateProgress,
    IdentityRecord,
    Match,
    Passed,
    Refused,
    SendCode,
    Step,
)
from voicebot.safety.identity.rules import Factor, FactorKind, FactorSet, GateRules
from voicebot.safety.pii.spoken_form import normalise
from voicebot.safety.pii.words import Kind
from voicebot.safety.spoken_numbers import count_digits, digit_runs, read_digits

_NAMED = re.compile(r"\bname(?:'s| is)\s+([a-z'-]+(?:\s+[a-z'-]+)?)", re.IGNORECASE)


class Gate:
    """Decides what to ask next and who is verified. Stateless; one per deployment, shared by all calls."""

    def __init__(self, rules: GateRules) -> None:
        self.rules = rules

    def hear(
        self, progress: GateProgress, given: Utterance | Keys, *, asked: str | None = None, level: int = 1
    ) -> GateProgress:
        """Takes facts out of the caller's words or keys.

        ``asked`` names the factor that was just asked for: an answer to it that holds nothing
        usable counts as misheard; unasked words that hold none change nothing. Several factors in
        one sentence are taken together. ``level``: what is to be proved.
        """
        wanted = self._wanted(progress, level)
        if isinstance(given, Keys):
            return self._keyed(progress, given.raw.rstrip("#"), asked, wanted)
        given = given.raw
        updated = dict(progress.given)
        open_factors = [
            f
            for f in sorted(wanted, key=lambda one: one.name != asked)
            if not self._of(progress, f).candidates
        ]
        taken = self._worded(given, open_factors, asked)
        if taken:
            others = tuple(_without_dates(one) for one in given.alternatives)
            given = given.model_copy(update={"text": _without_dates(given.text), "alternatives": others})
        numbers = [one for one in open_factors if one.numeric and one.name not in taken]
        in_numbers = asked if asked is None or asked not in taken else None
        spoken = self._spoken(given, numbers, in_numbers, self._numeric(wanted)) if numbers else {}
        taken |= spoken
        if not taken:
            taken = self._mended(progress, given, asked, wanted)
        for name, candidates in taken.items():
            updated[name] = self._of(progress, name).model_copy(update={"candidates": candidates})
        if asked is not None and asked not in taken:
            before = self._of(progress, asked)
            updated[asked] = before.model_copy(update={"misheard": before.misheard + 1})
        return progress.model_copy(update={"given": updated})

    def holds_digits(self, given: Utterance | Keys, asked: str | None = None) -> bool:
        """Whether the input could be meant for a factor: enough digits, or what ``asked`` looks like."""
        if isinstance(given, Keys):
            return len(given.raw) >= 3
        if count_digits(given.raw.text) >= 3:
            return True
        if asked is None:
            return False
        factor = self.rules.factor(asked)
        if factor.kind is FactorKind.NAME:
            return introduces(given.raw.text)
        return not factor.numeric and bool(self._read(factor, given.raw))

    def is_name(self, asked: str | None) -> bool:
        """Whether words without digits are an answer to what was asked."""
        return asked is not None and self.rules.factor(asked).kind is FactorKind.NAME

    def fits(self, given: Utterance, name: str) -> bool:
        """Whether the words hold the fact: as many digits as it has, a whole date, a name."""
        return bool(self._read(self.rules.factor(name), given.raw))

    @property
    def opening_keys(self) -> frozenset[int]:
        """How many keys may begin an identification that nobody asked for."""
        first = self.rules.in_order[0].factors
        return frozenset(self.rules.factor(name).keys for name in first) - {0}

    def due(self, progress: GateProgress, intent: str | None) -> Step:
        """What to do now, if the caller wants this."""
        return self.next(progress, self.rules.demanded(intent))

    def next(self, progress: GateProgress, level: int = 1) -> Step:
        """What to do now, if ``level`` is to be proved."""
        match = progress.match
        if match is not None and match.level >= level:
            return Passed()
        if progress.locked:
            return Refused("locked")
        if progress.tries >= self.rules.max_tries:
            return Refused("too_many_tries")
        chosen = self._chosen(progress, level)
        if chosen is None:
            return Refused("declined")
        open_factors = self._open(progress, chosen)
        for factor in open_factors:
            if factor.kind is FactorKind.CODE:
                continue
            ask = self._asked_for(progress, factor, chosen)
            if ask is not None:
                return ask
        if match is None or any(one.kind is not FactorKind.CODE for one in open_factors):
            found = (
                (match.reference,) if match is not None else self._of(progress, chosen.factors[0]).candidates
            )
            return Check(found)
        code = open_factors[0]
        if not progress.sent:
            return SendCode(match.reference)
        return self._asked_for(progress, code, chosen) or CheckCode(
            match.reference, self._of(progress, code).candidates
        )

    def _asked_for(self, progress: GateProgress, factor: Factor, chosen: FactorSet) -> Ask | Refused | None:
        one = self._of(progress, factor)
        if one.candidates:
            return None
        if one.misheard >= self.rules.max_misheard:
            return Refused("not_understood")
        how = self._how(progress, factor, one, first=chosen.factors[0] == factor.name)
        beyond = one.misheard - self.rules.spoken_attempts if how is AskHow.KEYPAD else 0
        return Ask(factor, how, max(0, beyond))

    def decline(self, progress: GateProgress, name: str, level: int = 1) -> GateProgress:
        """The caller does not give this fact: another set is asked for, as far as policy has one."""
        declined = (*progress.declined, name)
        return progress.model_copy(update={"declined": declined, "sent": False})

    def offers_other(self, progress: GateProgress, name: str, level: int = 1) -> bool:
        """Whether the caller may go on without this fact."""
        return self._chosen(self.decline(progress, name), level) is not None

    def sent(self, progress: GateProgress) -> GateProgress:
        """A code is on its way."""
        return progress.model_copy(update={"sent": True})

    def lock(self, progress: GateProgress) -> GateProgress:
        """Too many tries, here or elsewhere."""
        given = {name: one.model_copy(update={"candidates": ()}) for name, one in progress.given.items()}
        return progress.model_copy(update={"locked": True, "given": given})

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

    def check(
        self, progress: GateProgress, records: Sequence[tuple[str, IdentityRecord]], level: int = 1
    ) -> GateProgress:
        """Compares what was given with the records found, as pairs (reference, record).

        A failed check costs one try and clears what was given; nothing tells which fact was wrong. Records of
        several customers that match are nobody's: the likelier reading of a number is not proof enough.
        """
        chosen = self._chosen(progress, level)
        if chosen is None:
            return self._failed(progress, ())
        known = progress.match
        proved = frozenset(known.method if known is not None else ())
        others = [
            self.rules.factor(name)
            for name in chosen.factors[1:]
            if name not in proved and self.rules.factor(name).kind is not FactorKind.CODE
        ]
        found: dict[str, str] = {}
        for reference, record in records:
            matches = [
                same_fact(factor, self._of(progress, factor).candidates, record.values.get(factor.name, ""))
                for factor in others
            ]
            if all(matches) and bool(others) and (known is None or known.customer_id == record.customer_id):
                found.setdefault(record.customer_id, reference)
        if len(found) != 1:
            return self._failed(progress, proved)
        [(customer_id, reference)] = found.items()
        names = proved | {chosen.factors[0]} | {factor.name for factor in others}
        return progress.model_copy(update={"match": self._match(customer_id, reference, names)})

    def code_checked(self, progress: GateProgress, *, right: bool) -> GateProgress:
        """What came of a code that was told. A wrong one costs a try."""
        known = progress.match
        if known is None:
            raise ValueError("a code is asked for only of a caller who is known")
        codes = {one.name for one in self.rules.factors if one.kind is FactorKind.CODE}
        if not right:
            return self._failed(progress, frozenset(known.method))
        cleared = {name: one for name, one in progress.given.items() if name not in codes}
        match = self._match(known.customer_id, known.reference, frozenset(known.method) | codes)
        return progress.model_copy(update={"match": match, "given": cleared, "sent": False})

    def code_lapsed(self, progress: GateProgress) -> GateProgress:
        """The code that was told ran out before: no try is lost, another one may be sent."""
        codes = {one.name for one in self.rules.factors if one.kind is FactorKind.CODE}
        cleared = {name: one for name, one in progress.given.items() if name not in codes}
        return progress.model_copy(update={"given": cleared, "sent": False})

    def _match(self, customer_id: str, reference: str, names: frozenset[str]) -> Match:
        method = tuple(one.name for one in self.rules.factors if one.name in names)
        return Match(
            customer_id=customer_id, reference=reference, method=method, level=self.rules.proved(names)
        )

    def _failed(self, progress: GateProgress, proved: Sequence[str] | frozenset[str]) -> GateProgress:
        cleared = {
            name: one
            if name in proved
            else one.model_copy(
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
        return VerifiedCustomer(SEAL, match.customer_id, match.reference, match.method, match.level)

    def heard_as(self, progress: GateProgress, name: str) -> str | None:
        """The likeliest reading of what the caller said for a factor (his own words, not a record's)."""
        candidates = self._of(progress, name).candidates
        return candidates[0] if candidates else None

    def _of(self, progress: GateProgress, factor: Factor | str) -> FactorProgress:
        name = factor if isinstance(factor, str) else factor.name
        return progress.given.get(name, FactorProgress())

    def _chosen(self, progress: GateProgress, level: int) -> FactorSet | None:
        method = frozenset(progress.match.method) if progress.match is not None else frozenset[str]()
        return self.rules.least(level, progress.declined, method)

    def _open(self, progress: GateProgress, chosen: FactorSet) -> list[Factor]:
        """Factors of the set that are not proved yet, a code last."""
        proved = progress.match.method if progress.match is not None else ()
        open_factors = [self.rules.factor(name) for name in chosen.factors if name not in proved]
        return sorted(open_factors, key=lambda one: one.kind is FactorKind.CODE)

    def _wanted(self, progress: GateProgress, level: int) -> list[Factor]:
        """Factors that may be given now. A code counts only once one was sent."""
        chosen = self._chosen(progress, level)
        if chosen is None:
            return []
        return [
            one for one in self._open(progress, chosen) if one.kind is not FactorKind.CODE or progress.sent
        ]

    def _read(self, factor: Factor, given: Utterance) -> tuple[str, ...]:
        return read_fact(
            factor, given.text, given.alternatives, order=self.rules.date_order, limit=self.rules.candidates
        )

    def _worded(
        self, given: Utterance, factors: Sequence[Factor], asked: str | None
    ) -> dict[str, tuple[str, ...]]:
        """Dates, names and post codes with letters: those that were asked for, or are told plainly."""
        taken: dict[str, tuple[str, ...]] = {}
        for factor in factors:
            if factor.numeric:
                continue
            if factor.kind is FactorKind.NAME and factor.name != asked:
                readings = _named_within(given)
            else:
                readings = self._read(factor, given)
                if factor.kind is FactorKind.DATE and factor.name != asked:
                    readings = tuple(one for one in readings if _in_words(given.text))
            if readings:
                taken[factor.name] = readings[: self.rules.candidates]
        return taken

    def _numeric(self, wanted: Sequence[Factor]) -> list[Factor]:
        return [one for one in wanted if one.numeric]

    def _how(self, progress: GateProgress, factor: Factor, one: FactorProgress, *, first: bool) -> AskHow:
        keyed_wrong = one.keyed and one.misheard > 0  # who began on the keypad goes on there
        if (
            keyed_wrong
            or one.misheard >= self.rules.spoken_attempts
            or progress.tries >= self.rules.spoken_attempts
        ):
            return AskHow.KEYPAD
        if one.misheard:
            return AskHow.AGAIN
        if factor.kind is FactorKind.CODE and one.before:
            return AskHow.RETRY
        return AskHow.RETRY if progress.tries and first else AskHow.FIRST

    def _mended(
        self, progress: GateProgress, given: Utterance, asked: str | None, wanted: Sequence[Factor]
    ) -> dict[str, tuple[str, ...]]:
        """After a wrong pair: another fact, said where the first was asked for, goes with the first as given.

        Digits that are no answer to the question but just as many as the other fact has.
        """
        if not wanted:
            return {}
        first = wanted[0]
        before = self._of(progress, first).before
        if asked != first.name or not before or len(digit_runs(given.text)) != 1:
            return {}
        for factor in self._numeric(wanted[1:]):
            readings = read_digits(given.text, factor.digits, given.alternatives, limit=self.rules.candidates)
            if readings and not any(_within(readings[0], one) for one in before):
                return {first.name: before, factor.name: readings}
        return {}

    def _spoken(
        self, given: Utterance, factors: Sequence[Factor], asked: str | None, numbers: Sequence[Factor]
    ) -> dict[str, tuple[str, ...]]:
        """Readings by factor name. One run of digits may hold all factors one after the other."""
        taken: dict[str, tuple[str, ...]] = {}
        said = (given.text, *given.alternatives)
        for factor in factors:
            readings = read_digits(said[0], factor.digits, said[1:], limit=self.rules.candidates)
            if not readings or any(set(readings) & set(one) for one in taken.values()):
                continue
            if not taken:
                # One reading of one number is one factor: another length in another reading is a slip.
                said = tuple(text for text in said if read_digits(text, factor.digits))
            taken[factor.name] = readings
        if len(factors) > 1 and not taken:
            total = sum(factor.digits for factor in numbers)
            order = [factor for factor in numbers if factor in factors]
            whole = read_digits(given.text, total, given.alternatives, limit=1) if total <= 32 else ()
            if whole and len(order) == len(numbers):
                at = 0
                for factor in order:
                    taken[factor.name] = (whole[0][at : at + factor.digits],)
                    at += factor.digits
        if asked is not None and asked not in taken and len(taken) > 0 and len(digit_runs(given.text)) == 1:
            return {}  # one run of the wrong length for what was asked: misheard, not another factor
        if asked is None and self.rules.factors[0].name not in taken:
            return {}  # digits nobody asked for can only be the reference
        return taken

    def _keyed(
        self, progress: GateProgress, digits: str, asked: str | None, wanted: Sequence[Factor]
    ) -> GateProgress:
        updated = dict(progress.given)
        for factor in sorted(wanted, key=lambda one: one.name != asked):
            value = keyed_fact(factor, digits, order=self.rules.date_order)
            if value is not None and (factor.name == asked or not self._of(progress, factor).candidates):
                before = self._of(progress, factor)
                updated[factor.name] = before.model_copy(update={"candidates": (value,), "keyed": True})
                first = wanted[0]
                earlier = self._of(progress, first)
                if asked == first.name != factor.name and earlier.before and not earlier.candidates:
                    updated[first.name] = earlier.model_copy(update={"candidates": earlier.before})
                return progress.model_copy(update={"given": updated})
        if asked is not None:
            before = self._of(progress, asked)
            updated[asked] = before.model_copy(update={"misheard": before.misheard + 1, "keyed": True})
        return progress.model_copy(update={"given": updated})


def _named_within(given: Utterance) -> tuple[str, ...]:
    """A name that is told beside other facts: "... and my name is ana adams"."""
    found = _NAMED.search(given.text)
    return said_names(" ".join(found[1].split()[:3])) if found else ()


def _in_words(text: str) -> bool:
    """Whether a date is told with its month, so that it is no other number."""
    return any(word in MONTHS for word in re.findall(r"[a-z]+", text.lower()))


def _without_dates(text: str) -> str:
    """The words without dates: their digits are no other fact."""
    for token in reversed(normalise(text)):
        if token.kind is Kind.DATE:
            text = f"{text[: token.start]} ; {text[token.end :]}"
    return text


def _within(digits: str, number: str) -> bool:
    """Whether a number holds the digits in their order: it was said again, and some were lost."""
    rest = iter(number)
    return all(digit in rest for digit in digits)
