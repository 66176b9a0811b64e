"""The wire between call nodes and engine hosts: method names, channel settings, conversions.

The messages are in ``engines.proto``; nothing outside ``client`` and ``server`` needs them.
"""

from __future__ import annotations

from typing import Final

from voicebot.audio.engines import engines_pb2 as pb
from voicebot.audio.engines.types import SpokenWord, Transcript, Word
from voicebot.core.conversation import Expects

RECOGNIZER: Final = "voicebot.engines.v1.Recognizer"
SYNTHESIZER: Final = "voicebot.engines.v1.Synthesizer"
JUDGE: Final = "voicebot.engines.v1.Judge"
DESCRIPTION: Final = "voicebot.engines.v1.Description"
HEALTH: Final = "grpc.health.v1.Health"

MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
"""Largest message either way; 8 s of 8 kHz PCM are 128 kB, a packet of 100 ms 1.6 kB."""

CHANNEL_OPTIONS: Final[list[tuple[str, int | str]]] = [
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # A restarted host is to be found again at once: the default waits 1 s, growing to 2 minutes.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 250),
    # Channels of one process to one address would share a connection, and with it a wedged one.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
]

SERVER_OPTIONS: Final[list[tuple[str, int | str]]] = [
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),  # two hosts on one address is a mistake, not a balance
]

MAX_UNIX_PATH: Final = 107
"""Bytes in ``sockaddr_un.sun_path`` on Linux, without the final zero."""

CANNOT_START: Final = 78
"""A host's exit status when it cannot be started as asked (EX_CONFIG of sysexits.h): trying again the same
way will not help; the last line on its standard error says why."""


def check_target(target: str) -> str:
    """The target itself, if it can be listened on and dialled: ``unix:PATH`` or ``HOST:PORT``.

    Raises:
        ValueError: a Unix path that the kernel would refuse, or no port.
    """
    if target.startswith("unix:"):
        path = target.removeprefix("unix:")
        if len(path.encode()) > MAX_UNIX_PATH:
            raise ValueError(
                f"the socket path {path!r} has {len(path.encode())} bytes and Linux takes {MAX_UNIX_PATH}: "
                "choose a shorter directory for the engine sockets"
            )
        return target
    host, colon, port = target.rpartition(":")
    if not (colon and host and port.isdigit()):
        raise ValueError(f"{target!r} is no engine address: use unix:PATH or HOST:PORT")
    return target


def expects_to_open(call: str, expects: Expects, rate_hz: int) -> pb.Open:
    """The first message of an utterance."""
    return pb.Open(call=call, expects=expects.kind, length=expects.length or 0, rate_hz=rate_hz)


def expects_of(message: pb.Open) -> Expects:
    """What was asked, read back strictly.

    Raises:
        pydantic.ValidationError: a kind or length this version does not know.
    """
    return Expects.model_validate({"kind": message.expects, "length": message.length or None})


def transcript_to_pb(transcript: Transcript) -> pb.Transcript:
    """For the wire."""
    return pb.Transcript(
        text=transcript.text,
        final=transcript.final,
        words=[
            pb.Word(text=w.text, start_ms=w.start_ms, end_ms=w.end_ms, confidence=w.confidence)
            for w in transcript.words
        ],
        confidence=transcript.confidence,
        alternatives=transcript.alternatives,
        avg_logprob=transcript.avg_logprob,
        no_speech_prob=transcript.no_speech_prob,
        compression_ratio=transcript.compression_ratio,
        audio_ms=transcript.audio_ms,
        standing=transcript.standing,
        dropped=transcript.dropped or "",
        language=transcript.language or "",
        language_prob=transcript.language_prob,
    )


def transcript_of(message: pb.Transcript) -> Transcript:
    """From the wire; a number that was not sent is None."""

    def number(name: str) -> float | None:
        return float(getattr(message, name)) if message.HasField(name) else None

    return Transcript(
        text=message.text,
        final=message.final,
        words=tuple(
            Word(w.text, w.start_ms, w.end_ms, w.confidence if w.HasField("confidence") else None)
            for w in message.words
        ),
        confidence=number("confidence"),
        alternatives=tuple(message.alternatives),
        avg_logprob=number("avg_logprob"),
        no_speech_prob=number("no_speech_prob"),
        compression_ratio=number("compression_ratio"),
        audio_ms=message.audio_ms,
        standing=message.standing,
        dropped=message.dropped or None,
        language=message.language or None,
        language_prob=number("language_prob"),
    )


def spoken_to_pb(word: SpokenWord) -> pb.Word:
    """For the wire."""
    return pb.Word(text=word.text, start_ms=word.start_ms, end_ms=word.end_ms)


def spoken_of(message: pb.Word) -> SpokenWord:
    """From the wire."""
    return SpokenWord(message.text, message.start_ms, message.end_ms)
