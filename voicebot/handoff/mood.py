"""How a caller sounded, in words that an agent can use. Pure."""

from __future__ import annotations

from collections.abc import Sequence

UPSET, ANGRY, CONTENT = -0.45, -0.6, 0.3
"""Sentiment, -1 to 1, of the monitor: below the first two, above the third. "Where is my order" is -0.4."""
FELL = 0.3
"""A difference between the first and the last turn that is worth telling."""


def is_upset(sentiments: Sequence[float | None]) -> bool:
    """Whether the last turn that was measured sounds upset."""
    felt = [one for one in sentiments if one is not None]
    return bool(felt) and felt[-1] < UPSET


def mood_of(sentiments: Sequence[float | None]) -> str:
    """A sentence on the mood, from the sentiment of the caller's turns in order.

    >>> mood_of([0.1, -0.2, -0.5])
    'Upset, and it got worse.'
    """
    felt = [one for one in sentiments if one is not None]
    if not felt:
        return "Mood not known."
    last = felt[-1]
    word = (
        "Very upset"
        if last < ANGRY
        else "Upset"
        if last < UPSET
        else "Friendly"
        if last > CONTENT
        else "Calm"
    )
    if len(felt) > 1 and felt[0] - last >= FELL:
        return f"{word}, and it got worse."
    if len(felt) > 1 and last - felt[0] >= FELL:
        return f"{word}, and it got better."
    return f"{word}."
