"""The reference deployment's prompts and lines, without the rest of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import yaml

from voicebot.dialogue.phrases import Phrases
from voicebot.dialogue.prompts import Prompts

ROOT = Path(__file__).resolve().parent.parent
BUSINESS = ROOT / "business"


@dataclass(frozen=True)
class Words:
    """What a writer needs of a deployment."""

    prompts: Prompts
    phrases: Phrases


def shop_phrases() -> Phrases:
    """``business/phrases.yaml``."""
    return Phrases.model_validate_json(json.dumps(yaml.safe_load((BUSINESS / "phrases.yaml").read_text())))


def shop_words() -> Words:
    """Prompts and lines of the shop."""
    return Words(Prompts.read(BUSINESS / "prompts"), shop_phrases())
