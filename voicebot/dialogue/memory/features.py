"""The closed sets of memory: what can be known of a customer, who may ask, and what for. Types only."""

from __future__ import annotations

from enum import StrEnum


class Layer(StrEnum):
    """Where a feature comes from."""

    PROFILE = "profile"
    """Read from the system of record, never kept."""
    MEMORY = "memory"
    """Kept by us, sealed under the customer's key, until it expires."""
    INSIGHT = "insight"
    """Worked out from memory when it is asked for."""


class Feature(StrEnum):
    """Everything that can be handed out about a customer."""

    PREFERRED_NAME = "preferred_name"
    LANGUAGE = "language"
    REGION = "region"
    SEGMENT = "segment"
    OPEN_ORDERS = "open_orders"
    CONSENTS = "consents"
    KNOWN_SLOTS = "known_slots"
    LAST_CONTACT = "last_contact"
    REPEAT_CONTACT = "repeat_contact"
    UNRESOLVED_TOPICS = "unresolved_topics"
    LAST_MOOD = "last_mood"

    @property
    def layer(self) -> Layer:
        """Where it comes from."""
        if self in _PROFILE:
            return Layer.PROFILE
        return Layer.MEMORY if self is Feature.KNOWN_SLOTS else Layer.INSIGHT


_PROFILE = frozenset(
    {
        Feature.PREFERRED_NAME,
        Feature.LANGUAGE,
        Feature.REGION,
        Feature.SEGMENT,
        Feature.OPEN_ORDERS,
        Feature.CONSENTS,
    }
)


class Role(StrEnum):
    """Who asks."""

    BOT = "bot"
    AGENT = "agent"
    ANALYST = "analyst"


class Purpose(StrEnum):
    """What for."""

    ANSWER = "answer"
    """To answer what the customer asks now."""
    RECALL = "recall"
    """To take up what he came for the last time."""
    ROUTE = "route"
    """To decide what may be done, and how soon."""
    HANDOFF = "handoff"
    """For a colleague who takes over."""
    FOLLOW_UP = "follow_up"
    """For a promise that is due later."""
    TRAINING = "training"
    """To make models or golden conversations."""
    MARKETING = "marketing"

    @property
    def serves_the_customer(self) -> bool:
        """Whether it is part of serving him; only then does what was kept for service count."""
        return self not in {Purpose.TRAINING, Purpose.MARKETING}
