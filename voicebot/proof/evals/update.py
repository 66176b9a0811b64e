"""``--update``: writes what came instead of what was expected, for a person to read as a diff.

Only single values of a decision are written (intent, action, route, ...): words that must or must not be
said, what a handoff holds and the standing rules are a person's to change. The run stays failed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from voicebot.proof.evals.conversation import GoldenFile
from voicebot.proof.evals.got import Got
from voicebot.proof.evals.reading import Loc, Span, read_document
from voicebot.proof.evals.runner import HeldConversation

FIELDS = frozenset(
    "intent category tier action route expects row trigger urgency after verified".split()  # noqa: SIM905  # shorter
)
_PLAIN = re.compile(r"[a-z][a-z0-9_./-]*")
_YAML_WORDS = frozenset({"yes", "no", "on", "off", "true", "false", "null", "y", "n"})


def update(folder: Path, held: Sequence[HeldConversation]) -> tuple[str, ...]:
    """Rewrites the expectations that differ, in place; everything else in the files stays as it is.

    Conversations with ``ways`` and YAML aliases are left alone: one expectation stands for many there.

    Returns:
        One line for each value that was written: place, field, old and new text.

    Raises:
        GoldenError: a file cannot be read (any more).
    """
    told: list[str] = []
    for name in sorted({each.golden.file for each in held}):
        path = folder / name
        _, places = read_document(path, GoldenFile)
        text = path.read_text(encoding="utf-8")
        wanted = [change for each in held if each.golden.file == name for change in _changes(each)]
        changes = [(span, new) for loc, new in wanted if not places.shared(span := places.span(loc))]
        for span, new in sorted(changes, key=lambda change: -change[0].start):
            told.append(f"{name}:{span.line}: {text[span.start : span.end].strip()} -> {new}")
            text = _replaced(text, span, new)
        if changes:
            path.write_text(text, encoding="utf-8")
    return tuple(sorted(told))


def _changes(held: HeldConversation) -> Iterator[tuple[Loc, str]]:
    if held.golden.conversation.ways:
        return
    for nth, turn in enumerate(held.turns):
        for difference in turn.differences:
            if turn.got is not None and difference.field in FIELDS:
                loc = ("conversations", held.golden.nth, "turns", nth, "expect", difference.field)
                yield loc, _yaml(turn.got, difference.field)


def _yaml(got: Got, field: str) -> str:
    value: object = getattr(got, field)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    text = str(value)
    return text if _PLAIN.fullmatch(text) and text not in _YAML_WORDS else f'"{text}"'


def _replaced(text: str, span: Span, new: str) -> str:
    """A value's text replaced; the line break after a block list is kept."""
    old = text[span.start : span.end]
    return text[: span.start] + new + old[len(old.rstrip()) :] + text[span.end :]
