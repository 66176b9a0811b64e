"""What was recorded is read back; a recording that was altered, cut or sealed otherwise is named as such."""

from __future__ import annotations

import asyncio
import stat
import threading
import time
import wave
from pathlib import Path

import numpy as np
import pytest

from voicebot.audio import mulaw
from voicebot.audio.recording import writer
from voicebot.audio.recording.format import (
    AUDIO_MAGIC,
    RECORD_HEAD,
    NewerFormat,
    NotARecording,
    RecordingAltered,
    RecordingTruncated,
    WrongKey,
)
from voicebot.audio.recording.reader import export_wav, read_recording
from voicebot.audio.recording.writer import Recorder

KEY = bytes(range(32))
CALLER = bytes([0x90]) * 160
BOT = bytes([0x10]) * 800


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk of a busy machine is waited for."""
    monkeypatch.setattr(writer, "CLOSE_DEADLINE_S", 60.0)


async def recorded(folder: Path, seconds: int = 12) -> Path:
    recorder = Recorder(folder / "cv_1", KEY, "cv_1")
    for at in range(0, seconds * 1000, 20):
        recorder.caller(CALLER, at)
        if at % 2000 == 1000:
            recorder.bot(BOT, at - 500)
    recorder.event({"type": "turn.ended", "at_ms": 1234})
    recorder.event({"type": "call.ended"})
    await recorder.close()
    assert recorder.failed is None
    return recorder.audio_path


def records_of(path: Path) -> tuple[bytes, list[bytes]]:
    """Header and records of an audio file."""
    data = path.read_bytes()
    at = len(AUDIO_MAGIC) + 4 + int.from_bytes(data[8:12], "little")
    head, records = data[:at], []
    while at < len(data):
        length, _ = RECORD_HEAD.unpack_from(data, at)
        records.append(data[at : at + RECORD_HEAD.size + length])
        at += RECORD_HEAD.size + length
    return head, records


async def test_sound_and_events_come_back(tmp_path: Path) -> None:
    path = await recorded(tmp_path)
    recording = read_recording(path, KEY)
    assert recording.whole
    assert recording.conversation_id == "cv_1"
    assert recording.pcm16.shape == (96_000, 2)
    assert (recording.pcm16[:, 0] == mulaw.decode(CALLER)[0]).all()
    assert (recording.pcm16[4000:4800, 1] == mulaw.decode(BOT)[0]).all()
    assert (recording.pcm16[4800:20_000, 1] == 0).all()
    assert recording.events == [
        {"at_ms": 1234, "type": "turn.ended"},
        {"at_ms": 12_000, "type": "call.ended"},
    ]


async def test_nothing_of_it_can_be_read_on_the_disk(tmp_path: Path) -> None:
    path = await recorded(tmp_path)
    assert CALLER not in path.read_bytes()
    assert b"turn.ended" not in path.with_suffix(".vbevents").read_bytes()
    for file in (path, path.with_suffix(".vbevents")):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_exported_as_a_plain_stereo_wav(tmp_path: Path) -> None:
    path = await recorded(tmp_path)
    assert export_wav(path, KEY, tmp_path / "a.wav")
    read_recording(path, KEY).export_wav(tmp_path / "b.wav")
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 8000)
        assert file.getnframes() == 96_000


async def test_a_call_without_sound_leaves_a_recording_without_sound(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "cv_2", KEY, "cv_2")
    await recorder.close()
    await recorder.close()
    assert read_recording(tmp_path / "cv_2", KEY).pcm16.shape == (0, 2)


async def test_the_session_after_a_lost_socket_gets_files_of_its_own(tmp_path: Path) -> None:
    first, second = await recorded(tmp_path, 6), await recorded(tmp_path, 7)
    assert second.name == "cv_1.2.vbrec"
    assert read_recording(first, KEY).pcm16.shape[0] == 48_000
    assert read_recording(second, KEY).pcm16.shape[0] == 56_000


async def test_another_key_is_named(tmp_path: Path) -> None:
    path = await recorded(tmp_path)
    with pytest.raises(WrongKey):
        read_recording(path, bytes(32))


async def test_a_flipped_bit_is_found_in_its_record(tmp_path: Path) -> None:
    path = await recorded(tmp_path)
    head, records = records_of(path)
    for number in (0, 3, len(records) - 1):
        altered = bytearray(records[number])
        altered[RECORD_HEAD.size + 7] ^= 1
        path.write_bytes(head + b"".join([*records[:number], bytes(altered), *records[number + 1 :]]))
        with pytest.raises(RecordingAltered) as caught:
            read_recording(path, KEY)
        assert caught.value.record == number


async def test_records_left_out_moved_or_added_are_found(tmp_path: Path) -> None:
    path = await recorded(tmp_path)
    head, records = records_of(path)
    other_folder = tmp_path / "other"
    _, foreign = records_of(await recorded(other_folder))
    for tampered in (
        records[:2] + records[3:],
        [records[1], records[0], *records[2:]],
        [records[0], foreign[1], *records[2:]],
        [*records, records[0]],
        [*records[:-1], records[0], records[-1]],
    ):
        path.write_bytes(head + b"".join(tampered))
        with pytest.raises(RecordingAltered):
            read_recording(path, KEY)


async def test_an_altered_header_is_found(tmp_path: Path) -> None:
    path = await recorded(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"cv_1"', b'"cv_2"', 1))
    with pytest.raises(RecordingAltered):
        read_recording(path, KEY)


async def test_a_file_that_ends_early_is_named_and_can_be_read_so_far(tmp_path: Path) -> None:
    path = await recorded(tmp_path)
    data = path.read_bytes()
    _, records = records_of(path)
    last = len(records[-1])
    for cut, whole_records in ((last, len(records) - 1), (last + len(records[-2]) + 1, len(records) - 3)):
        path.write_bytes(data[:-cut])
        with pytest.raises(RecordingTruncated) as caught:
            read_recording(path, KEY)
        assert caught.value.records == whole_records
        rest = read_recording(path, KEY, accept_truncated=True)
        assert not rest.whole
        assert rest.pcm16.shape[0] == whole_records * 8000


async def test_events_altered_or_cut_are_found(tmp_path: Path) -> None:
    path = await recorded(tmp_path)
    events = path.with_suffix(".vbevents")
    lines = events.read_bytes().splitlines(keepends=True)
    for tampered in (
        [lines[0], lines[2], lines[1], lines[3]],
        [lines[0], *lines[2:]],
        [*lines, lines[1]],
        [lines[0], b"3 !!!!\n", *lines[2:]],
        [lines[0], b"nonsense\n", *lines[2:]],
    ):
        events.write_bytes(b"".join(tampered))
        with pytest.raises(RecordingAltered):
            read_recording(path, KEY)
    events.write_bytes(b"".join(lines[:-1]))
    with pytest.raises(RecordingTruncated):
        read_recording(path, KEY)
    assert len(read_recording(path, KEY, accept_truncated=True).events) == 2


@pytest.mark.parametrize("data", [b"", b"RIFF....WAVE", AUDIO_MAGIC, AUDIO_MAGIC + b"\xff\xff\xff\x7f{}"])
def test_other_files_are_no_recordings(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.vbrec").write_bytes(data)
    with pytest.raises(NotARecording):
        read_recording(tmp_path / "x", KEY)


async def test_a_later_version_is_refused_by_name(tmp_path: Path) -> None:
    path = await recorded(tmp_path, 6)
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"version": 2', b'"version": 3', 1))
    with pytest.raises(NewerFormat, match="version 3"):
        read_recording(path, KEY)
    path.write_bytes(data[:7] + b"\x04" + data[8:])
    with pytest.raises(NewerFormat, match="version 4"):
        read_recording(path, KEY)


async def test_a_disk_that_fails_costs_the_recording_and_not_the_call(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file where the folder should be")
    recorder = Recorder(tmp_path / "folder" / "cv_1", KEY, "cv_1")
    for at in range(0, 20_000, 20):
        recorder.caller(CALLER, at)
    recorder.event({"type": "x"})
    await recorder.close()
    assert recorder.failed


async def test_a_disk_that_hangs_costs_a_gap_and_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two minutes of audio against a disk that stands still for as long: the rest stays in its place."""
    released = threading.Event()
    real = writer.open_private

    def hanging(path: Path) -> object:
        released.wait(60)
        return real(path)

    monkeypatch.setattr(writer, "open_private", hanging)
    recorder = Recorder(tmp_path / "cv_1", KEY, "cv_1")
    for at in range(0, 120_000, 20):
        recorder.caller(CALLER, at)
    released.set()
    async with asyncio.timeout(30):
        while recorder._queue:  # a real thread takes up its work again
            await asyncio.sleep(0.01)
    for at in range(120_000, 130_000, 20):
        recorder.caller(CALLER, at)
    await recorder.close()
    sound = read_recording(tmp_path / "cv_1", KEY).pcm16[:, 0]
    assert sound.size == 130_000 * 8
    assert (sound[: 60 * 8000] != 0).all()
    assert (sound[70 * 8000 : 110 * 8000] == 0).all()
    assert (sound[-9 * 8000 :] != 0).all()


async def test_recording_does_not_hold_up_the_loop(tmp_path: Path) -> None:
    """A minute of a call: placing costs microseconds a frame (here: the CPU time of this thread)."""
    recorder = Recorder(tmp_path / "cv_1", KEY, "cv_1")
    took: list[float] = []
    for at in range(0, 60_000, 20):
        began = time.thread_time()
        recorder.caller(CALLER, at)
        if at % 100 == 0:
            recorder.bot(BOT, max(0, at - 300))
        took.append(time.thread_time() - began)
    await recorder.close()
    assert sorted(took)[-3] < 0.002  # but for a garbage collection or two


async def test_what_json_cannot_say_is_written_as_text(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "cv_1", KEY, "cv_1")
    recorder.event({"type": "x", "path": Path("/a")})
    await recorder.close()
    assert read_recording(tmp_path / "cv_1", KEY).events[0]["path"] == "/a"


async def test_what_cannot_be_written_costs_its_own_recording_and_no_other(tmp_path: Path) -> None:
    """One job writes what all calls have told meanwhile."""
    broken, other = (Recorder(tmp_path / name, KEY, name) for name in ("broken", "other"))
    broken.event({"type": "odd", "text": "\ud800"})
    other.event({"type": "plain"})
    async with asyncio.timeout(30):
        while broken.failed is None or other._queue:
            await asyncio.sleep(0.01)
    await broken.close()
    await other.close()
    assert broken.failed == "UnicodeEncodeError"
    assert other.failed is None
    assert [one["type"] for one in read_recording(tmp_path / "other", KEY).events] == ["plain"]
    with pytest.raises(RecordingTruncated):
        read_recording(tmp_path / "broken", KEY)


async def test_a_pause_is_silence_on_both_channels_with_the_span_beside_it(tmp_path: Path) -> None:
    """Also for the bot's sound, which is placed after it was played."""
    recorder = Recorder(tmp_path / "cv_1", KEY, "cv_1")
    for at in range(0, 9000, 20):
        if at == 3000:
            recorder.pause("card")
        if at == 6000:
            recorder.resume()
        recorder.caller(CALLER, at)
        if at == 6500:
            recorder.bot(BOT * 40, 2500)  # 4 s: from before the pause until after it
    await recorder.close()
    recording = read_recording(recorder.audio_path, KEY)
    quiet = np.abs(recording.pcm16.astype(int)).max(axis=1).reshape(-1, 160).max(axis=1)  # by 20 ms
    assert all(quiet[150:300] < 40)
    assert all(quiet[:150] > 40)
    assert all(quiet[300:] > 40)
    (paused,) = [e for e in recording.events if e["type"] == "paused"]
    (resumed,) = [e for e in recording.events if e["type"] == "resumed"]
    assert (paused["why"], paused["at_ms"]) == ("card", 3000)
    assert (resumed["paused_from_ms"], resumed["at_ms"]) == (3000, 6000)


async def test_what_was_unsaid_is_in_the_file_no_more(tmp_path: Path) -> None:
    """The stretch is silent for every reader, the other channel and the rest are as they were."""
    plain = read_recording(await recorded(tmp_path / "plain"), KEY)
    recorder = Recorder(tmp_path / "cv_1", KEY, "cv_1")
    for at in range(0, 12000, 20):
        recorder.caller(CALLER, at)
        if at % 2000 == 1000:
            recorder.bot(BOT, at - 500)
    recorder.unsay("caller", 2995, 4005)
    await recorder.close()
    assert recorder.failed is None
    recording = read_recording(recorder.audio_path, KEY)
    expected = plain.pcm16.copy()
    expected[2995 * 8 : 4005 * 8, 0] = 0
    assert np.abs(recording.pcm16.astype(int) - expected).max() < 20
    assert recording.whole
    assert [e["until_ms"] for e in recording.events if e["type"] == "unsaid"] == [4005]
    assert not recorder.audio_path.with_name("cv_1.vbrec.scrubbing").exists()


async def test_a_recording_that_cannot_be_scrubbed_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Better no recording than one that holds a card."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer, "scrub", full)
    recorder = Recorder(tmp_path / "cv_1", KEY, "cv_1")
    for at in range(0, 12000, 20):
        recorder.caller(CALLER, at)
    recorder.unsay("caller", 1000, 2000)
    await recorder.close()
    assert recorder.failed is not None
    assert not recorder.audio_path.exists()
