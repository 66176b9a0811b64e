"""One call at the local Twilio: its line, its TwiML, its status, its callbacks.

Used by tests and by ``voicebot call``: hold the phone through an ``Ear``, press keys, hang up, break the
socket, and look at ``log``, ``violations`` and ``recording`` afterwards.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from .callbacks import Callbacks, StatusTarget
from .clips import key_tone
from .conference import Conference
from .detection import Detection
from .ear import Ear
from .forks import Forks
from .formats import API_VERSION, iso8601, new_sid, now, rfc2822
from .leg import Line
from .log import CallLog, Notification
from .metronome import Metronome
from .options import Options
from .people import Person
from .program import CallOver, CallRejected, Hold, Program, Start
from .recording import CallRecording
from .room import LeftBecause
from .stream import MediaStream
from .verbs import Jump, Number
from .voicemail import Recording
from .webhooks import Answer, Routes, WebhookError, Webhooks

FINAL = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
_SIP = {"completed": "200", "busy": "486", "no-answer": "487", "failed": "404", "canceled": "487"}


class Exchange(Protocol):
    """What a call needs of the Twilio it belongs to."""

    account_sid: str
    auth_token: str
    options: Options
    routes: Routes

    recordings: dict[str, Recording]
    metronome: Metronome | None

    @property
    def api_url(self) -> str:
        """Origin of the REST API."""
        ...

    def person(self, number: str) -> Person:
        """Who answers that number."""
        ...

    def conference(self, name: str) -> Conference | None:
        """The running conference of that name."""
        ...

    def open_conference(self, name: str) -> Conference:
        """A new one."""
        ...

    def register(self, call: LocalCall) -> None:
        """Makes a call known to REST."""
        ...


@runtime_checkable
class Holder(Protocol):
    """An ``Ear`` that presses keys or hangs up: it is given the call when it is placed."""

    def hold(self, call: LocalCall) -> None:
        """Takes the phone of this call."""
        ...


@dataclass(frozen=True)
class _Redirect:
    start: Start
    by: LeftBecause = "participant_updated_via_api"


@dataclass(frozen=True)
class _End:
    status: str
    by: LeftBecause = "participant_updated_via_api"


class LocalCall:
    """A call, seen from the phone. Made by ``LocalTwilio.phone``; one event loop only."""

    def __init__(
        self, exchange: Exchange, *, direction: str, from_: str, to: str, ear: Ear,
        parent: LocalCall | None = None, fallback: Jump | None = None, target: StatusTarget | None = None,
    ) -> None:  # fmt: skip
        self.call_sid = new_sid("CA")
        self.direction = direction
        self.from_ = from_
        self.to = to
        self.status = "queued"
        self.parent_sid = parent.call_sid if parent is not None else None
        self.created = now()
        self.answered_at = self.ended_at = None
        self.fallback = fallback
        self._dialled_for: tuple[str, ...] = ()
        self.line = Line(ear, exchange.metronome.began_s() if exchange.metronome is not None else None)
        self.log = CallLog(self.line.now_ms)
        self.stream: MediaStream | None = None
        self.forks = Forks(self)
        self.key_listeners: list[Callable[[str], None]] = []
        self.leaving_for_good = False
        """The call is about to end, not to go on with other TwiML."""
        self.answered_by: str | None = None
        """By answering-machine detection."""
        self._verdict: dict[str, str] = {}
        self._detection: Detection | None = None
        self._exchange = exchange
        self._target = target
        self._sequence = 0
        self._webhooks = Webhooks(
            auth_token=exchange.auth_token, routes=exchange.routes, options=exchange.options, log=self.log
        )
        self.callbacks = Callbacks(self._webhooks, self.log)
        self._commands: asyncio.Queue[_Redirect | _End] = asyncio.Queue()
        self._background: set[asyncio.Task[Any]] = set()
        self._limit_s: float | None = None
        self._ready = asyncio.Event()
        self._ended = asyncio.Event()
        self._ticker: asyncio.Task[None] | None = None
        self._life: asyncio.Task[None] | None = None
        exchange.register(self)
        if isinstance(ear, Holder):
            ear.hold(self)

    # --- what a test or a caller looks at ------------------------------------------------

    @property
    def account_sid(self) -> str:
        """The account's SID."""
        return self._exchange.account_sid

    @property
    def auth_token(self) -> str:
        """The token that signs."""
        return self._exchange.auth_token

    @property
    def options(self) -> Options:
        """The exchange's behaviour."""
        return self._exchange.options

    @property
    def routes(self) -> Routes:
        """Where public addresses lead."""
        return self._exchange.routes

    @property
    def recording(self) -> CallRecording:
        """What the party said and heard, on the call clock."""
        return self.line.recording

    @property
    def notifications(self) -> list[Notification]:
        """Everything Twilio's debugger would show."""
        return self.log.notifications

    @property
    def violations(self) -> list[Notification]:
        """The rules the server broke. A test of a correct server expects an empty list."""
        return [n for n in self.log.notifications if n.protocol]

    @property
    def duration_s(self) -> int:
        """Whole seconds since the answer, rounded up as Twilio bills; 0 if never answered."""
        if self.answered_at is None:
            return 0
        return math.ceil(((self.ended_at or now()) - self.answered_at).total_seconds())

    @property
    def ended(self) -> bool:
        """Whether the call is over."""
        return self.status in FINAL

    # --- what the party does -----------------------------------------------------------

    def hang_up(self) -> None:
        """The party puts the phone down."""
        status = "completed" if self.status == "in-progress" else "no-answer"
        self._commands.put_nowait(_End(status, "participant_hung_up"))

    async def press(self, digits: str, *, every_ms: int = 160) -> None:
        """Presses keys (``0-9*#``) one after the other; returns when the last was pressed."""
        for n, digit in enumerate(digits):
            if n:
                await asyncio.sleep(every_ms / 1000)
            self.press_key(digit)

    def press_key(self, digit: str) -> None:
        """Presses one key now."""
        self.log.add("dtmf", digit=digit)
        if self.options.dtmf_in_audio:
            self.line.say_also(key_tone(digit))
        if self.stream is not None:
            self.stream.dtmf(digit)
        for listener in tuple(self.key_listeners):
            listener(digit)

    def break_socket(self) -> None:
        """The network loses the media socket; what follows is ``Options.broken_socket``."""
        if self.stream is not None:
            self.stream.break_socket()

    async def wait_ended(self) -> None:
        """Until the call is over (its callbacks may still be on their way: ``settle``)."""
        if self._life is None:
            return  # it was never placed
        await self._ended.wait()
        await asyncio.wait({self._life})
        if not self._life.cancelled() and (error := self._life.exception()) is not None:
            raise error

    async def settle(self, timeout_s: float = 5.0) -> None:
        """After the end: waits for callbacks and lingering sockets, then drops what is left."""
        await self.callbacks.settle(timeout_s)
        if self._background:
            _, late = await asyncio.wait(set(self._background), timeout=timeout_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._webhooks.close()

    # --- what REST and other legs do ---------------------------------------------------

    def redirect(self, start: Start) -> None:
        """New TwiML for a call in progress: what runs now is left, a media socket gets ``stop``."""
        self._commands.put_nowait(_Redirect(start))

    def complete(self) -> None:
        """Ends the call from our side, whatever it does."""
        if not self.ended:
            self._commands.put_nowait(_End("completed" if self.answered_at else "canceled"))

    def give_up(self) -> None:
        """Stops ringing: nobody answered in time."""
        if not self.ended:
            self._commands.put_nowait(_End("no-answer"))

    def place(self, number: Number, caller_id: str) -> LocalCall:
        """Rings somebody to be joined to this call."""
        person = self._exchange.person(number.number)
        target = None
        if number.status_callback is not None:
            target = StatusTarget(number.status_callback, number.status_events)
        child = LocalCall(
            self._exchange, direction="outbound-dial", from_=caller_id, to=number.number,
            ear=person.ear(), parent=self, target=target,
        )  # fmt: skip
        self.log.add("leg", event="rung", call_sid=child.call_sid, to=number.number)
        child.begin(number.whisper or Hold(), person=person, then_hold=True)
        return child

    async def wait_ready(self) -> bool:
        """Until this leg can be joined to another (True), or is over (False)."""
        ready = asyncio.create_task(self._ready.wait())
        ended = asyncio.create_task(self._ended.wait())
        try:
            await asyncio.wait({ready, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
            ended.cancel()
        return self._ready.is_set() and not self._ended.is_set()

    def answer(self) -> None:
        """The call is taken, at the first verb that needs it."""
        if self.status == "ringing":
            self.answered_at = now()
            self._status("in-progress", "answered")

    async def request(self, jump: Jump, extra: dict[str, str] | None, *, purpose: str) -> Answer:
        """Asks the server about this call; ``extra`` joins the standard parameters (None: send none)."""
        form = self.form() | extra if extra is not None else {}
        return await self._webhooks.request(jump.url, jump.method, form, purpose=purpose)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Runs something that may outlive the current verb."""
        task = asyncio.create_task(work, name=f"local-twilio-{self.call_sid[:8]}")
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    def form(self) -> dict[str, str]:
        """The standard parameters; some are blank, as with Twilio, and take part in the signature."""
        form = {
            "AccountSid": self.account_sid,
            "ApiVersion": API_VERSION,
            "CallSid": self.call_sid,
            "CallStatus": self.status,
            "Direction": self.direction,
            "From": self.from_,
            "To": self.to,
            "Caller": self.from_,
            "Called": self.to,
        }
        for who in ("From", "To", "Caller", "Called"):
            form |= {f"{who}{what}": "" for what in ("City", "State", "Zip", "Country")}
        if self.parent_sid is not None:
            form["ParentCallSid"] = self.parent_sid
        return form | self._verdict | self.options.extra_parameters

    # --- rooms, copies of streams, recordings ------------------------------------------

    def conference(self, name: str) -> Conference | None:
        """The running conference of that name."""
        return self._exchange.conference(name)

    def open_conference(self, name: str) -> Conference:
        """A new one."""
        return self._exchange.open_conference(name)

    def not_joined(self, name: str) -> None:
        """The leg was not let into a room it was dialled for."""
        if (conference := self.conference(name)) is not None:
            conference.never_came(self)

    def tell_stream(self, to: Jump | None, name: str, sid: str, event: str, error: str) -> None:
        """A stream's status callback, if one was asked for."""
        if to is None:
            return
        form = {
            "AccountSid": self.account_sid,
            "CallSid": self.call_sid,
            "StreamSid": sid,
            "StreamName": name,
            "StreamEvent": event,
            "Timestamp": iso8601(now()),
        }
        if error:
            form["StreamError"] = error
        self.callbacks.send("stream", to, form, self.options.stream_callbacks)

    def keep_recording(
        self, recording: Recording, to: Jump | None, events: tuple[str, ...]
    ) -> dict[str, str]:
        """Stores a recording of this call, tells of it, and returns what ``action`` is told."""
        self._exchange.recordings[recording.sid] = recording
        self.log.add("recording", sid=recording.sid, seconds=recording.duration_s)
        form = {
            "RecordingSid": recording.sid,
            "RecordingUrl": f"{self._exchange.api_url}{recording.uri(self.account_sid)}",
            "RecordingDuration": str(recording.duration_s),
        }
        if to is not None and "completed" in events:
            more = {
                "AccountSid": self.account_sid,
                "CallSid": self.call_sid,
                "RecordingStatus": "completed",
                "RecordingChannels": "1",
                "RecordingSource": recording.source,
                "RecordingStartTime": rfc2822(recording.started) or "",
                "ErrorCode": "0",
            }
            self.callbacks.send("recording", to, form | more, self.options.callbacks)
        return form

    # --- the call's life ---------------------------------------------------------------

    def begin(
        self, start: Start, *, person: Person | None = None, then_hold: bool = False, ring_s: float = 600.0,
        dialled_for: str | None = None, limit_s: float | None = None, detection: Detection | None = None,
    ) -> None:  # fmt: skip
        """Places the call; ``person`` is rung first when it goes out, for at most ``ring_s`` seconds.

        ``detection``: of answering machines, after the answer.
        ``dialled_for``: the conference that REST dialled it for. ``limit_s``: ends so long after the answer.
        """
        self._dialled_for = (dialled_for,) if dialled_for is not None else ()
        self._limit_s = limit_s
        self._detection = detection
        self._life = asyncio.create_task(
            self._live(start, person, then_hold, ring_s), name=f"local-twilio-{self.call_sid[:8]}"
        )

    async def _live(self, start: Start, person: Person | None, then_hold: bool, ring_s: float) -> None:
        status = "failed"
        try:
            if person is None:
                self._status("ringing", "ringing")
                self._start_clock()
                status = await self._conduct(start, then_hold)
            else:
                status = await self._ring(person, ring_s) or await self._conduct(start, then_hold)
        finally:
            self._stop_clock()
            self.forks.stop_all()
            self.ended_at = now()
            self._status(status, "completed")
            for name in self._dialled_for:
                self.not_joined(name)
            self._ended.set()

    def _start_clock(self) -> None:
        if (metronome := self._exchange.metronome) is not None:
            metronome.add(self.line)
        else:
            self._ticker = asyncio.create_task(self.line.run(), name="local-twilio-line")

    def _stop_clock(self) -> None:
        if (metronome := self._exchange.metronome) is not None:
            metronome.remove(self.line)
        if self._ticker is not None:
            self._ticker.cancel()

    async def _ring(self, person: Person, ring_s: float) -> str | None:
        """Rings; None when answered, else the final status."""
        self._status("initiated", "initiated")
        self._status("ringing", "ringing")
        answers = person.does != "no_answer" and person.after_s <= ring_s
        try:
            async with asyncio.timeout(person.after_s if answers else ring_s):
                command = await self._commands.get()
        except TimeoutError:
            if not answers:
                return "no-answer"
            if person.does in ("busy", "decline"):
                return "busy"
            if person.does == "fail":
                return "failed"
        else:
            return command.status if isinstance(command, _End) else "failed"
        self.answer()
        self.line.open_now()
        self._start_clock()
        if self._limit_s is not None:
            asyncio.get_running_loop().call_later(self._limit_s, self.complete)
        if person.hangs_up_after_s is not None:
            asyncio.get_running_loop().call_later(person.hangs_up_after_s, self.hang_up)
        return await self._detect(person)

    async def _detect(self, person: Person) -> str | None:
        """Waits for the verdict, or tells it later; a final status if the call ends meanwhile."""
        if self._detection is None:
            return None
        answered_by, after_s = self._detection.verdict(person)
        after_s *= self.options.second_s
        if self._detection.asynchronous:
            self.spawn(self._tell_detected(answered_by, after_s, self._detection.tell))
            return None
        try:
            async with asyncio.timeout(after_s):
                command = await self._commands.get()
        except TimeoutError:
            self._detected(answered_by, after_s)
            return None
        return command.status if isinstance(command, _End) else "failed"

    async def _tell_detected(self, answered_by: str, after_s: float, tell: Jump | None) -> None:
        await asyncio.sleep(after_s)
        if self.ended:
            return
        self._detected(answered_by, after_s)
        if tell is not None:
            form = {"AccountSid": self.account_sid, "CallSid": self.call_sid, **self._verdict}
            self.callbacks.send("amd", tell, form, self.options.callbacks)

    def _detected(self, answered_by: str, after_s: float) -> None:
        self.answered_by = answered_by
        self._verdict = {"AnsweredBy": answered_by, "MachineDetectionDuration": str(round(after_s * 1000))}
        self.log.add("detected", **self._verdict)

    async def _conduct(self, start: Start, then_hold: bool) -> str:
        """Runs programs until the call is over; returns its final status."""
        while True:
            if isinstance(start, Hold):
                self._ready.set()
            program = Program(self)
            running = asyncio.create_task(program.run(start), name="local-twilio-program")
            waiting = asyncio.create_task(self._commands.get(), name="local-twilio-command")
            try:
                await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                command = waiting.result() if waiting.done() and not waiting.cancelled() else None
                if command is not None:
                    program.left_by = command.by
                self.leaving_for_good = isinstance(command, _End)
                dead = program.dead_request() if not running.done() else None
                waiting.cancel()
                if not running.done():
                    running.cancel()
                results = await asyncio.gather(running, return_exceptions=True)
            if isinstance(command, _Redirect):
                if dead is not None:
                    self.spawn(self.ask_dead(*dead))
                self._ready.clear()
                start, then_hold = command.start, False
                continue
            if command is not None:
                return command.status
            if isinstance(results[0], CallRejected):
                return results[0].status
            if isinstance(results[0], CallOver):
                return "completed"
            if isinstance(results[0], BaseException):
                raise results[0]
            if not then_hold:
                return "completed"
            start, then_hold = Hold(), False

    async def ask_dead(self, jump: Jump, form: dict[str, str]) -> None:
        """Asks for a document that nobody will run."""
        try:
            await self.request(jump, form, purpose="dead-action")
        except WebhookError as error:
            self.log.notify(error.code, str(error), level="warning", protocol=False)

    def _status(self, status: str, event: str) -> None:
        self.status = status
        self.log.add("status", status=status)
        target = self._target
        if target is None or event not in target.events:
            return
        form = self.form() | {
            "CallbackSource": "call-progress-events",
            "SequenceNumber": str(self._sequence),
            "Timestamp": rfc2822(now()) or "",
        }
        self._sequence += 1
        if status in FINAL:
            form |= {"CallDuration": str(self.duration_s), "SipResponseCode": _SIP[status]}
            if status == "completed":
                form["Duration"] = str(math.ceil(self.duration_s / 60))
        self.callbacks.send("call", target.to, form, self.options.callbacks)
