"""Whether a caller's words agree to what was just read back: yes, no, or not clear. Pure.

A yes is believed only when nothing else was said: each word must be one of agreeing, of politeness, or one
that names the deed itself. A condition, a change, a doubt, a question, or a second reading of the recogniser
that says the opposite make it unclear, and then the caller is asked again: that costs two seconds, an act
that nobody wanted costs more.

    >>> consent("yes please"), consent("no thanks"), consent("yeah but change the address")
    (<Consent.YES: 'yes'>, <Consent.NO: 'no'>, <Consent.UNCLEAR: 'unclear'>)
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

MAX_WORDS = 14
"""Whoever says more than this says something else, too."""


class Consent(StrEnum):
    """What the words mean as an answer to "shall I?"."""

    YES = "yes"
    NO = "no"
    UNCLEAR = "unclear"


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_AGREES = _words(
    "yes yeah yep yup yea sure okay ok alright absolutely definitely certainly correct exactly fine "
    "confirmed please agreed perfect great indeed "
)
"""Any one of these alone is a yes."""
_AGREES_IN = (
    "go ahead", "go for it", "do it", "do that", "do so", "do this", "please do", "you can", "you may",
    "of course", "by all means", "sounds good", "sounds great", "sounds fine", "that works", "works for me",
    "that is right", "that is correct", "that is fine", "that is okay", "that is good", "that would be great",
    "that would be good", "that would be fine", "that would be nice", "that would be perfect", "all right",
    "i agree", "i confirm", "i do", "let us do it", "let us do that", "be my guest", "i am sure",
)  # fmt: skip
"""Phrases that are a yes, as `_plain` writes them."""
_POLITE = _words(
    "please thanks thank you very much so kindly now then just right away um uh er erm ah oh ma'am "
    "sir for me that it this would be good great nice lovely and the my your i want "
)
"""Words that may stand around a yes and change nothing in it."""
_REFUSES = frozenset(["no", "nope", "nah", "never"])
_REFUSES_IN = (
    "do not", "not now", "not today", "never mind", "nevermind", "forget it", "forget that", "leave it",
    "leave that", "rather not", "would not", "no way", "not really", "i changed my mind", "keep it",
    "keep the order", "stop that", "stop it", "please stop", "absolutely not", "definitely not",
    "certainly not", "of course not",
)  # fmt: skip
_AROUND_NO = _words(
    "no nope nah never thanks thank you please um uh er oh sorry i do not it that this want to really "
    "actually mind forget leave rather would now today way not so just the order changed my keep stop "
    "dont okay alright well nevermind "
)
_UNSURE = _words(
    "but if unless except only instead maybe perhaps guess suppose think hope wait hold hang moment "
    "second minute what why when how which who where whether depends although though however actually "
    "hm hmm mm mhm sort kind possibly probably almost later tomorrow else other another different "
    "change also plus or "
)
"""Any of these makes a yes unclear, unless it names the deed."""
_OPENED = (
    (re.compile(r"\bcan't\b|\bcannot\b"), "can not"),
    (re.compile(r"\bwon't\b"), "will not"),
    (re.compile(r"\bdont\b"), "do not"),
    (re.compile(r"n't\b"), " not"),
    (re.compile(r"\blet's\b"), "let us"),
    (re.compile(r"\b(that|it|this)'s\b"), r"\1 is"),
    (re.compile(r"'ll\b"), " will"),
    (re.compile(r"\bi'm\b"), "i am"),
    (re.compile(r"'d\b"), " would"),
    (re.compile(r"\bmm[\s-]+hm+\b|\bm-?hm+\b|\buh[\s-]+huh\b|\buh[\s-]+uh\b"), "mhm"),
)
_NOT_WORD = re.compile(r"[^a-z0-9']+")


def consent(text: str, alternatives: Iterable[str] = (), *, deed: Iterable[str] = ()) -> Consent:
    """What the caller's final words answer.

    Args:
        text: the recogniser's first reading.
        alternatives: its other readings: one that says the opposite, or says yes with more to it, makes the
            whole unclear.
        deed: words that name what was proposed ("cancel", "order"), which may be said with a yes.
    """
    named = frozenset(word for one in deed for word in (one, f"{one}s"))
    first = _one(text, named)
    if first is Consent.UNCLEAR:
        return first
    others = [(_one(other, named), other) for other in alternatives]
    opposite = Consent.NO if first is Consent.YES else Consent.YES
    if any(read is opposite for read, _ in others):
        return Consent.UNCLEAR
    if first is Consent.YES and any(read is Consent.UNCLEAR and _weighs(other) for read, other in others):
        return Consent.UNCLEAR
    return first


def _one(text: str, named: frozenset[str]) -> Consent:
    plain = _plain(text)
    words = plain.split()
    if not words or len(words) > MAX_WORDS or "?" in text or _spoken_number(words):
        return Consent.UNCLEAR
    refuses = any(word in _REFUSES for word in words) or any(_holds(plain, one) for one in _REFUSES_IN)
    rest = _without(plain, _AGREES_IN).split()
    agrees = len(rest) < len(words) or any(word in _AGREES for word in rest)
    if refuses:
        # "no thanks", "no, don't": nothing but a no. With more to it ("no, the other one"): not clear.
        beside = _without(plain, _REFUSES_IN).split()
        only = all(word in _AROUND_NO for word in beside) and not _says_yes(beside)
        return Consent.NO if only else Consent.UNCLEAR
    if not agrees or "not" in words or any(word in _UNSURE and word not in named for word in words):
        return Consent.UNCLEAR
    allowed = _AGREES | _POLITE | named
    return Consent.YES if all(word in allowed for word in rest) else Consent.UNCLEAR


def _says_yes(words: list[str]) -> bool:
    return any(word in {"yes", "yeah", "yep", "yup", "sure", "absolutely", "definitely"} for word in words)


def _weighs(other: str) -> bool:
    """A second reading that holds a no, a doubt or a change; one that is only garbled weighs nothing."""
    words = _plain(other).split()
    return any(word in _REFUSES or word in _UNSURE or word == "not" for word in words)


def _spoken_number(words: list[str]) -> bool:
    """Digits in an answer are new facts."""
    return any(any(letter.isdigit() for letter in word) for word in words)


def _plain(text: str) -> str:
    plain = text.lower().replace("’", "'")
    for pattern, opened in _OPENED:
        plain = pattern.sub(opened, plain)
    return " ".join(_NOT_WORD.sub(" ", plain).split())


def _holds(plain: str, phrase: str) -> bool:
    return f" {phrase} " in f" {plain} "


def _without(plain: str, phrases: Iterable[str]) -> str:
    left = f" {plain} "
    for phrase in phrases:
        left = left.replace(f" {phrase} ", " ")
    return left.strip()
