"""The call node's side of the engines: recognition, speech and the turn judge over gRPC.

Each client holds one channel, is shared by all calls of a node, and finds its host again after a
restart. A request that the host does not answer within its deadline raises ``EngineDown``; nothing here
waits for ever, and ``feed`` never waits at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import structlog

from voicebot.audio.engines import engines_pb2 as pb
from voicebot.audio.engines import rpc
from voicebot.audio.engines.types import (
    RATE_HZ,
    EngineDown,
    EngineOverloaded,
    SpeechChunk,
    Transcript,
)
from voicebot.core.conversation import Expects

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Deadlines:
    """Seconds an engine may take. A caller hears dead air meanwhile, so they add up to less than 3 s.

    ``utterance_s`` bounds the whole stream: no one speaks that long, but a leak might last.
    """

    connect_s: float = 0.3
    open_s: float = 1.0
    answer_s: float = 2.0
    first_audio_s: float = 2.0
    next_audio_s: float = 2.0
    judge_s: float = 0.5
    utterance_s: float = 900.0


_EOF: Any = getattr(grpc.aio, "EOF")  # noqa: B009  # missing from grpc's stubs

MAX_BACKLOG_BYTES = 30 * RATE_HZ * 2
"""Audio a recognition may hold back when its host stops reading (30 s); then it is given up."""


class EngineClient:
    """One channel to one host: its health and its description; the faces below add their requests."""

    def __init__(self, target: str, engine: str, deadlines: Deadlines | None = None) -> None:
        self.target = rpc.check_target(target)
        self.engine = engine
        self.deadlines = deadlines or Deadlines()
        self._channel = grpc.aio.insecure_channel(target, options=rpc.CHANNEL_OPTIONS)

    async def close(self) -> None:
        """Ends the channel; requests under way raise ``EngineDown``."""
        await self._channel.close(None)

    async def describe(self) -> pb.DescribeReply:
        """What the host runs (kind, model, voice).

        Raises:
            EngineDown: the host is gone or hung.
        """
        await self._connected()
        method = self._channel.unary_unary(
            f"/{rpc.DESCRIPTION}/Describe",
            request_serializer=pb.DescribeRequest.SerializeToString,
            response_deserializer=pb.DescribeReply.FromString,
        )
        try:
            return await method(pb.DescribeRequest(), timeout=self.deadlines.open_s)
        except grpc.aio.AioRpcError as error:
            raise self._down(error) from error

    async def healthy(self, timeout_s: float) -> bool:
        """Does the host say SERVING within ``timeout_s``?"""
        method = self._channel.unary_unary(
            f"/{rpc.HEALTH}/Check",
            request_serializer=pb.HealthCheckRequest.SerializeToString,
            response_deserializer=pb.HealthCheckResponse.FromString,
        )
        try:
            reply = await method(pb.HealthCheckRequest(), timeout=timeout_s, wait_for_ready=True)
        except grpc.aio.AioRpcError:
            return False
        return reply.status == pb.HealthCheckResponse.SERVING

    async def _connected(self) -> None:
        """Returns once the channel is up; a host that is just back gets ``connect_s`` of grace."""
        state = self._channel.get_state(try_to_connect=True)
        if state is grpc.ChannelConnectivity.READY:
            return
        try:
            async with asyncio.timeout(self.deadlines.connect_s):
                while state is not grpc.ChannelConnectivity.READY:
                    if state is grpc.ChannelConnectivity.SHUTDOWN:
                        raise EngineDown(self.engine, "client closed")
                    await self._channel.wait_for_state_change(state)
                    state = self._channel.get_state(try_to_connect=True)
        except TimeoutError:
            raise EngineDown(self.engine, "unavailable") from None

    def _down(self, error: grpc.aio.AioRpcError) -> EngineDown:
        code = error.code()
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return EngineOverloaded(self.engine, "every place is taken")
        if code is grpc.StatusCode.INVALID_ARGUMENT:
            return EngineDown(self.engine, f"refused the request: {error.details()}")
        return EngineDown(self.engine, code.name.lower())


class GrpcTranscriber(EngineClient):
    """``Transcriber`` over gRPC. One per node; calls share it.

    ::

        recognition = await transcriber.open(call, FREE, on_partial)
        recognition.feed(packet)
        transcript = await recognition.finish()
    """

    def __init__(self, target: str, *, deadlines: Deadlines | None = None, engine: str = "stt") -> None:
        super().__init__(target, engine, deadlines)

    async def open(
        self, call: str, expects: Expects, on_partial: Callable[[Transcript], None]
    ) -> GrpcRecognition:
        """See ``Transcriber.open``."""
        await self._connected()
        method = self._channel.stream_stream(
            f"/{rpc.RECOGNIZER}/Recognize",
            request_serializer=pb.RecognizeRequest.SerializeToString,
            response_deserializer=pb.RecognizeReply.FromString,
        )
        stream: Any = method(timeout=self.deadlines.utterance_s)  # pyright: ignore[reportCallIssue]  # stubs lag
        recognition = GrpcRecognition(stream, self.engine, self.deadlines, self._down, on_partial)
        await recognition.begin(rpc.expects_to_open(call, expects, RATE_HZ))
        return recognition


class GrpcRecognition:
    """One utterance on one stream: a reader, a writer, and what they still owe."""

    def __init__(
        self,
        stream: Any,
        engine: str,
        deadlines: Deadlines,
        translate: Callable[[grpc.aio.AioRpcError], EngineDown],
        on_partial: Callable[[Transcript], None],
    ) -> None:
        self._stream = stream
        self._engine = engine
        self._deadlines = deadlines
        self._translate = translate
        self._on_partial = on_partial
        self._outbox: asyncio.Queue[pb.RecognizeRequest] = asyncio.Queue()
        self._backlog_bytes = 0
        self._peeks = 0
        self._owed: dict[str, asyncio.Future[Transcript | None]] = {}
        self._lost: EngineDown | None = None
        self._closed = False
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self, opening: pb.Open) -> None:
        """Opens the utterance at the host.

        Raises:
            EngineDown: not within ``open_s``; ``EngineOverloaded`` if it is full.
        """
        self._outbox.put_nowait(pb.RecognizeRequest(open=opening))
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]
        try:
            await self._owe("opened", self._deadlines.open_s)
        except BaseException:
            await self.cancel()
            raise

    def feed(self, pcm16_8k: bytes) -> None:
        """See ``Recognition.feed``."""
        if self._closed or self._lost is not None or not pcm16_8k:
            return
        if self._backlog_bytes + len(pcm16_8k) > MAX_BACKLOG_BYTES:
            self._lose(EngineDown(self._engine, "stopped reading"))
            return
        self._backlog_bytes += len(pcm16_8k)
        self._outbox.put_nowait(pb.RecognizeRequest(audio=pcm16_8k))

    async def peek(self) -> Transcript:
        """See ``Recognition.peek``."""
        self._peeks += 1
        request = pb.RecognizeRequest(peek=pb.Peek(id=self._peeks))
        return await self._ask(request, f"peek {self._peeks}")

    async def finish(self) -> Transcript:
        """See ``Recognition.finish``."""
        try:
            return await self._ask(pb.RecognizeRequest(finish=pb.Finish()), "final")
        finally:
            await self.cancel()

    async def cancel(self) -> None:
        """See ``Recognition.cancel``."""
        if self._closed:
            return
        self._closed = True
        self._stream.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._lose(EngineDown(self._engine, "recognition was closed"))

    async def _ask(self, request: pb.RecognizeRequest, owed: str) -> Transcript:
        if self._closed:
            raise EngineDown(self._engine, "recognition was closed")
        self._outbox.put_nowait(request)
        answer = await self._owe(owed, self._deadlines.answer_s)
        assert answer is not None
        return answer

    async def _owe(self, what: str, within_s: float) -> Transcript | None:
        if self._lost is not None:
            raise self._lost
        future = self._owed[what] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(within_s):
                return await future
        except TimeoutError:
            lost = EngineDown(self._engine, "deadline")
            self._lose(lost)
            raise lost from None
        finally:
            self._owed.pop(what, None)

    def _pay(self, what: str, transcript: Transcript | None) -> None:
        future = self._owed.get(what)
        if future is not None and not future.done():
            future.set_result(transcript)

    def _lose(self, reason: EngineDown) -> None:
        if self._lost is None:
            self._lost = reason
        for future in self._owed.values():
            if not future.done():
                future.set_exception(self._lost)

    async def _write(self) -> None:
        try:
            while True:
                request = await self._outbox.get()
                await self._stream.write(request)
                self._backlog_bytes -= len(request.audio)
        except grpc.aio.AioRpcError as error:
            self._lose(self._translate(error))
        except asyncio.InvalidStateError:
            # The stream ended under the write; the reader knows why.
            return

    async def _read(self) -> None:
        try:
            async for reply in self._stream:
                self._take(reply)
        except grpc.aio.AioRpcError as error:
            self._lose(self._translate(error))
        else:
            self._lose(EngineDown(self._engine, "ended the stream"))

    def _take(self, reply: pb.RecognizeReply) -> None:
        match reply.WhichOneof("what"):
            case "opened":
                self._pay("opened", None)
            case "partial":
                if not self._closed:
                    self._tell(rpc.transcript_of(reply.partial))
            case "peeked":
                self._pay(f"peek {reply.peeked.id}", rpc.transcript_of(reply.peeked.transcript))
            case "final":
                self._pay("final", rpc.transcript_of(reply.final))
            case _:
                log.warning("engine_reply_unknown", engine=self._engine)

    def _tell(self, partial: Transcript) -> None:
        try:
            self._on_partial(partial)
        except Exception:
            # A listener's bug must not cost the utterance, and must not go unseen.
            log.exception("partial_callback_failed", engine=self._engine)


class GrpcSpeech(EngineClient):
    """``Speech`` over gRPC. One per node; calls share it.

    Args:
        target: ``unix:PATH`` or ``HOST:PORT``.
        voice_id: the host's voice, as ``EngineHosts.voice_id`` or ``describe()`` tells it.
        deadlines: how long it may take.
        engine: the name in errors.
    """

    def __init__(
        self, target: str, voice_id: str, *, deadlines: Deadlines | None = None, engine: str = "tts"
    ) -> None:
        super().__init__(target, engine, deadlines)
        self._voice_id = voice_id

    @property
    def voice_id(self) -> str:
        """See ``Speech.voice_id``."""
        return self._voice_id

    async def say(self, call: str, text: str, rate_hz: int = RATE_HZ) -> AsyncIterator[SpeechChunk]:
        """See ``Speech.say``."""
        await self._connected()
        method = self._channel.unary_stream(
            f"/{rpc.SYNTHESIZER}/Speak",
            request_serializer=pb.SpeakRequest.SerializeToString,
            response_deserializer=pb.SpeakReply.FromString,
        )
        stream: Any = method(
            pb.SpeakRequest(call=call, text=text, rate_hz=rate_hz), timeout=self.deadlines.utterance_s
        )
        patience_s = self.deadlines.first_audio_s
        try:
            while True:
                try:
                    async with asyncio.timeout(patience_s):
                        reply = await stream.read()
                except TimeoutError:
                    raise EngineDown(self.engine, "deadline") from None
                except grpc.aio.AioRpcError as error:
                    raise self._down(error) from error
                if reply is _EOF:
                    return
                patience_s = self.deadlines.next_audio_s
                yield SpeechChunk(reply.audio, tuple(rpc.spoken_of(w) for w in reply.words))
        finally:
            stream.cancel()


class GrpcTurnJudge(EngineClient):
    """``TurnJudge`` over gRPC. One per node; calls share it."""

    def __init__(self, target: str, *, deadlines: Deadlines | None = None, engine: str = "turn") -> None:
        super().__init__(target, engine, deadlines)

    async def probability(self, call: str, pcm16_8k: bytes) -> float:
        """See ``TurnJudge.probability``."""
        await self._connected()
        method = self._channel.unary_unary(
            f"/{rpc.JUDGE}/TurnProbability",
            request_serializer=pb.TurnRequest.SerializeToString,
            response_deserializer=pb.TurnReply.FromString,
        )
        request = pb.TurnRequest(call=call, audio=pcm16_8k[-8 * RATE_HZ * 2 :])
        try:
            reply = await method(request, timeout=self.deadlines.judge_s)
        except grpc.aio.AioRpcError as error:
            raise self._down(error) from error
        return float(reply.probability)
