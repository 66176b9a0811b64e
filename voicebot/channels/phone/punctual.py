"""No dead air: a slow answer gets a filler, a late one a fallback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from voicebot.core.conversation import Clause

FILLER_S = 1.5
"""After this long without a clause the caller hears that we are at it."""

FALLBACK_S = 4.0
"""After this long we stop waiting and say so."""


async def punctual(
    clauses: AsyncIterator[Clause],
    *,
    filler: Clause,
    fallback: Clause,
    filler_s: float = FILLER_S,
    fallback_s: float = FALLBACK_S,
) -> AsyncIterator[Clause]:
    """Passes ``clauses`` on; before the first one it keeps the two deadlines.

    Once speech has begun, a stall longer than ``fallback_s`` ends the answer with ``fallback``.
    The source is closed in every case.
    """
    source = aiter(clauses)
    began = False
    pending: asyncio.Future[Clause] | None = None
    try:
        while True:
            pending = asyncio.ensure_future(anext(source))  # type: ignore[arg-type]
            if not began and not await _within(pending, filler_s):
                yield filler
                remaining = fallback_s - filler_s
            else:
                remaining = fallback_s
            if not await _within(pending, remaining):
                yield fallback
                return
            try:
                clause = pending.result()
            except StopAsyncIteration:
                return
            began = True
            yield clause
    finally:
        if pending is not None and not pending.done():
            pending.cancel()
            await asyncio.wait({pending})
        closer = getattr(clauses, "aclose", None)
        if closer is not None:
            await closer()


async def _within(work: asyncio.Future[Clause], seconds: float) -> bool:
    done, _ = await asyncio.wait({work}, timeout=seconds)
    return bool(done)
