"""The vault: the values behind a conversation's tokens, each sealed, under a key of their own purpose.

A value is written with the turn that first said it, and never changed. Whoever holds the conversation's other
data cannot open it: the key is derived from the subject's for this purpose alone, and goes with it when the
subject is erased; the rows go with the conversation. Read by the dialogue's door only.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import Cipher, KeyRing

_HIDDEN_FROM = 4


async def save(
    tx: Transaction, keys: KeyRing, conversation_id: str, *, turn: int, values: Mapping[str, str]
) -> None:
    """Writes new values. A token that is there already keeps its value.

    Raises:
        LookupError: there is no such conversation.
        SubjectErased: its key was deleted.
    """
    if not values:
        return
    cipher = vault_cipher(await keys.cipher_of(tx, conversation_id))
    for token, value in values.items():
        await tx.execute(
            "INSERT INTO vault (conversation_id, token, turn, sealed_value) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (conversation_id, token) DO NOTHING",
            (conversation_id, token, turn, cipher.seal(value.encode(), _at(conversation_id, token))),
        )


async def forget(tx: Transaction, conversation_id: str, tokens: Collection[str]) -> None:
    """Deletes values that must not be kept. Their tokens stay where they stand, and mean nothing."""
    if tokens:
        await tx.execute(
            "DELETE FROM vault WHERE conversation_id = %s AND token = ANY(%s)",
            (conversation_id, list(tokens)),
        )


async def values(tx: Transaction, keys: KeyRing, conversation_id: str) -> dict[str, str]:
    """Every value of a conversation by its token, in the order they were said.

    Raises:
        SubjectErased: the conversation's key was deleted.
        SealBroken: a value was altered or moved.
    """
    cursor = await tx.execute(
        "SELECT token, sealed_value FROM vault WHERE conversation_id = %s ORDER BY created_at, token",
        (conversation_id,),
    )
    rows = await cursor.fetchall()
    if not rows:
        return {}
    cipher = vault_cipher(await keys.cipher_of(tx, conversation_id))
    return {
        row["token"]: cipher.open(row["sealed_value"], _at(conversation_id, row["token"])).decode()
        for row in rows
    }


def tokens_for(values: Mapping[str, str], given: Any) -> Any:
    """Plain JSON values with tokens for strings that are, or hold, a value of four characters and more."""
    match given:
        case str():
            for token, value in values.items():
                if len(value) >= _HIDDEN_FROM and value in given:
                    given = given.replace(value, token)
            return given
        case dict():
            return {key: tokens_for(values, one) for key, one in given.items()}  # pyright: ignore[reportUnknownVariableType]
        case list() | tuple():
            return [tokens_for(values, one) for one in given]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return given


def vault_cipher(subject: Cipher) -> Cipher:
    """What seals the caller's own values: derived from the subject's key for this purpose alone."""
    return Cipher(subject.derive("vault"), subject.subject_id)


def _at(conversation_id: str, token: str) -> str:
    return f"vault:{conversation_id}:{token}"
