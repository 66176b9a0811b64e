"""The values of a change: which are missing, which the caller has named, how one is asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from voicebot.core.conversation import Action, ToolRead, Utterance
from voicebot.dialogue.actions.tool import Tool
from voicebot.dialogue.flow import slots
from voicebot.dialogue.flow.deeds import sure_of
from voicebot.dialogue.flow.draft import Draft, Fact
from voicebot.dialogue.flow.questions import Question, person_question, slot_question
from voicebot.dialogue.flow.speech import Line, Part
from voicebot.dialogue.flow.steering import Steering
from voicebot.dialogue.monitor.monitor import Want
from voicebot.dialogue.phrases import Phrases
from voicebot.dialogue.state import ConversationState, Filling

MOST_ASKED = 3
"""So often a value is asked for; then a person is offered."""


class Values:
    """Drafts the questions for values. Stateless."""

    def __init__(self, steering: Steering, phrases: Phrases) -> None:
        self._steering = steering
        self._phrases = phrases

    def names(self, filling: Filling, name: str, given: Utterance) -> bool:
        """Whether the words name one of the few cases that a value has: then they are meant as that."""
        choices = self._phrases.choices.get(f"{filling.tool}.{name}")
        return choices is not None and slots.chosen(given.raw.text, choices) is not None

    def named(self, tool: Tool, want: Want) -> dict[str, Any]:
        """Values of a few that the caller has named with his want ("it arrived broken")."""
        found: dict[str, Any] = {}
        for name in tool.request.model_fields:
            choices = self._phrases.choices.get(f"{tool.name}.{name}")
            if choices and (value := slots.chosen(want.text, choices)) is not None:
                found[name] = value
        return found

    def next(self, tool: Tool, filling: Filling) -> str | None:
        """The value to ask for: one that is needed, or one with a question of its own, once."""
        needed = slots.unfit(tool.request, filling.values)
        for name in tool.request.model_fields:
            if name in needed:
                return name
            own = self._phrases.has(f"slot.{tool.name}.{name}")
            if own and name not in filling.values and name not in filling.asked:
                return name
        return None

    def ask(
        self,
        state: ConversationState,
        filling: Filling,
        tool: Tool,
        name: str,
        *,
        before: tuple[Part, ...] = (),
        facts: tuple[Fact, ...] = (),
        tools: tuple[ToolRead, ...] = (),
    ) -> Draft:
        """Asks for a value; who was asked often enough is offered a person."""
        times = filling.asked.count(name)
        want = filling.want
        if times >= MOST_ASKED:
            state = state.model_copy(update={"filling": None})
            draft = self._steering.say(
                state,
                want.intent,
                f"{want.intent}/value/{name}/enough",
                (*before, Line("act.value_missing")),
                person_question(want),
            )
            return replace(draft, facts=facts, tools=tools, tier=2)
        question = slot_question(tool.name, name, times, self._phrases.has)
        draft = self.put(state, filling, tool, name, question, f"{tool.name} needs {name}", before=before)
        return replace(draft, facts=facts, tools=tools)

    def put(
        self,
        state: ConversationState,
        filling: Filling,
        tool: Tool,
        name: str,
        question: Question,
        reason: str,
        *,
        before: tuple[Part, ...] = (),
    ) -> Draft:
        """Asks a question for a value once more, whatever its words."""
        want = filling.want
        filling = filling.model_copy(update={"asked": (*filling.asked, name)})
        question = replace(question, expects=slots.expects(tool.request.model_fields[name]))
        draft = self._steering.say(
            state.model_copy(update={"filling": filling}),
            want.intent,
            f"{want.intent}/value/{name}",
            before,
            question,
            action=Action.CLARIFY,
            reasons=(reason,),
            confidences=sure_of(want),
        )
        return replace(draft, tier=2)
