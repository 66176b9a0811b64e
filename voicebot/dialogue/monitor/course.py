"""How a conversation goes, over its turns: mood falling, going round in circles. Pure.

Counted from what was said and resolved, apart from what the model says of its own confidence: a bot that is
sure each time and gives the same answer each time is caught here and nowhere else.

    course = course.heard(reading, utterance.text)      # a turn of the caller
    course = course.said(words, resolved=True)          # the answer to it, when it is closed
    signals(course).loop                                # "none", "same_intent", "same_answer", "rephrasing"
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from voicebot.core.conversation import Strict
from voicebot.dialogue.monitor.classifier import OUT_OF_SCOPE
from voicebot.dialogue.monitor.features import NUMBER, words_of
from voicebot.dialogue.monitor.monitor import Reading

KEPT = 5
"""Turns looked back on."""
FALL = 0.35
"""A drop of sentiment (of a scale from -1 to 1) over two or three turns that counts as falling."""
LOW = -0.15
"""The mood must end below this: from delighted to content is no reason for worry."""
ALIKE = 0.5
"""Share of the words two sentences have in common from which one is the other in other words."""
SAME = 0.9
"""The same for the bot's own answers, which are composed and so repeat almost word for word."""
LOOPS_AT = 2
"""A circle is told from the second time round (the third turn with the same want, the second same answer)."""
REPEAT = "repeat"
STEERING = frozenset({
    "yes", "no", "thanks", "greeting", "wait", "goodbye", "repeat", "chitchat", "no_reference", "help",
    "question", "person",
})  # fmt: skip
_PLAIN = frozenset({
    "a", "an", "the", "this", "that", "there", "here", "i", "you", "he", "she", "it", "we", "they",
    "my", "your", "our", "me", "us", "is", "are", "was", "were", "be", "been", "am", "do", "does",
    "did", "have", "has", "had", "to", "of", "in", "on", "at", "for", "with", "and", "or", "but", "so",
    "please", "can", "could", "will", "would", "just", "not", "what", "when", "where", "how", "which",
    "who", "yes", "no", "okay", "hi", "hello", "um", "uh", "s",
})  # fmt: skip
"""Words that two different questions may share."""

Loop = Literal["none", "same_intent", "same_answer", "rephrasing"]


class Course(Strict):
    """What is remembered of the last turns, part of a conversation's state; holds words only as bags.

    ``same_intent``, ``rephrasings``, ``repeated_answers`` count in a row and start again with progress.
    """

    sentiments: tuple[float, ...] = ()
    intents: tuple[str, ...] = ()
    last_words: tuple[str, ...] = ()
    """Words of the caller's last want that mean something, sorted."""
    last_answer: tuple[str, ...] = ()
    """The words of the bot's last answer, sorted."""
    same_intent: int = Field(default=0, ge=0)
    rephrasings: int = Field(default=0, ge=0)
    repeated_answers: int = Field(default=0, ge=0)
    unresolved: int = Field(default=0, ge=0)
    """Answers in a row that resolved nothing."""
    asked_again: bool = False
    """The caller asked to hear the last answer once more: saying it again is no circle."""

    def heard(self, reading: Reading, text: str) -> Course:
        """The course after a turn of the caller. Yes, no, thanks and the like leave the counters alone.

        Another want in other words leaves the circle, though the same answer may come to it.
        """
        intent = reading.first.intent
        moods = (*self.sentiments, reading.scores.sentiment)[-KEPT:]
        if intent in STEERING:
            return self.model_copy(update={"sentiments": moods, "asked_again": intent == REPEAT})
        words = _meaningful(text)
        open_ = self.unresolved > 0
        last = self.intents[-1] if self.intents else ""
        same = open_ and intent == last and intent != OUT_OF_SCOPE
        again = open_ and _alike(words, self.last_words) >= ALIKE
        new = bool(last) and intent != last and _alike(words, self.last_words) < ALIKE
        return self.model_copy(
            update={
                "sentiments": moods,
                "asked_again": False,
                "intents": (*self.intents, intent)[-KEPT:],
                "last_words": words or self.last_words,
                "same_intent": self.same_intent + 1 if same else 0,
                "rephrasings": self.rephrasings + 1 if again else 0,
                "repeated_answers": 0 if new else self.repeated_answers,
            }
        )

    def said(self, text: str, resolved: bool) -> Course:
        """The course after the bot's answer. ``resolved``: the caller's want was answered, done or handed on.

        Progress starts the counters again, but the same words twice are no progress, whoever thinks so.
        """
        if self.asked_again:
            return self.model_copy(update={"asked_again": False})
        words = tuple(sorted(words_of(text)))
        repeated = self.repeats(text)
        if resolved and not repeated:
            return self.model_copy(
                update={
                    "last_answer": words,
                    "repeated_answers": 0,
                    "unresolved": 0,
                    "same_intent": 0,
                    "rephrasings": 0,
                }
            )
        return self.model_copy(
            update={
                "last_answer": words or self.last_answer,
                "repeated_answers": self.repeated_answers + 1 if repeated else 0,
                "unresolved": self.unresolved + 1,
            }
        )

    def repeats(self, text: str) -> bool:
        """Whether the bot's words are (almost) those of its last answer."""
        words = tuple(sorted(words_of(text)))
        return bool(words) and _alike(words, self.last_answer) >= SAME


class CourseSignals(Strict):
    """What the course says. ``loops``: how often the circle was gone round, 0 without one."""

    sentiment_falling: bool
    loop: Loop
    loops: int


def signals(course: Course) -> CourseSignals:
    """The strongest sign of a circle: the bot's own repetition before the caller's."""
    counts: tuple[tuple[Loop, int], ...] = (
        ("same_answer", course.repeated_answers + 1 if course.repeated_answers else 0),
        ("rephrasing", course.rephrasings + 1 if course.rephrasings else 0),
        ("same_intent", course.same_intent),
    )
    for loop, loops in counts:
        if loops >= LOOPS_AT:
            return CourseSignals(sentiment_falling=falling(course.sentiments), loop=loop, loops=loops)
    return CourseSignals(sentiment_falling=falling(course.sentiments), loop="none", loops=0)


def falling(sentiments: tuple[float, ...]) -> bool:
    """Whether the mood went down over the last two or three turns, and is low now.

    >>> falling((0.2, 0.0, -0.4)), falling((0.9, 0.5)), falling((-0.5, -0.5))
    (True, False, False)
    """
    recent = sentiments[-3:]
    if len(recent) < 2 or recent[-1] > LOW:
        return False
    return recent[-1] < recent[-2] and max(recent[:-1]) - recent[-1] >= FALL


def _meaningful(text: str) -> tuple[str, ...]:
    return tuple(sorted({word for word in words_of(text) if word not in _PLAIN and word != NUMBER}))


def _alike(one: tuple[str, ...], other: tuple[str, ...]) -> float:
    """Share of common words (Jaccard), 0 when either is empty."""
    a, b = set(one), set(other)
    return len(a & b) / len(a | b) if a and b else 0.0
