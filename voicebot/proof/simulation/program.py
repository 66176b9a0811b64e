"""Runs TwiML on a call: one verb after the other, from one document to the next.

A program ends when no verb is left, on ``<Hangup>``/``<Reject>``, or when it is left from outside (the
caller hung up, REST redirected the call); see ``Program.leave``.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .clips import ClipError, murmur, read_wav, tone
from .formats import iso8601, now
from .leg import Bridge, Clip
from .stream import MediaStream, StreamEnd
from .twiml import (
    Dial,
    Document,
    Hangup,
    Jump,
    Pause,
    Play,
    Redirect,
    Reject,
    Say,
    Stream,
    TwimlError,
    Verb,
    read,
)
from .webhooks import Answer, WebhookError, is_loopback

if TYPE_CHECKING:
    from .call import LocalCall

MAX_DOCUMENTS = 200
_RINGBACK = tone(2000, 440, 480, level=0.1) + b"\xff" * 32000
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


class Program:
    """One run of TwiML on a call."""

    def __init__(self, call: LocalCall) -> None:
        self._call = call
        self._dial: Dial | None = None
        self._rest: tuple[Verb, ...] = ()
        self._child: LocalCall | None = None

    async def run(self, start: Start) -> None:
        """Until nothing is left to do.

        Raises:
            CallRejected: the call was not taken.
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
        kind = answer.content_type.split(";")[0].strip().lower()
        if not kind:
            raise TwimlError(12300, "the answer has no content type")
        if kind.startswith("audio/"):
            return Document(answer.url, (Play(answer.url, ""), Hangup()))
        if kind == "text/plain":
            text = answer.body.decode("utf-8", "replace")
            if not text.lstrip().startswith("<"):
                return Document(answer.url, (Say(text), Hangup()))
        elif kind not in ("text/xml", "application/xml", "text/html"):
            raise TwimlError(12300, f"content type {kind!r} is not TwiML")
        document = read(answer.body, url=answer.url)
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
                case Pause():
                    await asyncio.sleep(verb.length_s)
                case Say():
                    call.log.add("text", text=verb.text)
                    await self._play(self._voice(verb.text) * max(1, verb.loop))
                case Play():
                    await self._play(await self._file(verb) * max(1, verb.loop))
                case Stream():
                    await self._stream(verb)
                    if verb.action is not None:
                        return verb.action, {}
                case Dial():
                    form = await self._dialled(verb)
                    if verb.action is not None:
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

    def _voice(self, text: str) -> bytes:
        return murmur(65 * max(4, len(text)))

    async def _file(self, verb: Play) -> bytes:
        if verb.digits:
            return b"\xff" * (8 * 200 * len(verb.digits))  # sent out of band: the line stays silent
        try:
            answer = await self._call.request(Jump(verb.url, "GET"), None, purpose="play")
            return read_wav(answer.body, name=verb.url)
        except WebhookError as error:
            self._failed(error)
        except ClipError as error:
            self._call.log.notify(12300, str(error))
        return b""

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
        if end.error is None:
            self._tell(verb, stream, "stream-stopped", "")
            return
        self._tell(verb, stream, "stream-error", end.text)
        if end.how in ("broken", "refused") and call.options.broken_socket == "hang":
            call.log.add("stream", event="hang")
            await asyncio.Event().wait()  # no document says what comes next; here: silence

    def _tell(self, verb: Stream, stream: MediaStream | None, event: str, error: str) -> None:
        if verb.status_callback is None:
            return
        call = self._call
        sid = stream.stream_sid if stream is not None else ""
        form = {
            "AccountSid": call.account_sid,
            "CallSid": call.call_sid,
            "StreamSid": sid,
            "StreamName": verb.name or sid,
            "StreamEvent": event,
            "Timestamp": iso8601(now()),
        }
        if error:
            form["StreamError"] = error
        call.callbacks.send("stream", verb.status_callback, form, call.options.stream_callbacks)

    # --- dial -------------------------------------------------------------------------

    async def _dialled(self, verb: Dial) -> dict[str, str]:
        call = self._call
        self._dial = verb
        caller_id = verb.caller_id or call.from_
        children = [call.place(number, caller_id) for number in verb.numbers]
        line = call.line
        if call.options.ringback:
            line.sound = Clip(_RINGBACK, loop=True)
        try:
            self._child = await _first_ready(children, verb.timeout_s)
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
