"""Whether two articles fit a question nearly alike, so that asking is better than guessing. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from voicebot.dialogue.knowledge.passage import Passage

CLEAR = 0.80
"""Grounding from which the first passage is simply quoted."""
NEARLY = 0.80
"""A rival with this share of the first one's grounding fits nearly alike."""
WORTH_ASKING = 0.25
"""Below this grounding a passage is no reading of the question at all, and not offered."""
MOST = 3


def nearly_alike(passages: Sequence[Passage]) -> tuple[Passage, ...]:
    """The best passage of each article between which the question does not decide; empty when it does.

    Args:
        passages: best first.
    """
    if not passages or not WORTH_ASKING <= passages[0].grounding < CLEAR:
        return ()
    best = passages[0]
    alike: dict[str, Passage] = {}
    for passage in passages:
        fits = passage.grounding >= max(WORTH_ASKING, NEARLY * best.grounding)
        if fits and passage.tagged == best.tagged:
            alike.setdefault(passage.source.article, passage)
    return tuple(alike.values())[:MOST] if len(alike) > 1 else ()
