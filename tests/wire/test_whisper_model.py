"""Weights of the right shape, loaded for real: what is wrong with a model is said, and no audio breaks it.

The weights are random and made here, so the words mean nothing; shapes, bounds and errors do.
"""

from __future__ import annotations

import json
import shutil
import struct
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from scripts.bench.random_whisper import SHAPES, Shape, make
from tests.whisper_kit import packets
from voicebot.audio.engines.types import EngineUnavailable
from voicebot.audio.engines.whisper.engine import WhisperEngine
from voicebot.audio.engines.whisper.model import Reading, WhisperModel, Window, find_directory
from voicebot.audio.engines.whisper.transcriber import WhisperTranscriber
from voicebot.audio.engines.whisper.windows import LAST_RESORT_MS, tokens_for
from voicebot.audio.engines.work import Workshop
from voicebot.core.conversation import FREE

SAMPLES_PER_S = 8000


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("whisper") / "random", SHAPES["test"])


@pytest.fixture(scope="module")
def model(directory: Path) -> WhisperModel:
    return WhisperModel(directory, device="cpu")


def _noise(seconds: float, level: float = 3000.0) -> np.ndarray:
    return np.random.default_rng(7).normal(0, level, int(seconds * SAMPLES_PER_S)).astype(np.int16)


@pytest.mark.parametrize("seconds", [0.01, 0.1, 0.5, 2.0, 7.3, 29.9, 40.0])
def test_windows_of_any_length(model: WhisperModel, seconds: float) -> None:
    (reading,) = model.read([Window(_noise(seconds))])
    tokens = sum(len(w.tokens) for w in reading.words)
    assert 0 < tokens <= tokens_for(int(seconds * SAMPLES_PER_S))
    assert reading.avg_logprob is not None
    assert reading.avg_logprob < 0
    assert reading.no_speech_prob is not None
    assert 0 <= reading.no_speech_prob <= 1
    for word in reading.words:
        assert 0 <= word.start_ms <= word.end_ms <= min(30_000, seconds * 1000 + 40)
        assert word.probability is not None
        assert 0 <= word.probability <= 1


def test_an_empty_window_has_no_words(model: WhisperModel) -> None:
    assert model.read([Window(_noise(0))])[0].words == ()
    assert model.read([]) == []


@pytest.mark.parametrize(
    "broken",
    [
        lambda x: np.where(np.arange(x.size) % 3 == 0, np.nan, x / 32768),
        lambda x: np.full(x.size, np.inf),
        lambda x: (x / 32768) * 1e9,
        lambda x: np.clip(x.astype(np.int32) * 50, -32768, 32767).astype(np.int16),
        lambda x: np.zeros(x.size, np.int16),
        lambda x: np.full(x.size, -32768, np.int16),
    ],
    ids=["nan", "infinite", "huge", "clipped", "zeros", "stuck"],
)
def test_broken_audio_is_read_like_any_other(
    model: WhisperModel, broken: Callable[[np.ndarray], np.ndarray]
) -> None:
    with np.errstate(all="ignore"):
        audio = broken(_noise(1.0))
    (reading,) = model.read([Window(audio)])
    assert reading.no_speech_prob is not None
    assert np.isfinite(reading.no_speech_prob)
    assert reading.avg_logprob is None or np.isfinite(reading.avg_logprob)


def test_forced_words_come_back_first(model: WhisperModel) -> None:
    forced = model.encode_text("where is my order")
    (reading,) = model.read([Window(_noise(3.0), standing=forced)])
    tokens = tuple(t for w in reading.words for t in w.tokens)
    assert tokens[: len(forced)] == forced
    assert reading.text.startswith("where is my order")


def test_other_readings_are_other_texts(model: WhisperModel) -> None:
    (reading,) = model.read([Window(_noise(1.0), readings=5)])
    assert 1 <= len(reading.alternatives) <= 4
    assert reading.text not in reading.alternatives
    assert len(set(reading.alternatives)) == len(reading.alternatives)


def test_a_batch_reads_each_window_as_alone(model: WhisperModel) -> None:
    """Different lengths, forced words and contexts in one call."""
    windows = [
        Window(_noise(1.0)),
        Window(_noise(2.0)),
        Window(_noise(9.0)),
        Window(_noise(2.0), standing=model.encode_text("my order")),
        Window(_noise(2.0), previous=model.encode_text("hello there")),
    ]
    together = model.read(windows)
    for window, reading in zip(windows, together, strict=True):
        alone = model.read([window])[0]
        assert alone.no_speech_prob == pytest.approx(reading.no_speech_prob, rel=0.1)
        forced = "".join(w.text for w in reading.words)[:7]
        assert not window.standing or forced == "myorder"


def test_a_short_window_costs_a_small_part_of_thirty_seconds(directory: Path) -> None:
    model = WhisperModel(directory, device="cpu")

    def cost(seconds: float) -> float:
        window = Window(_noise(seconds))
        model.read([window])
        began = time.process_time()
        for _ in range(3):
            model.read([window])
        return time.process_time() - began

    assert cost(2.0) < cost(29.9) / 3


# --- what is wrong with a model ---------------------------------------------------------


@pytest.mark.parametrize("name", ["model.bin", "config.json", "tokenizer.json"])
def test_a_missing_file_is_named(directory: Path, tmp_path: Path, name: str) -> None:
    copy = Path(shutil.copytree(directory, tmp_path / "copy"))
    (copy / name).unlink()
    with pytest.raises(EngineUnavailable, match=f"lacks {name}"):
        WhisperModel(copy)


@pytest.mark.parametrize("name", ["model.bin", "config.json", "tokenizer.json"])
@pytest.mark.parametrize("content", [b"", b"\x00" * 4, b"[1, 2"])
def test_a_damaged_file_is_refused(directory: Path, tmp_path: Path, name: str, content: bytes) -> None:
    copy = Path(shutil.copytree(directory, tmp_path / "copy"))
    (copy / name).write_bytes(content)
    with pytest.raises(EngineUnavailable, match="copy"):
        WhisperModel(copy)


def test_a_model_of_a_later_format_is_refused(directory: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(directory, tmp_path / "copy"))
    data = bytearray((copy / "model.bin").read_bytes())
    data[:4] = struct.pack("<I", 99)
    (copy / "model.bin").write_bytes(bytes(data))
    with pytest.raises(EngineUnavailable, match=r"(?i)version"):
        WhisperModel(copy)


def test_a_truncated_model_is_refused(directory: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(directory, tmp_path / "copy"))
    data = (copy / "model.bin").read_bytes()
    (copy / "model.bin").write_bytes(data[: len(data) // 2])
    with pytest.raises(EngineUnavailable, match="cannot be loaded"):
        WhisperModel(copy)


def test_a_tokenizer_of_another_model_is_refused(directory: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(directory, tmp_path / "copy"))
    text = (copy / "tokenizer.json").read_text().replace("<|notimestamps|>", "<|somethingelse|>")
    (copy / "tokenizer.json").write_text(text)
    with pytest.raises(EngineUnavailable, match="notimestamps"):
        WhisperModel(copy)


@pytest.mark.parametrize(("language", "why"), [("de", "English only"), ("tlh", "English only")])
def test_a_language_it_cannot_do_is_refused(directory: Path, language: str, why: str) -> None:
    with pytest.raises(EngineUnavailable, match=why):
        WhisperModel(directory, language=language)


def test_regions_of_a_language_are_that_language(directory: Path) -> None:
    assert WhisperModel(directory, language="en-GB").read([Window(_noise(0.5))])


def test_a_multilingual_model_is_told_the_language(tmp_path: Path) -> None:
    shape = Shape(1, 16, 1, text_tokens=50_000)
    made = make(tmp_path / "many", shape)
    spoken = WhisperModel(made, language="de").read([Window(_noise(1.0))])[0]
    assert spoken.words == WhisperModel(made, language="de").read([Window(_noise(1.0))])[0].words
    assert spoken.words != WhisperModel(made, language="en").read([Window(_noise(1.0))])[0].words
    with pytest.raises(EngineUnavailable, match="cy"):
        WhisperModel(made, language="cy")
    with pytest.raises(EngineUnavailable, match="no language 'tlh'"):
        WhisperModel(made, language="tlh")


def test_a_multilingual_model_says_what_else_it_sounds_like(tmp_path: Path) -> None:
    """At the end of a turn only, and nothing where it is the language that is read."""
    made = make(tmp_path / "many", Shape(1, 16, 1, text_tokens=50_000))
    ended, open_ = Window(_noise(1.0), ended=True), Window(_noise(1.0))
    heard = [WhisperModel(made, language=one).read([ended])[0] for one in ("en", "de")]
    other = next(reading for reading in heard if reading.language is not None)
    assert other.language is not None
    assert other.language_prob is not None
    assert 0 < other.language_prob <= 1
    same = WhisperModel(made, language=other.language)
    assert same.read([ended])[0].language is None
    assert WhisperModel(made, language="de").read([open_])[0].language is None


def test_a_model_of_one_language_says_nothing_of_others(directory: Path) -> None:
    assert WhisperModel(directory).read([Window(_noise(1.0), ended=True)])[0].language is None


@pytest.mark.parametrize("path", ["./nowhere", "/nowhere/at/all", "~/nowhere-at-all"])
def test_a_path_without_a_model_is_said(path: str) -> None:
    with pytest.raises(EngineUnavailable, match="no Whisper model in"):
        find_directory(path)


def test_a_name_that_cannot_be_fetched_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    for name in ("no-such-model", "tiny.en"):
        with pytest.raises(EngineUnavailable, match="models/whisper/NAME"):
            find_directory(name, tmp_path)


def test_a_name_is_found_among_our_models(directory: Path, tmp_path: Path) -> None:
    shutil.copytree(directory, tmp_path / "whisper" / "ours")
    engine = WhisperEngine("ours", tmp_path)
    engine.warm_up()
    assert engine.model.startswith("ours, int8 on cpu")
    assert json.loads((tmp_path / "whisper" / "ours" / "config.json").read_text())


# --- long speech ------------------------------------------------------------------------


async def test_ten_minutes_of_speech_without_a_pause(tmp_path: Path) -> None:
    """Random words hardly ever agree, which is the worst case: windows stay bounded, nothing is lost."""
    model = WhisperModel(make(tmp_path / "smallest", Shape(1, 16, 1, 2000, languages=("en",))), device="cpu")
    longest = 0

    class Watched:
        threads, most_rows = 1, 1

        def read(self, windows: Sequence[Window]) -> list[Reading]:
            nonlocal longest
            longest = max(longest, *(w.pcm.size // 8 for w in windows))
            return model.read(windows)

    workshop = Workshop("whisper", 1, 64)
    transcriber = WhisperTranscriber(Watched(), workshop)
    recognition = await transcriber.open("one", FREE, lambda _: None)
    for packet in packets(_noise(600.0).tobytes(), 8000):
        recognition.feed(packet)
        await recognition.peek()
    final = await recognition.finish()
    workshop.close()
    assert final.audio_ms == 600_000
    assert longest < LAST_RESORT_MS + 9000
    assert "audio_lost_ms" not in transcriber.report().counts
