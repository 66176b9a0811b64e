"""Caller and agent on one node: the caller's media socket here, the desk's line there, and both heard.

The shell around `voicebot.handoff.talk`: it passes sound on, plays what the caller hears while the agent's
line is gone, looks at the row, and says how it ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog

from voicebot.audio.media_clock import MediaClock
from voicebot.audio.recording.muting import MARGIN_MS, checked, masked
from voicebot.audio.recording.writer import Recorder
from voicebot.channels.legs import CallOutcome, Leg
from voicebot.channels.phone.leg import LegEar, LegKit
from voicebot.channels.phone.leg_lines import HeardLine, Held, may_be_heard
from voicebot.channels.talk.feed import LegFeed
from voicebot.channels.talk.line import GOING_AWAY, TAKEN_UP, DeskLine
from voicebot.channels.talk.pacing import FRAME_MS, Backlog, Playhead, frames
from voicebot.channels.talk.sounds import Line as LineName
from voicebot.channels.talk.sounds import Sounds
from voicebot.channels.twilio.wire import Dtmf, Media
from voicebot.core import metrics
from voicebot.core.clock import Clock, monotonic
from voicebot.core.store import talks as stored
from voicebot.core.store.database import Database, DatabaseDown
from voicebot.core.store.talks import Ending, Talk
from voicebot.handoff.talk import Line, Standing, next_look_s, standing
from voicebot.handoff.talks import Talks

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 1.0
"""How soon a talk that ended elsewhere ends here; a desk that ended it says so at once."""

PIECE_S = 0.1
"""What is played to the caller goes out in pieces of this length, `AHEAD_S` ahead of their ear."""
AHEAD_S = 0.3

GONE_APART_MS = 300
"""So far beside the clock the agent's sound begins anew on it."""

BRIEF = "person_took_over"


@dataclass(frozen=True)
class TalkKit:
    """What a node lends to each talk. Shared; made once.

    ``recorder`` opens the talk's recording; ``legs`` listens to both sides; ``poke``: called after a commit.
    """

    database: Database
    talks: Talks
    recorder: Callable[[str], Awaitable[Recorder]]
    sounds: Sounds = field(default_factory=Sounds)
    legs: LegKit | None = None
    poke: Callable[[], None] = lambda: None
    clock: Clock = monotonic


class Bridge:
    """One media socket of one talk. Made on the event loop; `run` once.

    Args:
        kit: the node's.
        session: the caller's media socket.
        talk: as it stood when the caller came.
        recorder: where it is recorded; the agent is on the bot's channel.
    """

    def __init__(self, kit: TalkKit, session: Leg, talk: Talk, recorder: Recorder) -> None:
        self._kit = kit
        self._clock = kit.clock
        self._session = session
        self._talk = talk
        self._recorder = recorder
        self._media_clock = MediaClock()
        self._playhead = Playhead()
        self._to_caller = Backlog()
        self._desk: DeskLine | None = None
        self._line = Line(here=False, since_s=self._clock())
        self._woken = asyncio.Event()
        self._leaving = False
        self._agent_ms: int | None = None
        self._player: asyncio.Task[None] | None = None
        self._cut_off = talk.began_at is not None  # by another socket of theirs
        self._said = asyncio.Event()
        self._out: asyncio.Queue[bytes] = asyncio.Queue()
        self._feeds = {
            leg: LegFeed(session.conversation_id, leg, f"{session.stream_sid}-{talk.id}-{leg}", session.epoch)
            for leg in ("caller", "agent")
        }
        self.over = asyncio.Event()

    @property
    def talk(self) -> Talk:
        """As it was read last."""
        return self._talk

    def wake(self) -> None:
        """Something has changed: look at the row now."""
        self._woken.set()

    def leave(self) -> None:
        """The node stops: the call goes to another one, where the desk finds it again."""
        self._leaving = True
        self._woken.set()

    async def serve(self, desk: DeskLine) -> None:
        """Connects a desk's line, until it is gone or the bridge is over; a newer line takes its place."""
        before, self._desk = self._desk, desk
        if before is not None:
            before.end(TAKEN_UP)
        desk.on_sound = self._from_desk
        desk.on_word = self._word
        self._line = Line(here=True, since_s=self._clock())
        self._woken.set()
        gone, over = asyncio.ensure_future(desk.closed.wait()), asyncio.ensure_future(self.over.wait())
        try:
            await asyncio.wait({gone, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            over.cancel()
            desk.on_sound = lambda ulaw: None
            if self._desk is desk:
                self._desk = None
                self._line = Line(here=False, since_s=self._clock())
                self._woken.set()

    async def run(self) -> CallOutcome | None:
        """Until the talk or the media is over.

        Returns:
            How the call goes on; None: the bot has the caller now, on the same socket.
        """
        metrics.talks_active.inc()
        reading = asyncio.create_task(self._read())
        watching = asyncio.create_task(self._watch())
        writing = asyncio.create_task(self._write())
        ears = [asyncio.create_task(self._listen(leg)) for leg in self._feeds]
        self._recorder.event({"type": "talk", "talk": self._talk.id, "agent": self._talk.agent})
        if self._cut_off:  # they heard nothing for a while, and are told so before they hear the agent again
            self._player = asyncio.create_task(self._play("back", music=True))
        try:
            await asyncio.wait({reading, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not watching.done():
                if self._desk is not None:
                    away = self._talk.began_at is not None
                    self._desk.tell(type="state", state="away" if away else "coming")
                return CallOutcome("lost", "media ended")
            ending = watching.result()
            return await self._ended(ending)
        finally:
            metrics.talks_active.dec()
            self.over.set()
            for task in (reading, watching, writing, self._player):
                if task is not None:
                    task.cancel()
            for feed in self._feeds.values():
                feed.end()
            await asyncio.wait(ears, timeout=_EARS_S)
            for task in ears:
                task.cancel()
            await asyncio.gather(reading, watching, writing, *ears, return_exceptions=True)
            self._recorder.event({"type": "talk_over", "talk": self._talk.id})
            await self._recorder.close()

    # --- sound -----------------------------------------------------------------------------

    async def _read(self) -> None:
        async for message in self._session.messages():
            if isinstance(message, Media):
                self._media_clock.observe(message.timestamp_ms + len(message.ulaw) // 8, self._clock())
                self._recorder.caller(message.ulaw, message.timestamp_ms)
                self._feeds["caller"].put(message.ulaw, message.timestamp_ms)
                if self._desk is not None:
                    self._desk.send(message.ulaw)
            elif isinstance(message, Dtmf) and self._desk is not None:
                self._desk.tell(type="key")  # which one may be a secret: it is not told

    def _from_desk(self, ulaw: bytes) -> None:
        """What the agent says. Nothing of it while the caller is told to hold: it would come too late."""
        if self._player is not None:
            return
        for frame in frames(ulaw):
            self._say(frame)

    def _say(self, frame: bytes) -> None:
        now_s = self._clock()
        ahead_ms = self._playhead.ahead_ms(now_s)
        heard_ms = self._media_clock.at_ms(now_s)
        if heard_ms is not None:
            due_ms = heard_ms + round(ahead_ms)
            if self._agent_ms is None or abs(due_ms - self._agent_ms) > GONE_APART_MS:
                self._agent_ms = due_ms
            self._feeds["agent"].put(frame, self._agent_ms)
            self._agent_ms += FRAME_MS
        verdict = self._to_caller.offer(frame, ahead_ms)
        if verdict != "send":
            metrics.talk_frames_dropped.labels(verdict).inc()
            return
        self._recorder.bot(frame, heard_ms + round(ahead_ms) if heard_ms is not None else None)
        self._out.put_nowait(self._playhead.send(frame, now_s))

    async def _write(self) -> None:
        while True:
            await self._session.media(await self._out.get())

    async def _play(self, *lines: LineName, music: bool) -> None:
        """Lines, then the hold sound for as long as it takes."""
        for name in lines:
            await self._play_through(await self._kit.sounds.line(name))
        self._said.set()
        while music:
            await self._play_through(self._kit.sounds.music())

    async def _play_through(self, ulaw: bytes) -> None:
        size = int(PIECE_S * 8000)
        for at in range(0, len(ulaw), size):
            piece = ulaw[at : at + size]
            now_s = self._clock()
            heard_ms = self._media_clock.at_ms(now_s)
            if heard_ms is not None:
                self._recorder.bot(piece, heard_ms + round(self._playhead.ahead_ms(now_s)))
            await self._session.media(self._playhead.send(piece, now_s))
            await asyncio.sleep(max(0.0, self._playhead.ahead_ms(self._clock()) / 1000 - AHEAD_S))

    # --- what is to happen -----------------------------------------------------------------

    async def _watch(self) -> Ending | None:
        """Until it is over: the talk's ending; None: the node stops."""
        shown: tuple[Standing, DeskLine | None] | None = None
        while True:
            self._woken.clear()
            if self._leaving:
                return None
            now, desk = standing(self._line, self._clock()), self._desk
            try:
                await self._look(now)
            except DatabaseDown:
                log.warning("talk_without_database", conversation=self._session.conversation_id)
            if self._talk.over:
                assert self._talk.ending is not None  # the row's own rule
                return self._talk.ending
            if (now, desk) != shown:  # a line that took another's place is told, too
                await self._show(now)
                shown = (now, desk)
            wait_s = min(LOOK_EVERY_S, next_look_s(self._line, self._clock()) or LOOK_EVERY_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, wait_s)):
                    await self._woken.wait()

    async def _look(self, now: Standing) -> None:
        """Writes how it stands, and reads what others have written."""
        kit, before = self._kit, self._talk
        async with kit.database.transaction() as tx:
            talk = await stored.get(tx, before.id)
            if now == "connected" and talk.state not in {"talking", "over"}:
                talk = await kit.talks.connected(tx, before.id)
            elif now == "hold" and talk.state == "talking":
                talk = await kit.talks.lost(tx, before.id)
            elif now == "given_up":
                talk = await kit.talks.end(tx, before.id, "queue", "agent_lost", who="server")
            if not talk.over and not await kit.talks.held(tx, talk):
                done = await kit.talks.is_done(tx, talk)
                ending, why = ("goodbye", "done") if done else ("queue", "given_back")
                talk = await kit.talks.end(tx, talk.id, ending, why, who="server")
        self._talk = talk
        if talk.told != before.told:
            kit.poke()

    async def _show(self, now: Standing) -> None:
        """What the caller hears now."""
        if now == "connected":
            if self._cut_off:
                self._cut_off = False
                await self._said.wait()
                await asyncio.sleep(AHEAD_S)  # what was sent has been heard by then
            await self._stop_playing()
            if self._desk is not None:
                self._desk.tell(type="state", state="talking")
        elif now == "hold" and self._player is None:
            line: LineName = "hold" if self._talk.began_at is not None else "coming"
            self._player = asyncio.create_task(self._play(line, music=True))

    async def _stop_playing(self) -> None:
        if self._player is None:
            return
        self._player.cancel()
        await asyncio.gather(self._player, return_exceptions=True)
        self._player = None
        self._playhead.cleared()
        await self._session.clear()

    async def _ended(self, ending: Ending | None) -> CallOutcome | None:
        """The last the caller hears of the talk; the agent hears and says nothing more."""
        desk, self._desk = self._desk, None
        if desk is not None:
            desk.on_sound = lambda ulaw: None
            if ending is None:
                desk.end(GOING_AWAY)
            else:
                desk.tell(type="over", ending=ending)
        await self._stop_playing()
        match ending:
            case None:
                return CallOutcome("away", "node_stops")
            case "goodbye":
                await self._play("goodbye", music=False)
                await asyncio.sleep(self._playhead.ahead_ms(self._clock()) / 1000)
                return CallOutcome("ended", BRIEF)
            case "caller_left":
                return CallOutcome("lost", "media ended")
            case "bot" | "queue":
                return None

    def _word(self, word: dict[str, Any]) -> None:
        if word.get("type") == "look":
            self._woken.set()

    # --- words -----------------------------------------------------------------------------

    async def _listen(self, leg: str) -> None:
        """Whatever fails here, the two go on speaking."""
        if self._kit.legs is None:
            return
        ear = LegEar(
            self._kit.legs,
            self._feeds[leg],
            self._clock,
            lambda line, held: self._noted(leg, line, held),
        )
        metrics.legs_active.labels(leg).inc()
        try:
            await ear.run()
        except Exception:
            log.exception("talk_ear_failed", conversation=self._session.conversation_id, leg=leg)
        finally:
            metrics.legs_active.labels(leg).dec()

    def _noted(self, leg: str, line: HeardLine, held: Held) -> None:
        if line.from_ms is None or line.until_ms is None:
            return
        channel = "caller" if leg == "caller" else "bot"
        told = checked if may_be_heard(line, held) else masked
        self._recorder.event(told(channel, line.from_ms, line.until_ms))
        if held == "card":
            self._recorder.unsay(channel, line.from_ms - MARGIN_MS, line.until_ms + MARGIN_MS)


_EARS_S = 4.0
"""The ears' own time for the last words, and a little."""
