"""Makes the writers that the settings name; a language model's libraries load only when one is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicebot.core.conversation import Route
from voicebot.core.settings import Settings
from voicebot.dialogue.generation.deadlines import Deadlines
from voicebot.dialogue.generation.grounded import GroundedResponder
from voicebot.dialogue.generation.noted import NotedGenerator
from voicebot.dialogue.generation.prices import Models
from voicebot.dialogue.generation.writers import Writers
from voicebot.dialogue.phrases import Phrases
from voicebot.dialogue.prompts import Prompts

if TYPE_CHECKING:
    from voicebot.dialogue.generation.models import LanguageModel


def make_writers(
    settings: Settings,
    prompts: Prompts,
    models: Models | None = None,
    phrases: Phrases | None = None,
    *,
    deadlines: Deadlines | None = None,
) -> Writers:
    """The writers that ``VOICEBOT_LLM`` and ``VOICEBOT_LLM_STRONG`` name, the quoted article behind them.

    Raises:
        SettingsError: the key or endpoint that one needs is not set.
    """
    small = model_of(settings, settings.llm, prompts, Route.SMALL, models)
    strong = model_of(settings, settings.llm_strong or "", prompts, Route.STRONG, models)
    noted = [None if one is None else NotedGenerator(one) for one in (small, strong)]
    return Writers(GroundedResponder(phrases), *noted, models=models, deadlines=deadlines)


def model_of(
    settings: Settings,
    named: str,
    prompts: Prompts,
    route: Route = Route.SMALL,
    models: Models | None = None,
) -> LanguageModel | None:
    """The language model of that name, ``openai:MODEL`` or ``anthropic:MODEL``; None for anything else.

    Raises:
        SettingsError: the key or endpoint it needs is not set.
    """
    provider, _, name = named.partition(":")
    if provider not in {"openai", "anthropic"}:
        return None
    # Seconds and 100 MB that a server without a language model does not pay.
    from voicebot.dialogue.generation.models import anthropic_model, openai_model

    made = openai_model if provider == "openai" else anthropic_model
    return made(settings, name, prompts, route=route, models=models)
