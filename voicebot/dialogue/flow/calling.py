"""A call that we made: who we are and why we call, and what the called person makes of it. Pure.

Whoever picks up may be somebody else: nothing personal is said before the gate, and "wrong number" or "do not
call me" ends it for good.
"""

# ruff: noqa: E501  # a pattern is not broken into lines
from __future__ import annotations

import re
from dataclasses import replace

from voicebot.core.conversation import Action, Route
from voicebot.dialogue.flow.draft import ActOutcome, Deed, Draft, Fact
from voicebot.dialogue.flow.questions import YES_NO, Question
from voicebot.dialogue.flow.speech import Line
from voicebot.dialogue.flow.steering import NOTICE, Steering
from voicebot.dialogue.intents import IntentCatalog
from voicebot.dialogue.phrases import Phrases
from voicebot.dialogue.state import Asked, AskedKind, Calling, ConversationState

ACT = "refuse_calls"
_STOP = re.compile(
    r"\b(?:stop|quit) calling\b|\b(?:do not|don't|dont|never|not) (?:ever )?(?:call|phone|ring) (?:me|us|this|here|again)\b"
    r"|\btake (?:me|us|my number|this number) off\b|\bno more calls\b|\bremove (?:me|my number|this number)\b"
    r"|\bwrong number\b|\byou have the wrong\b",
    re.IGNORECASE,
)


def wants_no_calls(text: str) -> bool:
    """Whether the called person wants to be left alone, or is not the one.

    >>> wants_no_calls("please don't call me again"), wants_no_calls("you don't call me back, i call you")
    (True, True)
    >>> wants_no_calls("yes, put me through")
    False
    """
    return _STOP.search(" ".join(text.replace("’", "'").split())) is not None


class Outgoing:
    """Drafts the beginning of a call that we made, and its refusal. Stateless."""

    def __init__(self, steering: Steering, phrases: Phrases, intents: IntentCatalog) -> None:
        self._steering = steering
        self._phrases = phrases
        self._intents = intents

    def opening(self, state: ConversationState, calling: Calling) -> Draft:
        """Who we are and that this is a machine and recorded; why we call; whether it suits."""
        why = Line(f"outbound.why.{calling.purpose}")
        about = f"{why.key}.about"
        means = self._intents.means(calling.want.intent)
        if self._intents.is_content(calling.want.intent) and self._phrases.has(about):
            why = Line(about, slots={"means": means})
        parts = (Line("outbound.notice", owed=NOTICE), why)
        if calling.person:
            line = Line("outbound.person", question=True)
            question = Question((line,), Asked(kind=AskedKind.PERSON, want=calling.want), YES_NO)
        else:
            line = Line("outbound.question", question=True)
            question = Question((line,), Asked(kind=AskedKind.CONFIRM, want=calling.want), YES_NO)
        return self._steering.say(
            state.model_copy(update={"greeted": True}),
            "call_started",
            "call/made",
            parts,
            question,
            facts=(Fact("conversation.started", {"call": calling.callback, "purpose": calling.purpose}),),
        )

    def left_alone(self, state: ConversationState, calling: Calling) -> Draft:
        """Nobody calls this number any more: noted, then said, then the end."""
        base = Draft(
            state=state.model_copy(update={"ending": True, "asked": None}),
            intent="no",
            action=Action.END,
            route=Route.FIXED,
            row="call/left_alone",
            parts=(Line("outbound.stop"),),
            reasons=("the called person does not want to be called",),
            after="hang_up",
        )

        def after(outcome: ActOutcome) -> Draft:
            facts = (
                Fact(f"act.{outcome.status}", {"act": ACT, "outcome": outcome.result.get("outcome", "")}),
            )
            return replace(base, facts=facts)

        return replace(base, deed=Deed("act", ACT, {"callback": calling.callback}, after))
