"""One call that is over: its media sessions, each on one timeline."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter

from voicebot.console.handoffs import Reads
from voicebot.console.player.listed import RecordingRow, shown
from voicebot.console.player.opening import (
    ConversationId,
    Player,
    SessionName,
    examined,
    looked,
    open_call,
    whole,
)
from voicebot.console.player.shelf import Unreadable
from voicebot.console.player.timeline import Session, Timeline, session, timeline, unreadable
from voicebot.core.store import outbox, recordings, tool_calls


class RecordingDetail(RecordingRow):
    """With its media sessions, oldest first; each has a clock of its own."""

    sessions: list[Session]


def add_detail(router: APIRouter, player: Player) -> None:
    """One call, and one of its sessions."""

    @router.get("/{conversation_id}")
    async def one(who: Reads, conversation_id: ConversationId) -> RecordingDetail:
        """One call: what is known of it, and its media sessions with what is wrong with each."""
        async with player.database.transaction() as tx:
            call = await open_call(player, tx, who, conversation_id)
            row = await recordings.facts(tx, conversation_id, slow_ms=player.slow_ms)
            await looked(tx, who, conversation_id)
        assert row is not None  # it is over, and no chat
        names = await asyncio.to_thread(player.shelf.names, conversation_id)
        found = [(name, await examined(player, call, name)) for name in names]
        return RecordingDetail(
            **shown(row, bool(names), who),
            sessions=[
                unreadable(name, it.why) if isinstance(it, Unreadable) else session(name, it)
                for name, it in found
            ],
        )

    @router.get("/{conversation_id}/sessions/{name}")
    async def of_session(who: Reads, conversation_id: ConversationId, name: SessionName) -> Timeline:
        """Words with their times, turns with hops and reasons, tools, events, silences: on one timeline.

        Words are those that are stored: tokens stand for what is personal, whoever asks.
        """
        async with player.database.transaction() as tx:
            call = await open_call(player, tx, who, conversation_id)
            calls = await tool_calls.of(tx, player.keys, conversation_id)
            told = [event.model_dump() for event in await outbox.events_of(tx, player.keys, conversation_id)]
            await looked(tx, who, conversation_id)
        found = await whole(player, call, name)
        alone = len(await asyncio.to_thread(player.shelf.names, conversation_id)) == 1
        return await asyncio.to_thread(timeline, name, found, call.turns, calls, told, alone=alone)

    _ = (one, of_session)  # used by the router
