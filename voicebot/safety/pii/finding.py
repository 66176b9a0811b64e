"""Which of a caller's words are personal, and of what kind. Pure.

Decided by length, check digits, the words around and what was just asked; an amount, a measure, a price, a
time of day and a year are none. Presence decides, not truth: a number with one digit misheard is found too.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from voicebot.safety.pii import cues, moments
from voicebot.safety.pii.checksums import iban, luhn
from voicebot.safety.pii.numbers import FILLERS
from voicebot.safety.pii.words import Kind, Written

_NUMBERS = frozenset({Kind.DIGITS, Kind.CARDINAL, Kind.CODE, Kind.YEAR, Kind.ORDINAL})
_BETWEEN = FILLERS | {
    "and",
    "then",
    "dash",
    "hyphen",
    "space",
    "followed",
    "by",
    "-",
    ".",
    "/",
    "stroke",
    "slash",
}
_OFTEN = 3
"""Words that may stand between two groups of one number."""
_UK = re.compile(r"^[a-z]{1,2}\d[a-z\d]?\d[a-z]{2}$")
_CANADA = re.compile(r"^[a-z]\d[a-z]\d[a-z]\d$")
_NAMED = (
    "my name is", "my name's", "name is", "name's", "my name as", "my name his", "i am called", "i'm called",
    "under the name of", "under the name", "in the name of", "mister", "mrs", "mr", "ms", "missis",
)  # fmt: skip
_NAME_WORDS = 3
_STREETS_COUNT = 250
"""Numbered streets end about there: "four hundred forty fifth avenue" is house 440 in the fifth."""
_GIVEN_BEFORE = 12
"""Nobody younger calls about an order: a whole date older than that is a birth date."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What was just asked for. ``kind``: the kind of the answer as it is masked; None: no such."""

    kind: str | None = None
    digits: int | None = None


NOTHING = Expected()


@dataclass(frozen=True, slots=True)
class Shapes:
    """The numbers of a deployment: how many digits each has, by kind."""

    digits: Mapping[str, int] = field(default_factory=dict[str, int])
    ordinary: Collection[str] = frozenset()
    """Words of the deployment's own examples, which are nobody's name."""


@dataclass(frozen=True, slots=True)
class Found:
    """Something personal: its kind, its written form, and where it stands (characters of the text)."""

    kind: str
    value: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Run:
    """Numbers that stand together: a candidate. ``first`` and ``last`` are places of tokens."""

    text: str
    first: int
    last: int
    start: int
    end: int
    pieces: int
    kinds: frozenset[Kind]

    @property
    def digits(self) -> str:
        """Its digits alone."""
        return "".join(filter(str.isdigit, self.text))


def find(
    tokens: Sequence[Written],
    *,
    expected: Expected = NOTHING,
    shapes: Shapes = Shapes(),  # frozen
    today: date | None = None,
) -> tuple[Found, ...]:
    """Everything personal in the tokens of one utterance, in order, without overlaps."""
    found = [*_addresses(tokens), *_names(tokens, expected, shapes)]
    for at, token in enumerate(tokens):
        if token.kind is Kind.EMAIL:
            found.append(Found(cues.EMAIL, token.text, token.start, token.end))
        elif token.kind is Kind.DATE and _birth(tokens, at, expected, today):
            found.append(Found(cues.BIRTH, token.text, token.start, token.end))
    for run in runs(tokens):
        kind = kind_of(run, tokens, expected=expected, shapes=shapes)
        if kind is not None:
            value = moments.of_digits(run.digits) if kind == cues.BIRTH else None
            found.append(Found(kind, value or run.text, run.start, run.end))
    return _apart(found)


def runs(tokens: Sequence[Written]) -> list[Run]:
    """Numbers and spelled codes that stand together, over fillers and dashes."""
    out: list[list[int]] = []
    for at, token in enumerate(tokens):
        if token.kind not in _NUMBERS or (token.kind is Kind.ORDINAL):
            continue
        if out and _together(tokens, out[-1][-1], at):
            out[-1].append(at)
        else:
            out.append([at])
    return [_run(tokens, places) for places in out]


def kind_of(
    run: Run,
    tokens: Sequence[Written],
    *,
    expected: Expected = NOTHING,
    shapes: Shapes = Shapes(),
) -> str | None:
    """What a number is; None if it is nothing personal."""
    digits, count = run.digits, len(run.digits)
    if run.text.startswith("-"):
        return None
    if Kind.CODE in run.kinds and not run.text.isdigit():
        code = _code(run, tokens, expected)
        if code is not None or count < 3:
            return code
    counted = _counted(run, tokens)
    if 13 <= count <= 19 and luhn(digits):
        return cues.CARD
    if expected.kind is not None and expected.digits is not None and count >= 3 and not counted:
        fits = count in {expected.digits - 1, expected.digits, expected.digits + 1}
        if not fits and (other := _by_length(run, count, shapes)) is not None:
            return other
        return expected.kind
    if expected.kind == cues.BIRTH and moments.of_digits(digits) is not None:
        return cues.BIRTH
    if counted or count < 3:
        return None
    cue = _cue(run, tokens)
    if cue is not None and count >= cue[1]:
        kind = cue[0]
        if kind in {cues.NUMBER, cues.CODE, cues.ORDER}:
            return _by_length(run, count, shapes) or kind
        return kind
    if _amount(run, tokens) or (Kind.CARDINAL in run.kinds and run.pieces == 1):
        return None
    if run.kinds <= frozenset({Kind.YEAR}):
        return None
    return _by_length(run, count, shapes) or (cues.NUMBER if _spelled_out(run, count) else None)


def unfinished(tokens: Sequence[Written], taken: Sequence[Found]) -> Run | None:
    """Digits at the end of an utterance that are no whole number yet: more may follow in the next one."""
    here = runs(tokens)
    if not here:
        return None
    run = here[-1]
    behind = [token for token in tokens[run.last + 1 :] if token.text not in _BETWEEN and token.text != "."]
    masked = any(one.start <= run.start and run.end <= one.end for one in taken)
    if len(behind) > 1 or not run.text.isdigit() or len(run.digits) < 2 or _counted(run, tokens):
        return None
    if not masked and (_amount(run, tokens) or run.kinds <= {Kind.CARDINAL, Kind.YEAR}):
        return None
    return run


def _by_length(run: Run, count: int, shapes: Shapes) -> str | None:
    # Pairs at least: "six hundred fifty one fifty" is an amount.
    figure = run.pieces == 1 and Kind.DIGITS in run.kinds
    said_apart = figure or run.pieces >= max(2, (count + 1) // 2)
    if count >= 5 and said_apart:
        for kind, length in shapes.digits.items():
            if count == length:
                return kind
    if (count in {10, 11} and said_apart) or run.text.startswith("+"):
        return cues.PHONE
    return cues.NUMBER if count >= 7 and said_apart else None


def _spelled_out(run: Run, count: int) -> bool:
    """Said digit by digit: nobody says an amount so."""
    return count >= 4 and run.pieces >= count - 1


def _code(run: Run, tokens: Sequence[Written], expected: Expected) -> str | None:
    text, count = run.text, len(run.digits)
    if iban(text):
        return cues.BANK
    if _UK.match(text) or _CANADA.match(text):
        return cues.POST_CODE
    cue = _cue(run, tokens)
    if count == 0:
        spelled = len(text) >= 3 and run.text.isalpha()
        return cues.NAME if spelled and (expected.kind == cues.NAME or _after_name(run, tokens)) else None
    if expected.kind is not None and expected.digits is not None and count >= 3:
        return expected.kind
    if cue is not None and len(text) >= cue[1]:
        return cue[0]
    return cues.NUMBER if len(text) >= 5 and count >= 3 else None


def _cue(run: Run, tokens: Sequence[Written]) -> tuple[str, int] | None:
    """The nearest word in front that says what the number is, else one close behind."""
    best: tuple[str, int] | None = None
    for at in range(run.first - 1, max(-1, run.first - 1 - cues.CUE_REACH), -1):
        token = tokens[at]
        if token.kind in _NUMBERS and len(token.digits) >= 3:
            break
        cue = cues.CUES.get(token.text) or cues.CUES.get(token.text.removesuffix("'s"))
        if cue is None:
            continue
        if cue[0] in {cues.NUMBER, cues.CODE}:  # "card number", "post code": the word before it says more
            best = best or cue
            continue
        return cue
    if best is not None:
        return best
    for token in tokens[run.last + 1 : run.last + 5]:
        cue = cues.CUES.get(token.text)
        if cue is not None:
            return cue
    return None


def _counted(run: Run, tokens: Sequence[Written]) -> bool:
    following = tokens[run.last + 1].text if run.last + 1 < len(tokens) else ""
    return following in cues.COUNTED and len(run.digits) < 7


def _amount(run: Run, tokens: Sequence[Written]) -> bool:
    near = tokens[max(0, run.first - 4) : run.first]
    return any(token.text in cues.AMOUNTS for token in near) and len(run.digits) < 7


def _birth(tokens: Sequence[Written], at: int, expected: Expected, today: date | None) -> bool:
    if expected.kind == cues.BIRTH:
        return True
    near = tokens[max(0, at - cues.CUE_REACH) : at + 4]
    if any(token.text.removesuffix("'s") in cues.BORN for token in near):
        return True
    text = tokens[at].text
    whole = len(text) == 10 and text[:4].isdigit()
    latest = (today.year if today else 2026) - _GIVEN_BEFORE
    return whole and int(text[:4]) <= latest


def _names(tokens: Sequence[Written], expected: Expected, shapes: Shapes) -> list[Found]:
    words = [token.text for token in tokens]
    if expected.kind == cues.NAME and not any(token.kind is Kind.CODE for token in tokens):
        lead = _behind(words, ("it is", "it's", "that's", "that is", "yes", "sure", "yeah"))
        found = _name_at(tokens, lead, shapes, at_least=1, most=4)
        if found is not None:
            return [found]
    out: list[Found] = []
    places = [at for at, word in enumerate(words) if word not in FILLERS]
    plain = [words[at] for at in places]
    line = f" {' '.join(plain)} "
    for cue in _NAMED:
        if f" {cue} " not in line:
            continue
        wanted = cue.split()
        for at in range(len(plain) - len(wanted)):
            if plain[at : at + len(wanted)] == wanted:
                found = _name_at(tokens, places[at + len(wanted)], shapes, at_least=1)
                out += [found] if found is not None else []
    for at in range(len(words) - 2):
        if (words[at], words[at + 1]) == ("this", "is"):
            found = _name_at(tokens, at + 2, shapes, at_least=2)
            out += [found] if found is not None else []
    for at, word in enumerate(words):
        if word in {"calling", "speaking"} and at >= 2:
            found = _name_at(tokens, at - 2, shapes, at_least=2, most=2)
            out += [found] if found is not None else []
    return out


def _name_at(
    tokens: Sequence[Written], at: int, shapes: Shapes, *, at_least: int, most: int = _NAME_WORDS
) -> Found | None:
    taken: list[Written] = []
    while at < len(tokens) and tokens[at].text in FILLERS:
        at += 1
    for token in tokens[at : at + most]:
        known = token.text in cues.COMMON or (at_least > 1 and token.text in shapes.ordinary)
        if token.kind is not Kind.WORD or known or not token.text[0].isalpha():
            break
        taken.append(token)
    if len(taken) < at_least:
        return None
    return Found(cues.NAME, " ".join(token.text for token in taken), taken[0].start, taken[-1].end)


def _behind(words: Sequence[str], leads: Sequence[str]) -> int:
    """The place behind "yes it's" and the like."""
    at, moved = 0, True
    while moved:
        moved = False
        for lead in leads:
            size = len(lead.split())
            if list(words[at : at + size]) == lead.split() or (at < len(words) and words[at] in FILLERS):
                at, moved = at + (1 if words[at] in FILLERS else size), True
                break
    return at


def _after_name(run: Run, tokens: Sequence[Written]) -> bool:
    near = {token.text for token in tokens[max(0, run.first - 5) : run.first]}
    return bool(near & {"name", "name's", "spelled", "spelt", "surname", "spell"})


def _addresses(tokens: Sequence[Written]) -> list[Found]:
    """A house number and its street, a flat behind it too."""
    out: list[Found] = []
    for at, token in enumerate(tokens):
        if token.text not in cues.STREETS:
            continue
        numbered = tokens[at - 1] if at else None
        if numbered is not None and numbered.kind is Kind.ORDINAL and int(numbered.digits) > _STREETS_COUNT:
            out.append(Found(cues.ADDRESS, f"{numbered.text} {token.text}", numbered.start, token.end))
        for first in range(at - 2, max(-1, at - 6), -1):
            house = tokens[first]
            if house.kind not in {Kind.DIGITS, Kind.CARDINAL, Kind.YEAR, Kind.CODE} or not house.digits:
                continue
            between = [one.text for one in tokens[first + 1 : at] if one.kind is not Kind.ORDINAL]
            named = any(word not in cues.COMMON for word in between) or len(between) < at - first - 1
            plain = [word for word in between if word in cues.COMMON or word in cues.COUNTED]
            if not named or plain or len(house.digits) > 5:
                continue
            if token.text in cues.DOUBTFUL_STREETS and any(word in cues.COMMON for word in between):
                continue
            last = at
            if at + 2 < len(tokens) and tokens[at + 1].text in cues.ROOMS:
                last = at + 2
            out.append(
                Found(
                    cues.ADDRESS,
                    " ".join(one.text for one in tokens[first : last + 1]),
                    house.start,
                    tokens[last].end,
                )
            )
            break
    return out


def _together(tokens: Sequence[Written], before: int, at: int) -> bool:
    between = tokens[before + 1 : at]
    if len(between) > _OFTEN or any(token.text not in _BETWEEN for token in between):
        return False
    short = any(len(tokens[one].text) < 3 for one in (before, at))
    comma = not between and tokens[at].start - tokens[before].end > 1
    if comma and len(tokens[before].text) < 3 and tokens[before].kind is Kind.DIGITS:
        return False
    spoken_and = any(token.text in {"and", "by", "."} for token in between)
    spoken_and = spoken_and and not any(token.text == "then" for token in between)
    return not (spoken_and and short) and not any(tokens[one].kind is Kind.YEAR for one in (before, at))


def _run(tokens: Sequence[Written], places: Sequence[int]) -> Run:
    taken = [tokens[place] for place in places]
    return Run(
        text="".join(token.text for token in taken),
        first=places[0],
        last=places[-1],
        start=taken[0].start,
        end=taken[-1].end,
        pieces=sum(token.pieces for token in taken),
        kinds=frozenset(token.kind for token in taken),
    )


def _apart(found: Sequence[Found]) -> tuple[Found, ...]:
    """In order; of two that overlap the longer."""
    kept: list[Found] = []
    for one in sorted(found, key=lambda one: (one.start - one.end, one.start)):
        if all(one.end <= other.start or other.end <= one.start for other in kept):
            kept.append(one)
    return tuple(sorted(kept, key=lambda one: one.start))
