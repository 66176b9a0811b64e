"""A call has no media socket: what now? Pure.

Two questions, one set of facts. ``answer`` is what TwiML a call gets that asks for some
(``/twilio/voice``, ``/twilio/resume``, the number's fallback URL). ``rescue`` is what to do
about a call that has not asked: Twilio documents that the next verb runs after *our* close,
but promises nothing for a broken socket (error 31903), a refused upgrade (31920) or a node
that died. Then the same answer is pushed by REST.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

GRACE_S = 1.5
"""Time for the next verb or the status callback to arrive by itself (730 ms were seen from our
close to the next stream)."""

CONNECT_WAIT_S = 8.0
"""From TwiML that connects to ``start``: 365 ms were seen; past this the socket never came."""

PAYING_WAIT_S = 600.0
"""At `<Pay>` a caller types in three numbers, each a few times; past this it is not running any more."""

NO_WORD_S = 30.0
"""With no way to ask Twilio, a call that showed no sign of life for this long is over."""

ASKING_S = 300.0
"""As long as this we keep asking a REST API that does not answer."""

RETRY_S = 2.0

MAX_SESSIONS = 6
"""Media sessions of one call; a call that loses more goes to a person."""

MAX_UNMET = 4
"""Documents in a row that connect and whose socket never came up (a wrong certificate, a proxy that knows no
WebSocket): Twilio goes on with the next verb at once, and would ask us for ever. Then a person."""

MAX_PUSHES = 3

QUEUE_S = 180.0
"""A caller for whom there is no room hears music for so long at most, and then a person."""


class Answer(StrEnum):
    """What TwiML the call gets."""

    CONNECT = "connect"
    PAY = "pay"
    HOLD = "hold"
    """Into the room, where a person is awaited."""
    DIAL = "dial"
    APOLOGISE_AND_DIAL = "apologise_and_dial"
    BUSY = "busy"
    """The busy tone, before the call is taken."""
    QUEUE = "queue"
    """Music, and then the same question again."""
    HANG_UP = "hang_up"


class Rescue(StrEnum):
    """What to do about a call that has not asked."""

    NOTHING = "nothing"
    WAIT = "wait"
    ASK = "ask"
    PUSH = "push"
    FINISH = "finish"


Standing = Literal["unknown", "live", "handoff", "ended"]
"""Of the conversation: not known here, the bot's, a person's, over."""

CallState = Literal["unknown", "in_progress", "over"]
"""As Twilio last told us."""

Step = Literal["none", "media", "connecting", "paying", "forwarded"]
"""Last entry in the call's journal: a media session began, TwiML that connects was given, TwiML
that takes a card was given, TwiML that dials a person (or hangs up) was given."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Facts for ``answer``."""

    standing: Standing
    database: bool = True
    """The database answers."""
    bot_on: bool = True
    """Neither ``voicebot off`` nor the switch in the database."""
    new: bool = False
    """This is ``/twilio/voice``."""
    room: bool = True
    """The node takes new calls, and a place is kept for this one."""
    when_full: Literal["person", "busy", "queue"] = "person"
    """What a new caller gets when there is no room."""
    queued_s: float = 0.0
    """How long this one has waited for that."""
    sessions: int = 0
    """Media sessions so far."""
    unmet: int = 0
    """Documents that connect, given since the last media session began."""
    failed: bool = False
    """Twilio says that fetching our TwiML failed (``ErrorCode``): do not try the same again."""
    paying: bool = False
    """The caller agreed to pay by card, and Twilio shall take it."""
    transfer: Literal["nothing", "hold", "bot", "cold"] = "nothing"
    """What a warm transfer of the call says: wait for a person, back to the bot, dialled through."""
    decided: Standing | None = None
    """What this node settled and could not write, since the database was away."""
    talk: bool = False
    """An agent at a desk has the caller, and speaks over the media socket."""


def answer(facts: Asked) -> Answer:
    """The TwiML a call gets. Whenever in doubt: a person."""
    standing = facts.decided or facts.standing
    if standing == "ended":
        return Answer.HANG_UP
    if facts.talk and facts.database and not facts.failed and facts.unmet < MAX_UNMET:
        return Answer.CONNECT
    if facts.transfer == "hold" and facts.database and not facts.failed:
        return Answer.HOLD
    if facts.transfer == "cold" or (standing == "handoff" and facts.transfer != "bot"):
        return Answer.DIAL
    if facts.failed or not facts.database or not facts.bot_on:
        return Answer.APOLOGISE_AND_DIAL
    if standing == "unknown":
        return _new(facts) if facts.new else Answer.APOLOGISE_AND_DIAL
    if facts.paying:
        return Answer.PAY
    if facts.sessions >= MAX_SESSIONS or facts.unmet >= MAX_UNMET:
        return Answer.APOLOGISE_AND_DIAL
    return Answer.CONNECT


def _new(facts: Asked) -> Answer:
    if facts.room:
        return Answer.CONNECT
    if facts.when_full == "busy" and not facts.queued_s:
        return Answer.BUSY
    if facts.when_full == "queue" and facts.queued_s < QUEUE_S:
        return Answer.QUEUE
    return Answer.APOLOGISE_AND_DIAL


@dataclass(frozen=True, slots=True)
class Lost:
    """Facts for ``rescue``."""

    standing: Standing
    step: Step
    waited_s: float
    """Since the media ended, the callback came or the TwiML was given."""
    socket: Literal["none", "flowing", "quiet", "elsewhere"] = "none"
    """``quiet``: open on this node, but nothing has come lately."""
    call: CallState = "unknown"
    can_ask: bool = True
    """There are REST credentials."""
    pushes: int = 0
    failed: bool = False
    """Twilio says that the stream failed (``stream-error``): it will not come any more."""


def rescue(facts: Lost) -> tuple[Rescue, float]:
    """What to do, and for ``WAIT`` how many seconds to wait before asking again."""
    if facts.socket in {"flowing", "elsewhere"}:
        return Rescue.NOTHING, 0.0
    if facts.call == "over":
        return Rescue.FINISH, 0.0
    if facts.step == "forwarded":
        return Rescue.NOTHING, 0.0
    patience = GRACE_S
    if facts.step == "paying":
        patience = PAYING_WAIT_S
    elif facts.step == "connecting" and not facts.failed:
        patience = CONNECT_WAIT_S
    if facts.waited_s < patience:
        return Rescue.WAIT, patience - facts.waited_s
    silent_s = facts.waited_s - (PAYING_WAIT_S if facts.step == "paying" else 0.0)
    if facts.call == "in_progress":
        return (Rescue.PUSH, 0.0) if facts.pushes < MAX_PUSHES else (Rescue.NOTHING, 0.0)
    if facts.can_ask and silent_s < ASKING_S:
        return Rescue.ASK, 0.0
    if facts.standing != "live":
        return Rescue.NOTHING, 0.0
    if not facts.can_ask and silent_s < NO_WORD_S:
        return Rescue.WAIT, NO_WORD_S - silent_s
    return Rescue.FINISH, 0.0
