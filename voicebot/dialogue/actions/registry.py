"""The tools of a deployment, loaded once at boot, and the one way to call a tool."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog
from pydantic import ValidationError

from voicebot.core.conversation import Strict, ToolRead
from voicebot.core.store.database import DatabaseDown
from voicebot.core.store.tool_calls import Call
from voicebot.dialogue.actions.prepared import Prepared
from voicebot.dialogue.actions.tool import Outcome, Tool, ToolContext, ToolError, ToolFunction
from voicebot.dialogue.connectors.connector import ConnectorError, OutcomeUnknown
from voicebot.dialogue.connectors.scopes import Scoped
from voicebot.safety.identity import VerifiedCustomer, genuine

log = structlog.get_logger(__name__)

MAX_ARGUMENTS_CHARS = 2_000
"""No tool is told more than this: an address, a few items, a time."""


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

    @property
    def writes(self) -> frozenset[str]:
        """Names of the tools that change something."""
        return frozenset(name for name, tool in self._tools.items() if tool.writes)

    @property
    def limits(self) -> dict[str, tuple[str, ...]]:
        """By tool that changes something, the limits that it counts against."""
        return {name: self._tools[name].limits for name in sorted(self.writes)}

    @property
    def amounts(self) -> frozenset[str]:
        """Tools that say how much money a change is about."""
        return frozenset(name for name in self.writes if "amount" in self._tools[name].result.model_fields)

    def missing(self, name: str, slots: Mapping[str, Any]) -> tuple[str, ...]:
        """Fields that a tool needs and that are not among the slots: what is still to be asked for."""
        fields = self.get(name).request.model_fields
        return tuple(field for field, info in fields.items() if info.is_required() and field not in slots)

    def get(self, name: str) -> Tool:
        """A tool by name.

        Raises:
            ToolRefused: there is none.
        """
        if name not in self._tools:
            raise ToolRefused(f"no tool {name!r}; known are {', '.join(sorted(self._tools)) or 'none'}")
        return self._tools[name]

    def check(
        self, name: str, arguments: Mapping[str, Any], *, exposed: Collection[str] | None = None
    ) -> Prepared:
        """A call with its arguments checked; nothing is run. Reads and writes alike.

        Args:
            name: the tool.
            arguments: plain values, checked against the tool's strict model.
            exposed: the tools that the intent's row of the policy names; None where the server itself asks.

        Raises:
            ToolRefused: unknown tool, one that the intent may not use, or unfit arguments: names the fields,
                never a value.
        """
        tool = self.get(name)
        if exposed is not None and name not in exposed:
            raise ToolRefused(f"tool {name!r} is not named by this intent's row of the policy")
        return Prepared(tool, _request(tool, arguments))

    def restore(self, name: str, canonical: str) -> Prepared:
        """A call out of `Prepared.canonical`, as it was stored.

        Raises:
            ToolRefused: the tool is gone, or its models are no longer what they were.
        """
        tool = self.get(name)
        try:
            stored: Any = json.loads(canonical)
            request = tool.request.model_validate_json(json.dumps(stored["request"]))
            terms = stored["terms"]
            made = None if terms is None else tool.result.model_validate_json(json.dumps(terms))
        except (ValidationError, ValueError, KeyError, TypeError):
            raise ToolRefused(f"tool {name!r}: its models changed since this was proposed") from None
        return Prepared(tool, request, made)

    def rejected(self, name: str, arguments: Mapping[str, Any], why: ToolRefused) -> Call:
        """The row of a call that was never run. Whoever made the name up may have put anything into it."""
        tool = self._tools.get(name)
        text = json.dumps(dict(arguments), default=str)
        return Call(
            tool="?" if tool is None else name,
            effect="none" if tool is None else tool.effect.value,
            status="rejected",
            inputs=dict(arguments) if len(text) <= MAX_ARGUMENTS_CHARS else {"chars": len(text)},
            reason="no such tool" if tool is None else str(why),
        )

    async def read(
        self,
        name: str,
        arguments: Mapping[str, Any],
        *,
        context: ToolContext,
        customer: VerifiedCustomer | None,
        conversation_id: str,
        exposed: Collection[str] | None = None,
    ) -> tuple[ToolRead, Outcome | None]:
        """Calls a reading tool for a plan. A tool that fails or is late is a result too (``error`` set).

        Args:
            name: the tool.
            arguments: plain values, checked against the tool's strict model.
            context: what it may use.
            customer: the verified caller; without one, tools that need it are refused.
            conversation_id: for the log line of the call.
            exposed: as in `check`.

        Raises:
            ToolRefused: unknown tool, unfit arguments, missing identity, or a tool that writes.
            DatabaseDown: our own database does not answer.
        """
        tool = self.get(name)
        if tool.writes:
            raise ToolRefused(f"tool {name!r} writes: a plan only reads")
        prepared = self.check(name, arguments, exposed=exposed)
        outcome, error, ms = await self._run(prepared, tool.function, context, customer, conversation_id)
        result = None if outcome is None else outcome.model_dump(mode="json")
        read = ToolRead(
            tool=name, arguments=dict(arguments), result=result, error=error, duration_ms=round(ms, 3)
        )
        return read, outcome

    async def terms(
        self,
        prepared: Prepared,
        *,
        context: ToolContext,
        customer: VerifiedCustomer | None,
        conversation_id: str,
    ) -> tuple[ToolRead, Prepared | Outcome | None]:
        """What a change would do, read from the records; nothing is changed.

        Returns:
            The read, and: the call on its terms, ready to be proposed; or the outcome that says why it cannot
            be made (``too_late``); or None if the tool failed or was late.

        Raises:
            ToolRefused: no change, or missing identity.
            DatabaseDown: our own database does not answer.
        """
        tool = prepared.tool
        if tool.terms is None:
            raise ToolRefused(f"tool {tool.name!r} changes nothing: read it")
        outcome, error, ms = await self._run(prepared, tool.terms, context, customer, conversation_id)
        result = None if outcome is None else outcome.model_dump(mode="json")
        read = ToolRead(
            tool=tool.name, arguments=prepared.arguments, result=result, error=error, duration_ms=round(ms, 3)
        )
        possible = outcome is not None and outcome.outcome in tool.done
        return read, prepared.on(outcome) if outcome is not None and possible else outcome

    async def write(
        self,
        prepared: Prepared,
        *,
        context: ToolContext,
        customer: VerifiedCustomer,
        conversation_id: str,
    ) -> Outcome:
        """Makes a change. Only `Changes` calls it: with limits, a row in ``tool_calls``, once.

        ``context`` holds the act's key, its terms, and records bound to the transaction or to the key.

        Raises:
            ToolRefused: no change, no terms, no identity or no key; nothing was done.
            ConnectorError: the records refused it, or the tool's own code failed; nothing was done, or, with
                records in our own database, nothing that its savepoint does not take back.
            Departs: done otherwise than agreed; as above, a savepoint takes it back.
            OutcomeUnknown: nobody knows whether it was made.
            DatabaseDown: our own database does not answer.
        """
        tool, key = prepared.tool, context.key
        if not tool.writes or key is None:
            raise ToolRefused(f"tool {tool.name!r}: a change needs a writing tool and a key")
        if prepared.terms is None:
            raise ToolRefused(f"tool {tool.name!r}: a change is made on terms that were read before")
        here = tool.home == "house" or context.records.local
        # Cancelling a statement hangs up on our own database; there each statement has its own limit.
        records = Scoped(context.records, tool.scopes)
        context = replace(context, records=records)
        try:
            outcome, error, _ = await self._run(
                prepared, tool.function, context, customer, conversation_id, timed=not here
            )
        except ConnectorError as failed:
            if records.sent and not here:  # the change went through, what was read after it did not
                raise OutcomeUnknown(key, str(failed)) from failed
            raise
        if outcome is None:
            if records.sent and not here:
                raise OutcomeUnknown(key, error or "no result")
            raise ConnectorError(f"tool {tool.name!r}: {error or 'no result'}")
        if outcome.outcome not in tool.done:
            return outcome
        if departs := prepared.departs(outcome):
            raise Departs(tool.name, departs)
        if tool.proof is not None and not here:
            try:
                async with asyncio.timeout(tool.timeout_s):
                    stands = await tool.proof(context, customer, prepared.request)
            except (ConnectorError, TimeoutError) as failed:
                raise OutcomeUnknown(key, f"it cannot be read whether it stands: {failed}") from failed
            if not stands:
                raise Departs(tool.name, ("outcome",))
        return outcome

    async def _run(
        self,
        prepared: Prepared,
        function: ToolFunction,
        context: ToolContext,
        customer: VerifiedCustomer | None,
        conversation_id: str,
        *,
        timed: bool = True,
    ) -> tuple[Outcome | None, str | None, float]:
        """Runs one function of a tool: its outcome or what went wrong, and the time in ms."""
        tool = prepared.tool
        if tool.needs_identity and not genuine(customer):
            raise ToolRefused(f"tool {tool.name!r} needs a verified customer")
        if tool.needs_identity and customer is not None and customer.level < tool.level:
            raise ToolRefused(f"tool {tool.name!r} needs a customer verified to level {tool.level}")
        if not isinstance(context.records, Scoped):
            context = replace(context, records=Scoped(context.records, tool.scopes))
        request = prepared.request
        parts = (context, customer, request) if tool.needs_identity else (context, request)
        started = time.perf_counter()
        outcome: Outcome | None = None
        error_text: str | None = None
        try:
            async with asyncio.timeout(tool.timeout_s if timed else None):
                outcome = await function(*parts)
        except (DatabaseDown, OutcomeUnknown):
            raise
        except TimeoutError:
            error_text = f"no answer within {tool.timeout_s:g} s"
        except ConnectorError as error:
            if context.key is not None:
                raise
            error_text = str(error)
        except Exception as error:  # a deployment's code: whatever it raises must not end the call
            error_text = type(error).__name__
            # No traceback: it may quote what was read.
            log.error("tool.crashed", tool=tool.name, conversation=conversation_id, error=error_text)
        if outcome is not None and type(outcome) is not tool.result:
            error_text, outcome = f"result is not a {tool.result.__name__}", None
        duration_ms = (time.perf_counter() - started) * 1000
        log.info(
            "tool.called",
            tool=tool.name,
            conversation=conversation_id,
            ok=error_text is None,
            ms=round(duration_ms, 1),
        )
        return outcome, error_text, duration_ms


class Departs(Exception):  # a verdict
    """A change was made otherwise than the caller had agreed to; names the fields, never a value."""

    def __init__(self, tool: str, fields: tuple[str, ...]) -> None:
        self.fields = fields
        super().__init__(f"tool {tool!r} did something else than was agreed to: {', '.join(fields)}")


def _request(tool: Tool, arguments: Mapping[str, Any]) -> Strict:
    try:
        text = json.dumps(dict(arguments))
        if len(text) > MAX_ARGUMENTS_CHARS:
            raise ToolRefused(f"tool {tool.name!r}: arguments do not fit (too long: {_longest(arguments)})")
        return tool.request.model_validate_json(text)
    except (ValidationError, TypeError) as error:
        raise ToolRefused(f"tool {tool.name!r}: arguments do not fit ({_wrong(error)})") from None


def _longest(arguments: Mapping[str, Any]) -> str:
    """The field with most in it; a name that is none of a model's may itself be anything."""
    name = max(arguments, key=lambda name: len(str(arguments[name])))
    return name if _is_name(name) else "a field"


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
    return ", ".join(_place(detail["loc"]) for detail in error.errors())


def _place(loc: tuple[int | str, ...]) -> str:
    """A field's name. One that the model does not have was made up by somebody, and may be anything."""
    names = [str(part) if isinstance(part, int) or _is_name(part) else "?" for part in loc]
    return ".".join(names) or "?"


def _is_name(part: str) -> bool:
    return len(part) < 40 and part.isidentifier()
