"""A tool: a typed async function with a declared effect, made by the `tool` decorator.

    class Request(Strict):
        order_number: str = Field(pattern=r"^[0-9]{6}$")

    class Result(Outcome):
        outcome: Literal["shipped", "not_found"]
        due_on: date | None = None

    @tool(effect=Effect.READ, cost=Cost.PURE, timeout_s=2.0, resource="shop.orders", scope="orders:read")
    async def order_status(context: ToolContext, customer: VerifiedCustomer, request: Request) -> Result:
        '''Where a customer's order is.'''

One that changes something says in advance what it would do (`terms`, reads only), and does exactly that::

    async def terms(context: ToolContext, customer: VerifiedCustomer, request: Request) -> Result:
        '''What cancelling would mean: nothing is changed here.'''

    @tool(
        effect=Effect.WRITE,
        cost=Cost.STATEFUL,
        timeout_s=3.0,
        resource="shop.orders",
        scope="orders:write",
        terms=terms,
        done=("cancelled",),
        reads_back=("order_number", "amount"),
        limits=("refund_amount",),
        hints={"too_late": "start_return"},
    )
    async def cancel_order(context: ToolContext, customer: VerifiedCustomer, request: Request) -> Result:
        '''Cancels an order that has not been sent.'''

The docstring is the tool's definition. A function that takes a ``VerifiedCustomer`` cannot be
called without one: only the identity gate makes them.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Literal, Protocol
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from voicebot.core.conversation import Strict
from voicebot.dialogue.connectors.connector import Connector
from voicebot.safety.identity import VerifiedCustomer

_UTC = ZoneInfo("UTC")


class ToolError(Exception):
    """A tool is declared wrongly; the message names the function and what is missing."""


class Effect(StrEnum):
    """What a tool does to the world. A tool without a declaration is not a tool."""

    READ = "read"
    WRITE = "write"
    """It changes something, and another act can change it back."""
    IRREVERSIBLE = "irreversible"
    """Nothing takes it back: money is sent, a text message is out."""


class Cost(StrEnum):
    """What a read costs, which says when a plan may run it (an eager plan: only ``pure`` ones)."""

    PURE = "pure"
    METERED = "metered"
    STATEFUL = "stateful"


class Outcome(Strict):
    """Base of every tool's result. ``outcome`` names the case; the deployment has a line for each."""

    outcome: str


class Office(Protocol):
    """What our own house does for a writing tool, on the act's transaction: so it happens with it or not."""

    async def text(self, to: str, words: str) -> str:
        """Puts a text message into the queue of what is sent; returns its id. ``to``: E.164."""
        ...

    async def take_payment(
        self, *, about: str, amount: Decimal, currency: str, book: str, parameters: Mapping[str, Any]
    ) -> bool:
        """Has a card taken for an amount that was agreed to. False: one for the same thing is under way.

        ``about``: what is paid for. ``book``: the records' change that writes it down, with its parameters.
        """
        ...


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool may use.

    ``now`` is aware; ``zone`` is the business's. ``key`` is the act's idempotency key, ``terms`` what was
    read back and agreed to, ``office`` our own house: only while a change is being made, None in reads.
    """

    records: Connector
    now: datetime
    zone: ZoneInfo = _UTC
    key: str | None = None
    terms: Outcome | None = field(default=None, repr=False)
    office: Office | None = None

    @property
    def today(self) -> date:
        """The day it is where the business is."""
        return self.now.astimezone(self.zone).date()


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
    scopes: frozenset[str] = frozenset()
    """The scopes of the queries it may use; a write includes reading the same."""
    terms: ToolFunction | None = None
    """Reads what the change would do. Every writing tool has one."""
    proof: Callable[..., Awaitable[bool]] | None = None
    """Reads, after a change that a remote system says it made, whether it stands."""
    done: frozenset[str] = frozenset()
    """Outcomes that mean the change was made; all others left everything as it was."""
    reads_back: tuple[str, ...] = ()
    """Fields (of the result, else of the request) that the caller must have heard before a yes counts."""
    limits: tuple[str, ...] = ()
    """Names of the policy's limits that a change counts against."""
    hints: Mapping[str, str] = field(default_factory=dict[str, str])
    """By outcome: the intent that helps on, which the bot offers next; ``person`` for a colleague."""
    level: int = 1
    """How much the caller must have proved (`VerifiedCustomer.level`)."""
    home: Literal["records", "house"] = "records"
    """Where its change happens: in the system of record, or in our own house (`Office`), always local."""
    takes_card: bool = False
    """Once it is done, the caller pays by card: see `Office.take_payment`."""
    source: str = ""
    """The file it was loaded from."""

    @property
    def writes(self) -> bool:
        """Whether it changes something."""
        return self.effect is not Effect.READ

    @property
    def outcomes(self) -> tuple[str, ...]:
        """The cases of its result; () when they are not a Literal."""
        annotation = self.result.model_fields["outcome"].annotation
        return typing.get_args(annotation) if typing.get_origin(annotation) is Literal else ()


def tool(
    *,
    effect: Effect,
    cost: Cost,
    timeout_s: float,
    resource: str,
    scope: str = "",
    terms: ToolFunction | None = None,
    proof: Callable[..., Awaitable[bool]] | None = None,
    done: tuple[str, ...] = (),
    reads_back: tuple[str, ...] = (),
    limits: tuple[str, ...] = (),
    hints: Mapping[str, str] | None = None,
    home: Literal["records", "house"] = "records",
    level: int = 1,
    takes_card: bool = False,
) -> Callable[[ToolFunction], Tool]:
    """Declares the function below it as a tool of the same name.

    Args:
        effect: read, write or irreversible.
        cost: when a plan may run it.
        timeout_s: seconds until a call is given up.
        resource: what it touches, for the access log.
        scope: scopes of the queries that it may use, with a space between two.
        terms: what a change would do, without doing it; same parameters and result.
        proof: whether the change stands, read afterwards where the records are not our own; same parameters.
        done: the outcomes that mean the change was made.
        reads_back: what the caller must have heard before a yes counts.
        limits: the policy's limits that a change counts against; one of money needs a field ``amount``.
        hints: by outcome, the intent to offer next, or ``person``.
        home: where a change happens.
        level: how much the caller must have proved, 1 to 3; policy's `identity.demands` asks for it.
        takes_card: it ends with a card being taken.

    Raises:
        ToolError: no docstring, a parameter or result of another kind, an open model, or a write that does
            not say who may ask for it, what it would do, when it was done and what is read back.
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
        declared = Tool(
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
            scopes=_with_reads(scope.split()),
            terms=terms,
            proof=proof,
            done=frozenset(done),
            reads_back=reads_back,
            limits=limits,
            hints=MappingProxyType(dict(hints or {})),
            home=home,
            level=level,
            takes_card=takes_card,
        )
        (_check_write if declared.writes else _check_read)(declared)
        return declared

    return declare


def _with_reads(scopes: list[str]) -> frozenset[str]:
    return frozenset(scopes) | {f"{one.removesuffix(':write')}:read" for one in scopes}


def _check_read(declared: Tool) -> None:
    said = declared.terms or declared.proof or declared.done or declared.reads_back or declared.limits
    if said or declared.home != "records":
        raise ToolError(f"tool {declared.name}: terms, proof, done, reads_back, limits, home are for changes")
    if any(scope.endswith(":write") for scope in declared.scopes):
        raise ToolError(f"tool {declared.name}: a read with a scope to write")
    _check_hints(declared)


def _check_write(declared: Tool) -> None:
    name = declared.name
    if not declared.needs_identity:
        raise ToolError(f"tool {name}: it changes something, so it takes a VerifiedCustomer")
    if declared.cost is not Cost.STATEFUL:
        raise ToolError(f"tool {name}: it changes something, so its cost is stateful: no plan may run it")
    if not declared.reads_back:
        raise ToolError(f"tool {name}: say in `reads_back` what the caller must hear before a yes counts")
    if declared.terms is None:
        raise ToolError(f"tool {name}: give `terms`, a function that reads what the change would do")
    if _signature(f"{name}: its terms", declared.terms) != (True, declared.request, declared.result):
        raise ToolError(f"tool {name}: its terms take and give what the tool does")
    strange = sorted(declared.done - set(declared.outcomes))
    if not declared.done or strange:
        raise ToolError(f"tool {name}: `done` names the outcomes that mean it was done ({strange} are none)")
    known = {*declared.result.model_fields, *declared.request.model_fields}
    if unknown := sorted(set(declared.reads_back) - known):
        raise ToolError(f"tool {name}: `reads_back` names {unknown}, which neither request nor result has")
    amount = declared.result.model_fields.get("amount")
    if amount is not None and Decimal not in (amount.annotation, *typing.get_args(amount.annotation)):
        raise ToolError(f"tool {name}: `amount` is money: a Decimal")
    if declared.home == "house" and declared.effect is Effect.READ:
        raise ToolError(f"tool {name}: a house is for changes")
    _check_hints(declared)


def _check_hints(declared: Tool) -> None:
    strange = sorted(set(declared.hints) - set(declared.outcomes))
    if strange:
        raise ToolError(f"tool {declared.name}: `hints` names {strange}, which are no outcomes of it")


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
    for model in (kinds[-1], result):
        if opening := _open_field(model):
            raise ToolError(f"tool {name}: {model.__name__}.{opening} is open: anything fits into it")
    return needs_identity, kinds[-1], typing.cast("type[Outcome]", result)


_OPEN: tuple[Any, ...] = (Any, object, dict, list, tuple, set)


def _open_field(model: type[BaseModel]) -> str | None:
    """The first field, however deep, into which anything fits: `Any`, a dict, a model that is not strict."""
    for name, field_info in model.model_fields.items():
        parts: list[Any] = [field_info.annotation]
        while parts:
            part = parts.pop()
            parts += typing.get_args(part)
            whole = typing.get_origin(part) or part
            if part in _OPEN or whole is dict:
                return name
            if isinstance(part, type) and issubclass(part, BaseModel):
                if not _strict(part, Strict):
                    return name
                if inner := _open_field(part):
                    return f"{name}.{inner}"
    return None


def _strict(kind: Any, base: type[Strict]) -> bool:
    return (
        isinstance(kind, type)
        and issubclass(kind, base)
        and kind is not base
        and kind.model_config.get("extra") == "forbid"
        and kind.model_config.get("strict") is True
    )
