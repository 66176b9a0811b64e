"""Who charges a card that was typed in on our own keypad. Only where policy says ``cards: keypad``.

    POST /charges   {"amount": "189.00", "currency": "USD", "number": ..., "expiry": "MMYY", "code": ...}
                    Idempotency-Key: pay_...        -> {"key", "outcome", "confirmation", "reason"}
    GET  /charges?key=pay_...                       -> the same, ``outcome`` "none" if nothing was charged

``outcome``: ``approved``, ``declined``. A charge without an answer is `ChargeUnknown`: then it is read by its
key, and it is never sent again, since the card is gone by then.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal, Protocol

import httpx
import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voicebot.core.settings import Settings
from voicebot.safety.cards import Card

log = structlog.get_logger(__name__)

TIMEOUT_S = 12.0


class ChargeRefused(Exception):
    """Nothing was charged: the processor was not reached, or refuses the request as such."""


class ChargeUnknown(Exception):  # neither charged nor not
    """The card was sent and no answer came."""


@dataclass(frozen=True, slots=True)
class Charged:
    """What came of a charge. ``none``: nothing was ever charged under the key."""

    outcome: Literal["approved", "declined", "none"]
    confirmation: str = ""
    reason: str = ""


class CardProcessor(Protocol):
    """Charges cards, once per key."""

    async def charge(self, card: Card, *, amount: str, currency: str, key: str) -> Charged:
        """Charges a card. The card's digits are the caller's to wipe.

        Raises:
            ChargeRefused: nothing was charged.
            ChargeUnknown: it may have been.
        """
        ...

    async def outcome_of(self, key: str) -> Charged:
        """What came of a charge.

        Raises:
            ChargeUnknown: that cannot be told now.
        """
        ...

    async def close(self) -> None:
        """Ends its connections."""
        ...


class _Answer(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    key: str
    outcome: Literal["approved", "declined", "none"]
    confirmation: str = Field(default="", max_length=128)
    reason: str = Field(default="", max_length=64)


class HttpCardProcessor:
    """The processor at ``VOICEBOT_CARD_PROCESSOR``; an adapter in front of a real one speaks these requests.

    Args:
        client: with the base URL, its authorisation and its timeout.
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    @classmethod
    def from_settings(cls, settings: Settings) -> HttpCardProcessor | None:
        """From the settings; None: there is none."""
        if settings.card_processor is None:
            return None
        token = settings.card_processor_token
        headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token is not None else {}
        return cls(
            httpx.AsyncClient(
                base_url=settings.card_processor, headers=headers, timeout=TIMEOUT_S, trust_env=False
            )
        )

    async def charge(self, card: Card, *, amount: str, currency: str, key: str) -> Charged:
        """See `CardProcessor.charge`."""
        body = bytearray()
        for piece in (
            b'{"amount":"', amount.encode(), b'","currency":"', currency.encode(), b'","number":"',
            card.number.view(), b'","expiry":"', card.expiry.view(), b'","code":"', card.code.view(), b'"}',
        ):  # fmt: skip
            body += piece
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        try:
            response = await self._client.post("/charges", content=_once(body), headers=headers)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise ChargeRefused(type(error).__name__) from None
        except httpx.HTTPError as error:
            raise ChargeUnknown(type(error).__name__) from None
        finally:
            for place in range(len(body)):
                body[place] = 0
        if 400 <= response.status_code < 500:
            raise ChargeRefused(f"status {response.status_code}")
        return _read(response, key)

    async def outcome_of(self, key: str) -> Charged:
        """See `CardProcessor.outcome_of`."""
        try:
            return _read(await self._client.get("/charges", params={"key": key}), key)
        except httpx.HTTPError as error:
            raise ChargeUnknown(type(error).__name__) from None

    async def close(self) -> None:
        """Ends its connections."""
        await self._client.aclose()


async def _once(body: bytearray) -> AsyncIterator[bytes]:
    yield bytes(body)


def _read(response: httpx.Response, key: str) -> Charged:
    """An answer that can be believed; errors never quote what was sent."""
    if response.status_code != 200:
        raise ChargeUnknown(f"status {response.status_code}")
    try:
        answer = _Answer.model_validate_json(response.content)
    except ValidationError as error:
        fields = sorted({".".join(map(str, one["loc"])) for one in error.errors()})
        raise ChargeUnknown(f"no answer of this form ({', '.join(fields)})") from None
    if answer.key != key:
        raise ChargeUnknown("it answers for another key")
    return Charged(answer.outcome, answer.confirmation, answer.reason)
