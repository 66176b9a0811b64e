"""A state that an older server stored is brought up when it is read, and loses nothing."""

from __future__ import annotations

import json

import pytest

from voicebot.dialogue.state import (
    SCHEMA_VERSION,
    UPGRADES,
    AskedKind,
    ConversationState,
    UnknownState,
    dump,
    load,
)

# As version 1 stored it, in the middle of a call: verified, a want put off, an answer not heard yet.
VERSION_1 = json.loads("""
{"schema_version": 1, "greeted": true,
 "topic": {"intent": "order_status", "confidence": 0.98, "text": "where is it"},
 "waiting": [{"intent": "gift_card", "confidence": 0.9, "text": "gift cards"}],
 "asked": {"kind": "factor", "factor": "post_code", "want": null},
 "gate": {"given": {"order_number": {"candidates": ["427103"], "keyed": false, "misheard": 1, "asked": 0}},
          "tries": 1,
          "match": {"customer_id": "cu_00001", "reference": "427103", "method": ["order_number"]}},
 "owed": [{"key": "notice", "text": "recorded"}], "told": ["opening-hours"], "last_said": "Nine.",
 "history": [{"caller": "when", "bot": "Nine."}], "cut_off": "hello", "not_heard": 1, "not_understood": 2,
 "asked_more": 3, "handoff": null, "ending": false,
 "open_turns": [{"turn": 4, "text": "And the post code?", "caller": "427103", "owes": [], "question": "code?",
                 "asked": {"kind": "factor", "factor": "post_code", "want": null}, "tells": []}]}
""")


def _held(before: object, now: object) -> bool:
    """Whether all that was stored is there still; fields that are new beside it do not matter."""
    if isinstance(before, dict) and isinstance(now, dict):
        return all(key in now and _held(value, now[key]) for key, value in before.items())
    return before == now


def test_a_call_in_the_middle_goes_on_with_all_it_had() -> None:
    """Every field of version 1 stands in the new state as it was."""
    state = load(VERSION_1)
    kept = dump(state)
    assert kept["schema_version"] == SCHEMA_VERSION
    for name, value in VERSION_1.items():
        if name not in {"schema_version", "asked", "open_turns"}:
            assert _held(value, kept[name]), name
    assert state.asked is not None
    assert (state.asked.kind, state.asked.factor) == (AskedKind.FACTOR, "post_code")
    assert state.open_turns[0].text == "And the post code?"
    assert (state.pending, state.held, state.slots, state.customer) == ((), (), {}, None)


def test_what_was_brought_up_is_stored_in_todays_form() -> None:
    """Reading, writing and reading again is the same."""
    state = load(VERSION_1)
    assert load(dump(state)) == state


def test_there_is_a_step_from_every_version_that_was_ever_stored() -> None:
    """From the first one to today's, one at a time."""
    assert sorted(UPGRADES) == list(range(1, SCHEMA_VERSION))
    assert all(UPGRADES[version](VERSION_1)["schema_version"] == version + 1 for version in UPGRADES)


@pytest.mark.parametrize("change", [{"schema_version": 4}, {"schema_version": 0}, {"mood": "good"}])
def test_what_cannot_be_brought_up_is_refused(change: dict[str, object]) -> None:
    """A newer server's state, one of no version, or one with a field nobody knows."""
    with pytest.raises(UnknownState):
        load({**VERSION_1, **change})


def test_bringing_up_leaves_what_is_stored_alone() -> None:
    """Nothing is written by reading."""
    before = json.dumps(VERSION_1, sort_keys=True)
    load(VERSION_1)
    assert json.dumps(VERSION_1, sort_keys=True) == before
    assert load(dump(ConversationState())) == ConversationState()
