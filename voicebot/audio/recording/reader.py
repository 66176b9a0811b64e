"""Reads recordings, and says exactly what is wrong with one."""

from __future__ import annotations

import base64
import json
import struct
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from voicebot.audio.mulaw import SILENCE, decode
from voicebot.audio.recording.format import (
    AUDIO_MAGIC,
    AUDIO_SUFFIX,
    CHUNK_SAMPLES,
    EVENTS_SUFFIX,
    MAX_HEADER_BYTES,
    MAX_RECORD_BYTES,
    MAX_SAMPLES,
    RATE_HZ,
    RECORD_HEAD,
    Header,
    Kind,
    NotARecording,
    RecordingAltered,
    RecordingTruncated,
    Seal,
)


@dataclass(frozen=True)
class Recording:
    """A call: ``pcm16`` is int16 ``[samples, 2]`` at 8 kHz (caller, bot); row 0 is media time 0.

    ``whole`` is False where it was read with ``accept_truncated`` and is.
    """

    conversation_id: str
    pcm16: npt.NDArray[np.int16]
    events: list[dict[str, Any]]
    whole: bool

    def export_wav(self, path: Path) -> None:
        """Writes a plain stereo WAV, PCM16 at 8 kHz: caller left, bot right. Unencrypted: mind where."""
        _write_wav(path, iter([self.pcm16]))


def read_recording(path: Path, key: bytes, *, accept_truncated: bool = False) -> Recording:
    """Reads both files of a recording.

    Args:
        path: the path it was written with, with or without suffix.
        key: its key.
        accept_truncated: reads what is there of a recording that a crash cut short.

    Raises:
        RecordingError: see there; ``RecordingAltered`` and ``RecordingTruncated`` name the record.
        OSError: a file is missing or cannot be read.
    """
    audio_path, events_path = _paths(path)
    state = _Reading(accept_truncated)
    parts = list(_audio(audio_path, key, state))
    pcm16 = np.concatenate(parts) if parts else np.zeros((0, 2), dtype=np.int16)
    events = list(_events(events_path, key, state))
    return Recording(state.conversation_id, pcm16, events, state.whole)


def export_wav(path: Path, key: bytes, to: Path, *, accept_truncated: bool = False) -> bool:
    """Decrypts the audio into a plain stereo WAV a chunk at a time; returns whether it was whole.

    Raises as ``read_recording`` does; what was sound up to there is in ``to``.
    """
    state = _Reading(accept_truncated)
    _write_wav(to, _audio(_paths(path)[0], key, state))
    return state.whole


@dataclass
class _Reading:
    accept_truncated: bool
    whole: bool = True
    conversation_id: str = ""

    def ended_early(self, records: int) -> None:
        if not self.accept_truncated:
            raise RecordingTruncated(records)
        self.whole = False


def _paths(path: Path) -> tuple[Path, Path]:
    name = path.name.removesuffix(AUDIO_SUFFIX).removesuffix(EVENTS_SUFFIX)
    return path.with_name(name + AUDIO_SUFFIX), path.with_name(name + EVENTS_SUFFIX)


def _audio(path: Path, key: bytes, state: _Reading) -> Iterator[npt.NDArray[np.int16]]:
    """PCM16 ``[n, 2]``, chunk by chunk."""
    with path.open("rb") as file:
        header = _audio_header(file)
        state.conversation_id = header.conversation_id
        seal = Seal(key, header)
        samples = 0
        while True:
            number = seal.number
            head = file.read(RECORD_HEAD.size)
            if len(head) < RECORD_HEAD.size:
                return state.ended_early(number)
            length, kind = RECORD_HEAD.unpack(head)
            if length > MAX_RECORD_BYTES:
                raise RecordingAltered(number)
            sealed = file.read(length)
            if len(sealed) < length:
                return state.ended_early(number)
            plaintext = seal.open(kind, sealed)
            if kind == Kind.END:
                if file.read(1) or json.loads(plaintext)["samples"] != samples:
                    raise RecordingAltered(number)
                return None
            for pcm16 in _samples(kind, plaintext, number):
                samples += pcm16.shape[0]
                if samples > MAX_SAMPLES:
                    raise RecordingAltered(number)
                yield pcm16


def _audio_header(file: IO[bytes]) -> Header:
    if file.read(len(AUDIO_MAGIC)) != AUDIO_MAGIC:
        raise NotARecording("it does not begin like a recording of this program")
    length = file.read(4)
    size = struct.unpack("<I", length)[0] if len(length) == 4 else MAX_HEADER_BYTES + 1
    if size > MAX_HEADER_BYTES:
        raise NotARecording("its header has no sensible length")
    return Header.from_json(file.read(size))


def _samples(kind: int, plaintext: bytes, number: int) -> Iterator[npt.NDArray[np.int16]]:
    if kind == Kind.AUDIO:
        yield decode(plaintext).reshape(-1, 2)
    elif kind == Kind.GAP:
        left = struct.unpack("<Q", plaintext)[0]
        if left > MAX_SAMPLES:
            raise RecordingAltered(number)
        silence = decode(bytes([SILENCE]) * CHUNK_SAMPLES * 2).reshape(-1, 2)
        for _ in range(left // CHUNK_SAMPLES):
            yield silence
        yield silence[: left % CHUNK_SAMPLES]
    else:
        raise RecordingAltered(number)


def _events(path: Path, key: bytes, state: _Reading) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        seal = Seal(key, Header.from_json(file.readline(MAX_HEADER_BYTES)))
        while True:
            number = seal.number
            line = file.readline()
            if not line.endswith(b"\n"):
                return state.ended_early(number)
            kind, _, sealed = line.rstrip(b"\n").partition(b" ")
            try:
                value = json.loads(seal.open(int(kind), base64.b64decode(sealed, validate=True)))
            except (ValueError, OverflowError):
                raise RecordingAltered(number) from None
            if int(kind) == Kind.END:
                if file.read(1) or value["events"] != number:
                    raise RecordingAltered(number)
                return None
            yield value


def _write_wav(path: Path, parts: Iterator[npt.NDArray[np.int16]]) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        for part in parts:
            file.writeframes(np.ascontiguousarray(part, dtype="<i2").tobytes())
