"""Whole conversations by their words: answered, verified, asked again differently, and never a dead end."""

from __future__ import annotations

import pytest
import pytest_asyncio
from dialogue_kit import Talk, never_sure

from voicebot.core.conversation import (
    Action,
    CallStarted,
    Expects,
    HearingFailure,
    Keys,
    NotHeard,
    Silence,
    Utterance,
)
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing

ORDER, CODE = "four two seven one zero three", "nine four one oh seven"
UNHEARD = NotHeard(reason=HearingFailure.EMPTY)


@pytest.fixture
def database(shop_database: Database) -> Database:
    """The shop is there already."""
    return shop_database


@pytest_asyncio.fixture
async def talk(database: Database, keys: KeyRing) -> Talk:
    return await Talk.begin(database, keys)


def decision(talk: Talk):
    assert talk.last is not None
    return talk.last.decision


async def test_the_greeting_says_machine_recording_and_person_in_few_words(talk: Talk) -> None:
    """What the law and the caller need, in about eight seconds of speech."""
    (greeting,) = talk.said
    for cue in ("automated", "recorded", "person", "zero", "How can I help?"):
        assert cue in greeting
    assert len(greeting.split()) <= 28


async def test_a_general_question_is_answered_from_an_article_with_its_source(talk: Talk) -> None:
    """No identity needed; two sentences; the article is cited on the turn."""
    words = await talk.turn("what time do you open on sunday")
    assert "On Sunday we are open from eleven to six." in words
    made = decision(talk)
    assert (made.action, made.intent, made.sources[0].article) == (
        Action.ANSWER,
        "opening_hours",
        "opening-hours",
    )
    assert made.confidences.grounding is not None
    assert made.confidences.grounding > 0.5
    assert await talk.accesses() == []


async def test_an_order_is_told_after_both_facts_and_not_before(talk: Talk) -> None:
    """The way of the demo: asked for the number, then the post code, then told, in spoken words."""
    assert "order number" in await talk.turn("where is my order")
    assert decision(talk).expects == Expects(kind="digits", length=6)
    words = await talk.turn(ORDER)
    assert "four two seven, one zero three" in words
    assert "post code" in words
    assert decision(talk).expects == Expects(kind="digits", length=5)
    assert "side table" not in " ".join(talk.said)
    words = await talk.turn(CODE)
    assert "oak side table is on its way" in words
    assert "It should arrive on" in words
    assert decision(talk).tools[0].tool == "order_status"
    assert "identity.verified" in await talk.audited()


async def test_the_order_number_in_the_first_sentence_saves_a_question(talk: Talk) -> None:
    """Known slots are not asked for again."""
    assert "post code" in await talk.turn(f"where is my order {ORDER}")


async def test_a_caller_with_the_keypad_needs_no_words(talk: Talk) -> None:
    """Menu, order number, post code with hash: all by keys."""
    assert "order number" in await talk.turn(Keys(digits="2"))
    assert "post code" in await talk.turn(Keys(digits="427103"))
    assert "on its way" in await talk.turn(Keys(digits="94107#"))


async def test_keys_count_where_nothing_was_asked(talk: Talk) -> None:
    """Six digits out of the blue are an order number."""
    assert "post code" in await talk.turn(Keys(digits="427103"))
    assert "on its way" in await talk.turn(CODE)


async def test_a_recognisers_alternative_can_verify(talk: Talk) -> None:
    """The first choice is wrong in one digit, the second is right."""
    await talk.turn("where is my order")
    await talk.turn(ORDER)
    heard = Utterance(text="nine four one oh nine", alternatives=(CODE,))
    assert "on its way" in await talk.turn(heard)


async def test_misheard_digits_are_asked_again_differently_then_keyed_then_a_person(talk: Talk) -> None:
    """Each question differs from the one before; the end is a person, not a loop."""
    questions = [await talk.turn("where is my order")]
    questions += [await talk.turn(words) for words in ("four two seven", "seven one", "one")]
    assert "one digit at a time" in questions[1]
    assert "keypad" in questions[2]
    assert len(set(questions[:3])) == 3
    await talk.turn("one")
    assert talk.last is not None
    assert talk.last.after == "hand_over"
    assert decision(talk).trigger == "identity_not_verified"


async def test_a_wrong_pair_tells_nothing_and_the_third_ends_with_a_person(talk: Talk) -> None:
    """The same words for a wrong post code of a real order and for an order that does not exist."""
    await talk.turn("where is my order")
    await talk.turn(ORDER)
    wrong_code = await talk.turn("one one one one one")
    await talk.turn("nine nine nine nine nine nine")
    wrong_order = await talk.turn(CODE)
    assert "couldn't match" in wrong_code
    assert "couldn't match" in wrong_order
    assert "keypad" in wrong_order
    await talk.turn(Keys(digits="999999"))
    await talk.turn(Keys(digits="94107"))
    assert decision(talk).policy_row == "identity/too_many_tries"
    handoff = await talk.handoff()
    assert handoff is not None
    assert handoff["payload"]["identity"]["verified"] is False
    assert (await talk.audited()).count("identity.not_matched") == 3


async def test_another_question_in_the_middle_is_answered_and_the_order_goes_on(talk: Talk) -> None:
    """The topic is kept: after the answer the same number is asked for again."""
    await talk.turn("where is my order")
    words = await talk.turn("when are you open on sunday")
    assert "eleven to six" in words
    assert words.endswith("What are the six digits of your order number?")
    assert "post code" in await talk.turn(ORDER)


async def test_no_after_the_read_back_asks_for_the_number_again(talk: Talk) -> None:
    """The caller heard his number read back wrongly."""
    await talk.turn("where is my order")
    await talk.turn("four two seven one zero four")
    assert "order number" in await talk.turn("no that's wrong")
    await talk.turn(ORDER)
    assert "on its way" in await talk.turn(CODE)


async def test_a_second_want_is_kept_and_offered(talk: Talk) -> None:
    """The first is answered, the second is not lost."""
    words = await talk.turn("when are you open on sunday and do you have gift cards")
    assert "eleven to six" in words
    assert "You also asked about gift cards" in words
    assert decision(talk).expects.kind == "yes_no"
    assert "ten to five hundred dollars" in await talk.turn("yes")
    assert (await talk.state()).waiting == ()


async def test_an_unsure_reading_is_asked_about_and_yes_goes_on(database: Database, keys: KeyRing) -> None:
    """Clarify, then answer with the words of the first time."""
    talk = await Talk.begin(database, keys, deployment=never_sure())
    assert "Did you want to ask about" in await talk.turn("how long is the warranty on a lamp")
    assert decision(talk).action is Action.CLARIFY
    words = await talk.turn("yes please")
    assert decision(talk).action is Action.ANSWER
    assert "warranty" in words


async def test_what_no_article_covers_is_not_made_up(database: Database, keys: KeyRing) -> None:
    """Abstains, offers a person, and yes brings one."""
    talk = await Talk.begin(database, keys)
    async with database.transaction() as tx:
        await tx.execute("DELETE FROM articles WHERE id LIKE 'warranty%'")
    words = await talk.turn("how long is the warranty")
    assert "I don't want to guess" in words
    assert decision(talk).action is Action.ABSTAIN
    await talk.turn("yes")
    assert decision(talk).trigger == "accepted_offer"


async def test_out_of_scope_twice_offers_a_person(talk: Talk) -> None:
    """Said honestly, then a way out."""
    await talk.turn("what is the capital of peru")
    assert decision(talk).action is Action.ABSTAIN
    assert "connect you" in await talk.turn("who won the game last night")


@pytest.mark.parametrize("given", ["i want to talk to a real person", Keys(digits="0")])
async def test_a_person_can_be_had_at_any_time(talk: Talk, given: str | Keys) -> None:
    """In words or by key zero, in the middle of verification too; the payload holds the call so far."""
    await talk.turn("where is my order")
    words = await talk.turn(given)
    assert "connect you with a colleague" in words
    assert talk.last is not None
    assert talk.last.after == "hand_over"
    handoff = await talk.handoff()
    assert handoff is not None
    payload = handoff["payload"]
    assert "where an order is" in payload["summary"]["issue"]
    assert ("caller", "where is my order") in [(line["who"], line["text"]) for line in payload["transcript"]]
    assert (await talk.snapshot()).status == "handoff"
    assert (await talk.events()).count("handoff.requested") == 1


@pytest.mark.parametrize(
    ("words", "urgency", "tier"),
    [
        ("i want to change my order", "normal", 2),
        ("you charged me twice", "high", 3),
        ("someone hacked my account", "high", 3),
        ("i want to make a complaint", "high", 3),
    ],
)
async def test_what_policy_leaves_to_people_goes_to_people(
    talk: Talk, words: str, urgency: str, tier: int
) -> None:
    """Nothing is acted on; the row, the urgency and the next action go along."""
    await talk.turn(words)
    made = decision(talk)
    assert (made.action, made.tier) == (Action.ESCALATE, tier)
    handoff = await talk.handoff()
    assert handoff is not None
    assert handoff["payload"]["urgency"] == urgency
    assert handoff["payload"]["next_action"]


async def test_silence_is_asked_about_twice_then_the_call_ends_politely(talk: Talk) -> None:
    """Two different nudges, then goodbye."""
    await talk.turn("where is my order")
    first, second, third = [await talk.turn(Silence(nth=nth)) for nth in (1, 2, 3)]
    assert "still there" in first
    assert "order number" in first
    assert first != second
    assert "Goodbye" in third
    assert talk.last is not None
    assert talk.last.after == "hang_up"
    assert decision(talk).action is Action.END


async def test_sound_without_words_is_asked_again_differently_then_keypad_then_a_person(talk: Talk) -> None:
    """The ladder; words in between start it anew."""
    first = await talk.turn(UNHEARD)
    second = await talk.turn(UNHEARD)
    assert first != second
    assert "keypad" in second
    await talk.turn("when are you open")
    anew = await talk.turn(UNHEARD)
    assert anew.startswith("Sorry, I didn't catch that.")
    assert "keypad" not in anew
    await talk.turn(UNHEARD)
    await talk.turn(UNHEARD)
    assert decision(talk).trigger == "asr_failure"


async def test_a_dead_recogniser_leads_to_the_keypad_at_once(talk: Talk) -> None:
    """Nobody is asked to repeat for a machine that cannot hear."""
    down = NotHeard(reason=HearingFailure.ENGINE_DOWN)
    assert "keypad" in await talk.turn(down)
    await talk.turn(down)
    assert decision(talk).action is Action.ESCALATE


async def test_unheard_digits_climb_the_gates_ladder(talk: Talk) -> None:
    """While digits are asked for, sound without words is a misheard number."""
    await talk.turn("where is my order")
    assert "order number again" in await talk.turn(UNHEARD)
    assert "keypad" in await talk.turn(UNHEARD)


@pytest.mark.parametrize(
    ("words", "ends"),
    [("no thank you", True), ("that's all goodbye", True), ("yes", False), ("thanks", False)],
)
async def test_anything_else_no_ends_the_call(talk: Talk, words: str, ends: bool) -> None:
    """After an answer, no and goodbye end it; yes and thanks do not."""
    await talk.turn("when are you open")
    await talk.turn(words)
    assert talk.last is not None
    assert (talk.last.after == "hang_up") is ends


async def test_repeat_says_the_last_answer_again(talk: Talk) -> None:
    """Word for word, also when it was interrupted."""
    answer = await talk.turn("how long is the warranty", heard=4)
    assert await talk.turn("can you say that again please") == answer


async def test_a_question_after_an_interruption_is_simply_answered(talk: Talk) -> None:
    """The rest of the old answer is not pressed on the caller."""
    await talk.turn("how long is the warranty", heard=3)
    words = await talk.turn("how much is delivery")
    assert "five dollars" in words
    assert "warranty" not in words


async def test_a_number_said_with_a_pause_is_put_together(talk: Talk) -> None:
    """The bot began after three digits, the caller talked on: the halves are one number."""
    await talk.turn("where is my order")
    await talk.turn("four two seven", heard=0)
    assert "four two seven, one zero three" in await talk.turn("one zero three")


async def test_a_sentence_said_with_a_pause_is_put_together(talk: Talk) -> None:
    """The near miss: once the caller has listened, new words stand alone."""
    await talk.turn("i would like to know how long you have", heard=1)
    await talk.turn("the warranty on sofas")
    assert decision(talk).intent == "warranty"
    await talk.turn("where is my order")
    await talk.turn("four two seven")
    assert "post code" not in await talk.turn("one zero three")


async def test_a_notice_that_was_talked_over_is_said_before_the_answer(
    database: Database, keys: KeyRing
) -> None:
    """Every caller hears that calls are recorded, exactly once more and in short."""
    talk = await Talk.begin(database, keys, greeted=False)
    await talk.turn(CallStarted(), heard=4)
    words = await talk.turn("when are you open")
    assert words.startswith("Just so you know, I'm an automated assistant, and this call is recorded.")
    assert "recorded" not in await talk.turn("how long is the warranty")


async def test_a_notice_heard_to_its_last_word_but_one_is_heard(database: Database, keys: KeyRing) -> None:
    """The ledger is right to a word; the near miss must not be said again."""
    talk = await Talk.begin(database, keys, greeted=False)
    await talk.turn(CallStarted(), heard=10)
    assert "recorded" not in await talk.turn("when are you open")


async def test_after_a_lost_socket_the_call_goes_on_where_it_was(talk: Talk) -> None:
    """Sorry, then the open question; what was given before is still known."""
    await talk.turn("where is my order")
    await talk.turn(ORDER)
    words = await talk.turn(CallStarted(resumed=True))
    assert words.startswith("Sorry, we got cut off")
    assert "post code" in words
    assert "on its way" in await talk.turn(CODE)


async def test_an_answer_that_was_lost_with_the_socket_is_said_again(talk: Talk) -> None:
    """Committed, never reported as heard: it is spoken after the recovery line."""
    committed = await talk.commit(await talk.plan("how long is the warranty"))
    lost = await talk.words(committed)
    words = await talk.turn(CallStarted(resumed=True))
    assert words == f"Sorry, we got cut off, but I'm back. {lost}"


async def test_a_caller_who_was_lost_in_the_greeting_is_greeted(database: Database, keys: KeyRing) -> None:
    """The notice is still owed after a resume."""
    talk = await Talk.begin(database, keys, greeted=False)
    await talk.words(await talk.commit(await talk.plan(CallStarted())))
    words = await talk.turn(CallStarted(resumed=True))
    assert "recorded" in words
    assert "cut off" in words


async def test_a_socket_lost_before_the_greeting_is_greeted_all_the_same(
    database: Database, keys: KeyRing
) -> None:
    """The first media session never planned a turn: the second says everything a caller must hear."""
    talk = await Talk.begin(database, keys, greeted=False)
    words = await talk.turn(CallStarted(resumed=True))
    assert words.startswith("Sorry, we got cut off")
    assert "recorded" in words


@pytest.mark.parametrize(
    "text",
    ["", "   ", "\x00\x07", "日本語で話してください", "blah " * 3000, "'; DROP TABLE turns; --", "{phrases}"],
)
async def test_any_text_gets_an_answer(talk: Talk, text: str) -> None:
    """Empty, binary, foreign, enormous, hostile: never silence, never an error."""
    assert await talk.turn(text)
    assert await talk.turn("when are you open")


async def test_someone_elses_order_is_not_told_to_a_verified_caller(talk: Talk) -> None:
    """A second order number after verification is looked up for this customer only."""
    await talk.turn("where is my order")
    await talk.turn(ORDER)
    await talk.turn(CODE)
    words = await talk.turn("and where is my order five one eight two six four")
    assert "can't find that order" in words
    assert "rug" not in words
