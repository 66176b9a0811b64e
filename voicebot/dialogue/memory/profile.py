"""The customer as the system of record has him: two queries of the deployment, read when needed, never kept.

``customer_profile(customer_id)`` gives one row with the columns of `Profile`; ``open_orders(customer_id)``
rows with those of `OpenOrder`. A deployment without them has customers without a profile.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from voicebot.core.conversation import Strict
from voicebot.dialogue.connectors.connector import Connector, ConnectorError

PROFILE_QUERY = "customer_profile"
ORDERS_QUERY = "open_orders"


class Consents(Strict):
    """What the customer has agreed to. Unknown is no."""

    memory: bool = False
    """That conversations are remembered, so that he need not repeat himself."""
    training: bool = False
    """That conversations may be used to make the assistant better."""


class Profile(Strict):
    """One customer."""

    preferred_name: str | None = None
    language: str | None = None
    region: str | None = None
    segment: str | None = None
    consents: Consents = Consents()


class OpenOrder(Strict):
    """An order that is not finished."""

    number: str
    status: str


async def read_profile(connector: Connector, customer_id: str) -> Profile:
    """The customer's profile; an empty one (which consents to nothing) if he is not on record.

    Raises:
        ConnectorError: the system of record does not answer, or with something else than a profile.
    """
    rows = await connector.rows(PROFILE_QUERY, customer_id=customer_id)
    if not rows:
        return Profile()
    row: dict[str, Any] = dict(rows[0])
    consents = {name: row.pop(f"consent_{name}", False) for name in Consents.model_fields}
    try:
        return Profile(**row, consents=Consents(**consents))
    except (ValidationError, TypeError) as error:
        raise ConnectorError(f"query {PROFILE_QUERY!r}: its columns are not those of a profile") from error


async def read_open_orders(connector: Connector, customer_id: str) -> tuple[OpenOrder, ...]:
    """Orders that are not finished, newest first.

    Raises:
        ConnectorError: as `read_profile`.
    """
    rows = await connector.rows(ORDERS_QUERY, customer_id=customer_id)
    try:
        return tuple(OpenOrder(**row) for row in rows)
    except (ValidationError, TypeError) as error:
        raise ConnectorError(f"query {ORDERS_QUERY!r}: its columns are not those of an order") from error
