"""Turns that would go on with the bot, looked at as a whole: what speaks for a person instead. Pure.

    draft = escalating.look(draft, before, given, setting, seen)    # once for each turn that was drafted
    draft = escalating.finished(draft, scene)                       # the trigger with its time and first sign

The decisions are `voicebot.safety.triggers`; here stands which facts they are told, and what is said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pydantic import JsonValue

from voicebot.core.conversation import (
    Action,
    Channel,
    Confidences,
    HearingFailure,
    MonitorScores,
    NotHeard,
    Route,
    TurnInput,
    Urgency,
    Utterance,
)
from voicebot.dialogue.flow.abstaining import PERSON_DECLINED
from voicebot.dialogue.flow.asides import content_words
from voicebot.dialogue.flow.draft import ActOutcome, Draft
from voicebot.dialogue.flow.questions import person_question
from voicebot.dialogue.flow.reads import SWITCHED_OFF
from voicebot.dialogue.flow.rules import Rules
from voicebot.dialogue.flow.speech import Line
from voicebot.dialogue.flow.steering import Steering
from voicebot.dialogue.monitor.course import STEERING, CourseSignals
from voicebot.dialogue.scene import Scene
from voicebot.dialogue.state import AskedKind, ConversationState
from voicebot.safety.guard_in import Kind
from voicebot.safety.policy import Reads
from voicebot.safety.triggers import Cause, SignName, TriggerRules, TurnFacts, fired, judge
from voicebot.safety.triggers.evidence import by_policy
from voicebot.safety.triggers.faults import switched_off

_SPOKEN = frozenset({Channel.PHONE, Channel.BROWSER})
_GAPS = frozenset({"no_grounding", "weak_grounding"})
_LINES = {
    "outage": "tool.failed",
    "latency": "handoff.slow",
    "mood": "handoff.sorry",
    "regulated": "handoff.person_needed",
    "too_long": "handoff.long",
    "no_grounding": "handoff.circles",
    "switched_off": "handoff.person_needed",
    "bot_off": "handoff.person_needed",
}
"""What is said before a person takes over; else ``handoff.circles``."""
_PRESSING = frozenset({"mood", "customer_tier", "weak_signals", "latency", "regulated"})
"""Triggers after which nobody should wait behind others."""
_TELLING = ("outcome", "limit", "tries", "reason")
"""Of a turn's facts, what tells why."""
_MIND = frozenset({Action.PROPOSE, Action.DRAFT})


class Escalating:
    """Looks at every turn. Stateless; one per deployment."""

    def __init__(self, steering: Steering, rules: Rules) -> None:
        self._steering = steering
        self._rules = rules

    @property
    def _triggers(self) -> TriggerRules:
        return self._rules.table.triggers

    def look(
        self,
        draft: Draft,
        before: ConversationState,
        given: TurnInput,
        scene: Scene,
        *,
        scores: MonitorScores | None = None,
        seen: CourseSignals | None = None,
    ) -> Draft:
        """The turn of a caller, its signs noted; or the turn that gives them to a person.

        ``before``: the state that it was planned in. ``seen``: of the course of a turn with words of its own.
        """
        grounding, limit = self._grounding(draft)
        risk = before.risk
        if grounding is not None:
            risk = risk.covered(grounding >= limit)
        signs = self._signs(draft, before, given, scores, seen)
        risk = risk.after(signs, now=scene.now, calm_after=self._triggers.calm_after)
        draft = replace(draft, state=draft.state.model_copy(update={"risk": risk}))
        if not _goes_on(draft):
            return draft
        meant = seen is not None and _means_something(draft, given)
        facts = TurnFacts(
            now=scene.now,
            risk=risk,
            spoken=scene.channel in _SPOKEN,
            words=given.text if isinstance(given, Utterance) else "",
            meant=(meant or isinstance(given, NotHeard)) and not _is_read_back(draft),
            declined=PERSON_DECLINED in draft.state.told,
            answered=draft.action is Action.ANSWER,
            sentiments=draft.state.course.sentiments if meant else (),
            segment=self._segment(draft.state),
            grounding=grounding,
            grounding_limit=limit,
            needs=frozenset() if _is_read_back(draft) else self._needs(draft, given),
            down=scene.down,
        )
        cause = judge(facts, self._triggers)
        return draft if cause is None else self._person(draft, cause)

    def switched(self, draft: Draft, scene: Scene) -> Draft:
        """What an operator has switched off goes to a person, whoever or whatever caused the turn."""
        refused = next((read.tool for read in draft.tools if read.error == SWITCHED_OFF), None)
        if refused is not None and draft.trigger == "tool_error":
            cause = switched_off(f"tool:{refused}")
            return replace(draft, trigger=cause.name, evidence=cause.evidence)
        if not scene.off or draft.after != "continue" or draft.unspoken:
            return draft
        if "bot" in scene.off:
            return self._person(draft, Cause("bot_off", {"switch": "bot"}))
        names = [f"intent:{draft.intent}", f"route:{draft.route.value}"]
        if draft.deed is not None:
            names.append(f"tool:{draft.deed.name}")
        names += [f"tool:{name}" for name in self._tools(draft)]
        switch = next((name for name in names if name in scene.off), None)
        return draft if switch is None else self._person(draft, switched_off(switch))

    def _tools(self, draft: Draft) -> tuple[str, ...]:
        """The tools whose results this turn says, or asks for digits to get at."""
        rule = self._rules.rule(draft.intent)
        asks = draft.asked is not None and draft.asked.kind in {AskedKind.FACTOR, AskedKind.SLOT}
        if rule is None or (draft.action in {Action.CLARIFY, Action.ABSTAIN} and not asks):
            return ()
        return (*rule.reading_tools, *((rule.act,) if rule.act is not None else ()))

    def finished(self, draft: Draft, scene: Scene) -> Draft:
        """With the trigger as it is stored. A turn that acts is finished once its outcome is known."""
        if draft.deed is not None:
            deed = draft.deed

            def then(outcome: ActOutcome) -> Draft:
                return self._stamped(deed.then(outcome), scene)

            draft = replace(draft, deed=replace(deed, then=then))
        if draft.trial is not None:
            trial = draft.trial
            draft = replace(draft, trial=replace(trial, then=self._stamping(trial.then, scene)))
        return self._stamped(draft, scene)

    def _stamping(self, then: Callable[[str], Draft], scene: Scene) -> Callable[[str], Draft]:
        return lambda outcome: self._stamped(then(outcome), scene)

    def _stamped(self, draft: Draft, scene: Scene) -> Draft:
        if draft.trigger is None:
            return draft
        cause = Cause(draft.trigger, draft.evidence or self._evidence(draft))
        if not self._triggers.is_on(cause.trigger):
            return self._offered(draft)
        first = draft.state.risk.first
        return replace(draft, fired=fired(cause, scene.now, first))

    def _evidence(self, draft: Draft) -> dict[str, JsonValue]:
        """What is known of any turn, for triggers that have nothing else to show."""
        if draft.trigger == "no_grounding":
            return dict(by_policy(*self._grounding(draft)).evidence)
        shown: dict[str, JsonValue] = {"row": draft.row, "tier": draft.tier}
        failed = next((read for read in draft.tools if read.error is not None), None)
        if failed is not None:
            shown |= {"tool": failed.tool, "error": failed.error}
        for fact in draft.facts:
            shown |= {key: fact.data[key] for key in _TELLING if key in fact.data}
        return shown

    def _offered(self, draft: Draft) -> Draft:
        """The trigger is off: a person is offered, and the caller decides."""
        question = person_question()
        return replace(
            draft,
            action=Action.ABSTAIN,
            route=Route.FIXED,
            parts=(*draft.parts[:-1], *question.parts),
            asked=question.asked,
            expects=question.expects,
            trigger=None,
            evidence={},
            fired=None,
            after="continue",
        )

    def _person(self, draft: Draft, cause: Cause) -> Draft:
        line = _LINES.get(cause.trigger, "handoff.circles")
        pressing = cause.trigger in _PRESSING
        person = self._steering.person(
            draft.state,
            draft.intent,
            f"{draft.row}/{cause.trigger}",
            trigger=cause.name,
            evidence=cause.evidence,
            before=(Line(line),),
            tier=draft.tier,
            urgency=(Urgency.HIGH if pressing or draft.state.strained else Urgency.NORMAL).value,
            reasons=(*draft.reasons, f"trigger: {cause.name}"),
            confidences=draft.confidences,
        )
        return replace(
            person,
            tools=draft.tools,
            sources=draft.sources,
            facts=draft.facts,
            gap=draft.gap,
            question=draft.question,
            remembers=draft.remembers,
            gave=draft.gave,
            decides=draft.decides,
            guarded=draft.guarded,
            scores=draft.scores,
        )

    def _signs(
        self,
        draft: Draft,
        before: ConversationState,
        given: TurnInput,
        scores: MonitorScores | None,
        seen: CourseSignals | None,
    ) -> frozenset[SignName]:
        signs: set[SignName] = set()
        rules = self._triggers
        if isinstance(given, NotHeard):
            signs.add("not_heard")
        if draft.state.not_understood > before.not_understood:
            signs.add("not_understood")
        if draft.gap in _GAPS:
            signs.add("ungrounded")
        if any(fact.type == "identity.not_matched" for fact in draft.facts):
            signs.add("not_matched")
        if any(read.error is not None for read in draft.tools):
            signs.add("tool_error")
        if before.risk.slow:
            signs.add("slow")
        if seen is not None and seen.loop != "none":
            signs.add("circle")
        if draft.guarded is not None and draft.guarded.kind is Kind.ABUSE:
            signs.add("abuse")
        if scores is not None and seen is not None and _means_something(draft, given):
            if scores.sentiment <= rules.mood.hint:
                signs.add("mood")
            if scores.distress >= rules.distress.hint:
                signs.add("distress")
            if any(one.intent == "person" and _hints(one.probability, rules) for one in scores.guesses[1:]):
                signs.add("person")
        return frozenset(signs)

    def _grounding(self, draft: Draft) -> tuple[float | None, float]:
        """How well articles cover what was asked, and how well they must; None where that is no question."""
        rule = self._rules.rule(draft.intent)
        measured: Confidences = draft.confidences
        if rule is None or rule.reads is not Reads.KNOWLEDGE or measured.grounding is None:
            return None, 0.0
        return measured.grounding, self._rules.table.confidences(rule).grounding

    def _needs(self, draft: Draft, given: TurnInput) -> frozenset[str]:
        """The parts of ours that this turn, or what it asks for, is of no use without."""
        rule = self._rules.rule(draft.intent)
        needs: set[str] = set()
        asks = draft.asked is not None and draft.asked.kind in {AskedKind.FACTOR, AskedKind.SLOT}
        if rule is not None and rule.reads is Reads.TOOL and (asks or draft.gap is not None):
            needs.add("records")
        if isinstance(given, NotHeard) and given.reason is HearingFailure.ENGINE_DOWN:
            needs.add("recogniser")
        if rule is not None and rule.route in {Route.SMALL, Route.STRONG} and draft.action is Action.ANSWER:
            needs.add("model")
        return frozenset(needs)

    def _segment(self, state: ConversationState) -> str | None:
        """Of the verified customer, as the system of record has it."""
        if state.gate.match is None or state.customer is None:
            return None
        return state.customer.segment


def _goes_on(draft: Draft) -> bool:
    """Whether the bot would go on by itself with nothing under way that must end first."""
    busy = draft.deed is not None or draft.trial is not None or draft.approval is not None
    return draft.after == "continue" and not busy and not draft.unspoken and draft.state.paying is None


def _is_read_back(draft: Draft) -> bool:
    """Something waits for the caller's yes, or for a colleague's."""
    asked = draft.asked
    waits = asked is not None and (asked.kind is AskedKind.PROPOSAL or asked.proposes is not None)
    return waits or draft.action in _MIND


def _means_something(draft: Draft, given: TurnInput) -> bool:
    return isinstance(given, Utterance) and draft.intent not in STEERING and content_words(given.text) > 0


def _hints(probability: float, rules: TriggerRules) -> bool:
    return probability >= rules.asked_for_person.hint
