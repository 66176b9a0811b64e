"""Picks the writer that the settings name; a language model's libraries load only when one is asked for."""

from __future__ import annotations

from voicebot.core.settings import Settings
from voicebot.dialogue.generation.deadlines import Deadlines
from voicebot.dialogue.generation.grounded import GroundedResponder
from voicebot.dialogue.generation.request import Generator
from voicebot.dialogue.prompts import Prompts


def make_generator(settings: Settings, prompts: Prompts, deadlines: Deadlines | None = None) -> Generator:
    """The writer that ``VOICEBOT_LLM`` names.

    Raises:
        SettingsError: the key or endpoint it needs is not set.
    """
    provider, _, name = settings.llm.partition(":")
    if provider not in {"openai", "anthropic"}:
        return GroundedResponder()
    # Seconds and 100 MB that a server without a language model does not pay.
    from voicebot.dialogue.generation.models import anthropic_model, openai_model

    made = openai_model if provider == "openai" else anthropic_model
    return made(settings, name, prompts.answer, deadlines)
