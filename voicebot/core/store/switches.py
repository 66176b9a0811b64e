"""Off switches, the same for all nodes: for the bot as a whole, and per intent, tool and route.

They stand in the database; each node reads them every second (`Switchboard`), so that a switch works on all
of them within 5 s. What is off goes to people. When the database is away a node keeps what it read last.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any, Literal, get_args

from voicebot.core.store import audit
from voicebot.core.store.database import Database, Transaction

BOT = "bot"
Kind = Literal["intent", "tool", "route"]
KINDS: tuple[Kind, ...] = get_args(Kind)
EVERY_S = 1.0
"""How often a node reads them."""
_NAME = re.compile(r"bot|(?:intent|tool|route):[a-z][a-z0-9_]*")


class UnknownSwitch(ValueError):
    """There is no such switch; the message names what there is."""


def switch_name(kind: Kind, name: str, known: Mapping[Kind, frozenset[str]]) -> str:
    """The switch of an intent, a tool or a route.

    Raises:
        UnknownSwitch: the deployment has none of that name.
    """
    names = known[kind]
    if name not in names:
        raise UnknownSwitch(f"there is no {kind} {name!r} to switch; there are {', '.join(sorted(names))}")
    return f"{kind}:{name}"


async def set_switch(tx: Transaction, name: str, on: bool, by: str) -> None:
    """Sets ``name`` (``bot``, ``tool:order_status``) and records who did, in one transaction.

    Raises:
        UnknownSwitch: no name of a switch.
    """
    if not _NAME.fullmatch(name):
        raise UnknownSwitch(f"{name!r} is no switch: `bot`, or `intent:`, `tool:`, `route:` and a name")
    await tx.execute(
        "INSERT INTO switches (name, is_on, changed_by) VALUES (%s, %s, %s)"
        " ON CONFLICT (name) DO UPDATE SET is_on = excluded.is_on, changed_by = excluded.changed_by,"
        " changed_at = now()",
        (name, on, by),
    )
    await audit.record(tx, action=f"switch.{'on' if on else 'off'}", actor=by, facts={"name": name})


async def switches(tx: Transaction) -> dict[str, bool]:
    """All switches that were ever set, and always ``bot``, the whole bot; what is absent is on."""
    rows = await (await tx.execute("SELECT name, is_on FROM switches")).fetchall()
    return {BOT: True} | {row["name"]: row["is_on"] for row in rows}


async def history(tx: Transaction) -> list[dict[str, Any]]:
    """The switches that are off: ``name``, ``changed_by``, ``changed_at``, the latest first."""
    cursor = await tx.execute(
        "SELECT name, changed_by, changed_at FROM switches WHERE NOT is_on ORDER BY changed_at DESC, name"
    )
    return await cursor.fetchall()


class Switchboard:
    """What is off, as this node knows it. One per node; read by its calls at each turn.

    ``off``: the names of the switches that are off.
    """

    def __init__(self, off: frozenset[str] = frozenset()) -> None:
        self.off = off

    @property
    def bot_off(self) -> bool:
        """Whether the bot as a whole is off."""
        return BOT in self.off

    async def refresh(self, database: Database) -> None:
        """Reads them.

        Raises:
            DatabaseDown: Postgres does not answer; what was known stays.
        """
        async with database.transaction() as tx:
            known = await switches(tx)
        self.off = frozenset(name for name, on in known.items() if not on)

    async def run(self, database: Database, every_s: float = EVERY_S) -> None:
        """Reads them for as long as the node lives.

        Raises:
            DatabaseDown: Postgres does not answer: call it again.
        """
        while True:
            await self.refresh(database)
            await asyncio.sleep(every_s)
