"""The shipped policy as plain data, to be edited, and a boot of it as a server does it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

from voicebot.dialogue.actions.registry import ToolRegistry
from voicebot.dialogue.intents import IntentCatalog
from voicebot.safety.policy import Policy, check_policy, read_cases, read_policy

ROOT = Path(__file__).resolve().parent.parent
BUSINESS = ROOT / "business"
_REGISTRY = ToolRegistry.load(ROOT / "tools")
TOOLS = _REGISTRY.names
WRITES = _REGISTRY.writes

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_SHIPPED: dict[str, Any] = yaml.load((BUSINESS / "policy.yaml").read_text(), Loader=_LOADER)  # noqa: S506  # a safe one
_INTENTS: dict[str, Any] = yaml.load((BUSINESS / "intents.yaml").read_text(), Loader=_LOADER)  # noqa: S506
_CATALOG = IntentCatalog.model_validate(_INTENTS, strict=False)

CATEGORIES = _CATALOG.members()
INTENTS = _CATALOG.names
CASES = read_cases(BUSINESS / "policy_tests.yaml")


def shipped() -> dict[str, Any]:
    """A copy of the shipped table."""
    return copy.deepcopy(_SHIPPED)


def edited(path: str, value: object) -> dict[str, Any]:
    """The shipped table with one value changed: ``edited("intents.warranty.tier", 1)``."""
    document = shipped()
    at: Any = document
    *parents, last = path.split(".")
    for key in parents:
        at = at[_key(at, key)]
    at[_key(at, last)] = value
    return document


def _key(at: Any, key: str) -> Any:
    return int(key) if isinstance(at, list) or (key.isdigit() and int(key) in at) else key


def boot(
    document: object,
    folder: Path,
    *,
    tools: frozenset[str] = TOOLS,
    writes: frozenset[str] = WRITES,
    tested: bool = True,
) -> Policy:
    """Writes the table to a file, reads, proves and tests it. ``tested`` False: without the shop's own tests.

    Raises:
        PolicyError: it does not boot.
    """
    path = folder / "policy.yaml"
    path.write_text(yaml.dump(document, Dumper=_DUMPER, sort_keys=False))
    table = read_policy(path)
    check_policy(
        table,
        intents=INTENTS,
        tools=tools,
        writes=writes,
        categories=CATEGORIES,
        cases=CASES if tested else None,
    )
    return Policy(table)
