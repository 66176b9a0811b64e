"""Follow-up questions that leave their subject out: "and on a mattress?", "can I extend it?". Pure, English.

They mean something only with the question before them, so they are put together with it.
"""

# ruff: noqa: E501  # a pattern is not broken into lines
from __future__ import annotations

import re
from typing import Literal

LONGEST = 9
"""Words of a sentence that can lean on the one before it."""

Kind = Literal["part", "pointing"]
PRIOR: dict[Kind, float] = {"part": 0.7, "pointing": 0.6}
"""How likely such a sentence right after an answer is about the same matter, before it is read; a guess of ours.
What stands in no article is still not answered."""

_PREPOSITION = r"(?:on|for|of|with|about|in|to|at|from|by|without|under|over|after|before|during)"
_LEAD = re.compile(
    r"^(?:(?:ok|okay|yes|yeah|well|um|uh|hm|alright|right|thanks|thank you|so|great|good|i see|oh)[, ]+)*"
    r"(?:(?:and|or|but|also|then)[, ]+)*(?:(?:what|how) (?:about|of|if it is|if it's)|(?:is|are) (?:that|this|it|those) (?:so |the same |true |also )*(?:(?:for|with|on|of)(?= )|also|too)"
    r"|(?:does|do) (?:that|this|it|the same)(?: rule| policy)? (?:also )?(?:apply|go|hold|count)|(?:the )?same (?:for|with|on))?[, ]*",
    re.IGNORECASE,
)
_BEGINS = re.compile(
    r"^(?:(?:ok|okay|yes|yeah|well|um|uh|hm|alright|right|thanks|thank you|so|great|good|i see|oh)[, ]+)*"
    r"(?:and|or|but|also|(?:what|how) about|(?:is|are) (?:that|this|it|those)|(?:does|do) (?:that|this|it|the same)|(?:the )?same)\b",
    re.IGNORECASE,
)
_VERB = re.compile(
    r"\b(?:is|are|was|were|do|does|did|can|could|will|would|shall|should|may|have|has|had|want|need|i|you|we|they|how|what|when|where|why|who|which|tell|give|please)\b",
    re.IGNORECASE,
)
_POINTS = re.compile(r"\b(?:it|its|that|this|they|them|their|those|these|the same)\b", re.IGNORECASE)
_NOT_POINTING = re.compile(
    r"\b(?:that|this) (?:i|you|we|they|he|she|is all|will be|was all|\w+(?:ed|ing)|is (?:ridiculous|unacceptable|terrible|awful|bad|it|great|all))\b|\bthat's (?:it|all)\b"
    r"|\b(?:it|this|that) (?:arrived|came|broke|is broken|is damaged|never)\b|\b(?:this|that|these|those) (?!so\b|too\b|online\b|cost\b|also\b|for\b|with\b|on\b|include|cost|free|the\b|apply|come|work|possible|take|mean|by\b|in\b|to\b)[a-z]+\b",
    re.IGNORECASE,
)
_BOUND = rf"(?=\s+(?:{_PREPOSITION}|is|are|be|cost|costs|take|takes|come|comes|last|lasts|work|made|available)\b|$)"
_PIECE = rf"(?:(?:a|an|the|my|your|our)\s+)?[\w'-]+(?:\s+[\w'-]+)?{_BOUND}"
_PART = re.compile(rf"^({_PREPOSITION})\s+(.+)$", re.IGNORECASE)
_ONE_THING = re.compile(rf"\b(?:a|an|my)\s+(?:[\w'-]+\s+){{0,2}}?[\w'-]+{_BOUND}", re.IGNORECASE)
_OF_THINGS = frozenset({"", "on", "for", "of", "with", "about"})
_ABOUT_THINGS = re.compile(r"whether |choosing |how to look ")
_NAMED = re.compile(rf"\b((?:the|a|an|my|your)\s+(?:[\w'-]+\s+){{0,2}}?[\w'-]+){_BOUND}", re.IGNORECASE)
_DOING = re.compile(r"\bdo (?:it|that|this)\b", re.IGNORECASE)
_DONE = re.compile(r"\b(?:i|you|we|they)\s+(.+)$", re.IGNORECASE)
_OF_A_THING = re.compile(r"whether|choosing|how |what ")
_ALSO = re.compile(r"\b(?:too|as well|also|either|then|please|the same)\b", re.IGNORECASE)


def points_back(text: str) -> Kind | None:
    """How a sentence leans on the one before it.

    ``part``: it is only the piece that is different ("and on a mattress?"); ``pointing``: a whole question with
    "it" or the like in it. None: it stands alone.

    >>> points_back("and on a mattress?"), points_back("can I extend it?"), points_back("and when do you open?")
    ('part', 'pointing', None)
    """
    plain = _plain(text)
    if not plain or len(plain.split()) > LONGEST:
        return None
    if _BEGINS.match(plain):
        rest = _rest(plain)
        if (
            rest
            and not _BEGINS.fullmatch(rest)
            and not _VERB.search(rest)
            and not re.fullmatch(_POINTS, rest)
        ):
            return "part"
    if _POINTS.search(plain) and not _NOT_POINTING.search(plain):
        return "pointing"
    return None


def completed(text: str, before: str, kind: Kind, means: str) -> str:
    """The sentence as a question of its own.

    Args:
        text: the sentence.
        before: the question that was answered before it.
        kind: as `points_back` has it.
        means: what the question before was about, as it is named to callers.

    >>> completed("and on a mattress?", "how long is the warranty on a sofa", "part", "the warranty")
    'how long is the warranty on a mattress'
    >>> completed("can I extend it?", "how long is the warranty", "pointing", "the warranty")
    'can i extend the warranty'
    """
    plain, earlier = _plain(text), _plain(before)
    if kind == "pointing":
        done = _DONE.search(earlier)
        if done is not None and _DOING.search(plain):
            return _DOING.sub(done.group(1), plain, count=1)
        return _POINTS.sub(_subject(earlier, means), plain, count=1)
    return _with_part(earlier, _rest(plain))


def _with_part(earlier: str, rest: str) -> str:
    """The earlier question with another piece: in place of the one like it, else at its end."""
    said = _PART.match(rest)
    preposition, thing = (said.group(1), said.group(2)) if said is not None else ("", rest)
    if preposition:
        like = list(re.finditer(rf"\b{preposition}\s+{_PIECE}", earlier, re.IGNORECASE))
        if like:
            return earlier[: like[-1].start()] + rest + earlier[like[-1].end() :]
    kind = _NAMED if thing.startswith("the ") else _ONE_THING
    if preposition in _OF_THINGS and (one := list(kind.finditer(earlier))):
        return earlier[: one[-1].start()] + thing + earlier[one[-1].end() :]
    if not preposition and (tail := list(re.finditer(rf"\b({_PREPOSITION})\s+{_PIECE}$", earlier))):
        return earlier[: tail[-1].start()] + f"{tail[-1].group(1)} {rest}"
    return f"{earlier} {rest}" if preposition else f"{earlier} for {rest}"


def is_of_a_thing(means: str) -> bool:
    """Whether a want, by its name, is about whatever thing is named: naming another one is no want of its own."""
    return _ABOUT_THINGS.match(means) is not None


def _subject(earlier: str, means: str) -> str:
    """What "it" is: the thing asked about where the want is about a thing, else the matter, with the thing in it.

    >>> _subject("is the linen sofa in stock", "whether something is in stock")
    'the linen sofa'
    >>> _subject("can i return a mattress", "returning something")
    'returning a mattress'
    """
    things = _NAMED.findall(earlier)
    if not things:
        return means
    return things[-1] if _OF_A_THING.match(means) else means.replace("something", things[-1])


def _rest(plain: str) -> str:
    rest = _ALSO.sub(" ", _LEAD.sub("", plain, count=1))
    return " ".join(rest.replace(",", " ").split())


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[^\w', -]+", " ", text.replace("’", "'").lower()).split()).strip(" ,-")
