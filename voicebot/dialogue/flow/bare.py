"""A thing named and nothing said of it ("my account", "a refund"): asked about, not sent to a person. Pure."""

# ruff: noqa: E501  # a pattern is not broken into lines
from __future__ import annotations

import re

from voicebot.core.conversation import Action, Confidences
from voicebot.dialogue.flow.asides import content_words
from voicebot.dialogue.flow.draft import Draft
from voicebot.dialogue.flow.questions import YES_NO, Question
from voicebot.dialogue.flow.rules import Rules
from voicebot.dialogue.flow.speech import Line
from voicebot.dialogue.flow.steering import Steering
from voicebot.dialogue.generation.abstaining import did_you_mean
from voicebot.dialogue.intents import IntentCatalog
from voicebot.dialogue.monitor.classifier import Guess
from voicebot.dialogue.monitor.features import words_of
from voicebot.dialogue.monitor.monitor import Reading, Want
from voicebot.dialogue.phrases import Phrases
from voicebot.dialogue.state import Asked, AskedKind, ConversationState, Option
from voicebot.safety.policy import IntentRule, Reads

_BARE = re.compile(
    r"^(?:(?:hi|hello|hey|yes|and|so|well|ok|okay|please) )*"
    r"(?:(?:(?:it|this) is|i am calling|i call|i have a question|(?:a |one )?question|i have something) (?:about|on|regarding|concerning) "
    r"|(?:about|regarding|concerning|what is|what about|how about|i have) )?"
    r"(?:(?:my|the|a|an|your|our|this|that|some) )?([a-z]{3,}) ?(?:please|thanks)?$"
)
PLAIN = 0.9
"""From this probability on one word of what an article answers is question enough ("warranty")."""
WORTH_NAMING = 0.04
"""A second meaning less likely than this is not offered."""
UPSET = -0.5
"""Sentiment at or below which one word may mean a concern."""
CALM = -0.25
"""Sentiment above which one word that could be a concern ("charge") is not taken for one."""


def is_bare(text: str) -> bool:
    """Whether the words only name one thing.

    >>> is_bare("it's about my account"), is_bare("cancel my account")
    (True, False)
    """
    found = _BARE.match(" ".join(words_of(text)))
    return found is not None and content_words(found.group(1)) == 1


class Bare:
    """Drafts the question that a bare noun needs. Stateless."""

    def __init__(self, rules: Rules, steering: Steering, phrases: Phrases, intents: IntentCatalog) -> None:
        self._rules = rules
        self._phrases = phrases
        self._steering = steering
        self._intents = intents

    def clarified(self, state: ConversationState, reading: Reading, text: str) -> Draft | None:
        """The question; None where the words say enough, or it was put before."""
        want = reading.first
        rule = self._rules.rule(want.intent)
        if rule is None or not self._intents.is_content(want.intent):
            return None
        if not is_bare(text) or len(reading.wants) > 1:
            return None
        if not self._too_little(rule, want, reading):
            return None
        calm = reading.scores.sentiment > UPSET
        likely = [one for one in reading.guesses if self._may_be_meant(one, want, calm=calm)][:2]
        if not likely:
            return None
        key = f"bare:{'|'.join(sorted(one.intent for one in likely))}"
        if key in state.clarified:
            return None
        return self._ask(state, likely, key, text)

    def _too_little(self, rule: IntentRule, want: Want, reading: Reading) -> bool:
        """Whether one word is not enough for what it would lead to."""
        if rule.tier > 2 and want.confidence >= self._rules.sure(want.intent):
            return rule.concern is not None and reading.scores.sentiment > CALM
        return rule.reads is Reads.PERSON or rule.act is not None or want.confidence < PLAIN

    def _may_be_meant(self, guess: Guess, want: Want, *, calm: bool) -> bool:
        """Whether it is named to the caller. An unsure concern is not put into the mouth of a calm one."""
        rule = self._rules.rule(guess.intent)
        if rule is None or not self._intents.is_content(guess.intent):
            return False
        unsure = guess.probability < self._rules.sure(guess.intent)
        if rule.concern is not None and unsure and calm:
            return False
        return guess.intent == want.intent or guess.probability >= WORTH_NAMING

    def _ask(self, state: ConversationState, likely: list[Guess], key: str, text: str) -> Draft:
        state = state.model_copy(update={"clarified": (*state.clarified, key)})
        wants = [Want(intent=one.intent, confidence=one.probability, text=text) for one in likely]
        means = [self._intents.means(one.intent) for one in likely]
        options = [
            Option(named=named, want=want.model_copy(update={"confidence": 1.0, "text": f"{text} ({named})"}))
            for want, named in zip(wants, means, strict=True)
        ]
        if len(options) > 1:
            line = did_you_mean(self._phrases, means[0], means[1], state.history)
            asked = Asked(kind=AskedKind.CHOICE, want=wants[0], options=tuple(options))
            question = Question((line,), asked)
        else:
            line = Line("ask.confirm", slots={"means": means[0]}, question=True)
            question = Question((line,), Asked(kind=AskedKind.CONFIRM, want=options[0].want), YES_NO)
        return self._steering.say(
            state,
            wants[0].intent,
            f"{wants[0].intent}/bare",
            (),
            question,
            action=Action.CLARIFY,
            reasons=("a thing was named, and nothing said of it",),
            confidences=Confidences(classification=round(wants[0].confidence, 4)),
        )
