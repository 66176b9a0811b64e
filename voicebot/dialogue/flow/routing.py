"""To a specialist, with a form that is filled in as far as things are known. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from voicebot.core.conversation import Action, Confidences, Urgency
from voicebot.dialogue.flow.draft import Draft
from voicebot.dialogue.flow.rules import owner_of, team_of
from voicebot.dialogue.flow.setting import Setting
from voicebot.dialogue.flow.speech import Line, Part
from voicebot.dialogue.flow.steering import Steering
from voicebot.dialogue.monitor.monitor import Want
from voicebot.dialogue.state import ConversationState
from voicebot.safety.identity import Gate
from voicebot.safety.policy import IntentRule, Ruling
from voicebot.safety.triggers import Cause
from voicebot.safety.triggers.matrix import ruled

_CALM = frozenset({Urgency.LOW, Urgency.NORMAL})


class Routing:
    """Drafts the turns that end with a person of a certain team. Stateless."""

    def __init__(self, steering: Steering, gate: Gate) -> None:
        self._steering = steering
        self._gate = gate

    def route(
        self, state: ConversationState, want: Want, rule: IntentRule, ruling: Ruling, setting: Setting
    ) -> Draft:
        """To the team that policy names, with the form."""
        team = team_of(ruling)
        before: tuple[Part, ...] = (Line("handoff.sorry"),) if rule.apology else ()
        draft = self._steering.person(
            state.model_copy(update={"topic": want}),
            want.intent,
            ruling.row,
            trigger=(cause := _ruled(want, rule, ruling)).name,
            evidence=cause.evidence,
            before=before,
            last=Line("handoff.team", slots={"team": team}) if team else None,
            tier=ruling.tier,
            urgency=urgency_of(state, ruling).value,
            reasons=ruling.reasons,
            confidences=Confidences(classification=round(want.confidence, 4)),
        )
        return replace(
            draft, action=Action.ROUTE, owner=owner_of(ruling), form=self.form(state, want, setting)
        )

    def escalate(
        self, state: ConversationState, want: Want, rule: IntentRule, ruling: Ruling, setting: Setting
    ) -> Draft:
        """An intent that a person deals with."""
        sorry = (Line("handoff.sorry"),) if rule.apology else ()
        draft = self._steering.person(
            state.model_copy(update={"topic": want}),
            want.intent,
            ruling.row,
            trigger=(cause := _ruled(want, rule, ruling)).name,
            evidence=cause.evidence,
            before=(*sorry, Line("handoff.person_needed")),
            tier=ruling.tier,
            urgency=urgency_of(state, ruling).value,
            reasons=ruling.reasons,
            confidences=Confidences(classification=round(want.confidence, 4)),
        )
        return replace(draft, owner=owner_of(ruling), form=self.form(state, want, setting))

    def form(self, state: ConversationState, want: Want, setting: Setting) -> dict[str, Any]:
        """What is known, by field; what is not known is not there. A caller's word is marked as such."""
        first = self._gate.rules.factors[0].name
        match = state.gate.match
        said = self._gate.heard_as(state.gate, first)
        form: dict[str, Any] = {
            "intent": want.intent,
            "question": want.text,
            "channel": setting.scene.channel.value,
            "verified": match is not None,
            **state.slots,
        }
        if match is not None:
            form |= {first: match.reference, "customer": match.customer_id}
        elif said is not None:
            form[f"{first}_as_said"] = said
        if state.customer is not None:
            form |= state.customer.model_dump(exclude_none=True)
        if state.waiting:
            form["also"] = [other.intent for other in state.waiting]
        return form


def _ruled(want: Want, rule: IntentRule, ruling: Ruling) -> Cause:
    return ruled(
        want.intent,
        row=ruling.row,
        tier=ruling.tier,
        action=ruling.action.value,
        classification=want.confidence,
        compliance=rule.compliance.value,
    )


def urgency_of(state: ConversationState, ruling: Ruling) -> Urgency:
    """How soon: as policy sees it, sooner for a caller who is getting nowhere."""
    return Urgency.HIGH if state.strained and ruling.urgency in _CALM else ruling.urgency
