"""YAML, read by libyaml where PyYAML was built with it: ten times as fast, and a node reads twenty files."""

from __future__ import annotations

from typing import Any

import yaml

LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""A safe one, in C where it is built."""


def parse_yaml(text: str) -> Any:
    """The document in ``text``: plain values only; None for an empty one.

    Raises:
        yaml.YAMLError: it is not YAML.
        RecursionError: it is nested too deeply.
    """
    return yaml.load(text, Loader=LOADER)  # noqa: S506  # a safe one
