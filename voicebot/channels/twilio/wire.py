"""Media Streams messages as values: text in, message out, and back. Pure.

What Twilio sends (https://www.twilio.com/docs/voice/media-streams/websocket-messages) is
checked strictly: an unknown event, a wrong type, broken base64 or an over-long message is
refused. Fields we do not know are ignored, since Twilio adds some without notice, and
counters may be strings (as Twilio writes them) or integers.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from voicebot.channels.twilio.refusals import Refusal, Refused

MAX_MESSAGE_CHARS = 64 * 1024
"""A 20 ms message is under 400 characters; this is more than five seconds of sound in one."""

_LATEST_MS = 7 * 24 * 3600 * 1000
"""No call lasts a week (Twilio's own limit is 24 hours)."""


class WireError(Refused):
    """A message that Media Streams does not know, or not here."""


@dataclass(frozen=True, slots=True)
class Connected:
    """First message of a socket; carries nothing we need."""

    protocol: str
    version: str


@dataclass(frozen=True, slots=True)
class Start:
    """The stream begins. ``parameters`` are the TwiML's ``<Parameter>`` values."""

    stream_sid: str
    call_sid: str
    account_sid: str | None
    sequence: int | None
    parameters: dict[str, str] = field(default_factory=dict[str, str])


class Media(NamedTuple):
    """Sound of the caller: raw mu-law, 8000 Hz, mono, any length (20 ms = 160 bytes is usual). A tuple, since
    there are fifty a second of each call.

    ``timestamp_ms`` is its place on the media clock (0 = the stream began).
    """

    stream_sid: str
    ulaw: bytes
    timestamp_ms: int
    chunk: int | None
    sequence: int | None
    track: str


@dataclass(frozen=True, slots=True)
class Dtmf:
    """A key of the caller's keypad: one of ``0-9 * #`` (``A-D`` exist on old phones)."""

    stream_sid: str
    digit: str
    sequence: int | None


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark of ours came back: all sound before it was played, or dropped by our ``clear``."""

    stream_sid: str
    name: str
    sequence: int | None


@dataclass(frozen=True, slots=True)
class Stop:
    """The stream ends: the caller hung up, or the call was given new TwiML by REST."""

    stream_sid: str
    call_sid: str | None
    sequence: int | None


Message = Connected | Start | Media | Dtmf | Mark | Stop


# --- what stands on the wire ------------------------------------------------------------


def _counter(value: object) -> object:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 12:
        return int(value)
    return value


Counter = Annotated[int, BeforeValidator(_counter), Field(ge=0, le=10**12)]
Milliseconds = Annotated[int, BeforeValidator(_counter), Field(ge=0, le=_LATEST_MS)]
SID_PATTERN = re.compile(r"[A-Za-z0-9_.-]{1,64}")
Sid = Annotated[str, Field(pattern=f"^{SID_PATTERN.pattern}$")]
"""Twilio's are two letters and 32 hex digits; a stand-in may use shorter ones."""


class _Wire(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class _ConnectedWire(_Wire):
    event: Literal["connected"]
    protocol: str = Field("Call", max_length=64)
    version: str = Field("1.0.0", max_length=64)


class _MediaFormat(_Wire):
    encoding: str = Field("audio/x-mulaw", max_length=64)
    sampleRate: Counter = 8000  # noqa: N815  # Twilio's name
    channels: Counter = 1


class _StartBody(_Wire):
    callSid: Sid  # noqa: N815  # Twilio's names, here and below
    streamSid: Sid | None = None  # noqa: N815
    accountSid: Sid | None = None  # noqa: N815
    mediaFormat: _MediaFormat = _MediaFormat()  # pyright: ignore[reportCallIssue]  # noqa: N815
    customParameters: dict[str, str] = Field(default_factory=dict, max_length=99)  # noqa: N815


class _StartWire(_Wire):
    event: Literal["start"]
    streamSid: Sid  # noqa: N815
    sequenceNumber: Counter | None = None  # noqa: N815
    start: _StartBody


class _MediaBody(_Wire):
    payload: str
    timestamp: Milliseconds
    chunk: Counter | None = None
    track: str = Field("inbound", max_length=32)


class _MediaWire(_Wire):
    event: Literal["media"]
    streamSid: Sid  # noqa: N815
    sequenceNumber: Counter | None = None  # noqa: N815
    media: _MediaBody


class _DtmfBody(_Wire):
    digit: str = Field(pattern=r"^[0-9*#A-D]$")


class _DtmfWire(_Wire):
    event: Literal["dtmf"]
    streamSid: Sid  # noqa: N815
    sequenceNumber: Counter | None = None  # noqa: N815
    dtmf: _DtmfBody


class _MarkBody(_Wire):
    name: str = Field(max_length=256)


class _MarkWire(_Wire):
    event: Literal["mark"]
    streamSid: Sid  # noqa: N815
    sequenceNumber: Counter | None = None  # noqa: N815
    mark: _MarkBody


class _StopBody(_Wire):
    callSid: Sid | None = None  # noqa: N815


class _StopWire(_Wire):
    event: Literal["stop"]
    streamSid: Sid  # noqa: N815
    sequenceNumber: Counter | None = None  # noqa: N815
    stop: _StopBody = _StopBody()


_AnyWire = Annotated[
    _ConnectedWire | _StartWire | _MediaWire | _DtmfWire | _MarkWire | _StopWire,
    Field(discriminator="event"),
]
_ANY: TypeAdapter[Any] = TypeAdapter(_AnyWire)


_SID_FIELD = r'"streamSid": ?"([A-Za-z0-9_.-]{1,64})"'
_MEDIA = re.compile(
    r'\{"event": ?"media", ?"sequenceNumber": ?"([0-9]{1,12})", ?'
    rf"(?:{_SID_FIELD}, ?)?"
    r'"media": ?\{"track": ?"([a-z_]{1,32})", ?"chunk": ?"([0-9]{1,12})", ?"timestamp": ?"([0-9]{1,9})", ?'
    r'"payload": ?"([A-Za-z0-9+/=]*)"\}'
    rf"(?:, ?{_SID_FIELD})?\}}"
)
"""Sound as Twilio writes it: what comes fifty times a second is read by this. Anything else that is sound too
(other order, other fields, numbers) is read by the models above."""
_MARK = re.compile(
    r'\{"event": ?"mark", ?"sequenceNumber": ?"([0-9]{1,12})", ?'
    rf"(?:{_SID_FIELD}, ?)?"
    r'"mark": ?\{"name": ?"([A-Za-z0-9_.:-]{0,256})"\}'
    rf"(?:, ?{_SID_FIELD})?\}}"
)
"""The same of marks, ten a second while the bot speaks."""


_BEGINS = tuple(f'{{"event":{space}"{event}"' for space in ("", " ") for event in ("media", "mark"))


def frequent(text: str) -> Media | Mark | None:
    """Sound or a mark; None: something else, for `parse`.

    Raises:
        WireError: as `parse`, of what begins like one of them.
    """
    if (message := usual(text)) is not None:
        return message
    found = parse(text) if text.startswith(_BEGINS) else None
    return found if isinstance(found, Media | Mark) else None


def usual(text: str) -> Media | Mark | None:
    """Sound or a mark just as Twilio writes them today; None: something else, or otherwise written."""
    if len(text) > MAX_MESSAGE_CHARS:
        return None
    if (sound := _MEDIA.fullmatch(text)) is not None:
        return _usual_media(sound)
    return None if (mark := _MARK.fullmatch(text)) is None else _usual_mark(mark)


def parse(text: str) -> Message:
    """One text frame of Twilio's as a message.

    Raises:
        WireError: ``too_large``, ``not_json``, ``unknown_event``, ``bad_field``,
            ``bad_base64`` or ``bad_media_format``.
    """
    if len(text) > MAX_MESSAGE_CHARS:
        raise WireError(Refusal.TOO_LARGE, f"{len(text)} characters")
    if (message := usual(text)) is not None:
        return message
    try:
        wire = _ANY.validate_json(text)
    except ValidationError as error:
        raise _explain(error) from None
    match wire:
        case _MediaWire():
            return _media(wire)
        case _MarkWire():
            return Mark(wire.streamSid, wire.mark.name, wire.sequenceNumber)
        case _DtmfWire():
            return Dtmf(wire.streamSid, wire.dtmf.digit, wire.sequenceNumber)
        case _StopWire():
            return Stop(wire.streamSid, wire.stop.callSid, wire.sequenceNumber)
        case _StartWire():
            return _start(wire)
        case _:
            return Connected(wire.protocol, wire.version)


def _usual_media(sound: re.Match[str]) -> Media | None:
    """None: the models say what is wrong with it."""
    sequence, before, track, chunk, timestamp, payload, behind = sound.groups()
    timestamp_ms = int(timestamp)
    sid = before or behind
    if sid is None or (before and behind) or timestamp_ms > _LATEST_MS:
        return None
    try:
        ulaw = binascii.a2b_base64(payload, strict_mode=True)
    except ValueError:
        return None
    return Media(sid, ulaw, timestamp_ms, int(chunk), int(sequence), track)


def _usual_mark(mark: re.Match[str]) -> Mark | None:
    sequence, before, name, behind = mark.groups()
    if (before is None) is (behind is None):
        return None
    return Mark(before or behind, name, int(sequence))


def _media(wire: _MediaWire) -> Media:
    try:
        ulaw = binascii.a2b_base64(wire.media.payload, strict_mode=True)
    except ValueError:
        raise WireError(Refusal.BAD_BASE64, "media.payload") from None
    body = wire.media
    return Media(wire.streamSid, ulaw, body.timestamp, body.chunk, wire.sequenceNumber, body.track)


def _start(wire: _StartWire) -> Start:
    body = wire.start
    if body.streamSid is not None and body.streamSid != wire.streamSid:
        raise WireError(Refusal.FOREIGN_STREAM, "start.streamSid differs from streamSid")
    sound = body.mediaFormat
    if (sound.encoding, sound.sampleRate, sound.channels) != ("audio/x-mulaw", 8000, 1):
        raise WireError(Refusal.BAD_MEDIA_FORMAT, "only audio/x-mulaw, 8000 Hz, one channel")
    return Start(
        wire.streamSid, body.callSid, body.accountSid, wire.sequenceNumber, dict(body.customParameters)
    )


def _explain(error: ValidationError) -> WireError:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    kind = first["type"]
    if kind == "json_invalid":
        return WireError(Refusal.NOT_JSON)
    if kind == "union_tag_invalid":
        return WireError(Refusal.UNKNOWN_EVENT)
    if kind in {"union_tag_not_found", "model_attributes_type", "dict_type"} and len(first["loc"]) == 0:
        return WireError(Refusal.UNKNOWN_EVENT, "no event")
    # Only names of our own models may appear: a key of customParameters is the sender's text.
    where = [str(part) for part in first["loc"][1:]]  # the first is the event's name
    if "customParameters" in where:
        where = where[: where.index("customParameters") + 1]
    return WireError(Refusal.BAD_FIELD, ".".join(where))


# --- what we send -------------------------------------------------------------------------


def media(stream_sid: str, ulaw: bytes) -> str:
    """Sound for the caller: raw mu-law 8000 Hz mono of any length, without a file header."""
    payload = base64.b64encode(ulaw).decode("ascii")
    return f'{{"event":"media","streamSid":"{stream_sid}","media":{{"payload":"{payload}"}}}}'


def mark(stream_sid: str, name: str) -> str:
    """A mark: comes back once everything sent before it was played (or cleared)."""
    return f'{{"event":"mark","streamSid":"{stream_sid}","mark":{{"name":{json.dumps(name)}}}}}'


def clear(stream_sid: str) -> str:
    """Drops what Twilio has buffered; every pending mark then comes back."""
    return f'{{"event":"clear","streamSid":"{stream_sid}"}}'
