"""The documents tell the truth about what exists: links lead somewhere, commands and settings are real."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from voicebot.core.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
_OTHER = {"VOICEBOT_LOG_LEVEL", "VOICEBOT_ENV_FILE"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_within_the_repository_leads_to_a_file(page: Path):
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    here = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in here if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_that_is_named_exists(page: Path):
    named = set(re.findall(r"VOICEBOT_[A-Z_]*[A-Z]", page.read_text(encoding="utf-8")))
    known = {PREFIX + name.upper() for name in Settings.model_fields} | _OTHER
    assert named - known == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_that_is_named_exists(page: Path):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z]+)`", page.read_text(encoding="utf-8")))
    assert named - targets == set()
