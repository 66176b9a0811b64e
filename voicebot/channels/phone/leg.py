"""Listens to one leg after the bot stepped back: its sound goes in, its words go into the transcript.

The same hearing as for a caller of the bot, with nobody to answer: a recogniser's stream a leg, on the same
engine hosts. What is played *to* the leg (hold audio, briefing, the other side) is not on its track.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, cast

import structlog

from voicebot.audio.engines.types import Transcriber, TurnJudge
from voicebot.audio.hearing.events import (
    CallerFinished,
    HearingEvent,
    NothingSaid,
    PartialHeard,
    TurnEnded,
    Unheard,
)
from voicebot.audio.hearing.listener import Listener
from voicebot.audio.hearing.vad import VoiceActivity
from voicebot.audio.hearing.windows import TogetherSense
from voicebot.audio.mulaw import SILENCE
from voicebot.channels.phone.leg_lines import HeardLine, Held, LegLines, LegOver
from voicebot.channels.twilio.leg_media import LEG_PARAMETER
from voicebot.channels.twilio.media import MediaSession
from voicebot.channels.twilio.wire import Media
from voicebot.core import metrics
from voicebot.core.bus import Bus
from voicebot.core.clock import Clock, monotonic
from voicebot.core.conversation import Event
from voicebot.core.store.database import Database, DatabaseDown
from voicebot.core.store.keys import KeyRing, SubjectErased
from voicebot.core.store.tokens import Leg
from voicebot.core.transcript import LEG_PARTIAL
from voicebot.safety.pii.finding import Shapes

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 1.0
"""How soon a leg is let go after the bot took the call back."""

FINISH_S = 3.0
"""How long the last words of a leg that hung up may take."""

TRIES = 30
"""A line waits about so many seconds for the database."""

_NEVER_S = 24 * 3600.0
_LAST_SILENCE = bytes([SILENCE]) * 160
_LAST_SILENCES = 100  # 2 s: the end of whatever was being said


@dataclass(frozen=True)
class LegKit:
    """What a node lends to each leg. Shared; made once.

    ``shapes``: the deployment's numbers, for masking. ``poke``: called after lines were committed.
    """

    database: Database
    keys: KeyRing
    bus: Bus
    transcriber: Transcriber
    judge: TurnJudge
    vad: Callable[[], VoiceActivity | TogetherSense]
    shapes: Shapes
    poke: Callable[[], None]


class LegSource(Protocol):
    """Where a leg's sound comes from: a media socket of its own, or a side of a bridge."""

    @property
    def conversation_id(self) -> str:
        """Whose transcript it goes into."""
        ...

    @property
    def stream_sid(self) -> str:
        """Names its lines, so that twice is once."""
        ...

    @property
    def epoch(self) -> int:
        """Media session of the conversation; a later one ends the leg."""
        ...

    @property
    def custom(self) -> Mapping[str, str]:
        """Names the leg, under `LEG_PARAMETER`."""
        ...

    def messages(self) -> AsyncIterator[object]:
        """Sound as `Media`, in order; the end of it is the end of the leg."""
        ...

    async def close(self) -> None:
        """Nothing more is listened to."""
        ...


OnLine = Callable[[HeardLine, Held], None]
"""Told of a line that stands in the transcript, and of what it held."""


class LegEar:
    """One leg, from its first frame to its last line. Made on the event loop; `run` once.

    Args:
        kit: the node's.
        session: the source of its sound, which names its leg and was bound to its conversation.
        clock: seconds.
        on_line: told of each line once it is stored.
    """

    def __init__(
        self,
        kit: LegKit,
        session: LegSource,
        clock: Clock = monotonic,
        on_line: OnLine = lambda line, held: None,
    ) -> None:
        self._kit = kit
        self._on_line = on_line
        self._session = session
        self._leg = cast("Leg", session.custom[LEG_PARAMETER])
        self._lines = LegLines(
            kit.database,
            kit.keys,
            kit.shapes,
            conversation_id=session.conversation_id,
            leg=self._leg,
            stream_sid=session.stream_sid,
            epoch=session.epoch,
        )
        self._heard: asyncio.Queue[HeardLine] = asyncio.Queue()
        self._count = 0
        self._concluding = 0
        self._settled = asyncio.Event()
        self._at_ms = 0
        self._listener = Listener(
            f"{session.conversation_id}/{self._leg}",
            vad=kit.vad(),
            transcriber=kit.transcriber,
            judge=kit.judge,
            emit=self._emit,
            clock=clock,
            silence_s=_NEVER_S,
        )

    async def run(self) -> None:
        """Until the stream ends, the bot takes the call back or the conversation is over; closes it then."""
        listening, *others = work = [
            asyncio.ensure_future(one) for one in (self._listen(), self._write(), self._look())
        ]
        try:
            await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            if listening.done():
                listening.result()
                await self._settle()
            else:
                for task in others:
                    if task.done():
                        task.result()
        finally:
            for task in work:
                task.cancel()
            await asyncio.wait(work)
            await self._listener.close()
            await self._session.close()

    async def _listen(self) -> None:
        async for message in self._session.messages():
            if isinstance(message, Media) and message.track == "inbound":
                self._at_ms = message.timestamp_ms + len(message.ulaw) // 8
                self._listener.feed(message.ulaw, message.timestamp_ms)

    async def _settle(self) -> None:
        """The end of the stream ends what was being said: its words are still written."""
        for n in range(_LAST_SILENCES):
            self._listener.feed(_LAST_SILENCE, self._at_ms + n * 20)
        try:
            async with asyncio.timeout(FINISH_S):
                while self._listener.hearing or self._concluding:
                    self._settled.clear()
                    await self._settled.wait()
                await self._heard.join()
        except TimeoutError:
            log.warning("leg.last_words_lost", conversation=self._session.conversation_id, leg=self._leg)

    async def _look(self) -> None:
        while True:
            try:
                await self._lines.check()
            except DatabaseDown:
                pass  # lines wait too
            except (LegOver, SubjectErased):
                return
            await asyncio.sleep(LOOK_EVERY_S)

    async def _write(self) -> None:
        while True:
            line = await self._heard.get()
            if not await self._stored(line):
                return
            self._heard.task_done()

    async def _stored(self, line: HeardLine) -> bool:
        """Writes a line; False: nothing more of this leg is to be written."""
        for _ in range(TRIES):
            try:
                held = await self._lines.store(line)
            except DatabaseDown:
                await asyncio.sleep(1.0)
                continue
            except (LegOver, SubjectErased):
                return False
            self._on_line(line, held)
            metrics.leg_lines.labels(self._leg).inc()
            self._kit.poke()
            return True
        log.error("leg.line_lost", conversation=self._session.conversation_id, leg=self._leg)
        return True

    def _emit(self, event: HearingEvent) -> None:
        match event:
            case PartialHeard():
                self._publish(event.text)
            case CallerFinished():
                self._concluding += 1
            case TurnEnded():
                said = event.utterance
                self._line(said.text, sure=True, from_ms=said.started_ms, until_ms=said.last_voiced_ms)
            case Unheard():
                metrics.not_heard.labels(event.reason).inc()
                self._line(event.text, sure=False, from_ms=event.started_ms, until_ms=event.last_voiced_ms)
            case NothingSaid():
                self._line("", sure=False)
            case _:
                pass

    def _line(
        self, text: str, *, sure: bool, from_ms: int | None = None, until_ms: int | None = None
    ) -> None:
        self._concluding = max(0, self._concluding - 1)
        self._settled.set()
        if text:
            self._count += 1
            self._heard.put_nowait(HeardLine(self._count, text, sure, datetime.now(UTC), from_ms, until_ms))

    def _publish(self, text: str) -> None:
        self._kit.bus.publish(
            Event(
                id=f"live_{secrets.token_hex(8)}",
                type=LEG_PARTIAL,
                conversation_id=self._session.conversation_id,
                time=datetime.now(UTC),
                data=self._lines.so_far(text),
            )
        )


async def run_leg(kit: LegKit, session: MediaSession) -> None:
    """Listens to one leg until it is over."""
    structlog.contextvars.bind_contextvars(conversation=session.conversation_id)
    await LegEar(kit, session).run()
