"""A system of record behind HTTP: queries and changes by name, changes under a key that makes twice once.

    POST /queries/NAME   {"values": {...}}                        -> answer
    POST /changes/NAME   {"values": {...}}, Idempotency-Key: KEY  -> answer; the first again for the same key
    GET  /changes?key=KEY                                         -> {"key": KEY, "answer": answer or null}

    answer: {"asked": NAME, "values": {...}, "key": KEY or null, "rows": [...]}

An answer repeats what was asked. One that says something else, has other columns than ``queries.sql``
declares, or is no answer at all, is not believed: then a read failed, and what came of a change is unknown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import httpx
import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from voicebot.core.store.database import Transaction
from voicebot.dialogue.connectors.connector import ConnectorError, NeverDone, NoWriteHere, OutcomeUnknown
from voicebot.dialogue.connectors.queries import Query

log = structlog.get_logger(__name__)

KEY_HEADER = "Idempotency-Key"
MAX_ANSWER_BYTES = 1_000_000
_REFUSED = range(400, 500)
_NOT_NOW = frozenset({408, 425, 429})


class _Closed(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Answer(_Closed):
    """What the service says, with what it was asked."""

    asked: str
    values: dict[str, Any]
    key: str | None
    rows: list[dict[str, Any]]


class Remembered(_Closed):
    """What came of a key; ``answer`` is None where nothing was ever changed under it."""

    key: str
    answer: Answer | None


class _Doubtful(Exception):
    """No answer, or none that can be believed. ``sent``: it may have reached the service."""

    def __init__(self, why: str, *, sent: bool) -> None:
        self.sent = sent
        super().__init__(why)


class HttpConnector:
    """The deployment's named queries on a remote service. Shared by all conversations of a node.

    Args:
        client: with the service's base URL, its authorisation and timeouts. Whoever made it closes it.
        queries: what may be asked, each with its ``row``.
        attempts: how often a read, or a change under one key, is sent before it is given up.
    """

    local = False

    def __init__(
        self,
        client: httpx.AsyncClient,
        queries: Mapping[str, Query],
        *,
        attempts: int = 2,
        key: str | None = None,
        recalls: bool = False,
    ) -> None:
        self._client = client
        self._queries = queries
        self._attempts = attempts
        self._key = key
        self._recalls = recalls

    @property
    def queries(self) -> Mapping[str, Query]:
        """What may be asked, by name."""
        return self._queries

    async def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        """All rows of a reading query; tried again when no answer came.

        Raises:
            ConnectorError: no such query, or the service does not answer it.
        """
        asked = self._query(query)
        if asked.changes:
            raise NoWriteHere(f"query {query!r} changes {asked.changes}: a read cannot ask it")
        values = _plain(parameters)
        for left in reversed(range(self._attempts)):
            try:
                return _typed(asked, await self._post(f"/queries/{query}", query, values, None))
            except _Doubtful as error:
                if not left:
                    raise ConnectorError(f"no answer to the query {query!r}: {error}") from error
        raise AssertionError("attempts is at least one")

    async def change(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        """Makes a change under the key, tried again with the same key when no answer came.

        Raises:
            NoWriteHere: there is no key.
            ConnectorError: it was refused, or the service was never reached: nothing was changed.
            NeverDone: only recalled, and nothing was ever changed under the key.
            OutcomeUnknown: it may have been made.
        """
        asked = self._query(query)
        if self._key is None:
            raise NoWriteHere(f"query {query!r} changes {asked.changes or 'nothing'}: only an act may ask it")
        if not asked.changes:
            raise ConnectorError(f"query {query!r} changes nothing: read it")
        values = _plain(parameters)
        if self._recalls:
            return await self._recalled(asked, values)
        sent = False
        why = ""
        for _ in range(self._attempts):
            try:
                return _typed(asked, await self._post(f"/changes/{query}", query, values, self._key))
            except _Doubtful as error:
                sent, why = sent or error.sent, str(error)
                log.warning("connector.no_answer", query=query, key=self._key, sent=error.sent, why=why)
            except ConnectorError as error:
                if sent:  # refused now, but an earlier one may have got through
                    raise OutcomeUnknown(self._key, str(error)) from error
                raise
        if sent:
            raise OutcomeUnknown(self._key, why)
        raise ConnectorError(f"the system of record cannot be reached: {why}")

    async def close(self) -> None:
        """Ends its connections."""
        await self._client.aclose()

    def within(self, tx: Transaction) -> HttpConnector:
        """Never: these records are elsewhere."""
        raise NoWriteHere("these records are not in our database: use `keyed`")

    def keyed(self, key: str) -> HttpConnector:
        """The same service for one act."""
        return HttpConnector(self._client, self._queries, attempts=self._attempts, key=key)

    def recalling(self, key: str) -> HttpConnector:
        """The same service, where `change` only reads what came of ``key``."""
        return HttpConnector(self._client, self._queries, attempts=self._attempts, key=key, recalls=True)

    async def outcome_of(self, key: str) -> list[dict[str, Any]] | None:
        """The rows of the change made under ``key``; None if there is none.

        Raises:
            ConnectorError: it cannot be told now.
        """
        answer = await self._remembered(key)
        return None if answer is None else _believed(self._query(answer.asked), answer)

    async def _recalled(self, asked: Query, values: dict[str, Any]) -> list[dict[str, Any]]:
        assert self._key is not None
        answer = await self._remembered(self._key)
        if answer is None:
            raise NeverDone(f"nothing was changed under {self._key}")
        if (answer.asked, answer.values) != (asked.name, values):
            raise ConnectorError(f"something else was changed under {self._key}")
        return _believed(asked, answer)

    async def _remembered(self, key: str) -> Answer | None:
        for left in reversed(range(self._attempts)):
            try:
                response = await self._client.get("/changes", params={"key": key})
            except httpx.TransportError as error:
                if not left:
                    raise ConnectorError(
                        f"what came of {key} cannot be read: {type(error).__name__}"
                    ) from error
                continue
            if response.status_code == 200:
                try:
                    remembered = Remembered.model_validate_json(response.content)
                except ValidationError:
                    raise ConnectorError(f"what came of {key} cannot be understood") from None
                answer = remembered.answer
                if remembered.key != key or (answer is not None and answer.key != key):
                    raise ConnectorError(f"asked for {key}, told of another key")
                return answer
            if not left:
                raise ConnectorError(f"what came of {key} cannot be read: status {response.status_code}")
        raise AssertionError("attempts is at least one")

    async def _post(self, path: str, query: str, values: dict[str, Any], key: str | None) -> Answer:
        """One attempt.

        Raises:
            _Doubtful: no answer that can be believed.
            ConnectorError: the service refuses it.
        """
        headers = {} if key is None else {KEY_HEADER: key}
        try:
            response = await self._client.post(path, json={"values": values}, headers=headers)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise _Doubtful(type(error).__name__, sent=False) from error
        except httpx.TransportError as error:
            raise _Doubtful(type(error).__name__, sent=True) from error
        status = response.status_code
        if status in _REFUSED and status not in _NOT_NOW:
            raise ConnectorError(f"the system of record refuses {query!r}: status {status}")
        if status != 200 or len(response.content) > MAX_ANSWER_BYTES:
            raise _Doubtful(f"status {status}, {len(response.content)} bytes", sent=True)
        try:
            answer = Answer.model_validate_json(response.content)
        except ValidationError as error:
            fields = sorted({".".join(map(str, one["loc"])) for one in error.errors()})
            raise _Doubtful(f"no answer of this form ({', '.join(fields)})", sent=True) from None
        if (answer.asked, answer.values, answer.key) != (query, values, key):
            raise _Doubtful("it answers something that was not asked", sent=True)
        return answer

    def _query(self, name: str) -> Query:
        asked = self._queries.get(name)
        if asked is None:
            raise ConnectorError(f"no query {name!r}; known are {', '.join(sorted(self._queries))}")
        return asked


def _typed(query: Query, answer: Answer) -> list[dict[str, Any]]:
    """Rows in the types that the query declares; `_Doubtful` when they have another shape."""
    try:
        return _believed(query, answer)
    except ConnectorError as error:
        raise _Doubtful(str(error), sent=True) from None


def _believed(query: Query, answer: Answer) -> list[dict[str, Any]]:
    if query.shape is None:
        raise ConnectorError(f"query {query.name!r} declares no `row:`, so no answer can be believed")
    try:
        return [dict(query.shape.model_validate_json(json.dumps(row))) for row in answer.rows]
    except ValidationError as error:
        columns = sorted({".".join(map(str, one["loc"])) for one in error.errors()})
        raise ConnectorError(f"query {query.name!r}: rows of another shape ({', '.join(columns)})") from None


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as JSON has them, so that what is repeated can be compared."""
    return json.loads(json.dumps(dict(values), default=_as_text))


def _as_text(value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"a query's value cannot be a {type(value).__name__}")
