"""Late results: what a slow tool says is an input, planned against the state as it is then."""

from __future__ import annotations

from dataclasses import replace

from voicebot.core.conversation import LateResult, ToolRead
from voicebot.dialogue.flow.answers import Answers
from voicebot.dialogue.flow.draft import Draft
from voicebot.dialogue.flow.holding import nothing_to_say
from voicebot.dialogue.flow.setting import Setting
from voicebot.dialogue.flow.speech import Said
from voicebot.dialogue.state import ConversationState, Pending


class LateResults:
    """Drafts the turns that late results cause. Stateless."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def take(self, state: ConversationState, given: LateResult, setting: Setting) -> Draft:
        """Told if the caller still waits for it; recorded and unspoken if they have moved on."""
        read = ToolRead(
            tool=given.tool,
            arguments=given.arguments,
            result=given.result,
            error=given.error,
            duration_ms=given.duration_ms,
        )
        pending = next((one for one in state.pending if one.task == given.task), None)
        if pending is None:
            draft = nothing_to_say(state, "late_result", "late/unknown", "nobody waits for it")
            return replace(draft, tools=(read,))
        state = _without(state, pending)
        if pending.moved_on:
            draft = nothing_to_say(state, pending.want.intent, "late/moved_on", "the caller moved on")
            return replace(draft, tools=(read,))
        outcome = None if given.result is None else setting.reads.outcome(given.tool, given.result)
        state = state.model_copy(update={"topic": pending.want})
        draft = self._answers.told(state, pending.want, read, outcome, setting)
        # Whoever speaks into it hears it next: they have waited for it.
        parts = tuple(
            replace(part, owed=f"late_{pending.tool}") if isinstance(part, Said) else part
            for part in draft.parts
        )
        return replace(draft, parts=parts)


def moved_on(state: ConversationState, intent: str) -> ConversationState:
    """The caller has taken up ``intent``: what waits for another one is not said any more when it comes."""
    if all(one.want.intent == intent or one.moved_on for one in state.pending):
        return state
    pending = tuple(
        one if one.want.intent == intent else one.model_copy(update={"moved_on": True})
        for one in state.pending
    )
    return state.model_copy(update={"pending": pending})


def waiting_line(state: ConversationState) -> Pending | None:
    """The slow tool the caller waits for."""
    return next((one for one in state.pending if not one.moved_on), None)


def _without(state: ConversationState, pending: Pending) -> ConversationState:
    return state.model_copy(update={"pending": tuple(one for one in state.pending if one != pending)})
