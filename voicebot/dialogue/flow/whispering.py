"""What an agent whispers to the bot, in a conversation that the bot goes on with.

A whisper is nobody's consent and no wish of the caller's: it cannot act, and every rule of policy stands. It
may have approved words said, add a fact to an answer, offer a topic, take a topic away, or fetch the caller.
Words come when no read-back waits for a yes, no message is being left and no card is being taken; else first
in the next answer.
"""

from __future__ import annotations

from dataclasses import replace

from voicebot.core.conversation import Action, Route, Whispered
from voicebot.dialogue.flow.draft import Draft, Fact
from voicebot.dialogue.flow.holding import nothing_to_say
from voicebot.dialogue.flow.questions import YES_NO, Question
from voicebot.dialogue.flow.setting import Setting
from voicebot.dialogue.flow.speech import Line, Said
from voicebot.dialogue.flow.steering import Steering
from voicebot.dialogue.intents import IntentCatalog
from voicebot.dialogue.monitor.monitor import Want
from voicebot.dialogue.state import Asked, AskedKind, ConversationState, Note, Owed

TRIGGER = "colleague"
"""An agent asked for the conversation."""
_PLAIN = frozenset({AskedKind.OPEN, AskedKind.MORE})


class Whispering:
    """Drafts the turns of whispers, and brings what they left into the turns that follow. Stateless."""

    def __init__(self, steering: Steering, intents: IntentCatalog) -> None:
        self._steering = steering
        self._intents = intents

    async def take(self, state: ConversationState, given: Whispered, setting: Setting) -> Draft:
        """The turn of a whisper; most of them say nothing and change what comes."""
        if not await setting.reads.waits(given.whisper):
            return nothing_to_say(state, "whisper", "whisper/twice", "another turn took it up")
        draft = self._taken(state, given)
        fact = Fact(
            "whisper.taken",
            {
                "whisper": given.whisper,
                "what": given.what,
                "agent": given.agent,
                "spoken": not draft.unspoken,
            },
        )
        reasons = (*draft.reasons, f"{given.agent} whispered: {given.what}")
        return replace(draft, takes=given.whisper, facts=(*draft.facts, fact), reasons=reasons)

    def _taken(self, state: ConversationState, given: Whispered) -> Draft:
        row = f"whisper/{given.what}"
        match given.what:
            case "hand_over":
                if state.paying is not None:
                    return self._silent(state, row, "a card is being taken")
                before = (Line("whisper.hand_over"),)
                return self._steering.person(state, "whisper", row, trigger=TRIGGER, before=before)
            case "avoid":
                avoided = tuple(dict.fromkeys((*state.avoided, given.intent or "")))
                return self._silent(state.model_copy(update={"avoided": avoided}), row)
            case "fact":
                note = Note(
                    whisper=given.whisper, agent=given.agent, text=given.text or "", intent=given.intent
                )
                return self._silent(state.model_copy(update={"notes": (*state.notes, note)}), row)
            case "steer":
                state = state.model_copy(update={"steered": given.intent})
                if _busy(state) or (state.asked is not None and state.asked.kind not in _PLAIN):
                    return self._silent(state, row)
                return self.offered(self._said(state, row, ()))
            case "say":
                key, text = f"whisper_{given.whisper[3:11]}", given.text or ""
                if _busy(state):
                    owed = (*state.owed, Owed(key=key, text=text))
                    return self._silent(state.model_copy(update={"owed": owed}), row)
                return self._said(state, row, (Line("whisper.say"), Said(text, owed=key)))

    def offered(self, draft: Draft) -> Draft:
        """The draft with the topic that somebody steered to, in place of "anything else?"."""
        intent, asked = draft.state.steered, draft.asked
        plain = draft.action is Action.ANSWER and draft.deed is None and not draft.unspoken
        if intent is None or asked is None or not plain or asked.kind is not AskedKind.MORE:
            return draft
        if intent == draft.intent:  # the caller came to it alone
            return replace(draft, state=draft.state.model_copy(update={"steered": None}))
        means = self._intents.means(intent)
        line = Line("whisper.steer", slots={"means": means}, question=True)
        return replace(
            draft,
            state=draft.state.model_copy(update={"steered": None}),
            parts=(*(one for one in draft.parts if not getattr(one, "question", False)), line),
            asked=Asked(kind=AskedKind.WAITING, want=Want(intent=intent, confidence=1.0, text=means)),
            expects=YES_NO,
        )

    def _said(self, state: ConversationState, row: str, parts: tuple[Line | Said, ...]) -> Draft:
        """Words of a person, then the question that is open, or what follows an answer."""
        question: Question
        if state.asked is None or state.asked.kind in _PLAIN:
            state, question = self._steering.and_next(state)
        else:
            question = self._steering.open_again(state)
        draft = self._steering.say(state, "whisper", row, parts, question)
        return replace(draft, route=Route.DRAFT)

    def _silent(self, state: ConversationState, row: str, reason: str = "nothing to say now") -> Draft:
        """Recorded; the question that is open stays open, a read-back too."""
        return Draft(
            state=state,
            intent="whisper",
            action=Action.ABSTAIN,
            route=Route.FIXED,
            row=row,
            parts=(),
            asked=state.asked,
            reasons=(reason,),
            unspoken=True,
        )


def notes_on(state: ConversationState, intent: str) -> tuple[Note, ...]:
    """What an agent wants said with an answer about ``intent``."""
    return tuple(one for one in state.notes if one.intent in (None, intent))


def without(state: ConversationState, used: tuple[Note, ...]) -> ConversationState:
    """They are said once."""
    return state.model_copy(update={"notes": tuple(one for one in state.notes if one not in used)})


def _busy(state: ConversationState) -> bool:
    """Whether a word in between would spoil something: a yes to a read-back, a message, a card, a mark."""
    asked = state.asked
    if state.paying is not None:
        return True
    if asked is None:
        return False
    marks = asked.kind is AskedKind.SLOT and state.filling is None
    return asked.kind in {AskedKind.PROPOSAL, AskedKind.MESSAGE} or marks
