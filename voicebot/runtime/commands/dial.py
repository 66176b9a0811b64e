"""``voicebot dial``: orders one call, for a running server (or the next one) to make."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from voicebot.core.settings import Settings, SettingsError
from voicebot.core.store import callbacks
from voicebot.core.store.chain.linking import Linker
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.migrate import ensure_schema
from voicebot.handoff.ordering import WHAT_TO_DO, CallOrder, Taken, order
from voicebot.handoff.outbound import Outbound, OutboundError
from voicebot.handoff.people import People, PeopleError


class DialRefused(Exception):
    """The order is not taken; the message says what to do."""


async def dial(
    url: str, settings: Settings, *, to: str, purpose: str, consent: bool, key: str | None = None
) -> dict[str, Any]:
    """Orders the call; what stands of it now.

    Raises:
        DialRefused: the rules say no.
        SettingsError: the deployment's rules cannot be read.
        SchemaMismatch: the database is another version's.
    """
    ensure_schema(url)
    keys = KeyRing.from_settings(settings)
    try:
        rules = Outbound.read(settings.deployment, People.read(settings.deployment))
    except (OutboundError, PeopleError) as error:
        raise SettingsError(str(error)) from error
    try:
        wanted = CallOrder(to=to, purpose=purpose, consent=consent)
    except ValidationError as error:
        wrong = "; ".join(f"{one['loc'][0]}: {one['msg']}" for one in error.errors())
        raise DialRefused(f"refused: {wrong}") from error
    database = await Database.open(url, max_size=1, at_commit=Linker(keys))
    try:
        async with database.transaction() as tx:
            await keys.verify(tx)
            found = await order(
                tx, keys, rules, wanted, now=datetime.now(UTC), origin="cli", actor="cli", key=key
            )
        if not isinstance(found, Taken):
            raise DialRefused(f"refused ({found.value}): {WHAT_TO_DO[found]}")
        async with database.transaction() as tx:
            return await callbacks.shown(tx, found.callback)
    except callbacks.KeyReused as error:
        raise DialRefused(f"refused: {error}") from error
    finally:
        await database.close()
