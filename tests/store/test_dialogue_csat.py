"""How satisfied callers were: asked once after the goodbye where policy says so, never insisted on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from dialogue_kit import DEPLOYMENT, Talk

from voicebot.core.conversation import (
    FREE,
    Action,
    Channel,
    HearingFailure,
    Keys,
    NotHeard,
    Silence,
    TurnInput,
)
from voicebot.core.store import outcomes
from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing
from voicebot.dialogue.flow.rating import score_of
from voicebot.dialogue.outcomes import Outcomes
from voicebot.safety.policy import Policy
from voicebot.safety.policy.csat import CsatRules

BOTH = CsatRules(channels=(Channel.PHONE, Channel.CHAT))
ASKING = replace(DEPLOYMENT, policy=Policy(DEPLOYMENT.policy.table.model_copy(update={"csat": BOTH})))
HOURS = "what are your opening hours"


async def asked(database: Database, keys: KeyRing, channel: Channel = Channel.PHONE) -> Talk:
    """A caller who was answered and says goodbye."""
    talk = await Talk.begin(database, keys, deployment=ASKING, channel=channel)
    await talk.turn(HOURS)
    assert "from one to five" in await talk.turn("no thanks, goodbye")
    assert talk.last is not None
    assert talk.last.after == "continue"
    assert talk.last.decision.action is not Action.END, "by that a chat knows that it is over"
    assert talk.last.decision.expects == FREE, "a grammar of digits would hear a wish as a rating of one"
    return talk


async def kept(talk: Talk) -> tuple[int, str] | None:
    async with talk.database.transaction() as tx:
        row = await (
            await tx.execute("SELECT score, how FROM csat WHERE conversation_id = %s", (talk.id,))
        ).fetchone()
    return None if row is None else (row["score"], row["how"])


@pytest.mark.parametrize(
    ("given", "channel", "score"),
    [
        (Keys(digits="4"), Channel.PHONE, (4, "keys")),
        ("i'd say a five", Channel.PHONE, (5, "voice")),
        ("3", Channel.CHAT, (3, "text")),
        (Keys(digits="7"), Channel.PHONE, None),
        (Silence(nth=1), Channel.PHONE, None),
        (NotHeard(reason=HearingFailure.EMPTY), Channel.PHONE, None),
        ("it was quite alright", Channel.PHONE, None),
        ("no", Channel.PHONE, None),
    ],
)
async def test_it_is_kept_or_let_go_and_the_call_ends(
    shop_database: Database,
    keys: KeyRing,
    given: TurnInput | str,
    channel: Channel,
    score: tuple[int, str] | None,
) -> None:
    talk = await asked(shop_database, keys, channel)
    said = await talk.turn(given)
    assert "oodbye" in said
    assert talk.last is not None
    assert talk.last.after == "hang_up"
    assert await kept(talk) == score
    await talk.close()


async def test_who_wants_something_after_all_is_answered_and_not_asked_again(
    shop_database: Database, keys: KeyRing
) -> None:
    talk = await asked(shop_database, keys)
    await talk.turn("what does shipping cost")
    assert talk.last is not None
    assert (talk.last.decision.intent, talk.last.decision.action) == ("shipping_cost", Action.ANSWER)
    assert "from one to five" not in await talk.turn("goodbye")
    assert talk.last.after == "hang_up"
    await talk.close()


@pytest.mark.parametrize("given", ["can i talk to a person please", Keys(digits="0")])
async def test_a_person_can_be_had_instead(
    shop_database: Database, keys: KeyRing, given: TurnInput | str
) -> None:
    talk = await asked(shop_database, keys)
    await talk.turn(given)
    assert talk.last is not None
    assert talk.last.handoff is not None
    await talk.close()


async def test_nobody_is_asked_where_it_is_off_or_nothing_was_settled(
    shop_database: Database, keys: KeyRing
) -> None:
    off = await Talk.begin(shop_database, keys)
    await off.turn(HOURS)
    assert "from one to five" not in await off.turn("goodbye")
    nothing = await Talk.begin(shop_database, keys, deployment=ASKING)
    assert "from one to five" not in await nothing.turn("goodbye")
    for talk in (off, nothing):
        assert talk.last is not None
        assert talk.last.after == "hang_up"
        await talk.close()


async def test_who_hangs_up_at_the_question_had_said_goodbye(shop_database: Database, keys: KeyRing) -> None:
    """The conversation counts as resolved, and the rating as not given."""
    talk = await asked(shop_database, keys)
    async with shop_database.transaction() as tx:
        await talk.conversations.finish(tx, talk.id, reason="caller_hung_up")
    await Outcomes(shop_database, keys, DEPLOYMENT.intents.is_content, quiet_s=0).one()
    async with shop_database.transaction() as tx:
        row = await outcomes.of(tx, talk.id)
    assert row is not None
    assert (row["resolution"], row["csat"], row["intent"]) == ("resolved", None, "opening_hours")
    await talk.close()


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("four", 4), ("a four out of five", 4), ("five stars please", 5), ("number two", 2), ("to", 2),
        ("six", None), ("one or two", None), ("ten", None), ("thanks for everything", None),
        ("my order is four two seven one oh three and it has not come", None), ("", None),
    ],
)  # fmt: skip
def test_the_one_number_that_short_words_name(text: str, score: int | None) -> None:
    assert score_of(text) == score
