"""What a reader sees of a payload: values for the person who acts on it, tokens for everybody else. Pure.

Card data and one-time codes are shown to nobody; a number that checks out as a card's is one, whatever it was
taken for when it was said.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from voicebot.core.store.vault import tokens_for
from voicebot.handoff.reasons import NEVER_REVEALED
from voicebot.safety.pii import cues
from voicebot.safety.pii.checksums import luhn
from voicebot.safety.pii.masking import TOKEN

CALLERS_NUMBER = "[caller's phone number]"
"""In place of the number that the network showed."""


@dataclass(frozen=True, slots=True)
class View:
    """JSON values as one reader sees them. ``kinds``: of the values that stand in it now, for the audit."""

    shown: Any
    kinds: tuple[str, ...] = ()


def revealed(stored: Any, values: Mapping[str, str], kinds: Collection[str]) -> View:
    """JSON values with the vault's values in place of tokens of these kinds.

    Args:
        stored: with tokens.
        values: the conversation's vault, by token.
        kinds: what this reader may see.
    """
    found: set[str] = set()

    def value(match: re.Match[str]) -> str:
        token = match.group()
        kind = token[1:-1].rpartition(" ")[0]
        known = values.get(token)
        if known is None or kind not in kinds or kind in NEVER_REVEALED or _is_card(known):
            return token
        found.add(kind)
        return known

    def walk(one: Any) -> Any:
        match one:
            case str():
                return TOKEN.sub(value, one) if "[" in one else one
            case dict():
                return {key: walk(each) for key, each in one.items()}  # pyright: ignore[reportUnknownVariableType]
            case list() | tuple():
                return [walk(each) for each in one]  # pyright: ignore[reportUnknownVariableType]
            case _:
                return one

    shown = walk(stored)
    return View(shown, tuple(sorted(found)))


def payload_view(
    payload: Mapping[str, Any], values: Mapping[str, str] | None, kinds: Collection[str]
) -> View:
    """A payload for one reader. ``values``: the vault, for who has the handoff; None: tokens."""
    number = payload["identity"]["caller"]
    shows_number = values is not None and cues.PHONE in kinds
    identity = {**payload["identity"], "caller": number if shows_number or number is None else CALLERS_NUMBER}
    view = revealed({**payload, "identity": identity}, values or {}, kinds if values is not None else ())
    if shows_number and number is not None:
        return View(view.shown, tuple(sorted({*view.kinds, cues.PHONE})))
    return view


def without_number(stored: Any, caller: str | None) -> Any:
    """JSON values with `CALLERS_NUMBER` in place of the number that the network showed."""
    return stored if caller is None else tokens_for({CALLERS_NUMBER: caller}, stored)


def promise_view(
    details: Any, caller: str | None, values: Mapping[str, str] | None, kinds: Collection[str]
) -> View:
    """Details of a promise for one reader. ``caller``: the number that the network showed."""
    hidden = without_number(details, caller)
    if values is None:
        return View(hidden)
    if caller is not None and cues.PHONE in kinds and hidden != details:
        view = revealed(details, values, kinds)
        return View(view.shown, tuple(sorted({*view.kinds, cues.PHONE})))
    return revealed(hidden, values, kinds)


def _is_card(value: str) -> bool:
    digits = re.sub(r"[ -]", "", value)
    return digits.isdigit() and 13 <= len(digits) <= 19 and luhn(digits)
