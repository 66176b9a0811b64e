"""Slots in what a model writes: it says ``{order.due_on}``, we say the date. Pure.

So no date, amount or number of a customer goes to a model, and none that it says can be wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from voicebot.dialogue.generation.request import ToolResult
from voicebot.dialogue.generation.spoken import spoken

_SLOT = re.compile(r"\{([^{}]*)\}")


class UnknownSlot(Exception):
    """A slot that stands for nothing here, or a brace that is no slot: the clause must not be said."""


def fill(text: str, results: Iterable[ToolResult]) -> str:
    """The text with each slot as the words of its value.

    >>> fill("It costs {order.total}.", [ToolResult(name="order", outcome="x", fields={"total": 12})])
    'It costs twelve.'

    Raises:
        UnknownSlot: no such result or field, a value without a spoken form, or a stray brace.
    """
    known = {f"{result.name}.{field}": value for result in results for field, value in result.fields.items()}

    def words(match: re.Match[str]) -> str:
        name = match.group(1).strip()
        if name not in known:
            raise UnknownSlot("the answer has a slot that no tool result fills")
        try:
            return spoken(known[name])
        except TypeError as error:
            raise UnknownSlot("the answer has a slot whose value cannot be spoken") from error

    filled = _SLOT.sub(words, text)
    if "{" in _SLOT.sub("", text) or "}" in _SLOT.sub("", text):
        raise UnknownSlot("the answer has a brace that is no slot")
    return filled


def without(text: str) -> str:
    """The text as the writer wrote it, its slots left out: what the guard has to judge."""
    return _SLOT.sub(" ", text)


def names(results: Iterable[ToolResult]) -> tuple[str, ...]:
    """The slots that can be written, as ``{order.due_on}``."""
    return tuple(
        f"{{{result.name}.{field}}}"
        for result in results
        for field, value in result.fields.items()
        if _speakable(value)
    )


def _speakable(value: object) -> bool:
    try:
        return bool(spoken(value))
    except TypeError:
        return False
