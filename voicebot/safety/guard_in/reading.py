"""What the input guard says of a text. Closed sets; no words of the text are in it."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from voicebot.core.conversation import Strict


class Source(StrEnum):
    """Where words come from."""

    CALLER = "caller"
    TOOL = "tool"
    ARTICLE = "article"


class Verdict(StrEnum):
    """The closed set of what follows."""

    ALLOW = "allow"
    DEFLECT = "deflect"
    """Not taken up: an approved line and the open question."""
    REFUSE = "refuse"
    """The text is not used at all: a tool's result or an article that gives orders."""
    PERSON = "person"


class Kind(StrEnum):
    """The closed set of what a text may be up to."""

    INJECTION = "injection"
    """Orders to the bot: other rules, another role, a mode without rules."""
    EXTRACTION = "extraction"
    """Its prompt, its rules, or other customers' data are asked for."""
    ABUSE = "abuse"
    """Insults, threats or advances at whoever listens. Anger at what happened is none."""
    UNSUPPORTED = "unsupported"
    """Work that no customer line does: poems, code, homework, advice of a profession."""


ATTACKS = frozenset({Kind.INJECTION, Kind.EXTRACTION})


class GuardReading(Strict):
    """One text read. ``score``: the model's probability of an attack, 0..1, None if it was not asked."""

    source: Source
    verdict: Verdict = Verdict.ALLOW
    kind: Kind | None = None
    reasons: tuple[str, ...] = ()
    """Names of rules, and ``model``; never the words."""
    score: float | None = Field(default=None, ge=0, le=1)

    @property
    def allowed(self) -> bool:
        """Nothing stands against using the text."""
        return self.verdict is Verdict.ALLOW

    @property
    def only_suspected(self) -> bool:
        """No rule fired: the model alone says so."""
        return self.reasons == ("model",)

    def as_reason(self) -> str:
        """For a turn's reasons."""
        found = ", ".join(self.reasons)
        return f"input guard: {self.verdict} {self.kind} ({found})" if self.kind else "input guard: allow"
