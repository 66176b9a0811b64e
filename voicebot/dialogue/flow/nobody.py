"""Nobody is there to take over: a call back, a message or a link instead of a dead end. Pure.

Who is in danger is given to a person whatever the hour; everybody else is told when somebody is there again.
"""

# ruff: noqa: E501  # a pattern is not broken into lines
from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime

from voicebot.core.conversation import FREE, Action, Channel, Route, Urgency, Utterance
from voicebot.core.when import go_on, parse_keys, parse_when, spoken_when
from voicebot.dialogue.flow.booking import (
    ASKED_TIME,
    SOON,
    WISHED_TIME,
    asked_once_more,
    wishing,
)
from voicebot.dialogue.flow.draft import Draft
from voicebot.dialogue.flow.leaving import Leaving, wants_to_leave_a_message
from voicebot.dialogue.flow.linking import Linking, wants_link
from voicebot.dialogue.flow.promising import Promising
from voicebot.dialogue.flow.questions import Question
from voicebot.dialogue.flow.setting import Setting
from voicebot.dialogue.flow.speech import Line, Part
from voicebot.dialogue.flow.steering import Steering
from voicebot.dialogue.monitor.monitor import Want, yes_or_no
from voicebot.dialogue.staff import Absence
from voicebot.dialogue.state import Asked, AskedKind, ConversationState

TOLD = "nobody_there"
"""Told: that nobody is there now."""
_ANNOUNCES = frozenset({"handoff.now", "handoff.team", "handoff.also"})
"""Lines that announce a person who does not come."""
_SOON = re.compile(
    r"\b(?:as soon as|asap|earliest|first free|right away|whenever|any time|anytime|when(?:ever)? (?:you|somebody|someone)"
    r"|you choose|don't (?:care|mind)|doesn't matter|soonest|next free)\b",
    re.IGNORECASE,
)
SOON_KEY, MESSAGE_KEY, LINK_KEY = "1", "2", "3"


class Nobody:
    """Drafts what is offered instead of a person. Stateless."""

    def __init__(self, steering: Steering, promising: Promising, leaving: Leaving, linking: Linking) -> None:
        self._steering = steering
        self._promising = promising
        self._leaving = leaving
        self._linking = linking

    def instead(self, draft: Draft, setting: Setting) -> Draft:
        """The turn that gives a caller to a person, or what is offered because nobody is there."""
        staff = setting.scene.staff
        if draft.after != "hand_over" or staff is None or draft.urgency == Urgency.CRITICAL.value:
            return draft
        absence = staff.absence(setting.scene.now, draft.owner)
        if absence is None and setting.scene.channel is Channel.BROWSER:  # no telephone leads there
            there = staff.at_desk(setting.scene.now, draft.owner)
            absence = None if there else Absence("no_phone")
        if absence is None:
            return draft
        want = draft.state.topic or Want(intent=draft.intent, confidence=1.0, text=_words_of(draft, setting))
        before = tuple(
            part for part in draft.parts if not (isinstance(part, Line) and part.key in _ANNOUNCES)
        )
        offered = self.offer(draft.state, want, absence, setting, draft.row, owner=draft.owner, before=before)
        return replace(
            offered,
            intent=draft.intent,
            tier=draft.tier,
            trigger=draft.trigger,
            evidence=draft.evidence,
            reasons=(*draft.reasons, f"nobody is there: {absence.why}"),
            confidences=draft.confidences,
            facts=draft.facts,
            tools=draft.tools,
            gap=draft.gap,
            question=draft.question,
            urgency=draft.urgency,
        )

    def offer(
        self,
        state: ConversationState,
        want: Want,
        absence: Absence,
        setting: Setting,
        row: str,
        *,
        owner: str | None = None,
        before: tuple[Part, ...] = (),
    ) -> Draft:
        """Says that nobody is there, and asks when to call back. Also for a transfer that came to nothing."""
        now = setting.scene.now
        first = TOLD not in state.told
        told = tuple(dict.fromkeys((*state.told, TOLD)))
        state = asked_once_more(state.model_copy(update={"told": told, "topic": None, "asked": None}))
        asked = Asked(kind=AskedKind.CALL_TIME, want=want)
        lines = (_why(absence, now), Line("nobody.ask", 0 if first else 1, question=True))
        return Draft(
            state=state,
            intent=want.intent,
            action=Action.CLARIFY,
            route=Route.FIXED,
            row=f"{row}/nobody",
            parts=(*before, *lines),
            reasons=(f"nobody is there: {absence.why}",),
            expects=FREE,
            asked=asked,
            owner=owner,
        )

    def ask_when(
        self, state: ConversationState, want: Want, row: str, *, before: tuple[Part, ...] = ()
    ) -> Draft:
        """Asks when to call, without more."""
        line = Line("callback.ask", state.clarified.count(ASKED_TIME), question=True)
        question = Question((line,), Asked(kind=AskedKind.CALL_TIME, want=want), FREE)
        return self._steering.say(
            asked_once_more(state), want.intent, row, before, question, action=Action.CLARIFY
        )

    def answered(
        self, state: ConversationState, want: Want, given: Utterance, setting: Setting, *, sure_of_other: bool
    ) -> Draft | None:
        """Words in answer to "when shall we call?"; None if they are none."""
        text = given.raw.text
        if wants_to_leave_a_message(text):
            return self._leaving.begin(state, want, setting)
        if wants_link(text):
            return self._linking.offer(state, want, setting)
        if parse_when(text, setting.scene.now, answers=not sure_of_other) is not None:
            before = state.slots.get(WISHED_TIME)
            said = go_on(None if before == SOON else before, given.text)
            return self._at(wishing(state, said), want, setting)
        if _SOON.search(text):
            return self._at(wishing(state, SOON), want, setting)
        answer = None if sure_of_other else yes_or_no(text)
        if answer is None:
            return None
        if answer:
            return self.ask_when(state, want, "call_time/yes")
        state, question = self._steering.and_next(state)
        return self._steering.say(state, "no", "call_time/no", (Line("say.no"),), question)

    def keyed(self, state: ConversationState, want: Want, digits: str, setting: Setting) -> Draft | None:
        """Keys in answer to it: 1 as soon as possible, 2 a message, 3 a link, or a time such as 1430."""
        match digits:
            case "1":
                return self._at(wishing(state, SOON), want, setting)
            case "2":
                return self._leaving.begin(state, want, setting)
            case "3":
                return self._linking.offer(state, want, setting)
            case _:
                pass
        when = parse_keys(digits, setting.scene.now)
        if when is None:
            return None
        hour, minute = (digits[:-2], digits[-2:]) if len(digits) > 2 else (digits, "00")
        before = state.slots.get(WISHED_TIME)
        said = f"{int(hour):0{len(hour)}d}:{minute}"
        wish = go_on(None if before == SOON else before, f"at {said}")
        return self._at(wishing(state, wish), want, setting)

    def _at(self, state: ConversationState, want: Want, setting: Setting) -> Draft:
        return self._promising.offer(state, want, setting, "call_time/given")


def _why(absence: Absence, now: datetime) -> Line:
    match absence.why:
        case "closed" if absence.opens_at is not None:
            return Line("nobody.closed", slots={"opens": spoken_when(absence.opens_at, now)})
        case "too_long" if absence.wait_minutes is not None:
            return Line("nobody.too_long", slots={"minutes": absence.wait_minutes})
        case "no_phone":
            return Line("nobody.no_phone")
        case _:
            return Line("nobody.no_answer")


def _words_of(draft: Draft, setting: Setting) -> str:
    return draft.question or draft.intent
