"""Recordings are found by file, folder or conversation; what is wrong with one is said in a sentence."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path

import pytest

from voicebot.core.settings import Settings, load_settings
from voicebot.proof.replay.errors import NoSuchRecording, NotReplayable
from voicebot.proof.replay.finding import KEY_FILE, find, names_of, read_key
from voicebot.proof.replay.samples import read_sample
from voicebot.proof.replay.turns import turns_in

SAMPLES = Path(__file__).parents[2] / "recordings" / "samples"
NAME = "01-greeting-and-hang-up"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(data_dir=tmp_path / "data")


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A sample beside its key; the path has no suffix."""
    for name in (f"{NAME}.vbrec", f"{NAME}.vbevents", KEY_FILE):
        shutil.copy(SAMPLES / name, tmp_path / name)
    return tmp_path / NAME


def test_each_call_is_named_once_whatever_lies_beside_it() -> None:
    everything = sorted(str(path) for path in SAMPLES.iterdir())
    assert names_of(everything) == sorted(str(p.with_suffix("")) for p in SAMPLES.glob("*.vbrec"))
    assert names_of([str(SAMPLES)]) == names_of(everything)
    assert names_of(["cv_1", "cv_1"]) == ["cv_1"]


def test_a_folder_of_calls_is_its_calls(tmp_path: Path) -> None:
    for name in ("cv_a/001.vbrec", "cv_a/002.vbrec", "cv_b/001.vbrec"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert names_of([str(tmp_path)]) == [str(tmp_path / "cv_a"), str(tmp_path / "cv_b")]
    assert names_of([str(tmp_path / "cv_a")]) == [str(tmp_path / "cv_a")]


def test_there_are_twenty_samples_each_with_its_script_and_what_it_must_show() -> None:
    names = sorted(path.stem for path in SAMPLES.glob("*.vbrec"))
    assert len(names) == 20
    assert names == sorted(path.stem for path in SAMPLES.glob("*.yaml"))
    assert all(read_sample(SAMPLES / f"{name}.yaml").expect is not None for name in names)
    assert sum(path.stat().st_size for path in SAMPLES.iterdir()) < 6_000_000


@pytest.mark.parametrize("name", sorted(path.stem for path in SAMPLES.glob("*.yaml")))
async def test_a_sample_is_whole_and_was_what_it_must_be(name: str, settings: Settings) -> None:
    call = await find(str(SAMPLES / name), settings)
    assert call.sessions[0].problems == ()
    expect = read_sample(SAMPLES / f"{name}.yaml").expect
    assert expect is not None
    outcome = expect.outcome[0]  # how it ended is not in a recording
    assert list(expect.missed(turns_in(call.events), outcome)) == []


async def test_a_conversations_recordings_are_its_sessions(copied: Path, settings: Settings) -> None:
    folder = settings.data_dir / "recordings" / "cv_1"
    folder.mkdir(parents=True)
    for number in ("001", "002"):
        for suffix in (".vbrec", ".vbevents"):
            shutil.copy(copied.with_name(NAME + suffix), folder / f"{number}{suffix}")
    shutil.copy(copied.with_name(KEY_FILE), folder / KEY_FILE)
    call = await find("cv_1", settings)
    assert (call.name, len(call.sessions)) == ("cv_1", 2)


async def test_what_is_not_there_says_what_could_be(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(NoSuchRecording, match=r"give a file ending in \.vbrec, a folder"):
        await find("cv_none", settings)
    (tmp_path / "bad.key").write_text(base64.b64encode(b"short").decode())
    with pytest.raises(NoSuchRecording, match="a key has 32"):
        read_key(tmp_path / "bad.key")


async def test_another_key_is_named(copied: Path, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "other.key").write_text(base64.b64encode(bytes(32)).decode())
    with pytest.raises(NoSuchRecording, match="another key: give its own with --key"):
        await find(str(copied), settings, tmp_path / "other.key")


async def test_a_recording_that_was_cut_is_read_as_far_as_it_goes(copied: Path, settings: Settings) -> None:
    path = copied.with_name(f"{NAME}.vbrec")
    path.write_bytes(path.read_bytes()[:-3000])
    call = await find(str(copied), settings)
    assert {one.kind for one in call.sessions[0].problems} == {"cut_short", "sound_missing"}


async def test_one_that_cannot_be_read_says_why(copied: Path, settings: Settings) -> None:
    path = copied.with_name(f"{NAME}.vbrec")
    data = path.read_bytes()
    path.write_bytes(data[:7] + b"\x09" + data[8:])
    with pytest.raises(NotReplayable, match="version 9, this program reads up to version 2"):
        await find(str(copied), settings)
    path.write_bytes(data[:2000] + bytes([data[2000] ^ 1]) + data[2001:])
    with pytest.raises(NotReplayable, match="is not what was written"):
        await find(str(copied), settings)
    path.unlink()
    with pytest.raises(NotReplayable, match="the sound is missing"):
        await find(str(copied), settings)
