"""Takes stretches out of a recording for good: the file is written anew, under the same key, silent there.

For what must not be kept at all, a card number that was spoken. What only some roles may hear is `muting`.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voicebot.audio.mulaw import SILENCE
from voicebot.audio.recording.format import (
    CHANNELS,
    RATE_HZ,
    RECORD_HEAD,
    Header,
    Kind,
    RecordingTruncated,
    Seal,
    magic_of,
    packed,
    read_header,
    unpacked,
)

SUFFIX = ".scrubbing"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Where: a channel of the recording, from and until in ms of the media clock."""

    channel: str
    at_ms: int
    until_ms: int


def scrub(path: Path, key: bytes, stretches: Sequence[Stretch]) -> None:
    """Rewrites a whole audio file with silence in the stretches; the old one is gone when it returns.

    Raises:
        RecordingError: it is not whole, or of another key; it stays as it is.
        OSError: the disk.
    """
    new = path.with_name(path.name + SUFFIX)
    try:
        with path.open("rb") as source, os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as to:
            header = read_header(source)
            seal = Seal(key, header)
            fresh = Header.new("audio", header.conversation_id, key)
            sealing = Seal(key, fresh)
            to.write(magic_of(fresh))
            at = 0
            kind = -1
            while kind != Kind.END:
                lead = source.read(RECORD_HEAD.size)
                if len(lead) < RECORD_HEAD.size:
                    raise RecordingTruncated(seal.number)
                length, kind = RECORD_HEAD.unpack(lead)
                plain = seal.open(kind, source.read(length))
                if kind in {Kind.AUDIO, Kind.PACKED}:
                    ulaw = _silenced(unpacked(plain) if kind == Kind.PACKED else plain, at, stretches)
                    plain, kind = packed(ulaw), int(Kind.PACKED)
                    at += len(ulaw) // len(CHANNELS)
                elif kind in {Kind.GAP, Kind.LOST}:
                    at += struct.unpack("<Q", plain)[0]
                elif json.loads(plain)["samples"] != at:
                    raise RecordingTruncated(seal.number)
                sealed = sealing.close(Kind(kind), plain)
                to.write(RECORD_HEAD.pack(len(sealed), kind) + sealed)
            to.flush()
            os.fsync(to.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def _silenced(ulaw: bytes, at: int, stretches: Sequence[Stretch]) -> bytes:
    """A chunk whose first sample is number ``at``, silent where a stretch covers it."""
    samples = np.frombuffer(ulaw, dtype=np.uint8).reshape(-1, len(CHANNELS)).copy()
    for one in stretches:
        first = max(0, one.at_ms * RATE_HZ // 1000 - at)
        last = max(0, one.until_ms * RATE_HZ // 1000 - at)
        samples[first:last, CHANNELS.index(one.channel)] = SILENCE
    return samples.tobytes()
