"""A conference's rules: who hears whom, when it begins and ends, in which order that is told."""

from __future__ import annotations

import numpy as np
import pytest

from voicebot.audio.mulaw import decode
from voicebot.proof.simulation.clips import tone
from voicebot.proof.simulation.ear import SILENCE
from voicebot.proof.simulation.mixing import mix
from voicebot.proof.simulation.room import Room, Seat

PEOPLE = ("caller", "agent", "coach")


def started(**seats: dict) -> Room:
    room = Room()
    for who in PEOPLE:
        room.join(Seat(who, label=who, **seats.get(who, {})))
    return room


def hearing(room: Room) -> dict[str, str]:
    return {a: " ".join(b for b in PEOPLE if room.hears(a, b)) for a in PEOPLE}


@pytest.mark.parametrize(
    ("seats", "expected"),
    [
        ({}, {"caller": "agent coach", "agent": "caller coach", "coach": "caller agent"}),
        ({"agent": {"muted": True}}, {"caller": "coach", "agent": "caller coach", "coach": "caller"}),
        ({"agent": {"hold": True}}, {"caller": "coach", "agent": "", "coach": "caller"}),
        (
            {"coach": {"coaching": "agent"}},
            {"caller": "agent", "agent": "caller coach", "coach": "caller agent"},
        ),
        (
            {"coach": {"coaching": "agent", "muted": True}},
            {"caller": "agent", "agent": "caller", "coach": "caller agent"},
        ),
    ],
)
def test_who_hears_whom(seats, expected):
    assert hearing(started(**seats)) == expected


@pytest.mark.parametrize(
    ("starters", "begins_with"),
    [((True, True), 2), ((False, True), 2), ((True, False), 2), ((False, False), None)],
)
def test_a_room_begins_with_two_of_whom_one_may_start_it(starters, begins_with):
    room = Room()
    for n, may in enumerate(starters, 1):
        events = room.join(Seat(str(n), start_on_enter=may))
        assert ("conference-start" in [e.name for e in events]) == (n == begins_with)
    assert room.hears("1", "2") == (begins_with is not None)


def test_the_end_is_told_last_and_by_whom():
    room = started(agent={"end_on_exit": True})
    events = room.leave("agent", "participant_hung_up")
    assert [(e.name, e.form.get("ReasonParticipantLeft")) for e in events] == [
        ("participant-leave", "participant_hung_up"),
        ("participant-leave", "moderator_ended_conference"),
        ("participant-leave", "moderator_ended_conference"),
        ("conference-end", None),
    ]
    assert events[-1].form["CallSidEndingConference"] == "agent"
    assert [e.number for e in events] == [5, 6, 7, 8]
    assert room.leave("caller", "participant_hung_up") == room.end("conference-ended-via-api") == []


def test_the_last_one_out_ends_it():
    room = Room()
    room.join(Seat("a"))
    assert [e.name for e in room.leave("a", "participant_hung_up", kicked=True)][-1] == "conference-end"
    assert room.ended_because == "last-participant-kicked"


def test_only_what_changed_is_told():
    room = started()
    assert room.update("agent", muted=False, hold=False) == []
    assert [e.name for e in room.update("agent", muted=True, coaching="caller")] == [
        "participant-mute",
        "participant-modify",
    ]
    assert [e.form["CallSidToCoach"] for e in room.update("agent", hold=True)] == ["caller"]


def test_two_voices_add_up_and_one_passes_untouched():
    one, two = tone(20, 500), tone(20, 1500)
    assert mix([b"", SILENCE, one]) == one
    both = decode(mix([one, two])).astype(float)
    assert np.allclose(both, decode(one).astype(float) + decode(two), atol=400)
    loudest = b"\x80" * 160
    assert decode(mix([loudest, loudest])).max() == decode(loudest).max()
