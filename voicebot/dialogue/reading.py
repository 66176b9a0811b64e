"""The reading side of one plan, on the real database. Every read of personal data is logged, as discarded
until the plan is committed: a plan that is thrown away, or whose node dies, has read all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voicebot.core.conversation import ToolRead
from voicebot.core.store import audit
from voicebot.core.store.database import Database, Transaction
from voicebot.dialogue.actions.registry import ToolRefused, ToolRegistry
from voicebot.dialogue.actions.tool import Outcome, ToolContext
from voicebot.dialogue.connectors.connector import Connector
from voicebot.dialogue.knowledge.search import Passage, search
from voicebot.safety.identity import GateRules, IdentityRecord, VerifiedCustomer


class PlanReads:
    """Reads for one plan. ``actor`` names the plan in the access log: ``bot:TRANSACTION``."""

    def __init__(
        self,
        *,
        database: Database,
        connector: Connector,
        tools: ToolRegistry,
        rules: GateRules,
        conversation_id: str,
        turn: int,
        transaction_id: str,
    ) -> None:
        self._database = database
        self._connector = connector
        self._tools = tools
        self._rules = rules
        self._id = conversation_id
        self._turn = turn
        self.actor = f"bot:{transaction_id}"
        self.personal = 0
        """How many reads of personal data were logged."""

    async def articles(self, question: str, *, intent: str | None) -> list[Passage]:
        """Passages that may answer, best first."""
        async with self._database.transaction() as tx:
            return await search(tx, question, intent=intent)

    async def identities(self, references: Sequence[str]) -> list[tuple[str, IdentityRecord]]:
        """Records found under the references.

        Raises:
            ConnectorError: the system of record does not answer.
        """
        reference, *others = self._rules.factors
        names = [factor.name for factor in others]
        await self._log("identity", ["customer_id", *names], "identity_check")
        found: list[tuple[str, IdentityRecord]] = []
        for value in references:
            rows = await self._connector.rows(f"identity_by_{reference.name}", **{reference.name: value})
            found += [
                (
                    value,
                    IdentityRecord(
                        customer_id=row["customer_id"], values={name: str(row[name]) for name in names}
                    ),
                )
                for row in rows
            ]
        return found

    async def tool(
        self, name: str, slots: Mapping[str, Any], *, customer: VerifiedCustomer | None, purpose: str
    ) -> tuple[ToolRead, Outcome | None]:
        """One reading tool, called with those of the slots that its input names."""
        tool = self._tools.get(name)
        arguments = {key: value for key, value in slots.items() if key in tool.request.model_fields}
        if tool.needs_identity:
            await self._log(tool.resource, sorted(tool.result.model_fields), purpose)
        try:
            return await self._tools.read(
                name,
                arguments,
                context=ToolContext(records=self._connector),
                customer=customer,
                conversation_id=self._id,
            )
        except ToolRefused as error:
            return ToolRead(tool=name, arguments=arguments, error=str(error)), None

    async def _log(self, resource: str, fields: Sequence[str], purpose: str) -> None:
        """Written before the read, in a transaction of its own: the log outlives the plan."""
        self.personal += 1
        async with self._database.transaction() as tx:
            await audit.access(
                tx,
                actor=self.actor,
                resource=resource,
                fields=fields,
                purpose=purpose,
                conversation_id=self._id,
                turn=self._turn,
                discarded=True,
            )


async def mark_used(tx: Transaction, *, conversation_id: str, turn: int, actor: str) -> None:
    """In the commit: what the plan read was not thrown away."""
    await tx.execute(
        "UPDATE access_log SET discarded = false WHERE conversation_id = %s AND turn = %s AND actor = %s",
        (conversation_id, turn, actor),
    )
