"""Language models as writers, through pydantic-ai: any OpenAI-compatible endpoint, and Anthropic.

Every wait ends: for the first token, between tokens, and for the whole answer. Closing a stream
closes the request. Whatever goes wrong becomes `GenerationFailed`, and the utterance falls back to
the grounded responder.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TypeVar

from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from pydantic import SecretStr
from pydantic_ai.direct import model_request_stream
from pydantic_ai.messages import (
    ModelRequest,
    ModelResponseStreamEvent,
    PartDeltaEvent,
    PartStartEvent,
    SystemPromptPart,
    TextPart,
    TextPartDelta,
    UserPromptPart,
)
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings

from voicebot.core.settings import Settings, SettingsError
from voicebot.dialogue.generation.deadlines import Deadlines
from voicebot.dialogue.generation.request import GenerationFailed, GenerationRequest
from voicebot.dialogue.prompts import Prompt

T = TypeVar("T")


class LanguageModel:
    """A writer behind an API. One per node, shared by all conversations.

    Args:
        name: as in the settings, ``openai:gpt-...``.
        model: pydantic-ai's model.
        prompt: the deployment's prompt for answers.
        close: closes the connection pool.
        deadlines: seconds.
    """

    def __init__(
        self,
        name: str,
        model: Model,
        prompt: Prompt,
        close: Callable[[], Awaitable[None]],
        deadlines: Deadlines | None = None,
    ) -> None:
        self.name = name
        self.version = f"{name}, prompt {prompt.name} {prompt.version}"
        self._model = model
        self._prompt = prompt
        self._close = close
        self._deadlines = deadlines or Deadlines()
        self._settings = ModelSettings(max_tokens=160, temperature=0.3)

    async def stream(self, request: GenerationRequest) -> AsyncIterator[str]:
        """The answer in tokens.

        Raises:
            GenerationFailed: no answer in time, or none that can be spoken.
        """
        began = False
        tokens = self._tokens(request)
        started = time.monotonic()
        try:
            while True:
                left_s = self._deadlines.whole_s - (time.monotonic() - started)
                step_s = self._deadlines.between_tokens_s if began else self._deadlines.first_token_s
                try:
                    async with asyncio.timeout(max(0.0, min(left_s, step_s))):
                        token = await anext(tokens)
                except StopAsyncIteration:
                    break
                except TimeoutError:
                    reason = "no token in time" if left_s > step_s else "the whole answer takes too long"
                    raise GenerationFailed(reason, began=began) from None
                except GenerationFailed:
                    raise
                except Exception as error:  # of many kinds; their texts may quote the caller
                    raise GenerationFailed(type(error).__name__, began=began) from error
                began = began or bool(token.strip())
                yield token
        finally:
            await tokens.aclose()
        if not began:
            raise GenerationFailed("empty answer", began=False)

    async def close(self) -> None:
        """Closes the connections."""
        await self._close()

    async def _tokens(self, request: GenerationRequest) -> AsyncGenerator[str]:
        messages = [
            ModelRequest(
                parts=[SystemPromptPart(self._instructions(request)), UserPromptPart(request.question)]
            )
        ]
        async with model_request_stream(self._model, messages, model_settings=self._settings) as events:
            async for event in events:
                token = _text(event)
                if token:
                    yield token

    def _instructions(self, request: GenerationRequest) -> str:
        passages = "\n".join(f"- {passage.source.title}: {passage.body}" for passage in request.passages)
        history = "\n".join(f"Caller: {one.caller}\nYou: {one.bot}" for one in request.history)
        return self._prompt.text.format(
            sentences=request.sentences, passages=passages, history=history or "(nothing)"
        )


def openai_model(settings: Settings, name: str, prompt: Prompt, deadlines: Deadlines | None) -> LanguageModel:
    """A model behind OpenAI's API or any endpoint that speaks it.

    Raises:
        SettingsError: neither key nor endpoint is set.
    """
    base_url = settings.openai_base_url
    key = _key(settings.openai_api_key)
    if key is None and base_url is None:
        raise SettingsError(
            f"VOICEBOT_LLM=openai:{name} needs OPENAI_API_KEY, or OPENAI_BASE_URL for an endpoint of your own"
        )
    client = AsyncOpenAI(api_key=key or "none", base_url=base_url, max_retries=0)
    model = OpenAIChatModel(name, provider=OpenAIProvider(openai_client=client))
    return LanguageModel(f"openai:{name}", model, prompt, client.close, deadlines)


def anthropic_model(
    settings: Settings, name: str, prompt: Prompt, deadlines: Deadlines | None
) -> LanguageModel:
    """A model behind Anthropic's API.

    Raises:
        SettingsError: the key is not set.
    """
    key = _key(settings.anthropic_api_key)
    if key is None:
        raise SettingsError(f"VOICEBOT_LLM=anthropic:{name} needs ANTHROPIC_API_KEY")
    client = AsyncAnthropic(api_key=key, base_url=settings.anthropic_base_url, max_retries=0)
    model = AnthropicModel(name, provider=AnthropicProvider(anthropic_client=client))
    return LanguageModel(f"anthropic:{name}", model, prompt, client.close, deadlines)


def _key(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() or None if secret is not None else None


def _text(event: ModelResponseStreamEvent) -> str:
    """The words in an event; thoughts, tool calls and the rest are not for speaking."""
    match event:
        case PartStartEvent(part=TextPart(content=text)):
            return text
        case PartDeltaEvent(delta=TextPartDelta(content_delta=text)):
            return text
        case _:
            return ""
