"""Is the caller's turn over? Pure: facts in, a decision out.

Three witnesses are heard together, none is believed alone: smart-turn (does it *sound* finished), the words
so far (``completeness``), and what was just asked, which can prove that an answer is whole ("yes"; six digits
of six) or that it is not (four of six: people pause between groups). Silence is the measure they are weighed
in: without any witness a turn ends after ``silence_alone``, and each witness multiplies that by a factor. So
every witness moves the wait in one direction only, whatever the others say, and the whole decision can be
read off two small tables.

The numbers are fitted: see ``EndpointRules``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from voicebot.audio.hearing.completeness import Completeness, completeness
from voicebot.core.conversation import FREE, Expects


def _worth() -> Mapping[Completeness, float]:
    return {
        Completeness.ANSWERED: 0.32,
        Completeness.COUNTED: 0.32,
        Completeness.AGREED: 0.78,
        Completeness.WHOLE: 0.48,
        Completeness.UNCLEAR: 0.55,
        Completeness.OPENING: 1.18,
        Completeness.OVER: 0.32,
        Completeness.NOTHING: 1.2,
        Completeness.LEANING: 3.25,
        Completeness.RUNNING: 0.86,
        Completeness.OPEN: 3.61,
        Completeness.MISSING: 2.5,
    }


@dataclass(frozen=True)
class EndpointRules:
    """How much silence, in ms since the last voiced window, ends a turn.

    All but ``shortest``, ``verdict_deadline`` and ``longest_turn`` are what ``python -m
    scripts.fit_endpointing DIR/facts.jsonl`` gives on the turns that ``scripts/make_turn_corpus.py`` makes
    (632 synthetic ones, 60 numbers by people); ``--check`` compares. Held-out scores: ``docs/benchmarks.md``.

    Attributes:
        silence_alone: without any witness.
        sounds: (least probability of smart-turn, factor), the most finished first; the last bound is 0.
        worth: factor of the words' class.
        shortest: bound from below, whatever the witnesses say: the pauses that synthetic voices make at
            commas reach 290 ms (107 recorded lines).
        longest: bound from above, but for missing digits.
        digits_open: at least this while digits are missing: callers pause between groups.
        held: at least this while smart-turn says less than ``held_below`` and the words answer no question.
            By hand, like how far smart-turn is believed at all (``scripts/turn_corpus/fitting.py``): the
            pauses of synthetic voices carry little of what it hears in people.
        not_understood: at least this while the dialogue, which plans ahead, makes nothing of the words and
            they do not answer a question: half a sentence means nothing yet. By hand: longer than the pauses
            of 600 ms inside sentences that the bench makes; who is asked again anyway loses half a second.
        likely_below: a turn whose wait in all is at most this probably ends here.
        verdict_deadline: how long after asking a verdict is waited for (clock, not silence).
        longest_turn: ms from the start after which a turn is ended in any case.
    """

    silence_alone: int = 800
    sounds: tuple[tuple[float, float], ...] = (
        (0.9, 0.52),
        (0.5, 0.62),
        (0.2, 0.74),
        (0.05, 0.9),
        (0.0, 1.12),
    )
    worth: Mapping[Completeness, float] = field(default_factory=_worth)
    shortest: int = 280
    longest: int = 1530
    digits_open: int = 1750
    held: int = 640
    held_below: float = 0.2
    not_understood: int = 960
    likely_below: int = 480
    verdict_deadline: int = 400
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
        understood: whether the dialogue, planning ahead, made something of these very words; None: not known.
    """

    silence_ms: int
    turn_ms: int
    words: str | None = None
    words_current: bool = False
    complete: float | None = None
    verdict_due: bool = False
    words_due: bool = False
    expects: Expects = FREE
    understood: bool | None = None


@dataclass(frozen=True)
class EndpointDecision:
    """``wait_ms`` of further silence are due before the turn is over (0: it is).

    ``why`` names what decided, for logs; ``likely`` is whether this pause is probably the end.
    """

    wait_ms: int
    why: str
    likely: bool = False

    @property
    def over(self) -> bool:
        """Whether the turn is over now."""
        return self.wait_ms <= 0


LONGEST_TURN = "longest_turn"
"""Why a turn is over whose caller has not paused."""


def decide(facts: EndpointFacts, rules: EndpointRules = DEFAULT_RULES) -> EndpointDecision:
    """Weighs the facts, in 10-20 us. Call it at every window of silence and whenever a fact changes."""
    if facts.turn_ms >= rules.longest_turn:
        return EndpointDecision(0, LONGEST_TURN, likely=True)
    known = facts.words is not None and facts.words_current
    words = completeness(facts.words or "", facts.expects) if known else None
    sound = _bin(facts.complete, rules)
    needed = _needed(words, sound, rules)
    reason = _why(words, sound)
    if facts.understood is False and words not in _ANSWERS and needed < rules.not_understood:
        needed, reason = rules.not_understood, f"{reason}, not understood"
    likely = needed <= rules.likely_below
    if words is None and facts.words_due and facts.expects.kind == "digits":
        # Digits come in groups, so sound alone does not end them while they are being counted.
        needed = max(needed, facts.silence_ms + 1)
    if facts.verdict_due and facts.complete is None:
        # The witness is on its way: do not end before it spoke, but do not promise more either.
        needed = max(needed, facts.silence_ms + 1)
    return EndpointDecision(max(0, needed - facts.silence_ms), reason, likely)


_ANSWERS = frozenset({Completeness.ANSWERED, Completeness.COUNTED, Completeness.AGREED, Completeness.OVER})


def silence_needed(
    words: Completeness | None, complete: float | None, rules: EndpointRules = DEFAULT_RULES
) -> int:
    """Silence in all, ms, that ends a turn with these words and this sound (None: not known)."""
    return _needed(words, _bin(complete, rules), rules)


def _needed(words: Completeness | None, sound: int | None, rules: EndpointRules) -> int:
    factor = 1.0 if sound is None else rules.sounds[sound][1]
    if words is not None:
        factor *= rules.worth[words]
    needed = round(min(max(rules.silence_alone * factor, rules.shortest), rules.longest))
    if sound is not None and words not in _ANSWERS and rules.sounds[sound][0] < rules.held_below:
        needed = max(needed, rules.held)
    return max(needed, rules.digits_open) if words is Completeness.MISSING else needed


def _bin(complete: float | None, rules: EndpointRules) -> int | None:
    """Index into ``rules.sounds``; None without a verdict."""
    if complete is None:
        return None
    for index, (least, _) in enumerate(rules.sounds):
        if complete >= least:
            return index
    return len(rules.sounds) - 1


_SOUNDS = ("finished", "nearly finished", "unsure", "unfinished", "far from finished")
_REASONS = {(words, n): f"{words}, {sound}" for words in Completeness for n, sound in enumerate(_SOUNDS)}


def _why(words: Completeness | None, sound: int | None) -> str:
    """The witnesses' classes, e.g. ``whole, unsure``; nothing of what was said."""
    if words is not None and sound is not None:
        return _REASONS[words, min(sound, len(_SOUNDS) - 1)]
    heard = "no verdict" if sound is None else _SOUNDS[min(sound, len(_SOUNDS) - 1)]
    return f"{'no words' if words is None else words}, {heard}"
