"""The tools of a deployment, loaded once at boot, and the one way to call a tool."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog
from pydantic import ValidationError

from voicebot.core.conversation import ToolRead
from voicebot.core.store.database import DatabaseDown
from voicebot.dialogue.actions.tool import Effect, Outcome, Tool, ToolContext, ToolError
from voicebot.dialogue.connectors.connector import ConnectorError
from voicebot.safety.identity import VerifiedCustomer

log = structlog.get_logger(__name__)


class ToolRefused(Exception):  # a verdict
    """A call that must not happen: unknown tool, wrong input, no identity, not a read in a plan."""


class ToolRegistry:
    """Tools by name. Immutable after loading."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._tools: dict[str, Tool] = {}
        for tool in tools:
            if tool.name in self._tools:
                first = self._tools[tool.name].source
                raise ToolError(f"tool {tool.name!r} is defined twice: in {first} and {tool.source}")
            self._tools[tool.name] = tool

    @classmethod
    def load(cls, folder: Path) -> ToolRegistry:
        """Reads every ``*.py`` of ``folder`` (a leading ``_`` is skipped) and collects its tools.

        Raises:
            ToolError: a file cannot be loaded, a tool is declared wrongly, or a name stands twice.
        """
        found: list[Tool] = []
        for path in sorted(folder.glob("*.py")):
            if not path.name.startswith("_"):
                found += _tools_of(path)
        return cls(found)

    @property
    def names(self) -> frozenset[str]:
        """Names of all tools."""
        return frozenset(self._tools)

    def get(self, name: str) -> Tool:
        """A tool by name.

        Raises:
            ToolRefused: there is none.
        """
        if name not in self._tools:
            raise ToolRefused(f"no tool {name!r}; known are {', '.join(sorted(self._tools)) or 'none'}")
        return self._tools[name]

    async def read(
        self,
        name: str,
        arguments: Mapping[str, Any],
        *,
        context: ToolContext,
        customer: VerifiedCustomer | None,
        conversation_id: str,
    ) -> tuple[ToolRead, Outcome | None]:
        """Calls a reading tool for a plan. A tool that fails or is late is a result too (``error`` set).

        Args:
            name: the tool.
            arguments: plain values, checked against the tool's strict model.
            context: what it may use.
            customer: the verified caller; without one, tools that need it are refused.
            conversation_id: for the log line of the call.

        Raises:
            ToolRefused: unknown tool, unfit arguments, missing identity, or a tool that writes.
            DatabaseDown: our own database does not answer.
        """
        tool = self.get(name)
        if tool.effect is not Effect.READ:
            raise ToolRefused(f"tool {name!r} writes: a plan only reads")
        if tool.needs_identity and not isinstance(customer, VerifiedCustomer):
            raise ToolRefused(f"tool {name!r} needs a verified customer")
        try:
            request = tool.request.model_validate_json(json.dumps(dict(arguments)))
        except (ValidationError, TypeError) as error:
            raise ToolRefused(f"tool {name!r}: arguments do not fit ({_wrong(error)})") from None
        parts = (context, customer, request) if tool.needs_identity else (context, request)
        started = time.perf_counter()
        outcome: Outcome | None = None
        error_text: str | None = None
        try:
            async with asyncio.timeout(tool.timeout_s):
                outcome = await tool.function(*parts)
        except DatabaseDown:
            raise
        except TimeoutError:
            error_text = f"no answer within {tool.timeout_s:g} s"
        except ConnectorError as error:
            error_text = str(error)
        except Exception as error:  # a deployment's code: whatever it raises must not end the call
            error_text = type(error).__name__
            # No traceback: it may quote what was read.
            log.error("tool.crashed", tool=name, conversation=conversation_id, error=error_text)
        if outcome is not None and not isinstance(outcome, tool.result):
            error_text, outcome = f"result is not a {tool.result.__name__}", None
        duration_ms = (time.perf_counter() - started) * 1000
        log.info(
            "tool.called",
            tool=name,
            conversation=conversation_id,
            ok=error_text is None,
            ms=round(duration_ms, 1),
        )
        result = None if outcome is None else outcome.model_dump(mode="json")
        read = ToolRead(
            tool=name,
            arguments=dict(arguments),
            result=result,
            error=error_text,
            duration_ms=round(duration_ms, 3),
        )
        return read, outcome


def _tools_of(path: Path) -> list[Tool]:
    name = f"deployment_tools_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ToolError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except ToolError as error:
        raise ToolError(f"{path}: {error}") from error
    except Exception as error:
        raise ToolError(f"{path}: {type(error).__name__}: {error}") from error
    tools = [value for value in vars(module).values() if isinstance(value, Tool)]
    if not tools:
        raise ToolError(f"{path} declares no tool; decorate an async function with @tool(...)")
    return [_with_source(tool, path) for tool in tools if tool.function.__module__ == name]


def _with_source(tool: Tool, path: Path) -> Tool:
    return replace(tool, source=path.name)


def _wrong(error: ValidationError | TypeError) -> str:
    """Names of the fields that do not fit; their values are not for logs."""
    if isinstance(error, TypeError):
        return "not JSON"
    return ", ".join(".".join(map(str, detail["loc"])) for detail in error.errors())
