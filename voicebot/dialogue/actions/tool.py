"""A tool: a typed async function with a declared effect, made by the `tool` decorator.

    class Request(Strict):
        order_number: str = Field(pattern=r"^[0-9]{6}$")

    class Result(Outcome):
        outcome: Literal["shipped", "not_found"]
        due_on: date | None = None

    @tool(effect=Effect.READ, cost=Cost.PURE, timeout_s=2.0, resource="shop.orders")
    async def order_status(context: ToolContext, customer: VerifiedCustomer, request: Request) -> Result:
        '''Where a customer's order is.'''

The docstring is the tool's definition. A function that takes a ``VerifiedCustomer`` cannot be
called without one: only the identity gate makes them.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from voicebot.core.conversation import Strict
from voicebot.dialogue.connectors.connector import Connector
from voicebot.safety.identity import VerifiedCustomer


class ToolError(Exception):
    """A tool is declared wrongly; the message names the function and what is missing."""


class Effect(StrEnum):
    """What a tool does to the world. A tool without a declaration is not a tool."""

    READ = "read"
    WRITE = "write"
    IRREVERSIBLE = "irreversible"


class Cost(StrEnum):
    """What a read costs, which says when a plan may run it (an eager plan: only ``pure`` ones)."""

    PURE = "pure"
    METERED = "metered"
    STATEFUL = "stateful"


class Outcome(Strict):
    """Base of every tool's result. ``outcome`` names the case; the deployment has a line for each."""

    outcome: str


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool may use: the system of record."""

    records: Connector


ToolFunction = Callable[..., Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Tool:
    """A declared tool. Immutable; shared by all conversations."""

    name: str
    description: str
    effect: Effect
    cost: Cost
    timeout_s: float
    resource: str
    """What it reads or changes, for the access log: ``shop.orders``."""
    needs_identity: bool
    request: type[Strict]
    result: type[Outcome]
    function: ToolFunction
    source: str = ""
    """The file it was loaded from."""


def tool(*, effect: Effect, cost: Cost, timeout_s: float, resource: str) -> Callable[[ToolFunction], Tool]:
    """Declares the function below it as a tool of the same name.

    Args:
        effect: read, write or irreversible.
        cost: when a plan may run it.
        timeout_s: seconds until a call is given up.
        resource: what it touches, for the access log.

    Raises:
        ToolError: no docstring, a parameter or result of another kind, or an open model.
    """

    def declare(function: ToolFunction) -> Tool:
        name = getattr(function, "__name__", "?")
        if not inspect.iscoroutinefunction(function):
            raise ToolError(f"tool {name}: must be `async def`")
        description = inspect.getdoc(function)
        if not description:
            raise ToolError(f"tool {name}: its docstring is its definition; write one")
        if not 0 < timeout_s <= 30:
            raise ToolError(f"tool {name}: timeout_s must lie in 0..30, not {timeout_s}")
        needs_identity, request, result = _signature(name, function)
        return Tool(
            name=name,
            description=description,
            effect=effect,
            cost=cost,
            timeout_s=timeout_s,
            resource=resource,
            needs_identity=needs_identity,
            request=request,
            result=result,
            function=function,
        )

    return declare


def _signature(name: str, function: ToolFunction) -> tuple[bool, type[Strict], type[Outcome]]:
    try:
        hints: dict[str, Any] = typing.get_type_hints(function)
    except NameError as error:
        raise ToolError(f"tool {name}: {error}") from error
    result = hints.pop("return", None)
    kinds = list(hints.values())
    needs_identity = VerifiedCustomer in kinds
    expected = [ToolContext, VerifiedCustomer] if needs_identity else [ToolContext]
    if kinds[:-1] != expected or not _strict(kinds[-1], Strict):
        raise ToolError(
            f"tool {name}: parameters are (context: ToolContext, [customer: VerifiedCustomer,] "
            "request: a model made from Strict)"
        )
    if not _strict(result, Outcome):
        raise ToolError(f"tool {name}: the result must be a model made from Outcome")
    return needs_identity, kinds[-1], typing.cast("type[Outcome]", result)


def _strict(kind: Any, base: type[Strict]) -> bool:
    return (
        isinstance(kind, type)
        and issubclass(kind, base)
        and kind is not base
        and kind.model_config.get("extra") == "forbid"
        and kind.model_config.get("strict") is True
    )
