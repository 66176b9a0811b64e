"""Reciprocal rank fusion: lists of one search made comparable by rank alone. Pure."""

from __future__ import annotations

from collections.abc import Sequence

K = 60
"""How little the first ranks stand out; as in the paper that proposed it (Cormack et al., SIGIR 2009)."""


def fused(ranks: Sequence[int | None]) -> float:
    """The fused score of one candidate from its rank (from 1) in each list, scaled so that 1 is best.

    >>> fused([1, 1, 1])
    1.0
    >>> fused([1, None, None]) > fused([2, None, None])
    True
    """
    if not ranks:
        return 0.0
    return sum(1.0 / (K + rank) for rank in ranks if rank is not None) * (K + 1) / len(ranks)
