"""The deployment's intents: what callers may want, in ``business/intents.yaml``."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import Self

from pydantic import Field, model_validator

from voicebot.core.conversation import Strict
from voicebot.dialogue.monitor.features import words_of

OUT_OF_SCOPE = "out_of_scope"
"""What nobody here can help with: an intent like the others for policy and categories."""
DISTRESS = "distress"
"""The caller is in danger or despair, or somebody was hurt."""

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
    once_told: tuple[str, ...] = ()
    """Intents of general questions that mean this one when they are asked of "it" right after it was told
    from records: "when will it arrive" of the order at hand."""
    phrases: tuple[str, ...] = ()
    """Words that are this intent whatever the model makes of them (`voicebot.dialogue.spotting`)."""
    examples: tuple[str, ...] = Field(min_length=3)


class Spotted(Strict):
    """An intent known by its words alone (`voicebot.dialogue.spotting`): no model is trained on it."""

    means: str = Field(min_length=1)
    category: str
    phrases: tuple[str, ...] = Field(min_length=3)


class Category(Strict):
    """A group of intents. ``title`` names it to people (desk, reports)."""

    title: str = Field(min_length=1)
    intents: tuple[str, ...] = Field(min_length=1)


class IntentCatalog(Strict):
    """The whole file. ``out_of_scope``: what people say to phone bots that nobody here can help with.

    Each intent, `OUT_OF_SCOPE` among them, stands in exactly one category.
    """

    categories: dict[str, Category]
    intents: dict[str, Intent]
    spotted: dict[str, Spotted] = Field(default_factory=dict[str, Spotted])
    out_of_scope: tuple[str, ...] = Field(min_length=10)

    @model_validator(mode="after")
    def _each_in_one_category(self) -> Self:
        named = Counter(intent for category in self.categories.values() for intent in category.intents)
        known = {*self.intents, OUT_OF_SCOPE}
        if strangers := sorted(set(named) - known):
            raise ValueError(f"categories name intents that do not exist: {strangers}")
        if homeless := sorted(known - set(named)):
            raise ValueError(f"intents without a category: {homeless}; add them under `categories`")
        if twice := sorted(intent for intent, count in named.items() if count > 1):
            raise ValueError(f"intents in two categories: {twice}")
        for name, spotted in self.spotted.items():
            if name in known:
                raise ValueError(f"spotted.{name} is an intent with examples already: keep one of the two")
            if spotted.category not in self.categories:
                raise ValueError(f"spotted.{name}: there is no category {spotted.category!r}")
        for name, intent in self.intents.items():
            if unknown := sorted(set(intent.once_told) - known):
                raise ValueError(f"intents.{name}.once_told names intents that do not exist: {unknown}")
        return self

    @property
    def names(self) -> frozenset[str]:
        """Every intent that policy may speak of."""
        return frozenset({*self.intents, *self.spotted, OUT_OF_SCOPE})

    @property
    def phrases(self) -> dict[str, tuple[str, ...]]:
        """What is known by its words alone: phrases by intent."""
        sure = {name: one.phrases for name, one in self.intents.items() if one.phrases}
        return sure | {name: one.phrases for name, one in self.spotted.items()}

    @cached_property
    def words(self) -> frozenset[str]:
        """The words of all examples: nobody's name."""
        examples = (text for intent in self.intents.values() for text in intent.examples)
        return frozenset(word for text in (*examples, *self.out_of_scope) for word in words_of(text))

    def members(self) -> dict[str, tuple[str, ...]]:
        """The intents of each category."""
        return {
            key: (*category.intents, *(n for n, one in self.spotted.items() if one.category == key))
            for key, category in self.categories.items()
        }

    def category(self, intent: str) -> str:
        """The category's key, empty for an unknown intent."""
        if intent in self.spotted:
            return self.spotted[intent].category
        return next((key for key, c in self.categories.items() if intent in c.intents), "")

    def once_told(self, intent: str) -> tuple[str, ...]:
        """General questions that mean this intent once it was told; see `Intent.once_told`."""
        found = self.intents.get(intent)
        return found.once_told if found else ()

    def means(self, intent: str) -> str:
        """How an intent is named to a caller."""
        found = self.intents.get(intent) or self.spotted.get(intent)
        return found.means if found else "that"

    @property
    def topics(self) -> dict[str, str]:
        """The intents that are questions of their own, and how each is named to a caller."""
        return {intent: self.means(intent) for intent in self.intents if self.is_content(intent)}

    def is_content(self, intent: str) -> bool:
        """Whether the intent is a question of its own."""
        if intent in self.spotted:
            return True
        found = self.intents.get(intent)
        return found is not None and found.content
