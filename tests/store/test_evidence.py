"""What a recording is told of turns: masked as it is stored, and which answers were codes or cards."""

from __future__ import annotations

import json
from typing import Any

from test_identity_gate_turns import ORDER, POST_CODE, WANT, begin, code_of, level_two

from voicebot.core import witness
from voicebot.core.conversation import Keys
from voicebot.core.store.database import Database


def turns(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in told if one["type"] == "turn.committed"]


async def test_a_code_that_is_asked_for_is_said_to_be_one(shop_database: Database) -> None:
    """So that whoever keeps the words and keys of a call keeps neither the next keys nor these words."""
    told: list[dict[str, Any]] = []
    with witness.told_to(told.append):
        talk = await begin(shop_database, deployment=level_two(), texting=True)
        for words in (WANT, ORDER, POST_CODE):
            await talk.turn(words)
        code = await code_of(talk)
        await talk.turn(Keys(digits=code))
    flags = [(one["asks_code"], one["code"]) for one in turns(told)]
    assert flags[-2:] == [(True, False), (False, True)]
    assert not any(flags[0])
    assert code not in json.dumps(told)
    assert "427103" not in json.dumps([one["input"] for one in turns(told)])
    assert {one["type"] for one in told} >= {"turn.committed", "turn.heard"}


async def test_a_card_is_said_to_be_one_when_its_last_digits_came(shop_database: Database) -> None:
    told: list[dict[str, Any]] = []
    with witness.told_to(told.append):
        talk = await begin(shop_database)
        await talk.turn("my card is four two four two four two four two")
        await talk.turn("four two four two four two four two")
        await talk.turn("thank you")
    assert [one["card"] for one in turns(told)][-3:] == [False, True, False]
    assert "4242" not in json.dumps(told)
    assert "four two four two" not in json.dumps(told)
