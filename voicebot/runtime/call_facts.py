"""What a node writes at the beginning of each recording: the program, its configuration, its engines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from voicebot.audio.engines.client import EngineClient
from voicebot.audio.engines.types import EngineDown
from voicebot.core.settings import Settings
from voicebot.core.store.conversations import Snapshot
from voicebot.dialogue.deployment import Deployment
from voicebot.proof.replay.facts import CallFacts, code_of, settings_of

log = structlog.get_logger(__name__)


class NodeFacts:
    """One per node. What does not change is looked up once.

    Args:
        settings: the node's.
        deployment: what it serves.
        engines: by role.
        off: switches that are off.
    """

    def __init__(
        self,
        settings: Settings,
        deployment: Deployment,
        engines: Mapping[str, EngineClient],
        off: Callable[[], frozenset[str]],
    ) -> None:
        self._settings = settings_of(settings)
        self._engines = engines
        self._off = off
        self._known: dict[str, dict[str, str]] = {}
        self._code: dict[str, str] = {}
        self._reading = asyncio.ensure_future(self._read(deployment, settings))

    def of(self, snapshot: Snapshot) -> dict[str, Any]:
        """The event of a call that begins: as much as is known by now. No caller waits for it."""
        if self._reading.done() and len(self._known) < len(self._engines):
            self._reading = asyncio.ensure_future(self._describe())
        facts = CallFacts(
            started_at=datetime.now(UTC),
            caller=snapshot.caller,
            epoch=snapshot.epoch,
            resumed=snapshot.turn > 0,
            off=tuple(sorted(self._off())),
            settings=self._settings,
            engines=self._known,
            versions=self._code,
        )
        return facts.event()

    async def _read(self, deployment: Deployment, settings: Settings) -> None:
        try:
            self._code = await asyncio.to_thread(code_of, deployment, settings)
        except OSError as error:
            log.warning("call_facts.code_unknown", error=type(error).__name__)
        await self._describe()

    async def _describe(self) -> None:
        await asyncio.gather(*(self._ask(role) for role in self._engines if role not in self._known))

    async def _ask(self, role: str) -> None:
        try:
            told = await self._engines[role].describe()
        except EngineDown as down:
            log.info("call_facts.engine_unknown", role=role, reason=down.reason)
            return
        model = told.voice_id or told.model
        self._known[role] = {"kind": told.kind, "model": Path(model).name if role == "stt" else model}
