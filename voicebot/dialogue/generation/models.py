"""Language models as writers, through pydantic-ai: any OpenAI-compatible endpoint, and Anthropic."""

from __future__ import annotations

from voicebot.core.settings import Settings
from voicebot.dialogue.generation.grounded import GroundedResponder
from voicebot.dialogue.generation.request import Generator
from voicebot.dialogue.prompts import Prompts


def make_generator(settings: Settings, prompts: Prompts) -> Generator:
    """The writer that ``VOICEBOT_LLM`` names."""
    return GroundedResponder()
