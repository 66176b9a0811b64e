"""What people at the desk write to customers in chats: sealed, each once, and whether it has reached them.

A line's number is the ``seq`` of its event, so that lines of all who write stand in one order.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString

from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing
from voicebot.core.store.vault import vault_cipher

_COLUMNS: LiteralString = (
    "l.line, l.conversation_id, l.handoff_id, l.who, l.key, l.told_at, l.created_at, l.sealed_text"
)


@dataclass(frozen=True, slots=True)
class ChatLine:
    """What somebody wrote. ``told_at``: when it reached the customer, None: not yet."""

    line: int
    conversation_id: str
    handoff_id: str
    who: str
    created_at: datetime
    told_at: datetime | None
    text: str = field(repr=False)


async def insert(
    tx: Transaction,
    keys: KeyRing,
    *,
    line: int,
    conversation_id: str,
    subject_id: str,
    handoff_id: str,
    who: str,
    key: str,
    text: str,
) -> None:
    """Writes one. ``key``: the sender's own name for it, under which it is found when it is sent again.

    Raises:
        SubjectErased: nothing of this conversation can be kept.
    """
    cipher = vault_cipher(await keys.cipher(tx, subject_id))
    await tx.execute(
        "INSERT INTO chat_lines (line, conversation_id, handoff_id, who, key, sealed_text)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (line, conversation_id, handoff_id, who, key, cipher.seal(text.encode(), _at(line))),
    )


async def of_key(tx: Transaction, keys: KeyRing, handoff_id: str, who: str, key: str) -> ChatLine | None:
    """What ``who`` wrote under this name; None: nothing.

    Raises:
        SubjectErased: it was erased.
    """
    found = await _read(tx, keys, "l.handoff_id = %s AND l.who = %s AND l.key = %s", (handoff_id, who, key))
    return found[0] if found else None


async def since(tx: Transaction, keys: KeyRing, afters: Mapping[str, int | None]) -> builtins.list[ChatLine]:
    """By conversation: lines that have reached nobody, and those above a number. In order."""
    return await _read(
        tx,
        keys,
        "EXISTS (SELECT 1 FROM unnest(%s::text[], %s::bigint[]) a(id, after) WHERE a.id = l.conversation_id"
        " AND (l.told_at IS NULL OR l.line > a.after))"
        " AND l.conversation_id = ANY(%s)",
        (builtins.list(afters), builtins.list(afters.values()), builtins.list(afters)),
    )


async def of_handoff(tx: Transaction, handoff_id: str) -> builtins.list[dict[str, Any]]:
    """Every line of a hand-over without its words: ``line, who, created_at, told_at``."""
    cursor = await tx.execute(
        "SELECT line, who, created_at, told_at FROM chat_lines WHERE handoff_id = %s ORDER BY line",
        (handoff_id,),
    )
    return await cursor.fetchall()


async def told(tx: Transaction, conversation_id: str, up_to: int) -> None:
    """The customer has everything up to this line."""
    await tx.execute(
        "UPDATE chat_lines SET told_at = clock_timestamp()"
        " WHERE conversation_id = %s AND line <= %s AND told_at IS NULL",
        (conversation_id, up_to),
    )


async def give_to_bot(tx: Transaction, handoff_id: str) -> None:
    """A settled hand-over's chat is the bot's again, which says so by itself."""
    await tx.execute("UPDATE handoffs SET to_bot = true WHERE id = %s AND status = 'done'", (handoff_id,))


async def given_to_bot(tx: Transaction, conversation_ids: builtins.list[str]) -> builtins.list[str]:
    """Of these chats those that a person gave back and that the bot has not taken yet."""
    cursor = await tx.execute(
        "SELECT c.id FROM conversations c, LATERAL (SELECT h.status, h.to_bot FROM handoffs h"
        " WHERE h.conversation_id = c.id ORDER BY h.created_at DESC, h.id DESC LIMIT 1) newest"
        " WHERE c.id = ANY(%s) AND c.status = 'handoff' AND newest.status = 'done' AND newest.to_bot",
        (conversation_ids,),
    )
    return [row["id"] for row in await cursor.fetchall()]


async def take_back(tx: Transaction, conversation_id: str) -> bool:
    """The bot has a chat again that a person had. False: it has it already, or the chat is over."""
    cursor = await tx.execute(
        "UPDATE conversations SET status = 'live' WHERE id = %s AND status = 'handoff'", (conversation_id,)
    )
    return cursor.rowcount == 1


async def _read(
    tx: Transaction, keys: KeyRing, where: LiteralString, given: tuple[Any, ...]
) -> builtins.list[ChatLine]:
    cursor = await tx.execute(
        f"SELECT {_COLUMNS}, c.subject_id FROM chat_lines l"  # noqa: S608  # constants
        f" JOIN conversations c ON c.id = l.conversation_id WHERE {where} ORDER BY l.line LIMIT 1000",
        given,
    )
    found: builtins.list[ChatLine] = []
    for row in await cursor.fetchall():
        cipher = vault_cipher(await keys.cipher(tx, row["subject_id"]))
        found.append(
            ChatLine(
                row["line"],
                row["conversation_id"],
                row["handoff_id"],
                row["who"],
                row["created_at"],
                row["told_at"],
                cipher.open(row["sealed_text"], _at(row["line"])).decode(),
            )
        )
    return found


def _at(line: int) -> str:
    return f"chat_line:{line}"
