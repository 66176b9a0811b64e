"""Topics that only a person may speak about: by the intent's row, or by the words that name them. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

from voicebot.safety.triggers.cause import Cause
from voicebot.safety.triggers.rules import Regulated

RESERVED = "reserved"
"""The compliance of a row that nobody but a person may deal with."""


def named(words: str, rules: Regulated) -> Cause | None:
    """Fires when the words name such a topic; the evidence names the topic and not the words."""
    text = " ".join(re.findall(r"[a-z0-9']+", words.lower()))
    for topic, phrases in rules.topics.items():
        if _pattern(phrases).search(text):
            return Cause(f"regulated:{topic}", {"topic": topic, "by": "words"})
    return None


@lru_cache(maxsize=64)
def _pattern(phrases: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(r"(?<![a-z0-9'])(?:" + "|".join(map(re.escape, phrases)) + r")(?![a-z0-9'])")
