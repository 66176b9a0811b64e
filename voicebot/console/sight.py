"""What one reader of a live transcript sees: values for who has the handoff, tokens for everybody else."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from voicebot.console.readers import Reader
from voicebot.console.reading import Console
from voicebot.core.store import audit, handoffs, vault
from voicebot.core.transcript import Told
from voicebot.handoff.views import revealed
from voicebot.safety.pii.masking import TOKEN


class Sight:
    """One per reader and stream. It is looked up anew whenever a handoff or transfer takes a step.

    Only lines are opened: a token in words that go on may yet become another's.

    Args:
        console: what is read from.
        reader: who reads.
        conversation_id: what they read.
        reveals: kinds of values that who has a handoff may see.
    """

    def __init__(
        self, console: Console, reader: Reader, conversation_id: str, reveals: Collection[str]
    ) -> None:
        self._console = console
        self._reader = reader
        self._id = conversation_id
        self._reveals = reveals
        self._holds: bool | None = None
        self._values: Mapping[str, str] = {}
        self._logged: set[str] = set()

    async def seen(self, entry: Told) -> Told:
        """The entry as the reader sees it.

        Raises:
            DatabaseDown: it cannot be known who has the handoff; nothing was shown.
            KeysError: the values cannot be opened (any more).
        """
        if self._reader.role == "api":
            return entry
        if self._holds is None or entry.type in ("handoff", "transfer"):
            await self._look()
        if entry.type != "line" or not self._holds or TOKEN.search(entry.text) is None:
            return entry
        if any(token not in self._values for token in TOKEN.findall(entry.text)):
            await self._look()  # the line is younger than what was read of the vault
        view = revealed(entry.text, self._values, self._reveals)
        if fresh := set(view.kinds) - self._logged:
            await self._log(fresh)
        return entry.model_copy(update={"text": view.shown})

    async def _look(self) -> None:
        async with self._console.database.transaction() as tx:
            rows = await handoffs.list(tx, conversation_id=self._id, limit=100)
            self._holds = any(self._reader.holds(row) for row in rows)
            self._values = await vault.values(tx, self._console.keys, self._id) if self._holds else {}

    async def _log(self, kinds: set[str]) -> None:
        async with self._console.database.transaction() as tx:
            await audit.access(
                tx,
                actor=self._reader.who,
                resource="conversation",
                fields=sorted(kinds),
                purpose="handoff.held",
                conversation_id=self._id,
            )
        self._logged |= kinds
