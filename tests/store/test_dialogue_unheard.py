"""Turns without usable words keep the open question open, never repeat themselves, and end with a person."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio
from dialogue_kit import Talk

from voicebot.core.conversation import Action, Channel, HearingFailure, Keys, NotHeard, Silence, Source
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.knowledge.passage import Passage, Retrieval
from voicebot.dialogue.knowledge.retriever import Retriever
from voicebot.dialogue.state import AskedKind

PARCELS = Passage(
    source=Source(article="parcels", title="Small parcels at the door", version="1", score=0.4),
    heading="Small parcels",
    body="Parcels wait with a neighbour, and delivery is free.",
    grounding=0.4,
    tagged=True,
)
SOFAS = Passage(
    source=Source(article="sofas", title="Furniture delivery at your home", version="1", score=0.38),
    heading="Furniture",
    body="Two people carry it upstairs, and delivery is free.",
    grounding=0.38,
    tagged=True,
)


class Both(Retriever):
    """Finds two articles that fit alike."""

    def __init__(self) -> None:
        self.version = "fixed"

    async def search(self, tx: Any, question: str, **more: Any) -> Retrieval:
        return Retrieval(passages=(PARCELS, SOFAS), grounding=0.4, ambiguous=(PARCELS, SOFAS))


NOON_FRIDAY = datetime(2026, 11, 20, 20, 0, tzinfo=UTC)
EMPTY = NotHeard(reason=HearingFailure.EMPTY)
NOISE = NotHeard(reason=HearingFailure.TOO_NOISY)


@pytest_asyncio.fixture
async def talk(shop_database: Database, keys: KeyRing) -> AsyncIterator[Talk]:
    """A call at noon."""
    talk = await Talk.begin(shop_database, keys, now=lambda: NOON_FRIDAY)
    yield talk
    await talk.close()


async def to_offer_of_a_person(talk: Talk) -> str:
    """A yes or no question with something behind it."""
    await talk.turn("where is my order")
    return await talk.turn("i don't have the order number")


async def to_proposal(talk: Talk) -> str:
    """A call back is proposed, with its time."""
    words = await talk.turn("can somebody call me back about my broken lamp")
    state = await talk.state()
    assert state.asked is not None
    assert state.asked.kind is AskedKind.PROPOSAL, words
    return words


@pytest.mark.parametrize("reason", HearingFailure)
@pytest.mark.parametrize("before", ["nothing", "an answer", "digits", "a person", "a proposal"])
async def test_every_ladder_ends_with_a_person_and_says_nothing_twice(
    talk: Talk, reason: HearingFailure, before: str
) -> None:
    """Whatever was asked and whatever the reason: three steps at the most, each in other words."""
    match before:
        case "an answer":
            await talk.turn("when are you open")
        case "digits":
            await talk.turn("where is my order")
        case "a person":
            await to_offer_of_a_person(talk)
        case "a proposal":
            await to_proposal(talk)
        case _:
            pass
    began = len(talk.said) - 1
    for _ in range(3):
        words = await talk.turn(NotHeard(reason=reason))
        assert talk.last is not None
        if talk.last.after == "hand_over":
            break
        assert "?" in words or "lease" in words or "keypad" in words
    assert talk.last is not None
    assert talk.last.decision.trigger == "asr_failure"
    assert talk.last.decision.policy_row == f"not_heard/{reason}/person"
    assert all(one != other for one, other in pairwise(talk.said[began:]))
    assert (await talk.events()).count("hearing.failed") == len(talk.said) - 1 - began


@pytest.mark.parametrize(("key", "action"), [("1", Action.ACT), ("2", Action.ANSWER)])
async def test_a_proposal_survives_what_was_not_heard(talk: Talk, key: str, action: Action) -> None:
    """It is put again with its time, then with the keys; one is a yes to it, two a no."""
    await to_proposal(talk)
    again = await talk.turn(NOISE)
    assert "call back" in again
    keyed = await talk.turn(NOISE)
    assert "press one for yes" in keyed
    assert "opening hours" not in keyed
    await talk.turn(Keys(digits=key))
    assert talk.last is not None
    assert talk.last.decision.action is action


@pytest.mark.parametrize(("key", "said"), [("1", "neighbour"), ("2", "upstairs")])
async def test_this_or_that_is_keyed_by_its_place(
    shop_database: Database, keys: KeyRing, key: str, said: str
) -> None:
    """One for the first, two for the second: not yes to both."""
    talk = await Talk.begin(shop_database, keys, retriever=Both())
    assert "or about furniture delivery" in await talk.turn("how much is delivery")
    again = await talk.turn(EMPTY)
    assert "or furniture delivery" in again or "or about furniture delivery" in again
    assert "press one for small parcels" in await talk.turn(EMPTY)
    assert said in await talk.turn(Keys(digits=key))
    await talk.close()


async def test_a_yes_no_question_comes_with_keys_where_they_failed_before(talk: Talk) -> None:
    """Twice no yes was heard: the next such question says how to key it, until one is heard again."""
    await to_proposal(talk)
    await talk.turn(NOISE)
    await talk.turn(NOISE)
    await talk.turn(Keys(digits="2"))
    assert "press one for yes" in await to_offer_of_a_person(talk)
    await talk.turn("no")
    assert (await talk.state()).hearing.voice["yes_no"] == 1


async def test_the_second_number_is_asked_for_on_the_keypad_where_voice_has_failed(talk: Talk) -> None:
    """And by voice again once one was understood."""
    await talk.turn("where is my order")
    await talk.turn(NOISE)
    await talk.turn(NOISE)
    assert "keypad" in await talk.turn(Keys(digits="427103"))
    await talk.turn("nine four one zero seven")
    state = await talk.state()
    assert state.gate.match is not None
    assert state.hearing.voice["digits"] == 1


async def test_digits_that_were_misheard_count_like_those_that_were_not_heard(talk: Talk) -> None:
    """The gate's own ladder and this one share their memory."""
    await talk.turn("where is my order")
    await talk.turn("four two seven")
    await talk.turn("four two seven one")
    assert (await talk.state()).hearing.voice["digits"] == 2
    assert "keypad" in await talk.turn(Keys(digits="427103"))


async def test_doubtful_words_are_kept_for_people_and_change_nothing(talk: Talk) -> None:
    """They stand in the turn and in what a colleague reads, and nothing is done with them."""
    doubted = NotHeard(reason=HearingFailure.LOW_CONFIDENCE, text="cancel my order please", confidence=0.2)
    for _ in range(3):
        await talk.turn(doubted)
    assert (await talk.turns())[-1]["input"]["text"] == "cancel my order please"
    assert {row["decision"]["intent"] for row in await talk.turns()} == {"call_started", "not_heard"}
    handoff = await talk.handoff()
    assert handoff is not None
    assert "(unclear: cancel my order please)" in str(handoff["payload"]["transcript"])


async def test_silence_is_asked_about_with_the_open_question_in_other_words(talk: Talk) -> None:
    """And a proposal is not lost over it: yes is still a yes to it."""
    await to_proposal(talk)
    first = await talk.turn(Silence(nth=1))
    second = await talk.turn(Silence(nth=2))
    assert first.startswith("Are you still there?")
    assert "call back" in first
    assert "call back" in second
    assert first != second
    await talk.turn("yes please")
    assert talk.last is not None
    assert talk.last.decision.action is Action.ACT


async def test_a_chat_has_no_ladder_of_keys(shop_database: Database, keys: KeyRing) -> None:
    """Nobody hears a chat: its words are its own."""
    talk = await Talk.begin(shop_database, keys, channel=Channel.CHAT)
    words = await talk.turn(EMPTY)
    assert "read" in words
    assert "keypad" not in await talk.turn(EMPTY)
    await talk.close()
