"""Turns of a caller whose words are no wish: orders to the bot, questions for its prompt, abuse. Pure.

An attack is deflected with an approved line and the open question; after several a person is offered, in case
we are wrong. Abuse is warned about once; what follows is policy's. Who is in distress is never treated so.
"""

from __future__ import annotations

from dataclasses import replace

from voicebot.core.conversation import Action
from voicebot.dialogue.flow.draft import Draft, Fact
from voicebot.dialogue.flow.questions import person_question
from voicebot.dialogue.flow.speech import Line
from voicebot.dialogue.flow.steering import Steering
from voicebot.dialogue.state import AskedKind, ConversationState
from voicebot.safety.guard_in import ConductRules, GuardReading, Kind
from voicebot.safety.triggers import Cause
from voicebot.safety.triggers.matrix import abused

FLAGGED = "guard.flagged"
"""The fact of a turn whose words were not taken as they came."""
_LINES = {Kind.INJECTION: "guard.injection", Kind.EXTRACTION: "guard.extraction"}


class Guarding:
    """Drafts those turns. Stateless; one per deployment."""

    def __init__(self, steering: Steering, rules: ConductRules) -> None:
        self._steering = steering
        self._rules = rules

    def deflect(self, state: ConversationState, seen: GuardReading) -> Draft:
        """An attack: what is not done, and the question that was open."""
        offers = state.conduct.offers_person(self._rules)
        nth = state.conduct.deflected
        conduct = state.conduct.model_copy(update={"deflected": nth + 1})
        state = state.model_copy(update={"conduct": conduct})
        at_gate = state.asked is not None and state.asked.kind is AskedKind.FACTOR
        question = person_question() if offers and not at_gate else self._steering.open_again(state)
        kind = seen.kind or Kind.INJECTION
        draft = self._steering.say(
            state,
            "guarded",
            f"guard/{kind}",
            (Line(_LINES.get(kind, "guard.injection"), nth),),
            question,
            action=Action.ABSTAIN,
        )
        return flagged(draft, seen)

    def unsupported(self, state: ConversationState, seen: GuardReading) -> Draft:
        """Work that is not ours: said so, with what is."""
        state = state.model_copy(update={"not_understood": state.not_understood + 1})
        draft = self._steering.say(
            state,
            "out_of_scope",
            "guard/unsupported",
            (Line("scope.out", state.not_understood - 1),),
            person_question() if state.not_understood > 1 else self._steering.open_again(state),
            action=Action.ABSTAIN,
        )
        return flagged(draft, seen)

    def abused(self, state: ConversationState, seen: GuardReading) -> Draft | None:
        """What follows abuse; None: a warning goes before the turn's own answer (`warned`)."""
        conduct = state.conduct
        step = conduct.after_abuse(self._rules)
        state = state.model_copy(
            update={"conduct": conduct.model_copy(update={"abused": conduct.abused + 1})}
        )
        match step:
            case "warn":
                return None
            case "end":
                return flagged(self._steering.end(state, "abuse", "guard/abuse/end", key="guard.end"), seen)
            case "person":
                cause = abused(conduct.abused + 1, self._rules.warnings)
                person = self._steering.person(
                    state, "abuse", "guard/abuse/person", trigger=cause.name, evidence=cause.evidence
                )
                return flagged(person, seen)

    def warned(self, draft: Draft, seen: GuardReading, *, wants_person: Cause | None = None) -> Draft:
        """The warning, then what the caller wanted all the same. Who likely wants a person gets one."""
        if wants_person is not None and draft.after == "continue" and draft.deed is None:
            draft = self._steering.person(
                draft.state,
                "person",
                "guard/abuse/person_wanted",
                trigger=wants_person.name,
                evidence=wants_person.evidence,
            )
        conduct = draft.state.conduct
        abused = conduct.model_copy(update={"abused": conduct.abused + 1})
        state = draft.state.model_copy(update={"conduct": abused})
        if draft.after != "continue" or draft.deed is not None:  # a person or an act comes next: no lecture
            return flagged(replace(draft, state=state), seen)
        return flagged(replace(draft, state=state, parts=(Line("guard.warn"), *draft.parts)), seen)


def flagged(draft: Draft, seen: GuardReading) -> Draft:
    """The draft with what the guard said: reasons, and a fact for event and audit. No words."""
    return replace(
        draft, reasons=(*draft.reasons, seen.as_reason()), facts=(*draft.facts, flag(seen)), guarded=seen
    )


def flag(seen: GuardReading, about: str = "") -> Fact:
    """What the guard said, for event and audit. ``about``: the tool or article that it read."""
    return Fact(
        FLAGGED,
        {
            "source": seen.source.value,
            "verdict": seen.verdict.value,
            "kind": None if seen.kind is None else seen.kind.value,
            "rules": list(seen.reasons),
            "score": seen.score,
            **({"about": about} if about else {}),
        },
    )
