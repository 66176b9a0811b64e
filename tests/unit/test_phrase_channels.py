"""A channel may put a line differently; what is written never speaks of keys, lines or calls."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from voicebot.core.conversation import Channel
from voicebot.core.documents import parse_yaml
from voicebot.dialogue.phrases import Phrases

FILE = Path(__file__).parents[2] / "business" / "phrases.yaml"
DOCUMENT: dict[str, Any] = parse_yaml(FILE.read_text())
PHRASES = Phrases.model_validate_json(json.dumps(DOCUMENT))
_PHONE = re.compile(
    r"\b(press|keypad|the line|this call|the call|hear you|hang up|stay on|say it|calling)\b", re.IGNORECASE
)


def test_nothing_in_a_chat_sounds_like_a_phone():
    chat = PHRASES.on(Channel.CHAT)
    lines = {(key, nth): line for key in DOCUMENT["spoken"] for nth, line in enumerate(_lines(chat, key))}
    assert {at: line for at, line in lines.items() if _PHONE.search(line)} == {}
    assert any(_PHONE.search(line) for key in DOCUMENT["spoken"] for line in _lines(PHRASES, key))


def _lines(phrases: Phrases, key: str) -> tuple[str, ...]:
    put = phrases.spoken[key]
    return (put,) if isinstance(put, str) else put


def test_the_phone_keeps_its_lines_and_other_channels_too():
    for channel in (Channel.PHONE, Channel.BROWSER):
        assert PHRASES.on(channel).text("greeting.notice") == DOCUMENT["spoken"]["greeting.notice"]
    assert PHRASES.on(Channel.CHAT).text("greeting.notice") != DOCUMENT["spoken"]["greeting.notice"]
    assert PHRASES.on(Channel.CHAT).text("say.thanks") == DOCUMENT["spoken"]["say.thanks"]


@pytest.mark.parametrize(
    ("channels", "named"),
    [
        ({"chat": {"greeting.notise": "x"}}, "greeting.notise"),
        ({"chat": {"ask.confirm": "Did you mean {meaning}?"}}, "meaning"),
        ({"letter": {"greeting.notice": "x"}}, "letter"),
        ({"chat": {"greeting.notice": "{"}}, "channels"),
    ],
)
def test_a_mistake_is_named(channels: dict[str, Any], named: str):
    with pytest.raises((ValidationError, ValueError), match=named if named != "channels" else "."):
        Phrases.model_validate_json(json.dumps({**DOCUMENT, "channels": channels}))
