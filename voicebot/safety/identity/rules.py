"""What a deployment demands of its callers: factors, sets of them by level, tries, lock-out, codes. Data."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from voicebot.core.conversation import Strict


class FactorKind(StrEnum):
    """What a fact is, so how it is heard and compared."""

    DIGITS = "digits"
    """A number of known length."""
    POST_CODE = "post_code"
    """Digits of known length (``digits``), or letters and digits as in Britain and Canada (``digits: 0``)."""
    CARD = "card"
    """The last digits of a card: counts as a secret."""
    DATE = "date"
    NAME = "name"
    CODE = "code"
    """Sent to the number on record and told back: a secret, for one use."""


SECRET = frozenset({FactorKind.CARD, FactorKind.CODE})
"""What does not stand on a parcel or in an address book."""

DateOrder = Literal["mdy", "dmy"]


class Factor(Strict):
    """One fact to be given: ``name`` as policy and records know it, ``digits`` how many it has."""

    name: str = Field(pattern=r"^[a-z][a-z_]*$")
    kind: FactorKind = FactorKind.DIGITS
    digits: int = Field(default=0, ge=0, le=19)

    @property
    def numeric(self) -> bool:
        """Whether it is a string of digits of known length."""
        return self.digits > 0 and self.kind not in {FactorKind.NAME, FactorKind.DATE}

    @property
    def keys(self) -> int:
        """How many keys give it on a keypad; 0: it cannot be keyed."""
        return 8 if self.kind is FactorKind.DATE else self.digits

    @property
    def strength(self) -> int:
        """Digits that a guess must get right, roughly: a birthday about four, a name about two."""
        return {FactorKind.DATE: 4, FactorKind.NAME: 2}.get(self.kind, self.digits or 4)


class FactorSet(Strict):
    """Facts that together prove who somebody is. The first finds the record, the others must match it.

    ``level``: how much that proves: 1 what an order tells, 2 what changes an account, 3 more.
    """

    name: str = Field(pattern=r"^[a-z][a-z_]*$")
    level: int = Field(ge=1, le=3)
    factors: tuple[str, ...] = Field(min_length=2)


class Lockout(Strict):
    """Failed tries within a window, over all calls and nodes, after which nothing more is compared."""

    window_minutes: int = Field(default=60, ge=5, le=1440)
    per_reference: int = Field(default=3, ge=1, le=10)
    per_caller: int = Field(default=6, ge=1, le=30)


class CodeRules(Strict):
    """One-time codes by text message."""

    minutes: int = Field(default=5, ge=1, le=15)
    sends: int = Field(default=2, ge=1, le=3)
    """Codes in one conversation at most."""
    pause_s: int = Field(default=20, ge=5, le=300)
    """Between two codes of a conversation."""
    per_hour: int = Field(default=5, ge=1, le=20)
    """Codes to one customer, over all conversations."""


class GateRules(Strict):
    """What the deployment demands. Without ``sets`` all factors are one set of level 1."""

    factors: tuple[Factor, ...] = Field(min_length=2)
    sets: tuple[FactorSet, ...] = ()
    demands: dict[str, int] = Field(default_factory=dict[str, int])
    """Intents that need more than level 1."""
    max_tries: int = Field(default=3, ge=1, le=5)
    """Complete but wrong sets of facts until a person takes over."""
    spoken_attempts: int = Field(default=2, ge=1, le=4)
    """Misheard attempts per factor, or failed tries, until the keypad is asked for."""
    max_misheard: int = Field(default=4, ge=2, le=8)
    """Misheard attempts at one factor until a person takes over."""
    candidates: int = Field(default=3, ge=1, le=5)
    """Readings of one answer (n-best) that are compared at most."""
    date_order: DateOrder = "mdy"
    """How a date is keyed, and how digits of one are read."""
    lockout: Lockout = Lockout()
    code: CodeRules = CodeRules()

    def factor(self, name: str) -> Factor:
        """By name. Raises `KeyError`: there is none."""
        for one in self.factors:
            if one.name == name:
                return one
        raise KeyError(name)

    @property
    def in_order(self) -> tuple[FactorSet, ...]:
        """The sets, lowest level first, as listed within a level."""
        if not self.sets:
            return (FactorSet(name="all", level=1, factors=tuple(one.name for one in self.factors)),)
        return tuple(sorted(self.sets, key=lambda one: one.level))

    def demanded(self, intent: str | None) -> int:
        """The level that an intent needs."""
        return self.demands.get(intent or "", 1)

    def proved(self, names: frozenset[str]) -> int:
        """The level that these facts prove; 0: none."""
        return max((one.level for one in self.in_order if names >= set(one.factors)), default=0)

    def least(self, level: int, declined: tuple[str, ...], method: frozenset[str]) -> FactorSet | None:
        """The set to ask for: of the lowest level that is enough, the first with nothing that was declined.

        A caller who is known goes on with a set that has his reference.
        """
        fit = [
            one
            for one in self.in_order
            if one.level >= level
            and not set(one.factors) & set(declined)
            and (not method or one.factors[0] in method)
        ]
        return fit[0] if fit else None
