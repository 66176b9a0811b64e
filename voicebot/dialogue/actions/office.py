"""What our own house does for a change, on the change's transaction: messages and payments."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from voicebot.core.store import payments, text_messages
from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing


class OwnOffice:
    """The house of one act. Not for use after its transaction."""

    def __init__(
        self,
        tx: Transaction,
        keys: KeyRing,
        *,
        conversation_id: str,
        turn: int,
        key: str,
        cards: payments.Way = "pay",
    ) -> None:
        self._cards: payments.Way = cards
        self._tx = tx
        self._keys = keys
        self._conversation_id = conversation_id
        self._turn = turn
        self._key = key

    async def text(self, to: str, words: str) -> str:
        """Queues one text message of this act; twice is once."""
        return await text_messages.order(
            self._tx, self._keys, conversation_id=self._conversation_id, key=self._key, to=to, words=words
        )

    async def take_payment(
        self, *, about: str, amount: Decimal, currency: str, book: str, parameters: Mapping[str, Any]
    ) -> bool:
        """Has a card taken for what was agreed to. False: a payment for the same thing is under way."""
        return await payments.order(
            self._tx,
            self._keys,
            conversation_id=self._conversation_id,
            turn=self._turn,
            act_key=self._key,
            way=self._cards,
            amount_cents=int(amount * 100),
            currency=currency,
            about=about,
            details={"book": book, "parameters": dict(parameters)},
        )
