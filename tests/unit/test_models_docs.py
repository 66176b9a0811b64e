"""The guide names commands, models, sizes and settings that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main

from voicebot.audio.engines.models.manifest import Manifest
from voicebot.audio.engines.models.verify import State
from voicebot.cli import app
from voicebot.core.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parent.parent.parent
GUIDE = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
MANIFEST = Manifest.load(ROOT / "models" / "manifest.json")


def test_every_command_exists() -> None:
    group = typer.main.get_command(app)
    commands = set(re.findall(r"voicebot models (\w+)", GUIDE))
    assert commands == set(group.commands["models"].commands)  # type: ignore[attr-defined]


def test_every_setting_exists() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    assert set(re.findall(r"VOICEBOT_\w+", GUIDE)) <= known


@pytest.mark.parametrize(("name", "size"), re.findall(r"`([\w.-]+)` \(([\d.]+ [MG]B)\)", GUIDE))
def test_a_size_is_the_models(name: str, size: str) -> None:
    number, unit = size.split()
    bytes_ = MANIFEST.find(name).size
    assert bytes_ is not None
    assert f"{bytes_ / (1e6 if unit == 'MB' else 1e9):.{len(number.partition('.')[2])}f}" == number


def test_every_state_is_explained() -> None:
    for state in State:
        assert f"`{state}`" in GUIDE
