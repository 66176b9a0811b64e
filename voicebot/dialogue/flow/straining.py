"""When a conversation goes in circles or a mood falls: sorry once, a person offered, then a person. Pure.

Told by counting what was said and resolved, apart from what the model thinks of itself.
"""

from __future__ import annotations

from dataclasses import replace

from voicebot.core.conversation import Action, MonitorScores, Urgency
from voicebot.dialogue.flow.asides import content_words
from voicebot.dialogue.flow.draft import Draft
from voicebot.dialogue.flow.questions import person_question
from voicebot.dialogue.flow.speech import Line, text_of_all
from voicebot.dialogue.flow.steering import Steering
from voicebot.dialogue.intents import OUT_OF_SCOPE, IntentCatalog
from voicebot.dialogue.monitor.course import CourseSignals
from voicebot.dialogue.phrases import Phrases
from voicebot.dialogue.state import AskedKind
from voicebot.safety.triggers import Cause, circles
from voicebot.safety.triggers.rules import Loop

UPSET = -0.5
"""Sentiment at or below which the bot says that it is sorry before anything else, once."""
SORRY = "sorry"
_PRESSING = frozenset({Urgency.HIGH, Urgency.CRITICAL})
_LEFT_OPEN = frozenset({Action.CLARIFY, Action.ABSTAIN})


class Straining:
    """Adds to a turn what a strained conversation needs. Stateless."""

    def __init__(
        self, steering: Steering, phrases: Phrases, intents: IntentCatalog, rules: Loop | None = None
    ) -> None:
        self._rules = rules or Loop()
        self._steering = steering
        self._phrases = phrases
        self._intents = intents

    def ease(self, draft: Draft, seen: CourseSignals, scores: MonitorScores, text: str) -> Draft:
        """The turn, with its reasons; another one where the circle has to end. ``text``: of the caller."""
        reasons = draft.reasons
        if seen.loop != "none":
            reasons = (*reasons, f"loop: {seen.loop}, {seen.loops} times")
        if seen.sentiment_falling:
            reasons = (*reasons, f"sentiment falls to {scores.sentiment:.2f}")
        draft = replace(draft, reasons=reasons)
        if draft.after != "continue" or draft.deed is not None or draft.approval is not None:
            return draft
        again = seen.loop != "none" and self._goes_on(draft, seen)
        cause = circles.circle(seen.loop, seen.loops, self._rules) if again else None
        if cause is not None and self._rules.on:
            return self._person(draft, cause)
        if again and circles.offers(seen.loop, seen.loops, self._rules) and not _offers_person(draft):
            draft = self._offer(draft)
        meant = content_words(text) > 0 and self._is_trouble(draft, scores)
        return _apologised(draft, scores) if meant else draft

    def _goes_on(self, draft: Draft, seen: CourseSignals) -> bool:
        """Whether this turn goes round once more. An answer that is another one ends a circle of answers."""
        if draft.action in _LEFT_OPEN or seen.loop != "same_answer":
            often = circles.circle(seen.loop, seen.loops, self._rules) is not None
            return draft.action in _LEFT_OPEN or often
        answer = text_of_all(
            [part for part in draft.parts if not getattr(part, "question", False)], self._phrases
        )
        return answer is not None and draft.state.course.repeats(answer)

    def _is_trouble(self, draft: Draft, scores: MonitorScores) -> bool:
        """A low reading of small talk is no trouble of the caller's: hurry, or a wish, goes with it."""
        wish = self._intents.is_content(draft.intent) and draft.intent != OUT_OF_SCOPE
        return scores.urgency in _PRESSING or wish

    def _person(self, draft: Draft, cause: Cause) -> Draft:
        person = self._steering.person(
            draft.state,
            draft.intent,
            f"{draft.row}/loop",
            trigger=cause.name,
            evidence=cause.evidence,
            before=(Line("handoff.circles"),),
            tier=draft.tier,
            reasons=draft.reasons,
            confidences=draft.confidences,
        )
        return replace(
            person,
            tools=draft.tools,
            sources=draft.sources,
            facts=draft.facts,
            gap=draft.gap,
            trial=draft.trial,
        )

    def _offer(self, draft: Draft) -> Draft:
        """The same answer, with a person in place of its question. At the gate digits may still come."""
        question = person_question()
        kept = tuple(part for part in draft.parts if not getattr(part, "question", False))
        circles = (Line("understood.circles"),) if draft.action in _LEFT_OPEN else ()
        if draft.asked is not None and draft.asked.kind is AskedKind.FACTOR:
            factor = draft.asked.factor
            return replace(
                draft,
                parts=(*kept, Line(f"identity.{factor}.missing"), *question.parts),
                asked=question.asked.model_copy(update={"factor": factor}),
                expects=question.expects,
            )
        return replace(
            draft,
            parts=(*kept, *circles, *question.parts),
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
