"""Which of the passages found may back an answer, and what they lack for one. Pure, English, no model.

    backing = back("how much is the oslo sofa", found.passages)
    backing.passages, backing.grounding     # what may be quoted, and how well that answers
    backing.lack                            # OtherThing("linen sofa", ...): ask, do not answer

Policy judges the first passage. Another one may only be quoted in its place if it stands in the same
article, or is on the caller's intent, fits well enough by itself and holds as much of what the question is
about: so nothing is told of a sofa to somebody who asked about a mattress. Two things may be missing, and
then there is no answer, however well the words fit:

- a *fact* that is asked for outright (a price, a size, a weight) and stands in none of the passages;
- the *thing* it is asked of: a passage about "the linen sofa" says nothing of an oslo sofa.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from voicebot.dialogue.generation.asked_for import Fact, facts_of
from voicebot.dialogue.generation.sentences import choose, sentences_of
from voicebot.dialogue.generation.wording import is_stop, matching, stem, terms_of
from voicebot.dialogue.knowledge.passage import Passage
from voicebot.dialogue.monitor.features import words_of

FLOOR = 0.45
"""Grounding below which a passage is not quoted in place of the first one: `retriever.FLOOR`."""
NEAR = 0.1
"""Where the question's words tell nothing, a passage so near to the first one may be quoted too."""
LACKING = 0.3
"""The most that a backing counts which lacks the fact or the thing: below every threshold."""

WORTH_ASKING = 0.25
"""Grounding from which a passage is a reading of the question at all."""
_BEGINNING = 4
"""Letters from which a word's beginning says enough."""
_KIND_WORDS = frozenset(
    terms_of(
        "cost price fee charge expensive cheap dollar money size dimension measurement long wide high tall"
        " deep big large heavy width height length weight depth color inch feet pound day week month hour"
        " minute number"
    )
)
"""What a fact is called says nothing of the thing it is asked of."""
_GENERAL_LINES = (
    "new old used small little large big medium normal regular standard usual typical average single double",
    "whole full complete total other same different own good nice great cheap cheapest expensive best lovely",
    "simple basic second first third next last kind type sort model item piece set pair couple version brand",
    "today current actual real exact service store shop online yours entire max maximum minimum rough heavy",
)
_GENERAL = frozenset(stem(word) for line in _GENERAL_LINES for word in line.split())
"""Words before a thing that do not say which one it is."""
_SUBJECT = re.compile(
    r"^(?:The|Our|A|An) ((?:[\w-]+ ){1,3}?)(?:is|are|has|have|costs?|comes?|weighs?|measures?|seats?|holds?|"
    r"carr(?:y|ies)|stands?|can|takes?)\b"
)
_THING = re.compile(
    r"\b(?:how much (?:is|are|was|were|for|s|would|does|do|will)|what (?:does|do|would|will)|"
    r"(?:price|cost|size|width|height|weight|depth|length|dimensions|measurements|address) (?:of|for)|"
    r"(?:when|what time|how late|how (?:wide|tall|high|deep|big|large|heavy|long)) (?:is|are|do|does))"
    r" (?:be )?(?:(?:the|a|an|your|this|that|these|those|some) )?(?P<thing>(?:[\w-]+ ?){1,6})"
)
_NAME = re.compile(r"(?<=[a-z,:] )[A-Z][a-z]+")
_ENDS_LINES = (
    "in on with for to at and or from by of cost costs come comes go goes weigh weighs measure be have has",
    "open opens close closes closed shut shuts",
    "please now today then when if that which you i we it exactly roughly there here these days per",
)
_ENDS = frozenset(word for line in _ENDS_LINES for word in line.split())


@dataclass(frozen=True, slots=True)
class NoFact:
    """What is asked for stands in none of the passages. ``fact``: how it is called ("a price")."""

    fact: str


@dataclass(frozen=True, slots=True)
class OtherThing:
    """The passages are about another thing of that kind.

    ``thing``: that one, without an article ("linen sofa"). ``question``: the caller's words with it in place
    of what was asked about. ``passage``: where it stands.
    """

    thing: str
    question: str
    passage: Passage


Lack = NoFact | OtherThing


@dataclass(frozen=True, slots=True)
class Backing:
    """What an answer may be taken from. ``grounding``: of the passage that is quoted first, 0 without any.

    ``whole``: it holds what was asked for, not only something of the matter.
    """

    passages: tuple[Passage, ...]
    grounding: float
    lack: Lack | None = None
    whole: bool = True


def back(question: str, passages: Sequence[Passage], *, meant: bool = False) -> Backing:
    """What of the passages may back an answer.

    Args:
        question: the caller's words.
        passages: best first.
        meant: the caller has chosen their article, so it is about the right thing.
    """
    if not passages or (passages[0].grounding < FLOOR and not meant):
        return Backing(tuple(passages), passages[0].grounding if passages else 0.0)
    facts = facts_of(question)
    eligible = tuple(passages) if meant else _eligible(question, facts, passages)
    own = any(fact.own for fact in facts)
    others = (
        {} if meant else {nth: _other_thing(question, one, named=own) for nth, one in enumerate(eligible)}
    )
    strange = {nth: thing for nth, thing in others.items() if thing is not None}
    left = tuple(one for nth, one in enumerate(eligible) if nth not in strange)
    holding = [one for one in left if _holds(facts, one)]
    if strange and (not holding or (0 in strange and _place(strange[0], words_of(question)) is not None)):
        return Backing(
            eligible, min(LACKING, passages[0].grounding), _offer(question, eligible, strange, facts)
        )
    thing = None if meant or not own else _thing(question)
    place = _destination(question) if own and not meant else set[str]()
    there = _there(question, place, passages)
    if there:
        thing, holding = None, [one for one in holding if one in there]
        if not holding and there[0].grounding >= FLOOR:
            return Backing((there[0],), there[0].grounding, whole=False)
    if (facts and not holding) or not _named_in(thing, holding):
        named = [
            one for one in passages if one.grounding >= WORTH_ASKING and one.region == passages[0].region
        ]
        named = [one for one in named if _holds(facts, one) and thing and _named_in(thing, [one])]
        named = [one for one in named if not there or one in there]
        named = [one for one in named if _other_thing(question, one, named=own) is None]
        if named:
            return Backing((named[0],), named[0].grounding)
        return Backing(eligible, min(LACKING, passages[0].grounding), NoFact(facts[0].called))
    cited = _cited(question, left)
    if not _holds(facts, cited):
        left = tuple(holding)
        cited = _cited(question, left)
    return Backing(left, _grounding(cited, passages[0]))


def alike(question: str, passages: Sequence[Passage]) -> tuple[Passage, ...]:
    """Those of the passages between which a question may be asked: they hold what is asked for."""
    facts = facts_of(question)
    left = tuple(one for one in passages if _holds(facts, one))
    return left if len(left) > 1 else ()


def onward_of(question: str, passages: Sequence[Passage]) -> tuple[Passage, ...]:
    """What may be told to who wants to hear more: what backed the answer, and the rest of its article."""
    backing = back(question, passages).passages
    return (*backing, *(one for one in passages if one not in backing and _beside(one, passages[0])))


def _eligible(question: str, facts: Sequence[Fact], passages: Sequence[Passage]) -> tuple[Passage, ...]:
    """The first passage, and those that may be quoted in its place."""
    first, *others = passages
    terms = _telling(question)
    held = matching(terms, _text(first))
    fit = [
        one
        for one in others
        if _beside(one, first)
        or (
            one.grounding >= FLOOR
            and one.region == first.region
            and (one.tagged or not first.tagged or _coverage(one) > _coverage(first))
        )
    ]
    out = [first]
    for one in fit:
        holds = matching(terms, _text(one))
        near = not held and one.grounding >= first.grounding - NEAR
        covers = (holds and holds >= held) or _coverage(one) >= _coverage(first) > 0
        if _beside(one, first) or near or covers:
            out.append(one)
    if facts and not any(_holds(facts, one) for one in out):
        article = [one for one in others if one.source.article == first.source.article]
        plain = [one for one in (*(one for one in fit if one.tagged), *article) if _subject(one) is None]
        out += [one for one in plain if _holds(facts, one)]
    return tuple(dict.fromkeys(out))


def _beside(one: Passage, first: Passage) -> bool:
    """Whether a passage of the first one's article is worth a question, and about no single thing."""
    same = one.source.article == first.source.article
    return same and one.grounding >= WORTH_ASKING and _subject(one) is None


def _cited(question: str, passages: Sequence[Passage]) -> Passage:
    """The passage that is quoted first."""
    said = choose(question, passages, 1)
    return passages[said[0].passage] if said else passages[0]


def _grounding(cited: Passage, first: Passage) -> float:
    """How well the quoted passage answers.

    The search has two things to say of a passage in the first one's article: how well that passage fits, and
    that the article does. Each counts half.
    """
    if cited.source.article != first.source.article:
        return cited.grounding
    return round(max(cited.grounding, (cited.grounding + first.grounding) / 2), 4)


def _coverage(passage: Passage) -> float:
    """How much of the question's weight a passage holds, 0..1; rare words weigh more."""
    return passage.evidence.coverage if passage.evidence is not None else 0.0


def _telling(question: str) -> set[str]:
    """The question's words that say what it is about."""
    return {term for term in terms_of(question) if term not in _KIND_WORDS and not _is_general(term)}


def _is_general(term: str) -> bool:
    return term in _GENERAL or (len(term) > 4 and term.endswith("est"))


def _subject(passage: Passage) -> list[str] | None:
    """The one thing that a passage is about ("linen sofa"), if it is about one."""
    found = (_SUBJECT.match(sentence) for sentence in sentences_of(passage.body))
    words = next((match[1].split() for match in found if match), [])
    return words if len(words) > 1 and not is_stop(words[0].lower()) else None


def _other_thing(question: str, passage: Passage, *, named: bool) -> str | None:
    """The thing that a passage is about, if it is not the one that the question names.

    ``named``: the question asks for something that each thing has its own of, so it must name this one.
    """
    subject = _subject(passage)
    if subject is None:
        return None
    thing, words = " ".join(subject), words_of(question)
    at = _place(thing, words)
    if at is None:
        return thing if named and not any(_alike(term, passage) for term in _telling(question)) else None
    which = {stem(word) for word in _before(words, at)}
    which = {term for term in which if term not in _KIND_WORDS and not _is_general(term)}
    return thing if which - matching(which, _text(passage)) else None


def _place(thing: str, words: Sequence[str]) -> int | None:
    """Where among the words the kind of thing is named (the sofa of a linen sofa)."""
    head = stem(thing.split()[-1].lower())
    return next((at for at in range(len(words) - 1, -1, -1) if matching([head], words[at])), None)


def _before(words: Sequence[str], at: int) -> list[str]:
    """The words before a thing that say which one it is."""
    out: list[str] = []
    for word in reversed(words[max(0, at - 3) : at]):
        if is_stop(word) or word in _ENDS or word == "#":
            break
        out.append(word)
    return out


def _offer(
    question: str, eligible: Sequence[Passage], strange: dict[int, str], facts: Sequence[Fact]
) -> Lack:
    """Whether to ask if another thing is meant: only one of the same kind."""
    words = words_of(question)
    for nth, thing in strange.items():
        at = _place(thing, words)
        if at is not None:
            begins = at - len(_before(words, at))
            instead = " ".join([*words[:begins], thing.lower(), *words[at + 1 :]])
            return OtherThing(thing, instead, eligible[nth])
    return NoFact(facts[0].called if facts else "an answer")


def _thing(question: str) -> str | None:
    """The kind of thing whose own fact is asked for, as a stem: the last word of its name."""
    match = _THING.search(" ".join(words_of(question)))
    if match is None:
        return None
    thing: list[str] = []
    for word in match["thing"].split():
        if word in _ENDS or is_stop(word):
            break
        thing.append(stem(word))
    named = [term for term in thing if term not in _KIND_WORDS and not _is_general(term)]
    return named[-1] if named else None


def _destination(question: str) -> set[str]:
    """Where to, as stems, if it is a place: what something costs there may be another matter."""
    words = words_of(question)
    return {stem(after) for word, after in pairwise(words) if word == "to" and not is_stop(after)}


def _there(question: str, place: set[str], passages: Sequence[Passage]) -> list[Passage]:
    """The passages about that place, in articles that hold more of the question than its name."""
    terms = _telling(question)
    naming = [one for one in passages if _names(place, one)]
    on = {one.source.article for one in naming if len(matching(terms, _text(one))) > len(place)}
    return [one for one in naming if one.source.article in on]


def _names(place: set[str], passage: Passage) -> bool:
    """Whether a passage holds the place as a name: with a capital letter, and not only as a first word."""
    text = f"{passage.source.title}. {passage.heading}. {passage.body}"
    return any(stem(word.lower()) in place for word in _NAME.findall(text))


def _named_in(thing: str | None, passages: Sequence[Passage]) -> bool:
    return thing is None or any(_alike(thing, one) for one in passages)


def _alike(term: str, passage: Passage) -> bool:
    """Whether a passage says the word, or one that it begins with ("seater", "seats")."""
    return bool(matching([term], passage.body)) or any(
        term.startswith(stem(word)) for word in words_of(passage.body) if len(stem(word)) >= _BEGINNING
    )


def _holds(facts: Sequence[Fact], passage: Passage) -> bool:
    return not facts or any(fact.holds.search(passage.body) for fact in facts)


def _text(passage: Passage) -> str:
    return f"{passage.heading} {passage.source.title} {passage.body}"
