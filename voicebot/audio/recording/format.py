"""The recording format, version 2: two files, encrypted in chunks as they are written. Pure.

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
import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import IO, Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

VERSION = 2
READS = (1, 2)
"""Versions that this program reads. 1 had no messages of the wire and no packed sound."""
AUDIO_MAGIC = b"VBREC\x00\x00\x02"
"""The last byte is the version."""
AUDIO_SUFFIX = ".vbrec"
EVENTS_SUFFIX = ".vbevents"

RATE_HZ = 8000
CHANNELS = ("caller", "bot")
CHUNK_SAMPLES = RATE_HZ
"""Samples per channel of a chunk: 1 s, which is what a crash loses at most of what was due."""

RECORD_HEAD = struct.Struct("<IB")
"""In front of each record of the audio file: length of the sealed bytes, kind."""

_LEVEL = 6
"""Of zlib: 0.6 ms for a second of a call. Silence vanishes, a voice on a quiet line shrinks by a quarter."""

_BROKEN_FROM = 1 << 80
"""Added to the number of a `Kind.BROKEN` record."""

MAX_RECORD_BYTES = 1 << 20
MAX_HEADER_BYTES = 1 << 16
MAX_SAMPLES = 24 * 3600 * RATE_HZ
"""Twilio ends calls after 24 h at the latest; what claims more is damaged."""


class RecordingError(Exception):
    """Root of what can be wrong with a recording.

    ::

        RecordingError
        ├── NotARecording       no recording of ours
        │   └── NewerFormat     of a version that this program does not know yet
        ├── AudioMissing        its events are there, its sound is not
        ├── WrongKey            sealed under another key
        ├── RecordingAltered    a record was altered, left out or moved; names which
        └── RecordingTruncated  it ends before its end; what is there can be read with accept_truncated
    """


class NotARecording(RecordingError):
    """The file is no recording of ours."""


class NewerFormat(NotARecording):
    """Written by a newer program: use that one. ``version`` is the file's."""

    def __init__(self, version: object) -> None:
        self.version = version
        super().__init__(
            f"its format is version {version}, this program reads up to version {VERSION}: use a newer one"
        )


class AudioMissing(RecordingError):
    """Only the events are there: the file with the sound was removed, or never made."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the sound is missing: there is no {name} beside its events")


class WrongKey(RecordingError):
    """The recording is sealed under another key: use that of its conversation."""


class RecordingAltered(RecordingError):
    """A record is not what was written. ``record`` is its number; everything before it is sound."""

    def __init__(self, record: int) -> None:
        self.record = record
        super().__init__(f"record {record} is not what was written; everything before it is sound")


class RecordingTruncated(RecordingError):
    """The file ends before its end (a crash, a full disk, a cut). ``records`` are whole.

    ``why``: what the recorder itself wrote of it; None: nothing (a crash, or somebody cut it).
    """

    def __init__(self, records: int, why: str | None = None) -> None:
        self.records = records
        self.why = why
        ended = "without its end" if why is None else f"because the disk failed ({why})"
        super().__init__(
            f"it ends after {records} whole records, {ended}; read them with accept_truncated=True"
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
    PACKED = 4
    """Sound, deflated (zlib): all samples of the caller, then as many of the bot."""
    LOST = 5
    """As a gap; but there was sound, and the disk was too slow to take it."""
    WIRE = 6
    """A batch of messages, see `wirelog` (events file only)."""
    BROKEN = 7
    """JSON: ``{"why": ...}``. The last record where the disk failed: what came after it is missing."""


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
            if fields["version"] not in READS:
                raise NewerFormat(fields["version"])
            return cls(
                part=str(fields["part"]),
                conversation_id=str(fields["conversation_id"]),
                salt=base64.b64decode(fields["salt"], validate=True),
                key_check=base64.b64decode(fields["key_check"], validate=True),
                version=int(fields["version"]),
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

    def break_off(self, plaintext: bytes, records: int) -> bytes:
        """The record that ends a file of which only the first ``records`` are kept.

        Their successors were sealed under the next numbers already: no nonce may be used twice, so those of
        this kind have their own range.
        """
        self.number = records
        return self.close(Kind.BROKEN, plaintext)

    def _next(self, kind: int) -> tuple[bytes, bytes]:
        number = self.number + (_BROKEN_FROM if kind == Kind.BROKEN else 0)
        nonce = number.to_bytes(12, "big")
        self.number += 1
        return nonce, self._bound_to + bytes([kind]) + nonce


def read_header(file: IO[bytes]) -> Header:
    """The header of an audio file, which then stands at its first record.

    Raises:
        NotARecording: it is none, or of a later version.
    """
    magic = file.read(len(AUDIO_MAGIC))
    if magic[:-1] != AUDIO_MAGIC[:-1] or not magic[-1:]:
        raise NotARecording("it does not begin like a recording of this program")
    if magic[-1] > VERSION:
        raise NewerFormat(magic[-1])
    length = file.read(4)
    size = struct.unpack("<I", length)[0] if len(length) == 4 else MAX_HEADER_BYTES + 1
    if size > MAX_HEADER_BYTES:
        raise NotARecording("its header has no sensible length")
    return Header.from_json(file.read(size))


def magic_of(header: Header) -> bytes:
    """How a file with this header begins, header included."""
    data = header.to_json()
    return AUDIO_MAGIC[:-1] + bytes([header.version]) + struct.pack("<I", len(data)) + data


def packed(ulaw: bytes) -> bytes:
    """Sound, caller and bot alternating, as `Kind.PACKED` holds it."""
    return zlib.compress(ulaw[0::2] + ulaw[1::2], _LEVEL)


def unpacked(data: bytes) -> bytes:
    """And back.

    Raises:
        ValueError: it is not what `packed` gives.
    """
    try:
        planes = zlib.decompressobj().decompress(data, 2 * CHUNK_SAMPLES + 1)
    except zlib.error as error:
        raise ValueError("not deflated") from error
    if len(planes) % 2 or len(planes) > 2 * CHUNK_SAMPLES:
        raise ValueError("no two channels of a second")
    half = len(planes) // 2
    ulaw = bytearray(len(planes))
    ulaw[0::2], ulaw[1::2] = planes[:half], planes[half:]
    return bytes(ulaw)


def _key_check(key: bytes, salt: bytes) -> bytes:
    if len(key) != 32:
        raise ValueError("a recording's key has 32 bytes")
    return hmac.new(key, b"voicebot recording key check" + salt, hashlib.sha256).digest()[:8]
