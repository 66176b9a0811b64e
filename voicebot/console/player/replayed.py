"""A call run through today's code while somebody looks on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, HTTPException
from starlette.responses import Response

from voicebot.console.handoffs import Reads
from voicebot.console.player.opening import GONE, ConversationId, Player, open_call
from voicebot.console.player.replays import Engines, Failed, Progress, ReplayBusy, Report
from voicebot.console.player.stored_words import as_stored
from voicebot.console.sse import Events, EventStream, event
from voicebot.core.store import audit


def add_replay(router: APIRouter, player: Player) -> None:
    """A replay of one call."""

    @router.post("/{conversation_id}/replay", response_class=Events)
    async def replay(who: Reads, conversation_id: ConversationId, engines: Engines = "local") -> Response:
        """Runs it through today's code, and tells of it as server-sent events until that is over.

        ``progress`` (``at_ms`` of ``of_ms``, null while it is prepared), then ``report`` (what
        ``voicebot replay --json`` says of the call) or ``failed`` (``why``). Who hangs up ends it.
        """
        if who.role == "agent":
            raise HTTPException(403, "supervisors run replays")
        try:
            player.replays.check()
        except ReplayBusy as busy:
            raise HTTPException(409, str(busy)) from busy
        async with player.database.transaction() as tx:
            call = await open_call(player, tx, who, conversation_id)
            await audit.access(
                tx,
                actor=who.who,
                resource="recording",
                purpose="replay",
                conversation_id=conversation_id,
            )
        names = await asyncio.to_thread(player.shelf.names, conversation_id)
        if not names:
            raise HTTPException(404, GONE)
        path = player.shelf.path(conversation_id, names[0]).parent
        told = _told(player.replays.run(path, call.key, engines), call.turns)
        return EventStream(told, conversation_id, player.places, "replay")

    _ = replay  # used by the router


async def _told(
    running: AsyncGenerator[Progress | Report | Failed], turns: Mapping[int, Mapping[str, Any]]
) -> AsyncGenerator[str | None]:
    async with aclosing(running):
        try:
            async for told in running:
                yield _sse(told, turns)
        except ReplayBusy as busy:  # somebody else's began in the same moment
            yield _sse(Failed(str(busy)), turns)


def _sse(told: Progress | Report | Failed, turns: Mapping[int, Mapping[str, Any]]) -> str:
    match told:
        case Progress():
            kind, data = "progress", {"at_ms": told.at_ms, "of_ms": told.of_ms}
        case Failed():
            kind, data = "failed", {"why": told.why}
        case Report():
            kind, data = "report", {"call": as_stored(told.call, turns)}
    return event(kind, json.dumps({"type": kind, **data}))
