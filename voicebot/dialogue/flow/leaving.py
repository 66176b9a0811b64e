"""A message that a caller leaves: recorded and written down as it is spoken, kept piece by piece. Pure.

It is taken by our own media socket: the call is recorded (sealed) and recognised there anyway, so nothing of
it lies with a third party, and a caller who hangs up in the middle has left what was said so far.
"""

# ruff: noqa: E501  # a pattern is not broken into lines
from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime

from voicebot.core.conversation import FREE, Action, Channel, Confidences, Route, Urgency, Utterance
from voicebot.dialogue.flow.draft import ActOutcome, Deed, Draft, Fact
from voicebot.dialogue.flow.due import due, spoken_due
from voicebot.dialogue.flow.questions import Question
from voicebot.dialogue.flow.setting import Setting
from voicebot.dialogue.flow.speech import Line
from voicebot.dialogue.flow.steering import Steering
from voicebot.dialogue.monitor.monitor import Want
from voicebot.dialogue.state import Asked, AskedKind, ConversationState

ACT = "leave_message"
OWNER = "customer service"
_WANTS = re.compile(
    r"\b(?:leave|take|record|give)(?: \w+){0,2} (?:a )?(?:short |quick |voice )?(?:message|note|voicemail)\b"
    r"|^\W*(?:a |the )?(?:voice )?(?:message|voicemail|voice mail)(?: please)?\W*$|\bvoice ?mail\b",
    re.IGNORECASE,
)
_DONE = re.compile(
    r"^\W*(?:(?:okay|ok|so|and|well|thanks|thank you)\W+)*(?:that(?:'s| is| was|s) (?:all|it|everything)|i(?:'m| am) (?:done|finished)"
    r"|end of (?:the )?message|nothing (?:else|more)|good ?bye|bye)\b",
    re.IGNORECASE,
)
_SHORT = 8


def wants_to_leave_a_message(text: str) -> bool:
    """Whether the words ask to leave one.

    >>> wants_to_leave_a_message("can i leave a message"), wants_to_leave_a_message("i got your message")
    (True, False)
    """
    return _WANTS.search(" ".join(text.replace("’", "'").split())) is not None


def is_over(text: str) -> bool:
    """Whether the words only say that the message is over.

    >>> is_over("okay that's all, thank you"), is_over("that's all that arrived, the lamp is missing and the bulb")
    (True, False)
    """
    plain = " ".join(text.replace("’", "'").split())
    return len(plain.split()) <= _SHORT and _DONE.search(plain) is not None


class Leaving:
    """Drafts the turns of a message. Stateless."""

    def __init__(self, steering: Steering) -> None:
        self._steering = steering

    def begin(self, state: ConversationState, want: Want, setting: Setting) -> Draft:
        """The notice, and then it is the caller's."""
        spoken = setting.scene.channel in {Channel.PHONE, Channel.BROWSER}
        line = Line("message.begin" if spoken else "message.write", question=True)
        question = Question((line,), Asked(kind=AskedKind.MESSAGE, want=want), FREE)
        draft = self._steering.say(
            state.model_copy(update={"message": None}), want.intent, "message/begin", (), question
        )
        return replace(draft, facts=(Fact("message.began", {}),))

    def take(self, state: ConversationState, want: Want, given: Utterance, setting: Setting) -> Draft:
        """A piece of it: kept at once, and nothing said over it. In writing, one piece is the whole."""
        if setting.scene.channel not in {Channel.PHONE, Channel.BROWSER}:
            return self._keep(state, want, given, setting, ends=True)
        if is_over(given.text):
            return self.end(state, want, setting)
        return self._keep(state, want, given, setting, ends=False)

    def unheard(self, state: ConversationState, want: Want) -> Draft:
        """Sound without words: it is in the recording, and the message goes on."""
        return Draft(
            state=state,
            intent=want.intent,
            action=Action.FOLLOW_UP,
            route=Route.PERSON,
            row="message/unheard",
            parts=(),
            unspoken=True,
        )

    def end(self, state: ConversationState, want: Want, setting: Setting) -> Draft:
        """A key, silence, or words that say so."""
        if state.message is None:
            state, question = self._steering.and_next(state.model_copy(update={"asked": None}))
            return self._steering.say(
                state, want.intent, "message/nothing", (Line("message.nothing"),), question
            )
        return self._thanks(state, want, setting.scene.now)

    def _keep(
        self, state: ConversationState, want: Want, given: Utterance, setting: Setting, *, ends: bool
    ) -> Draft:
        due_at = due(setting.scene.now, Urgency.NORMAL)
        base = Draft(
            state=state,
            intent=want.intent,
            action=Action.FOLLOW_UP,
            route=Route.PERSON,
            row="message/part",
            parts=(),
            reasons=("the caller leaves a message",),
            confidences=Confidences(),
            owner=OWNER,
        )
        arguments = {
            "message": state.message,
            "intent": want.intent,
            "owner": OWNER,
            "due_at": due_at.isoformat(),
            "question": want.text,
            "words": given.text,
            "from_ms": given.started_ms,
            "until_ms": given.last_voiced_ms,
        }

        def after(outcome: ActOutcome) -> Draft:
            if outcome.status != "done":
                return self._failed(base, outcome)
            kept = base.state.model_copy(update={"message": outcome.result["follow_up"]})
            if ends:
                return replace(self._thanks(kept, want, setting.scene.now), owner=OWNER)
            # Still the same question: what follows belongs to the message, and the bot says nothing over it.
            silent = kept.model_copy(update={"asked": Asked(kind=AskedKind.MESSAGE, want=want)})
            return replace(base, state=silent, unspoken=True, facts=(Fact("message.part", {}),))

        return replace(base, deed=Deed("act", ACT, arguments, after))

    def _thanks(self, state: ConversationState, want: Want, now: datetime) -> Draft:
        when = spoken_due(due(now, Urgency.NORMAL), now)
        left = {"follow_up": state.message}
        state = state.model_copy(update={"message": None, "asked": None, "topic": None})
        state, question = self._steering.and_next(state)
        draft = self._steering.say(
            state,
            want.intent,
            "message/left",
            (Line("message.done", slots={"when": when}, owed="message"),),
            question,
            action=Action.FOLLOW_UP,
        )
        return replace(draft, owner=OWNER, facts=(Fact("message.left", left),))

    def _failed(self, base: Draft, outcome: ActOutcome) -> Draft:
        state = base.state.model_copy(update={"asked": None})
        state, question = self._steering.and_next(state)
        facts = (Fact(f"act.{outcome.status}", {"act": ACT, "outcome": outcome.result.get("outcome", "")}),)
        draft = self._steering.say(state, base.intent, "message/failed", (Line("promise.failed"),), question)
        return replace(draft, facts=facts)
