"""Turns that need nothing read: beginnings, silence, sound without words, repeats, endings. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pydantic import JsonValue

from voicebot.core.conversation import Action, Confidences, HearingFailure, Route
from voicebot.dialogue.flow.draft import Draft, Fact
from voicebot.dialogue.flow.questions import (
    Question,
    again,
    next_question,
    offered_key,
    open_question,
    person_question,
)
from voicebot.dialogue.flow.speech import Line, Part, Said
from voicebot.dialogue.intents import IntentCatalog
from voicebot.dialogue.phrases import Phrases
from voicebot.dialogue.state import Asked, AskedKind, ConversationState
from voicebot.safety.identity import Gate
from voicebot.safety.policy import Policy
from voicebot.safety.triggers import circles
from voicebot.safety.triggers.hearing import exhausted

ENOUGH = 3
"""How often the same words are said and repeated before a person is offered instead."""
LANGUAGE = "language"
"""Told: that this bot speaks English only."""
NOTICE = "notice"
"""The fact that this is a machine and that the call is recorded: every caller must hear it."""


class Steering:
    """Drafts the turns that steer. Stateless; one per deployment."""

    def __init__(self, phrases: Phrases, intents: IntentCatalog, policy: Policy, gate: Gate) -> None:
        self._phrases = phrases
        self._intents = intents
        self._ladder = policy.table.ladder
        self._gate = gate

    def means(self, intent: str) -> str:
        """What an intent is about, in words that fit into a line."""
        return self._intents.means(intent)

    def greeting(self, state: ConversationState, *, after_loss: bool = False) -> Draft:
        """The first words of a call: who this is, that it is recorded, that a person can be had.

        ``after_loss``: the socket was lost before anybody was greeted.
        """
        parts = (
            Line("greeting.notice", owed=NOTICE),
            Line("greeting.person"),
            Line("greeting.question", question=True),
        )
        return self.say(
            state.model_copy(update={"greeted": True}),
            "call_started",
            "call/started",
            (Line("recovery.sorry"),) if after_loss else (),
            Question(parts, Asked(kind=AskedKind.OPEN)),
            facts=(Fact("conversation.started", {}),),
        )

    def recovery(self, state: ConversationState) -> Draft:
        """After a lost socket: sorry, what was not heard is said again, and the call goes on where it was."""
        lost = state.open_turns[-1] if state.open_turns else None
        owed = tuple(item for turn in state.open_turns for item in turn.owes)
        state = state.model_copy(update={"open_turns": (), "owed": (*state.owed, *owed)})
        sorry: tuple[Part, ...] = (Line("recovery.sorry"),)
        if lost is not None and lost.text and not owed:
            parts = (*sorry, Said(lost.text, question=lost.asked is not None))
            question = again(lost.asked, state, self._gate, self._intents)
            resumed = Question(parts, lost.asked or question.asked, question.expects)
            return self.say(state, "call_resumed", "call/resumed", (), resumed)
        if state.asked is None or state.asked.kind in {AskedKind.OPEN, AskedKind.MORE}:
            return self.say(state, "call_resumed", "call/resumed", sorry, open_question("recovery.question"))
        return self.say(state, "call_resumed", "call/resumed", sorry, self.open_again(state))

    def silence(self, state: ConversationState, nth: int) -> Draft:
        """The caller says nothing: asked about twice, each time with the open question, then a polite end."""
        if nth >= self._ladder.silences:
            return self.end(state, "silence", f"silence/{nth}", key="silence.end")
        line = Line("silence.first" if nth == 1 else "silence.second")
        question = self.open_again(state)
        return self.say(state, "silence", f"silence/{nth}", (line,), question, action=Action.CLARIFY)

    def not_heard(self, state: ConversationState, reason: HearingFailure) -> Draft:
        """Sound without words: other words, the keypad, a person."""
        count = state.not_heard + 1
        state = state.model_copy(update={"not_heard": count})
        row = f"not_heard/{reason}/{count}"
        down = reason is HearingFailure.ENGINE_DOWN
        cause = exhausted(reason, count, limit=self._ladder.not_heard)
        if cause is not None:
            last = Line("heard.again", self._phrases.variants("heard.again") - 1)
            return self.person(
                state, "not_heard", row, trigger=cause.name, evidence=cause.evidence, before=(last,)
            )
        line = Line("heard.engine", question=True) if down else Line("heard.again", count - 1, question=True)
        question = self.open_again(state)
        once_more = Question((line,), question.asked, question.expects)
        return self.say(state, "not_heard", row, (), once_more, action=Action.CLARIFY)

    def not_understood(
        self, state: ConversationState, row: str, reasons: tuple[str, ...], confidences: Confidences
    ) -> Draft:
        """Words that mean nothing to us: asked again in other words, then a person."""
        count = state.not_understood + 1
        state = state.model_copy(update={"not_understood": count})
        cause = circles.not_understood(count, self._ladder.not_understood)
        if cause is not None:
            last = Line("understood.not", self._phrases.variants("understood.not") - 1)
            return self.person(
                state,
                "unknown",
                row,
                trigger=cause.name,
                evidence=cause.evidence,
                before=(last,),
                reasons=reasons,
            )
        line = Line("understood.not", count - 1, question=True)
        question = Question((line,), Asked(kind=AskedKind.OPEN))
        return self.say(
            state,
            "unknown",
            row,
            (),
            question,
            action=Action.CLARIFY,
            reasons=reasons,
            confidences=confidences,
        )

    def other_language(self, state: ConversationState) -> Draft:
        """Words in another language: an honest line and the offer of a person, then a person."""
        row, reasons = "language/other", ("not English",)
        cause = circles.other_language(LANGUAGE in state.told)
        if cause is not None:
            return self.person(
                state, "unknown", row, trigger=cause.name, evidence=cause.evidence, reasons=reasons
            )
        state = state.model_copy(update={"told": (*state.told, LANGUAGE)})
        return self.say(
            state,
            "unknown",
            row,
            (Line("scope.language"),),
            person_question(),
            action=Action.ABSTAIN,
            reasons=reasons,
        )

    def repeat(self, state: ConversationState) -> Draft:
        """What was said last, once more; while digits are asked for, the question.

        Who has heard it three times gets nothing from a fourth: a person is offered.
        """
        if state.asked is not None and state.asked.kind is AskedKind.FACTOR:
            return self.say(state, "repeat", "repeat/question", (), self.open_again(state))
        if not state.last_said:
            return self.say(state, "repeat", "repeat/nothing", (Line("repeat.nothing"),), open_question())
        heard = [exchange.bot for exchange in state.history[-ENOUGH:]]
        if heard == [state.last_said] * ENOUGH:
            row = "repeat/enough"
            return self.say(state, "repeat", row, (Line("repeat.enough"),), person_question())
        question = self.open_again(state)
        again_said = (Said(state.last_said, question=True),)
        said = Question(again_said, state.asked or question.asked, question.expects)
        return self.say(state, "repeat", "repeat/answer", (), said)

    def end(self, state: ConversationState, intent: str, row: str, *, key: str = "end.goodbye") -> Draft:
        """A polite end."""
        return Draft(
            state=state.model_copy(update={"ending": True, "asked": None}),
            intent=intent,
            action=Action.END,
            route=Route.FIXED,
            row=row,
            parts=(Line(key),),
            after="hang_up",
            facts=(Fact("conversation.ending", {"because": intent}),),
        )

    def person(
        self,
        state: ConversationState,
        intent: str,
        row: str,
        *,
        trigger: str,
        evidence: Mapping[str, JsonValue] = MappingProxyType({}),
        before: tuple[Part, ...] = (),
        last: Part | None = None,
        tier: int = 0,
        urgency: str = "normal",
        reasons: tuple[str, ...] = (),
        confidences: Confidences = Confidences(),  # noqa: B008  # frozen
    ) -> Draft:
        """A person takes over: says so (``last``: in other words), and what happens next.

        ``trigger`` and ``evidence``: of the `Cause`.
        """
        return Draft(
            state=state.model_copy(update={"asked": None}),
            intent=intent,
            action=Action.ESCALATE,
            route=Route.PERSON,
            row=row,
            tier=tier,
            parts=(*before, last or Line("handoff.now")),
            reasons=reasons,
            confidences=confidences,
            trigger=trigger,
            evidence=evidence,
            urgency=urgency,
            after="hand_over",
        )

    def say(
        self,
        state: ConversationState,
        intent: str,
        row: str,
        parts: tuple[Part, ...],
        question: Question,
        *,
        action: Action = Action.ANSWER,
        reasons: tuple[str, ...] = (),
        confidences: Confidences = Confidences(),  # noqa: B008  # frozen
        facts: tuple[Fact, ...] = (),
    ) -> Draft:
        """Approved words and a question."""
        return Draft(
            state=state,
            intent=intent,
            action=action,
            route=Route.FIXED,
            row=row,
            parts=(*parts, *question.parts),
            reasons=reasons,
            confidences=confidences,
            expects=question.expects,
            asked=question.asked,
            facts=facts,
        )

    def open_again(self, state: ConversationState) -> Question:
        """The question that is open, once more."""
        return again(state.asked, state, self._gate, self._intents)

    def and_next(self, state: ConversationState) -> tuple[ConversationState, Question]:
        """What follows an answer, and the state in which it was asked."""
        question = next_question(state, self._gate, self._intents)
        if question.asked.kind is AskedKind.MORE:
            state = state.model_copy(update={"asked_more": state.asked_more + 1})
        if question.asked.kind is AskedKind.WAITING and question.asked.want is not None:
            clarified = (*state.clarified, offered_key(question.asked.want))
            state = state.model_copy(update={"clarified": clarified})
        return state, question
