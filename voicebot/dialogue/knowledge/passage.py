"""What a search gives back: passages with their sources, and how far they can be relied on. Types only."""

from __future__ import annotations

from voicebot.core.conversation import Source, Strict


class Evidence(Strict):
    """Why a passage was found. Ranks count from 1; None: not in that list. Shares and ``cosine``: 0..1."""

    near: int | None
    """Rank among all chunks by meaning."""
    worded: int | None
    """Rank among all chunks by the words of the question."""
    tagged: int | None
    """Rank by meaning among the chunks of the caller's intent."""
    cosine: float
    coverage: float
    """Share of the question's weight whose words stand in the passage."""
    headed: float
    """The same for its heading and title."""
    numbers: float
    """Share of the question's numbers that stand in the passage."""


class Passage(Strict):
    """A chunk that may answer the question.

    ``grounding``: 0..1, how likely it answers. ``tagged``: its article is about the caller's intent.
    ``stale``: its review is overdue. ``region``: the only one that its article is for.
    """

    source: Source
    heading: str
    body: str
    grounding: float
    tagged: bool
    stale: bool = False
    region: str | None = None
    evidence: Evidence | None = None


class Retrieval(Strict):
    """What was found for one question. ``grounding`` is the first passage's, 0 without one."""

    passages: tuple[Passage, ...]
    grounding: float
    ambiguous: tuple[Passage, ...] = ()
    """Two or three passages of different articles that fit nearly alike: ask which is meant."""
    best_of: int = 0
    """How many candidates were looked at."""
