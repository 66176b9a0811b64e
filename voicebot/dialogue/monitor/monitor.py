"""What a turn of the caller says: intent and how sure, further wants, how it sounds, yes or no. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

from voicebot.core.conversation import IntentScore, MonitorScores, Strict, Utterance
from voicebot.dialogue.intents import DISTRESS
from voicebot.dialogue.monitor.classifier import OUT_OF_SCOPE, Guess, IntentClassifier
from voicebot.dialogue.monitor.features import words_of
from voicebot.dialogue.spotting import SURENESS, Spotter

ALTERNATIVE_DISCOUNT = 0.95
"""A reading of the recogniser's second choice counts this much of its probability."""
GUESSES = 3
MAX_PARTS = 12
"""A sentence that falls into more parts than a caller can mean is read as a whole."""
_JOINTS = re.compile(r"[.;?!]+|,?\s+(?:and also|and then|and|also|plus|but|then)\s+|,\s+", re.IGNORECASE)
_YES = frozenset(
    [
        "yes",
        "yeah",
        "yep",
        "yup",
        "sure",
        "okay",
        "ok",
        "alright",
        "right",
        "correct",
        "exactly",
        "absolutely",
        "definitely",
        "certainly",
        "please",
        "fine",
    ]
)
_NO = frozenset(["no", "nope", "nah", "wrong", "incorrect", "not", "dont", "never"])


class Want(Strict):
    """Something the caller wants: intent, how sure (0..1), and the words it was heard in."""

    intent: str
    confidence: float
    text: str


class Reading(Strict):
    """One utterance read. ``wants`` is never empty; the first is taken up, the others are kept."""

    wants: tuple[Want, ...]
    guesses: tuple[Guess, ...]
    """The likeliest intents of the whole utterance, for the record."""
    scores: MonitorScores = MonitorScores()
    known: bool = True
    """Some word of it is a word of the language, and not only letters."""

    @property
    def first(self) -> Want:
        """The want to take up."""
        return self.wants[0]


class Monitor:
    """Reads utterances. Stateless; shared by all conversations of a node.

    Args:
        classifier: trained for the deployment's intents.
        is_content: whether an intent is a question of its own.
        priority: an intent's place when several are wanted at once; higher comes first.
        sure: a part of a sentence counts as a want of its own from this probability on.
        spotter: knows the intents that the classifier was not trained on.
    """

    def __init__(
        self,
        classifier: IntentClassifier,
        *,
        is_content: Callable[[str], bool],
        priority: Callable[[str], int],
        sure: float,
        spotter: Spotter | None = None,
    ) -> None:
        self._classifier = classifier
        self._is_content = is_content
        self._priority = priority
        self._sure = sure
        self._spotter = spotter or Spotter({})
        self.version = classifier.version
        """Names the weights that read: stored with every turn."""

    def read(self, utterance: Utterance) -> Reading:
        """What the caller wants. Looks at the recogniser's alternatives when its first choice is unclear.

        Who is in distress wants nothing else: that want comes first, alone, and from a lower probability
        on than any other (`ModelCard.distress_at`).
        """
        verdict = self._classifier.verdict(utterance.text)
        spotted = self._spotted(utterance.text)
        guesses = (*spotted, *verdict.guesses)
        scores = MonitorScores(
            category=verdict.category,
            guesses=tuple(
                IntentScore(intent=guess.intent, probability=guess.probability) for guess in guesses[:GUESSES]
            ),
            urgency=verdict.urgency,
            sentiment=verdict.sentiment,
            distress=verdict.distress,
            out_of_scope=verdict.out_of_scope,
        )
        if verdict.distress >= self._classifier.card.distress_at:
            wants = (Want(intent=DISTRESS, confidence=verdict.distress, text=utterance.text),)
            return Reading(wants=wants, guesses=guesses[:GUESSES], scores=scores)
        text, best = self._best(utterance, guesses[0])
        parts = self._parts(text)
        whole = Want(intent=best.intent, confidence=best.probability, text=text)
        return Reading(
            wants=parts if len(parts) > 1 else (whole,),
            guesses=guesses[:GUESSES],
            scores=scores,
            known=self._classifier.knows(text),
        )

    def _spotted(self, text: str) -> tuple[Guess, ...]:
        intent = self._spotter.spot(text)
        return () if intent is None else (Guess(intent=intent, probability=SURENESS),)

    def _best(self, utterance: Utterance, best: Guess) -> tuple[str, Guess]:
        """The reading to go by: of the first choice, or of an alternative that makes more sense."""
        text = utterance.text
        if best.probability >= self._sure and best.intent != OUT_OF_SCOPE:
            return text, best
        for alternative in utterance.alternatives:
            other = self._classifier.guesses(alternative)[0]
            discounted = other.probability * ALTERNATIVE_DISCOUNT
            better = discounted >= (self._sure if best.intent == OUT_OF_SCOPE else best.probability)
            if better and other.intent != OUT_OF_SCOPE:
                text, best = alternative, Guess(intent=other.intent, probability=discounted)
        return text, best

    def _parts(self, text: str) -> tuple[Want, ...]:
        """The wants of a sentence that has several parts, the most important first; else none."""
        wants: dict[str, Want] = {}
        parts = [part for part in _JOINTS.split(text) if len(part.split()) >= 3]
        if not 1 < len(parts) <= MAX_PARTS:
            return ()
        for part in parts:
            guess = next(iter(self._spotted(part)), None) or self._classifier.guesses(part)[0]
            important = self._is_content(guess.intent) or guess.intent == "person"
            if important and guess.probability >= self._sure and guess.intent not in wants:
                want = Want(intent=guess.intent, confidence=guess.probability, text=part.strip())
                wants[guess.intent] = want
        return tuple(sorted(wants.values(), key=lambda want: -self._priority(want.intent)))


def yes_or_no(text: str) -> bool | None:
    """An answer to a yes/no question: True, False, or None when it is neither or both.

    >>> yes_or_no("yeah sure"), yes_or_no("no thanks"), yes_or_no("yes no wait")
    (True, False, None)
    """
    words = words_of(text)
    if not words or len(words) > 6:
        return None
    yes = any(word in _YES for word in words)
    no = any(word in _NO for word in words)
    if no and (not yes or words[0] in _NO):
        return False
    return True if yes and not no else None
