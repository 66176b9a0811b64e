"""What follows abuse and repeated attacks in one conversation: a warning once, then what policy says.
Pure.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from voicebot.core.conversation import Strict

Step = Literal["warn", "end", "person"]


class ConductRules(Strict):
    """Policy. ``warnings``: how often a caller is warned; ``then``: what follows the next abuse.

    ``deflections``: after so many attacks a person is offered, in case we are wrong about the caller.
    """

    warnings: int = Field(default=1, ge=1, le=3)
    then: Literal["end", "person"] = "end"
    deflections: int = Field(default=2, ge=1, le=6)


class Conduct(Strict):
    """What a conversation has seen. Stored with its state."""

    abused: int = 0
    deflected: int = 0
    blocked: int = 0
    """Clauses of ours that the output guard stopped."""

    def after_abuse(self, rules: ConductRules) -> Step:
        """What the next abuse leads to.

        >>> Conduct().after_abuse(ConductRules()), Conduct(abused=1).after_abuse(ConductRules())
        ('warn', 'end')
        """
        return "warn" if self.abused < rules.warnings else rules.then

    def offers_person(self, rules: ConductRules) -> bool:
        """Whether the next deflection offers a person."""
        return self.deflected + 1 >= rules.deflections
