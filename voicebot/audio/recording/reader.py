"""Reads recordings, and says exactly what is wrong with one."""

from __future__ import annotations

import base64
import json
import struct
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from voicebot.audio.mulaw import SILENCE, decode
from voicebot.audio.recording import wirelog
from voicebot.audio.recording.format import (
    AUDIO_SUFFIX,
    CHUNK_SAMPLES,
    EVENTS_SUFFIX,
    MAX_HEADER_BYTES,
    MAX_RECORD_BYTES,
    MAX_SAMPLES,
    RATE_HZ,
    RECORD_HEAD,
    VERSION,
    AudioMissing,
    Header,
    Kind,
    RecordingAltered,
    RecordingTruncated,
    Seal,
    read_header,
    unpacked,
)
from voicebot.audio.recording.wirelog import FROM_CALLER, Message, What

SAMPLES_PER_MS = RATE_HZ // 1000


@dataclass(frozen=True)
class Problem:
    """What a recording lacks, though it can be read.

    ``cut_short`` (without its end) · ``disk`` (it ended because the disk failed) · ``altered`` (a record is
    not what was written; `examining` alone reads on) · ``sound_lost`` (the disk was too slow) · ``hole``
    (messages of Twilio's that never came) · ``sound_missing`` (frames whose sound is not there) · ``no_wire``
    (an older format, or the messages were not kept). A replay adds what it cannot give back: ``withheld``
    (keys that are not kept) · ``elsewhere`` (turns that no caller gave).
    """

    kind: Literal[
        "cut_short",
        "disk",
        "altered",
        "sound_lost",
        "hole",
        "sound_missing",
        "no_wire",
        "withheld",
        "elsewhere",
    ]
    at_ms: int
    text: str


@dataclass(frozen=True)
class Recording:
    """A call: ``pcm16`` is int16 ``[samples, 2]`` at 8 kHz (caller, bot); row 0 is media time 0.

    ``ulaw``: the same as it was written, uint8. ``whole`` is False where it was read with
    ``accept_truncated`` and is. ``wire``: the messages of the media socket, in order; ``problems``: what it
    lacks.
    """

    conversation_id: str
    pcm16: npt.NDArray[np.int16]
    events: list[dict[str, Any]]
    whole: bool
    ulaw: npt.NDArray[np.uint8] = field(
        default_factory=lambda: np.zeros((0, 2), dtype=np.uint8), repr=False, compare=False
    )
    wire: tuple[Message, ...] = field(default=(), repr=False)
    problems: tuple[Problem, ...] = ()
    version: int = VERSION

    def export_wav(self, path: Path) -> None:
        """Writes a plain stereo WAV, PCM16 at 8 kHz: caller left, bot right. Unencrypted: mind where."""
        _write_wav(path, iter([self.pcm16]))


def read_recording(path: Path, key: bytes, *, accept_truncated: bool = False) -> Recording:
    """Reads both files of a recording, and looks what it lacks.

    Args:
        path: the path it was written with, with or without suffix.
        key: its key.
        accept_truncated: reads what is there of a recording that a crash cut short.

    Raises:
        RecordingError: see there; ``RecordingAltered`` and ``RecordingTruncated`` name the record.
        OSError: a file is missing or cannot be read.
    """
    audio_path, events_path = paths_of(path)
    if events_path.exists() and not audio_path.exists():
        raise AudioMissing(audio_path.name)
    state = Reading(accept_truncated)
    parts = list(audio_chunks(audio_path, key, state))
    ulaw = np.concatenate(parts) if parts else np.zeros((0, 2), dtype=np.uint8)
    events = list(event_records(events_path, key, state))
    state.look(ulaw.shape[0])
    return Recording(
        state.conversation_id,
        decode(ulaw.tobytes()).reshape(-1, 2),
        events,
        state.whole,
        ulaw,
        tuple(state.wire),
        tuple(state.problems),
        state.version,
    )


def export_wav(path: Path, key: bytes, to: Path, *, accept_truncated: bool = False) -> bool:
    """Decrypts the audio into a plain stereo WAV a chunk at a time; returns whether it was whole.

    Raises as ``read_recording`` does; what was sound up to there is in ``to``.
    """
    state = Reading(accept_truncated)
    parts = audio_chunks(paths_of(path)[0], key, state)
    _write_wav(to, (decode(part.tobytes()).reshape(-1, 2) for part in parts))
    return state.whole


def paths_of(path: Path) -> tuple[Path, Path]:
    """The two files of a recording, by either of them or by their common name."""
    name = path.name.removesuffix(AUDIO_SUFFIX).removesuffix(EVENTS_SUFFIX)
    return path.with_name(name + AUDIO_SUFFIX), path.with_name(name + EVENTS_SUFFIX)


@dataclass
class Reading:
    """What is found while a recording is read."""

    accept_truncated: bool
    whole: bool = True
    conversation_id: str = ""
    version: int = VERSION
    wire: list[Message] = field(default_factory=list[Message])
    problems: list[Problem] = field(default_factory=list[Problem])
    ends_ms: int = 0

    def ended_early(self, records: int, why: str | None = None) -> None:
        """A file is over before its end.

        Raises:
            RecordingTruncated: that is not accepted.
        """
        if not self.accept_truncated:
            raise RecordingTruncated(records, why)
        if self.whole:
            text = "cut short: it has no end" if why is None else f"cut short: the disk failed ({why})"
            self.problems.append(Problem("cut_short" if why is None else "disk", self.ends_ms, text))
        self.whole = False

    def lost(self, at: int, samples: int) -> None:
        """There was sound that was not written."""
        text = f"{samples / RATE_HZ:.1f} s of sound were lost: the disk was too slow"
        self.problems.append(Problem("sound_lost", at // SAMPLES_PER_MS, text))

    def look(self, samples: int) -> None:
        """What the messages say of the sound, and of themselves."""
        media = [one for one in self.wire if one.what is What.MEDIA]
        if not media and samples:
            text = "the messages of the media socket are not in it: when each frame came is not known"
            self.problems.append(Problem("no_wire", 0, text))
        for hole in wirelog.holes(one for one in self.wire if one.what in FROM_CALLER):
            text = f"{hole.missing} messages never came (by Twilio's sequence numbers)"
            self.problems.append(Problem("hole", hole.at_ms, text))
        ends = samples // SAMPLES_PER_MS
        beyond = [one for one in media if (one.timestamp_ms or 0) + one.size // SAMPLES_PER_MS > ends]
        if beyond:
            text = f"the sound of {len(beyond)} frames is missing, from {beyond[0].timestamp_ms} ms on"
            self.problems.append(Problem("sound_missing", beyond[0].timestamp_ms or 0, text))


Placed = Callable[[int, int, int], None]
"""Told of each record before its sound comes: where in the file it begins, its number, its first sample."""


def audio_chunks(
    path: Path, key: bytes, state: Reading, placed: Placed = lambda at, number, first: None
) -> Iterator[npt.NDArray[np.uint8]]:
    """Mu-law ``[n, 2]``, chunk by chunk.

    Raises:
        RecordingError, OSError: as `read_recording`.
    """
    with path.open("rb") as file:
        header = read_header(file)
        state.conversation_id, state.version = header.conversation_id, header.version
        seal = Seal(key, header)
        samples = 0
        while True:
            number = seal.number
            state.ends_ms = samples // SAMPLES_PER_MS
            at = file.tell()
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
            if kind in {Kind.END, Kind.BROKEN} and file.read(1):
                raise RecordingAltered(number)
            if kind == Kind.BROKEN:
                return state.ended_early(number, str(json.loads(plaintext)["why"]))
            if kind == Kind.END:
                if json.loads(plaintext)["samples"] != samples:
                    raise RecordingAltered(number)
                return None
            if kind == Kind.LOST:
                state.lost(samples, struct.unpack("<Q", plaintext)[0])
            placed(at, number, samples)
            for ulaw in samples_of(kind, plaintext, number):
                samples += ulaw.shape[0]
                if samples > MAX_SAMPLES:
                    raise RecordingAltered(number)
                yield ulaw


def samples_of(kind: int, plaintext: bytes, number: int) -> Iterator[npt.NDArray[np.uint8]]:
    """What a record of sound or of silence holds.

    Raises:
        RecordingAltered: it is neither.
    """
    if kind == Kind.AUDIO:
        yield np.frombuffer(plaintext, dtype=np.uint8).reshape(-1, 2)
    elif kind == Kind.PACKED:
        try:
            yield np.frombuffer(unpacked(plaintext), dtype=np.uint8).reshape(-1, 2)
        except ValueError:
            raise RecordingAltered(number) from None
    elif kind in {Kind.GAP, Kind.LOST}:
        left = struct.unpack("<Q", plaintext)[0]
        if left > MAX_SAMPLES:
            raise RecordingAltered(number)
        silence = np.full((CHUNK_SAMPLES, 2), SILENCE, dtype=np.uint8)
        for _ in range(left // CHUNK_SAMPLES):
            yield silence
        yield silence[: left % CHUNK_SAMPLES]
    else:
        raise RecordingAltered(number)


def event_records(path: Path, key: bytes, state: Reading) -> Iterator[dict[str, Any]]:
    """The events; messages of the wire go to ``state``.

    Raises:
        RecordingError, OSError: as `read_recording`.
    """
    with path.open("rb") as file:
        seal = Seal(key, Header.from_json(file.readline(MAX_HEADER_BYTES)))
        events = 0
        while True:
            number = seal.number
            line = file.readline()
            if not line.endswith(b"\n"):
                return state.ended_early(number)
            kind, _, sealed = line.rstrip(b"\n").partition(b" ")
            try:
                plaintext = seal.open(int(kind), base64.b64decode(sealed, validate=True))
                if int(kind) == Kind.WIRE:
                    state.wire.extend(wirelog.unpack(plaintext))
                    continue
                value = json.loads(plaintext)
            except (ValueError, OverflowError):
                raise RecordingAltered(number) from None
            if int(kind) in {Kind.END, Kind.BROKEN} and file.read(1):
                raise RecordingAltered(number)
            if int(kind) == Kind.BROKEN:
                return state.ended_early(number, str(value["why"]))
            if int(kind) == Kind.END:
                if value["events"] != events:
                    raise RecordingAltered(number)
                return None
            events += 1
            yield value


def _write_wav(path: Path, parts: Iterator[npt.NDArray[np.int16]]) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        for part in parts:
            file.writeframes(np.ascontiguousarray(part, dtype="<i2").tobytes())
