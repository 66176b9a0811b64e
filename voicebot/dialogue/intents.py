"""The deployment's intents: what callers may want, in ``business/intents.yaml``."""

from __future__ import annotations

from pydantic import Field

from voicebot.core.conversation import Strict

# Intents that steer every conversation; the flow knows them by name, so each deployment has them.
STEERING = frozenset(
    [
        "person",
        "repeat",
        "yes",
        "no",
        "goodbye",
        "thanks",
        "greeting",
        "question",
        "help",
        "chitchat",
        "no_reference",
        "wait",
    ]
)


class Intent(Strict):
    """One intent. ``means`` completes "did you want to ask about ..."; ``content``: a question of its own."""

    means: str = Field(min_length=1)
    content: bool = True
    examples: tuple[str, ...] = Field(min_length=3)


class IntentCatalog(Strict):
    """The whole file. ``out_of_scope``: what people say to phone bots that nobody here can help with."""

    intents: dict[str, Intent]
    out_of_scope: tuple[str, ...] = Field(min_length=10)

    def means(self, intent: str) -> str:
        """How an intent is named to a caller."""
        found = self.intents.get(intent)
        return found.means if found else "that"

    def is_content(self, intent: str) -> bool:
        """Whether the intent is a question of its own."""
        found = self.intents.get(intent)
        return found is not None and found.content
