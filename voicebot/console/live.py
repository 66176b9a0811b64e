"""What a reader of one conversation's live transcript is told, entry by entry, until it is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fastapi import HTTPException

from voicebot.console.readers import Reader
from voicebot.console.reading import Console, check_may_read, load
from voicebot.console.sight import Sight
from voicebot.core.store import audit, outbox
from voicebot.core.store.database import DatabaseDown
from voicebot.core.store.follow import follow
from voicebot.core.store.keys import KeysError, SubjectErased
from voicebot.core.transcript import ENDINGS, Saying, Told, is_told, told

POLL_S = 5.0
"""The store is looked at so often even when nobody said that there is something new; see `Sharing`."""

ENDING_S = 3.0
"""After the end of a call its last words are written down as they were heard (``SETTLE_S`` of a call)."""

AGAIN_S = 1.0

MAX_READERS = 200
"""Streams of one node at a time. One costs a page of events and what the socket buffers, under 300 KB."""


@dataclass(frozen=True)
class Opening:
    """A reader that was let in: where it begins, whether the conversation was over by then, and whether
    the reader has seen its last entry.
    """

    conversation_id: str
    after: int
    over: bool
    seen_all: bool


async def open_for(console: Console, reader: Reader, conversation_id: str, after: int) -> Opening:
    """Lets a reader in; the read is logged.

    Raises:
        HTTPException: 403 for supervisors; 404 no such conversation; 410 its data was erased; 422 ``after``
            is no event of it.
        DatabaseDown: ask again.
    """
    async with console.database.transaction() as tx:
        snapshot = await load(console, tx, conversation_id)
        await check_may_read(tx, reader, snapshot)
        if after and not await outbox.has(tx, conversation_id, after):
            raise HTTPException(
                422, f"{after} is no event of this conversation: begin again without Last-Event-ID and after"
            )
        behind = any(map(is_told, await outbox.types_after(tx, conversation_id, after)))
        await audit.access(
            tx,
            actor=reader.who,
            resource="conversation",
            fields=["transcript"],
            purpose="live",
            conversation_id=conversation_id,
        )
    ended_at = snapshot.ended_at
    over = ended_at is not None and datetime.now(UTC) - ended_at > timedelta(seconds=ENDING_S)
    return Opening(conversation_id, after, over, seen_all=after > 0 and not behind)


async def entries(console: Console, sight: Sight, opening: Opening) -> AsyncGenerator[Told | None]:
    """Everything after ``opening.after`` as the reader sees it, then live; None now and then: nothing new.

    The last entry is a ``state``: ``closed`` (the conversation has ended, nothing follows) or ``erased``.
    While the database is away it waits, and goes on where it was.
    """
    saying, after = Saying(), opening.after
    over_s = 0.0 if opening.over else None  # when nothing more can come, on the loop's clock
    clock = asyncio.get_running_loop().time
    while True:
        poll_s = POLL_S if over_s is None else ENDING_S
        events = follow(
            console.database,
            console.keys,
            console.bus,
            opening.conversation_id,
            after_seq=after,
            poll_s=poll_s,
            wanted=is_told,
        )
        try:
            async with aclosing(events):
                async for event in events:
                    if event is None:
                        if over_s is not None and clock() >= over_s:
                            yield _closing("closed")
                            return
                        yield None
                        continue
                    entry = told(event)
                    if entry is not None:
                        entry = saying.whole(await sight.seen(entry))
                    after = after if event.seq is None else event.seq
                    if entry is not None:
                        yield entry
                    if event.type in ENDINGS and over_s is None:
                        over_s = clock() + ENDING_S
                        break
        except DatabaseDown:
            yield None
            await asyncio.sleep(AGAIN_S)
        except SubjectErased:
            yield _closing("erased")
            return
        except KeysError:
            yield _closing("unreadable")
            return


def _closing(what: str) -> Told:
    return Told(id=None, type="state", what=what, at=datetime.now(UTC))
