"""``voicebot off``, ``on`` and ``switches``: what an operator takes away from the bot, for all nodes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from rich.console import Console

from voicebot.core.conversation import Route
from voicebot.core.settings import Settings
from voicebot.core.store.chain.linking import Linker
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.switches import (
    BOT,
    Kind,
    UnknownSwitch,
    history,
    set_switch,
    switch_name,
)
from voicebot.dialogue.intents import STEERING
from voicebot.safety.policy import read_policy

ROUTES = frozenset({Route.GROUNDED.value, Route.SMALL.value, Route.STRONG.value, Route.DRAFT.value})
"""Approved lines and people cannot be switched off: they are what is left."""
ALWAYS = frozenset({"distress", "person"})
"""Intents that lead to a person anyway."""


def switch(
    settings: Settings,
    url: str,
    out: Console,
    *,
    on: bool,
    by: str,
    intent: str | None = None,
    tool: str | None = None,
    route: str | None = None,
) -> None:
    """Sets one switch, of those the deployment has; none named: the bot as a whole.

    Raises:
        UnknownSwitch: no such intent, tool or route, or more than one was named.
        PolicyError: the deployment's policy cannot be read.
        DatabaseDown: Postgres does not answer.
    """
    name = _name(settings, {"intent": intent, "tool": tool, "route": route})
    asyncio.run(_set(settings, url, name, on=on, by=by))
    if name != BOT:
        state = "is on again" if on else "is off; its callers are given to people"
        out.print(f"{name} {state} (all nodes within 5 s)", markup=False)
    elif on:
        out.print("the bot answers again (all nodes within 5 s)")
    elif settings.fallback_number is None:
        out.print("the bot is off; VOICEBOT_FALLBACK_NUMBER is not set, so callers hear a line and a hang-up")
    else:
        out.print(f"the bot is off; callers are put through to {settings.fallback_number}")


def show(url: str, out: Console, *, as_json: bool) -> None:
    """Prints what is off.

    Raises:
        DatabaseDown: Postgres does not answer.
    """
    rows = asyncio.run(_history(url))
    if as_json:
        print(json.dumps([{**row, "changed_at": row["changed_at"].isoformat()} for row in rows], indent=2))  # noqa: T201  # the answer
        return
    for row in rows:
        since = row["changed_at"].isoformat(timespec="seconds")
        out.print(f"off  {row['name']}  by {row['changed_by']}, {since}", markup=False)
    if not rows:
        out.print("nothing is switched off")


def _name(settings: Settings, named: dict[Kind, str | None]) -> str:
    given: list[tuple[Kind, str]] = [(kind, name) for kind, name in named.items() if name is not None]
    if not given:
        return BOT
    if len(given) > 1:
        raise UnknownSwitch("one switch at a time: give --intent, --tool or --route")
    kind, name = given[0]
    return switch_name(kind, name, _known(settings))


def _known(settings: Settings) -> dict[Kind, frozenset[str]]:
    """What the policy names: intents of callers, the tools that they use, who writes answers."""
    table = read_policy(settings.deployment / "business" / "policy.yaml")
    tools = {
        tool
        for rule in table.intents.values()
        for tool in (*rule.reading_tools, *((rule.act,) if rule.act is not None else ()))
    }
    return {
        "intent": frozenset(table.intents) - STEERING - ALWAYS,
        "tool": frozenset(tools),
        "route": ROUTES,
    }


async def _set(settings: Settings, url: str, name: str, *, on: bool, by: str) -> None:
    keys = KeyRing.from_settings(settings)
    database = await Database.open(url, max_size=1, at_commit=Linker(keys))
    try:
        async with database.transaction() as tx:
            await keys.verify(tx)
            await set_switch(tx, name, on, by)
    finally:
        await database.close()


async def _history(url: str) -> list[dict[str, Any]]:
    database = await Database.open(url, max_size=1)
    try:
        async with database.transaction() as tx:
            return await history(tx)
    finally:
        await database.close()
