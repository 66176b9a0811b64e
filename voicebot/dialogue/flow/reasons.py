"""Why something is so, and whether it is: asked of what was just said. The article's own reason, or none."""

from __future__ import annotations

import re
from dataclasses import replace

from voicebot.core.conversation import Action, Route
from voicebot.dialogue.flow.draft import Draft
from voicebot.dialogue.flow.questions import Question, again, person_question
from voicebot.dialogue.flow.rules import Rules
from voicebot.dialogue.flow.setting import Setting
from voicebot.dialogue.flow.speech import Line, Part, Said
from voicebot.dialogue.flow.steering import Steering
from voicebot.dialogue.generation.sentences import sentences_of
from voicebot.dialogue.generation.spoken_text import speakable
from voicebot.dialogue.intents import IntentCatalog
from voicebot.dialogue.monitor.monitor import Want
from voicebot.dialogue.state import AskedKind, ConversationState
from voicebot.safety.identity import Gate

_REASON = re.compile(
    r"\b(?:because|so that|since (?:it|we|they|the)|in order to|that is why|the reason)\b", re.IGNORECASE
)


class Reasons:
    """Drafts the answers to "why?" and "are you sure?". Stateless."""

    def __init__(self, rules: Rules, gate: Gate, steering: Steering, intents: IntentCatalog) -> None:
        self._rules = rules
        self._gate = gate
        self._steering = steering
        self._intents = intents

    async def why(self, state: ConversationState, setting: Setting, *, doubted: bool) -> Draft | None:
        """What is said to it where the conversation stands; None where nothing was said that has a reason.

        ``doubted``: whether it is so was asked, not why.
        """
        asked = state.asked
        if asked is not None and asked.kind is AskedKind.FACTOR:
            question = again(asked, state, self._gate, self._intents)
            return self._say(state, "identity", "identity/why", (Line("identity.why"),), question)
        if asked is not None and asked.kind is AskedKind.PERSON:
            question = person_question()
            question = replace(question, asked=asked)
            intent = asked.want.intent if asked.want is not None else "person"
            return self._say(state, intent, "offer/why", (Line("handoff.why"),), question)
        if state.answered is None or (asked is not None and asked.kind not in _AFTER_AN_ANSWER):
            return None
        want = state.answered
        rule = self._rules.rule(want.intent)
        key = f"why:{want.intent}"
        if not doubted and key in state.clarified:
            return self._nothing_more(state, want)
        if not doubted:
            state = state.model_copy(update={"clarified": (*state.clarified, key)})
        if rule is not None and rule.tool is not None:
            return self._answer(state, want, Line("why.records_sure" if doubted else "why.records"))
        return await self._from_article(state, want, setting, doubted)

    async def _from_article(
        self, state: ConversationState, want: Want, setting: Setting, doubted: bool
    ) -> Draft | None:
        region = state.customer.region if state.customer else None
        found = await setting.reads.articles(want.text, intent=want.intent, region=region)
        told = [passage for passage in found.passages if passage.source.article in state.told]
        first = next(iter(told or found.passages), None)
        if first is None:
            return None
        title = first.source.title
        page = (
            title if any(word[:1].isupper() for word in title.split()[1:2]) else title[:1].lower() + title[1:]
        )
        heard = " ".join(one.bot for one in state.history)
        reason = next(
            (
                spoken
                for sentence in sentences_of(first.body)
                if _REASON.search(sentence) and (spoken := speakable(sentence)) not in heard
            ),
            None,
        )
        part: Part = Line("why.page_sure" if doubted else "why.page", slots={"page": page})
        if not doubted and reason is not None:
            part = Said(reason)
        draft = self._answer(state, want, part)
        return replace(draft, route=Route.GROUNDED, sources=(first.source,), tells=(first.source.article,))

    def _nothing_more(self, state: ConversationState, want: Want) -> Draft:
        """Asked once more: there is no reason here, a colleague may know one."""
        question = person_question()
        question = replace(question, asked=question.asked.model_copy(update={"want": want}))
        row = f"{want.intent}/why"
        return self._say(state, want.intent, row, (Line("why.nothing"),), question, action=Action.ABSTAIN)

    def _answer(self, state: ConversationState, want: Want, part: Part) -> Draft:
        state, question = self._steering.and_next(state)
        return self._say(state, want.intent, f"{want.intent}/why", (part,), question, action=Action.ANSWER)

    def _say(
        self,
        state: ConversationState,
        intent: str,
        row: str,
        parts: tuple[Part, ...],
        question: Question,
        *,
        action: Action = Action.CLARIFY,
    ) -> Draft:
        return self._steering.say(
            state,
            intent,
            row,
            parts,
            question,
            action=action,
            reasons=("the caller asks for the reason of what was said",),
        )


_AFTER_AN_ANSWER = frozenset({AskedKind.OPEN, AskedKind.MORE, AskedKind.WAITING})
