"""Writes refusals down: a log line with the reason, and a row in the audit table."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from voicebot.channels.twilio.audit_budget import AuditBudget
from voicebot.channels.twilio.refusals import Refused
from voicebot.core import metrics
from voicebot.core.clock import Clock
from voicebot.core.store import audit
from voicebot.core.store.database import Database, DatabaseDown

log = structlog.get_logger(__name__)


class RefusalLog:
    """One per node. A refusal stands whether or not it could be written.

    At most one connection of the database is used for it at a time, and a flood is summed up
    (``AuditBudget``), so that live calls keep theirs.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._budget = AuditBudget(clock)
        self._one = asyncio.Lock()

    async def note(
        self, what: str, refused: Refused, *, conversation_id: str | None = None, **facts: Any
    ) -> None:
        """Notes that ``what`` (``webhook``, ``upgrade``, ``socket``) was refused.

        Args:
            what: the thing refused.
            refused: why.
            conversation_id: ours, if it is known.
            facts: nothing personal: path, close code, Twilio's SIDs.
        """
        metrics.refusals.labels(refused.reason.value).inc()
        if not self._budget.spend():
            return
        denied = self._budget.take_denied()
        known = {name: value for name, value in facts.items() if value is not None}
        if refused.detail:
            known["detail"] = refused.detail
        if denied:
            known["also_refused"] = denied
        log.warning("twilio_refused", what=what, reason=refused.reason.value, **known)
        try:
            async with self._one, self._database.transaction() as tx:
                await audit.refusal(
                    tx,
                    what=f"twilio.{what}",
                    reason=refused.reason.value,
                    facts=known,
                    conversation_id=conversation_id,
                )
        except DatabaseDown:
            log.error("twilio_refusal_not_audited", what=what, reason=refused.reason.value)
