"""Words as two speakers would agree they are the same: whatever the case, punctuation, figures. Pure."""

from __future__ import annotations

import re

from voicebot.dialogue.generation.spoken import cardinal, digits

_APOSTROPHES = re.compile(r"[’`´']")
_MONEY = re.compile(r"\$\s?(\d[\d,]*)(?:\.(\d\d))?")
_PERCENT = re.compile(r"(\d+)\s?%")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}\b)")
_FIGURES = re.compile(r"\d+")
_NOT_WORD = re.compile(r"[^\w ]+|_")
_E_MAIL = re.compile(r"\be mail(s?)\b")
_LONGEST_COUNT = 4
"""Figures up to this length are a count ("2026"), longer ones are read digit by digit ("427103")."""


def plain(text: str) -> str:
    """Lower case, no punctuation, single spaces, figures in words, "don't" as "dont".

    >>> plain("It's $49.50, i.e. 30-day e-mail notice!")
    'its forty nine dollars and fifty cents i e thirty day email notice'
    """
    lowered = _APOSTROPHES.sub("", text.lower())
    lowered = _MONEY.sub(_dollars, lowered)
    lowered = _PERCENT.sub(r"\1 percent", _THOUSANDS.sub("", lowered))
    lowered = _FIGURES.sub(lambda found: f" {_figure(found.group())} ", lowered)
    spaced = " ".join(_NOT_WORD.sub(" ", lowered).split())
    return _E_MAIL.sub(r"email\1", spaced)


def occurs(pattern: str, text: str) -> bool:
    """Whether ``pattern`` occurs in ``text``: whole words in this order, or ``/a regular expression/``.

    A regular expression looks at `plain` text. It must be valid: `check` says so beforehand.
    """
    if is_regex(pattern):
        return re.search(pattern[1:-1], plain(text)) is not None
    return f" {plain(pattern)} " in f" {plain(text)} "


def is_regex(pattern: str) -> bool:
    """Whether a pattern is written between slashes."""
    return len(pattern) > 2 and pattern.startswith("/") and pattern.endswith("/")


def check(pattern: str) -> str:
    """The pattern, if it can match anything.

    Raises:
        ValueError: an invalid regular expression, or no word in it.
    """
    if is_regex(pattern):
        try:
            re.compile(pattern[1:-1])
        except re.error as error:
            raise ValueError(f"{pattern} is no regular expression: {error}") from error
    elif not plain(pattern):
        raise ValueError(f"{pattern!r} holds no word")
    return pattern


def _dollars(found: re.Match[str]) -> str:
    whole, part = int(found.group(1).replace(",", "")), found.group(2)
    words = f"{cardinal(whole)} dollar{'' if whole == 1 else 's'}"
    return words if part in {None, "00"} else f"{words} and {cardinal(int(part))} cents"


def _figure(figures: str) -> str:
    if len(figures) > _LONGEST_COUNT or (figures.startswith("0") and len(figures) > 1):
        return digits(figures) if figures.isascii() else figures
    return cardinal(int(figures))
