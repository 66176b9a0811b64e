"""Runs TwiML on a call: one verb after the other, from one document to the next.

A program ends when no verb is left, on ``<Hangup>``/``<Reject>``, or when it is left from outside (the
caller hung up, REST redirected the call); see ``Program.leave``.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .attending import attend
from .clips import murmur, tone
from .documents import document_of, sound_of, voice
from .formats import now
from .keypad import gather
from .leg import Bridge, Clip
from .pay_verb import Pay
from .paying import Session
from .reading import TwimlError
from .room import LeftBecause
from .stream import MediaStream, StreamEnd
from .verbs import (
    ConferenceRoom,
    Dial,
    Document,
    Gather,
    Hangup,
    Jump,
    Pause,
    Play,
    Record,
    Redirect,
    Reject,
    Say,
    StartStream,
    StopStream,
    Stream,
    Verb,
)
from .voicemail import Recorder, Recording
from .webhooks import Answer, WebhookError, is_loopback

if TYPE_CHECKING:
    from .call import LocalCall

MAX_DOCUMENTS = 200
_RINGBACK = tone(2000, 440, 480, level=0.1) + b"\xff" * 32000
_BEEP = tone(400, 1000, level=0.15)
_APPLICATION_ERROR_MS = 1500
_APPLICATION_ERROR = "We are sorry, an application error has occurred. Goodbye."


@dataclass(frozen=True)
class Hold:
    """No document: the leg stays where it is until someone ends or redirects it (a dialled leg)."""


Start = Jump | Document | Hold


class CallRejected(Exception):
    """``<Reject>`` as the first verb. ``status``: ``no-answer`` or ``busy``."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class CallOver(Exception):
    """The call has nothing to go on with, whatever its document says."""


class Program:
    """One run of TwiML on a call."""

    def __init__(self, call: LocalCall) -> None:
        self._call = call
        self._dial: Dial | None = None
        self._rest: tuple[Verb, ...] = ()
        self.left_by: LeftBecause = "participant_hung_up"
        """Set before the program is cancelled: who takes the call out of it."""
        self._child: LocalCall | None = None

    async def run(self, start: Start) -> None:
        """Until nothing is left to do.

        Raises:
            CallRejected: the call was not taken.
            CallOver: it was taken out of a conference and ends with that.
        """
        if isinstance(start, Hold):
            await asyncio.Event().wait()
        here: Jump | Document | None = start if not isinstance(start, Hold) else None
        form: dict[str, str] = {}
        for _ in range(MAX_DOCUMENTS):
            if here is None:
                return
            document = here if isinstance(here, Document) else await self._document(here, form)
            if document is None:
                return
            here, form = await self._execute(document)
        self._call.log.notify(11215, f"more than {MAX_DOCUMENTS} documents in one call")

    def dead_request(self) -> tuple[Jump, dict[str, str]] | None:
        """What Twilio still asks for, and throws away, when a call is redirected during ``<Dial>``."""
        if self._dial is None:
            return None
        if self._dial.action is not None:
            return self._dial.action, self._dial_form("completed")
        following = self._rest[0] if self._rest else None
        return (following.to, {}) if isinstance(following, Redirect) else None

    # --- documents --------------------------------------------------------------------

    async def _document(self, jump: Jump, form: dict[str, str]) -> Document | None:
        call = self._call
        try:
            return self._read(await call.request(jump, form, purpose="twiml"))
        except (WebhookError, TwimlError) as error:
            self._failed(error)
            if call.fallback is not None:
                wrong = {"ErrorCode": str(error.code), "ErrorUrl": jump.url}
                try:
                    return self._read(await call.request(call.fallback, form | wrong, purpose="fallback"))
                except (WebhookError, TwimlError) as again:
                    self._failed(again)
        call.answer()
        call.log.add("text", text=_APPLICATION_ERROR)
        await self._play(murmur(_APPLICATION_ERROR_MS))
        return None

    def _failed(self, error: WebhookError | TwimlError) -> None:
        self._call.log.notify(error.code, str(error), protocol=isinstance(error, TwimlError))

    def _read(self, answer: Answer) -> Document:
        document = document_of(answer)
        self._call.log.add("twiml", url=answer.url, body=answer.body.decode("utf-8", "replace"))
        return document

    # --- verbs ------------------------------------------------------------------------

    async def _execute(self, document: Document) -> tuple[Jump | None, dict[str, str]]:
        call = self._call
        for code, warning in document.warnings:
            call.log.notify(code, warning, level="warning")
        for n, verb in enumerate(document.verbs):
            self._rest = document.verbs[n + 1 :]
            call.log.add("verb", name=type(verb).__name__)
            if isinstance(verb, Reject) and call.status == "ringing":
                raise CallRejected("busy" if verb.reason == "busy" else "no-answer")
            call.answer()
            match verb:
                case Redirect():
                    return verb.to, {}
                case Hangup() | Reject():
                    return None, {}
                case Pause() | Say() | Play():
                    await self._utter(verb)
                case Stream():
                    await self._stream(verb)
                    if verb.action is not None:
                        return verb.action, {}
                case Dial():
                    form = await (
                        self._dialled(verb) if verb.room is None else self._attended(verb, verb.room)
                    )
                    if verb.action is not None and form is not None:
                        return verb.action, form
                case StartStream():
                    call.forks.start(verb)
                case StopStream():
                    call.forks.stop(verb.name)
                case Gather():
                    typed = await self._gathered(verb)
                    if verb.action is not None and (typed or verb.action_on_empty):
                        return verb.action, {"Digits": typed or ""}
                case Pay():
                    form = await self._paid(verb, inline=not document.url)
                    if verb.action is not None and form is not None:
                        return verb.action, form
                case Record():
                    form = await self._recorded(verb)
                    if verb.action is not None and form is not None:
                        return verb.action, form
        return None, {}

    async def _play(self, ulaw: bytes) -> None:
        clip = Clip(ulaw)
        line = self._call.line
        line.sound = clip
        try:
            await clip.over.wait()
        finally:
            if line.sound is clip:
                line.sound = None

    async def _ask(self, jump: Jump) -> Answer:
        return await self._call.request(jump, None, purpose="play")

    async def _utter(self, verb: Say | Play | Pause) -> None:
        """What is heard and nothing else: the verbs that may stand in ``<Gather>``."""
        call = self._call
        match verb:
            case Pause():
                await asyncio.sleep(verb.length_s)
            case Say():
                call.log.add("text", text=verb.text)
                await self._play(voice(verb.text) * max(1, verb.loop))
            case Play():
                ulaw = await sound_of(verb, self._ask, call.log)
                call.log.add("played", url=verb.url, ms=len(ulaw) / 8)
                await self._play(ulaw * max(1, verb.loop))

    async def _stream(self, verb: Stream) -> None:
        call = self._call
        parts = urlsplit(verb.url)
        if parts.scheme == "ws" and not (call.options.plain_loopback and is_loopback(parts.hostname)):
            call.log.notify(31922, f"<Stream url={verb.url!r}>: the scheme must be wss")
            self._tell(verb, None, "stream-error", "Stream - Unsupported protocol")
            return
        stream: MediaStream

        def started() -> None:
            self._tell(verb, stream, "stream-started", "")

        stream = MediaStream(
            verb, account_sid=call.account_sid, auth_token=call.auth_token, call_sid=call.call_sid,
            routes=call.routes, options=call.options, log=call.log, on_start=started,
        )  # fmt: skip
        call.stream = stream
        line = call.line
        line.sound = stream
        line.listeners.append(stream.spoken)
        task = call.spawn(stream.run())
        try:
            end = await asyncio.shield(task)
        except asyncio.CancelledError:
            was_live = stream.live
            stream.stop()
            if was_live:
                self._tell(verb, stream, "stream-stopped", "")
            else:
                task.cancel()
            raise
        finally:
            line.listeners.remove(stream.spoken)
            if line.sound is stream:
                line.sound = None
        await self._stream_over(verb, stream, end)

    async def _stream_over(self, verb: Stream, stream: MediaStream, end: StreamEnd) -> None:
        call = self._call
        call.log.add("stream", event="over", how=end.how, error=end.error)
        if end.how == "broken" and call.options.broken_notice_ms:
            await asyncio.sleep(call.options.broken_notice_ms / 1000)
        if end.error is None:
            self._tell(verb, stream, "stream-stopped", "")
            return
        self._tell(verb, stream, "stream-error", end.text)
        if end.how in ("broken", "refused") and call.options.broken_socket == "hang":
            call.log.add("stream", event="hang")
            await asyncio.Event().wait()  # no document says what comes next; here: silence

    def _tell(self, verb: Stream, stream: MediaStream | None, event: str, error: str) -> None:
        sid = stream.stream_sid if stream is not None else ""
        self._call.tell_stream(verb.status_callback, verb.name or sid, sid, event, error)

    # --- keys and voicemail -------------------------------------------------------------

    async def _gathered(self, verb: Gather) -> str | None:
        call = self._call
        keys: asyncio.Queue[str] = asyncio.Queue()

        async def prompts() -> None:
            for prompt in verb.prompts:
                await self._utter(prompt)

        call.key_listeners.append(keys.put_nowait)
        try:
            typed = await gather(verb, keys, prompts())
        finally:
            call.key_listeners.remove(keys.put_nowait)
        call.log.add("gathered", digits=typed or "")
        return typed

    async def _paid(self, verb: Pay, *, inline: bool) -> dict[str, str] | None:
        """The form of ``action``; None: the next verb."""
        call = self._call
        if inline:  # seen in the field: in TwiML that came by REST it does nothing, and nobody is told
            call.log.notify(12200, "<Pay> in TwiML handed over by REST does nothing")
            return None
        where = urlsplit(verb.action.url) if verb.action is not None else None
        here = call.options.plain_loopback and where is not None and is_loopback(where.hostname)
        if where is not None and where.scheme != "https" and not here:
            call.log.notify(11100, f"<Pay action={where.geturl()!r}>: https only")
            return None
        keys: asyncio.Queue[str] = asyncio.Queue()

        def tell(form: dict[str, str]) -> None:
            if verb.status_callback is not None:
                ids = {"AccountSid": call.account_sid, "CallSid": call.call_sid}
                call.callbacks.send("pay", verb.status_callback, ids | form, call.options.pay_callbacks)

        async def say(text: str) -> None:
            await self._utter(Say(text))

        session = Session(verb, call.options.pay, keys, say, tell, now().date())
        call.key_listeners.append(keys.put_nowait)
        try:
            form = await session.run()
        except asyncio.CancelledError:
            if self.left_by == "participant_hung_up" and verb.action is not None:
                call.spawn(call.ask_dead(verb.action, {"Result": "caller-hung-up"}))
            raise
        finally:
            call.key_listeners.remove(keys.put_nowait)
        call.log.add("pay", result=None if form is None else form["Result"])
        return form

    async def _recorded(self, verb: Record) -> dict[str, str] | None:
        """The form of ``action``; None when nothing was said."""
        call = self._call
        if verb.play_beep:
            await self._play(_BEEP)
        recorder = Recorder(verb)
        call.line.listeners.append(recorder.said)
        call.key_listeners.append(recorder.key)
        try:
            key = await recorder.over
        except asyncio.CancelledError:
            if self.left_by == "participant_hung_up" and recorder.voiced:
                form = self._keep(verb, recorder, "hangup")
                if verb.action is not None:
                    call.spawn(call.ask_dead(verb.action, form))
            raise
        finally:
            call.line.listeners.remove(recorder.said)
            call.key_listeners.remove(recorder.key)
        return self._keep(verb, recorder, key) if recorder.voiced else None

    def _keep(self, verb: Record, recorder: Recorder, key: str) -> dict[str, str]:
        call = self._call
        recording = Recording(call.call_sid, bytes(recorder.ulaw))
        form = call.keep_recording(recording, verb.status_callback, verb.status_events)
        return form | ({"Digits": key} if key else {})

    # --- dial -------------------------------------------------------------------------

    async def _attended(self, verb: Dial, spec: ConferenceRoom) -> dict[str, str] | None:
        self._dial = verb
        attendance = await attend(self._call, verb, spec, lambda: self.left_by)
        self._dial = None
        if attendance.ends_call:
            raise CallOver
        return attendance.form

    async def _dialled(self, verb: Dial) -> dict[str, str]:
        call = self._call
        self._dial = verb
        caller_id = verb.caller_id or call.from_
        children = [call.place(number, caller_id) for number in verb.numbers]
        line = call.line
        if call.options.ringback:
            line.sound = Clip(_RINGBACK, loop=True)
        try:
            self._child = await _first_ready(children, verb.timeout_s * call.options.second_s)
            line.sound = None
            if self._child is not None:
                await self._joined(self._child, verb.time_limit_s)
        finally:
            line.sound = None
            for child in children:
                child.complete()
            self._dial = None
        status = "completed" if self._child is not None else _worst(children)
        call.log.add("leg", event="dial over", status=status)
        return self._dial_form(status)

    async def _joined(self, child: LocalCall, limit_s: float) -> None:
        """Both hear each other until the child is over or the time limit is reached."""
        call = self._call
        from_child, to_child = Bridge(), Bridge()
        child.line.listeners.append(from_child.put)
        call.line.listeners.append(to_child.put)
        call.line.sound, child.line.sound = from_child, to_child
        call.log.add("leg", event="bridged", call_sid=child.call_sid, to=child.to)
        try:
            async with asyncio.timeout(limit_s):
                await child.wait_ended()
        except TimeoutError:
            call.log.add("leg", event="time limit", call_sid=child.call_sid)
        finally:
            call.line.listeners.remove(to_child.put)
            child.line.listeners.remove(from_child.put)

    def _dial_form(self, status: str) -> dict[str, str]:
        form = {"DialCallStatus": status}
        child = self._child
        if child is not None:
            form |= {
                "DialCallSid": child.call_sid,
                "DialCallDuration": str(child.duration_s),
                "DialBridged": "true",
            }
        return form


async def _first_ready(children: list[LocalCall], timeout_s: float) -> LocalCall | None:
    """The leg that is first to be joined, or None when nobody was in time; the others are cancelled."""
    waits = {asyncio.create_task(child.wait_ready()): child for child in children}
    winner: LocalCall | None = None
    pending = set(waits)
    try:
        async with asyncio.timeout(timeout_s):
            while pending and winner is None:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                winner = next((waits[t] for t in done if t.result()), None)
    except TimeoutError:
        pass
    finally:
        for task in waits:
            task.cancel()
    for child in children:
        if child is not winner:
            child.give_up()
    return winner


def _worst(children: list[LocalCall]) -> str:
    for status in ("busy", "failed"):
        if all(child.status == status for child in children):
            return status
    return "no-answer"
