"""What a recorded call must show whenever it is run: written by hand beside it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from voicebot.proof.replay.turns import ReplayTurn


def _listed(value: Any) -> Any:
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType]


Globs = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class ExpectedTurn(_Strict):
    """One turn; what is left out is not held. Patterns: ``*`` and ``?``; of several one must fit."""

    input: Globs = ()
    """``call_started``, ``utterance``, ``keys``, ``silence``, ``not_heard``."""
    words: Globs = ()
    intent: Globs = ()
    action: Globs = ()
    row: Globs = ()
    after: Globs = ()
    tools: Globs | None = None
    """Exactly these, each ``name`` or ``name:outcome``; ``[]``: none."""
    says: Globs = ()
    """Each must be heard, as a part."""
    never_says: Globs = ()
    whole: bool | None = None
    """Whether the caller heard all of the answer."""


class Expected(_Strict):
    """The whole call. ``turns``: all of them, in order. ``outcome``: how it ends."""

    outcome: Globs = ()
    turns: tuple[ExpectedTurn, ...] = Field(default=(), strict=False)
    never_says: Globs = ()
    never_heard: Globs = ()
    """Words that must stand in no turn's input."""

    def missed(self, turns: list[ReplayTurn], outcome: str) -> Iterator[str]:
        """What is not as it must be, in words."""
        if self.outcome and not _any(self.outcome, outcome):
            yield f"ends with {outcome}, not {' or '.join(self.outcome)}"
        for turn in turns:
            yield from (
                f"turn {turn.number} says {p!r}" for p in self.never_says if p.lower() in turn.heard.lower()
            )
            yield from (
                f"turn {turn.number} holds {p!r}" for p in self.never_heard if p.lower() in turn.words.lower()
            )
        if self.turns and len(self.turns) != len(turns):
            yield f"has {len(turns)} turns, not {len(self.turns)}: {', '.join(t.gist for t in turns)}"
            return
        for wanted, turn in zip(self.turns, turns, strict=False):
            yield from (f"turn {turn.number}: {text}" for text in _missed(wanted, turn))


def _missed(wanted: ExpectedTurn, turn: ReplayTurn) -> Iterator[str]:
    decision = turn.decision
    for name, globs, got in (
        ("input", wanted.input, turn.kind),
        ("words", wanted.words, turn.words),
        ("intent", wanted.intent, decision["intent"]),
        ("action", wanted.action, decision["action"]),
        ("row", wanted.row, decision["policy_row"]),
        ("after", wanted.after, turn.after),
    ):
        if globs and not _any(globs, str(got)):
            yield f"{name} is {got!r}, not {' or '.join(globs)}"
    if wanted.tools is not None:
        got = [f"{tool}:{outcome}" for tool, outcome in turn.tools]
        fits = len(got) == len(wanted.tools) and all(
            fnmatchcase(one, glob if ":" in glob else f"{glob}:*")
            for glob, one in zip(wanted.tools, got, strict=False)
        )
        if not fits:
            yield f"tools are {', '.join(got) or 'none'}, not {', '.join(wanted.tools) or 'none'}"
    heard = turn.heard.lower()
    yield from (f"does not say {part!r}: {turn.heard!r}" for part in wanted.says if part.lower() not in heard)
    yield from (f"says {part!r}: {turn.heard!r}" for part in wanted.never_says if part.lower() in heard)
    if wanted.whole is not None and wanted.whole is not turn.complete:
        yield f"was heard {'in part' if wanted.whole else 'whole'}: {turn.heard!r}"


def _any(globs: tuple[str, ...], got: str) -> bool:
    return any(fnmatchcase(got, glob) for glob in globs)
