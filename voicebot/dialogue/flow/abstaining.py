"""When nothing answers well: one focused question, then an honest "I don't know" with a way on.

No clarifying question is put twice, and what no article covers is counted as a gap.
"""

from __future__ import annotations

from dataclasses import replace

from voicebot.core.conversation import Action, Confidences, Utterance
from voicebot.dialogue.flow.draft import Draft, Gap
from voicebot.dialogue.flow.promising import Promising
from voicebot.dialogue.flow.questions import YES_NO, Question, person_question
from voicebot.dialogue.flow.reads import Found
from voicebot.dialogue.flow.rules import owner_of
from voicebot.dialogue.flow.setting import Setting
from voicebot.dialogue.flow.speech import Line
from voicebot.dialogue.flow.steering import Steering
from voicebot.dialogue.generation.abstaining import (
    another_thing,
    did_you_mean,
    dont_know,
    is_it_about,
    no_such_fact,
)
from voicebot.dialogue.generation.backing import Lack, NoFact
from voicebot.dialogue.intents import IntentCatalog
from voicebot.dialogue.knowledge.passage import Passage
from voicebot.dialogue.monitor.features import words_of
from voicebot.dialogue.monitor.monitor import Want
from voicebot.dialogue.phrases import Phrases
from voicebot.dialogue.state import Asked, AskedKind, ConversationState, Option
from voicebot.safety.policy import Ruling

WORTH_ASKING = 0.25
"""Grounding below which a passage is no reading of the question at all, and not offered."""
PERSON_DECLINED = "declined:person"
"""Told by the caller: no person, please. A call back is offered instead."""
_FIRST = frozenset({"first", "former"})
_SECOND = frozenset({"second", "latter", "last"})
_SHORT = 6
_SMALL = frozenset(
    {"the", "a", "an", "and", "or", "of", "at", "in", "on", "for", "to", "with", "from", "your"}
)
"""Words of a title that tell it from nothing."""


class Abstaining:
    """Drafts the turns that do not answer. Stateless."""

    def __init__(
        self, steering: Steering, promising: Promising, phrases: Phrases, intents: IntentCatalog
    ) -> None:
        self._steering = steering
        self._promising = promising
        self._phrases = phrases
        self._intents = intents

    def choice(
        self,
        state: ConversationState,
        want: Want,
        found: Found,
        ruling: Ruling,
        confidences: Confidences,
    ) -> Draft | None:
        """Asks whether it is about this or that; None if that was asked before, or nothing is worth it."""
        offered = found.ambiguous[:2]
        if not offered and found.passages and found.grounding >= WORTH_ASKING:
            offered = found.passages[:1]
        key = f"choice:{want.intent}:{'|'.join(sorted(one.source.article for one in offered))}"
        if not offered or key in state.clarified:
            return None
        options = tuple(_option(want, passage) for passage in offered)
        if len(options) == 1:
            line = is_it_about(self._phrases, options[0].named, state.history)
        else:
            line = did_you_mean(self._phrases, options[0].named, options[1].named, state.history)
        question = Question(
            (line,),
            Asked(kind=AskedKind.CHOICE, want=want, options=options),
            YES_NO if len(options) == 1 else Question((), Asked(kind=AskedKind.OPEN)).expects,
        )
        state = state.model_copy(update={"clarified": (*state.clarified, key)})
        reason = "two articles fit alike" if len(options) > 1 else "one article fits weakly"
        draft = self._steering.say(
            state,
            want.intent,
            ruling.row,
            (),
            question,
            action=Action.CLARIFY,
            reasons=(*ruling.reasons, reason),
            confidences=confidences,
        )
        return replace(
            draft,
            tier=ruling.tier,
            sources=tuple(passage.source for passage in offered),
            gap="ambiguous" if len(options) > 1 else "weak_grounding",
            question=want.text,
        )

    def unknown(
        self,
        state: ConversationState,
        want: Want,
        ruling: Ruling,
        confidences: Confidences,
        setting: Setting,
        *,
        gap: Gap = "no_grounding",
        near: bool = False,
        line: Line | None = None,
    ) -> Draft:
        """An honest "I don't know", with a person, or with a call back for who wants no person now.

        ``near``: there are articles about what was wanted, only not about this. ``line``: how it is put,
        if what is missing is known.
        """
        state = state.model_copy(update={"waiting": _others(state, want.intent)})
        about = self._intents.means(want.intent) if near else None
        know_not = (line or dont_know(self._phrases, state.history, about),)
        if ruling.action is Action.ESCALATE:
            draft = self._steering.person(
                state,
                want.intent,
                ruling.row,
                trigger="no_grounding",
                before=know_not,
                tier=ruling.tier,
                reasons=ruling.reasons,
                confidences=confidences,
            )
        elif PERSON_DECLINED in state.told:
            draft = self._promising.offer(
                state,
                want,
                setting,
                ruling.row,
                before=know_not,
                owner=owner_of(ruling),
                reasons=ruling.reasons,
                confidences=confidences,
            )
        else:
            asked = person_question()
            question = replace(asked, asked=asked.asked.model_copy(update={"want": want}))
            draft = self._steering.say(
                state,
                want.intent,
                ruling.row,
                know_not,
                question,
                action=Action.ABSTAIN,
                reasons=ruling.reasons,
                confidences=confidences,
            )
        return replace(draft, tier=ruling.tier, gap=gap, question=want.text)

    def lacking(
        self,
        state: ConversationState,
        want: Want,
        lack: Lack,
        ruling: Ruling,
        confidences: Confidences,
        setting: Setting,
    ) -> Draft:
        """The articles do not hold the fact that was asked for, or only another thing of the kind."""
        if isinstance(lack, NoFact):
            line = no_such_fact(self._phrases, lack.fact, state.history)
            return self.unknown(state, want, ruling, confidences, setting, gap="weak_grounding", line=line)
        key = f"thing:{lack.thing}"
        if key in state.clarified:
            return self.unknown(state, want, ruling, confidences, setting, gap="weak_grounding")
        meant = want.model_copy(update={"text": lack.question, "confidence": 1.0})
        source = lack.passage.source
        option = Option(named=lack.thing.rpartition(" ")[0], want=meant, article=source.article)
        line = another_thing(self._phrases, lack.thing, state.history)
        draft = self._steering.say(
            state.model_copy(update={"clarified": (*state.clarified, key)}),
            want.intent,
            ruling.row,
            (),
            Question((line,), Asked(kind=AskedKind.CHOICE, want=want, options=(option,)), YES_NO),
            action=Action.CLARIFY,
            reasons=(*ruling.reasons, "another thing of the kind"),
            confidences=confidences,
        )
        return replace(draft, tier=ruling.tier, sources=(source,), gap="weak_grounding", question=want.text)

    def no_person(self, state: ConversationState, want: Want, setting: Setting) -> Draft:
        """The caller wants no person now: somebody may call back instead."""
        told = tuple(dict.fromkeys((*state.told, PERSON_DECLINED)))
        state = state.model_copy(update={"told": told})
        return self._promising.offer(state, want, setting, "offer/no", before=(Line("say.no"),))


def chosen(asked: Asked, given: Utterance) -> Option | None:
    """The option that the caller's words mean, None if they mean none of them for sure.

    By the words it was named with, or by its place ("the second one").
    """
    words = words_of(given.text)
    said = {_stem(word) for word in words}
    names = [{_stem(word) for word in words_of(option.named)} - _SMALL for option in asked.options]
    scores = [
        len(said & (name - set().union(*(other for other in names if other is not name)))) for name in names
    ]
    best = max(scores, default=0)
    if best > 0 and scores.count(best) == 1:
        return asked.options[scores.index(best)]
    if len(asked.options) == 2 and len(words) <= _SHORT:
        first, second = bool(_FIRST & set(words)), bool(_SECOND & set(words))
        if first != second:
            return asked.options[1 if second else 0]
    return None


def both(given: Utterance) -> bool:
    """Whether the caller means all of the options."""
    words = words_of(given.text)
    return "both" in words and len(words) <= _SHORT


def _option(want: Want, passage: Passage) -> Option:
    title = passage.source.title
    named = title if title[:2].isupper() else title[:1].lower() + title[1:]
    about = want.model_copy(update={"text": f"{want.text} ({named})", "confidence": 1.0})
    return Option(named=named, want=about, article=passage.source.article)


def _others(state: ConversationState, intent: str) -> tuple[Want, ...]:
    return tuple(want for want in state.waiting if want.intent != intent)


def _stem(word: str) -> str:
    return word[:5]
