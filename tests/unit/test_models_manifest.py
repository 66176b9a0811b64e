"""The manifest names what faster-whisper and Piper know, pins what is known, and is read strictly."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import pytest
from faster_whisper import utils as faster_whisper
from piper import download_voices

from scripts.update_manifest import updated
from voicebot.audio.engines.choice import WHISPER_ON_CPU, WHISPER_ON_GPU
from voicebot.audio.engines.models.check import NEWEST_CTRANSLATE2, check_format
from voicebot.audio.engines.models.download import Downloader
from voicebot.audio.engines.models.errors import ManifestError, UnknownModel, WrongFormat
from voicebot.audio.engines.models.manifest import Manifest, manifest_path
from voicebot.runtime.models import HUB, RECOMMENDED

ROOT = Path(__file__).resolve().parent.parent.parent
PATH = ROOT / "models" / "manifest.json"


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return Manifest.load(PATH)


def test_every_name_of_faster_whisper_is_known_with_its_repository(manifest: Manifest) -> None:
    ours = {name: manifest.find(name).repository for name in faster_whisper.available_models()}
    assert ours == faster_whisper._MODELS


def test_everything_that_auto_may_pick_can_be_pulled(manifest: Manifest) -> None:
    for name in (*WHISPER_ON_CPU, *WHISPER_ON_GPU, *RECOMMENDED.values()):
        assert manifest.find(name).repository


@pytest.mark.parametrize(
    "name", ["en_US-lessac-medium", "de_DE-eva_k-x_low", "en_GB-northern_english_male-medium"]
)
def test_a_voice_is_where_piper_looks_for_it(manifest: Manifest, name: str) -> None:
    parts = download_voices.VOICE_PATTERN.match(name)
    assert parts is not None
    given = parts.groupdict()
    code = f"{given['lang_family']}_{given['lang_region']}"
    model = manifest.find(name)
    assert model.repository
    with Downloader(HUB) as hub:
        for file, extension in zip(model.files, (".onnx", ".onnx.json"), strict=True):
            theirs = download_voices.URL_FORMAT.format(extension=extension, lang_code=code, **given)
            assert hub.url(model.repository, model.revision, file.hub_path) == theirs.removesuffix(
                "?download=true"
            )


def test_a_recommended_model_is_pinned_and_free_for_commercial_use(manifest: Manifest) -> None:
    for name in RECOMMENDED.values():
        model = manifest.find(name)
        assert model.pinned
        assert model.licence.name in {"MIT", "public domain"}


def test_every_model_states_its_terms(manifest: Manifest) -> None:
    for model in manifest.models:
        assert model.licence.name
        assert model.licence.url.startswith("https://")


def test_checksums_of_our_own_models_are_those_of_the_files() -> None:
    old = PATH.read_text(encoding="utf-8")
    assert updated(old, PATH.parent) == old, "a model was made anew: run scripts/update_manifest.py"


def test_an_alias_has_the_same_files_under_its_own_name(manifest: Manifest) -> None:
    turbo = manifest.find("turbo")
    assert turbo.name == "turbo"
    assert turbo.files == manifest.find("large-v3-turbo").files


def test_an_unlisted_voice_claims_neither_size_nor_checksum_nor_licence(manifest: Manifest) -> None:
    voice = manifest.find("de_DE-eva_k-x_low")
    assert not voice.listed
    assert not voice.pinned
    assert voice.size is None
    assert "MODEL_CARD" in voice.licence.url
    assert voice.licence.note


@pytest.mark.parametrize(
    "name", ["", "huge", "../base.en", "en_US-lessac", "en_US-lessac-medium/../x", "base.en/"]
)
def test_a_name_that_is_none_is_refused(manifest: Manifest, name: str) -> None:
    with pytest.raises(UnknownModel, match=r"base\.en"):
        manifest.find(name)


def entry(**changed: object) -> dict[str, object]:
    terms = {"name": "MIT", "url": "https://example.org"}
    return {
        "name": "m",
        "kind": "whisper",
        "licence": terms,
        "repository": "a/b",
        "files": [{"name": "model.bin"}],
    } | changed


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param({"format": 2, "models": []}, "format 2", id="another format"),
        pytest.param({"models": []}, "damaged", id="no format"),
        pytest.param({"format": 1, "models": [entry(), entry()]}, "named twice", id="twice"),
        pytest.param({"format": 1, "models": [entry(aliases=["m"])]}, "named twice", id="own alias"),
        pytest.param({"format": 1, "models": [entry(surprise=1)]}, "damaged", id="unknown field"),
        pytest.param({"format": 1, "models": [entry(name="../m")]}, "damaged", id="a path for a name"),
        pytest.param(
            {"format": 1, "models": [entry(files=[{"name": "../../etc/passwd"}])]}, "damaged", id="a path"
        ),
        pytest.param({"format": 1, "models": [entry(files=[])]}, "no files", id="no files"),
        pytest.param({"format": 1, "models": [entry(repository=None)]}, "repository", id="from nowhere"),
        pytest.param({"format": 1, "models": [entry(folder="x")]}, "repository", id="two homes"),
        pytest.param(
            {"format": 1, "models": [entry(files=[{"name": "a", "sha256": "12"}])]}, "damaged", id="checksum"
        ),
    ],
)
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, content: object, says: str) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ManifestError, match=says):
        Manifest.load(path)


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff\xfe", b"[]"])
def test_a_damaged_or_missing_manifest_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "manifest.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ManifestError, match=r"manifest\.json"):
        Manifest.load(path)


def test_a_deployment_without_a_manifest_uses_the_one_beside_the_package(tmp_path: Path) -> None:
    assert manifest_path(tmp_path) == PATH
    own = tmp_path / "models" / "manifest.json"
    own.parent.mkdir()
    own.write_text("{}")
    assert manifest_path(tmp_path) == own


def test_the_update_writes_real_checksums_and_drops_what_is_gone(tmp_path: Path) -> None:
    demo = tmp_path / "demo-whisper"
    demo.mkdir()
    (demo / "model.bin").write_bytes(b"weights")
    old = json.dumps({"format": 1, "models": [entry(), entry(name="monitor", repository=None, folder=".")]})
    new = Manifest.model_validate_json(updated(old, tmp_path))
    assert [model.name for model in new.models] == ["m", "demo-whisper"]
    made = new.find("demo-whisper")
    assert made.demo
    assert made.pinned
    assert made.size == 7
    assert made.files[0].sha256 == hashlib.sha256(b"weights").hexdigest()
    assert updated(updated(old, tmp_path), tmp_path) == updated(old, tmp_path)


def test_the_newest_format_is_the_pinned_ctranslate2s() -> None:
    from ctranslate2.specs import model_spec

    assert model_spec.CURRENT_BINARY_VERSION == NEWEST_CTRANSLATE2


def header(version: int, spec: bytes) -> bytes:
    return struct.pack("<IH", version, len(spec) + 1) + spec + b"\0" + bytes(40)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("model.bin", header(6, b"WhisperSpec"), ""),
        ("model.bin", header(3, b"WhisperSpec"), ""),
        ("model.bin", header(7, b"WhisperSpec"), "binary format 7"),
        ("model.bin", header(6, b"TransformerSpec"), "no Whisper model"),
        ("model.bin", b"abc", "only 3 bytes"),
        ("model.bin", b"<html>" + bytes(100), "no Whisper model"),
        ("v.onnx", b"\x08\x07", ""),
        ("v.onnx", b"PK\x03\x04", "no ONNX"),
        ("v.onnx", b"", "no ONNX"),
        ("v.onnx.json", b'{"audio": {"sample_rate": 16000}}', ""),
        ("v.onnx.json", b'{"audio": {}}', "sample_rate"),
        ("v.onnx.json", b"{", "no JSON"),
        ("config.json", b"[]", "no JSON object"),
        ("tokenizer.json", b"{}", ""),
        ("vocabulary.txt", b"anything", ""),
    ],
)
def test_a_file_is_what_its_name_says(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    if not says:
        check_format(path)
        return
    with pytest.raises(WrongFormat, match=says):
        check_format(path)
