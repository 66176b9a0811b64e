"""What the dialogue asks of a system of record, whatever it is made of.

    rows = await connector.rows("order_by_number", order_number="427103", customer_id="cu_00001")

    within = connector.within(tx)            # a local one: the change is part of our transaction
    keyed = connector.keyed("cv_...:3:cancel_order")    # a remote one: the change carries its key
    rows = await keyed.change("cancel_order", order_number="427103", ...)

Errors::

    ConnectorError          it cannot answer, or refuses: nothing was changed
    +-- NoWriteHere         a change where only reading is allowed
    +-- NeverDone           nothing was done under the key that was asked for
    OutcomeUnknown          the change was sent and no answer came: it may have been made
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from voicebot.core.store.database import Transaction
from voicebot.dialogue.connectors.queries import Query


class ConnectorError(Exception):
    """The system of record cannot answer: it is down, too slow, or refuses the query. Nothing was changed."""


class NoWriteHere(ConnectorError):
    """A change was asked of a connector that only reads: changes need `within` or `keyed`."""


class NeverDone(ConnectorError):
    """No change was made under this key: it may be tried (again) with the same one."""


class OutcomeUnknown(Exception):  # neither done nor not done
    """A change was sent to a remote system and no answer came: ask `Connector.outcome_of` next.

    Attributes:
        key: what it was sent under.
    """

    def __init__(self, key: str, why: str) -> None:
        self.key = key
        super().__init__(f"no answer to the change {key} ({why}): read what came of it by its key")


class Connector(Protocol):
    """Named queries with parameters, rows of plain values. Shared by all conversations of a node.

    Attributes:
        local: the records are in our own database: a change happens on the turn's transaction (`within`).
            Else a change happens elsewhere, under a key (`keyed`), and may end in `OutcomeUnknown`.
        queries: what may be asked, with scopes and shapes.
    """

    @property
    def local(self) -> bool:
        """Whether changes are made on our own transaction."""
        ...

    @property
    def queries(self) -> Mapping[str, Query]:
        """What may be asked, by name."""
        ...

    async def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        """All rows of a reading query.

        Raises:
            ConnectorError: it cannot be answered, or no such query exists.
        """
        ...

    async def change(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        """Makes one change and gives its rows.

        Raises:
            NoWriteHere: this connector was not made by `within`, `keyed` or `recalling`.
            ConnectorError: it was not made.
            NeverDone: `recalling` found nothing.
            OutcomeUnknown: nobody knows whether it was made.
        """
        ...

    def within(self, tx: Transaction) -> Connector:
        """The same records on our own transaction: reads see its changes. Local ones only."""
        ...

    def keyed(self, key: str) -> Connector:
        """The same records for one act: its change goes out under ``key``, so twice is once. Remote ones."""
        ...

    def recalling(self, key: str) -> Connector:
        """The same records, where `change` changes nothing and gives what came of ``key``. Remote ones."""
        ...

    async def outcome_of(self, key: str) -> list[dict[str, Any]] | None:
        """The rows of the change that was made under ``key``; None if there is none. Remote ones.

        Raises:
            ConnectorError: it cannot be told now.
        """
        ...
