"""A person at the desk writes into a customer's chat: checked, masked into the transcript, kept, once."""

from __future__ import annotations

import unicodedata
import uuid
from datetime import UTC, datetime
from typing import Literal

from voicebot.core.conversation import Channel, Event
from voicebot.core.store import audit, chat_lines, handoffs, outbox, vault
from voicebot.core.store.chat_lines import ChatLine
from voicebot.core.store.conversations import Conversations
from voicebot.core.store.database import Transaction
from voicebot.core.store.keys import KeyRing
from voicebot.core.transcript import LEG_LINE
from voicebot.handoff.claims import Taken, take_step, tell
from voicebot.safety.pii.checksums import is_card
from voicebot.safety.pii.finding import Shapes
from voicebot.safety.pii.masking import Masker

LONGEST = 2000
"""Characters of one line; a customer's own message may be as long."""

Why = Literal["no_chat", "ended", "settled", "bot", "other_words", "not_current"]

_WORDS: dict[Why, str] = {
    "no_chat": "this is a call: nothing can be written to who is on the phone",
    "ended": "the chat is over: the customer gets nothing that is written now",
    "settled": "this hand-over is settled: the bot has the chat",
    "bot": "the bot has this chat: have it handed over first (“Tell the bot”)",
    "other_words": "this was sent before, with other words: it stands as it was sent first",
    "not_current": "the chat was handed over anew since: open the hand-over that waits now",
}


class NotWritten(Exception):
    """It cannot be written there. The message is for the agent; ``why`` is for programs."""

    def __init__(self, why: Why) -> None:
        super().__init__(_WORDS[why])
        self.why = why


class UnfitWords(ValueError):
    """These words cannot be sent. The message says what is wrong with them."""


def fit(text: str) -> str:
    """The words as they are sent: composed characters, line breaks kept, nothing else that is invisible.

    Raises:
        UnfitWords: nothing is left, or too much.
    """
    whole = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\t", " "))
    kept = "".join(c for c in whole if c in "\n\u200c\u200d" or unicodedata.category(c)[0] != "C")
    words = "\n".join(line.rstrip() for line in kept.split("\n")).strip()
    if not words:
        raise UnfitWords("write something first")
    if len(words) > LONGEST:
        raise UnfitWords(f"{len(words)} characters are too many: send at most {LONGEST} at once")
    return words


class Colleague:
    """What agents do in chats that they were given. One per node.

    Args:
        keys: seal what is written.
        shapes: the deployment's numbers, for masking.
    """

    def __init__(self, keys: KeyRing, shapes: Shapes) -> None:
        self._keys = keys
        self._shapes = shapes
        self._conversations = Conversations(keys)

    async def write(self, tx: Transaction, handoff_id: str, agent: str, key: str, text: str) -> ChatLine:
        """``agent``, who has the hand-over, writes to its customer; the same ``key`` again is the same line.

        The words go into the transcript with tokens in place of what is personal, and to the customer as
        they stand. With the first line the hand-over is ``bridged``.

        Raises:
            UnknownHandoff: there is none.
            Taken: another has it, or nobody.
            NotWritten: it is no chat, or nobody would get it.
            UnfitWords: a card's number is in them, or they are too long, or empty.
            SubjectErased: what was said there was erased.
        """
        words = fit(text)
        conversation_id = (await handoffs.bare(tx, handoff_id))["conversation_id"]
        snapshot = await self._conversations.load(tx, conversation_id, lock=True)
        if snapshot.channel is not Channel.CHAT:
            raise NotWritten("no_chat")
        known = await chat_lines.of_key(tx, self._keys, handoff_id, agent, key)
        if known is not None:
            if known.text != words:
                raise NotWritten("other_words")
            return known
        await self._check(tx, handoff_id, conversation_id, snapshot.status, agent)
        values = await vault.values(tx, self._keys, conversation_id)
        masker = Masker(self._shapes, values, turn=snapshot.turn)
        masked = masker.mask(words)
        if any(is_card("".join(filter(str.isdigit, one))) for one in masker.fresh.values()):
            raise UnfitWords("there is a card's number in it: such are kept nowhere, leave it out")
        await vault.save(tx, self._keys, conversation_id, turn=snapshot.turn, values=masker.kept)
        event = Event(
            id=f"ev_{uuid.uuid4().hex}",
            type=LEG_LINE,
            conversation_id=conversation_id,
            time=datetime.now(UTC),
            data={"who": "agent", "text": masker.open_end(masked.text), "sure": True},
        )
        line = await outbox.append(tx, self._keys, snapshot.subject_id, event)
        await chat_lines.insert(
            tx,
            self._keys,
            line=line,
            conversation_id=conversation_id,
            subject_id=snapshot.subject_id,
            handoff_id=handoff_id,
            who=agent,
            key=key,
            text=words,
        )
        facts = {"handoff": handoff_id, "line": line, "characters": len(words)}
        await audit.record(
            tx, action="chat.written", actor=agent, facts=facts, conversation_id=conversation_id
        )
        await handoffs.move(tx, handoff_id, "bridged", who=agent)
        return ChatLine(line, conversation_id, handoff_id, agent, event.time, None, words)

    async def give_back(
        self, tx: Transaction, handoff_id: str, agent: str, *, answers: str | None = None
    ) -> str:
        """Settles the hand-over and has the bot go on by itself; its conversation. Again: nothing changes.

        Raises:
            UnknownHandoff: there is none.
            Taken: it is not theirs.
            NotWritten: it is no chat.
            SubjectErased: what was said there was erased.
        """
        conversation_id = (await handoffs.bare(tx, handoff_id))["conversation_id"]
        snapshot = await self._conversations.load(tx, conversation_id, lock=True)
        if snapshot.channel is not Channel.CHAT:
            raise NotWritten("no_chat")
        before = (await handoffs.bare(tx, handoff_id))["status"]
        await take_step(tx, self._keys, handoff_id, "done", agent, answers=answers)
        if before != "done":
            await chat_lines.give_to_bot(tx, handoff_id)
            facts = {"handoff": handoff_id, "who": agent}
            await tell(tx, self._keys, conversation_id, f"ev_{handoff_id[3:]}_back", "desk.chat_back", facts)
            await audit.record(
                tx, action="chat.handed_back", actor=agent, facts=facts, conversation_id=conversation_id
            )
        return conversation_id

    async def _check(
        self, tx: Transaction, handoff_id: str, conversation_id: str, status: str, agent: str
    ) -> None:
        row = await handoffs.bare(tx, handoff_id)
        if status == "ended":
            raise NotWritten("ended")
        if row["status"] == "done":
            raise NotWritten("settled")
        if row["status"] not in handoffs.HELD or row["claimed_by"] != agent:
            raise Taken(row["status"], row["claimed_by"])
        if status == "live":
            raise NotWritten("bot")
        newest = (await handoffs.list(tx, conversation_id=conversation_id, limit=500))[-1]
        if newest["id"] != handoff_id and newest["status"] != "done":
            raise NotWritten("not_current")
