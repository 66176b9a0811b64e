"""Status callbacks: separate requests, sent by a plan (late, twice, out of order), best effort."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from .log import CallLog
from .options import CallbackPlan
from .twiml import Jump
from .webhooks import WebhookError, Webhooks


@dataclass(frozen=True)
class StatusTarget:
    """Who wants to know a call's progress: ``initiated ringing answered completed``."""

    to: Jump
    events: tuple[str, ...] = ("completed",)


class Callbacks:
    """Sends the callbacks of one call or conference. Each is a request of its own, so order is not kept."""

    def __init__(self, webhooks: Webhooks, log: CallLog) -> None:
        self._webhooks = webhooks
        self._log = log
        self._sent: defaultdict[str, int] = defaultdict(int)
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, kind: str, to: Jump, form: Mapping[str, str], plan: CallbackPlan) -> None:
        """Starts every copy that the plan asks for.

        ``kind`` is ``call``, ``stream``, ``conference`` or ``recording``.
        """
        nth = self._sent[kind]
        self._sent[kind] += 1
        for delay_s in plan(nth):
            task = asyncio.create_task(
                self._deliver(kind, to, dict(form), delay_s), name="local-twilio-callback"
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _deliver(self, kind: str, to: Jump, form: dict[str, str], delay_s: float) -> None:
        if delay_s:
            await asyncio.sleep(delay_s)
        try:
            await self._webhooks.request(to.url, to.method, form, purpose=f"{kind}-status")
        except WebhookError as error:
            self._log.notify(
                error.code, f"{kind} status callback: {error.reason}", level="warning", protocol=False
            )
        else:
            self._log.add("callback", about=kind, form=form)

    async def settle(self, timeout_s: float) -> None:
        """Waits for what is still on its way, then gives up on the rest."""
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=timeout_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
