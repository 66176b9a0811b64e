"""A replay shown to people: no clearer than what is stored of the call."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

NOT_SHOWN = "(not shown: what is personal in it was found later)"
_NOT_HEARD = {"heard": NOT_SHOWN}


def as_stored(call: dict[str, Any], turns: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """A report whose words are no clearer than those that are stored.

    A turn may have been masked after it was recorded, when the next one told what its digits were: of such a
    turn the stored words stand for those of the recording and of the replay. What the bot said in it and in
    the next may repeat them, and turns of the replay that stand for none may hold them: these are not shown.
    """
    later: dict[int, str] = {}
    for one in call["recorded"]:
        row = turns.get(one["turn"])
        words = "" if row is None else str(row["input"].get("text") or row["input"].get("digits") or "")
        if words != one["words"]:
            later[one["turn"]] = words
    if not later:
        return call
    numbers = [one["turn"] for one in call["recorded"]]
    echoes = {*later, *(after for before, after in pairwise(numbers) if before in later)}
    stands_for = {now: was for was, now in call["pairs"] if now is not None}

    def recorded(one: dict[str, Any]) -> dict[str, Any]:
        number = one["turn"]
        return {**one, "words": later.get(number, one["words"])} | (_NOT_HEARD if number in echoes else {})

    def replayed(one: dict[str, Any]) -> dict[str, Any]:
        was = stands_for.get(one["turn"])
        if was is None:
            return {**one, "words": NOT_SHOWN} | _NOT_HEARD
        return {**one, "words": later.get(was, one["words"])} | (_NOT_HEARD if was in echoes else {})

    def difference(one: dict[str, Any]) -> dict[str, Any]:
        number = one["turn"]
        if one["what"] == "turns" and one["was"] == "no turn":
            return {**one, "now": NOT_SHOWN}
        if one["what"] in ("words", "turns") and number in later:
            return {**one, "was": later[number], "now": later[number]}
        if one["what"] == "spoken" and number in echoes:
            return {**one, "was": NOT_SHOWN, "now": NOT_SHOWN}
        return one

    return {
        **call,
        "recorded": [recorded(one) for one in call["recorded"]],
        "turns": [replayed(one) for one in call["turns"]],
        "differences": [difference(one) for one in call["differences"]],
    }
