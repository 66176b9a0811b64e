"""Is the caller's turn over? Pure: facts in, a decision out.

Three witnesses are heard together, none is believed alone: smart-turn (does it *sound* finished), the
words so far, and what was just asked, which can prove that an answer is whole ("yes"; six digits of six)
or that it is not (four of six: people pause between groups). Silence is the measure they are weighed in:
the decision is how much of it is needed, and how much of that is still due.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from voicebot.audio.hearing.spoken_digits import count_digits
from voicebot.core.conversation import FREE, Expects


@dataclass(frozen=True)
class EndpointRules:
    """Silence, in ms since the last voiced window, that ends a turn in each case.

    Attributes:
        sounds_finished: smart-turn says complete.
        sounds_unsure: it leans to incomplete.
        sounds_unfinished: it says incomplete, and the words do not speak against it; also the bound for
            everything but digits.
        words_finished: it says incomplete, but there are words and the last can end a sentence.
        silence_alone: no verdict is to be had.
        proven: the words prove the answer whole (digits, yes or no).
        doubted: they do, but it sounds unfinished: a recogniser that heard one digit too many proves too
            early, and "yes" may go on with "but".
        nearly: the words are whole, but a word like "and" or "my" stands last.
        digits_open: digits are still missing.
        digits_lost: one digit is missing but it sounds finished: rather misheard than unsaid.
        no_words: sound without words so far, and it sounds finished.
        verdict_deadline: how long after asking a verdict is waited for (clock, not silence).
        complete: probability from which smart-turn says complete; ``unsure`` the same for unsure.
        longest_turn: ms from the start after which a turn is ended in any case.
    """

    sounds_finished: int = 280
    sounds_unsure: int = 900
    sounds_unfinished: int = 1600
    words_finished: int = 1200
    silence_alone: int = 800
    proven: int = 280
    doubted: int = 700
    nearly: int = 900
    digits_open: int = 2500
    digits_lost: int = 1200
    no_words: int = 500
    verdict_deadline: int = 400
    complete: float = 0.5
    unsure: float = 0.2
    longest_turn: int = 30_000


DEFAULT_RULES = EndpointRules()


@dataclass(frozen=True)
class EndpointFacts:
    """What is known in this moment of the turn.

    Attributes:
        silence_ms: since the last voiced window.
        turn_ms: since the turn began.
        words: the words so far; None while none were decoded yet ("" = decoded, nothing in it).
        words_current: whether they cover everything voiced so far.
        complete: smart-turn's probability for this pause; None without a verdict.
        verdict_due: a verdict was asked for and its deadline has not passed.
        words_due: words for this pause were asked for and their deadline has not passed.
        expects: what was just asked.
    """

    silence_ms: int
    turn_ms: int
    words: str | None = None
    words_current: bool = False
    complete: float | None = None
    verdict_due: bool = False
    words_due: bool = False
    expects: Expects = FREE


@dataclass(frozen=True)
class EndpointDecision:
    """``wait_ms`` of further silence are due before the turn is over (0: it is). ``why`` names the rule."""

    wait_ms: int
    why: str

    @property
    def over(self) -> bool:
        """Whether the turn is over now."""
        return self.wait_ms <= 0


_YES_NO = re.compile(
    r"\b(yes|yeah|yep|yup|sure|right|correct|okay|ok|please do|go ahead|exactly|"
    r"no|nope|nah|wrong|incorrect|don't|do not)\b"
)
# Words that hardly ever end a sentence. Not "is", "for" or "that": "where it is", "what is that for".
_UNFINISHED = re.compile(r"\b(and|or|but|because|if|the|a|an|my|your|to|of|um|uh|erm|er|it's|i'm)$")
_MONTH = r"(january|february|march|april|may|june|july|august|september|october|november|december)"
_DATE = re.compile(
    rf"\b{_MONTH}\b.*\b\w+(st|nd|rd|th|first|second|third)\b|\b\w+(st|nd|rd|th|first|second|third)\b.*\b{_MONTH}\b|"
    r"\b(today|tomorrow|yesterday)\b|\b(mon|tues|wednes|thurs|fri|satur|sun)day\b"
)


def decide(facts: EndpointFacts, rules: EndpointRules = DEFAULT_RULES) -> EndpointDecision:
    """Weighs the facts. Call it at every window of silence and whenever a fact changes."""
    if facts.turn_ms >= rules.longest_turn:
        return EndpointDecision(0, "longest_turn")
    needed, why = _silence_needed(facts, rules)
    if facts.verdict_due and facts.complete is None:
        # The witness is on its way: do not end before it spoke, but do not promise more either.
        needed = max(needed, facts.silence_ms + 1)
    return EndpointDecision(max(0, needed - facts.silence_ms), why)


def _silence_needed(facts: EndpointFacts, rules: EndpointRules) -> tuple[int, str]:
    words = None if facts.words is None else facts.words.lower().strip(" .,!?")
    by_sound = _by_sound(facts, rules)
    if facts.expects.kind == "digits" and facts.expects.length is not None:
        return _digits(words, facts, rules, by_sound)
    if words is None:
        return by_sound
    if facts.expects.kind == "yes_no" and facts.words_current and _YES_NO.search(words):
        return _proven(words, facts, rules)
    if facts.expects.kind == "date" and facts.words_current and _DATE.search(words):
        return _proven(words, facts, rules)
    if not words:
        return max(by_sound, (rules.no_words, "no_words"))
    if _UNFINISHED.search(words):
        return max(by_sound, (rules.nearly, "nearly"))
    return min(by_sound, (rules.words_finished, "words_finished")) if facts.words_current else by_sound


def _proven(words: str, facts: EndpointFacts, rules: EndpointRules) -> tuple[int, str]:
    if facts.complete is not None and facts.complete < rules.complete:
        return rules.doubted, "doubted"
    return (rules.nearly, "nearly") if _UNFINISHED.search(words) else (rules.proven, "proven")


def _by_sound(facts: EndpointFacts, rules: EndpointRules) -> tuple[int, str]:
    p = facts.complete
    if p is None:
        return rules.silence_alone, "silence_alone"
    if p >= rules.complete:
        return rules.sounds_finished, "sounds_finished"
    if p >= rules.unsure:
        return rules.sounds_unsure, "sounds_unsure"
    return rules.sounds_unfinished, "sounds_unfinished"


def _digits(
    words: str | None, facts: EndpointFacts, rules: EndpointRules, by_sound: tuple[int, str]
) -> tuple[int, str]:
    length = facts.expects.length or 0
    count = count_digits(words) if words is not None else 0
    if words is None or (count == 0 and not facts.words_current):
        # Nothing to count yet. Digits come in groups, so sound alone must not cut them.
        return (
            (rules.digits_lost, "digits_unknown")
            if facts.words_due
            else max(by_sound, (rules.silence_alone, "silence_alone"))
        )
    if count == length and facts.words_current:
        return _proven("", facts, rules)
    if count >= length:
        return rules.sounds_unsure, "digits_over"
    if count == 0:
        # "I don't have it with me": not a number at all.
        return max(by_sound, (rules.no_words, "no_words")) if not words else by_sound
    if count == length - 1 and facts.complete is not None and facts.complete >= rules.complete:
        return rules.digits_lost, "digits_lost"
    return rules.digits_open, "digits_open"
