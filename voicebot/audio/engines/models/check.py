"""Is a file what its kind of model needs? Looks at headers only, loads nothing."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

from voicebot.audio.engines.models.errors import WrongFormat

NEWEST_CTRANSLATE2 = 6
"""Binary format of the pinned CTranslate2 (its ``specs.model_spec.CURRENT_BINARY_VERSION``)."""

_BLOCK = 1 << 20
_ONNX_IR_VERSION = 0x08
"""An ONNX file is a protobuf message whose first field, number 1 and a varint, is the IR version."""


def sha256_of(path: Path) -> str:
    """Hex digest of a file, read in blocks of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def check_format(path: Path) -> None:
    """Looks at the file's header, by its name.

    Raises:
        WrongFormat: this version cannot load it; says why.
    """
    name = path.name
    if name == "model.bin":
        _ctranslate2(path)
    elif name.endswith(".onnx"):
        with path.open("rb") as file:
            if file.read(1) != bytes([_ONNX_IR_VERSION]):
                raise WrongFormat(f"{path} is no ONNX model")
    elif name.endswith(".onnx.json"):
        audio = _json(path).get("audio")
        if not isinstance(audio, dict) or not isinstance(audio.get("sample_rate"), int):
            raise WrongFormat(f"{path} is no Piper voice's configuration: it names no audio.sample_rate")
    elif name in {"config.json", "tokenizer.json", "preprocessor_config.json"}:
        _json(path)


def _ctranslate2(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(64)
    if len(head) < 8:
        raise WrongFormat(f"{path} is no CTranslate2 model: it has only {len(head)} bytes")
    version, length = struct.unpack_from("<IH", head)
    if head[6 : 6 + length].rstrip(b"\0") != b"WhisperSpec":
        raise WrongFormat(f"{path} is no Whisper model for CTranslate2 (faster-whisper)")
    if version > NEWEST_CTRANSLATE2:
        raise WrongFormat(
            f"{path} has CTranslate2's binary format {version}, this version reads up to "
            f"{NEWEST_CTRANSLATE2}: take a model made for it, or a newer ctranslate2"
        )


def _json(path: Path) -> dict[str, object]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise WrongFormat(f"{path} is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise WrongFormat(f"{path} holds no JSON object")
    return content  # pyright: ignore[reportUnknownVariableType]  # keys of a JSON object are strings
