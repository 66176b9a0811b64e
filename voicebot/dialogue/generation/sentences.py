"""Which sentences of the passages answer a question. Pure, English, no model.

Each sentence is scored by three witnesses: how much of the question's weight its words cover (rare words
weigh more, a few everyday synonyms count), whether it holds the kind of thing that was asked for (an
amount for "how much", days for "how long"), and how well its passage fits. The best one is said; a
sentence that leans on the one before it ("it", "they", "after that") brings that one along; a second one
only comes with it when it answers a part that the first left open, or when the question is so broad that
nothing tells them apart.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from voicebot.dialogue.generation.asked_for import asked_for
from voicebot.dialogue.generation.wording import matching, terms_of
from voicebot.dialogue.knowledge.passage import Passage
from voicebot.dialogue.monitor.features import words_of

KIND_WEIGHT = 0.45
"""What the right kind of thing counts beside full coverage of the words (1.0)."""
HEADING_WEIGHT = 0.5
"""What a word counts that stands in the heading only."""
PASSAGE_WEIGHT = 1.0
"""What the best passage counts against one with no grounding at all."""
CLEARLY = 0.12
"""So much better than its neighbour, a sentence stands alone."""
OPEN_SHARE = 0.2
"""A neighbour that covers so much of what the best sentence left open comes with it."""
WRONG_KIND = 0.15
"""A sentence of another kind than was asked for loses this much."""
# The three weights and the margin: `scripts/bench/sentences.py`, on its questions that are not held out.

_SENTENCE = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]?[A-Z0-9$€£{])")
_ANAPHOR = re.compile(
    r"^(?:it|they|them|its|their|that|this|these|those|he|she|each|both|all of (?:it|them)|there|so|also|"
    r"then|for (?:that|this|more than)|after (?:that|this)|before (?:that|this)|until then|from then|"
    r"in that case|otherwise|if (?:it|they|not|nothing|nobody|it's)|the (?:second|other|rest)|"
    r"what is left|together)\b",
    re.IGNORECASE,
)
_COMPLETE_THERE = re.compile(r"^there(?:'s| is| are| isn't| aren't| may| was| were)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a passage: ``passage`` and ``at`` are positions, ``score`` how well it answers."""

    text: str
    passage: int
    at: int
    score: float = 0.0
    covered: frozenset[str] = frozenset()


def sentences_of(text: str) -> tuple[str, ...]:
    """The sentences of a text.

    >>> sentences_of("It costs $12.50. Mail us at any time.")
    ('It costs $12.50.', 'Mail us at any time.')
    """
    return tuple(piece.strip() for piece in _SENTENCE.split(" ".join(text.split())) if piece.strip())


def leans(sentence: str) -> bool:
    """Whether a sentence can only be understood after the one before it.

    >>> leans("They never expire.")
    True
    >>> leans("There is no minimum order.")
    False
    """
    return _ANAPHOR.match(sentence) is not None and _COMPLETE_THERE.match(sentence) is None


def choose(
    question: str, passages: Sequence[Passage], limit: int, said: Iterable[str] = ()
) -> tuple[Sentence, ...]:
    """The sentences to say, at most ``limit``, in the order in which they are said.

    Args:
        question: the caller's words.
        passages: best first.
        limit: most sentences.
        said: sentences that the caller has heard already and that are not said again.
    """
    scored = _scored(question, passages)
    heard = {_key(text) for text in said}
    left = [one for one in scored if _key(one.text) not in heard]
    if not left or limit < 1:
        return ()
    best = max(left, key=lambda one: (one.score, -one.passage, -one.at))
    chosen = _with_lead(best, left, limit)
    for other in _seconds(question, best, left):
        fresh = [one for one in _with_lead(other, left, limit) if one not in chosen]
        if len(chosen) + len(fresh) <= limit:
            chosen += fresh
    return tuple(sorted(chosen, key=lambda one: (one.passage != best.passage, one.passage, one.at)))


def onward(
    question: str, passages: Sequence[Passage], limit: int, said: Iterable[str]
) -> tuple[Sentence, ...]:
    """What comes next when the caller wants to hear more: in the order in which it is written, best
    passage first.
    """
    heard = {_key(text) for text in said}
    left = [one for one in _scored(question, passages) if _key(one.text) not in heard]
    return tuple(left[:limit])


def _scored(question: str, passages: Sequence[Passage]) -> list[Sentence]:
    plain = [
        Sentence(text, nth, at)
        for nth, passage in enumerate(passages)
        for at, text in enumerate(sentences_of(passage.body))
    ]
    terms, asked = terms_of(question), asked_for(question)
    holds = [matching(terms, one.text) for one in plain]
    headings = [matching(terms, one.heading) for one in passages]
    weights = _weights(
        terms, [found | headings[one.passage] for one, found in zip(plain, holds, strict=True)]
    )
    total = sum(weights.values()) or 1.0
    best_grounding = max((passage.grounding for passage in passages), default=0.0) or 1.0
    scored: list[Sentence] = []
    for one, found in zip(plain, holds, strict=True):
        passage = passages[one.passage]
        headed = headings[one.passage] - found
        coverage = sum(weights[term] for term in found) / total
        coverage += HEADING_WEIGHT * sum(weights[term] for term in headed) / total
        kind = 0.0
        if asked:
            kind = KIND_WEIGHT if any(holding.search(one.text) for holding in asked) else -WRONG_KIND
        score = coverage + kind + PASSAGE_WEIGHT * passage.grounding / best_grounding
        scored.append(Sentence(one.text, one.passage, one.at, round(score, 4), frozenset(found)))
    return scored


def _with_lead(one: Sentence, among: Sequence[Sentence], limit: int) -> list[Sentence]:
    """A sentence with the one before it, if it leans on that and there is room."""
    if limit < 2 or not leans(one.text):
        return [one]
    before = [other for other in among if other.passage == one.passage and other.at == one.at - 1]
    return [*before, one]


def _seconds(question: str, best: Sentence, among: Sequence[Sentence]) -> list[Sentence]:
    """Sentences worth saying with the best one, best first."""
    terms, asked, two_part = terms_of(question), asked_for(question), " and " in question
    open_terms = set(terms) - best.covered
    open_kinds = [holding for holding in asked if not holding.search(best.text)]
    worth: list[Sentence] = []
    for other in sorted(among, key=lambda one: -one.score):
        if other == best:
            continue
        near = other.passage == best.passage and abs(other.at - best.at) == 1
        new_terms = other.covered & open_terms
        opens = any(holding.search(other.text) for holding in open_kinds)
        adds = (opens and bool(new_terms or (two_part and other.covered))) or (
            near and _share(new_terms, terms, among) >= OPEN_SHARE
        )
        alike = near and best.score - other.score < CLEARLY
        if adds or alike:
            worth.append(other)
    return worth


def _share(some: Iterable[str], terms: Sequence[str], among: Sequence[Sentence]) -> float:
    """The part of the question's weight that some of its words hold."""
    weights = _weights(terms, [set(one.covered) for one in among])
    return sum(weights[term] for term in some) / (sum(weights.values()) or 1.0)


def _weights(terms: Iterable[str], holds: Sequence[set[str]]) -> dict[str, float]:
    """Words that stand in few of the sentences tell them apart; those that stand in none tell nothing."""
    count = len(holds)
    having = {term: sum(term in found for found in holds) for term in terms}
    return {term: math.log((count + 1) / (n + 0.5)) + 0.1 for term, n in having.items() if n}


def _key(text: str) -> str:
    return " ".join(words_of(text))
