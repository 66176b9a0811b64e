"""The list of the desk's shortcuts: each key stands there once, and so do the keys that pages have."""

from __future__ import annotations

import re
from pathlib import Path

import voicebot.console.desk
from voicebot.console.desk.frame import KEYS

DESK = Path(voicebot.console.desk.__file__).parent
_KEY = re.compile(r'(?:key="|pressed_by\("|shortcut\(\w+(?:\.\w+)?, ")([a-z0-9])"')


def test_a_key_stands_in_the_list_once() -> None:
    keys = [key for names, _ in KEYS for key in names.split(", ")]
    assert sorted(keys) == sorted(set(keys))


def test_every_key_of_a_page_stands_in_the_list() -> None:
    used = {key for file in DESK.rglob("*.py") for key in _KEY.findall(file.read_text(encoding="utf-8"))}
    assert used >= {"a", "y", "n", "c", "p", "t"}, "the pattern finds them"
    assert used <= {key for names, _ in KEYS for key in names.split(", ")}
