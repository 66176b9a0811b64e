"""What agents read for triggers and intents, and what they may see: ``business/handoff.yaml``."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from voicebot.core.conversation import Strict
from voicebot.handoff.document import read_document
from voicebot.handoff.patterns import Patterns, PatternsError
from voicebot.safety.pii import cues

NEVER_REVEALED = frozenset({cues.CARD, cues.CODE})
"""Card data and one-time codes: no person sees them, whatever a file says."""


def _refused(wrong: str) -> PatternsError:
    moved = " (next actions stand in patterns.yaml)" if "next_actions" in wrong else ""
    return PatternsError(f"{wrong}{moved}")


class Reasons(Strict):
    """The words of a deployment for its agents.

    ``reasons``: why the call came, by trigger, or by the part before its colon. ``topics``: intents that one
    can call about, in words. ``reveals``: kinds of values that who has a handoff sees instead of tokens.
    ``summary_s``: seconds that a language model has for the summary.
    """

    reasons: dict[str, str]
    topics: dict[str, str]
    reveals: tuple[str, ...] = ()
    summary_s: float = Field(default=8.0, gt=0, le=60)

    @field_validator("reveals")
    @classmethod
    def _allowed(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        if never := sorted(NEVER_REVEALED & set(kinds)):
            raise ValueError(f"{never} are never shown to anybody")
        return kinds

    @classmethod
    def read(cls, path: Path) -> Reasons:
        """Reads the file.

        Raises:
            PatternsError: it is missing or has another shape.
        """
        return read_document(cls, path, _refused)

    def reason(self, trigger: str) -> str:
        """Why the call came, in words."""
        name = trigger.partition(":")[0]
        return self.reasons.get(trigger) or self.reasons.get(name) or trigger.replace("_", " ")

    def is_topic(self, intent: str) -> bool:
        """Whether an intent is something a caller can call about."""
        return intent in self.topics

    def topic(self, intent: str) -> str:
        """An intent in words."""
        return self.topics.get(intent, intent.replace("_", " "))


class Library(Strict):
    """What a deployment says to its agents. Immutable; one per node."""

    reasons: Reasons
    patterns: Patterns

    @classmethod
    def read(cls, folder: Path) -> Library:
        """Reads ``business/handoff.yaml`` and ``business/patterns.yaml`` of a deployment's folder.

        Raises:
            PatternsError: one cannot be used.
        """
        business = folder / "business"
        return cls(
            reasons=Reasons.read(business / "handoff.yaml"),
            patterns=Patterns.read(business / "patterns.yaml"),
        )
