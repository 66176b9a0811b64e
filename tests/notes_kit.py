"""Calls that somebody noted something of."""

from __future__ import annotations

from voicebot.core.store import agent_words
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing


async def note_wrong_answer(database: Database, keys: KeyRing, call: str) -> None:
    """An agent says that the bot was wrong in its second turn: worth listening to."""
    async with database.transaction() as tx:
        await agent_words.say(
            tx,
            keys,
            conversation_id=call,
            kind="note",
            value="wrong_answer",
            who="ada",
            text="no",
            turn=2,
        )
