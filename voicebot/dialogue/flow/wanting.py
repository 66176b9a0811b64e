"""Takes up one want: the policy first, then whichever flow its ruling means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pydantic import JsonValue

from voicebot.core.conversation import Action, Confidences, Urgency, Utterance
from voicebot.dialogue.flow.answers import Answers
from voicebot.dialogue.flow.draft import Draft
from voicebot.dialogue.flow.late import moved_on
from voicebot.dialogue.flow.promising import Promising
from voicebot.dialogue.flow.questions import YES_NO, Question
from voicebot.dialogue.flow.routing import Routing, urgency_of
from voicebot.dialogue.flow.rules import (
    Rules,
    is_lost,
    is_unsure,
    lacks_grounding,
    lacks_identity,
    owner_of,
)
from voicebot.dialogue.flow.setting import Setting
from voicebot.dialogue.flow.speech import Line
from voicebot.dialogue.flow.steering import Steering
from voicebot.dialogue.flow.verifying import Verifying
from voicebot.dialogue.intents import IntentCatalog
from voicebot.dialogue.monitor.monitor import Want
from voicebot.dialogue.state import Asked, AskedKind, ConversationState
from voicebot.safety.identity import Gate
from voicebot.safety.policy import Reads, Ruling
from voicebot.safety.triggers.matrix import unlisted

DISTRESS = "distress"


class Wanting:
    """Drafts the turns that take up a want. Stateless."""

    def __init__(
        self,
        rules: Rules,
        gate: Gate,
        intents: IntentCatalog,
        steering: Steering,
        answers: Answers,
        verifying: Verifying,
        promising: Promising,
        routing: Routing,
    ) -> None:
        self._rules = rules
        self._gate = gate
        self._intents = intents
        self._steering = steering
        self._answers = answers
        self._verifying = verifying
        self._promising = promising
        self._routing = routing

    async def take(
        self,
        state: ConversationState,
        want: Want,
        setting: Setting,
        given: Utterance | None = None,
        *,
        article: str | None = None,
    ) -> Draft:
        """The turn that takes it up. ``given``: the words, if they may hold digits for the gate."""
        rule = self._rules.rule(want.intent)
        confidences = Confidences(classification=round(want.confidence, 4))
        ruling = self._rules.decide(state, setting, want.intent, confidences)
        if rule is None:
            return self._steering.person(
                state,
                want.intent,
                ruling.row,
                trigger=(cause := unlisted(ruling.row)).name,
                evidence=cause.evidence,
                reasons=ruling.reasons,
                tier=ruling.tier,
            )
        if is_lost(ruling) or (is_unsure(ruling) and ruling.action is Action.CLARIFY):
            return self._unclear(state, want, ruling, confidences)
        state = moved_on(state.model_copy(update={"not_understood": 0}), want.intent)
        open_still = lacks_identity(ruling) or (lacks_grounding(ruling) and rule.reads is Reads.KNOWLEDGE)
        if not open_still or (ruling.action is Action.ESCALATE and lacks_identity(ruling)):
            match ruling.action:
                case Action.ESCALATE:
                    return self._routing.escalate(state, want, rule, ruling, setting)
                case Action.ROUTE:
                    return self._routing.route(state, want, rule, ruling, setting)
                case Action.FOLLOW_UP:
                    return self._promising.promise(
                        state,
                        want,
                        setting,
                        ruling.row,
                        owner=owner_of(ruling),
                        urgency=urgency_of(state, ruling),
                        tier=ruling.tier,
                        reasons=ruling.reasons,
                        confidences=confidences,
                    )
                case Action.END:
                    return self._steering.end(state, want.intent, ruling.row)
                case _:
                    pass
        if rule.identity:
            again = state.topic is not None and state.topic.intent == want.intent
            sorry = (Line("handoff.sorry"),) if rule.apology and not again else ()
            state = state.model_copy(update={"topic": want})
            if given is not None and self._gate.holds_digits(given):
                return await self._verifying.take(state, given, None, setting)
            draft = await self._verifying.go_on(state, setting, confidences)
            asks = draft.action is Action.CLARIFY
            return replace(draft, parts=(*sorry, *draft.parts)) if asks else draft
        return await self._answers.from_articles(state, want, rule, setting, article=article)

    def distress(
        self, state: ConversationState, want: Want, setting: Setting, evidence: Mapping[str, JsonValue]
    ) -> Draft:
        """Somebody is in danger or despair: straight to a person, before anything else."""
        rule = self._rules.rule(DISTRESS)
        draft = self._steering.person(
            state.model_copy(update={"topic": want, "vulnerable": True}),
            DISTRESS,
            f"{DISTRESS}/first",
            trigger=DISTRESS,
            evidence=evidence,
            last=Line("handoff.distress"),
            tier=rule.tier if rule else 3,
            urgency=Urgency.CRITICAL.value,
            reasons=("distress goes straight to a person",),
            confidences=Confidences(classification=round(want.confidence, 4)),
        )
        return replace(draft, form=self._routing.form(state, want, setting))

    def confirm(self, state: ConversationState, want: Want) -> Draft:
        """Asks whether this is what the caller wants, whatever policy would do at once; once."""
        key = f"confirm:{want.intent}"
        confidences = Confidences(classification=round(want.confidence, 4))
        row, reasons = f"{want.intent}/confirm", ("too few words to be sure of a concern",)
        if key in state.clarified:
            return self._steering.not_understood(state, row, reasons, confidences)
        return self._ask(state, want, key, row, reasons, confidences)

    def _ask(
        self,
        state: ConversationState,
        want: Want,
        key: str,
        row: str,
        reasons: tuple[str, ...],
        confidences: Confidences,
    ) -> Draft:
        line = Line("ask.confirm", slots={"means": self._intents.means(want.intent)}, question=True)
        question = Question((line,), Asked(kind=AskedKind.CONFIRM, want=want), YES_NO)
        return self._steering.say(
            state.model_copy(update={"clarified": (*state.clarified, key)}),
            want.intent,
            row,
            (),
            question,
            action=Action.CLARIFY,
            reasons=reasons,
            confidences=confidences,
        )

    def _unclear(
        self, state: ConversationState, want: Want, ruling: Ruling, confidences: Confidences
    ) -> Draft:
        """Asked about once; the same guess a second time is not asked about again."""
        key = f"confirm:{want.intent}"
        if is_unsure(ruling) and self._intents.is_content(want.intent) and key not in state.clarified:
            return self._ask(state, want, key, ruling.row, ruling.reasons, confidences)
        return self._steering.not_understood(state, ruling.row, ruling.reasons, confidences)
