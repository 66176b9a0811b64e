"""Reads golden conversations from YAML, strictly: every error names its file, line and conversation."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from voicebot.proof.evals import conversation as format_
from voicebot.proof.evals.conversation import Conversation, GoldenFile, SetRules, Turn, Way

SET_FILE = "set.yaml"
GUARDED = frozenset({"safety", "gate", "injection", "person"})
"""Tags of conversations that must go as expected: no gap of theirs is ever accepted."""
Loc = tuple[str | int, ...]
M = TypeVar("M", bound=BaseModel)

_KEYS = sorted(
    {
        name
        for model in vars(format_).values()
        if isinstance(model, type) and issubclass(model, BaseModel)
        for name in model.model_fields
    }
)


class GoldenError(Exception):
    """Golden conversations that cannot be used; the message names each place and what to write."""


@dataclass(frozen=True, slots=True)
class Span:
    """Where a value stands in its file: line (from 1), and first and last character."""

    line: int
    start: int
    end: int


class Places:
    """Where each value of a document stands."""

    def __init__(self, spans: dict[Loc, Span]) -> None:
        self._spans = spans
        self._uses = Counter(spans.values())

    def span(self, loc: Loc) -> Span:
        """The place of a value; of what holds it, where the value itself is missing."""
        while loc not in self._spans and loc:
            loc = loc[:-1]
        return self._spans[loc]

    def shared(self, span: Span) -> bool:
        """Whether several values stand there (a YAML anchor and its aliases)."""
        return self._uses[span] > 1


@dataclass(frozen=True)
class Golden:
    """One conversation and where it stands."""

    file: str
    conversation: Conversation
    tags: tuple[str, ...]
    """Its own and those of its file."""
    lines: tuple[int, ...]
    """The line of each turn."""
    nth: int
    """Its place in the file."""


@dataclass(frozen=True)
class GoldenSet:
    """All golden conversations of a deployment."""

    folder: Path
    rules: SetRules
    conversations: tuple[Golden, ...]


def read_set(folder: Path) -> GoldenSet:
    """Reads ``set.yaml`` and every other ``*.yaml`` of the folder.

    Raises:
        GoldenError: a file is missing, no YAML, or not of the format; all wrong places of all files.
    """
    rules_path = folder / SET_FILE
    if not rules_path.is_file():
        raise GoldenError(f"{rules_path} is missing: it holds `today` and the rules of every conversation")
    paths = sorted(path for path in folder.glob("*.yaml") if path.name != SET_FILE)
    if not paths:
        raise GoldenError(f"{folder} holds no conversations (*.yaml)")
    wrong: list[str] = []
    rules: SetRules | None = None
    found: list[Golden] = []
    for path in [rules_path, *paths]:
        try:
            if path is rules_path:
                rules, _ = read_document(path, SetRules)
            else:
                found += _conversations(path)
        except GoldenError as error:
            wrong.append(str(error))
    wrong += [*_twice(found), *_accepted(found)]
    if wrong or rules is None:
        raise GoldenError("\n".join(wrong))
    return GoldenSet(folder, rules, tuple(found))


def read_document(path: Path, model: type[M]) -> tuple[M, Places]:
    """One YAML file as a model, with the place of every value.

    Raises:
        GoldenError: as `read_set`.
    """
    try:
        document, places = plain_document(path.read_text(encoding="utf-8"), path)
        return model.model_validate(document), places
    except (OSError, UnicodeDecodeError) as error:
        raise GoldenError(f"{path}: cannot be read: {error}") from error
    except ValidationError as error:
        # document and places exist: only validation raises this
        raise GoldenError("\n".join(_lines(path, document, places, error))) from error  # pyright: ignore[reportPossiblyUnboundVariable]


def plain_document(text: str, path: Path) -> tuple[Any, Places]:
    """YAML as plain values (lists as tuples), with the place of each.

    Raises:
        GoldenError: no YAML, a key twice, or a key that is no word.
    """
    loader = yaml.SafeLoader(text)
    spans: dict[Loc, Span] = {}
    try:
        node = loader.get_single_node()
        if node is None:
            raise GoldenError(f"{path}:1: the file is empty")
        return _value(node, (), spans, loader, path), Places(spans)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f":{mark.line + 1}" if mark is not None else ""
        raise GoldenError(f"{path}{at}: is no YAML: {getattr(error, 'problem', None) or error}") from error
    finally:
        loader.dispose()


def _value(node: yaml.Node, loc: Loc, spans: dict[Loc, Span], loader: yaml.SafeLoader, path: Path) -> Any:
    spans[loc] = Span(node.start_mark.line + 1, node.start_mark.index, node.end_mark.index)
    if isinstance(node, yaml.SequenceNode):
        return tuple(_value(n, (*loc, at), spans, loader, path) for at, n in enumerate(node.value))
    if isinstance(node, yaml.MappingNode):
        made: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, line = loader.construct_object(key_node), key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise GoldenError(f"{path}:{line}: the key {key!r} is no word")
            if key in made:
                raise GoldenError(f"{path}:{line}: {key} stands here twice")
            made[key] = _value(value_node, (*loc, key), spans, loader, path)
        return made
    return loader.construct_object(node)


def _conversations(path: Path) -> list[Golden]:
    file, places = read_document(path, GoldenFile)
    return [
        Golden(
            file=path.name,
            conversation=conversation,
            tags=tuple(dict.fromkeys((*file.tags, *conversation.tags))),
            lines=tuple(
                places.span(("conversations", at, "turns", turn)).line
                for turn in range(len(conversation.turns))
            ),
            nth=at,
        )
        for at, conversation in enumerate(file.conversations)
    ]


def _twice(found: list[Golden]) -> list[str]:
    seen: dict[str, Golden] = {}
    wrong: list[str] = []
    for golden in found:
        name = golden.conversation.name
        if name in seen:
            wrong.append(
                f"{golden.file}:{golden.lines[0]}: the name {name} is taken, see "
                f"{seen[name].file}:{seen[name].lines[0]}"
            )
        seen.setdefault(name, golden)
    return wrong


def _accepted(found: list[Golden]) -> list[str]:
    return [
        f"{golden.file}:{golden.lines[0]}: conversation {golden.conversation.name}: `known` is not for "
        f"conversations with the tag {sorted(GUARDED & set(golden.tags))[0]}: they guard callers"
        for golden in found
        if golden.conversation.gaps and GUARDED & set(golden.tags)
    ]


def _lines(path: Path, document: Any, places: Places, error: ValidationError) -> list[str]:
    """One line for each wrong place; the branches of a union that were not meant are left out."""
    lines: list[str] = []
    for problem in error.errors():
        loc = _document_loc(problem["loc"], document)
        if problem["type"] == "too_short" and problem["input"]:
            continue  # said of a list whose items are wrong, beside what is wrong with them
        line = f"{path}:{places.span(loc).line}: {_where(document, loc)}{_message(problem, loc)}"
        if line not in lines:
            lines.append(line)
    return lines


def _document_loc(loc: Loc, document: Any) -> Loc:
    """The part of an error's place that stands in the document (unions add names of their branches)."""
    kept: list[str | int] = []
    value: Any = document
    for step in loc:
        if step in _steps(value):
            value = value[step]
            kept.append(step)
    return tuple(kept)


def _steps(value: Any) -> Collection[Any]:
    return value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, tuple) else ()


def _where(document: Any, loc: Loc) -> str:
    if loc[:1] != ("conversations",) or len(loc) < 2:
        return ""
    conversation: Any = document["conversations"][loc[1]]
    name = conversation.get("name") if isinstance(conversation, dict) else None
    where = f"conversation {name or f'number {int(loc[1]) + 1}'}"
    if len(loc) > 3 and loc[2] == "turns":
        where += f", turn {int(loc[3]) + 1}"
    return f"{where}: "


def _message(problem: Any, loc: Loc) -> str:
    field, given = problem["loc"][-1], problem.get("input")
    name = ".".join(str(step) for step in loc[4:] or loc[2:]) or str(field)
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(field), [key for key in _KEYS if key != field], n=1)
        return f"{field} is no key here" + (f"; did you mean {near[0]}?" if near else "")
    if problem["type"] == "missing":
        return f"{field} is missing"
    if isinstance(given, bool):
        return f"{name}: {problem['msg']} (YAML reads yes, no, on, off as true and false: write it in quotes)"
    return f"{name}: {problem['msg'].removeprefix('Value error, ')}"


def held(golden: Golden) -> tuple[tuple[str, Conversation], ...]:
    """A golden conversation as it is held: itself, or once for each of its ways, with a name for each."""
    made = golden.conversation
    if not made.ways:
        return ((made.name, made),)
    return tuple((f"{made.name}/{nth}", _in_way(made, way)) for nth, way in enumerate(made.ways, start=1))


def _in_way(made: Conversation, way: str | Way) -> Conversation:
    said, known = (way.say, way.known) if isinstance(way, Way) else (way, made.known)
    turns: tuple[Turn, ...] = tuple(
        turn.model_copy(update={"caller": said}) if turn.caller == format_.WAY else turn
        for turn in made.turns
    )
    return made.model_copy(update={"turns": turns, "ways": (), "known": known})
