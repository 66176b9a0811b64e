"""When a conversation goes in circles or a mood falls: sorry once, a person offered, then a person. Pure.

Told by counting what was said and resolved, apart from what the model thinks of itself.
"""

from __future__ import annotations

from dataclasses import replace

from voicebot.core.conversation import Action, MonitorScores
from voicebot.dialogue.flow.draft import Draft
from voicebot.dialogue.flow.questions import person_question
from voicebot.dialogue.flow.speech import Line
from voicebot.dialogue.flow.steering import Steering
from voicebot.dialogue.monitor.course import CourseSignals
from voicebot.dialogue.state import AskedKind

PERSON_AT = 3
"""The third time round the same circle a person takes over; the second time one is offered."""
UPSET = -0.5
"""Sentiment at or below which the bot says that it is sorry before anything else, once."""
SORRY = "sorry"
_LEFT_OPEN = frozenset({Action.CLARIFY, Action.ABSTAIN})


class Straining:
    """Adds to a turn what a strained conversation needs. Stateless."""

    def __init__(self, steering: Steering) -> None:
        self._steering = steering

    def ease(self, draft: Draft, seen: CourseSignals, scores: MonitorScores) -> Draft:
        """The turn, with its reasons; another one where the circle has to end."""
        reasons = draft.reasons
        if seen.loop != "none":
            reasons = (*reasons, f"loop: {seen.loop}, {seen.loops} times")
        if seen.sentiment_falling:
            reasons = (*reasons, f"sentiment falls to {scores.sentiment:.2f}")
        draft = replace(draft, reasons=reasons)
        if draft.after != "continue" or draft.deed is not None or draft.approval is not None:
            return draft
        if seen.loop != "none" and seen.loops >= PERSON_AT:
            return self._person(draft)
        if seen.loop != "none" and draft.action in _LEFT_OPEN and not _offers_person(draft):
            draft = self._offer(draft)
        return _apologised(draft, scores)

    def _person(self, draft: Draft) -> Draft:
        person = self._steering.person(
            draft.state,
            draft.intent,
            f"{draft.row}/loop",
            trigger="loop",
            before=(Line("handoff.circles"),),
            tier=draft.tier,
            reasons=draft.reasons,
            confidences=draft.confidences,
        )
        return replace(person, tools=draft.tools, sources=draft.sources, facts=draft.facts, gap=draft.gap)

    def _offer(self, draft: Draft) -> Draft:
        """The same answer, with a person in place of its question."""
        question = person_question()
        kept = tuple(part for part in draft.parts if not getattr(part, "question", False))
        return replace(
            draft,
            parts=(*kept, Line("understood.circles"), *question.parts),
            asked=question.asked,
            expects=question.expects,
        )


def _offers_person(draft: Draft) -> bool:
    return draft.asked is not None and draft.asked.kind in {AskedKind.PERSON, AskedKind.PROPOSAL}


def _apologised(draft: Draft, scores: MonitorScores) -> Draft:
    if scores.sentiment > UPSET or SORRY in draft.state.told or draft.action is Action.END:
        return draft
    state = draft.state.model_copy(update={"told": (*draft.state.told, SORRY)})
    return replace(draft, state=state, parts=(Line("say.sorry"), *draft.parts))
