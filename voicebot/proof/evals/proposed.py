"""A stored conversation as a golden one: what was said up to a turn, and what should come of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from voicebot.proof.evals.conversation import GoldenFile


def golden_case(
    name: str,
    channel: str,
    turns: Sequence[dict[str, Any]],
    upto: int,
    expect: dict[str, Any],
) -> dict[str, Any] | None:
    """A file of one conversation in the golden format; None if its last turn is none of the caller's.

    Args:
        name: lower-case words joined by hyphens.
        channel: how it came in.
        turns: as `Conversations.turns` gives them; their inputs hold tokens, not values.
        upto: number of the turn that is expected to go otherwise.
        expect: what of it, in the golden format.

    Raises:
        pydantic.ValidationError: it does not fit the format.
    """
    said = [(row["turn"], _turn(row["input"])) for row in turns if row["turn"] <= upto]
    given = [(number, turn) for number, turn in said if turn is not None]
    if not given or given[-1][0] != upto:
        return None
    lines: list[dict[str, Any]] = [turn for _, turn in given]
    lines[-1] = {**lines[-1], "expect": expect}
    document = {
        "about": "Proposed by an agent's correction",
        "tags": ["correction"],
        "conversations": [{"name": name, "channel": channel, "turns": lines}],
    }
    GoldenFile.model_validate(_frozen(document))
    return document


def as_yaml(document: dict[str, Any]) -> str:
    """The document as a file of its own."""
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)


def _turn(given: dict[str, Any]) -> dict[str, Any] | None:
    match given.get("kind"):
        case "utterance":
            return {"caller": given["text"]}
        case "keys":
            return {"keys": given["digits"]}
        case "silence":
            return {"silence": given["nth"]}
        case "not_heard":
            return {"not_heard": given["reason"]}
        case _:
            return None


def _frozen(value: Any) -> Any:
    """Lists as tuples, as the strict models want them."""
    if isinstance(value, dict):
        return {key: _frozen(one) for key, one in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return tuple(_frozen(one) for one in value) if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType]
