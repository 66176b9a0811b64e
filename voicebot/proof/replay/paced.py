"""Our database in virtual time: one transaction or reading after the other, each as long as the next.

Real Postgres answers when it likes; two transactions at one virtual moment would end in any order. So they
are held one at a time, in the order in which they were asked for, and end a fixed time later.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from voicebot.core.store.database import Database, Transaction


class PacedDatabase(Database):
    """See the module; ``took_s`` is how long a transaction takes. Open it with `open`."""

    took_s = 0.003

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._one = asyncio.Lock()
        self._holder: asyncio.Task[Any] | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction]:
        """See `Database`."""
        async with self._turn(), super().transaction() as tx:
            yield tx

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[Transaction]:
        """See `Database`."""
        async with self._turn(), super().reading() as tx:
            yield tx

    @asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None]:
        if self._holder is asyncio.current_task():  # one inside of another must not wait for it
            yield
            return
        async with self._one:
            self._holder = asyncio.current_task()
            try:
                yield
            finally:
                self._holder = None
                await asyncio.sleep(self.took_s)
