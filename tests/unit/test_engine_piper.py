"""Piper voices: sentence by sentence, every word once and in order, and a clear no to what is no voice.

The voices here are of the right shape with random weights: they say noise of the right length.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from local_hub import LocalHub

from scripts.bench.random_whisper import SHAPES
from scripts.bench.random_whisper import make as make_whisper
from scripts.make_random_models import make_voice
from voicebot.audio.engines.piper import PiperEngine, find_voice, sentences
from voicebot.audio.engines.types import EngineUnavailable, SpeechChunk


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_voice(tmp_path_factory.mktemp("voices"))


def said(engine: PiperEngine, text: str, rate_hz: int = 8000) -> list[SpeechChunk]:
    chunks: list[SpeechChunk] = []
    engine.say(text, rate_hz, lambda chunk: chunks.append(chunk) or True)
    return chunks


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Yes.", ["Yes."]),
        (
            "It costs 3.50 today. Is that all right?  Good!",
            ["It costs 3.50 today.", "Is that all right?", "Good!"],
        ),
        ("no end", ["no end"]),
        ("  Wait... what?!\nOh. ", ["Wait...", "what?!", "Oh."]),
        ("   ", []),
    ],
)
def test_sentences_keep_every_word(text: str, parts: list[str]) -> None:
    assert [s.strip() for s in sentences(text)] == parts
    assert " ".join(sentences(text)).split() == text.split()


def test_words_are_in_order_on_the_axis_of_the_audio(voice: Path) -> None:
    engine = PiperEngine(str(voice))
    engine.warm_up()
    text = "Your order 4711 is on its way. It comes on Friday - okay?"
    chunks = said(engine, text)
    words = [w for c in chunks for w in c.words]
    assert [w.text for w in words] == text.split()
    assert all(a.end_ms <= b.start_ms for a, b in pairwise(words))
    assert words[-1].end_ms == pytest.approx(sum(len(c.audio) for c in chunks) / 16, abs=10)
    assert engine.voice_id == "piper/en_US-random-low"


def test_the_rate_asked_for_is_the_rate_made(voice: Path) -> None:
    engine = PiperEngine(str(voice))
    seconds = {
        hz: sum(len(c.audio) for c in said(engine, "How are you?", hz)) / 2 / hz
        for hz in (8000, 16000, 48000)
    }
    assert max(seconds.values()) - min(seconds.values()) < 0.005
    assert seconds[8000] > 0.3


def test_a_listener_who_leaves_gets_no_more(voice: Path) -> None:
    heard: list[SpeechChunk] = []
    PiperEngine(str(voice)).say("One. Two. Three. Four.", 8000, lambda chunk: bool(heard.append(chunk)))
    assert len(heard) == 1


def test_a_voice_of_several_speakers_speaks(tmp_path: Path) -> None:
    engine = PiperEngine(str(make_voice(tmp_path, "en_US-many-low", speakers=3)))
    engine.warm_up()
    assert said(engine, "Hello.")


def change(voice: Path, **changed: Any) -> None:
    path = Path(f"{voice}.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


@pytest.mark.parametrize("rate", [None, 0, 4000, 96000, "22050", 22050.0, True])
def test_a_rate_that_cannot_be_right_is_refused(tmp_path: Path, rate: Any) -> None:
    voice = make_voice(tmp_path)
    change(voice, audio={"sample_rate": rate})
    with pytest.raises(EngineUnavailable, match=r"audio\.sample_rate is"):
        PiperEngine(str(voice))


def test_what_is_no_voice_says_so(tmp_path: Path) -> None:
    voice = make_voice(tmp_path)
    change(voice, espeak={"voice": "xx-nowhere"})
    with pytest.raises(EngineUnavailable, match="cannot speak"):
        PiperEngine(str(voice)).warm_up()
    change(voice, num_speakers=4)
    with pytest.raises(EngineUnavailable, match="is no Piper voice"):
        PiperEngine(str(voice))
    change(voice, phoneme_id_map=None, num_symbols=None, espeak=None)
    with pytest.raises(EngineUnavailable, match="no configuration of a Piper voice"):
        PiperEngine(str(voice))
    Path(f"{voice}.json").write_text("[]")
    with pytest.raises(EngineUnavailable, match="no JSON object"):
        PiperEngine(str(voice))
    Path(f"{voice}.json").unlink()
    with pytest.raises(EngineUnavailable, match=r"lacks en_US-random-low\.onnx\.json beside it"):
        PiperEngine(str(voice))


def test_a_damaged_file_is_no_model(tmp_path: Path) -> None:
    voice = make_voice(tmp_path)
    voice.write_bytes(voice.read_bytes()[:5000])
    with pytest.raises(EngineUnavailable, match="no model that this machine can run"):
        PiperEngine(str(voice))


def test_a_name_that_no_hub_could_have_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="no model 'nobody'"):
        find_voice("nobody", tmp_path)
    with pytest.raises(EngineUnavailable, match="no Piper voice in"):
        find_voice("/nowhere/nobody.onnx", tmp_path)
    with pytest.raises(EngineUnavailable, match="is a whisper model, not a voice"):
        find_voice("base.en", tmp_path)


def test_no_hub_is_said_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(EngineUnavailable, match="HF_HUB_OFFLINE"):
        find_voice("en_US-somebody-low", tmp_path)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    with LocalHub() as hub:
        monkeypatch.setenv("VOICEBOT_MODELS_MIRROR", hub.url)
        with pytest.raises(EngineUnavailable, match=r"could not be fetched: .*no such file"):
            find_voice("en_US-somebody-low", tmp_path)


def test_a_name_is_fetched_from_the_hub_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    voice = make_voice(tmp_path / "made", "en_US-somebody-low")
    with LocalHub() as hub:
        for path in (voice, Path(f"{voice}.json")):
            hub.put(f"rhasspy/piper-voices/resolve/main/en/en_US/somebody/low/{path.name}", path.read_bytes())
        monkeypatch.setenv("VOICEBOT_MODELS_MIRROR", hub.url)
        found = find_voice("en_US-somebody-low", tmp_path / "models")
    assert found.read_bytes() == voice.read_bytes()
    assert find_voice("en_US-somebody-low", tmp_path / "models") == found, "the hub is gone, the voice is not"


def test_random_models_are_small_and_always_the_same(tmp_path: Path) -> None:
    voices = [make_voice(tmp_path / name) for name in ("a", "b")]
    assert voices[0].read_bytes() == voices[1].read_bytes()
    assert voices[0].stat().st_size < 1_000_000
    folder = make_whisper(tmp_path / "w", SHAPES["test"])
    assert sum(p.stat().st_size for p in folder.iterdir()) < 1_200_000
