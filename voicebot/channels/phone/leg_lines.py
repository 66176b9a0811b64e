"""Lines of a leg on their way into the transcript: masked as the caller's turns are, stored once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from voicebot.core.conversation import Event
from voicebot.core.store import outbox, vault
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.tokens import Leg
from voicebot.core.transcript import LEG_LINE
from voicebot.safety.pii.checksums import is_card
from voicebot.safety.pii.finding import Shapes
from voicebot.safety.pii.masking import Carry, Masker


@dataclass(frozen=True, slots=True)
class HeardLine:
    """What one side said, as it was recognised. ``sure``: whether the recogniser trusts it. ``n``: from 1.

    ``from_ms``, ``until_ms``: where it stands in the leg's sound, if that is known.
    """

    n: int
    text: str
    sure: bool
    at: datetime
    from_ms: int | None = None
    until_ms: int | None = None


Held = Literal["nothing", "personal", "card"]
"""What a line held."""


def may_be_heard(line: HeardLine, held: Held) -> bool:
    """Whether a recording is played where the line lies: what was not well understood may hold anything."""
    return line.sure and held == "nothing"


class LegOver(Exception):
    """The conversation has ended, or the bot has taken it back: nothing more of this leg is written."""


class LegLines:
    """One per leg.

    Args:
        database: where lines go.
        keys: seal them.
        shapes: the deployment's numbers, for masking.
        conversation_id: whose transcript it is.
        leg: who speaks.
        stream_sid: of this stream; a line is known by it and its number, so that twice is once.
        epoch: media session of the bot that stepped back; a later one ends the leg.
    """

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        shapes: Shapes,
        *,
        conversation_id: str,
        leg: Leg,
        stream_sid: str,
        epoch: int,
    ) -> None:
        self._database = database
        self._keys = keys
        self._shapes = shapes
        self._conversations = Conversations(keys)
        self._id = conversation_id
        self._leg: Leg = leg
        self._stream_sid = stream_sid
        self._epoch = epoch
        self._values: Mapping[str, str] = {}
        self._carry: Carry | None = None

    def so_far(self, text: str) -> dict[str, Any]:
        """Data of a partial: words that go on, so that digits at their end may become a number."""
        masker = Masker(self._shapes, self._values, carry=self._carry)
        return {"who": self._leg, "text": masker.open_end(masker.mask(text, learn=False).text)}

    async def check(self) -> None:
        """Looks whether the leg is still to be heard, and what the conversation knows by now.

        Raises:
            LegOver: no.
            DatabaseDown: it cannot be known.
            SubjectErased: what is said here is not kept.
        """
        async with self._database.reading() as tx:
            query = "SELECT epoch, status FROM conversations WHERE id = %s"
            row = await (await tx.execute(query, (self._id,))).fetchone()
            if row is None or row["epoch"] != self._epoch or row["status"] == "ended":
                raise LegOver
            self._values = await vault.values(tx, self._keys, self._id)

    async def store(self, line: HeardLine) -> Held:
        """Writes a line, masked with what the conversation knows by then. Returns what it held.

        Raises:
            LegOver: it is not wanted any more.
            DatabaseDown: try again; twice is once.
            SubjectErased: what was said here is not kept.
        """
        async with self._database.transaction() as tx:
            # Both legs make tokens for what is new: under the conversation's lock none is made twice.
            snapshot = await self._conversations.load(tx, self._id, lock=True)
            if snapshot.epoch != self._epoch or snapshot.status == "ended":
                raise LegOver
            values = await vault.values(tx, self._keys, self._id)
            masker = Masker(self._shapes, values, carry=self._carry, turn=line.n)
            masked = masker.mask(line.text)
            text = masker.open_end(masked.text)
            await vault.save(tx, self._keys, self._id, turn=snapshot.turn, values=masker.kept)
            await vault.forget(tx, self._id, masker.unkept)
            event = Event(
                id=f"ev_{self._id[3:]}_{self._stream_sid}_{line.n}",
                type=LEG_LINE,
                conversation_id=self._id,
                time=line.at.astimezone(UTC),
                data={"who": self._leg, "text": text, "sure": line.sure},
            )
            await outbox.append(tx, self._keys, snapshot.subject_id, event)
        self._values, self._carry = dict(masker.values), masked.carry
        if any(is_card(value) for value in masker.fresh.values()):
            return "card"
        return "nothing" if text == line.text else "personal"
