"""A writer whose answers are told to the witness of the call, token by token, with their times."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from voicebot.core import witness
from voicebot.dialogue.generation.request import GenerationFailed, GenerationRequest, Generator, Meter

MODEL = "outside.model"


class NotedGenerator:
    """See `Generator`; everything is asked of ``inner``."""

    def __init__(self, inner: Generator) -> None:
        self.inner = inner
        self.name, self.version = inner.name, inner.version

    def __getattr__(self, name: str) -> Any:
        """What else a writer may have (``vendor``, ``prompt_version``)."""
        return getattr(self.inner, name)

    async def stream(self, request: GenerationRequest, meter: Meter | None = None) -> AsyncIterator[str]:
        """See `Generator`."""
        meter = meter or Meter()
        began_s = time.monotonic()
        tokens: list[tuple[int, str]] = []
        failure: str | None = None
        try:
            async with aclosing(self.inner.stream(request, meter)) as stream:  # type: ignore[type-var]
                async for token in stream:
                    tokens.append((round((time.monotonic() - began_s) * 1000), token))
                    yield token
        except GenerationFailed as failed:
            failure = failed.failure.value
            raise
        finally:
            witness.tell(
                MODEL,
                writer=self.version,
                asked=digest(request),
                route=request.route.value,
                tokens=tokens,
                failure=failure,
                prompt=meter.prompt,
                finished=meter.finished,
            )

    async def close(self) -> None:
        """See `Generator`."""
        await self.inner.close()


def digest(request: GenerationRequest) -> str:
    """Names what was asked, without saying it: equal for equal requests of any conversation."""
    asked = request.model_dump_json(exclude={"conversation_id", "turn"})
    return hashlib.sha256(asked.encode()).hexdigest()[:16]
