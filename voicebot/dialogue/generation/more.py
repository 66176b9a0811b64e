"""How much a caller wants to hear: the next sentences, or more of them than two. Pure, English."""

# ruff: noqa: E501  # a pattern is not broken into lines
from __future__ import annotations

import re

USUAL = 2
"""Sentences of an answer, unless the caller asks for more."""
DETAILED = 4

_MORE = re.compile(
    r"^(?:(?:and|okay|ok|yes|please|um|well|so|could you|can you|would you|i want to|i would like to|i'd like to) )*"
    r"(?:tell me (?:some |a bit |a little )?more\b|(?:some |any )?more (?:details?|information|info|about (?:it|that|this))\b"
    r"|go on\b|keep going\b|continue\b|(?:know|hear|learn) (?:some )?more\b|more please\b|what else (?:about|is there|do i)\b"
    r"|anything else (?:about|on) (?:it|that|this)\b|is that (?:all|everything)\b|is there more\b|say more\b|elaborate\b)"
    r"(?! slowly)",
    re.IGNORECASE,
)
_DETAIL = re.compile(
    r"\b(?:in detail|in full|all the details|every detail|everything (?:about|on|there is)|the (?:full|whole|entire|complete) "
    r"(?:policy|story|list|process|procedure|answer)|step by step|explain (?:\w+ ){0,4}(?:exactly|fully|in detail)|"
    r"all (?:about|of) (?:your|the) \w+ (?:policy|rules|options|process))\b",
    re.IGNORECASE,
)


def wants_more(text: str) -> bool:
    """Whether the words ask to hear on about what was just said, and name no new matter.

    >>> wants_more("can you tell me more about that")
    True
    >>> wants_more("tell me more slowly")
    False
    """
    return _MORE.search(" ".join(text.split()).strip(" .!?,")) is not None


def sentences_for(text: str) -> int:
    """How many sentences an answer to these words may have.

    >>> sentences_for("explain your whole process step by step"), sentences_for("can i return it")
    (4, 2)
    """
    return DETAILED if _DETAIL.search(text) else USUAL
