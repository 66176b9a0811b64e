"""A writer's tokens, each in its time: the waits of an answer, and what it means when one is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, cast

from voicebot.dialogue.generation.report import Attempt
from voicebot.dialogue.generation.request import Failure, GenerationFailed, GenerationRequest
from voicebot.dialogue.generation.writers import Writer, Writers


class TimedTokens:
    """One try of one writer. Iterate `tokens` once; say when a clause stands.

    Args:
        writer: whose tokens.
        attempt: takes down when they came.
        request: the answer.
        writers: deadlines and clock.
        patience_s: how long the first clause may take.
    """

    def __init__(
        self,
        writer: Writer,
        attempt: Attempt,
        request: GenerationRequest,
        writers: Writers,
        patience_s: float,
    ) -> None:
        self._writer = writer
        self._attempt = attempt
        self._request = request
        self._writers = writers
        self._limit_s = patience_s
        self._clause_s = writers.clock()

    def clause_stands(self) -> None:
        """A clause was given: the time for the next one begins."""
        self._clause_s = self._writers.clock()
        self._limit_s = self._writers.deadlines.between_clauses_s

    async def tokens(self) -> AsyncGenerator[str]:
        """The tokens.

        Raises:
            GenerationFailed: the writer failed, or one did not come in time.
        """
        clock, deadlines, attempt = self._writers.clock, self._writers.deadlines, self._attempt
        stream = cast("AsyncGenerator[str, Any]", self._writer.generator.stream(self._request, attempt.meter))
        try:
            while True:
                now, began = clock(), attempt.first_token_s is not None
                limit_s = deadlines.step_s(
                    waited_s=now - attempt.began_s,
                    clause_age_s=now - self._clause_s,
                    clause_limit_s=self._limit_s,
                    tokens=began,
                )
                try:
                    async with asyncio.timeout(limit_s):
                        token = await anext(stream)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    waiting = deadlines.between_tokens_s if began else deadlines.first_token_s
                    stalled = limit_s >= waiting or not began
                    failure = Failure.STALL if stalled else Failure.TOO_LONG
                    reason = "no token in time" if stalled else "no clause or no end in time"
                    raise GenerationFailed(reason, began=began, failure=failure) from None
                if attempt.first_token_s is None and token.strip():
                    attempt.first_token_s = clock()
                attempt.chars_out += len(token)
                yield token
        finally:
            if hasattr(stream, "aclose"):
                await stream.aclose()
