"""The steps of a transfer: a sign and the time in; the transfer as it becomes and what is to be done out.

Nothing goes backwards, and what says nothing new changes nothing: so a sign may come twice, and any node may
take it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from voicebot.handoff.transfer.effects import Do, Effect
from voicebot.handoff.transfer.signs import (
    LEG_OVER,
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
    LegStatus,
    LookedFor,
    MediaBack,
    Pressed,
    RoomSeen,
    SentBack,
    Sign,
    TakenAtDesk,
    Tick,
)
from voicebot.handoff.transfer.states import (
    COMING_BACK,
    FETCHED,
    LIVE,
    Outcome,
    State,
    Transfer,
    Tried,
)

RING_S = 20
"""How long one person's phone rings (`Timeout`; Twilio may add 5 s)."""

RING_LIMIT_S = 35.0
"""Past this a leg that is said to ring is given up, whatever Twilio says of it."""

NEWS_S = 5.0
"""No callback for this long: ask about the leg. They are best effort."""

LOOK_S = 1.5
"""A dial of unknown outcome is looked for after this, and again; its callbacks mostly come first."""

LOST_S = 6.0
"""A dial of unknown outcome that nobody has found for this long was never made."""

ASKS = 2
"""How often somebody who answered and presses nothing is asked."""

BRIEFING_LIMIT_S = 75.0
"""Two askings with their pauses take 40 s."""

ENTER_S = 3.0
"""Who has accepted is in the room at once; the caller may still hear the bot's last words."""

LOOKS = 4
"""Who is not in the room after so many looks does not come."""

ENTRIES = 6
"""A room that lets the caller go so often does not work."""

FETCH_S = 15.0
"""A caller who is not in the room by then hears nobody: the bot's last words take some 8 s."""

BACK_S = 4.0
"""The bot's socket stands 1 s after the caller was sent back."""

BACK_LIMIT_S = 300.0

GIVE_UP_S = 150.0
"""No new destination is tried for a caller who has waited for this long."""

MAX_DESTINATIONS = 4
"""As many people are rung for one caller."""

BRIDGED_LOOK_S = 60.0


class Told(NamedTuple):
    """A state that was entered, and which destination and dial it is about."""

    state: State
    destination: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Stepped:
    """``told`` in the order in which the states were entered."""

    transfer: Transfer
    effects: tuple[Effect, ...] = ()
    told: tuple[Told, ...] = ()


CallerGets = Literal["hold", "bot", "cold", "nothing"]
"""``bot``: a media socket of ours. ``nothing``: it is not the transfer's to say."""

AgentHears = Literal["briefing", "again", "room", "goodbye"]


def begin(transfer: Transfer, now: datetime) -> Stepped:
    """A new transfer: the first destination is dialled."""
    one = _Stepping(transfer, now)
    one.tell(State.REQUESTED)
    one.dial()
    return one.done()


def step(transfer: Transfer, sign: Sign, now: datetime) -> Stepped:
    """What follows from ``sign``. The same transfer and nothing to do if it says nothing new."""
    one = _Stepping(transfer, now)
    match sign:
        case Dialled(attempt, leg):
            _leg_known(one, attempt, leg)
        case DialRefused(attempt):
            if one.now_is(attempt) and transfer.dial == "ordered":
                one.set(dial="over")
                if one.state is State.REQUESTED:
                    one.attempt_over("failed")
        case DialUnknown(attempt):
            if one.now_is(attempt) and transfer.dial == "ordered":
                one.set(dial="unknown", dialled_at=now, due=one.after(LOOK_S))
        case LookedFor(attempt, leg, blind):
            _looked_for(one, attempt, leg, blind=blind)
        case LegIs(attempt, leg, status):
            _leg_is(one, attempt, leg, status)
        case Answered(attempt, leg):
            _answered(one, attempt, leg)
        case Pressed(attempt, leg, asking, digits):
            if _leg_known(one, attempt, leg) and one.state is State.BRIEFING:
                _pressed(one, asking, digits)
        case AgentIn(attempt):
            if one.now_is(attempt) and one.state is State.ACCEPTED and not transfer.agent_in:
                one.set(agent_in=True)
                one.bridge()
        case AgentOut(attempt, on_line):
            _agent_out(one, attempt, on_line=on_line)
        case CallerIn(entry):
            if entry == transfer.entry and not transfer.caller_in and not transfer.over:
                one.set(caller_in=True)
                one.bridge()
        case CallerAsks(entry):
            _caller_asks(one, entry)
        case RoomSeen(caller, agent):
            _room_seen(one, caller=caller, agent=agent)
        case CallerSeen(on_line):
            if not on_line:
                _caller_left(one)
            elif one.state is State.BRIDGED and transfer.room_over:
                one.attempt_over("agent_left")
        case SentBack(ok):
            if one.state in FETCHED and not transfer.over:
                one.set(due=one.after(BACK_S * 2 if ok else BACK_S / 2))
        case CallerLeft():
            _caller_left(one)
        case MediaBack():
            if one.state in FETCHED and not transfer.over:
                one.enter(State.AT_DESK if one.state is State.TAKEN else State.RETURNED)
        case Cancelled(forwarded):
            _cancel(one, forwarded=forwarded)
        case TakenAtDesk():
            _taken_at_desk(one)
        case Tick():
            if transfer.due is not None and transfer.due <= now:
                one.set(due=None)
                _tick(one)
    return one.done()


def caller_gets(transfer: Transfer) -> CallerGets:
    """What a call that asks is to be given, after `CallerAsks` was taken."""
    if transfer.state in LIVE or transfer.state is State.BRIDGED:
        return "hold"
    if transfer.state in FETCHED:
        return "cold" if transfer.forwarded else "bot"
    return "nothing"


def agent_hears(transfer: Transfer, attempt: int, leg: str) -> AgentHears:
    """What a leg that asks is to hear, after `Answered` or `Pressed` was taken."""
    if transfer.attempt != attempt or transfer.leg != leg:
        return "goodbye"
    if transfer.state is State.BRIEFING:
        return "briefing" if transfer.asked <= 1 else "again"
    return "room" if transfer.state in {State.ACCEPTED, State.BRIDGED} else "goodbye"


class _Stepping:
    """One step under way: the transfer as it becomes, what is ordered, what is told."""

    def __init__(self, transfer: Transfer, now: datetime) -> None:
        self.transfer = transfer
        self.now = now
        self._effects: list[Effect] = []
        self._told: list[Told] = []

    @property
    def state(self) -> State:
        return self.transfer.state

    def done(self) -> Stepped:
        return Stepped(self.transfer, tuple(self._effects), tuple(self._told))

    def set(self, **changes: object) -> None:
        self.transfer = self.transfer.model_copy(update=changes)

    def after(self, seconds: float) -> datetime:
        return self.now + timedelta(seconds=seconds)

    def waited_s(self) -> float:
        return (self.now - self.transfer.since).total_seconds()

    def since_request_s(self) -> float:
        return (self.now - self.transfer.requested_at).total_seconds()

    def tell(self, state: State) -> None:
        self._told.append(Told(state, self.transfer.destination, self.transfer.attempt))

    def enter(self, state: State, **changes: object) -> None:
        """Goes on to a state. A dial of unknown outcome may ring somebody for nothing: it is looked for."""
        stray = state not in LIVE and self.transfer.dial == "unknown"
        self.set(state=state, since=self.now, looks=0, due=self.after(LOOK_S) if stray else None)
        self.set(**changes)
        self.tell(state)

    def order(self, do: Do, **more: str | int | None) -> None:
        number = self.transfer.effects + 1
        self.set(effects=number)
        self._effects.append(Effect.model_validate({"number": number, "do": do, **more}))

    def now_is(self, attempt: int) -> bool:
        return self.transfer.attempt == attempt

    def dial(self) -> None:
        self.order(Do.DIAL, attempt=self.transfer.attempt, destination=self.transfer.destination)

    def hang_up(self, leg: str | None) -> None:
        if leg is not None:
            self.order(Do.HANG_UP, leg=leg)

    def end_leg(self) -> None:
        if self.transfer.dial == "made":
            self.hang_up(self.transfer.leg)
            self.set(dial="over")

    def again(self) -> None:
        """Another dial: what still comes of the one before is a stray."""
        self.set(
            attempt=self.transfer.attempt + 1,
            state=State.REQUESTED,
            since=self.now,
            dialled_at=self.now,
            leg=None,
            dial="ordered",
            asked=0,
            looks=0,
            agent_in=False,
            room_over=False,
            due=None,
        )
        self.dial()

    def attempt_over(self, outcome: Outcome) -> None:
        """Nothing came of this destination: the next one, or the caller comes back."""
        transfer = self.transfer
        self.set(tried=(*transfer.tried, Tried(destination=transfer.destination, outcome=outcome)))
        nobody = transfer.place + 1 >= min(len(transfer.destinations), MAX_DESTINATIONS)
        waited = self.since_request_s() >= GIVE_UP_S
        if transfer.bridged or transfer.blind or nobody or waited:
            self.come_back(outcome)
            return
        self.tell(State(outcome))
        self.set(place=transfer.place + 1, redialled=False)
        self.again()
        self.tell(State.REQUESTED)

    def come_back(self, outcome: Outcome) -> None:
        # The end of the room lets the caller's call ask by itself; only who waits there is fetched at once.
        in_room = self.transfer.entry > 0
        fetch = in_room and not self.transfer.bridged
        self.enter(State(outcome), outcome=outcome, due=self.after(BACK_S if fetch else LOOK_S))
        if fetch:
            self.order(Do.SEND_BACK)

    def bridge(self) -> None:
        if self.state is State.ACCEPTED and self.transfer.agent_in and self.transfer.caller_in:
            self.enter(State.BRIDGED, bridged=True, due=self.after(BRIDGED_LOOK_S))


def _leg_known(one: _Stepping, attempt: int, leg: str) -> bool:
    """There is a leg of this dial. False if it is not the one that counts, which is then hung up."""
    transfer = one.transfer
    counts = one.now_is(attempt) and transfer.leg in {None, leg}
    if counts and (one.state in LIVE or one.state is State.BRIDGED):
        if transfer.leg is None:
            one.set(leg=leg, dial="made", blind=False)
            if one.state is State.REQUESTED:
                one.set(due=one.after(NEWS_S))
        return True
    if not counts:
        one.hang_up(leg)
    elif transfer.leg is None:  # it was dialled while the caller left, or went back
        one.set(leg=leg, dial="over")
        one.hang_up(leg)
    return False


def _looked_for(one: _Stepping, attempt: int, leg: str | None, *, blind: bool) -> None:
    transfer = one.transfer
    if not one.now_is(attempt) or transfer.dial != "unknown":
        return
    if leg is not None:
        _leg_known(one, attempt, leg)
        return
    one.set(blind=blind, due=one.after(LOOK_S))
    if (one.now - transfer.dialled_at).total_seconds() < LOST_S:
        return
    one.set(dial="over")
    if one.state is State.REQUESTED:
        if blind or transfer.redialled:
            one.attempt_over("failed")
        else:
            one.set(redialled=True)
            one.again()


def _leg_is(one: _Stepping, attempt: int, leg: str, status: LegStatus) -> None:
    transfer = one.transfer
    if status not in LEG_OVER:
        if not _leg_known(one, attempt, leg):
            return
        if status == "ringing" and one.state is State.REQUESTED:
            one.enter(State.RINGING, due=one.after(NEWS_S))
        elif status == "in-progress" and one.state in {State.REQUESTED, State.RINGING}:
            one.enter(State.BRIEFING, asked=0, due=one.after(NEWS_S))
        return
    if not one.now_is(attempt) or transfer.leg not in {None, leg}:
        return
    one.set(leg=leg, dial="over")
    if one.state is State.BRIDGED and transfer.room_over:
        return  # the room had ended before the leg did: whether the caller has left is being looked at
    if one.state in LIVE or one.state is State.BRIDGED:
        one.attempt_over(_outcome_of(status))


def _outcome_of(status: LegStatus) -> Outcome:
    match status:
        case "busy":
            return "busy"
        case "no-answer" | "canceled":
            return "no_answer"
        case "failed":
            return "failed"
        case _:
            return "agent_left"


def _answered(one: _Stepping, attempt: int, leg: str) -> None:
    if not _leg_known(one, attempt, leg):
        return
    if one.state in {State.REQUESTED, State.RINGING}:
        one.enter(State.BRIEFING, asked=1, due=one.after(NEWS_S))
    elif one.state is State.BRIEFING and one.transfer.asked == 0:
        one.set(asked=1)


def _pressed(one: _Stepping, asking: int, digits: str) -> None:
    if digits == "1":
        one.enter(State.ACCEPTED, due=one.after(ENTER_S))
    elif digits == "2" or (asking == one.transfer.asked and asking >= ASKS):
        one.set(dial="over")  # what it hears next says goodbye and hangs up
        one.attempt_over("declined")
    elif asking == one.transfer.asked:
        one.set(asked=asking + 1)


def _agent_out(one: _Stepping, attempt: int, *, on_line: bool) -> None:
    if not one.now_is(attempt) or one.state not in {State.ACCEPTED, State.BRIDGED}:
        return
    if one.state is State.BRIDGED and on_line:
        if not one.transfer.room_over:  # the caller's own way out says more, if it comes
            one.set(room_over=True, due=one.after(ENTER_S))
        return
    one.end_leg()
    one.attempt_over("agent_left")


def _caller_asks(one: _Stepping, entry: int | None) -> None:
    transfer = one.transfer
    if transfer.over or (entry is not None and entry != transfer.entry):
        return  # a room it has left before
    if one.state is State.BRIDGED and entry is not None:
        one.end_leg()
        one.attempt_over("agent_left")
    elif one.state not in FETCHED:
        if transfer.blind and transfer.cold and transfer.dial == "unknown":
            _cancel(one, forwarded=True)
            return
        if transfer.entry < ENTRIES:
            one.set(entry=transfer.entry + 1, caller_in=False)
            return
        _cancel(one, forwarded=False)
    ours = one.state is State.TAKEN
    if not ours and (not transfer.returns or (transfer.blind and transfer.cold)):
        one.set(forwarded=True, due=None)
    else:
        one.set(told_back=True, due=one.after(BACK_S * 2))


def _cancel(one: _Stepping, *, forwarded: bool) -> None:
    if one.transfer.over:
        return
    if one.state not in COMING_BACK:
        one.end_leg()
        one.enter(State.CANCELLED, outcome="cancelled")
    if forwarded:
        one.set(forwarded=True)
    elif one.transfer.due is None:
        one.set(due=one.after(BACK_S))


def _taken_at_desk(one: _Stepping) -> None:
    """Whoever is being rung is rung no more; who waits in the room is fetched."""
    transfer = one.transfer
    if transfer.over or one.state is State.TAKEN:
        return
    fetch = transfer.entry > 0 and one.state not in COMING_BACK
    one.end_leg()
    one.enter(State.TAKEN, due=one.after(BACK_S if transfer.entry else FETCH_S))
    if fetch:
        one.order(Do.SEND_BACK)


def _room_seen(one: _Stepping, *, caller: bool, agent: bool) -> None:
    if one.state is not State.ACCEPTED:
        return
    one.set(caller_in=caller, agent_in=agent)
    one.bridge()
    if one.state is not State.ACCEPTED:
        return
    transfer = one.transfer
    one.set(looks=transfer.looks + 1, due=one.after(ENTER_S))
    if not agent and one.transfer.looks >= LOOKS:
        one.end_leg()
        one.attempt_over("agent_left")
    elif not agent:
        one.order(Do.LOOK_AT_LEG, attempt=transfer.attempt, leg=transfer.leg)
    elif transfer.entry == 0 or transfer.looks:  # else it may be on its way in
        one.order(Do.SEND_IN)


def _caller_left(one: _Stepping) -> None:
    if one.transfer.over:
        return
    one.end_leg()
    one.enter(State.CALLER_LEFT)


def _tick(one: _Stepping) -> None:
    transfer = one.transfer
    if transfer.dial == "unknown":
        one.order(Do.LOOK_FOR_LEG, attempt=transfer.attempt, destination=transfer.destination)
        one.set(due=one.after(LOST_S))
    if transfer.over:
        return
    if transfer.state in LIVE and transfer.entry == 0 and one.since_request_s() >= FETCH_S:
        one.order(Do.SEND_IN)
    match transfer.state:
        case State.REQUESTED:
            _look_at_leg(one)
        case State.RINGING:
            _limit(one, RING_LIMIT_S, "no_answer")
        case State.BRIEFING:
            _limit(one, BRIEFING_LIMIT_S, "declined")
        case State.ACCEPTED:
            one.order(Do.LOOK_AT_ROOM)
            one.set(due=one.after(NEWS_S))
        case State.BRIDGED:
            if transfer.room_over:
                one.order(Do.LOOK_AT_CALLER)
                one.set(due=one.after(NEWS_S))
            else:
                _look_at_leg(one, BRIDGED_LOOK_S)
        case State.RETURNED | State.AT_DESK | State.CALLER_LEFT:
            return
        case _:
            if one.waited_s() < BACK_LIMIT_S:
                one.set(told_back=False, due=one.after(BACK_S))
                # Who has not been in the room is with the bot, whose socket comes to its end by itself.
                if transfer.entry or transfer.state is State.TAKEN:
                    one.order(Do.SEND_BACK)


def _limit(one: _Stepping, limit_s: float, outcome: Outcome) -> None:
    """A state that has lasted too long ends as ``outcome``; else it is asked what the leg does."""
    if one.waited_s() < limit_s:
        _look_at_leg(one)
        return
    one.end_leg()
    one.attempt_over(outcome)


def _look_at_leg(one: _Stepping, every_s: float = NEWS_S) -> None:
    if one.transfer.leg is not None:
        one.order(Do.LOOK_AT_LEG, attempt=one.transfer.attempt, leg=one.transfer.leg)
        one.set(due=one.after(every_s))
