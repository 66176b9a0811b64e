"""Which engines a server runs: what the settings ask for, else the best that is here.

Invariants: ``auto`` looks at this machine only and never takes a model made for a demo; when a fallback is
picked, the operator is told what would be better; what is not there says what to do.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from voicebot.audio.engines.choice import EngineSpec, Machine, choose
from voicebot.audio.engines.hosts import WatchPolicy, environment_of
from voicebot.audio.engines.types import EngineUnavailable
from voicebot.core.settings import Settings

ALL = ("pocketsphinx", "piper", "espeakng_loader")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise AssertionError("the choice asked the network")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)


class Here:
    """A machine with nothing on it; models are put where they would lie."""

    def __init__(self, folder: Path) -> None:
        self.data, self.hub = folder / "data", folder / "hub"

    def whisper(self, name: str, *, demo: bool | None = None, lacks: str = "", hub: bool = False) -> Path:
        folder = (
            self.hub / f"models--Systran--faster-whisper-{name}" / "snapshots" / "abc"
            if hub
            else self.data / "models" / "whisper" / name
        )
        folder.mkdir(parents=True)
        for file in {"model.bin", "config.json", "tokenizer.json"} - {lacks}:
            (folder / file).touch()
        if demo is not None:
            (folder / "voicebot-model.json").write_text('{"demo": true}' if demo else '{"demo": false}')
        return folder

    def voice(self, name: str, *, config: bool = True) -> Path:
        path = self.data / "models" / "piper" / f"{name}.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        if config:
            Path(f"{path}.json").touch()
        return path

    def choose(self, *, gpu: bool = False, installed: Iterable[str] = ALL, **settings: Any) -> Any:
        machine = Machine(self.hub, gpu, lambda module: module in installed)
        return choose(Settings(_env_file=None, data_dir=self.data, **settings), machine)


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


def test_with_nothing_here_the_fallbacks_are_taken_and_the_notes_say_what_is_better(here: Here) -> None:
    choice = here.choose()
    assert (choice.stt.kind, choice.tts.kind, choice.turn.kind) == ("sphinx", "espeak", "smart-turn")
    assert choice.tts.voice_id == "espeak/en-us/175"
    stt_note, tts_note = choice.notes
    assert "FALLBACK" in stt_note
    assert "base.en" in stt_note
    assert "FALLBACK" in tts_note
    assert "en_US-" in tts_note or "Piper" in tts_note


@pytest.mark.parametrize(
    ("models", "gpu", "language", "picked"),
    [
        pytest.param(["tiny.en", "base.en"], False, "en", "base.en", id="base before tiny"),
        pytest.param(["small.en", "base"], False, "en", "base", id="small is slow on a core"),
        pytest.param(["large-v3"], False, "en", None, id="large would not answer in time on a core"),
        pytest.param(["large-v3-turbo", "base.en"], True, "en", "large-v3-turbo", id="large on a GPU"),
        pytest.param(["base.en", "tiny"], False, "de", "tiny", id="an English model does not hear German"),
        pytest.param(["base.en"], False, "en-GB", "base.en", id="a kind of English is English"),
        pytest.param(["my-own"], False, "en", None, id="what nobody knows is not guessed at"),
    ],
)
def test_auto_ranks_what_is_on_disk(
    here: Here, models: list[str], gpu: bool, language: str, picked: str | None
) -> None:
    for name in models:
        here.whisper(name)
    choice = here.choose(gpu=gpu, language=language)
    if picked is None:
        assert choice.stt.kind == "sphinx"
    else:
        folder = here.data / "models" / "whisper" / picked
        assert choice.stt == EngineSpec("stt", "whisper", str(folder.resolve()), language=language)
        assert choice.notes[0] == f"recognition: Whisper {picked}"


def test_auto_takes_a_complete_model_of_the_hub_cache_and_ours_before_it(here: Here) -> None:
    cached = here.whisper("base.en", hub=True)
    assert here.choose().stt.model == str(cached)
    ours = here.whisper("base.en")
    assert here.choose().stt.model == str(ours.resolve())


@pytest.mark.parametrize("lacks", ["model.bin", "config.json", "tokenizer.json"])
def test_half_a_model_is_none(here: Here, lacks: str) -> None:
    here.whisper("base.en", lacks=lacks)
    here.whisper("tiny.en", lacks=lacks, hub=True)
    assert here.choose().stt.kind == "sphinx"


def test_auto_never_takes_a_demo_model_whatever_its_name(here: Here) -> None:
    folder = here.whisper("base.en", demo=True)
    assert here.choose().stt.kind == "sphinx"
    (folder / "voicebot-model.json").write_text("{damaged")
    assert here.choose().stt.kind == "sphinx", "a damaged mark is a mark"
    assert here.choose(stt=f"whisper:{folder}").stt.model == str(folder.resolve()), "asked for, it is taken"


def test_a_model_marked_as_no_demo_is_taken(here: Here) -> None:
    here.whisper("base.en", demo=False)
    assert here.choose().stt.kind == "whisper"


def test_auto_takes_the_best_voice_of_the_language(here: Here) -> None:
    for name in ("en_US-amy-low", "en_GB-cori-high", "de_DE-thorsten-high", "en_US-ryan-medium"):
        here.voice(name)
    here.voice("en_US-lessac-high", config=False)
    assert here.choose().tts.voice_id == "piper/en_GB-cori-high"
    assert here.choose(installed=["pocketsphinx", "espeakng_loader"]).tts.kind == "espeak"


def test_a_random_or_demo_voice_is_never_taken(here: Here) -> None:
    voice = here.voice("en_US-random-low")
    (voice.parent / "voicebot-model.json").write_text('{"demo": true}')
    assert here.choose().tts.kind == "espeak"


def test_a_name_that_is_not_here_is_left_to_the_host_to_fetch(here: Here) -> None:
    choice = here.choose(stt="whisper:base.en", tts="piper:en_US-lessac-medium")
    assert (choice.stt.model, choice.tts.model) == ("base.en", "en_US-lessac-medium")
    assert choice.tts.voice_id == "piper/en_US-lessac-medium"


def test_a_cloud_service_is_said_to_leave_the_machine(here: Here) -> None:
    choice = here.choose(stt="pipecat:deepgram", language="de")
    assert choice.stt == EngineSpec("stt", "pipecat", "deepgram", language="de")
    assert "leaves this machine" in choice.notes[0]


@pytest.mark.parametrize(
    ("settings", "installed", "message"),
    [
        ({"stt": "whisper:/nowhere"}, ALL, "no Whisper model in /nowhere"),
        ({"tts": "piper:/nowhere.onnx"}, ALL, "no Piper voice /nowhere.onnx"),
        (
            {"tts": "piper:en_US-x-low"},
            ["pocketsphinx"],
            r"Piper is not installed: pip install 'voicebot\[gpl\]'",
        ),
        ({"tts": "espeak"}, ["pocketsphinx"], "eSpeak NG is not installed"),
        ({"stt": "sphinx"}, ["espeakng_loader"], "PocketSphinx is not installed"),
        ({"stt": "auto", "language": "de"}, ALL, "PocketSphinx hears English only"),
    ],
)
def test_what_cannot_be_had_says_what_to_do(
    here: Here, settings: dict[str, Any], installed: Iterable[str], message: str
) -> None:
    with pytest.raises(EngineUnavailable, match=message):
        here.choose(installed=installed, **settings)


def test_half_a_model_asked_for_by_path_names_what_it_lacks(here: Here) -> None:
    folder = here.whisper("own", lacks="tokenizer.json")
    with pytest.raises(EngineUnavailable, match=r"lacks tokenizer\.json"):
        here.choose(stt=f"whisper:{folder}")
    voice = here.voice("en_US-own-low", config=False)
    with pytest.raises(EngineUnavailable, match=r"lacks its .*\.onnx\.json"):
        here.choose(tts=f"piper:{voice}")


# --- what a host gets of our environment ------------------------------------------------

ENVIRON = {
    "PATH": "/bin",
    "HF_TOKEN": "h",
    "DEEPGRAM_API_KEY": "d",
    "OPENAI_API_KEY": "o",
    "OPENAI_BASE_URL": "http://x",
    "AWS_SECRET_ACCESS_KEY": "a",
    "AWS_ACCESS_KEY_ID": "a",
    "VOICEBOT_MASTER_KEY": "m",
    "VOICEBOT_API_TOKEN": "t",
    "VOICEBOT_NATS_URL": "nats://user:word@x",
    "TWILIO_AUTH_TOKEN": "t",
    "DATABASE_URL": "postgresql://x",
}
SECRETS = {n for n in ENVIRON if n not in {"PATH", "HF_TOKEN", "OPENAI_BASE_URL"}}


@pytest.mark.parametrize(
    ("spec", "keys"),
    [
        (EngineSpec("tts", "espeak", "en-us"), set()),
        (EngineSpec("stt", "whisper", "base.en"), set()),
        (EngineSpec("stt", "pipecat", "deepgram"), {"DEEPGRAM_API_KEY"}),
        (EngineSpec("stt", "pipecat", "openai.OpenAISTTService"), {"OPENAI_API_KEY"}),
        (EngineSpec("stt", "pipecat", "aws"), {"AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"}),
        (
            EngineSpec("stt", "pipecat", "mine.stt:Mine"),
            {"DEEPGRAM_API_KEY", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"},
        ),
    ],
)
def test_a_host_gets_no_secret_but_its_own_services_keys(spec: EngineSpec, keys: set[str]) -> None:
    given = environment_of(spec, ENVIRON)
    assert SECRETS & given.keys() == keys
    assert given["PATH"] == "/bin"
    assert given["OMP_NUM_THREADS"] == "1"


def test_a_host_fetches_from_the_mirror_of_the_settings_wherever_they_were_read() -> None:
    spec = EngineSpec("tts", "piper", "en_US-amy-low")
    assert "VOICEBOT_MODELS_MIRROR" not in environment_of(spec, ENVIRON)
    given = environment_of(spec, ENVIRON, "https://hub.example")
    assert given["VOICEBOT_MODELS_MIRROR"] == "https://hub.example"


def test_restarts_back_off_and_downloads_get_time() -> None:
    policy = WatchPolicy(backoff_s=(0.0, 1.0, 5.0))
    assert [policy.pause_s(n) for n in (1, 2, 3, 4, 99)] == [0.0, 1.0, 5.0, 5.0, 5.0]
    assert policy.start_deadline_s("whisper") > policy.start_deadline_s("sphinx")
