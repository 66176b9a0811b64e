"""Reads ``business/policy.yaml``, and says where it is wrong: file, line, row, nearest known name."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from voicebot.core.documents import LOADER, parse_yaml
from voicebot.safety.identity import CodeRules, Factor, FactorSet, GateRules, Lockout
from voicebot.safety.policy.circumstances import Grant, Override, When
from voicebot.safety.policy.owners import Incidents, Owners
from voicebot.safety.policy.problems import PolicyError, meant, refusal, refuse
from voicebot.safety.policy.rows import AtLeast, IntentRule, Record, Records, TierRow
from voicebot.safety.policy.table import Ladder, PolicyTable, Thresholds
from voicebot.safety.triggers.rules import MODELS, TriggerRules

_MODELS: Mapping[tuple[str, ...], type] = {
    (): PolicyTable,
    ("thresholds",): Thresholds,
    ("ladder",): Ladder,
    ("records",): Records,
    ("identity",): GateRules,
    ("identity", "factors", "*"): Factor,
    ("identity", "sets", "*"): FactorSet,
    ("identity", "lockout"): Lockout,
    ("identity", "code"): CodeRules,
    ("tiers", "*"): TierRow,
    ("tiers", "*", "at_least"): AtLeast,
    ("intents", "*"): IntentRule,
    ("intents", "*", "record"): Record,
    ("overrides", "*"): Override,
    ("overrides", "*", "when"): When,
    ("grants", "*"): Grant,
    ("owners",): Owners,
    ("owners", "incidents"): Incidents,
    ("triggers",): TriggerRules,
    **{("triggers", name): model for name, model in MODELS.items()},
}
M = TypeVar("M", bound=BaseModel)
Lines = dict[tuple[str, ...], int]


def read_policy(path: Path) -> PolicyTable:
    """The table in a file. Its rows are well formed; whether it may be used says `check_policy`.

    Raises:
        PolicyError: no such file, not YAML, a key or value that does not exist.
    """
    return read_model(path, PolicyTable)


def read_model(path: Path, model: type[M]) -> M:
    """A YAML file as a strict model, wrong keys and values told by line.

    Raises:
        PolicyError: no such file, not YAML, a key or value that does not exist.
    """
    document, lines = read_yaml(path)
    try:
        return model.model_validate_json(json.dumps(document))
    except ValidationError as error:
        raise refusal(str(path), [_told(detail, lines) for detail in error.errors()]) from error


def read_yaml(path: Path) -> tuple[Any, Lines]:
    """A YAML document of plain JSON values, and the line on which each of its keys stands.

    Raises:
        PolicyError: no such file, not YAML, a key that stands twice or is no word.
    """
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=LOADER)
        document = parse_yaml(text)
    except OSError as error:
        raise PolicyError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PolicyError(f"{path}: is not text in UTF-8") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise PolicyError(f"{path}: is not usable YAML: {error}") from error
    if not isinstance(document, dict):
        raise PolicyError(f"{path}: is not a table of keys and values")
    lines: Lines = {}
    problems: list[str] = []
    assert root is not None
    _walk(root, (), lines, problems, set())
    refuse(str(path), problems)
    return _plain(document), lines


def _walk(node: yaml.Node, at: tuple[str, ...], lines: Lines, problems: list[str], met: set[int]) -> None:
    """Notes each key's line. The parser itself would silently take the last of two rows of one name."""
    lines[at] = node.start_mark.line + 1
    if id(node) in met:
        problems.append(f"line {lines[at]}: {'.'.join(at)}: refers to another row (*); write it out")
        return
    met.add(id(node))
    if isinstance(node, yaml.MappingNode):
        seen: set[Hashable] = set()
        for key, value in node.value:
            name = str(key.value)
            line = key.start_mark.line + 1
            row = ".".join((*at, name))
            if key.tag not in {"tag:yaml.org,2002:str", "tag:yaml.org,2002:int"}:
                problems.append(
                    f'line {line}: {row}: YAML reads this name as something else; put it in quotes: "{name}"'
                )
            if name in seen:
                problems.append(f"line {line}: {row}: stands twice")
            seen.add(name)
            _walk(value, (*at, name), lines, problems, met)
            lines[(*at, name)] = line
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _walk(value, (*at, str(index)), lines, problems, met)


def _plain(value: Any) -> Any:
    """YAML's dates as text, so that strict models take them; everything else as it is."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.isoformat() if isinstance(value, date | datetime) else value


def _told(detail: ErrorDetails, lines: Lines) -> str:
    """One of pydantic's complaints for people: line, row, what is wrong, what may have been meant."""
    at = tuple(str(part) for part in detail["loc"] if part != "[key]")
    row = ".".join(at) or "(whole file)"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        message = f"there is no such key; {meant(at[-1], _keys(at[:-1]))}"
    elif detail["type"] == "missing":
        message = "is missing"
    elif detail["type"] in {"enum", "literal_error"}:
        message = f"`{detail['input']}` is no value for it; {meant(str(detail['input']), _values(message))}"
    line = _line(at, lines)
    return f"line {line}: {row}: {message}" if line else f"{row}: {message}"


def _line(at: tuple[str, ...], lines: Lines) -> int | None:
    while at:
        if at in lines:
            return lines[at]
        at = at[:-1]
    return None


def _keys(at: tuple[str, ...]) -> Iterable[str]:
    for pattern, model in _MODELS.items():
        if len(pattern) == len(at) and all(a in {"*", b} for a, b in zip(pattern, at, strict=True)):
            return model.model_fields.keys()
    return ()


def _values(message: str) -> Iterable[str]:
    """The values that pydantic lists: "Input should be 'answer', 'propose' or 'act'"."""
    return message.split("'")[1::2]
