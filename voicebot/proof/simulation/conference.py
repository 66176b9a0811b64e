"""A conference of the local Twilio: the shell around ``room`` that moves sound and sends callbacks.

Each leg keeps its own 20 ms clock; what one says is handed to those who hear it and mixed when their own
clock asks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from .asides import HOLD_CLIP, fetch_aside, play_aside
from .callbacks import Callbacks
from .clips import tone
from .formats import new_sid, now, rfc2822
from .leg import Bridge, Clip, Sound
from .log import CallLog
from .mixing import mix
from .reading import TwimlError
from .room import LeftBecause, Room, RoomEvent, Seat
from .tape import Tape
from .verbs import HOLD_MUSIC, ConferenceRoom, Document, Jump
from .voicemail import Recording
from .webhooks import Answer, WebhookError, Webhooks

if TYPE_CHECKING:
    from .call import Exchange, LocalCall

_BEEP = tone(180, 880, level=0.1)


class NotJoined(Exception):
    """A leg that does not get in. ``goes_on``: with the ``action`` of its ``<Dial>`` or the next verb."""

    def __init__(self, code: int, reason: str, goes_on: Literal["action", "next_verb"] = "action") -> None:
        super().__init__(reason)
        self.code = code
        self.goes_on = goes_on


class _Nothing:
    """Silence instead of the room."""

    def next_frame(self) -> bytes:
        return b""


class LegSound:
    """What one participant hears: music, or else the others; announcements and beeps on top."""

    def __init__(self) -> None:
        self.music: Sound | None = None
        self.over: list[Clip] = []
        self._voices: dict[str, Bridge] = {}

    def voice(self, call_sid: str) -> Bridge:
        """Where another's voice comes in."""
        return self._voices.setdefault(call_sid, Bridge())

    def forget(self, call_sid: str) -> None:
        """Another has left."""
        self._voices.pop(call_sid, None)

    def next_frame(self) -> bytes:
        """The next 20 ms."""
        frames = [voice.next_frame() for voice in self._voices.values()]
        if self.music is not None:
            frames = [self.music.next_frame()]
        frames += [clip.next_frame() for clip in self.over]
        self.over = [clip for clip in self.over if not clip.over.is_set()]
        return mix(frames)


@dataclass
class Participant:
    """A leg in the room. ``gone`` is set when it left, with the reason."""

    call: LocalCall
    spec: ConferenceRoom
    sound: LegSound = field(default_factory=LegSound)
    hold_url: Jump | None = HOLD_MUSIC
    gone: asyncio.Future[LeftBecause] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    by_rest: bool = False
    hears: Literal["room", "wait", "hold"] = "room"
    music: asyncio.Task[None] | None = None


class Conference:
    """One room. Made by ``LocalTwilio.open_conference``; one event loop only."""

    def __init__(self, exchange: Exchange, friendly_name: str) -> None:
        self.sid = new_sid("CF")
        self.friendly_name = friendly_name
        self.created = self.updated = now()
        self.room = Room()
        self.participants: dict[str, Participant] = {}
        self.invited: dict[str, tuple[LocalCall, ConferenceRoom]] = {}
        """Legs that REST dialled for this room and that have not come in."""
        began = time.monotonic()
        self.log = CallLog(lambda: (time.monotonic() - began) * 1000)
        self.events: list[RoomEvent] = []
        """All that happened, also what nobody asked to be told."""
        self._exchange = exchange
        self._webhooks = Webhooks(
            auth_token=exchange.auth_token, routes=exchange.routes, options=exchange.options, log=self.log
        )
        self._callbacks = Callbacks(self._webhooks, self.log)
        self._told: ConferenceRoom | None = None
        self._tape: Tape | None = None
        self._background: set[asyncio.Task[None]] = set()

    @property
    def over(self) -> bool:
        """Whether it has ended; the next one of that name is another."""
        return self.room.status == "completed"

    def waits_with(self, spec: ConferenceRoom) -> bool:
        """Whether a leg that comes in now hears the music of ``waitUrl`` first."""
        starters = spec.start_on_enter or any(s.start_on_enter for s in self.room.seats.values())
        return self.room.waits and not (self.room.seats and starters)

    # --- coming and going ---------------------------------------------------------------

    def check(self, call_sid: str, spec: ConferenceRoom) -> None:
        """Whether a leg would be let in.

        Raises:
            NotJoined: 16020 full, 16025 label in use, 13240 nobody there to coach.
        """
        if len(self.room.seats) >= spec.max_participants:
            raise NotJoined(16020, f"the conference is full with {len(self.room.seats)}")
        invited = [s.label for sid, (_, s) in self.invited.items() if sid != call_sid]
        taken = {seat.label for seat in self.room.seats.values()} | set(invited)
        if spec.label and spec.label in taken:
            raise NotJoined(16025, f"the label {spec.label!r} is in use", "next_verb")
        if spec.coach is not None and spec.coach not in self.room.seats:
            raise NotJoined(13240, "the leg to coach is not in the conference")

    def join(self, call: LocalCall, spec: ConferenceRoom, music: Document | None) -> Participant:
        """A leg comes in. ``music``: the first document of its ``waitUrl``.

        Raises:
            NotJoined: see ``check``.
        """
        self.check(call.call_sid, spec)
        by_rest = self.invited.pop(call.call_sid, None) is not None
        participant = Participant(call, spec, by_rest=by_rest)
        self._ask_to_tell(spec, call.log)
        self.participants[call.call_sid] = participant
        events = self.room.join(
            Seat(
                call.call_sid, spec.label, muted=spec.muted, coaching=spec.coach,
                start_on_enter=spec.start_on_enter, end_on_exit=spec.end_on_exit,
            )
        )  # fmt: skip
        call.log.add("conference", event="joined", name=self.friendly_name, sid=self.sid)
        self._turn_music(music)
        if self._told is not None and self._told.record and self._tape is None and not self.room.waits:
            self._tape = Tape()
            self._spawn(self._tape.run())
        if spec.beep in ("true", "onEnter"):
            self._beep(call.call_sid)
        self._tell(events)
        return participant

    def leave(self, call_sid: str, why: LeftBecause, *, call_status: str, kicked: bool = False) -> None:
        """A leg goes; nothing happens if it is not there."""
        participant = self.participants.get(call_sid)
        if participant is None:
            return
        events = self.room.leave(call_sid, why, call_status=call_status, kicked=kicked)
        self._gone(call_sid, why)
        if participant.spec.beep in ("true", "onExit"):
            self._beep(call_sid)
        self._dismiss("moderator_ended_conference")
        self._tell(events)

    def end(self) -> None:
        """REST ends it for all."""
        events = self.room.end("conference-ended-via-api", others="conference_ended_via_api")
        self._dismiss("conference_ended_via_api")
        self._tell(events)

    def never_came(self, call: LocalCall) -> None:
        """A leg that REST dialled for this room ended without coming in."""
        invited = self.invited.pop(call.call_sid, None)
        if invited is None or self.over:
            return
        spec = invited[1]
        self._ask_to_tell(spec, call.log)
        self._tell([self.room.add_failed(Seat(call.call_sid, spec.label), call.status)])

    def _gone(self, call_sid: str, why: LeftBecause) -> None:
        participant = self.participants.pop(call_sid)
        if participant.music is not None:
            participant.music.cancel()
        for other in self.participants.values():
            other.sound.forget(call_sid)
        if not participant.gone.done():
            participant.gone.set_result(why)
        participant.call.log.add("conference", event="left", name=self.friendly_name, why=why)

    def _dismiss(self, why: LeftBecause) -> None:
        for call_sid in list(self.participants):
            if call_sid not in self.room.seats:
                self._gone(call_sid, why)

    # --- sound --------------------------------------------------------------------------

    def spoke(self, call_sid: str, frame: bytes) -> None:
        """20 ms of one participant, for those who hear it."""
        for other_sid, other in self.participants.items():
            if self.room.hears(other_sid, call_sid):
                other.sound.voice(call_sid).put(frame)
        if self._tape is not None and self.room.is_recorded(call_sid):
            self._tape.put(call_sid, frame)

    def hold(self, call_sid: str, url: Jump | None) -> None:
        """Sets what a participant hears on hold, before ``update``."""
        self.participants[call_sid].hold_url = url

    def update(self, call_sid: str, **changes: Any) -> None:
        """REST changes a participant; see ``Room.update``."""
        self._tell(self.room.update(call_sid, **changes))
        self._turn_music(None)

    def announce(self, jump: Jump, call_sid: str | None) -> None:
        """Plays an announcement to one participant, or to all."""
        self._spawn(self._announce(jump, call_sid))

    async def _announce(self, jump: Jump, call_sid: str | None) -> None:
        listeners = [call_sid] if call_sid is not None else list(self.participants)

        async def ask(to: Jump) -> Answer:
            form = {"ConferenceSid": self.sid, "FriendlyName": self.friendly_name}
            return await self._webhooks.request(
                to.url, to.method, form | {"AccountSid": self._exchange.account_sid}, purpose="announce"
            )

        async def play(ulaw: bytes) -> None:
            for sid in listeners:
                if sid in self.participants:
                    self.participants[sid].sound.over.append(Clip(ulaw))
            await asyncio.sleep(len(ulaw) / 8000)

        failed = False
        try:
            await play_aside(await fetch_aside(jump, ask), ask=ask, sink=play, log=self.log)
        except (WebhookError, TwimlError) as error:
            self.log.notify(error.code, str(error), protocol=isinstance(error, TwimlError))
            failed = True
        if not self.over:
            self._tell([self.room.announced(failed=failed, url=jump.url, call_sid=call_sid)])

    def _beep(self, about: str) -> None:
        if self.room.status == "in-progress":
            for call_sid, other in self.participants.items():
                if call_sid != about:
                    other.sound.over.append(Clip(_BEEP))

    def _turn_music(self, first: Document | None) -> None:
        """Lets everybody hear the room, or the music they should hear instead."""
        for call_sid, participant in self.participants.items():
            seat = self.room.seats[call_sid]
            hears = "hold" if seat.hold else ("wait" if self.room.waits else "room")
            if hears == participant.hears:
                continue
            participant.hears = hears
            if participant.music is not None:
                participant.music.cancel()
                participant.music = None
            match hears:
                case "room":
                    participant.sound.music = None
                case "hold":
                    self._music(participant, participant.hold_url, None)
                case "wait":
                    self._music(participant, participant.spec.wait, first)

    def _music(self, participant: Participant, jump: Jump | None, first: Document | None) -> None:
        participant.sound.music = Clip(HOLD_CLIP, loop=True) if jump is HOLD_MUSIC else _Nothing()
        if jump is not None and jump is not HOLD_MUSIC:
            participant.music = self._spawn(self._play_music(participant, jump, first))

    async def _play_music(self, participant: Participant, jump: Jump, first: Document | None) -> None:
        call, sound = participant.call, participant.sound

        async def ask(to: Jump) -> Answer:
            return await call.request(to, {}, purpose="music")

        async def play(ulaw: bytes) -> None:
            sound.music = clip = Clip(ulaw)
            await clip.over.wait()
            sound.music = _Nothing()

        try:
            document = first if first is not None else await fetch_aside(jump, ask)
            await play_aside(document, ask=ask, sink=play, log=call.log)
        except (WebhookError, TwimlError) as error:
            call.log.notify(error.code, str(error), protocol=isinstance(error, TwimlError))

    # --- callbacks ----------------------------------------------------------------------

    def _ask_to_tell(self, spec: ConferenceRoom, log: CallLog) -> None:
        """Whoever joins first sets who is told of what; what the later ones say is ignored."""
        if self._told is None:
            self._told = spec
            return
        first = (self._told.status_callback, self._told.status_events)
        if spec.status_callback is not None and (spec.status_callback, spec.status_events) != first:
            log.add("conference", event="callback ignored", name=self.friendly_name)

    def _tell(self, events: list[RoomEvent]) -> None:
        self.updated = now()
        if self.over:
            self._keep_tape()
        for event in events:
            self.events.append(event)
            self.log.add("event", name=event.name, number=event.number, form=event.form)
            told = self._told
            if told is None or told.status_callback is None or event.group not in told.status_events:
                continue
            form = event.form | {
                "AccountSid": self._exchange.account_sid,
                "ConferenceSid": self.sid,
                "FriendlyName": self.friendly_name,
                "SequenceNumber": str(event.number),
                "StatusCallbackEvent": event.name,
                "Timestamp": rfc2822(now()) or "",
            }
            plan = self._exchange.options.conference_callbacks
            self._callbacks.send("conference", told.status_callback, form, plan)

    def _keep_tape(self) -> None:
        """The recording is there when the room is over (docs/voice/twiml/conference, `record`)."""
        tape, self._tape = self._tape, None
        if tape is None or self._told is None:
            return
        tape.stop()
        recording = Recording(self.room.ended_by or "", bytes(tape.ulaw), source="Conference")
        self._exchange.recordings[recording.sid] = recording
        self.log.add("recording", sid=recording.sid, seconds=recording.duration_s)
        if self._told.recording_callback is not None:
            account = self._exchange.account_sid
            form = {
                "AccountSid": account,
                "ConferenceSid": self.sid,
                "RecordingSid": recording.sid,
                "RecordingUrl": f"{self._exchange.api_url}{recording.uri(account)}",
                "RecordingStatus": "completed",
                "RecordingDuration": str(recording.duration_s),
                "RecordingChannels": "1",
                "RecordingSource": recording.source,
                "RecordingStartTime": rfc2822(recording.started) or "",
            }
            plan = self._exchange.options.callbacks
            self._callbacks.send("recording", self._told.recording_callback, form, plan)

    async def settle(self, timeout_s: float) -> None:
        """Waits for callbacks that are on their way, then drops what is left."""
        await self._callbacks.settle(timeout_s)
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._webhooks.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name="local-twilio-conference")
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task
