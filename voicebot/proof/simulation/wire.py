"""The Media Streams wire, seen from Twilio: what it sends, what it accepts.

Pure. Strict where Twilio warns: anything it would report as 31950, 31951 or 31931 raises
``WireViolation``. Source: twilio.com/docs/voice/media-streams/websocket-messages.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError


class WireViolation(Exception):
    """The server sent what Twilio does not accept. ``code`` is Twilio's."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class _MediaBody(_Strict):
    payload: str


class _MarkBody(_Strict):
    name: str


class _Media(_Strict):
    event: Literal["media"]
    streamSid: str  # noqa: N815  # Twilio's name
    media: _MediaBody


class _Mark(_Strict):
    event: Literal["mark"]
    streamSid: str  # noqa: N815  # Twilio's name
    mark: _MarkBody


class _Clear(_Strict):
    event: Literal["clear"]
    streamSid: str  # noqa: N815  # Twilio's name


_MESSAGE: TypeAdapter[_Media | _Mark | _Clear] = TypeAdapter(
    Annotated[_Media | _Mark | _Clear, Field(discriminator="event")]
)


class Media(_Strict):
    """Audio to play: raw mu-law."""

    ulaw: bytes


class Mark(_Strict):
    """Comes back when everything before it has played."""

    name: str


class Clear(_Strict):
    """Forget what is queued."""


def parse(text: str | bytes, stream_sid: str) -> Media | Mark | Clear:
    """One message of the server.

    Raises:
        WireViolation: 31950 binary frame; 31951 not JSON, unknown event, missing or extra
            field, wrong type, broken base64, foreign stream SID.
    """
    if isinstance(text, bytes):
        raise WireViolation(31950, "binary frame; send JSON in text frames")
    try:
        message = _MESSAGE.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "message"
        raise WireViolation(31951, f"{where}: {first['msg']}") from error
    if message.streamSid != stream_sid:
        raise WireViolation(31951, f"streamSid {message.streamSid} is not this stream's {stream_sid}")
    match message:
        case _Media():
            try:
                ulaw = base64.b64decode(message.media.payload, validate=True)
            except (binascii.Error, ValueError) as error:
                raise WireViolation(31951, f"media.payload is not base64: {error}") from error
            if ulaw[:4] == b"RIFF":
                raise WireViolation(31951, "media.payload has a file header, which is heard as noise")
            return Media(ulaw=ulaw)
        case _Mark():
            return Mark(name=message.mark.name)
        case _Clear():
            return Clear()


class Outgoing:
    """Writes one stream's messages to the server, counting as Twilio does.

    ``sequenceNumber`` counts every message after ``connected``, of any kind, from 1; numbers
    are sent as strings.
    """

    def __init__(self, *, account_sid: str, call_sid: str, stream_sid: str) -> None:
        self.account_sid = account_sid
        self.call_sid = call_sid
        self.stream_sid = stream_sid
        self._sequence = 0
        self._chunk = 0

    def _numbered(self, event: str, body: dict[str, Any]) -> str:
        self._sequence += 1
        return json.dumps(
            {
                "event": event,
                "sequenceNumber": str(self._sequence),
                "streamSid": self.stream_sid,
                event: body,
            }
        )

    def connected(self) -> str:
        """The first message; without number and SID."""
        return json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"})

    def start(self, parameters: dict[str, str], tracks: tuple[str, ...] = ("inbound",)) -> str:
        """Once, right after ``connected``; ``tracks`` are ``inbound`` and ``outbound``."""
        return self._numbered(
            "start",
            {
                "accountSid": self.account_sid,
                "callSid": self.call_sid,
                "streamSid": self.stream_sid,
                "tracks": list(tracks),
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                "customParameters": parameters,
            },
        )

    def media(self, ulaw: bytes, timestamp_ms: int, track: str = "inbound") -> str:
        """Audio of a track; ``timestamp_ms`` since the stream began. Chunks are counted over all tracks."""
        self._chunk += 1
        self._sequence += 1
        payload = base64.b64encode(ulaw).decode("ascii")
        # as `_numbered` writes it, fifty times a second and call: nothing in it needs escaping
        return (
            f'{{"event": "media", "sequenceNumber": "{self._sequence}", "streamSid": "{self.stream_sid}", '
            f'"media": {{"track": "{track}", "chunk": "{self._chunk}", "timestamp": "{timestamp_ms}", '
            f'"payload": "{payload}"}}}}'
        )

    def dtmf(self, digit: str) -> str:
        """A key was pressed."""
        return self._numbered("dtmf", {"track": "inbound_track", "digit": digit})

    def mark(self, name: str) -> str:
        """A mark comes back."""
        return self._numbered("mark", {"name": name})

    def stop(self) -> str:
        """The last message; not always a hang-up."""
        return self._numbered("stop", {"accountSid": self.account_sid, "callSid": self.call_sid})
