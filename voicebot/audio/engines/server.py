"""The host's side of the wire: gRPC handlers around one engine.

Thin: reads requests, asks the engine through its asynchronous face, writes replies, and turns what goes
wrong into gRPC's status codes (``RESOURCE_EXHAUSTED`` full, ``INVALID_ARGUMENT`` a bad request,
``UNAVAILABLE`` the engine behind it is gone, ``INTERNAL`` a bug, logged with its trace).
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
import structlog
from pydantic import ValidationError

from voicebot.audio.engines import engines_pb2 as pb
from voicebot.audio.engines import rpc
from voicebot.audio.engines.hosted import HostedSpeech, JudgeEngine
from voicebot.audio.engines.types import (
    RATE_HZ,
    EngineDown,
    EngineReport,
    Recognition,
    Transcriber,
    Transcript,
)
from voicebot.audio.engines.work import PlacesTaken, Workshop

log = structlog.get_logger(__name__)

STUCK_S = 15.0
"""An engine call that runs longer than this is wedged: health says NOT_SERVING and the supervisor acts."""


class EngineServer:
    """One engine on one address. Says SERVING only between ``ready()`` and ``stop()``.

    Args:
        kind: which engine, as in ``host KIND``.
        model: its model or voice, for people.
        workshop: where its blocking work runs; None for an engine that is asynchronous itself.
    """

    def __init__(
        self, kind: str, model: str, *, workshop: Workshop | None = None, notes: tuple[str, ...] = ()
    ) -> None:
        self._kind = kind
        self._model = model
        self._notes = notes
        self._voice_id = ""
        self._workshop = workshop
        self._ready = False
        self._report: Callable[[], EngineReport] | None = None
        self._server = grpc.aio.server(options=rpc.SERVER_OPTIONS)
        self._add(
            rpc.HEALTH,
            {
                "Check": grpc.unary_unary_rpc_method_handler(
                    self._check, pb.HealthCheckRequest.FromString, pb.HealthCheckResponse.SerializeToString
                )
            },
        )
        self._add(
            rpc.DESCRIPTION,
            {
                "Describe": grpc.unary_unary_rpc_method_handler(
                    self._describe, pb.DescribeRequest.FromString, pb.DescribeReply.SerializeToString
                )
            },
        )

    def recognise_with(
        self, transcriber: Transcriber, report: Callable[[], EngineReport] | None = None
    ) -> None:
        """Serves ``Recognizer``; ``report`` tells ``Describe`` how the engine is doing."""
        self._report = report
        handler = _Recognizer(self._kind, transcriber)
        self._add(
            rpc.RECOGNIZER,
            {
                "Recognize": grpc.stream_stream_rpc_method_handler(
                    handler.recognize, pb.RecognizeRequest.FromString, pb.RecognizeReply.SerializeToString
                )
            },
        )

    def speak_with(self, speech: HostedSpeech) -> None:
        """Serves ``Synthesizer``."""
        self._voice_id = speech.voice_id

        async def speak(request: pb.SpeakRequest, context: Any) -> AsyncIterator[pb.SpeakReply]:
            try:
                async for chunk in speech.say(request.call, request.text, request.rate_hz or RATE_HZ):
                    yield pb.SpeakReply(audio=chunk.audio, words=[rpc.spoken_to_pb(w) for w in chunk.words])
            except Exception as error:
                await _abort(context, error, self._kind, request.call)

        self._add(
            rpc.SYNTHESIZER,
            {
                "Speak": grpc.unary_stream_rpc_method_handler(
                    speak, pb.SpeakRequest.FromString, pb.SpeakReply.SerializeToString
                )
            },
        )

    def judge_with(self, judge: JudgeEngine, workshop: Workshop) -> None:
        """Serves ``Judge``."""

        async def turn_probability(request: pb.TurnRequest, context: Any) -> pb.TurnReply:
            try:
                audio = request.audio[: len(request.audio) & ~1]
                return pb.TurnReply(probability=await workshop.run(judge.probability, audio))
            except Exception as error:
                await _abort(context, error, self._kind, request.call)
                raise

        self._add(
            rpc.JUDGE,
            {
                "TurnProbability": grpc.unary_unary_rpc_method_handler(
                    turn_probability, pb.TurnRequest.FromString, pb.TurnReply.SerializeToString
                )
            },
        )

    async def listen(self, target: str) -> int:
        """Binds ``unix:PATH`` or ``HOST:PORT`` (0 = any free one) and answers, not SERVING yet.

        Returns:
            The TCP port, or 1 for a Unix socket.

        Raises:
            OSError: the address is taken or cannot be made.
        """
        try:
            port = self._server.add_insecure_port(rpc.check_target(target))
        except RuntimeError as error:
            raise OSError(f"cannot listen on {target}: {error}") from error
        await self._server.start()
        return port

    def ready(self) -> None:
        """The engine is loaded and warm."""
        self._ready = True

    async def stop(self, grace_s: float = 0.5) -> None:
        """No new requests; those under way get ``grace_s``."""
        self._ready = False
        await self._server.stop(grace_s)

    async def serve(self) -> None:
        """Returns when the server has stopped."""
        await self._server.wait_for_termination()

    def _add(self, service: str, methods: dict[str, Any]) -> None:
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))

    async def _check(self, request: pb.HealthCheckRequest, context: Any) -> pb.HealthCheckResponse:
        stuck = self._workshop is not None and self._workshop.stuck_s() > STUCK_S
        status = pb.HealthCheckResponse
        return status(status=status.SERVING if self._ready and not stuck else status.NOT_SERVING)

    async def _describe(self, request: pb.DescribeRequest, context: Any) -> pb.DescribeReply:
        reply = pb.DescribeReply(
            kind=self._kind, model=self._model, voice_id=self._voice_id, pid=os.getpid(), notes=self._notes
        )
        if self._report is not None:
            report = self._report()
            reply.load, reply.open, reply.waiting = report.load, report.utterances, report.waiting
            reply.counts.update(report.counts)
        elif self._workshop is not None:
            reply.load, reply.waiting = self._workshop.load(), self._workshop.waiting()
        return reply


class _Recognizer:
    """The ``Recognize`` stream."""

    def __init__(self, kind: str, transcriber: Transcriber) -> None:
        self._kind = kind
        self._transcriber = transcriber
        self._closing: set[asyncio.Task[None]] = set()

    async def recognize(self, requests: AsyncIterator[pb.RecognizeRequest], context: Any) -> None:
        call = ""
        recognition: Recognition | None = None
        replies = _Replies(context)
        writer = asyncio.create_task(replies.run())
        try:
            async for request in requests:
                what = request.WhichOneof("what")
                if recognition is None:
                    if what != "open":
                        raise ValueError("the first message of an utterance must be `open`")
                    call = request.open.call
                    if request.open.rate_hz != RATE_HZ:
                        raise ValueError(f"audio comes at {RATE_HZ} Hz, not {request.open.rate_hz}")
                    expects = rpc.expects_of(request.open)
                    recognition = await self._transcriber.open(call, expects, replies.partial)
                    replies.put(pb.RecognizeReply(opened=pb.Opened()))
                    continue
                match what:
                    case "audio":
                        recognition.feed(request.audio)
                    case "peek":
                        peeked = rpc.transcript_to_pb(await recognition.peek())
                        replies.put(
                            pb.RecognizeReply(peeked=pb.Peeked(id=request.peek.id, transcript=peeked))
                        )
                    case "finish":
                        final = await recognition.finish()
                        replies.put(pb.RecognizeReply(final=rpc.transcript_to_pb(final)))
                        await replies.flushed()
                        return
                    case "cancel":
                        return
                    case _:
                        raise ValueError(f"unexpected message {what!r}")
        except Exception as error:
            await _abort(context, error, self._kind, call)
        finally:
            # On its own: gRPC cancels this handler again while it cleans up after a caller who is gone, and
            # the place of the utterance would be lost.
            closing = asyncio.create_task(self._close(writer, recognition))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            await asyncio.shield(closing)

    async def _close(self, writer: asyncio.Task[None], recognition: Recognition | None) -> None:
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)
        if recognition is not None:
            await recognition.cancel()


class _Replies:
    """What still has to be written, in order. A partial that nobody has read yet is replaced by the next."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._due: deque[pb.RecognizeReply] = deque()
        self._poke = asyncio.Event()
        self._empty = asyncio.Event()

    def put(self, reply: pb.RecognizeReply) -> None:
        self._due.append(reply)
        self._empty.clear()
        self._poke.set()

    def partial(self, transcript: Transcript) -> None:
        if self._due and self._due[-1].WhichOneof("what") == "partial":
            self._due.pop()
        self.put(pb.RecognizeReply(partial=rpc.transcript_to_pb(transcript)))

    async def flushed(self) -> None:
        await self._empty.wait()

    async def run(self) -> None:
        while True:
            while not self._due:
                self._empty.set()
                self._poke.clear()
                await self._poke.wait()
            await self._context.write(self._due.popleft())


async def _abort(context: Any, error: Exception, kind: str, call: str) -> None:
    """Ends the request with the status that says what happened; does not return."""
    if isinstance(error, grpc.aio.AbortError):
        raise error
    code, details = _status(error)
    if code is grpc.StatusCode.INTERNAL:
        log.error("engine_request_failed", engine=kind, call=call, exc_info=error)
    elif code is not grpc.StatusCode.CANCELLED:
        log.warning("engine_request_refused", engine=kind, call=call, code=code.name, reason=details)
    await context.abort(code, details)


def _status(error: Exception) -> tuple[grpc.StatusCode, str]:
    match error:
        case PlacesTaken():
            return grpc.StatusCode.RESOURCE_EXHAUSTED, str(error)
        case ValidationError():
            return grpc.StatusCode.INVALID_ARGUMENT, "unknown expectation"
        case ValueError():
            return grpc.StatusCode.INVALID_ARGUMENT, str(error)
        case EngineDown():
            return grpc.StatusCode.UNAVAILABLE, error.reason
        case grpc.RpcError() | asyncio.InvalidStateError():
            return grpc.StatusCode.CANCELLED, "the caller is gone"
        case _:
            return grpc.StatusCode.INTERNAL, "the engine failed on this request; the host's log has the trace"
