"""Models of the right shape with random weights: loading and calling can be tested without a download.

    python -m scripts.make_random_models /tmp/models

writes ``piper/en_US-random-low.onnx`` (with its ``.json``) and ``whisper/random`` there. A server with that
folder as ``models/`` in its data directory finds them. The voice says noise, the recogniser reads nonsense;
both are marked so that ``auto`` never takes them.
"""

from __future__ import annotations

import argparse
import json
import struct
from pathlib import Path

import numpy as np

from scripts.bench.random_whisper import SHAPES
from scripts.bench.random_whisper import make as make_whisper

VOICE = "en_US-random-low"
RATE_HZ = 16000
SAMPLES_PER_PHONEME = 512
"""Piper's ids alternate with padding, so a phoneme sounds for twice as long: 64 ms at 16 kHz."""

SYMBOLS = 256


def make_voice(
    folder: Path, name: str = VOICE, *, seed: int = 0, rate_hz: int = RATE_HZ, speakers: int = 1
) -> Path:
    """Writes a Piper voice, 0.3 MB, and returns the path of its ``.onnx``.

    Every phoneme id has a piece of noise of its own, so the same text always sounds the same and longer texts
    sound longer. Inputs and outputs are those of a voice that Piper's trainer exports.
    """
    from piper.phoneme_ids import DEFAULT_PHONEME_ID_MAP

    folder.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).uniform(-0.5, 0.5, (SYMBOLS, SAMPLES_PER_PHONEME))
    path = folder / f"{name}.onnx"
    path.write_bytes(_model(noise.astype(np.float16), with_speaker=speakers > 1))
    config = {
        "audio": {"sample_rate": rate_hz, "quality": "low"},
        "espeak": {"voice": "en-us"},
        "inference": {"noise_scale": 0.667, "length_scale": 1, "noise_w": 0.8},
        "phoneme_type": "espeak",
        "phoneme_id_map": DEFAULT_PHONEME_ID_MAP,
        "num_symbols": SYMBOLS,
        "num_speakers": speakers,
        "speaker_id_map": {f"s{n}": n for n in range(speakers)} if speakers > 1 else {},
    }
    Path(f"{path}.json").write_text(json.dumps(config, ensure_ascii=False, indent=1), encoding="utf-8")
    return path


# --- ONNX by hand -------------------------------------------------------------------------
#
# The package ``onnx`` is no dependency, and a graph of five nodes needs only two kinds of protobuf fields:
# varints and length-delimited ones. Field numbers are those of onnx.proto (ONNX IR version 8, opset 17).

_FLOAT, _INT64, _FLOAT16 = 1, 7, 10


def _model(table: np.ndarray, *, with_speaker: bool) -> bytes:
    """``output[1, 1, t]``: the rows of ``table`` that ``input`` names, laid end to end."""
    nodes = [
        _node("Cast", ["table"], ["wide"], _attribute_int("to", _FLOAT)),
        _node("Gather", ["wide", "input"], ["rows"], _attribute_int("axis", 0)),
        _node("Reshape", ["rows", "flat"], ["sound"]),
        # The other inputs take part, so that a missing one is an error, as with a real voice.
        _node("ReduceMin", ["input_lengths"], ["length"], _attribute_int("keepdims", 0)),
        _node("ReduceMin", ["scales"], ["scale"], _attribute_int("keepdims", 0)),
        _node("Cast", ["length"], ["length_f"], _attribute_int("to", _FLOAT)),
        _node("Mul", ["length_f", "zero"], ["no_length"]),
        _node("Mul", ["scale", "zero"], ["no_scale"]),
        _node("Add", ["sound", "no_length"], ["sound_1"]),
        _node("Add", ["sound_1", "no_scale"], ["sound_2" if with_speaker else "output"]),
    ]
    inputs = [
        _value("input", _INT64, ["batch", "phonemes"]),
        _value("input_lengths", _INT64, ["batch"]),
        _value("scales", _FLOAT, [3]),
    ]
    if with_speaker:
        inputs.append(_value("sid", _INT64, ["batch"]))
        nodes += [
            _node("Cast", ["sid"], ["sid_f"], _attribute_int("to", _FLOAT)),
            _node("ReduceMin", ["sid_f"], ["sid_1"], _attribute_int("keepdims", 0)),
            _node("Mul", ["sid_1", "zero"], ["no_sid"]),
            _node("Add", ["sound_2", "no_sid"], ["output"]),
        ]
    graph = b"".join(
        [
            *(_bytes(1, node) for node in nodes),
            _text(2, "random_voice"),
            _bytes(5, _tensor("table", _FLOAT16, table.shape, table.tobytes())),
            _bytes(5, _tensor("flat", _INT64, (3,), np.array([1, 1, -1], np.int64).tobytes())),
            _bytes(5, _tensor("zero", _FLOAT, (), struct.pack("<f", 0.0))),
            *(_bytes(11, each) for each in inputs),
            _bytes(12, _value("output", _FLOAT, ["batch", 1, "time"])),
        ]
    )
    opset = _bytes(8, _text(1, "") + _number(2, 17))
    return _number(1, 8) + _text(2, "voicebot") + _bytes(7, graph) + opset


def _node(op: str, inputs: list[str], outputs: list[str], attribute: bytes = b"") -> bytes:
    names = b"".join(_text(1, name) for name in inputs) + b"".join(_text(2, name) for name in outputs)
    return names + _text(3, outputs[0]) + _text(4, op) + (_bytes(5, attribute) if attribute else b"")


def _attribute_int(name: str, value: int) -> bytes:
    return _text(1, name) + _number(3, value) + _number(20, 2)


def _tensor(name: str, kind: int, shape: tuple[int, ...], raw: bytes) -> bytes:
    return b"".join(_number(1, size) for size in shape) + _number(2, kind) + _text(8, name) + _bytes(9, raw)


def _value(name: str, kind: int, shape: list[int | str]) -> bytes:
    sizes = (_number(1, size) if isinstance(size, int) else _text(2, size) for size in shape)
    dimensions = b"".join(_bytes(1, size) for size in sizes)
    return _text(1, name) + _bytes(2, _bytes(1, _number(1, kind) + _bytes(2, dimensions)))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="becomes the `models` of a data directory")
    parser.add_argument("--shape", choices=sorted(SHAPES), default="test", help="of the Whisper")
    options = parser.parse_args()
    voices, whisper = options.folder / "piper", options.folder / "whisper" / "random"
    print(make_voice(voices))
    print(make_whisper(whisper, SHAPES[options.shape]))
    for folder in (voices, whisper):
        (folder / "voicebot-model.json").write_text('{"demo": true}\n')


if __name__ == "__main__":
    main()
