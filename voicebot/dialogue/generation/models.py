"""Language models as writers, through pydantic-ai: any OpenAI-compatible endpoint, and Anthropic.

Tokens as they come, and what they cost. Closing a stream closes the request. Whatever goes wrong becomes
`GenerationFailed` with one of a closed set of failures; how long to wait, and what to do then, is decided in
`writing`. A model is given no tools; one that asks for a tool all the same has failed.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from pydantic import SecretStr
from pydantic_ai.direct import model_request_stream
from pydantic_ai.exceptions import (
    ContentFilterError,
    ModelConnectionError,
    ModelHTTPError,
    ModelQuotaExceededError,
    ModelRateLimitError,
    ModelRequestRejectedError,
)
from pydantic_ai.messages import (
    BaseToolCallPart,
    ModelRequest,
    ModelResponseStreamEvent,
    PartDeltaEvent,
    PartStartEvent,
    SystemPromptPart,
    TextPart,
    TextPartDelta,
    ToolCallPartDelta,
    UserPromptPart,
)
from pydantic_ai.models import Model, StreamedResponse
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings

from voicebot.core.conversation import Route
from voicebot.core.settings import Settings, SettingsError
from voicebot.dialogue.generation.prices import Models
from voicebot.dialogue.generation.request import Failure, GenerationFailed, GenerationRequest, Meter
from voicebot.dialogue.prompts import Composed, Prompts


class LanguageModel:
    """A writer behind an API. One per node and route, shared by all conversations.

    Args:
        name: as in the settings, ``openai:gpt-...``.
        model: pydantic-ai's model.
        prompts: the deployment's.
        route: whose prompts it is given.
        close: closes the connection pool.
        vendor: the endpoint is the vendor's own, so list prices hold.
        models: longest answer, temperature.
    """

    def __init__(
        self,
        name: str,
        model: Model,
        prompts: Prompts,
        close: Callable[[], Awaitable[None]],
        *,
        route: Route = Route.SMALL,
        vendor: bool = False,
        models: Models | None = None,
    ) -> None:
        models = models or Models()
        self.name = name
        self.version = name
        self.vendor = vendor
        self._model = model
        self._prompts = prompts
        self._route = route
        self._close = close
        self._settings = ModelSettings(max_tokens=models.max_tokens, temperature=models.temperature)

    async def stream(self, request: GenerationRequest, meter: Meter | None = None) -> AsyncGenerator[str]:
        """The answer in tokens.

        Raises:
            GenerationFailed: no answer, or none that can be spoken.
        """
        async with aclosing(self.write(self._prompts.compose(request, self._route), meter)) as tokens:
            async for token in tokens:
                yield token

    async def write(self, composed: Composed, meter: Meter | None = None) -> AsyncGenerator[str]:
        """What the model makes of a prompt, in tokens.

        Raises:
            GenerationFailed: as `stream`.
        """
        meter = meter or Meter()
        meter.prompt, meter.prompt_chars = composed.version, len(composed.system) + len(composed.user)
        messages = [ModelRequest(parts=[SystemPromptPart(composed.system), UserPromptPart(composed.user)])]
        began = False
        try:
            async with model_request_stream(self._model, messages, model_settings=self._settings) as events:
                try:
                    async for event in events:
                        token = _text(event)
                        began = began or bool(token.strip())
                        if token:
                            yield token
                    _conclude(events, meter)
                finally:
                    _count(events, meter)
        except GenerationFailed as failed:
            failed.began = began
            raise
        except Exception as error:  # of many kinds; their texts may quote the caller
            raise _failed(error, began=began) from error
        if not began:
            raise GenerationFailed("empty answer", failure=Failure.EMPTY)

    def prompt_version(self, request: GenerationRequest) -> str:
        """Name, version and digest of the prompt that this answer would have."""
        return self._prompts.compose(request, self._route).version

    async def close(self) -> None:
        """Closes the connections."""
        await self._close()


def openai_model(
    settings: Settings,
    name: str,
    prompts: Prompts,
    *,
    route: Route = Route.SMALL,
    models: Models | None = None,
) -> LanguageModel:
    """A model behind OpenAI's API or any endpoint that speaks it.

    Raises:
        SettingsError: neither key nor endpoint is set.
    """
    base_url = settings.openai_base_url
    key = _key(settings.openai_api_key)
    if key is None and base_url is None:
        raise SettingsError(
            f"openai:{name} (VOICEBOT_LLM, VOICEBOT_LLM_STRONG) needs OPENAI_API_KEY, or OPENAI_BASE_URL "
            "for an endpoint of your own"
        )
    client = AsyncOpenAI(api_key=key or "none", base_url=base_url, max_retries=0)
    model = OpenAIChatModel(name, provider=OpenAIProvider(openai_client=client))
    return LanguageModel(
        f"openai:{name}", model, prompts, client.close, route=route, vendor=base_url is None, models=models
    )


def anthropic_model(
    settings: Settings,
    name: str,
    prompts: Prompts,
    *,
    route: Route = Route.SMALL,
    models: Models | None = None,
) -> LanguageModel:
    """A model behind Anthropic's API.

    Raises:
        SettingsError: the key is not set.
    """
    key = _key(settings.anthropic_api_key)
    if key is None:
        raise SettingsError(f"anthropic:{name} (VOICEBOT_LLM, VOICEBOT_LLM_STRONG) needs ANTHROPIC_API_KEY")
    base_url = settings.anthropic_base_url
    client = AsyncAnthropic(api_key=key, base_url=base_url, max_retries=0)
    model = AnthropicModel(name, provider=AnthropicProvider(anthropic_client=client))
    return LanguageModel(
        f"anthropic:{name}", model, prompts, client.close, route=route, vendor=base_url is None, models=models
    )


def _key(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() or None if secret is not None else None


def _text(event: ModelResponseStreamEvent) -> str:
    """The words in an event; thoughts and the rest are not for speaking.

    Raises:
        GenerationFailed: it asks for a tool.
    """
    match event:
        case PartStartEvent(part=TextPart(content=text)):
            return text
        case PartDeltaEvent(delta=TextPartDelta(content_delta=text)):
            return text
        case PartStartEvent(part=BaseToolCallPart()) | PartDeltaEvent(delta=ToolCallPartDelta()):
            raise GenerationFailed("asked for a tool", failure=Failure.TOOL)
        case _:
            return ""


def _conclude(events: StreamedResponse, meter: Meter) -> None:
    """How the stream ended. An endpoint that never says why it stopped was cut off, as far as we know."""
    told = bool((events.provider_details or {}).get("finish_reason"))
    match events.finish_reason:
        case "content_filter":
            raise GenerationFailed("refused", failure=Failure.REFUSAL)
        case "tool_call":
            raise GenerationFailed("asked for a tool", failure=Failure.TOOL)
        case "length" | "error":
            return
        case _:
            meter.finished = told


def _count(events: StreamedResponse, meter: Meter) -> None:
    """Tokens, as far as the endpoint has told: OpenAI with its last chunk, Anthropic at both ends."""
    usage = events.usage
    meter.tokens_in = usage.input_tokens or meter.tokens_in
    meter.tokens_out = usage.output_tokens or meter.tokens_out


def _failed(error: Exception, *, began: bool) -> GenerationFailed:
    wait_s: float | None = None
    match error:
        case ModelRateLimitError():
            failure, wait_s = Failure.RATE_LIMIT, error.retry_after
        case ModelQuotaExceededError() | ModelRequestRejectedError():
            failure = Failure.REJECTED
        case ModelConnectionError():
            failure = Failure.UNREACHABLE
        case ModelHTTPError():
            failure, wait_s = Failure.STATUS, error.retry_after
        case ContentFilterError():
            failure = Failure.REFUSAL
        case _:
            failure = Failure.BROKEN
    reason = type(error).__name__.lstrip("_")
    if isinstance(error, ModelHTTPError):
        reason = f"{reason} {error.status_code}"
    return GenerationFailed(reason, began=began, failure=failure, wait_s=wait_s)
