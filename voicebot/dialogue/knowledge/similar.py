"""How conversations like this one were resolved. Compared by what happened, never by names or words.

A conversation is reduced to its shape: closed sets only (intent, outcomes of tools, urgency). Equal shapes
are one row with a count, and nothing leads from a row back to a conversation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from voicebot.core.conversation import Channel, Strict, Urgency
from voicebot.core.store.database import Transaction

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]{0,40}$")]
ToolOutcome = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]{0,40}\.[a-z][a-z_]{0,40}$")]
Resolution = Literal["answered", "acted", "proposed", "person", "call_back", "abandoned"]

_WEIGHTS = {"intent": 4.0, "tool": 3.0, "category": 2.0, "trigger": 2.0}
"""What two conversations share says more of some kinds than of others; the rest weigh 1."""
_LOOKED_AT = 200
ALIKE = 0.35
"""Likeness from which a case is worth showing: the same intent and a little more, or the same tools."""


class Shape(Strict):
    """What happened in a conversation, abstracted. Slugs are names of ours (intents, tools, triggers)."""

    category: Slug | None = None
    intents: tuple[Slug, ...] = Field(default=(), max_length=8)
    tools: tuple[ToolOutcome, ...] = Field(default=(), max_length=8)
    """``tool.outcome``, as in `phrases.yaml`."""
    channel: Channel | None = None
    verified: bool = False
    urgency: Urgency = Urgency.NORMAL
    mood: Literal["low", "even", "high"] = "even"
    trigger: Slug | None = None
    """Why a person took over, if one did."""
    region: Slug | None = None

    def features(self) -> list[str]:
        """The shape as sorted ``kind:value``."""
        out = [f"intent:{name}" for name in self.intents] + [f"tool:{name}" for name in self.tools]
        out += [f"urgency:{self.urgency.value}", f"mood:{self.mood}"]
        for kind, value in (
            ("category", self.category),
            ("channel", self.channel.value if self.channel else None),
            ("trigger", self.trigger),
            ("region", self.region),
            ("verified", "yes" if self.verified else None),
        ):
            if value is not None:
                out.append(f"{kind}:{value}")
        return sorted(set(out))


class Case(Strict):
    """A shape that was resolved before. ``likeness``: 0..1; ``articles``: ids that helped."""

    likeness: float
    resolution: Resolution
    articles: tuple[str, ...]
    count: int
    features: tuple[str, ...]


async def record(
    tx: Transaction, features: Shape, *, resolution: Resolution, articles: Sequence[str] = ()
) -> None:
    """Counts a conversation that is over. Belongs into the transaction that ends it."""
    await tx.execute(
        "INSERT INTO resolved_shapes (features, resolution, articles) VALUES (%s, %s, %s)"
        " ON CONFLICT (features, resolution, articles) DO UPDATE SET count = resolved_shapes.count + 1,"
        " last_at = now()",
        (features.features(), resolution, sorted(set(articles))),
    )


async def find(tx: Transaction, features: Shape, *, limit: int = 3) -> list[Case]:
    """Cases at least `ALIKE`, the likest first, then the most frequent."""
    asked = features.features()
    telling = [one for one in asked if one.partition(":")[0] in _WEIGHTS]
    cursor = await tx.execute(
        "SELECT features, resolution, articles, count FROM resolved_shapes WHERE features && %s"
        " ORDER BY cardinality(ARRAY(SELECT unnest(features) INTERSECT SELECT unnest(%s::text[]))) DESC,"
        " count DESC LIMIT %s",
        (telling, asked, _LOOKED_AT),
    )
    cases = [
        Case(
            likeness=round(likeness(asked, row["features"]), 4),
            resolution=row["resolution"],
            articles=tuple(row["articles"]),
            count=row["count"],
            features=tuple(row["features"]),
        )
        for row in await cursor.fetchall()
    ]
    alike = [case for case in cases if case.likeness >= ALIKE]
    return sorted(alike, key=lambda case: (-case.likeness, -case.count, case.features))[:limit]


def likeness(left: Sequence[str], right: Sequence[str]) -> float:
    """The weight of what two shapes share, as a part of the weight of all that either has.

    >>> likeness(["intent:a", "mood:even"], ["intent:a", "mood:low"])
    0.6666666666666666
    """
    shared, every = set(left) & set(right), set(left) | set(right)
    return _weight(shared) / _weight(every) if every else 0.0


def _weight(features: set[str]) -> float:
    return sum(_WEIGHTS.get(one.partition(":")[0], 1.0) for one in features)
