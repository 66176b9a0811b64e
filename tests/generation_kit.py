"""The reference deployment's prompts and lines, without the rest of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from voicebot.core.documents import parse_yaml
from voicebot.dialogue.generation.deadlines import Deadlines
from voicebot.dialogue.phrases import Phrases
from voicebot.dialogue.prompts import Prompts

ROOT = Path(__file__).resolve().parent.parent
BUSINESS = ROOT / "business"

PATIENT = Deadlines(
    first_token_s=30.0, between_tokens_s=30.0, whole_s=60.0, first_clause_s=30.0, between_clauses_s=30.0
)
"""For writers that answer at once, on a machine that may not."""


@dataclass(frozen=True)
class Words:
    """What a writer needs of a deployment."""

    prompts: Prompts
    phrases: Phrases


def shop_phrases() -> Phrases:
    """``business/phrases.yaml``."""
    return Phrases.model_validate_json(json.dumps(parse_yaml((BUSINESS / "phrases.yaml").read_text())))


def shop_words() -> Words:
    """Prompts and lines of the shop."""
    return Words(Prompts.read(BUSINESS / "prompts"), shop_phrases())
