"""Do the words so far make a whole? Pure: words and what was asked in, one of a few classes out.

A witness for the end of a turn, in a recogniser's English: lower case or not, with punctuation or without. It
knows which words want another ("my", "because", "how long is"), what announces something ("my number is"),
fillers, digits and letters that are being read out, and which answers fit which question. It never sees the
business. What each class is worth in silence is ``endpointing``'s matter, and fitted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum

from voicebot.audio.hearing.sentence_words import (
    AFFIRMING,
    AFFIRMS,
    ANNOUNCED,
    ANSWER_WORDS,
    ASKING,
    AUXILIARY,
    COPULA,
    DAYS,
    DETERMINERS,
    ENDS,
    FILLERS,
    GIVES,
    HELD,
    HELPING,
    LEANS,
    LONG_NUMBER,
    MONTHS,
    OPENINGS,
    ORDINAL,
    ORDINALS,
    SUBJECTS,
    WANTS_MORE,
)
from voicebot.audio.hearing.spoken_digits import count_digits
from voicebot.core.conversation import Expects
from voicebot.core.number_words import DIGIT_WORDS


class Completeness(StrEnum):
    """How whole the words are, the most finished first."""

    ANSWERED = "answered"
    """They answer what was asked, whole: a date, a name, "yes please"."""
    COUNTED = "counted"
    """As many digits as were asked for; a recogniser that heard one twice counts too early."""
    AGREED = "agreed"
    """A bare yes or no to a question for it; more may follow ("no, that is wrong")."""
    WHOLE = "whole"
    """A sentence that can stand alone, or a phrase that ends one."""
    UNCLEAR = "unclear"
    """They may end here or not."""
    OPENING = "opening"
    """Words with which a sentence begins, and no more: "hello", an unasked "yes"."""
    OVER = "over"
    """More digits than were asked for: one was heard twice, or a number was corrected."""
    NOTHING = "nothing"
    """Sound in which no words were recognised."""
    LEANING = "leaning"
    """The last word usually has something behind it ("I want"), or half an answer is there ("the third")."""
    RUNNING = "running"
    """Digits or letters are being read out, nobody knows how many."""
    OPEN = "open"
    """The last word wants another: "and", "my", "the number is", "um"."""
    MISSING = "missing"
    """Fewer digits than were asked for."""


_TOKEN = re.compile(r"[a-z']+|\d+")
_TRAILS_OFF = re.compile(r"(\.\.|…|,|-|—|–)\s*$")

_NAME_LEAD = re.compile(
    r"^((um|uh|yes|yeah|sure|okay|well|so|hi|hello)\s+)*"
    r"((my|the) (first |last |full )?name(s| is|'s)?|this is|it's|it is|i'm|i am|under|(it's|it is) under)"
    r"( the name)?( of)?( under)?( the name)?( of)?\b\s*"
)

_NOT_READ_OUT = re.compile(
    r"\b(one|a) (moment|second|minute|sec|more|thing)\b|\b(last|first) \w+ (digits|numbers|letters)\b"
)
"""Numbers that are words of a sentence: "one moment", "the last four digits"."""


def completeness(words: str, expects: Expects) -> Completeness:
    """The class of ``words`` as an answer to ``expects``."""
    text = words.lower().replace("’", "'")
    tokens = _TOKEN.findall(text)
    if not tokens:
        return Completeness.NOTHING
    if expects.kind == "digits" and expects.length is not None:
        counted = _counted(text, expects.length)
        if counted is not None:
            return counted
    general = Completeness.OPEN if _TRAILS_OFF.search(text) else _general(tokens)
    if general in (Completeness.OPEN, Completeness.RUNNING):
        return general
    match expects.kind:
        case "yes_no":
            return _affirms(tokens, general) or general
        case "date":
            return _date(tokens, general)
        case "name":
            return _name(tokens, general)
        case "digits" | "free":
            return general


def _counted(text: str, length: int) -> Completeness | None:
    """By the number of digits; None without any: then it is a sentence like others."""
    count = count_digits(_NOT_READ_OUT.sub(" ", text))
    if count == 0:
        return None
    if count == length:
        return Completeness.COUNTED
    if count > length:
        return Completeness.OVER
    return Completeness.MISSING


def _general(tokens: Sequence[str]) -> Completeness:
    last = tokens[-1]
    text = " ".join(tokens)
    if HELD.search(text):
        return Completeness.OPEN
    read_out = _read_out(tokens)
    if read_out is not None:
        return read_out
    if last in WANTS_MORE:
        return Completeness.OPEN
    if all(t in FILLERS for t in tokens):
        return Completeness.OPENING if last in ("okay", "ok") else Completeness.OPEN
    if len(tokens) >= 3 and last in AUXILIARY and tokens[-2] in SUBJECTS and tokens[-3] in AFFIRMS:
        return Completeness.WHOLE
    if last in COPULA:
        return _copula(tokens)
    if _announces(tokens):
        return Completeness.OPEN
    if GIVES.search(text):
        return Completeness.LEANING
    if ENDS.search(text):
        return Completeness.WHOLE
    if _lacks_verb(tokens):
        return Completeness.LEANING
    if last in LEANS and not (len(tokens) > 1 and tokens[-2] in DETERMINERS):
        return Completeness.LEANING
    if all(t in OPENINGS for t in tokens):
        return Completeness.OPENING
    if len(tokens) >= 4 and (tokens[0] in ASKING or tokens[0] in AUXILIARY or _has_verb(tokens)):
        return Completeness.WHOLE
    return Completeness.UNCLEAR


def _lacks_verb(tokens: Sequence[str]) -> bool:
    """A question whose verb is still to come: "what time do you", "when does the shop"."""
    if len(tokens) >= 2 and tokens[-2] in HELPING and tokens[-1] in SUBJECTS:
        return len(tokens) == 2 or tokens[-3] not in AFFIRMS
    return len(tokens) >= 3 and tokens[-3] in HELPING and tokens[-2] in DETERMINERS


def _copula(tokens: Sequence[str]) -> Completeness:
    """A copula at the end: "where it is" can end, "my number is" and "where is" cannot."""
    before = tokens[:-1]
    asked = [n for n, t in enumerate(before) if t in ASKING]
    if asked and any(t in SUBJECTS or t in DETERMINERS for t in before[asked[-1] + 1 :]):
        return Completeness.WHOLE
    return Completeness.OPEN


def _announces(tokens: Sequence[str]) -> bool:
    """What is announced is still to come: "my order number", "the code"."""
    return (
        len(tokens) >= 2
        and tokens[-1] in ("number", "code", "digits", "zip")
        and tokens[0] not in ASKING
        and tokens[0] not in AUXILIARY
        and not {"know", "have", "not", "don't", "need", "lost"} & set(tokens)
    )


def _read_out(tokens: Sequence[str]) -> Completeness | None:
    """The class of words that end in digits or letters that are being read out; None if they do not."""
    digits = letters = 0
    for token in reversed(tokens):
        if token.isdigit() or token in DIGIT_WORDS:
            digits += len(token) if token.isdigit() else 1
        elif len(token) == 1 and not digits:
            letters += 1
        else:
            break
    if letters >= 2 or digits >= LONG_NUMBER:
        return Completeness.RUNNING
    if digits and ANNOUNCED & set(tokens):
        return Completeness.OPEN
    return Completeness.RUNNING if digits >= 3 else None


def _has_verb(tokens: Sequence[str]) -> bool:
    return any(t in AUXILIARY or t in LEANS or t in ("i", "my") for t in tokens[:-1])


def _affirms(tokens: Sequence[str], general: Completeness) -> Completeness | None:
    """Yes or no, bare or with what belongs to it; None if it is neither or says something else, too."""
    if len(tokens) > ANSWER_WORDS:
        return None
    first = next((n for n, t in enumerate(tokens) if t not in FILLERS or t in ("okay", "ok")), len(tokens))
    kept = tokens[first:]
    if AFFIRMING.search(" ".join(kept)):
        return Completeness.ANSWERED
    if not any(t in AFFIRMS for t in kept) or (general is Completeness.LEANING and len(kept) > 1):
        return None
    return Completeness.AGREED if len(kept) == 1 else Completeness.ANSWERED


def _date(tokens: Sequence[str], general: Completeness) -> Completeness:
    month = any(t in MONTHS for t in tokens)
    ordinal = any(t in ORDINALS or ORDINAL.match(t) for t in tokens)
    number = ordinal or any(t.isdigit() or t in DIGIT_WORDS for t in tokens)
    if (month and number) or any(t in DAYS for t in tokens):
        return Completeness.ANSWERED
    return Completeness.LEANING if month or ordinal else general


def _name(tokens: Sequence[str], general: Completeness) -> Completeness:
    rest = [t for t in _NAME_LEAD.sub("", " ".join(tokens)).split() if t not in FILLERS]
    if not rest:
        return Completeness.OPEN
    if len(rest) > 3 or any(t in LEANS or t in AUXILIARY or t in WANTS_MORE for t in rest):
        return general
    return Completeness.ANSWERED if len(rest) >= 2 else Completeness.LEANING
