"""``<Gather>``: keys of a call's party, while something is said to it.

Source: twilio.com/docs/voice/twiml/gather.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from .verbs import Gather


async def gather(verb: Gather, keys: asyncio.Queue[str], prompts: Awaitable[None]) -> str | None:
    """What was typed without the key that ends it; None when nothing was.

    ``timeout`` runs from the end of the prompts, and anew from each key; the first key ends the prompts.
    """
    playing = asyncio.ensure_future(prompts)
    first = asyncio.ensure_future(keys.get())
    try:
        await asyncio.wait({playing, first}, return_when=asyncio.FIRST_COMPLETED)
        if not first.done():
            await asyncio.wait({first}, timeout=verb.timeout_s)
        digit = first.result() if first.done() else None
    finally:
        playing.cancel()
        first.cancel()
        await asyncio.gather(playing, first, return_exceptions=True)
    typed = ""
    while digit is not None:
        if digit == verb.finish_on_key:
            return typed or None
        typed += digit
        if verb.num_digits is not None and len(typed) >= verb.num_digits:
            return typed
        try:
            digit = await asyncio.wait_for(keys.get(), verb.timeout_s)
        except TimeoutError:
            digit = None
    return typed or None
