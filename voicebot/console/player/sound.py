"""The muted sound of a call: how loud it is, and the sound itself, any part of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Header, HTTPException, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from voicebot.audio.mulaw import decode
from voicebot.audio.recording.examining import Examined
from voicebot.audio.recording.format import RecordingError
from voicebot.audio.recording.seeking import Sound
from voicebot.console.handoffs import Reads
from voicebot.console.player import wav
from voicebot.console.player.opening import ConversationId, Player, SessionName, open_call, whole
from voicebot.core.store import audit

log = structlog.get_logger(__name__)

_RECORDS_AT_ONCE = 4
"""Seconds of sound that a thread makes ready in one go: 128 kB."""


class Peaks(BaseModel):
    """How loud it is, 0 to 255 on a scale of square roots; as many points of each channel."""

    model_config = ConfigDict(extra="forbid")

    from_ms: int
    until_ms: int
    caller: list[int]
    bot: list[int]


def add_sound(router: APIRouter, player: Player) -> None:
    """Loudness and sound of one session."""

    @router.get("/{conversation_id}/sessions/{name}/peaks")
    async def peaks(
        who: Reads,
        conversation_id: ConversationId,
        name: SessionName,
        from_ms: Annotated[int, Query(ge=0, le=86_400_000)] = 0,
        until_ms: Annotated[int | None, Query(ge=1, le=86_400_000)] = None,
        points: Annotated[int, Query(ge=1, le=4000)] = 1000,
    ) -> Peaks:
        """How loud caller and bot are from moment to moment, of the muted sound; enough to draw it."""
        async with player.database.transaction() as tx:
            call = await open_call(player, tx, who, conversation_id)
        found = await whole(player, call, name)
        end = found.ends_ms if until_ms is None else until_ms
        if end <= from_ms:
            raise HTTPException(
                422, f"until_ms has to lie after from_ms; the recording has {found.ends_ms} ms"
            )
        loud = None if found.sound is None else found.sound.loudness.points(from_ms, end, points)
        caller, bot = ([], []) if loud is None else (loud[:, 0].tolist(), loud[:, 1].tolist())
        return Peaks(from_ms=from_ms, until_ms=end, caller=caller, bot=bot)

    @router.get(
        "/{conversation_id}/sessions/{name}/sound",
        response_class=Response,
        responses={200: {"content": {"audio/wav": {}}}, 206: {"description": "a part of it"}},
    )
    async def sound(
        who: Reads,
        conversation_id: ConversationId,
        name: SessionName,
        asked: Annotated[str | None, Header(alias="Range", max_length=200)] = None,
    ) -> Response:
        """The sound as stereo WAV (caller left, bot right), with silence where something personal was said.

        ``Range`` is heeded. It is opened a second at a time while it is sent.
        """
        async with player.database.transaction() as tx:
            call = await open_call(player, tx, who, conversation_id)
            if player.listening.begins(who.who, conversation_id, name):
                await audit.access(
                    tx,
                    actor=who.who,
                    resource="recording",
                    purpose="listening",
                    fields=[f"sound:{name}"],
                    conversation_id=conversation_id,
                )
        player.listening.goes_on(who.who, conversation_id, name)  # only now it stands in the access log
        found = await whole(player, call, name)
        if found.sound is None:
            raise HTTPException(409, "; ".join(p.text for p in found.problems) or "there is no sound in it")
        try:
            part = wav.part(asked, found.sound.samples)
        except wav.OutsideRange as error:
            size = wav.HEADER_BYTES + found.sound.samples * wav.FRAME_BYTES
            raise HTTPException(416, str(error), {"Content-Range": f"bytes */{size}"}) from error
        headers = {
            "Accept-Ranges": "bytes",
            "Content-Length": str(part.length),
            "Cache-Control": "private, no-store",
            "Content-Disposition": f'inline; filename="{conversation_id}-{name}.wav"',
        }
        if not part.whole:
            headers["Content-Range"] = f"bytes {part.first}-{part.last}/{part.size}"
        return StreamingResponse(
            _bytes(found.sound, part, found, conversation_id),
            status_code=200 if part.whole else 206,
            headers=headers,
            media_type="audio/wav",
        )

    _ = (peaks, sound)  # used by the router


async def _bytes(
    sound: Sound, part: wav.Part, found: Examined, conversation_id: str
) -> AsyncGenerator[bytes]:
    if part.first < wav.HEADER_BYTES:
        yield wav.header(sound.samples)[part.first : part.last + 1]
    first, last = part.samples
    if part.last < wav.HEADER_BYTES or first >= last:
        return
    records = sound.read(first, last, found.mutes)
    skip = max(0, part.first - wav.HEADER_BYTES) % wav.FRAME_BYTES
    left = part.last + 1 - max(part.first, wav.HEADER_BYTES)
    try:
        while left > 0 and (data := await asyncio.to_thread(_some, records)):
            data = data[skip : skip + left]
            skip = 0
            left -= len(data)
            yield data
    except (RecordingError, OSError) as error:
        # the answer has begun: it ends short of its length, which the reader notices
        log.warning("recording.sound_broken", conversation=conversation_id, error=type(error).__name__)
        raise


def _some(records: Iterator[Any]) -> bytes:
    """The next seconds as PCM16, both channels interleaved; empty: there is no more."""
    found: list[bytes] = []
    for ulaw in records:
        found.append(decode(ulaw.tobytes()).astype("<i2").tobytes())
        if len(found) >= _RECORDS_AT_ONCE:
            break
    return b"".join(found)
