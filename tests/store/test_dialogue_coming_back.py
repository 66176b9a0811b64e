"""A caller whom no person took is told why, with the conversation as it was, and is offered a call back."""

from __future__ import annotations

from datetime import datetime
from typing import get_args

import pytest
from dialogue_kit import Talk

from voicebot.core.conversation import TransferFailed, TransferOutcome
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.staff import Absence
from voicebot.dialogue.state import AskedKind

WHY: dict[TransferOutcome, str] = {
    "declined": "nobody can take your call",
    "busy": "are busy",
    "no_answer": "picked up",
    "agent_left": "connection to my colleague was lost",
    "failed": "could not get through",
    "cancelled": "did not work",
    "handed_back": "could not speak with you after all",
}


class Somebody:
    """People who are at work, though nobody picked up."""

    def absence(self, now: datetime, owner: str | None) -> Absence | None:
        return None

    def at_desk(self, now: datetime, owner: str | None) -> bool:
        return False

    def calls_at(self, at: datetime, owner: str | None) -> bool:
        return True

    def number(self, said: str) -> str | None:
        return said

    def link(self, article: str) -> str | None:
        return None


@pytest.mark.parametrize("reason", get_args(TransferOutcome))
async def test_it_says_what_happened_and_offers_a_call_back(
    shop_database: Database, keys: KeyRing, reason: TransferOutcome
) -> None:
    """The same conversation: nothing is greeted or asked anew, and the handoff is over for the dialogue."""
    talk = await Talk.begin(shop_database, keys, staff=Somebody())
    await talk.turn("let me talk to a person")
    assert (await talk.state()).handoff is not None
    words = await talk.turn(TransferFailed(reason=reason))
    state = await talk.state()
    assert WHY[reason] in words
    assert "couldn't reach a colleague just now" not in words
    assert state.asked is not None
    assert state.asked.kind is AskedKind.CALL_TIME
    assert (state.handoff, state.greeted) == (None, True)
    assert "transfer.told" in await talk.events()
    assert "book that" in await talk.turn("tomorrow at ten in the morning")
    await talk.close()


async def test_who_has_spoken_with_somebody_is_asked_what_else(
    shop_database: Database, keys: KeyRing
) -> None:
    """No apology, no call back: the person has left, the caller has not."""
    talk = await Talk.begin(shop_database, keys, staff=Somebody())
    await talk.turn("let me talk to a person")
    words = await talk.turn(TransferFailed(reason="agent_left", spoke=True))
    assert "back with the automated assistant" in words
    assert "sorry" not in words
    state = await talk.state()
    assert state.asked is not None
    assert state.asked.kind is AskedKind.MORE
    assert (await talk.turn("goodbye")).endswith("Goodbye.")
    await talk.close()


async def test_what_the_caller_had_asked_for_is_what_is_called_back_about(
    shop_database: Database, keys: KeyRing
) -> None:
    """Without people at work that the server knows of, the promise is the old one."""
    talk = await Talk.begin(shop_database, keys)
    await talk.turn("let me talk to a person")
    words = await talk.turn(TransferFailed(reason="no_answer"))
    assert WHY["no_answer"] in words
    assert talk.last is not None
    assert talk.last.decision.expects.kind == "yes_no"
    await talk.close()


async def test_who_asks_again_is_given_to_a_person_again(shop_database: Database, keys: KeyRing) -> None:
    """A transfer that came to nothing is no reason to keep a caller from people."""
    talk = await Talk.begin(shop_database, keys, staff=Somebody())
    await talk.turn("let me talk to a person")
    await talk.turn(TransferFailed(reason="busy"))
    await talk.turn("no, let me talk to a person")
    assert talk.last is not None
    assert talk.last.after == "hand_over"
    assert (await talk.state()).handoff is not None
    await talk.close()
