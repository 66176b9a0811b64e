"""The node's loop over calls that are due. Any node may have it; none is special."""

from __future__ import annotations

import asyncio

from voicebot.channels.twilio.outbound.calls import OutboundCalls

EVERY_S = 1.0
"""Twilio places one call a second by default; more in one look would only wait there."""
LOOK_EVERY = 5
"""So many rounds between looks at tries that did not come further."""


async def keep_dialling(calls: OutboundCalls) -> None:
    """Dials what is due until cancelled.

    Raises:
        DatabaseDown: Postgres does not answer; begin again later.
    """
    rounds = 0
    while True:
        await calls.dial_due()
        if rounds % LOOK_EVERY == 0:
            await calls.look()
        rounds += 1
        await asyncio.sleep(EVERY_S)
