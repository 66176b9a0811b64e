"""Outside answers from a recording: rows of the system of record, words of language models.

An answer is found by what was asked; equal questions are answered in the order in which they were. What was
never asked has no answer: a read fails as a system that is down does, and the replay says which it was. No
change is ever made.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Mapping
from typing import Any

from voicebot.core import witness
from voicebot.core.store.database import Transaction
from voicebot.dialogue.connectors.connector import Connector, ConnectorError, OutcomeUnknown
from voicebot.dialogue.connectors.noted import CHANGE, ROWS, plain, restored
from voicebot.dialogue.connectors.queries import Query
from voicebot.dialogue.generation.noted import MODEL, digest
from voicebot.dialogue.generation.request import (
    Failure,
    GenerationFailed,
    GenerationRequest,
    Generator,
    Meter,
)

NO_ANSWER = "outside.no_answer"


class Answers:
    """What a recording holds, by what was asked. The last answer to a question is given again."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self._rows: defaultdict[str, deque[dict[str, Any]]] = defaultdict(deque)
        self._words: defaultdict[str, deque[dict[str, Any]]] = defaultdict(deque)
        for event in events:
            kind = event.get("type")
            if kind in {ROWS, CHANGE}:
                self._rows[_asked(kind, event["query"], event["parameters"])].append(event)
            elif kind == MODEL:
                self._words[event["asked"]].append(event)

    @property
    def writers(self) -> bool:
        """Whether a language model wrote anything."""
        return bool(self._words)

    def rows(self, kind: str, query: str, parameters: Mapping[str, Any]) -> dict[str, Any] | None:
        """The next answer; None: it was never asked."""
        return _next(self._rows.get(_asked(kind, query, plain(dict(parameters)))))

    def words(self, asked: str) -> dict[str, Any] | None:
        """The same, of a model."""
        return _next(self._words.get(asked))


def _next(line: deque[dict[str, Any]] | None) -> dict[str, Any] | None:
    if not line:
        return None
    return line.popleft() if len(line) > 1 else line[0]


def _asked(kind: str, query: str, parameters: Any) -> str:
    return f"{kind} {query} {json.dumps(parameters, sort_keys=True)}"


class RecordedConnector:
    """`Connector` that answers from a recording.

    Args:
        answers: of it.
        like: the deployment's, which says what may be asked; it is asked nothing.
        read_s: how long an answer takes, seconds.
    """

    def __init__(self, answers: Answers, like: Connector, read_s: float) -> None:
        self._answers = answers
        self._like = like
        self._read_s = read_s

    @property
    def local(self) -> bool:
        """See `Connector`."""
        return self._like.local

    @property
    def queries(self) -> Mapping[str, Query]:
        """See `Connector`."""
        return self._like.queries

    async def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        """See `Connector`."""
        return await self._answer(ROWS, query, parameters)

    async def change(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        """See `Connector`; nothing is changed."""
        return await self._answer(CHANGE, query, parameters)

    def within(self, tx: Transaction) -> RecordedConnector:
        """See `Connector`."""
        return self

    def keyed(self, key: str) -> RecordedConnector:
        """See `Connector`."""
        return self

    def recalling(self, key: str) -> RecordedConnector:
        """See `Connector`."""
        return self

    async def outcome_of(self, key: str) -> list[dict[str, Any]] | None:
        """See `Connector`."""
        return None

    async def _answer(self, kind: str, query: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        await asyncio.sleep(self._read_s)
        found = self._answers.rows(kind, query, parameters)
        if found is None:
            witness.tell(NO_ANSWER, asked=query)
            raise ConnectorError(f"the recording holds no answer of {query!r} to these parameters")
        if found["error"] == OutcomeUnknown.__name__:
            raise OutcomeUnknown("recorded", "as recorded")
        if found["error"] is not None:
            raise ConnectorError(f"as recorded: {found['error']}")
        return restored(found["rows"])


class RecordedGenerator:
    """`Generator` that writes what a model wrote then.

    Args:
        answers: of the recording.
        like: today's writer, for its name and prompts; it is asked nothing.
    """

    def __init__(self, answers: Answers, like: Generator) -> None:
        self._answers = answers
        self._like = like
        self.name, self.version = like.name, like.version

    def __getattr__(self, name: str) -> Any:
        """What else a writer may have (``vendor``, ``prompt_version``)."""
        return getattr(self._like, name)

    async def stream(self, request: GenerationRequest, meter: Meter | None = None) -> AsyncIterator[str]:
        """See `Generator`."""
        found = self._answers.words(digest(request))
        if found is None:
            witness.tell(NO_ANSWER, asked=self.version)
            raise GenerationFailed("the recording holds no answer to this", failure=Failure.UNREACHABLE)
        before_ms = 0
        for at_ms, token in found["tokens"]:
            await asyncio.sleep((at_ms - before_ms) / 1000)
            before_ms = at_ms
            yield token
        if found["failure"] is not None:
            raise GenerationFailed(
                "as recorded", began=bool(found["tokens"]), failure=Failure(found["failure"])
            )
        if meter is not None:
            meter.finished, meter.prompt = bool(found["finished"]), str(found["prompt"])

    async def close(self) -> None:
        """See `Generator`."""
