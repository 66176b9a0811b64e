"""What is on disk is found where ``choice`` finds it, told as it is, and held against the right checksum."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from models_kit import (
    REPOSITORY,
    VOICE,
    VOICE_FOLDER,
    ctranslate2,
    manifest,
    store,
    voice_files,
    whisper_files,
)
from rich.console import Console

from voicebot.audio.engines.choice import DEMO_MARK, Machine, choose
from voicebot.audio.engines.models.errors import ManifestError
from voicebot.audio.engines.models.store import Place, PullRecord, Store
from voicebot.audio.engines.models.verify import State, verify
from voicebot.core.settings import Settings, SettingsError, load_settings
from voicebot.runtime import doctor
from voicebot.runtime.models import Row, better, rows, show_rows, verify_models

SNAPSHOT = "0123abc"


def write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def in_data(here: Store, files: dict[str, bytes] | None = None, name: str = "base.en") -> Path:
    return write(here.models / "whisper" / name, files or whisper_files())


def in_hub(tmp_path: Path, files: dict[str, bytes] | None = None) -> Path:
    """As huggingface_hub lays it out: links to blobs, large ones named by their SHA-256."""
    cache = tmp_path / "hub" / f"models--{REPOSITORY.replace('/', '--')}"
    snapshot = cache / "snapshots" / SNAPSHOT
    snapshot.mkdir(parents=True)
    (cache / "blobs").mkdir()
    for name, content in (files or whisper_files()).items():
        blob = cache / "blobs" / hashlib.sha256(content).hexdigest()
        blob.write_bytes(content)
        (snapshot / name).symlink_to(blob)
    return snapshot


def test_the_data_directory_comes_before_the_hub_cache(tmp_path: Path) -> None:
    here = store(tmp_path)
    snapshot = in_hub(tmp_path)
    found = here.named("base.en")[1]
    assert found is not None
    assert (found.place, found.path) == (Place.HUB, snapshot)
    folder = in_data(here)
    found = here.named("base.en")[1]
    assert found is not None
    assert (found.place, found.path) == (Place.DATA, folder)


def test_a_whole_model_in_the_hub_cache_beats_half_a_one_in_the_data_directory(tmp_path: Path) -> None:
    here = store(tmp_path)
    in_data(here, {"config.json": b"{}"})
    snapshot = in_hub(tmp_path)
    found = here.named("base.en")[1]
    assert found is not None
    assert found.complete
    assert found.path == snapshot


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    here = store(tmp_path)
    files = whisper_files()
    del files["vocabulary.txt"]
    in_data(here, files)
    found = here.named("base.en")[1]
    assert found is not None
    assert found.missing == ("vocabulary.txt",)
    assert next(row.state for row in rows(here) if row.model.name == "base.en") == "incomplete"


def test_a_voice_in_the_hub_cache_is_found(tmp_path: Path) -> None:
    here = store(tmp_path)
    folder = tmp_path / "hub" / "models--rhasspy--piper-voices" / "snapshots" / SNAPSHOT / VOICE_FOLDER
    write(folder, voice_files())
    found = here.named(VOICE)[1]
    assert found is not None
    assert found.place is Place.HUB
    assert found.path == folder / f"{VOICE}.onnx"


def test_what_was_copied_by_hand_is_listed_too(tmp_path: Path) -> None:
    here = store(tmp_path)
    in_data(here, name="ours-v2")
    write(here.models / "piper", {"nobody-knows.onnx": b"\x08", "nobody-knows.onnx.json": b"{}"})
    named = {row.model.name: row.model.listed for row in rows(here)}
    assert named == {"base.en": True, VOICE: True, "ours-v2": False, "nobody-knows": False}


def test_an_alias_that_was_pulled_is_listed_under_its_own_name(tmp_path: Path) -> None:
    here = store(tmp_path, manifest(aliases=["basic"]))
    in_data(here, name="basic")
    assert [row.model.name for row in rows(here) if row.found] == ["basic"]


def test_a_broken_pull_is_shown_with_its_share(tmp_path: Path) -> None:
    here = store(tmp_path)
    model = here.manifest.find("base.en")
    assert model.size is not None
    write(here.staging(model), {"model.bin.part": bytes(model.size // 2), "model.bin.part.etag": b"x" * 99})
    row = next(row for row in rows(here) if row.model is model)
    assert row.state in {"broken pull 49 %", "broken pull 50 %"}


def test_the_table_shows_names_that_could_be_markup(tmp_path: Path) -> None:
    here = store(tmp_path / "[bold]")
    in_data(here)
    out = Console(record=True, width=300, file=None, force_terminal=False, quiet=False)
    with out.capture() as shown:
        show_rows([Row(*pair, 0) for pair in here.all()], out)
    assert "[bold]" in shown.get()
    assert "base.en" in shown.get()


# Verifying


def states(here: Store, name: str = "base.en") -> dict[str, tuple[State, str]]:
    model, found = here.named(name)
    assert found is not None
    return {f.name: (f.state, f.by) for f in verify(model, found, here).files}


def test_a_whole_model_is_well(tmp_path: Path) -> None:
    here = store(tmp_path)
    in_data(here)
    assert set(states(here).values()) == {(State.OK, "manifest")}


@pytest.mark.parametrize(
    ("name", "content", "state"),
    [
        pytest.param("model.bin", ctranslate2(seed=3), State.DAMAGED, id="other bytes"),
        pytest.param("model.bin", ctranslate2()[:-1], State.DAMAGED, id="cut off"),
        pytest.param("model.bin", None, State.MISSING, id="gone"),
        pytest.param("tokenizer.json", b'{"version": "2.0"}', State.DAMAGED, id="another tokenizer"),
    ],
)
def test_a_file_that_is_not_well_is_found(
    tmp_path: Path, name: str, content: bytes | None, state: State
) -> None:
    here = store(tmp_path)
    path = in_data(here) / name
    path.unlink() if content is None else path.write_bytes(content)
    bad = {n: s for n, (s, _) in states(here).items() if s.bad}
    assert bad == {name: state}


def test_a_format_too_new_is_found_though_its_checksum_is_right(tmp_path: Path) -> None:
    files = whisper_files(model_bin=ctranslate2(version=7))
    here = store(tmp_path, manifest(files=files))
    in_data(here, files)
    assert states(here)["model.bin"] == (State.WRONG_FORMAT, "manifest")


def test_a_copy_without_record_or_checksum_is_not_called_well(tmp_path: Path) -> None:
    here = store(tmp_path, manifest(known=False))
    in_data(here)
    assert {state for state, _ in states(here).values()} == {State.UNKNOWN}
    assert not State.UNKNOWN.bad


def test_the_hub_cache_is_held_against_its_own_names(tmp_path: Path) -> None:
    here = store(tmp_path, manifest(known=False))
    snapshot = in_hub(tmp_path)
    assert states(here)["model.bin"] == (State.OK, "hub cache")
    (snapshot / "model.bin").resolve().write_bytes(ctranslate2(seed=8))
    assert states(here)["model.bin"] == (State.DAMAGED, "hub cache")


def test_the_manifest_counts_more_than_a_record(tmp_path: Path) -> None:
    here = store(tmp_path)
    folder = in_data(here, whisper_files(model_bin=ctranslate2(seed=4)))
    digest = hashlib.sha256(ctranslate2(seed=4)).hexdigest()
    record: dict[str, Any] = {"format": 1, "name": "base.en", "source": "x", "revision": "main", "files": {}}
    record["files"]["model.bin"] = {"size": 1, "sha256": digest, "checked": "first use"}
    (folder / "pull.json").write_text(json.dumps(record))
    assert states(here)["model.bin"] == (State.DAMAGED, "manifest")


@pytest.mark.parametrize("content", ['{"format": 2}', "{", "[]", '{"format": 1}', "\x00"])
def test_a_record_of_another_format_is_refused_and_told(tmp_path: Path, content: str) -> None:
    here = store(tmp_path, manifest(known=False))
    path = in_data(here) / "pull.json"
    path.write_text(content)
    with pytest.raises(ManifestError, match="pull the model again"):
        PullRecord.load(path)
    assert "pull the model again" in verify_models("base.en", here)[0].note


def test_a_model_that_is_nowhere_has_no_verdict(tmp_path: Path) -> None:
    assert verify_models("base.en", store(tmp_path)) == []


# What others make of it


def test_path_says_what_choose_takes(tmp_path: Path) -> None:
    here = store(tmp_path)
    in_data(here)
    write(here.models / "piper", voice_files())
    settings = Settings(stt="auto", tts="auto", data_dir=tmp_path / "data")
    choice = choose(settings, Machine(tmp_path / "hub", False, lambda _: True))
    for name, spec in (("base.en", choice.stt), (VOICE, choice.tts)):
        found = here.named(name)[1]
        assert found is not None
        assert str(found.path) == spec.model


def test_a_demo_model_is_taken_neither_by_auto_nor_for_a_recommendation(tmp_path: Path) -> None:
    here = store(tmp_path, manifest(demo=True))
    (in_data(here) / DEMO_MARK).write_text('{"demo": true}')
    settings = Settings(stt="auto", tts="espeak", data_dir=tmp_path / "data")
    assert choose(settings, Machine(tmp_path / "hub", False, lambda _: True)).stt.kind == "sphinx"
    shown, missing = better(settings, here)
    assert shown == ["base.en (data directory, for demo and tests only)"]
    assert "voicebot models pull base.en" in missing


@pytest.mark.parametrize(
    ("language", "commands"),
    [
        ("en", ["voicebot models pull base.en", "voicebot models pull en_US-ljspeech-medium"]),
        ("de", ["voicebot models pull base"]),
    ],
)
def test_doctor_names_what_would_be_better(tmp_path: Path, language: str, commands: list[str]) -> None:
    assert better(Settings(data_dir=tmp_path, language=language), store(tmp_path)) == ([], commands)


def test_doctor_is_content_with_a_model_and_a_voice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "manifest.json").write_text(json.dumps(manifest()))
    settings = Settings(data_dir=tmp_path / "data", deployment=tmp_path)
    [before] = doctor._models(settings)
    assert before.ok is None
    assert "voicebot models pull" in before.mend
    here = store(tmp_path)
    in_data(here)
    write(here.models / "piper", voice_files())
    [after] = doctor._models(settings)
    assert after.ok
    assert not after.mend
    assert "base.en (data directory)" in after.found
    (tmp_path / "models" / "manifest.json").write_text("{")
    [damaged] = doctor._models(settings)
    assert damaged.ok is None
    assert "manifest.json" in damaged.found


def test_the_mirror_is_an_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VOICEBOT_ENV_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("VOICEBOT_MODELS_MIRROR", "https://mirror.example/hub/")
    assert load_settings().models_mirror == "https://mirror.example/hub"
    monkeypatch.setenv("VOICEBOT_MODELS_MIRROR", "ftp://mirror.example")
    with pytest.raises(SettingsError, match="models_mirror"):
        load_settings()
