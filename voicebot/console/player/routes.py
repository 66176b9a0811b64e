"""``/api/recordings``: calls that are over, each on one timeline with its muted sound, its replay, its marks.

The sound that leaves a node is the muted copy's, whoever asks: where something personal was said there is
silence. Agents see and hear what they may read (`reading.check_may_read`); why a call is worth listening to,
and replays, are for supervisors and programs. Every look and every listening stands in the access log.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import structlog
from fastapi import APIRouter, Depends, Header, HTTPException, Path, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import HTTPConnection
from starlette.responses import Response

from voicebot.audio.mulaw import decode
from voicebot.audio.recording.examining import Examined
from voicebot.audio.recording.format import RecordingError
from voicebot.audio.recording.seeking import Sound
from voicebot.console.agent_words import without_card
from voicebot.console.corrections import from_review
from voicebot.console.handoffs import Reads, StepBody, acting
from voicebot.console.player import wav
from voicebot.console.player.listening import Listening
from voicebot.console.player.replays import Engines, Failed, Progress, ReplayBusy, Replays, Report
from voicebot.console.player.shelf import Kept, Shelf, Unreadable
from voicebot.console.player.timeline import Session, Timeline, session, timeline, unreadable
from voicebot.console.readers import Reader
from voicebot.console.reading import check_may_read, load
from voicebot.console.sse import Events, EventStream, Readers, event
from voicebot.core.store import audit, outbox, recordings, tool_calls
from voicebot.core.store.conversations import Conversations, Snapshot
from voicebot.core.store.database import Database, Transaction
from voicebot.core.store.keys import KeyRing

log = structlog.get_logger(__name__)

ConversationId = Annotated[str, Path(pattern="^cv_[0-9a-f]{32}$")]
Name = Annotated[str, Path(pattern=r"^[0-9]{3}(\.[0-9]{1,3})?$")]
CHOICES_OF = timedelta(days=90)
_RECORDS_AT_ONCE = 4
"""Seconds of sound that a thread makes ready in one go: 128 kB."""
NOT_SHOWN = "(not shown: what is personal in it was found later)"
_NOT_HEARD = {"heard": NOT_SHOWN}
_GONE = "there is no recording of this call on this machine: it was removed, or another machine took the call"


class RecordingRow(BaseModel):
    """One call that is over; nothing personal. What an outcome says is None until there is one.

    ``kept``: whether its files are here. ``marks``: notes on its turns. For agents ``csat`` and ``cut_offs``
    are None and ``reasons`` (why it is worth listening to: `player.worth`) empty.
    """

    model_config = ConfigDict(extra="forbid")

    id: str
    channel: str
    turns: int
    created_at: datetime
    ended_at: datetime
    end_reason: str
    intent: str | None
    resolution: str | None
    disposition: str | None
    trigger: str | None
    longest_wait_ms: int | None
    cut_offs: int | None
    csat: int | None
    marks: int
    reasons: list[str]
    kept: Kept


class RecordingDetail(RecordingRow):
    """With its media sessions, oldest first; each has a clock of its own."""

    sessions: list[Session]


class Choices(BaseModel):
    """What a list can be filtered by, of the last 90 days."""

    model_config = ConfigDict(extra="forbid")

    intents: list[str]
    triggers: list[str]
    resolutions: list[str]


class Peaks(BaseModel):
    """How loud it is, 0 to 255 on a scale of square roots; as many points of each channel."""

    model_config = ConfigDict(extra="forbid")

    from_ms: int
    until_ms: int
    caller: list[int]
    bot: list[int]


class Expected(BaseModel):
    """What should have come of a turn, in the golden format (`docs/golden.md`); at least one thing."""

    model_config = ConfigDict(extra="forbid", strict=True)

    intent: str | None = Field(default=None, max_length=80, pattern="^[a-z0-9_*?]+$")
    action: str | None = Field(default=None, max_length=40, pattern="^[a-z_*?]+$")
    after: Literal["continue", "hang_up", "hand_over"] | None = None
    says: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(default=[], max_length=10)
    never_says: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(default=[], max_length=10)


class GoldenBody(BaseModel):
    """A turn as a golden case. ``agent``: who proposes it, only with the API's token."""

    model_config = ConfigDict(extra="forbid", strict=True)

    expect: Expected
    why: str | None = Field(default=None, max_length=2000)
    agent: str | None = Field(default=None, pattern=r"^[A-Za-z0-9+][A-Za-z0-9 ._:@+-]{0,79}$")


class Proposed(BaseModel):
    """The correction that was made; it counts when somebody else has accepted it."""

    model_config = ConfigDict(extra="forbid")

    correction: str


@dataclass
class Player:
    """What the endpoints need; made once by the node. ``zone``: of days. ``slow_ms``: a long wait."""

    database: Database
    keys: KeyRing
    shelf: Shelf
    replays: Replays
    zone: str
    slow_ms: int = 3000
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    listening: Listening = field(default_factory=Listening)
    places: Readers = field(default_factory=Readers)

    def __post_init__(self) -> None:
        self.conversations = Conversations(self.keys)


@dataclass(frozen=True)
class _Call:
    """A call that may be read: its key and its turns are open."""

    snapshot: Snapshot
    key: bytes
    turns: dict[int, dict[str, Any]]


def recordings_router(player: Player, reader: Callable[[HTTPConnection], Reader]) -> APIRouter:
    """All endpoints."""

    def identify(request: Request) -> None:
        request.state.reader = reader(request)

    router = APIRouter(prefix="/api/recordings", dependencies=[Depends(identify)], tags=["recordings"])

    @router.get("")
    async def listed(
        who: Reads,
        intent: Annotated[str | None, Query(max_length=80)] = None,
        trigger: Annotated[str | None, Query(max_length=80)] = None,
        resolution: Annotated[str | None, Query(max_length=40)] = None,
        channel: Literal["phone", "browser"] | None = None,
        over_ms: Annotated[int | None, Query(ge=0, le=600_000)] = None,
        day: date | None = None,
        marked: bool | None = None,
        worth: bool = False,
        before: Annotated[str | None, Query(pattern=r"^[0-9T:.+Z-]{19,40},cv_[0-9a-f]{32}$")] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        skip: Annotated[int, Query(ge=0, le=100_000)] = 0,
    ) -> list[RecordingRow]:
        """Calls that are over, the newest first; ``before=CREATED_AT,ID`` pages back from a row.

        ``over_ms``: those in which somebody waited longer for an answer. ``worth``: those that are worth
        listening to, what weighs most first (``skip`` pages), for supervisors and programs.
        """
        if worth and who.role == "agent":
            raise HTTPException(403, "supervisors look through what is worth listening to")
        since, until = (None, None) if day is None else _midnights(day, player.zone)
        wanted = recordings.Wanted(
            intent=intent,
            trigger=trigger,
            resolution=resolution,
            channel=channel,
            wait_ms=over_ms,
            since=since,
            until=until,
            marked=marked,
            worth=worth,
            slow_ms=player.slow_ms,
            before=_after(before),
        )
        async with player.database.transaction() as tx:
            rows = await recordings.list(tx, wanted, limit=limit, skip=skip)
        names = await asyncio.to_thread(lambda: [bool(player.shelf.names(row["id"])) for row in rows])
        return [RecordingRow(**_row(row, here, who)) for row, here in zip(rows, names, strict=True)]

    @router.get("/choices")
    async def choices(who: Reads) -> Choices:
        """Intents, triggers and resolutions that there are."""
        async with player.database.transaction() as tx:
            return Choices(**await recordings.known(tx, player.now() - CHOICES_OF))

    @router.get("/{conversation_id}")
    async def one(who: Reads, conversation_id: ConversationId) -> RecordingDetail:
        """One call: what is known of it, and its media sessions with what is wrong with each."""
        async with player.database.transaction() as tx:
            call = await _open(player, tx, who, conversation_id)
            row = await recordings.facts(tx, conversation_id, slow_ms=player.slow_ms)
            await _looked(tx, who, conversation_id)
        assert row is not None  # it is over, and no chat
        names = await asyncio.to_thread(player.shelf.names, conversation_id)
        found = [(name, await _examined(player, call, name)) for name in names]
        return RecordingDetail(
            **_row(row, bool(names), who),
            sessions=[
                unreadable(name, it.why) if isinstance(it, Unreadable) else session(name, it)
                for name, it in found
            ],
        )

    @router.get("/{conversation_id}/sessions/{name}")
    async def of_session(who: Reads, conversation_id: ConversationId, name: Name) -> Timeline:
        """Words with their times, turns with hops and reasons, tools, events, silences: on one timeline.

        Words are those that are stored: tokens stand for what is personal, whoever asks.
        """
        async with player.database.transaction() as tx:
            call = await _open(player, tx, who, conversation_id)
            calls = await tool_calls.of(tx, player.keys, conversation_id)
            told = [event.model_dump() for event in await outbox.events_of(tx, player.keys, conversation_id)]
            await _looked(tx, who, conversation_id)
        found = await _whole(player, call, name)
        alone = len(await asyncio.to_thread(player.shelf.names, conversation_id)) == 1
        return await asyncio.to_thread(timeline, name, found, call.turns, calls, told, alone=alone)

    @router.get("/{conversation_id}/sessions/{name}/peaks")
    async def peaks(
        who: Reads,
        conversation_id: ConversationId,
        name: Name,
        from_ms: Annotated[int, Query(ge=0, le=86_400_000)] = 0,
        until_ms: Annotated[int | None, Query(ge=1, le=86_400_000)] = None,
        points: Annotated[int, Query(ge=1, le=4000)] = 1000,
    ) -> Peaks:
        """How loud caller and bot are from moment to moment, of the muted sound; enough to draw it."""
        async with player.database.transaction() as tx:
            call = await _open(player, tx, who, conversation_id)
        found = await _whole(player, call, name)
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
        name: Name,
        asked: Annotated[str | None, Header(alias="Range", max_length=200)] = None,
    ) -> Response:
        """The sound as stereo WAV (caller left, bot right), with silence where something personal was said.

        ``Range`` is heeded. It is opened a second at a time while it is sent.
        """
        async with player.database.transaction() as tx:
            call = await _open(player, tx, who, conversation_id)
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
        found = await _whole(player, call, name)
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
            call = await _open(player, tx, who, conversation_id)
            await audit.access(
                tx,
                actor=who.who,
                resource="recording",
                purpose="replay",
                conversation_id=conversation_id,
            )
        names = await asyncio.to_thread(player.shelf.names, conversation_id)
        if not names:
            raise HTTPException(404, _GONE)
        path = player.shelf.path(conversation_id, names[0]).parent
        told = _told(player.replays.run(path, call.key, engines), call.turns)
        return EventStream(told, conversation_id, player.places, "replay")

    @router.post("/{conversation_id}/turns/{turn}/golden", status_code=201)
    async def golden(
        who: Reads,
        conversation_id: ConversationId,
        turn: Annotated[int, Path(ge=0, le=100_000)],
        body: GoldenBody,
    ) -> Proposed:
        """Proposes the call up to this turn as a golden case; somebody else reviews it."""
        by = acting(who, StepBody(agent=body.agent))
        expect = body.expect.model_dump(exclude_defaults=True)
        if not expect:
            raise HTTPException(422, "say what should have come of the turn")
        for text in (*body.expect.says, *body.expect.never_says, body.why):
            without_card(text)
        async with player.database.transaction() as tx:
            await _open(player, tx, who, conversation_id)
            try:
                made = await from_review(tx, player.keys, conversation_id, turn, expect, body.why, by)
            except ValueError as error:
                raise HTTPException(422, _plain(error)) from error
            if made is None:
                raise HTTPException(409, "what you proposed of this turn was decided already")
            await audit.record(
                tx,
                action="correction.proposed",
                actor=by,
                facts={"correction": made, "kind": "golden_case"},
                conversation_id=conversation_id,
                turn=turn,
            )
        return Proposed(correction=made)

    _ = (listed, choices, one, of_session, peaks, sound, replay, golden)  # used by the router
    return router


async def _open(player: Player, tx: Transaction, who: Reader, conversation_id: str) -> _Call:
    """Raises HTTPException: 403 not theirs, 404 no such call, 409 it goes on, 410 erased."""
    snapshot = await load(player, tx, conversation_id)
    await check_may_read(tx, who, snapshot)
    if snapshot.channel not in ("phone", "browser"):
        raise HTTPException(404, "a chat has no recording: see /api/conversations")
    if snapshot.ended_at is None:
        raise HTTPException(409, "the call goes on: its recording can be looked at when it is over")
    key = (await player.keys.cipher(tx, snapshot.subject_id)).derive("recording")
    turns = await player.conversations.turns(tx, conversation_id)
    return _Call(snapshot, key, {row["turn"]: row for row in turns})


async def _looked(tx: Transaction, who: Reader, conversation_id: str) -> None:
    await audit.access(
        tx, actor=who.who, resource="recording", purpose="console", conversation_id=conversation_id
    )


async def _examined(player: Player, call: _Call, name: str) -> Examined | Unreadable:
    return await player.shelf.examined(call.snapshot.id, name, call.key, call.turns)


async def _whole(player: Player, call: _Call, name: str) -> Examined:
    """Raises HTTPException: 404 there is none of that name here; 409 nothing of it can be read, and why."""
    if name not in await asyncio.to_thread(player.shelf.names, call.snapshot.id):
        raise HTTPException(404, _GONE)
    found = await _examined(player, call, name)
    if isinstance(found, Unreadable):
        raise HTTPException(409, found.why)
    return found


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


def as_stored(call: dict[str, Any], turns: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """A report whose words are no clearer than those that are stored.

    A turn may have been masked after it was recorded, when the next one told what its digits were: of such a
    turn the stored words stand for those of the recording and of the replay. What the bot said in it and in
    the next may repeat them, and turns of the replay that stand for none may hold them: these are not shown.
    """
    later: dict[int, str] = {}
    for one in call["recorded"]:
        row = turns.get(one["turn"])
        words = "" if row is None else str(row["input"].get("text") or row["input"].get("digits") or "")
        if words != one["words"]:
            later[one["turn"]] = words
    if not later:
        return call
    numbers = [one["turn"] for one in call["recorded"]]
    echoes = {*later, *(after for before, after in pairwise(numbers) if before in later)}
    stands_for = {now: was for was, now in call["pairs"] if now is not None}

    def recorded(one: dict[str, Any]) -> dict[str, Any]:
        number = one["turn"]
        return {**one, "words": later.get(number, one["words"])} | (_NOT_HEARD if number in echoes else {})

    def replayed(one: dict[str, Any]) -> dict[str, Any]:
        was = stands_for.get(one["turn"])
        if was is None:
            return {**one, "words": NOT_SHOWN} | _NOT_HEARD
        return {**one, "words": later.get(was, one["words"])} | (_NOT_HEARD if was in echoes else {})

    def difference(one: dict[str, Any]) -> dict[str, Any]:
        number = one["turn"]
        if one["what"] == "turns" and one["was"] == "no turn":
            return {**one, "now": NOT_SHOWN}
        if one["what"] in ("words", "turns") and number in later:
            return {**one, "was": later[number], "now": later[number]}
        if one["what"] == "spoken" and number in echoes:
            return {**one, "was": NOT_SHOWN, "now": NOT_SHOWN}
        return one

    return {
        **call,
        "recorded": [recorded(one) for one in call["recorded"]],
        "turns": [replayed(one) for one in call["turns"]],
        "differences": [difference(one) for one in call["differences"]],
    }


def _row(row: dict[str, Any], here: bool, who: Reader) -> dict[str, Any]:
    shown = {name: row[name] for name in RecordingRow.model_fields if name != "kept"}
    shown["kept"] = "erased" if row["erased"] else "here" if here else "gone"
    if who.role == "agent":
        shown |= {"csat": None, "cut_offs": None, "reasons": []}
    return shown


def _midnights(day: date, zone: str) -> tuple[datetime, datetime]:
    """Raises HTTPException: 422, the calendar ends there."""
    here = ZoneInfo(zone)
    try:
        since, until = (datetime.combine(one, time(), here) for one in (day, day + timedelta(days=1)))
        return since.astimezone(UTC), until.astimezone(UTC)
    except OverflowError as error:
        raise HTTPException(422, "there are no calls of such a day") from error


def _after(before: str | None) -> tuple[datetime, str] | None:
    if before is None:
        return None
    at, _, conversation_id = before.rpartition(",")
    try:
        return datetime.fromisoformat(at), conversation_id
    except ValueError as error:
        raise HTTPException(422, "before is CREATED_AT,ID of a row") from error


def _plain(error: ValueError) -> str:
    """What is wrong with a document, without what was given."""
    told = getattr(error, "errors", None)
    if told is None:
        return str(error)
    return "; ".join(
        f"{'.'.join(map(str, one['loc'][-2:]))}: {one['msg']}" for one in told(include_input=False)
    )
