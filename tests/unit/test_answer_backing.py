"""Which passages may back an answer: never another thing's fact, never a fact that does not stand there."""

from __future__ import annotations

import pytest

from voicebot.core.conversation import Source
from voicebot.dialogue.generation.asked_for import facts_of
from voicebot.dialogue.generation.backing import NoFact, OtherThing, alike, back, onward_of
from voicebot.dialogue.knowledge.passage import Evidence, Passage

SOFA = (
    "The linen sofa is eighty inches wide, seats three, and costs twelve hundred dollars. It comes in gray."
)
ARMCHAIR = "The velvet armchair is thirty one inches wide and costs three hundred and ninety nine dollars."
MATTRESS = "Our beds and mattresses come in twin, full, queen, and king. We don't carry California king."


def passage(
    body: str,
    grounding: float,
    *,
    article: str = "pieces",
    heading: str = "",
    tagged: bool = True,
    coverage: float = 0.5,
    region: str | None = None,
) -> Passage:
    evidence = Evidence(near=1, worded=1, tagged=1, cosine=0.5, coverage=coverage, headed=0.0, numbers=0.0)
    return Passage(
        source=Source(article=article, title=article, version="1", score=grounding),
        heading=heading,
        body=body,
        grounding=grounding,
        tagged=tagged,
        region=region,
        evidence=evidence,
    )


LINEN = passage(SOFA, 0.8, heading="Linen sofa: price")
VELVET = passage(ARMCHAIR, 0.7, heading="Velvet armchair: price")
SIZES = passage(MATTRESS, 0.9, article="mattress", heading="Sizes: king", coverage=0.7)


def test_another_products_price_is_no_answer() -> None:
    """The passage that was judged has no price: the sofa's is not told in its place."""
    backing = back("what is the price of a king size mattress", [SIZES, LINEN])
    assert backing.lack == NoFact("a price")
    assert backing.grounding <= 0.3


@pytest.mark.parametrize(
    ("question", "thing", "instead"),
    [
        ("how much is the oslo sofa", "linen sofa", "how much is the linen sofa"),
        ("what does the big oslo couch cost", "linen sofa", "what does the linen sofa cost"),
        ("tell me the width of the green linen sofa", "linen sofa", "tell me the width of the linen sofa"),
        ("what colors does the oslo sofa come in", "linen sofa", "what colors does the linen sofa come in"),
    ],
)
def test_another_thing_of_the_kind_is_asked_about(question: str, thing: str, instead: str) -> None:
    """The name that no passage holds makes it another thing."""
    lack = back(question, [LINEN, VELVET]).lack
    assert isinstance(lack, OtherThing)
    assert (lack.thing, lack.question) == (thing, instead)


@pytest.mark.parametrize(
    "question",
    [
        "how much is the linen sofa",
        "how much is your cheapest sofa",
        "how much is the couch",
        "how wide is your three seater",
        "how much is the gray linen sofa",
        "is the new linen sofa any good",
    ],
)
def test_the_thing_itself_is_told_however_it_is_called(question: str) -> None:
    """A general word before it, a synonym, a colour that it has: no other thing."""
    backing = back(question, [LINEN])
    assert backing.lack is None
    assert backing.grounding == 0.8


def test_the_grounding_is_that_of_the_passage_that_is_quoted() -> None:
    """The armchair is what was asked about, so its grounding counts, not the first one's."""
    backing = back("how much is the velvet armchair", [LINEN, VELVET])
    assert backing.passages == (VELVET,)
    assert backing.grounding == pytest.approx(0.75)  # half its own, half its article's
    apart = passage(ARMCHAIR, 0.7, article="chairs", heading="Velvet armchair: price", coverage=0.9)
    assert back("how much is the velvet armchair", [LINEN, apart]).grounding == 0.7


def test_a_passage_off_the_matter_is_not_quoted() -> None:
    """It holds the word, and neither the intent nor more of the question."""
    store = passage("Our store is at twelve Maple Street.", 0.94, article="store", heading="Address")
    mail = passage("You change the e mail address in your account.", 0.76, article="account", tagged=False)
    assert back("what is your address", [store, mail]).passages == (store,)


def test_more_of_the_question_outweighs_the_intent() -> None:
    """What covers more of the question may be quoted though its article is tagged with another intent."""
    usual = passage("Small items arrive within four days.", 0.92, article="time", coverage=0.6)
    window = passage(
        "There are two windows, in the morning and in the afternoon.",
        0.86,
        article="day",
        heading="The time window on the day",
        tagged=False,
        coverage=1.0,
    )
    assert window in back("which time window do i get on the day", [usual, window]).passages
    assert (
        window
        not in back(
            "which time window do i get on the day", [usual, window.model_copy(update={"evidence": None})]
        ).passages
    )


def test_the_rest_of_an_article_counts_half_by_itself() -> None:
    """A passage beside the first one may be quoted, and what is recorded is lower than the first one's."""
    address = passage("Our store is at twelve Maple Street.", 0.72, article="store", heading="Showroom")
    garage = passage("Parking under the store is free.", 0.38, article="store", heading="Parking")
    backing = back("is there parking at your showroom", [address, garage])
    assert backing.grounding == pytest.approx(0.55)


def test_what_costs_elsewhere_is_not_told_of_a_place() -> None:
    """A place that an article is about: the general price is not its price."""
    usual = passage("Delivery of small items costs five dollars.", 0.9, article="cost")
    islands = passage(
        "We don't deliver to Alaska, Hawaii, or other countries.", 0.3, article="where", tagged=False
    )
    assert back("what does delivery to alaska cost", [usual, islands]).lack == NoFact("a price")
    assert back("what does delivery to my mother cost", [usual, islands]).lack is None
    near = islands.model_copy(update={"grounding": 0.6})
    backing = back("what does delivery to alaska cost", [usual, near])
    assert backing.passages == (near,)
    assert not backing.whole


def test_an_article_for_a_region_is_not_mixed_with_the_others() -> None:
    """Found because the question names the region."""
    hawaii = passage("A forwarder takes it across.", 0.6, article="hawaii", region="hawaii")
    usual = passage("Furniture arrives within ten days.", 0.58, article="time", coverage=0.9)
    assert back("will my furniture get across", [hawaii, usual]).passages == (hawaii,)


def test_a_choice_of_the_caller_settles_the_thing_but_invents_no_fact() -> None:
    """They chose the article; a weight that it does not have is still not told."""
    assert back("how much is the oslo sofa", [LINEN], meant=True).lack is None
    assert back("how heavy is the oslo sofa", [LINEN], meant=True).lack == NoFact("a weight")


def test_only_what_holds_the_fact_is_offered_as_a_choice() -> None:
    """Between a price and a time there is nothing to choose when a price was asked for."""
    cost = passage("Delivery costs five dollars.", 0.5, article="cost")
    times = passage("Delivery takes four days.", 0.5, article="time")
    assert alike("how much is delivery", [cost, times]) == ()
    assert alike("tell me about delivery", [cost, times]) == (cost, times)


def test_more_stays_with_the_article() -> None:
    """Who wants to hear more hears no other article."""
    more = passage("Velvet is the best with pets.", 0.3, article="advice", heading="Pets")
    first = passage("Choose a deep seat for lying.", 0.9, article="advice", heading="Which sofa")
    other = passage("A rug should lie under its front legs.", 0.5, article="rugs", coverage=0.1, tagged=False)
    assert onward_of("which sofa suits me", [first, other, more]) == (first, more)


@pytest.mark.parametrize(
    ("question", "facts"),
    [
        ("how much is it", ["a price"]),
        ("how much weight does it hold", []),
        ("the price went down after i bought it", []),
        ("how long until it comes", ["a time"]),
        ("which colors suit a dark room", []),
        ("what is your email address", ["an e mail address"]),
        ("what is your address", ["an address"]),
        ("what delivery address do you have for me", []),
        ("when does the cafe close", ["an opening time"]),
    ],
)
def test_what_is_asked_for_outright(question: str, facts: list[str]) -> None:
    """A fact is missed only where it was asked for."""
    assert [fact.called for fact in facts_of(question)] == facts


def test_nothing_found_backs_nothing_and_a_weak_find_is_left_to_policy() -> None:
    """Below the floor there is no answer anyway: what to ask is decided elsewhere."""
    assert back("how much is it", []).grounding == 0.0
    weak = passage(SOFA, 0.3)
    assert back("how much is the oslo sofa", [weak]).lack is None
