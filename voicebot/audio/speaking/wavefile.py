"""Mu-law WAV files, 8 kHz mono, with the times of the words in a chunk of their own (``vbwt``, JSON).

Any player reads them (the unknown chunk is passed over, as RIFF wants it), and Twilio's ``<Play>`` does.
The standard library's ``wave`` reads no mu-law. Source: Microsoft's RIFF specification, format tag 7.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from voicebot.audio.engines.types import SpokenWord
from voicebot.audio.mulaw import RATE_HZ

_MULAW = 7
_HEADER = struct.Struct("<4sI4s")
_CHUNK = struct.Struct("<4sI")
_FORMAT = struct.Struct("<HHIIHH")


class NotAPhrase(Exception):  # says what the file is not
    """The file is no 8 kHz mono mu-law WAV: damaged, or put there by hand. Delete it; it is made again."""


@dataclass(frozen=True)
class SpokenAudio:
    """Finished speech: mu-law at 8 kHz, the times of its words, and what it says ("" = not noted)."""

    ulaw: bytes
    words: tuple[SpokenWord, ...] = ()
    text: str = ""


def to_wav(audio: SpokenAudio) -> bytes:
    """The file's bytes."""
    words = [[w.text, w.start_ms, w.end_ms] for w in audio.words]
    notes = json.dumps({"text": audio.text, "words": words}, ensure_ascii=False).encode()
    body = b"".join(
        (
            _chunk(b"fmt ", _FORMAT.pack(_MULAW, 1, RATE_HZ, RATE_HZ, 1, 8) + b"\0\0"),
            _chunk(b"fact", struct.pack("<I", len(audio.ulaw))),
            _chunk(b"data", audio.ulaw),
            _chunk(b"vbwt", notes),
        )
    )
    return _HEADER.pack(b"RIFF", len(body) + 4, b"WAVE") + body


def from_wav(data: bytes) -> SpokenAudio:
    """Reads what ``to_wav`` wrote, and any other 8 kHz mono mu-law WAV.

    Raises:
        NotAPhrase: it is something else, or cut short.
    """
    chunks = _chunks(data)
    header = chunks.get(b"fmt ", b"")
    if len(header) < _FORMAT.size or b"data" not in chunks:
        raise NotAPhrase("no format or no data chunk")
    tag, channels, rate_hz, *_ = _FORMAT.unpack_from(header)
    if (tag, channels, rate_hz) != (_MULAW, 1, RATE_HZ):
        raise NotAPhrase(f"format {tag}, {channels} channels, {rate_hz} Hz instead of 7, 1, {RATE_HZ}")
    text, words = _notes(chunks.get(b"vbwt"))
    return SpokenAudio(chunks[b"data"], words, text)


def _chunk(name: bytes, data: bytes) -> bytes:
    return _CHUNK.pack(name, len(data)) + data + b"\0" * (len(data) % 2)


def _chunks(data: bytes) -> dict[bytes, bytes]:
    if len(data) < _HEADER.size:
        raise NotAPhrase("shorter than a header")
    riff, size, wave = _HEADER.unpack_from(data)
    if riff != b"RIFF" or wave != b"WAVE" or size + 8 > len(data) + 1:
        raise NotAPhrase("no whole RIFF WAVE file")
    chunks: dict[bytes, bytes] = {}
    at = _HEADER.size
    while at + _CHUNK.size <= len(data):
        name, length = _CHUNK.unpack_from(data, at)
        at += _CHUNK.size
        if at + length > len(data):
            raise NotAPhrase("a chunk is cut short")
        chunks.setdefault(name, data[at : at + length])
        at += length + length % 2
    return chunks


def _notes(data: bytes | None) -> tuple[str, tuple[SpokenWord, ...]]:
    if data is None:
        return "", ()
    try:
        notes = json.loads(data)
        words: Sequence[tuple[str, int, int]] = notes["words"]
        return str(notes["text"]), tuple(SpokenWord(str(t), int(a), int(b)) for t, a, b in words)
    except (ValueError, KeyError, TypeError) as error:
        raise NotAPhrase("its word times cannot be read") from error
