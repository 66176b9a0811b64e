"""A transfer goes only where it may: every state by every sign, and whatever order the signs come in.

Whoever is rung is rung once per dial; nobody is left ringing for a caller who is gone; no caller is left in
a room to which nobody comes.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import get_args

import pytest

from voicebot.handoff.transfer import machine
from voicebot.handoff.transfer.effects import Do, Effect, still_wanted
from voicebot.handoff.transfer.machine import Stepped, agent_hears, begin, caller_gets, step
from voicebot.handoff.transfer.signs import (
    AgentIn,
    AgentOut,
    Answered,
    CallerAsks,
    CallerIn,
    CallerLeft,
    CallerSeen,
    Cancelled,
    Dialled,
    DialRefused,
    DialUnknown,
    LegIs,
    LookedFor,
    MediaBack,
    Pressed,
    RoomSeen,
    SentBack,
    Sign,
    TakenAtDesk,
    Tick,
)
from voicebot.handoff.transfer.states import COMING_BACK, FETCHED, LIVE, State, Transfer

T0 = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
LEG, STRAY, CALL = "CA" + "1" * 32, "CA" + "2" * 32, "CA" + "0" * 32
S = State


def new(*destinations: str, **more: object) -> Transfer:
    return Transfer.model_validate(
        {
            "id": "tr_" + "a" * 32,
            "conversation": "cv_1",
            "call": CALL,
            "destinations": destinations or ("desk",),
            "requested_at": T0,
            "since": T0,
            "dialled_at": T0,
            **more,
        }
    )


def after(*signs: Sign, start: Transfer | None = None, at: datetime = T0) -> Transfer:
    """The transfer once these have happened at ``at``."""
    transfer = begin(start or new(), T0).transfer
    for sign in signs:
        transfer = step(transfer, sign, at).transfer
    return transfer


def is_(status: str, attempt: int = 1, leg: str = LEG) -> LegIs:
    return LegIs(attempt, leg, status)  # pyright: ignore[reportArgumentType]


HOLDS = (CallerAsks(), CallerIn(1))
RINGS = (*HOLDS, Dialled(1, LEG), is_("ringing"))
HEARS = (*RINGS, Answered(1, LEG))
ACCEPTS = (*HEARS, Pressed(1, LEG, 1, "1"))
TALKS = (*ACCEPTS, AgentIn(1))

REACHED: dict[State, tuple[Sign, ...]] = {
    S.REQUESTED: (*HOLDS, Dialled(1, LEG)),
    S.RINGING: RINGS,
    S.BRIEFING: HEARS,
    S.ACCEPTED: ACCEPTS,
    S.BRIDGED: TALKS,
    S.DECLINED: (*HEARS, Pressed(1, LEG, 1, "2")),
    S.BUSY: (*RINGS, is_("busy")),
    S.NO_ANSWER: (*RINGS, is_("no-answer")),
    S.AGENT_LEFT: (*TALKS, is_("completed")),
    S.FAILED: (*RINGS, is_("failed")),
    S.CANCELLED: (*RINGS, Cancelled()),
    S.TAKEN: (*RINGS, TakenAtDesk()),
    S.AT_DESK: (*RINGS, TakenAtDesk(), MediaBack()),
    S.RETURNED: (*RINGS, is_("busy"), MediaBack()),
    S.CALLER_LEFT: (*RINGS, CallerLeft()),
}

SIGNS: dict[str, Sign] = {
    "dialled": Dialled(1, LEG),
    "stray": Dialled(1, STRAY),
    "refused": DialRefused(1),
    "unknown": DialUnknown(1),
    "found": LookedFor(1, LEG),
    "not_found": LookedFor(1, None),
    "ringing": is_("ringing"),
    "in_progress": is_("in-progress"),
    "busy": is_("busy"),
    "no_answer": is_("no-answer"),
    "failed": is_("failed"),
    "completed": is_("completed"),
    "answered": Answered(1, LEG),
    "one": Pressed(1, LEG, 1, "1"),
    "two": Pressed(1, LEG, 1, "2"),
    "nothing": Pressed(1, LEG, 1, ""),
    "agent_in": AgentIn(1),
    "agent_out": AgentOut(1, on_line=False),
    "agent_out_on_line": AgentOut(1, on_line=True),
    "caller_in": CallerIn(1),
    "asks": CallerAsks(),
    "leaves_room": CallerAsks(1),
    "both_seen": RoomSeen(caller=True, agent=True),
    "caller_seen": CallerSeen(on_line=True),
    "caller_gone": CallerSeen(on_line=False),
    "sent": SentBack(ok=True),
    "caller_left": CallerLeft(),
    "media": MediaBack(),
    "cancelled": Cancelled(),
    "taken": TakenAtDesk(),
    "tick": Tick(),
}

BACK = [Do.SEND_BACK]
going: dict[tuple[State, str], tuple[State, list[Do]]] = {
    # Somebody is being dialled; Twilio has taken the dial.
    (S.REQUESTED, "ringing"): (S.RINGING, []),
    (S.REQUESTED, "in_progress"): (S.BRIEFING, []),
    (S.REQUESTED, "answered"): (S.BRIEFING, []),
    (S.REQUESTED, "busy"): (S.BUSY, BACK),
    (S.REQUESTED, "no_answer"): (S.NO_ANSWER, BACK),
    (S.REQUESTED, "failed"): (S.FAILED, BACK),
    (S.REQUESTED, "completed"): (S.AGENT_LEFT, BACK),
    (S.REQUESTED, "tick"): (S.REQUESTED, [Do.LOOK_AT_LEG]),
    # The phone rings.
    (S.RINGING, "in_progress"): (S.BRIEFING, []),
    (S.RINGING, "answered"): (S.BRIEFING, []),
    (S.RINGING, "busy"): (S.BUSY, BACK),
    (S.RINGING, "no_answer"): (S.NO_ANSWER, BACK),
    (S.RINGING, "failed"): (S.FAILED, BACK),
    (S.RINGING, "completed"): (S.AGENT_LEFT, BACK),
    (S.RINGING, "tick"): (S.NO_ANSWER, [Do.HANG_UP, Do.SEND_BACK]),
    # They hear what it is about.
    (S.BRIEFING, "one"): (S.ACCEPTED, []),
    (S.BRIEFING, "two"): (S.DECLINED, BACK),
    (S.BRIEFING, "nothing"): (S.BRIEFING, []),
    (S.BRIEFING, "busy"): (S.BUSY, BACK),
    (S.BRIEFING, "no_answer"): (S.NO_ANSWER, BACK),
    (S.BRIEFING, "failed"): (S.FAILED, BACK),
    (S.BRIEFING, "completed"): (S.AGENT_LEFT, BACK),
    (S.BRIEFING, "tick"): (S.DECLINED, [Do.HANG_UP, Do.SEND_BACK]),
    # They have accepted and are on their way into the room.
    (S.ACCEPTED, "agent_in"): (S.BRIDGED, []),
    (S.ACCEPTED, "both_seen"): (S.BRIDGED, []),
    (S.ACCEPTED, "agent_out"): (S.AGENT_LEFT, [Do.HANG_UP, Do.SEND_BACK]),
    (S.ACCEPTED, "agent_out_on_line"): (S.AGENT_LEFT, [Do.HANG_UP, Do.SEND_BACK]),
    (S.ACCEPTED, "busy"): (S.BUSY, BACK),
    (S.ACCEPTED, "no_answer"): (S.NO_ANSWER, BACK),
    (S.ACCEPTED, "failed"): (S.FAILED, BACK),
    (S.ACCEPTED, "completed"): (S.AGENT_LEFT, BACK),
    (S.ACCEPTED, "tick"): (S.ACCEPTED, [Do.LOOK_AT_ROOM]),
    # They talk. The end of the room lets the caller's call ask by itself: nobody fetches it at once.
    (S.BRIDGED, "agent_out"): (S.AGENT_LEFT, [Do.HANG_UP]),
    (S.BRIDGED, "agent_out_on_line"): (S.BRIDGED, []),
    (S.BRIDGED, "leaves_room"): (S.AGENT_LEFT, [Do.HANG_UP]),
    (S.BRIDGED, "busy"): (S.BUSY, []),
    (S.BRIDGED, "no_answer"): (S.NO_ANSWER, []),
    (S.BRIDGED, "failed"): (S.FAILED, []),
    (S.BRIDGED, "completed"): (S.AGENT_LEFT, []),
    (S.BRIDGED, "tick"): (S.BRIDGED, [Do.LOOK_AT_LEG]),
}
for live in (*LIVE, S.BRIDGED):
    going |= {
        (live, "caller_left"): (S.CALLER_LEFT, [Do.HANG_UP]),
        (live, "caller_gone"): (S.CALLER_LEFT, [Do.HANG_UP]),
        (live, "cancelled"): (S.CANCELLED, [Do.HANG_UP]),
        (live, "taken"): (S.TAKEN, [Do.HANG_UP, Do.SEND_BACK]),
    }
for back in FETCHED:
    going |= {
        (back, "media"): (S.RETURNED, []),
        (back, "caller_left"): (S.CALLER_LEFT, []),
        (back, "caller_gone"): (S.CALLER_LEFT, []),
        (back, "tick"): (back, BACK),
        (back, "taken"): (S.TAKEN, []),
    }
going |= {(S.TAKEN, "media"): (S.AT_DESK, []), (S.TAKEN, "cancelled"): (S.CANCELLED, [])}


@pytest.mark.parametrize("state", list(State))
def test_every_sign_in_every_state(state: State) -> None:
    """What is not in the table changes no state and has nothing done, but for a leg that nobody ordered."""
    before = after(*REACHED[state])
    assert before.state is state
    later = T0 + timedelta(seconds=100)
    for name, sign in SIGNS.items():
        stepped = step(before, sign, later if name == "tick" else T0)
        expected = going.get((state, name), (state, [Do.HANG_UP] if name == "stray" else []))
        found = (stepped.transfer.state, [one.do for one in stepped.effects])
        if name == "tick" and state in {S.RETURNED, S.AT_DESK, S.CALLER_LEFT}:
            assert before.due is None, state
        assert found == expected, f"{state} + {name}"


@pytest.mark.parametrize("state", list(State))
def test_twice_is_once(state: State) -> None:
    """A sign that comes again at once orders nothing and tells nothing (a stray leg is hung up again)."""
    for name, sign in SIGNS.items():
        if name in {"stray", "asks"}:  # who asks twice is given a room twice
            continue
        once = step(after(*REACHED[state]), sign, T0).transfer
        again = step(once, sign, T0)
        assert (again.effects, again.told) == ((), ()), f"{state} + {name}"


def test_the_next_destination_is_tried() -> None:
    """Each with a dial of its own, until one accepts; what the first one's leg says later counts no more."""
    transfer = after(*RINGS, start=new("desk", "desk 2"))
    stepped = step(transfer, is_("busy"), T0)
    assert stepped.told == ((S.BUSY, "desk", 1), (S.REQUESTED, "desk 2", 2))
    assert [(e.do, e.attempt, e.destination) for e in stepped.effects] == [(Do.DIAL, 2, "desk 2")]
    transfer = stepped.transfer
    assert step(transfer, is_("no-answer"), T0) == Stepped(transfer)
    assert [e.do for e in step(transfer, is_("in-progress"), T0).effects] == [Do.HANG_UP]
    assert agent_hears(transfer, 1, LEG) == "goodbye"
    for sign in (Dialled(2, STRAY), Answered(2, STRAY), Pressed(2, STRAY, 1, "1"), AgentIn(2)):
        transfer = step(transfer, sign, T0).transfer
    assert transfer.state is S.BRIDGED
    assert [(one.destination, one.outcome) for one in transfer.tried] == [("desk", "busy")]


def test_no_more_than_so_many_and_no_longer_than_that() -> None:
    """A caller is not kept while a whole company is rung."""
    transfer = begin(new(*(f"desk {n}" for n in range(9))), T0).transfer
    dials = 1
    while transfer.state in LIVE:
        stepped = step(transfer, DialRefused(transfer.attempt), T0)
        dials += sum(one.do is Do.DIAL for one in stepped.effects)
        transfer = stepped.transfer
    assert dials == machine.MAX_DESTINATIONS
    late = T0 + timedelta(seconds=machine.GIVE_UP_S)
    transfer = after(*RINGS, start=new("desk", "desk 2"))
    assert step(transfer, is_("no-answer"), late).transfer.state is S.NO_ANSWER


def test_who_says_nothing_is_asked_again_then_counts_as_declined() -> None:
    """The same pause told twice is one pause."""
    transfer = after(*HEARS)
    assert agent_hears(transfer, 1, LEG) == "briefing"
    transfer = step(transfer, Pressed(1, LEG, 1, ""), T0).transfer
    assert agent_hears(transfer, 1, LEG) == "again"
    assert step(transfer, Pressed(1, LEG, 1, ""), T0) == Stepped(transfer)
    transfer = step(transfer, Pressed(1, LEG, 2, ""), T0).transfer
    assert transfer.state is S.DECLINED
    assert agent_hears(transfer, 1, LEG) == "goodbye"


def test_another_key_is_no_answer() -> None:
    """Only 1 accepts."""
    for digits in ("5", "*", "11", "01"):
        assert step(after(*HEARS), Pressed(1, LEG, 1, digits), T0).transfer.state is S.BRIEFING


def test_signs_in_the_wrong_order() -> None:
    """The briefing's request before the dial's own answer; ringing after it; the end before all of it."""
    transfer = after(Answered(1, LEG), is_("ringing"), Dialled(1, LEG), is_("initiated"))
    assert (transfer.state, transfer.leg, transfer.effects) == (S.BRIEFING, LEG, 1)
    transfer = after(is_("completed"), is_("in-progress"), is_("ringing"))
    assert transfer.state is S.AGENT_LEFT
    transfer = after(*HEARS, Pressed(1, LEG, 1, "1"), AgentOut(1, on_line=False), AgentIn(1))
    assert transfer.state is S.AGENT_LEFT
    transfer = after(
        CallerAsks(), CallerAsks(1), CallerIn(1), *RINGS[2:], *HEARS[4:], *ACCEPTS[5:], AgentIn(1)
    )
    assert transfer.state is S.ACCEPTED, "the caller has left the first room and is not in the second"
    assert step(transfer, CallerIn(2), T0).transfer.state is S.BRIDGED


def test_a_dial_of_unknown_outcome_is_looked_for_before_another() -> None:
    """Found: it is the dial. Not found for long: one more. Not found again: the next destination."""
    transfer = after(*HOLDS, DialUnknown(1))
    assert transfer.due == T0 + timedelta(seconds=machine.LOOK_S)
    at = T0 + timedelta(seconds=machine.LOOK_S)
    looked = step(transfer, Tick(), at)
    assert [one.do for one in looked.effects] == [Do.LOOK_FOR_LEG]
    found = step(looked.transfer, LookedFor(1, LEG), at).transfer
    assert (found.dial, found.leg, found.attempt) == ("made", LEG, 1)
    early = step(looked.transfer, LookedFor(1, None), at)
    assert early.effects == ()
    at = T0 + timedelta(seconds=machine.LOST_S)
    lost = step(early.transfer, LookedFor(1, None), at)
    assert [(one.do, one.attempt) for one in lost.effects] == [(Do.DIAL, 2)]
    assert [one.do for one in step(lost.transfer, is_("ringing"), at).effects] == [Do.HANG_UP]
    again = step(lost.transfer, DialUnknown(2), at).transfer
    at += timedelta(seconds=machine.LOST_S)
    assert step(again, LookedFor(2, None), at).transfer.state is S.FAILED


def test_a_callback_settles_a_dial_of_unknown_outcome() -> None:
    """And the look that was under way changes nothing."""
    transfer = after(*HOLDS, DialUnknown(1), is_("initiated"))
    assert (transfer.dial, transfer.leg) == ("made", LEG)
    assert step(transfer, LookedFor(1, None), T0 + timedelta(seconds=60)) == Stepped(transfer)


def test_a_caller_who_leaves_while_the_dial_is_under_way() -> None:
    """Nobody is left ringing: neither when the dial succeeds, nor when its outcome is unknown."""
    gone = after(*HOLDS, CallerLeft())
    dialled = step(gone, Dialled(1, LEG), T0)
    assert [(one.do, one.leg) for one in dialled.effects] == [(Do.HANG_UP, LEG)]
    assert not still_wanted(gone, Effect(number=1, do=Do.DIAL, attempt=1))
    unknown = step(gone, DialUnknown(1), T0).transfer
    assert unknown.due is not None
    looked = step(unknown, Tick(), unknown.due).transfer
    found = step(looked, LookedFor(1, LEG), T0)
    assert [(one.do, one.leg) for one in found.effects] == [(Do.HANG_UP, LEG)]
    assert found.transfer.state is S.CALLER_LEFT


def test_rest_is_down() -> None:
    """A caller who asks while REST can dial nobody is dialled through by TwiML, if there is a number."""
    blind = after(DialUnknown(1), LookedFor(1, None, blind=True), start=new(cold=True))
    asked = step(blind, CallerAsks(), T0).transfer
    assert (asked.state, asked.forwarded, caller_gets(asked)) == (S.CANCELLED, True, "cold")
    nowhere = after(DialUnknown(1), LookedFor(1, None, blind=True))
    assert caller_gets(step(nowhere, CallerAsks(), T0).transfer) == "hold"
    later = T0 + timedelta(seconds=machine.LOST_S)
    failed = step(blind, LookedFor(1, None, blind=True), later).transfer
    assert failed.state is S.FAILED
    assert caller_gets(step(failed, CallerAsks(), T0).transfer) == "cold"
    many = after(DialUnknown(1), LookedFor(1, None, blind=True), start=new("desk", "desk 2"))
    assert step(many, LookedFor(1, None, blind=True), later).transfer.state is S.FAILED, (
        "all would fail alike"
    )


def test_what_a_caller_gets() -> None:
    """The room while somebody is tried, the bot when nobody is, the last resort if the bot cannot."""
    for state in State:
        transfer = step(after(*REACHED[state]), CallerAsks(), T0).transfer
        expected = "hold" if state in {*LIVE, S.BRIDGED} else "bot" if state in FETCHED else "nothing"
        assert caller_gets(transfer) == expected, state
    failing = after(*RINGS, is_("busy"), start=new(returns=False, cold=True))
    assert caller_gets(step(failing, CallerAsks(), T0).transfer) == "cold"


def test_a_room_that_does_not_keep_the_caller() -> None:
    """After so many entries the transfer is cancelled: who is being rung is hung up, the bot returns."""
    transfer = after(Dialled(1, LEG), is_("ringing"))
    for entry in range(machine.ENTRIES):
        transfer = step(transfer, CallerAsks(entry or None), T0).transfer
        assert caller_gets(transfer) == "hold"
    stepped = step(transfer, CallerAsks(machine.ENTRIES), T0)
    assert [one.do for one in stepped.effects] == [Do.HANG_UP]
    assert (stepped.transfer.state, caller_gets(stepped.transfer)) == (S.CANCELLED, "bot")


def test_who_ended_the_room() -> None:
    """The person's way out while they hold the phone says nothing about who left: the caller is looked at."""
    transfer = after(*TALKS, AgentOut(1, on_line=True), is_("completed"))
    assert transfer.state is S.BRIDGED
    assert transfer.due is not None
    looked = step(transfer, Tick(), transfer.due)
    assert [one.do for one in looked.effects] == [Do.LOOK_AT_CALLER]
    assert step(looked.transfer, CallerSeen(on_line=False), T0).transfer.state is S.CALLER_LEFT
    assert step(looked.transfer, CallerSeen(on_line=True), T0).transfer.state is S.AGENT_LEFT


def test_the_caller_is_sent_in_and_sent_back() -> None:
    """Who still hears the bot when somebody accepts is fetched; who waits when nobody comes is sent back."""
    transfer = after(Dialled(1, LEG), Answered(1, LEG), Pressed(1, LEG, 1, "1"), AgentIn(1))
    assert transfer.due is not None
    transfer = step(transfer, Tick(), transfer.due).transfer
    seen = step(transfer, RoomSeen(caller=False, agent=True), T0)
    assert [one.do for one in seen.effects] == [Do.SEND_IN]
    nobody = step(seen.transfer, RoomSeen(caller=False, agent=False), T0)
    for _ in range(machine.LOOKS):
        nobody = step(nobody.transfer, RoomSeen(caller=False, agent=False), T0)
    assert nobody.transfer.state is S.AGENT_LEFT
    waits = after(*RINGS, is_("busy"))
    back = Effect(number=9, do=Do.SEND_BACK)
    assert still_wanted(waits, back)
    assert not still_wanted(step(waits, CallerAsks(1), T0).transfer, back), "it has asked by itself"


def test_a_caller_whom_nobody_sends_into_the_room() -> None:
    """The node died while the bot spoke, and Twilio did not ask: the caller is fetched from silence."""
    transfer = after(Dialled(1, LEG), is_("ringing"))
    early = step(transfer, Tick(), T0 + timedelta(seconds=machine.NEWS_S))
    assert Do.SEND_IN not in [one.do for one in early.effects]
    late = step(early.transfer, Tick(), T0 + timedelta(seconds=machine.FETCH_S))
    (fetch,) = (one for one in late.effects if one.do is Do.SEND_IN)
    assert still_wanted(late.transfer, fetch)
    assert not still_wanted(step(late.transfer, CallerAsks(), T0).transfer, fetch)


def test_sending_back_is_tried_for_minutes() -> None:
    """REST is down while the caller waits in the room: again and again, then it is given up."""
    transfer, at, sent = after(*RINGS, is_("busy")), T0, 0
    while transfer.due is not None:
        at = transfer.due
        stepped = step(transfer, Tick(), at)
        sent += len(stepped.effects)
        transfer = (
            step(stepped.transfer, SentBack(ok=False), at).transfer if stepped.effects else stepped.transfer
        )
        assert sent < 500
    assert at - T0 >= timedelta(seconds=machine.BACK_LIMIT_S)
    assert sent > 50


def test_whoever_takes_the_call_at_a_desk_has_it_at_once() -> None:
    """Who is being rung is hung up and hears goodbye whatever they press; the caller is fetched."""
    taken = step(after(*HEARS), TakenAtDesk(), T0)
    assert [(one.do, one.leg) for one in taken.effects] == [(Do.HANG_UP, LEG), (Do.SEND_BACK, None)]
    pressed = step(taken.transfer, Pressed(1, LEG, 1, "1"), T0)
    assert (pressed.transfer.state, pressed.effects) == (S.TAKEN, ())
    assert agent_hears(pressed.transfer, 1, LEG) == "goodbye"
    stray = step(after(*HOLDS, TakenAtDesk()), Dialled(1, LEG), T0)
    assert [(one.do, one.leg) for one in stray.effects] == [(Do.HANG_UP, LEG)], "dialled before, known after"


def test_who_has_taken_it_gets_the_caller_even_where_the_bot_cannot() -> None:
    """A call that failed is nobody's to give back to the bot: it gets a socket all the same."""
    taken = after(*RINGS, TakenAtDesk(), start=new(returns=False, cold=True))
    asked = step(taken, CallerAsks(1), T0).transfer
    assert (caller_gets(asked), asked.forwarded) == ("bot", False)


def test_who_hears_the_bots_last_words_is_fetched_only_when_they_do_not_come() -> None:
    """The node connects them over the socket that stands; if it died, the caller is fetched."""
    taken = step(after(Dialled(1, LEG)), TakenAtDesk(), T0)
    assert [one.do for one in taken.effects] == [Do.HANG_UP]
    assert taken.transfer.due == T0 + timedelta(seconds=machine.FETCH_S)
    assert step(taken.transfer, MediaBack(), T0).transfer.state is S.AT_DESK
    late = step(taken.transfer, Tick(), taken.transfer.due)
    assert [one.do for one in late.effects] == BACK
    assert still_wanted(late.transfer, late.effects[0])


ANYTHING: list[Callable[[random.Random], Sign]] = [
    *(lambda _, sign=sign: sign for sign in SIGNS.values()),
    lambda r: LegIs(r.randint(1, 3), r.choice((LEG, STRAY)), r.choice(get_args(machine.LegStatus))),
    lambda r: Pressed(r.randint(1, 3), r.choice((LEG, STRAY)), r.randint(1, 2), r.choice("12 ").strip()),
    lambda r: Dialled(r.randint(1, 3), r.choice((LEG, STRAY))),
    lambda r: LookedFor(r.randint(1, 2), r.choice((LEG, None)), blind=r.random() < 0.5),
    lambda r: CallerAsks(r.choice((None, 1, 2, 3))),
    lambda r: CallerIn(r.randint(1, 3)),
    lambda r: AgentIn(r.randint(1, 3)),
    lambda r: AgentOut(r.randint(1, 3), on_line=r.random() < 0.5),
    lambda r: RoomSeen(caller=r.random() < 0.5, agent=r.random() < 0.5),
    lambda _: Tick(),
]
NEXT: dict[State, set[State]] = {
    S.REQUESTED: {S.RINGING, S.BRIEFING},
    S.RINGING: {S.BRIEFING},
    S.BRIEFING: {S.ACCEPTED},
    S.ACCEPTED: {S.BRIDGED},
    S.BRIDGED: set(),
    S.TAKEN: {S.AT_DESK, S.CANCELLED},
    S.AT_DESK: set(),
    S.RETURNED: set(),
    S.CALLER_LEFT: set(),
}
OVER = {S.CALLER_LEFT, S.RETURNED, S.AT_DESK}


@pytest.mark.parametrize(("returns", "cold"), list(product((True, False), repeat=2)))
def test_whatever_comes_in_whatever_order(*, returns: bool, cold: bool) -> None:
    """Random lives: one dial per number, a bridge only after an acceptance, a way on for every caller."""
    chance = random.Random(7)
    for _ in range(250):
        stepped = begin(new("desk", "desk 2", "desk 3", returns=returns, cold=cold), T0)
        transfer, now = stepped.transfer, T0
        dialled = [one.attempt for one in stepped.effects]
        numbers = [one.number for one in stepped.effects]
        accepted: set[int] = set()
        for _ in range(60):
            now += timedelta(seconds=chance.choice((0.0, 0.1, 2.0, 6.0)))
            sign = chance.choice(ANYTHING)(chance)
            before, stepped = transfer, step(transfer, sign, now)
            transfer = stepped.transfer
            numbers += [one.number for one in stepped.effects]
            dialled += [one.attempt for one in stepped.effects if one.do is Do.DIAL]
            if isinstance(sign, Pressed) and sign.digits == "1":
                accepted.add(sign.attempt)
            at = before.state
            for told, destination, _ in stepped.told:
                allowed = NEXT.get(at, {S.RETURNED}) | ({S.CALLER_LEFT, S.TAKEN} if at not in OVER else set())
                allowed |= COMING_BACK if at in {*LIVE, S.BRIDGED} else set()
                allowed |= {S.REQUESTED} if at in COMING_BACK else set()
                assert told in allowed, f"{at} -> {told} by {sign}"
                assert destination in transfer.destinations
                at = told
            assert at is transfer.state or transfer.attempt > before.attempt
            if transfer.bridged and not before.bridged:
                assert transfer.attempt in accepted
            if transfer.state in FETCHED and not transfer.over:
                assert transfer.due is not None or transfer.requested_at + timedelta(seconds=300) < now
            if transfer.state in LIVE and transfer.dial in {"made", "unknown"}:
                assert transfer.due is not None, f"nobody looks any more: {transfer}"
        assert dialled == list(range(1, transfer.attempt + 1))
        assert numbers == list(range(1, transfer.effects + 1))
