"""A call back at a day and time: whether it can be kept, what is asked, how it is read back. Pure.

A yes counts once time and number were heard (`Promising`); what is doubtful is asked, never guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from voicebot.core.conversation import FREE
from voicebot.core.when import Doubt, Kept, Refusal, When, parse_when, settle, spoken_day, spoken_when
from voicebot.dialogue.flow.questions import YES_NO, Question
from voicebot.dialogue.flow.setting import Setting
from voicebot.dialogue.flow.speech import Line
from voicebot.dialogue.generation.spoken import digits as spoken_digits
from voicebot.dialogue.monitor.monitor import Want
from voicebot.dialogue.staff import Staff
from voicebot.dialogue.state import Asked, AskedKind, ConversationState

PHONE_NUMBER = "callback_number"
"""The slot with the number at which the caller can be reached."""
WISHED_TIME = "call_at_as_said"
"""The slot with the time at which the caller wishes to be called, in his own words."""
ASKED_TIME = "call_time"
"""Stands in `ConversationState.clarified` once for each time that a time was asked for."""
MOST_ASKED = 3
"""So often a time is asked for; then somebody calls when they can."""
_REFUSED = frozenset(f"callback.{one}" for one in Refusal)
SOON = "as soon as possible"


@dataclass(frozen=True, slots=True)
class Booked:
    """A call that can be kept: when, whom, and how both are said. ``number`` None: the one they call from."""

    at: datetime
    until: datetime
    when: str
    number: str | None
    given: str | None = None
    """The same as the caller gave it: the digits that stand as a token wherever they are stored."""

    @property
    def prefix(self) -> str | None:
        """What stands before the digits that were given."""
        return None if self.number is None else before_digits(self.number, self.given or "")

    @property
    def essentials(self) -> tuple[str, ...]:
        """What must have been heard for a yes to count."""
        return (self.when,) if self.number is None else (self.when, _spoken(self.number))

    def arguments(self) -> dict[str, Any]:
        """For the act that books it."""
        until = None if self.until == self.at else self.until.isoformat()
        return {"call_at": self.at.isoformat(), "call_until": until, "dial": self.prefix}

    def question(self, asked: Asked) -> Question:
        """The read-back."""
        slots = {"when": self.when}
        line = Line("callback.offer", slots=slots, question=True)
        if self.number is not None:
            slots["number"] = _spoken(self.number)
            line = Line("callback.offer_number", slots=slots, question=True)
        return Question((line,), asked, YES_NO)


def wish_of(state: ConversationState, setting: Setting) -> When | None:
    """The time that the caller wishes, if a call can be made for it at all."""
    wish = state.slots.get(WISHED_TIME)
    if wish is None or setting.scene.staff is None or not can_be_dialled(state, setting):
        return None
    return parse_when(wish, setting.scene.now, answers=True)


def can_be_dialled(state: ConversationState, setting: Setting) -> bool:
    """Whether we may call the number that is known: the one given, else the one they call from."""
    staff = setting.scene.staff
    given = state.slots.get(PHONE_NUMBER)
    if staff is None:
        return False
    return setting.scene.dialable if given is None else staff.number(given) is not None


def keep(when: When, staff: Staff, owner: str | None, now: datetime) -> Kept:
    """What comes of a wish, in the hours in which the team can be given a call."""
    return settle(when, now, lambda at: staff.calls_at(at, owner))


def booked(state: ConversationState, when: When, kept: Kept, setting: Setting) -> Booked:
    """The call that is read back."""
    assert kept.at is not None
    assert setting.scene.staff is not None
    given = state.slots.get(PHONE_NUMBER)
    until = kept.until or kept.at
    whole_day = until - kept.at > timedelta(hours=12)
    said = spoken_when(kept.at, setting.scene.now, until=None if whole_day else until, zone=when.named_zone)
    number = None if given is None else setting.scene.staff.number(given)
    return Booked(kept.at, until, said, number, given)


def time_question(state: ConversationState, want: Want, kept: Kept, setting: Setting) -> Question:
    """What has to be asked before a call can be booked."""
    asked = Asked(kind=AskedKind.CALL_TIME, want=want)
    nth = state.clarified.count(ASKED_TIME)
    now = setting.scene.now
    if kept.refused is not None:
        lines = (Line(f"callback.{kept.refused}"), Line("callback.ask", nth, question=True))
        return Question(lines, asked, FREE)
    if kept.ask is Doubt.HOUR and kept.first is not None:
        line = Line("callback.hour", slots={"day": spoken_day(kept.first, now)}, question=True)
        return Question((line,), asked, FREE)
    if kept.first is not None and kept.other is not None:
        slots = {"first": spoken_when(kept.first, now), "other": spoken_when(kept.other, now)}
        return Question((Line("callback.which", slots=slots, question=True),), asked, FREE)
    return Question((Line("callback.ask", nth, question=True),), asked, FREE)


def asked_once_more(state: ConversationState, question: Question | None = None) -> ConversationState:
    """The state after a time was asked for. One that cannot be kept is wished for no more."""
    slots = state.slots
    if question is not None and any(isinstance(one, Line) and one.key in _REFUSED for one in question.parts):
        slots = {name: value for name, value in slots.items() if name != WISHED_TIME}
    return state.model_copy(update={"clarified": (*state.clarified, ASKED_TIME), "slots": slots})


def wishing(state: ConversationState, wish: str | None) -> ConversationState:
    """The state with the time that the caller has just named."""
    if wish is None:
        return state
    return state.model_copy(update={"slots": {**state.slots, WISHED_TIME: wish}})


def before_digits(number: str, given: str) -> str:
    """What makes digits, as a caller gave them, a number in E.164.

    >>> before_digits("+12025550175", "2025550175")
    '+1'
    """
    return number.removesuffix(given.removeprefix("+").lstrip("0"))


def _spoken(number: str) -> str:
    """A number as it is read back: without the country's code where it is ours."""
    plain = number.removeprefix("+1") if number.startswith("+1") and len(number) == 12 else number.lstrip("+")
    return spoken_digits(plain)
