"""Answers: from articles, from a tool behind the gate, or a person. Awaits its reads, writes nothing."""

from __future__ import annotations

from dataclasses import replace

from voicebot.core.conversation import Action, Confidences, Route
from voicebot.dialogue.flow.draft import Draft, Fact
from voicebot.dialogue.flow.questions import person_question
from voicebot.dialogue.flow.reads import Reads
from voicebot.dialogue.flow.speech import Line, Part, Said, Written
from voicebot.dialogue.flow.steering import Steering
from voicebot.dialogue.generation.grounded import quote
from voicebot.dialogue.generation.request import GenerationRequest
from voicebot.dialogue.monitor.monitor import Want
from voicebot.dialogue.phrases import Phrases
from voicebot.dialogue.state import ConversationState
from voicebot.safety.identity import Gate
from voicebot.safety.policy import IntentRule, Policy, PolicyFacts, Ruling


class Answers:
    """Drafts answering turns. Stateless."""

    def __init__(
        self,
        policy: Policy,
        gate: Gate,
        phrases: Phrases,
        steering: Steering,
        writer_route: Route,
        writer: str,
    ) -> None:
        self._policy = policy
        self._gate = gate
        self._phrases = phrases
        self._steering = steering
        self._writer_route = writer_route
        self._writer = writer

    async def from_articles(
        self, state: ConversationState, want: Want, reads: Reads, *, conversation_id: str, turn: int
    ) -> Draft:
        """An answer out of the articles, or an honest "I don't know"."""
        passages = await reads.articles(want.text, intent=want.intent)
        confidences = Confidences(
            classification=round(want.confidence, 4),
            grounding=passages[0].grounding if passages else 0.0,
        )
        ruling = self._policy.decide(PolicyFacts(want.intent, confidences, state.gate.match is not None))
        if ruling.action is not Action.ANSWER:
            return self._unknown(state, want, ruling, confidences)
        route = self._writer_route if ruling.route is Route.GROUNDED else ruling.route
        request = GenerationRequest(
            conversation_id=conversation_id,
            turn=turn,
            intent=want.intent,
            route=route,
            question=want.text,
            passages=tuple(passages),
            history=state.history,
        )
        by_model = route in {Route.SMALL, Route.STRONG}
        answer: Part = Written(request) if by_model else Said(quote(request))
        cited = passages if by_model else passages[:1]
        state, question = self._steering.and_next(_without(state, want.intent))
        return Draft(
            state=state,
            intent=want.intent,
            action=ruling.action,
            route=route,
            row=ruling.row,
            tier=ruling.tier,
            reasons=(*ruling.reasons, f"written by {self._writer}"),
            confidences=confidences,
            parts=(answer, *question.parts),
            expects=question.expects,
            asked=question.asked,
            sources=tuple(passage.source for passage in cited),
            tells=tuple(passage.source.article for passage in cited),
        )

    async def from_tool(
        self,
        state: ConversationState,
        reads: Reads,
        *,
        facts: tuple[Fact, ...] = (),
        digits: str | None = None,
    ) -> Draft:
        """The answer behind the gate: the topic's tool, called for the verified caller."""
        customer = self._gate.customer(state.gate)
        want = state.topic
        rule = self._policy.rule(want.intent) if want else None
        if customer is None or want is None or rule is None or rule.tool is None:
            state, question = self._steering.and_next(state.model_copy(update={"topic": None}))
            return self._steering.say(
                state, "identity", "identity/passed", (Line("identity.passed"),), question, facts=facts
            )
        confidences = Confidences(classification=round(want.confidence, 4), grounding=1.0, answer=1.0)
        ruling = self._policy.decide(PolicyFacts(want.intent, confidences, verified=True))
        slots = {self._gate.rules.factors[0].name: digits or customer.reference}
        read, outcome = await reads.tool(rule.tool, slots, customer=customer, purpose=want.intent)
        if outcome is None:
            draft = self._steering.person(
                state,
                want.intent,
                f"{ruling.row}/tool_failed",
                trigger="tool_error",
                before=(Line("tool.failed"),),
                tier=ruling.tier,
                reasons=(read.error or "no result",),
            )
            return _replaced(draft, tools=(read,), facts=facts)
        fields = {name: getattr(outcome, name) for name in type(outcome).model_fields}
        text = self._phrases.result(rule.tool, outcome.outcome, fields)
        parts: tuple[Part, ...] = (Said(text),)
        if facts:
            parts = (Line("identity.passed"), *parts)
        done = _without(state.model_copy(update={"topic": None}), want.intent)
        done, question = self._steering.and_next(done)
        return Draft(
            state=done,
            intent=want.intent,
            action=ruling.action,
            route=Route.GROUNDED,
            row=ruling.row,
            tier=ruling.tier,
            reasons=ruling.reasons,
            confidences=confidences,
            parts=(*parts, *question.parts),
            expects=question.expects,
            asked=question.asked,
            tools=(read,),
            tells=(f"{rule.tool}.{outcome.outcome}",),
            facts=facts,
        )

    def escalate(self, state: ConversationState, want: Want, rule: IntentRule, ruling: Ruling) -> Draft:
        """An intent that a person deals with."""
        sorry = (Line("handoff.sorry"),) if rule.apology else ()
        return self._steering.person(
            state.model_copy(update={"topic": want}),
            want.intent,
            ruling.row,
            trigger=f"policy:{want.intent}",
            before=(*sorry, Line("handoff.person_needed")),
            tier=ruling.tier,
            urgency=rule.urgency,
            reasons=ruling.reasons,
            confidences=Confidences(classification=round(want.confidence, 4)),
        )

    def _unknown(
        self, state: ConversationState, want: Want, ruling: Ruling, confidences: Confidences
    ) -> Draft:
        if ruling.action is Action.ESCALATE:
            return self._steering.person(
                state,
                want.intent,
                ruling.row,
                trigger="no_grounding",
                before=(Line("know.not"),),
                tier=ruling.tier,
                reasons=ruling.reasons,
                confidences=confidences,
            )
        return self._steering.say(
            state,
            want.intent,
            ruling.row,
            (Line("know.not"),),
            person_question(),
            action=ruling.action,
            reasons=ruling.reasons,
            confidences=confidences,
        )


def _without(state: ConversationState, intent: str) -> ConversationState:
    """The want is dealt with, so it does not wait any more."""
    return state.model_copy(update={"waiting": tuple(w for w in state.waiting if w.intent != intent)})


def _replaced(draft: Draft, **changes: object) -> Draft:
    return replace(draft, **changes)  # pyright: ignore[reportArgumentType]  # names checked by dataclasses
