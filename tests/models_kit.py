"""Small models of the right shape, a manifest that names them, and a deployment around it."""

from __future__ import annotations

import hashlib
import json
import random
import struct
from pathlib import Path
from typing import Any

from local_hub import LocalHub

from voicebot.audio.engines.models.download import Downloader, Patience
from voicebot.audio.engines.models.manifest import Manifest
from voicebot.audio.engines.models.store import Store

REPOSITORY = "Systran/faster-whisper-base.en"
VOICE = "en_US-ljspeech-medium"
VOICE_FOLDER = "en/en_US/ljspeech/medium"
WEIGHTS = 400_000


def ctranslate2(version: int = 6, spec: bytes = b"WhisperSpec", size: int = WEIGHTS, seed: int = 1) -> bytes:
    """The beginning of a CTranslate2 model, and noise."""
    head = struct.pack("<IH", version, len(spec) + 1) + spec + b"\0" + struct.pack("<I", 3)
    return head + random.Random(seed).randbytes(size - len(head))


def whisper_files(**changed: bytes) -> dict[str, bytes]:
    files = {
        "config.json": b'{"suppress_ids": []}',
        "model.bin": ctranslate2(),
        "tokenizer.json": b'{"version": "1.0"}',
        "vocabulary.txt": b"a\nb\n",
    }
    return files | {name.replace("_", "."): content for name, content in changed.items()}


def voice_files() -> dict[str, bytes]:
    weights = b"\x08\x07" + random.Random(2).randbytes(90_000)
    config = b'{"audio": {"sample_rate": 22050}, "num_symbols": 256}'
    return {f"{VOICE}.onnx": weights, f"{VOICE}.onnx.json": config}


def manifest(*, known: bool = True, files: dict[str, bytes] | None = None, **changed: Any) -> dict[str, Any]:
    """base.en and a voice; ``known``: with sizes and checksums."""

    def entry(name: str, content: bytes, path: str | None = None) -> dict[str, Any]:
        facts = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()} if known else {}
        return {"name": name, **({"path": path} if path else {}), **facts}

    terms = {"name": "MIT", "url": "https://example.org/licence", "note": "read it"}
    whisper = {
        "name": "base.en",
        "kind": "whisper",
        "language": "en",
        "licence": terms,
        "repository": REPOSITORY,
        "files": [entry(name, content) for name, content in (files or whisper_files()).items()],
    }
    voice = {
        "name": VOICE,
        "kind": "piper",
        "language": "en_US",
        "licence": terms,
        "repository": "rhasspy/piper-voices",
        "files": [entry(name, content, f"{VOICE_FOLDER}/{name}") for name, content in voice_files().items()],
    }
    return {"format": 1, "models": [whisper | changed, voice]}


def fill(hub: LocalHub, files: dict[str, bytes] | None = None) -> None:
    """Both models on the hub."""
    for name, content in (files or whisper_files()).items():
        hub.put(f"{REPOSITORY}/resolve/main/{name}", content)
    for name, content in voice_files().items():
        hub.put(f"rhasspy/piper-voices/resolve/main/{VOICE_FOLDER}/{name}", content)


WEIGHTS_PATH = f"{REPOSITORY}/resolve/main/model.bin"


def store(tmp_path: Path, content: dict[str, Any] | None = None) -> Store:
    """A store with that manifest, and nothing in it."""
    parsed = Manifest.model_validate_json(json.dumps(content or manifest()))
    return Store(parsed, tmp_path / "data" / "models", tmp_path / "hub", tmp_path / "repository")


def downloader(hub: LocalHub, tries: int = 5, silence_s: float = 30.0) -> Downloader:
    """Impatient: no pause between tries."""
    patience = Patience(connect_s=10.0, silence_s=silence_s, pauses_s=(0.0,) * (tries - 1))
    return Downloader(hub.url, patience=patience, sleep=lambda _: None)
