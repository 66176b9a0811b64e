"""The recording format, version 1: two files, encrypted in chunks as they are written. Pure.

``docs/recording.md`` describes it for other programs. Both files begin with a readable header and go on
with sealed records, numbered from 0. A record is sealed with AES-256-GCM; its number is the nonce, and
number, kind and the header's digest are authenticated with it, so that nothing can be altered, left out,
moved or taken from another recording unnoticed. The last record says that it is the last.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

VERSION = 1
AUDIO_MAGIC = b"VBREC\x00\x00\x01"
AUDIO_SUFFIX = ".vbrec"
EVENTS_SUFFIX = ".vbevents"

RATE_HZ = 8000
CHANNELS = ("caller", "bot")
CHUNK_SAMPLES = RATE_HZ
"""Samples per channel of a chunk: 1 s, which is what a crash loses at most of what was due."""

RECORD_HEAD = struct.Struct("<IB")
"""In front of each record of the audio file: length of the sealed bytes, kind."""

MAX_RECORD_BYTES = 1 << 20
MAX_HEADER_BYTES = 1 << 16
MAX_SAMPLES = 24 * 3600 * RATE_HZ
"""Twilio ends calls after 24 h at the latest; what claims more is damaged."""


class RecordingError(Exception):
    """Root of what can be wrong with a recording.

    ::

        RecordingError
        ├── NotARecording       no recording of ours, or of a version this program does not know
        ├── WrongKey            sealed under another key
        ├── RecordingAltered    a record was altered, left out or moved; names which
        └── RecordingTruncated  it ends before its end; what is there can be read with accept_truncated
    """


class NotARecording(RecordingError):
    """The file is no recording of ours, or of a version this program does not know."""


class WrongKey(RecordingError):
    """The recording is sealed under another key: use that of its conversation."""


class RecordingAltered(RecordingError):
    """A record is not what was written. ``record`` is its number; everything before it is sound."""

    def __init__(self, record: int) -> None:
        self.record = record
        super().__init__(f"record {record} is not what was written; everything before it is sound")


class RecordingTruncated(RecordingError):
    """The file ends before its end (a crash, a full disk, a cut). ``records`` are whole."""

    def __init__(self, records: int) -> None:
        self.records = records
        super().__init__(
            f"it ends after {records} whole records, without its end; read them with accept_truncated=True"
        )


class Kind(IntEnum):
    """What a record holds."""

    AUDIO = 0
    """Mu-law samples, caller and bot alternating, up to ``CHUNK_SAMPLES`` of each."""
    GAP = 1
    """A little-endian u64: that many samples of silence on both channels."""
    END = 2
    """JSON: ``{"samples": n}`` or ``{"events": n}``. The last record."""
    EVENT = 3
    """JSON, one event (events file only)."""


@dataclass(frozen=True)
class Header:
    """The readable part. ``part`` is ``audio`` or ``events``."""

    part: str
    conversation_id: str
    salt: bytes
    key_check: bytes
    version: int = VERSION

    @classmethod
    def new(cls, part: str, conversation_id: str, key: bytes) -> Header:
        """A header with a fresh salt, for a file that is being started."""
        salt = secrets.token_bytes(16)
        return cls(part, conversation_id, salt, _key_check(key, salt))

    def to_json(self) -> bytes:
        """One line of JSON without the line end."""
        fields: dict[str, Any] = {
            "format": "voicebot-recording",
            "version": self.version,
            "part": self.part,
            "conversation_id": self.conversation_id,
            "salt": base64.b64encode(self.salt).decode(),
            "key_check": base64.b64encode(self.key_check).decode(),
        }
        if self.part == "audio":
            fields |= {"encoding": "mulaw", "rate_hz": RATE_HZ, "channels": list(CHANNELS)}
        return json.dumps(fields).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Header:
        """Reads a header.

        Raises:
            NotARecording: it is none, or of a later version.
        """
        try:
            fields = json.loads(data)
            if fields["format"] != "voicebot-recording":
                raise NotARecording("not a recording of this program")
            if fields["version"] != VERSION:
                raise NotARecording(
                    f"version {fields['version']}, this program reads version {VERSION}: use a newer one"
                )
            return cls(
                part=str(fields["part"]),
                conversation_id=str(fields["conversation_id"]),
                salt=base64.b64decode(fields["salt"], validate=True),
                key_check=base64.b64decode(fields["key_check"], validate=True),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise NotARecording("its header cannot be read") from error


class Seal:
    """Seals or opens the records of one file, in order. Not thread-safe.

    Args:
        key: the recording's key, 32 bytes.
        header: the file's; its exact bytes are part of what every record is bound to.

    Raises:
        WrongKey: the header was made with another key.
    """

    def __init__(self, key: bytes, header: Header) -> None:
        if not hmac.compare_digest(header.key_check, _key_check(key, header.salt)):
            raise WrongKey("sealed under another key")
        derive = HKDF(SHA256(), 32, header.salt, f"voicebot recording {header.part} v1".encode())
        self._cipher = AESGCM(derive.derive(key))
        self._bound_to = hashlib.sha256(header.to_json()).digest()
        self.number = 0

    def close(self, kind: Kind, plaintext: bytes) -> bytes:
        """The next record, sealed: 16 bytes longer than ``plaintext``."""
        nonce, bound = self._next(kind)
        return self._cipher.encrypt(nonce, plaintext, bound)

    def open(self, kind: int, sealed: bytes) -> bytes:
        """What the next record holds.

        Raises:
            RecordingAltered: it is not what was written there.
        """
        number = self.number
        nonce, bound = self._next(kind)
        try:
            return self._cipher.decrypt(nonce, sealed, bound)
        except InvalidTag:
            raise RecordingAltered(number) from None

    def _next(self, kind: int) -> tuple[bytes, bytes]:
        number = self.number.to_bytes(12, "big")
        self.number += 1
        return number, self._bound_to + bytes([kind]) + number


def _key_check(key: bytes, salt: bytes) -> bytes:
    if len(key) != 32:
        raise ValueError("a recording's key has 32 bytes")
    return hmac.new(key, b"voicebot recording key check" + salt, hashlib.sha256).digest()[:8]
