"""The way through the identity gate: digits in, the next question or the answer behind the gate out."""

from __future__ import annotations

from dataclasses import replace

from voicebot.core.conversation import Action, Confidences, Keys, Route, Utterance
from voicebot.dialogue.connectors.connector import ConnectorError
from voicebot.dialogue.flow.answers import Answers
from voicebot.dialogue.flow.draft import Draft, Fact
from voicebot.dialogue.flow.questions import factor_question
from voicebot.dialogue.flow.rules import Rules
from voicebot.dialogue.flow.setting import Setting
from voicebot.dialogue.flow.speech import Line
from voicebot.dialogue.flow.steering import Steering
from voicebot.dialogue.flow.unheard import Kind, keypad_first
from voicebot.dialogue.state import ConversationState, CustomerFacts
from voicebot.safety.identity import Ask, AskHow, Check, Gate, GateProgress, Passed, Refused


class Verifying:
    """Drafts the turns at the gate. Stateless."""

    def __init__(self, rules: Rules, gate: Gate, steering: Steering, answers: Answers) -> None:
        self._rules = rules
        self._gate = gate
        self._steering = steering
        self._answers = answers

    async def take(
        self, state: ConversationState, given: Utterance | Keys, asked: str | None, setting: Setting
    ) -> Draft:
        """Takes digits out of an input (for ``asked``, or unasked) and goes on."""
        if state.gate.match is not None:
            return await self._answers.from_tool(state, setting, digits=self._another_reference(given))
        before = state.gate
        state = state.model_copy(update={"gate": self._gate.hear(before, given, asked=asked)})
        return await self.go_on(state, setting, heard=self._newly_heard(before, state.gate, given))

    async def go_on(
        self,
        state: ConversationState,
        setting: Setting,
        confidences: Confidences = Confidences(),  # noqa: B008  # frozen
        *,
        heard: tuple[str, str] | None = None,
    ) -> Draft:
        """The gate's next step: a question, a check, the answer, or a person."""
        step = self._gate.next(state.gate)
        facts: tuple[Fact, ...] = ()
        if isinstance(step, Check):
            try:
                records = await setting.reads.identities(step.references)
            except ConnectorError as error:
                return self._unreachable(state, str(error))
            progress = self._gate.check(state.gate, records)
            state = state.model_copy(update={"gate": progress})
            passed = progress.match is not None
            facts = (
                Fact("identity.verified" if passed else "identity.not_matched", {"tries": progress.tries}),
            )
            heard = None
            step = self._gate.next(progress)
        match step:
            case Passed():
                return await self._passed(state, setting, facts)
            case Refused():
                return self._refused(state, step, facts)
            case Ask():
                return self._ask(state, step, setting, confidences, facts, heard)
            case Check():
                raise AssertionError("a checked try is either passed or cleared")

    async def _passed(self, state: ConversationState, setting: Setting, facts: tuple[Fact, ...]) -> Draft:
        """Verified just now: what is known of the customer counts from here on, and only from here on."""
        customer = self._gate.customer(state.gate)
        assert customer is not None  # the gate has passed
        intent = state.topic.intent if state.topic else "identity"
        known, recall = await setting.reads.remembered(
            customer,
            intent=intent,
            told=state.told,
            now=setting.scene.now,
            layers=self._cleared(state, setting),
        )
        state = state.model_copy(
            update={
                "customer": CustomerFacts(segment=known.segment, region=known.region),
                "slots": {**known.slots, **state.slots},
            }
        )
        draft = await self._answers.from_tool(state, setting, facts=facts, recall=recall)
        return replace(draft, remembers=known.remembers, gave=dict(state.slots))

    def _cleared(self, state: ConversationState, setting: Setting) -> tuple[str, ...] | None:
        """The layers of memory that policy opens for what the caller wants; None: he has not said."""
        want = state.topic
        if want is None:
            return None
        certain = Confidences(classification=want.confidence, grounding=1.0, answer=1.0)
        return self._rules.decide(state, setting, want.intent, certain).clearances

    def _ask(
        self,
        state: ConversationState,
        step: Ask,
        setting: Setting,
        confidences: Confidences,
        facts: tuple[Fact, ...],
        heard: tuple[str, str] | None,
    ) -> Draft:
        intent = state.topic.intent if state.topic else "identity"
        tier = rule.tier if (rule := self._rules.rule(intent)) else 1
        if confidences.classification is None and state.topic is not None:
            confidences = Confidences(classification=round(state.topic.confidence, 4))
        ruling = self._rules.decide(state, setting, intent, confidences)
        if step.how in {AskHow.FIRST, AskHow.AGAIN} and keypad_first(state.hearing, Kind.DIGITS):
            step = replace(step, how=AskHow.KEYPAD, nth=0)
        said_back = heard if heard is not None and heard[0] != step.factor.name else None
        question = factor_question(step, said_back)
        parts = ()
        if facts and step.how is AskHow.KEYPAD:
            parts = (Line("identity.refused"),)
        return Draft(
            state=state,
            intent=intent,
            action=Action.CLARIFY,
            route=Route.FIXED,
            row=ruling.row,
            tier=tier,
            reasons=(f"identity: {step.factor.name}, {step.how}",),
            confidences=confidences,
            parts=(*parts, *question.parts),
            expects=question.expects,
            asked=question.asked,
            facts=facts,
        )

    def _refused(self, state: ConversationState, step: Refused, facts: tuple[Fact, ...]) -> Draft:
        intent = state.topic.intent if state.topic else "identity"
        matched = Line("identity.refused")
        if step.reason == "not_understood":  # nothing was compared, so nothing failed to match
            matched = Line(f"identity.{self._missing(state)}.missing")
        draft = self._steering.person(
            state,
            intent,
            f"identity/{step.reason}",
            trigger="identity_not_verified",
            before=(matched,),
            tier=1,
            reasons=(step.reason,),
        )
        refused = Fact("identity.refused", {"reason": step.reason, "tries": state.gate.tries})
        return _with_facts(draft, (*facts, refused))

    def _missing(self, state: ConversationState) -> str:
        """The first factor that the caller has not given."""
        factors = self._gate.rules.factors
        open_ = (one.name for one in factors if self._gate.heard_as(state.gate, one.name) is None)
        return next(open_, factors[0].name)

    def _unreachable(self, state: ConversationState, reason: str) -> Draft:
        return self._steering.person(
            state,
            state.topic.intent if state.topic else "identity",
            "identity/records_down",
            trigger="tool_error",
            before=(Line("tool.failed"),),
            tier=1,
            reasons=(reason,),
        )

    def _newly_heard(
        self, before: GateProgress, after: GateProgress, given: Utterance | Keys
    ) -> tuple[str, str] | None:
        """The reference the caller just spoke: only it is said back, and only in his own digits."""
        name = self._gate.rules.factors[0].name
        value = self._gate.heard_as(after, name)
        spoken = isinstance(given, Utterance) and value is not None
        return (name, value) if spoken and value and self._gate.heard_as(before, name) != value else None

    def _another_reference(self, given: Utterance | Keys) -> str | None:
        progress = self._gate.hear(GateProgress(), given)
        return self._gate.heard_as(progress, self._gate.rules.factors[0].name)


def _with_facts(draft: Draft, facts: tuple[Fact, ...]) -> Draft:
    return replace(draft, facts=facts)
