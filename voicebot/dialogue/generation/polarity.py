"""Whether a sentence answers a yes-or-no question plainly. Pure, English.

A wrong "yes" is worse than none, so there is an answer only where the sentence mirrors the question ("do you
deliver to ..." - "we don't deliver to ..."), every word of the question that means something stands in it,
and nothing narrows that word: "opened mattresses can't be returned" says nothing of mattresses.
"""

# ruff: noqa: E501  # a pattern is not broken into lines
from __future__ import annotations

import re
from typing import Literal

from voicebot.dialogue.generation.wording import covers_all, stem, terms_of
from voicebot.dialogue.monitor.features import NUMBER, words_of

Polarity = Literal["yes", "no"]

_OPENING = r"^(?:(?:and|but|so|hi|hello|yes|okay|well|also|then) )*"
_NOT_PLAIN = re.compile(
    r"\b(?:or|not|never|why|only|always|every|all|without|before|after|later|over|under|more|"
    r"less|longer|within|outside|until)\b"
)
"""A question with one of these has no plain yes or no here: "are you always open", "this or that"."""
_HEDGED = re.compile(r"\b(?:unless|except|only if|most|some|usually|often|sometimes|may be|depends)\b")
_ASKED: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(_OPENING + question), yes, no)
    for question, yes, no in (
        # What is asked, and how a yes and a no would begin. {verb}, {thing}: a stem of the question.
        (r"(?:can|could|may) (?:i|we) (?:also |still |just )?(?P<verb>\w+)\b",
         r"\byou can (?:also |still )?{verb}", r"\byou can not (?:also |still )?{verb}"),
        (r"(?:can|could|do|will|would) you (?:guys )?(?:also |still |even )?(?P<verb>\w+)\b",
         r"\bwe (?:also |can |will |gladly )?{verb}", r"\bwe (?:do|can|will) not {verb}"),
        (r"(?:do|must) (?:i|we) (?:have|need) to (?P<verb>\w+)\b|must (?:i|we) (?P<verb2>\w+)\b",
         r"\byou (?:have|need) to {verb}|\byou must {verb}", r"\byou (?:do not (?:have|need) to|need not) {verb}"),
        (r"(?:is|are) there (?:also |still )?(?:an? |any |some )?(?P<verb>\w+)\b",
         r"\bthere (?:is|are) (?!no\b)(?:an? |some )?(?:\w+ )?{verb}", r"\bthere (?:is|are) no (?:\w+ ){{0,2}}{verb}"),
        (r"are you (?P<verb>open)\b", r"\bwe are open\b", r"\bwe are closed\b"),
    )
)  # fmt: skip
_LIST = re.compile(r",|\band\b|\bor\b|\bnor\b")
_PASSIVE = re.compile(_OPENING + r"(?:can|could|may) (?:i|we) (?:also |still )?(?P<verb>\w+)\b")


def polarity(question: str, sentence: str) -> Polarity | None:
    """Yes, no, or nothing that can be said for sure.

    >>> polarity("do you deliver to Hawaii", "We don't deliver to Alaska, Hawaii, or other countries.")
    'no'
    >>> polarity("is delivery free", "Delivery is free for orders above seventy five dollars.")
    """
    asked, said = " ".join(words_of(question)), " ".join(words_of(sentence))
    if NUMBER in asked or _NOT_PLAIN.search(asked) or _HEDGED.search(said):
        return None
    for pattern, yes, no in _ASKED:
        match = pattern.search(asked)
        if match is None:
            continue
        verb = next(word for word in match.groupdict().values() if word)
        if not covers_all(asked, said, but={"open", "close"} if verb == "open" else ()):
            continue
        beginning = re.escape(stem(verb)) + r"\w*\b"
        if not _unnarrowed(asked, sentence, verb):
            continue
        if re.search(no.format(verb=beginning), said):
            return "no"
        if re.search(yes.format(verb=beginning), said):
            return "yes"
    return _passive(asked, said, sentence)


def _passive(asked: str, said: str, sentence: str) -> Polarity | None:
    """Of "can I return sale items": "sale items can be returned"."""
    match = _PASSIVE.search(asked)
    if match is None or not covers_all(asked, said) or not _unnarrowed(asked, sentence, match["verb"]):
        return None
    done = re.search(rf"\bcan (not )?be {re.escape(stem(match['verb']))}\w*\b", said)
    if done is None:
        return None
    return "no" if done[1] else "yes"


def _unnarrowed(asked: str, sentence: str, verb: str) -> bool:
    """Whether no word of its own stands before a thing that was asked about, in the same part of a list."""
    known = {stem(verb), *(("clos",) if verb == "open" else ())}
    things = set(terms_of(asked)) - known
    for piece in _LIST.split(sentence):
        terms = terms_of(" ".join(words_of(piece)))
        last = max((at for at, term in enumerate(terms) if term in things), default=-1)
        if any(term not in things | known for term in terms[: last + 1]):
            return False
    return True
