"""What a caller has said already, so that nothing is asked twice. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def known(slots: Mapping[str, str], remembered: Mapping[str, str]) -> dict[str, str]:
    """All values at hand. What was said in this conversation counts before what is remembered."""
    return {**remembered, **slots}


def missing(
    needed: Iterable[str], slots: Mapping[str, str], remembered: Mapping[str, str]
) -> tuple[str, ...]:
    """The names that must still be asked for, in the order in which they are needed."""
    at_hand = known(slots, remembered)
    return tuple(dict.fromkeys(name for name in needed if not at_hand.get(name)))
