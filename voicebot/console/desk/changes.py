"""What a correction would change, in words that one can see at a glance. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

import yaml

from voicebot.core.documents import parse_yaml

Kind = Literal["same", "gone", "new"]


@dataclass(frozen=True, slots=True)
class Piece:
    """Words that stay, go or come."""

    kind: Kind
    text: str


def difference(before: str, after: str) -> tuple[Piece, ...]:
    """Word by word what becomes of ``before``."""
    old, new = before.split(), after.split()
    pieces: list[Piece] = []
    for what, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what == "equal":
            pieces.append(Piece("same", " ".join(old[a:b])))
            continue
        if a < b:
            pieces.append(Piece("gone", " ".join(old[a:b])))
        if c < d:
            pieces.append(Piece("new", " ".join(new[c:d])))
    return tuple(pieces)


def proposed(kind: str, document: str) -> tuple[tuple[str, str, str], ...]:
    """What in a correction's document replaces what: ``(name, before, after)``; none: all of it is new."""
    try:
        made: Any = parse_yaml(document)
    except yaml.YAMLError:
        return ()
    if not isinstance(made, dict):
        return ()
    match kind:
        case "article_change":
            return (("Answer", _text(made, "said"), _text(made, "should_say")),)
        case "training_row":
            return (("Understood as", _text(made, "read_as"), _text(made, "should_be")),)
        case _:
            return ()


def asked(document: str) -> str:
    """What the caller had said, where the document has it."""
    try:
        made: Any = parse_yaml(document)
    except yaml.YAMLError:
        return ""
    return (_text(made, "asked") or _text(made, "text")) if isinstance(made, dict) else ""


def _text(made: dict[str, Any], name: str) -> str:
    value = made.get(name)
    return "" if value is None else str(value)
