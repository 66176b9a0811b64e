"""No good grounding: one focused question, an honest "I don't know", a way on, and a gap that is counted."""

from __future__ import annotations

from typing import Any

import pytest
from dialogue_kit import Talk, never_sure

from voicebot.core.conversation import Action, Source
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.knowledge import gaps
from voicebot.dialogue.knowledge.passage import Passage, Retrieval
from voicebot.dialogue.knowledge.retriever import Retriever


def passage(article: str, title: str, body: str, grounding: float) -> Passage:
    source = Source(article=article, title=title, version="1", score=grounding)
    return Passage(source=source, heading=title, body=body, grounding=grounding, tagged=True)


PARCELS = passage(
    "parcels", "Small parcels at the door", "Parcels wait with a neighbour, and delivery is free.", 0.4
)
SOFAS = passage(
    "sofas", "Furniture delivery at your home", "Two people carry it upstairs, and delivery is free.", 0.38
)
QUESTION = "how much is delivery"


class Finds(Retriever):
    """Finds what the test says, whatever is asked."""

    def __init__(self, *passages: Passage, ambiguous: bool = False) -> None:
        self.version = "fixed"
        self.passages, self.both = passages, ambiguous
        self.asked: list[str] = []

    async def search(self, tx: Any, question: str, **more: Any) -> Retrieval:
        self.asked.append(question)
        return Retrieval(
            passages=self.passages,
            grounding=self.passages[0].grounding if self.passages else 0.0,
            ambiguous=self.passages[:2] if self.both else (),
        )


@pytest.fixture
def database(shop_database: Database) -> Database:
    """The shop is there already."""
    return shop_database


async def asked(database: Database, keys: KeyRing, finds: Finds) -> tuple[Talk, str]:
    talk = await Talk.begin(database, keys, retriever=finds)
    return talk, await talk.turn(QUESTION)


async def counted(talk: Talk) -> list[tuple[str, str, int]]:
    async with talk.database.transaction() as tx:
        return [(gap.intent, gap.reason, gap.count) for gap in await gaps.gaps(tx)]


def action(talk: Talk) -> Action:
    assert talk.last is not None
    return talk.last.decision.action


async def test_two_articles_that_fit_alike_are_asked_about_once(database: Database, keys: KeyRing) -> None:
    """One or the other, by their names; the answer comes from the one that was chosen."""
    talk, words = await asked(database, keys, Finds(PARCELS, SOFAS, ambiguous=True))
    assert "Is it about small parcels at the door, or about furniture delivery at your home?" in words
    assert action(talk) is Action.CLARIFY
    assert await counted(talk) == [("shipping_cost", "ambiguous", 1)]
    assert "Two people carry it upstairs" in await talk.turn("the furniture one")
    assert action(talk) is Action.ANSWER


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("the first one", "neighbour"),
        ("the second one", "upstairs"),
        ("the latter please", "upstairs"),
        ("small parcels", "neighbour"),
        ("um furniture please", "upstairs"),
        ("both", "neighbour"),
    ],
)
async def test_a_choice_is_understood_as_people_make_it(
    database: Database, keys: KeyRing, reply: str, said: str
) -> None:
    """By place, by a word of the name, or both."""
    talk, _ = await asked(database, keys, Finds(PARCELS, SOFAS, ambiguous=True))
    assert said in await talk.turn(reply)


async def test_neither_leads_to_an_honest_i_do_not_know_and_a_person(
    database: Database, keys: KeyRing
) -> None:
    """No third guess."""
    talk, _ = await asked(database, keys, Finds(PARCELS, SOFAS, ambiguous=True))
    words = await talk.turn("no")
    assert "I don't want to guess" in words
    assert "Shall I connect you" in words
    assert action(talk) is Action.ABSTAIN


async def test_one_weak_article_is_asked_about_and_not_quoted(database: Database, keys: KeyRing) -> None:
    """Yes is an answer from it, and only then."""
    talk, words = await asked(database, keys, Finds(PARCELS))
    assert words == "Just to be sure: is it about small parcels at the door?"
    assert await counted(talk) == [("shipping_cost", "weak_grounding", 1)]
    assert "neighbour" in await talk.turn("yes")


async def test_the_same_question_is_never_asked_back_twice(database: Database, keys: KeyRing) -> None:
    """Asked the same again: the honest answer, in other words than the last time."""
    talk, first = await asked(database, keys, Finds(PARCELS))
    second = await talk.turn(QUESTION)
    assert "is it about" in first
    assert "is it about" not in second
    assert "don't know" in second
    third = await talk.turn(QUESTION)
    assert third != second


async def test_nothing_found_is_said_at_once(database: Database, keys: KeyRing) -> None:
    """Nothing worth asking about: no question, no guess, a gap."""
    talk, words = await asked(database, keys, Finds())
    assert words.startswith("I don't know that one, and I don't want to guess.")
    assert await counted(talk) == [("shipping_cost", "no_grounding", 1)]


async def test_far_fetched_articles_are_not_offered(database: Database, keys: KeyRing) -> None:
    """The near miss: below what is worth asking."""
    talk, words = await asked(database, keys, Finds(PARCELS.model_copy(update={"grounding": 0.2})))
    assert "is it about" not in words
    assert action(talk) is Action.ABSTAIN


async def test_a_clear_answer_is_given_though_another_article_is_near(
    database: Database, keys: KeyRing
) -> None:
    """Asking back is no virtue where the answer stands."""
    clear = PARCELS.model_copy(update={"grounding": 0.7})
    talk, words = await asked(database, keys, Finds(clear, SOFAS, ambiguous=True))
    assert "is it about" not in words
    assert action(talk) is Action.ANSWER
    assert await counted(talk) == []


async def test_a_gap_is_counted_by_the_commit_and_not_by_the_plan(database: Database, keys: KeyRing) -> None:
    """A plan that is thrown away leaves none."""
    talk = await Talk.begin(database, keys, retriever=Finds())
    await talk.orchestrator.discard(await talk.plan(QUESTION))
    assert await counted(talk) == []


async def test_a_guess_at_what_is_wanted_is_not_confirmed_twice(database: Database, keys: KeyRing) -> None:
    """The second time the ladder goes on."""
    unsure = "the delivery thing you know"
    talk = await Talk.begin(database, keys, deployment=never_sure())
    first = await talk.turn(unsure)
    second = await talk.turn(unsure)
    assert "Did you want" in first
    assert "Did you want" not in second
