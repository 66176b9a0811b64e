"""Settings are read once, strictly: a misspelt name or an unusable value refuses to start and says which."""

from __future__ import annotations

from pathlib import Path

import pytest

from voicebot.core.settings import SettingsError, load_settings


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No environment of this machine, no .env of this folder."""
    import os

    for name in list(os.environ):
        if name.startswith(("VOICEBOT_", "TWILIO_", "DATABASE_URL")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_defaults_need_nothing():
    settings = load_settings()
    assert (settings.stt, settings.tts, settings.llm) == ("auto", "auto", "grounded")
    assert settings.data_dir == Path(".voicebot")


def test_the_environment_the_env_file_and_the_command_line_in_that_order(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    (tmp_path / ".env").write_text("VOICEBOT_STT=sphinx\nVOICEBOT_TTS=espeak\nVOICEBOT_LLM=openai:a\n")
    monkeypatch.setenv("VOICEBOT_TTS", "piper:en_US-lessac-medium")
    settings = load_settings(llm="anthropic:b", stt=None)
    assert settings.stt == "sphinx"
    assert settings.tts == "piper:en_US-lessac-medium"
    assert settings.llm == "anthropic:b"


@pytest.mark.parametrize("place", ["environment", "file"])
def test_a_misspelt_name_is_refused_and_named(place: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    if place == "environment":
        monkeypatch.setenv("VOICEBOT_FALBACK_NUMBER", "+15551234567")
    else:
        (tmp_path / ".env").write_text("VOICEBOT_FALBACK_NUMBER=+15551234567\n")
    with pytest.raises(SettingsError, match="VOICEBOT_FALBACK_NUMBER"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VOICEBOT_STT", "wisper:base"),
        ("VOICEBOT_STT", "whisper:"),
        ("VOICEBOT_TTS", "sphinx"),
        ("VOICEBOT_LLM", "gpt"),
        ("VOICEBOT_FALLBACK_NUMBER", "0171 123"),
        ("VOICEBOT_PUBLIC_URL", "voice.example.com"),
        ("VOICEBOT_MAX_CALLS", "0"),
        ("VOICEBOT_SPECULATION", "maybe"),
    ],
)
def test_an_unusable_value_is_refused_and_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name.removeprefix("VOICEBOT_").lower()):
        load_settings()


def test_secrets_do_not_print(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "a-secret-of-ours")
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:p4ss@host/db")
    shown = repr(load_settings())
    assert "a-secret-of-ours" not in shown
    assert "p4ss" not in shown
