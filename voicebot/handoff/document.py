"""Reads one file of a deployment's ``business/`` as a model; what is wrong with it is said with its name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from voicebot.core.documents import parse_yaml

Model = TypeVar("Model", bound=BaseModel)

MOST = 5
"""Faults that are named at once."""


def read_document(
    model: type[Model],
    path: Path,
    refuse: Callable[[str], Exception],
    *,
    ours: Mapping[str, Any] | None = None,
    hint: str = "",
) -> Model:
    """The file as a model, checked as JSON is.

    Args:
        model: what it has to be.
        path: of the file, or it is empty if there is none and ``ours`` is given.
        refuse: makes the error of a sentence that names file and fault.
        ours: keys that are not the file's to set.
        hint: in brackets behind "is not usable YAML": what is likely.

    Raises:
        Exception: as ``refuse`` makes it.
    """
    try:
        text = "{}" if ours is not None and not path.exists() else path.read_text(encoding="utf-8")
        document: Any = parse_yaml(text)
        return model.model_validate_json(json.dumps(document if ours is None else {**document, **ours}))
    except OSError as error:
        raise refuse(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, TypeError) as error:
        raise refuse(f"{path}: is not usable YAML{hint}: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:MOST])
        raise refuse(f"{path}: {wrong}") from error
