"""A recording holds what running the call again needs, and its reader names what it lacks."""

from __future__ import annotations

import base64
import errno
import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from voicebot.audio.recording import writer
from voicebot.audio.recording.format import (
    RECORD_HEAD,
    AudioMissing,
    Header,
    Kind,
    RecordingTruncated,
    Seal,
    magic_of,
    packed,
    unpacked,
)
from voicebot.audio.recording.reader import read_recording
from voicebot.audio.recording.wirelog import Damaged, Message, What, WireLog, holes, pack, unpack
from voicebot.audio.recording.writer import Recorder

KEY = bytes(range(32))
NOISE = np.random.default_rng(3).integers(0, 256, (200, 160), dtype=np.uint8)


def frame(number: int, *, sequence: int | None = None) -> Message:
    at = number * 20
    return Message(What.MEDIA, at + 33.4, number if sequence is None else sequence, at, 160)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk of a busy machine is waited for."""
    monkeypatch.setattr(writer, "CLOSE_DEADLINE_S", 60.0)


async def recorded(folder: Path, seconds: int = 4, *, lost: range = range(0)) -> Path:
    recorder = Recorder(folder / "001", KEY, "cv_1")
    for number in range(seconds * 50):
        if number in lost:
            continue
        recorder.caller(NOISE[number].tobytes(), number * 20)
        recorder.message(frame(number))
    recorder.message(Message(What.STOP, seconds * 1000.0, seconds * 50))
    await recorder.close()
    return recorder.audio_path


def test_every_message_comes_back_as_it_was() -> None:
    log = WireLog()
    said = [
        frame(0),
        Message(What.KEY, 41.0, 2, name="7"),
        Message(What.SENT, 50.0, size=800),
        Message(What.ASKED, 50.1, name="1.2"),
        Message(What.CLEAR, 60.0),
        Message(What.MARK, 70.0, 3, name="1.2"),
        Message(What.STOP, 80.0, 4),
    ]
    assert not any(log.add(one) for one in said)
    assert list(unpack(pack(log.take()))) == said
    assert log.take() == []


@pytest.mark.parametrize(
    "data", [b"", b"nonsense", zlib.compress(b'[["other",1,2]]'), zlib.compress(b'[["media",1]]')]
)
def test_a_damaged_batch_is_named(data: bytes) -> None:
    with pytest.raises(Damaged):
        list(unpack(data))


def test_numbers_that_are_missing_are_a_hole_and_late_ones_are_not() -> None:
    said = [frame(n, sequence=s) for n, s in enumerate((1, 2, 5, 6, 4, 7))]
    (hole,) = holes([*said, Message(What.SENT, 300.0, None, size=800)])
    assert (hole.at_ms, hole.missing) == (73, 2)


def test_sound_is_packed_without_loss_and_no_bomb_is_unpacked() -> None:
    alternating = bytes(range(256)) * 2
    assert unpacked(packed(alternating)) == alternating
    with pytest.raises(ValueError, match="two channels"):
        unpacked(packed(bytes(20_000)))
    with pytest.raises(ValueError, match="deflated"):
        unpacked(b"nonsense")


async def test_messages_are_read_back_beside_the_sound(tmp_path: Path) -> None:
    recording = read_recording(await recorded(tmp_path), KEY)
    assert [one.timestamp_ms for one in recording.wire[:-1]] == list(range(0, 4000, 20))
    assert recording.wire[-1].what is What.STOP
    assert recording.ulaw[:, 0].tobytes() == NOISE.tobytes()
    assert recording.problems == ()


async def test_a_hole_in_the_sequence_is_named(tmp_path: Path) -> None:
    recording = read_recording(await recorded(tmp_path, lost=range(50, 60)), KEY)
    (problem,) = recording.problems
    assert (problem.kind, problem.at_ms) == ("hole", 1233)
    assert problem.text.startswith("10 messages")


async def test_missing_sound_is_named(tmp_path: Path) -> None:
    path = await recorded(tmp_path)
    path.unlink()
    with pytest.raises(AudioMissing, match=r"001\.vbrec"):
        read_recording(path, KEY)


async def test_a_cut_recording_says_which_frames_have_no_sound(tmp_path: Path) -> None:
    path = await recorded(tmp_path)
    path.write_bytes(path.read_bytes()[:-20_000])
    problems = {one.kind: one for one in read_recording(path, KEY, accept_truncated=True).problems}
    assert problems.keys() == {"cut_short", "sound_missing"}
    assert problems["sound_missing"].at_ms == 1000


class FullDisk(io.FileIO):
    """Takes so many bytes for all files together, like a disk."""

    left = 40_000

    def write(self, data: bytes) -> int:  # type: ignore[override]
        room = min(len(data), FullDisk.left)
        if room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        FullDisk.left -= room
        return super().write(data[:room])


async def test_a_full_disk_costs_the_rest_of_the_recording_which_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FullDisk, "left", 20_000)
    monkeypatch.setattr(writer, "open_private", lambda path: FullDisk(path, "wb"))  # pyright: ignore
    rng = np.random.default_rng(1)
    recorder = Recorder(tmp_path / "001", KEY, "cv_1")
    for number in range(500):
        recorder.caller(rng.integers(0, 256, 160, dtype=np.uint8).tobytes(), number * 20)
        recorder.message(frame(number))
    await recorder.close()
    assert recorder.failed is not None
    with pytest.raises(RecordingTruncated, match="No space left") as caught:
        read_recording(recorder.audio_path, KEY)
    assert caught.value.records == 2
    read = read_recording(recorder.audio_path, KEY, accept_truncated=True)
    assert read.pcm16.shape[0] == 16_000
    assert "disk" in {one.kind for one in read.problems}


def test_what_version_1_wrote_is_read(tmp_path: Path) -> None:
    """Sound alternating and not packed, no messages: read as ever, and said that they are not there."""
    ulaw = bytes(range(256)) * 50
    for part, suffix in (("audio", ".vbrec"), ("events", ".vbevents")):
        made = Header.new(part, "cv_1", KEY)
        header = Header(made.part, made.conversation_id, made.salt, made.key_check, version=1)
        seal = Seal(KEY, header)
        if part == "audio":
            data = magic_of(header)
            assert data[7] == 1
            for kind, plain in (
                (Kind.AUDIO, ulaw),
                (Kind.GAP, struct.pack("<Q", 8000)),
                (Kind.END, b'{"samples": 14400}'),
            ):
                sealed = seal.close(kind, plain)
                data += RECORD_HEAD.pack(len(sealed), kind) + sealed
        else:
            data = header.to_json() + b"\n"
            data += b"2 " + base64.b64encode(seal.close(Kind.END, b'{"events": 0}')) + b"\n"
        (tmp_path / f"old{suffix}").write_bytes(data)
    read = read_recording(tmp_path / "old", KEY)
    assert read.ulaw[:6400].tobytes() == ulaw
    assert read.version == 1
    assert [one.kind for one in read.problems] == ["no_wire"]
