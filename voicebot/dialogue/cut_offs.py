"""Turns that may have been ended too early: the caller spoke on into the answer's first sound. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

REACTION_MS = 400
"""A choice: who begins so soon after the first sound of an answer does not react to it."""


def cut_offs(turns: Sequence[Mapping[str, Any]]) -> int:
    """How many of a conversation's turns are suspected.

    Args:
        turns: in order, as `Conversations.turns` gives them. Times are of each media session's own clock, so
            that a turn after a lost socket says nothing.
    """
    return sum(_cut(one, after) for one, after in pairwise(turns))


def _cut(one: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    if one["input"].get("kind") != "utterance" or after["input"].get("kind") != "utterance":
        return False
    timings = one["timings"] or {}
    ended_ms, began_ms = timings.get("turn_ended_ms"), after["input"].get("started_ms")
    if ended_ms is None or began_ms is None or began_ms < ended_ms:
        return False
    heard_ms = timings.get("first_heard_ms")
    return bool(began_ms < (ended_ms if heard_ms is None else max(ended_ms, heard_ms)) + REACTION_MS)
