"""Tokens in place of what is personal: ``[card 1]``. Pure; one `Masker` per conversation and turn.

    masker = Masker(shapes, held=values_by_token)
    masked = masker.mask("it's four two seven one oh three", expected=Expected("order number", 6))
    masked.text         # "it's [order number 1]"
    masker.fresh        # {"[order number 1]": "427103"}: for the vault
    masker.hide("Order 427103 is on its way")    # "Order [order number 1] is on its way"

The same value has the same token for the whole conversation. What a number is may be known only when its rest
was said: digits at the end of an utterance are carried, and join those at the beginning of the next.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from pydantic import Field

from voicebot.core.conversation import Strict
from voicebot.core.number_words import DIGIT_WORDS
from voicebot.safety.pii import cues
from voicebot.safety.pii.checksums import is_card, luhn
from voicebot.safety.pii.finding import NOTHING, Expected, Found, Run, Shapes, find, kind_of, runs, unfinished
from voicebot.safety.pii.own_values import OwnValue, near, said_again
from voicebot.safety.pii.spoken_form import Asked, normalise
from voicebot.safety.pii.words import Kind, Written

TOKEN = re.compile(r"\[(?:" + "|".join(map(re.escape, cues.KINDS)) + r"|[a-z][a-z ]*) [1-9]\d*\]")
_OUR_ID = re.compile(r"[a-z]{2,4}_[0-9a-f]{16,}\w*")
"""An id that we made: `dr_0123...`."""

_NUMERIC = re.compile(
    r"\d|\b(?:" + "|".join(sorted(DIGIT_WORDS | {"hundred", "thousand"})) + r")\b", re.IGNORECASE
)
_FUZZY_FROM = 6
"""Shorter values are compared exactly: one digit of four is too much."""
_CARRY_TURNS = 3
_WHOLE = {cues.PHONE: 10, cues.SOCIAL: 9}
_LONGEST = 19
"""Digits of the longest card number; nothing is carried beyond."""
_SHORTEST_CARD = 13


class Carry(Strict):
    """Digits that may go on in the next utterance: the token under which they are held, and the turn."""

    token: str
    since: int
    kind: str | None = None
    digits: int = Field(ge=0)


@dataclass(frozen=True, slots=True)
class Masked:
    """Words with tokens in place of what is personal.

    ``found``: with places in the text as it was given. ``joined``: the token of an earlier piece that turned
    out to be part of a number, with the token of the whole: what is still held of that turn is masked again.
    """

    text: str
    found: tuple[Found, ...] = ()
    carry: Carry | None = None
    joined: tuple[str, str] | None = None


_BESIDE_A_CARD = 4
"""Digits of its security code, and of its date."""


class Masker:
    """Masks the words of one conversation.

    Args:
        shapes: the deployment's numbers.
        held: values by token that are in the conversation's vault.
        carry: what the utterance before left open.
        turn: number of the turn, for what is carried.
        today: where the business is.
        own: what the records hold of the customer, once verified.
    """

    def __init__(
        self,
        shapes: Shapes,
        held: Mapping[str, str] | None = None,
        *,
        carry: Carry | None = None,
        turn: int = 0,
        today: date | None = None,
        own: Sequence[OwnValue] = (),
    ) -> None:
        self.shapes = shapes
        self.own = tuple(own)
        self._values = dict(held or {})
        self._tokens = {_key(value): token for token, value in self._values.items()}
        self._carry = carry if carry is not None and turn - carry.since <= _CARRY_TURNS else None
        self._turn = turn
        self._today = today
        self.fresh: dict[str, str] = {}
        """Values that this masker has given a token: they belong into the vault."""

    @property
    def values(self) -> Mapping[str, str]:
        """Every value by its token."""
        return self._values

    @property
    def kept(self) -> dict[str, str]:
        """Those of `fresh` that a vault may hold: never a card's whole number, nor what stands beside it."""
        card = any(_a_cards(*one) for one in self.fresh.items())
        return {
            token: value
            for token, value in self.fresh.items()
            if not _a_cards(token, value) and not (card and value.isdigit() and len(value) <= _BESIDE_A_CARD)
        }

    @property
    def unkept(self) -> tuple[str, ...]:
        """Tokens whose values turned out to begin a card's number: a vault has to forget them."""
        cards = [value for token, value in self.fresh.items() if _a_cards(token, value)]
        return tuple(
            token
            for token, value in self.values.items()
            if value.isdigit() and any(card != value and card.startswith(value) for card in cards)
        )

    def mask(self, text: str, expected: Expected = NOTHING, *, learn: bool = True) -> Masked:
        """Puts tokens in place of what is personal. ``learn``: a value seen first gets a token that stays.

        Texts that were masked before keep their tokens.
        """
        text = text[:2000]
        spared = [match.span() for match in TOKEN.finditer(text)]
        blank = TOKEN.sub(lambda match: "," * len(match.group()), text) if spared else text
        tokens = normalise(blank, asked=_asked(expected))
        found = list(find(tokens, expected=expected, shapes=self.shapes, today=self._today))
        found += self._known(tokens, found)
        found += [one for one in said_again(tokens, self.own) if _free(one, found)]
        joined: tuple[str, str] | None = None
        carry: Carry | None = None
        if learn:
            joined, found = self._join(tokens, found, expected)
            carry = self._next_carry(tokens, found)
        out, at = [], 0
        for one in sorted(found, key=lambda one: one.start):
            if one.start < at:
                continue
            out += [text[at : one.start], self.token(one.kind, one.value, learn=learn)]
            at = one.end
        out.append(text[at:])
        return Masked("".join(out), tuple(found), carry, joined)

    def token(self, kind: str, value: str, *, learn: bool = True) -> str:
        """The token of a value; a new one if it has none."""
        known = self._tokens.get(_key(value))
        if known is not None:
            return known
        count = sum(token.startswith(f"[{kind} ") and token[len(kind) + 2 :].rstrip("]").isdigit()
                    for token in self._values)  # fmt: skip
        token = f"[{kind} {count + 1}]"
        if learn:
            self._values[token] = self.fresh[token] = value
            self._tokens[_key(value)] = token
        return token

    def hide(self, value: Any) -> Any:
        """Plain JSON values with every value of the vault replaced, however it is written or spoken."""
        match value:
            case str():
                return self._hidden(value) if self._values else value
            case dict():
                return {key: self.hide(one) for key, one in value.items()}  # pyright: ignore[reportUnknownVariableType]
            case list() | tuple():
                return [self.hide(one) for one in value]  # pyright: ignore[reportUnknownVariableType]
            case _:
                return value

    def hide_cut(self, text: str) -> str:
        """`hide` for words that may end in the middle of a value: its beginning is hidden too."""
        hidden = self.hide(text)
        tokens = normalise(TOKEN.sub(lambda match: "," * len(match.group()), hidden))
        here = runs(tokens)
        if not here or here[-1].last < len(tokens) - 2 or len(here[-1].digits) < 2:
            return hidden
        last = here[-1]
        token = next((t for t, value in self._values.items() if value.startswith(last.digits)), None)
        return hidden if token is None else f"{hidden[: last.start]}{token}{hidden[last.end :]}"

    def open_end(self, text: str) -> str:
        """Masked words that are not finished: digits at their end are masked before they are a number."""
        tokens = normalise(TOKEN.sub(lambda match: "," * len(match.group()), text))
        run = unfinished(tokens, ())
        if run is None:
            return text
        kind = self._carry.kind if self._carry is not None and self._carry.kind else cues.NUMBER
        return f"{text[: run.start]}{self.token(kind, run.digits, learn=False)}{text[run.end :]}"

    def resolve(self, value: Any, say: Any = None) -> Any:
        """Plain JSON values with every token of ours replaced by its value.

        ``say`` (value -> words) puts the values inside of sentences as they are spoken.
        """
        match value:
            case str() if "[" in value:
                if value in self._values:
                    return self._values[value]
                return TOKEN.sub(lambda match: self._said(match.group(), say), value)
            case dict():
                return {key: self.resolve(one, say) for key, one in value.items()}  # pyright: ignore[reportUnknownVariableType]
            case list() | tuple():
                return [self.resolve(one, say) for one in value]  # pyright: ignore[reportUnknownVariableType]
            case _:
                return value

    def _said(self, token: str, say: Any) -> str:
        value = self._values.get(token)
        if value is None:
            return token
        return value if say is None else say(value)

    def _hidden(self, text: str) -> str:
        if _OUR_ID.fullmatch(text):
            return text  # by chance its digits may read as somebody's post code
        whole = self._tokens.get(_key(text))
        if whole is not None and len(text) > 2:
            return whole
        if not _NUMERIC.search(text) and not self._has_words(text):
            return text
        spared = TOKEN.search(text) is not None
        blank = TOKEN.sub(lambda match: "," * len(match.group()), text) if spared else text
        tokens = normalise(blank)
        spans = self._spans(tokens, exact=True)
        out, at = [], 0
        for start, end, token in sorted(spans):
            if start >= at:
                out += [text[at:start], token]
                at = end
        return "".join([*out, text[at:]])

    def _has_words(self, text: str) -> bool:
        lowered = text.lower()
        return any(value.split()[0] in lowered for value in self._values.values() if value[:1].isalpha())

    def _known(self, tokens: tuple[Written, ...], found: list[Found]) -> list[Found]:
        """Values of the vault that are said again, an error of the recogniser away."""
        taken = [(one.start, one.end) for one in found]
        spans = self._spans(tokens, exact=False) if self._values else []
        return [
            Found(_kind_of(token), self._values[token], start, end)
            for start, end, token in spans
            if all(end <= first or last <= start for first, last in taken)
        ]

    def _spans(self, tokens: tuple[Written, ...], *, exact: bool) -> list[tuple[int, int, str]]:
        out: list[tuple[int, int, str]] = []
        for run in runs(tokens):
            token = self._tokens.get(_key(run.text)) if len(run.text) > 2 else None
            if token is None and not exact and len(run.digits) >= _FUZZY_FROM:
                token = next(
                    (
                        other
                        for other, value in self._values.items()
                        if len(value) >= _FUZZY_FROM and value.isdigit() and near(run.digits, value)
                    ),
                    None,
                )
            if token is not None:
                out.append((run.start, run.end, token))
                continue
            for other, value in self._values.items():  # a number inside a longer one
                if value.isdigit() and len(value) >= 5 and value in run.digits:
                    out.append((run.start, run.end, other))
                    break
        for token, value in self._values.items():
            if not value[:1].isalpha() and "@" not in value and "-" not in value and " " not in value:
                continue
            out += [(start, end, token) for start, end in _places(tokens, value)]
        return out

    def _join(
        self, tokens: tuple[Written, ...], found: list[Found], expected: Expected
    ) -> tuple[tuple[str, str] | None, list[Found]]:
        """The rest of a number that the utterance before began."""
        carry = self._carry
        here = runs(tokens)
        if carry is None or not here or carry.token not in self._values:
            return None, found
        first = here[0]
        before = [token for token in tokens[: first.first] if token.text not in _LEADS]
        if before or not first.text.isdigit() or len(first.digits) < 2:
            return None, found
        if expected.digits == len(first.digits):  # the whole answer to what was asked
            return None, found
        if any(one.start <= first.start and first.end < one.end for one in found):  # a house number, a date
            return None, found
        digits = self._values[carry.token] + first.digits
        whole = Run(
            digits, first.first, first.last, first.start, first.end, len(digits), frozenset({Kind.DIGITS})
        )
        kind = kind_of(whole, tokens, expected=expected if len(digits) <= 12 else NOTHING, shapes=self.shapes)
        kind = carry.kind if carry.kind not in {None, cues.NUMBER} and kind != cues.CARD else kind
        if kind is None:
            return None, found
        token = self.token(kind, digits)
        others = [one for one in found if one.end <= first.start or first.end <= one.start]
        return (carry.token, token), [*others, Found(kind, digits, first.start, first.end)]

    def _whole(self, kind: str, value: str) -> bool:
        """Whether nothing can follow."""
        if kind == cues.CARD:
            return len(value) >= 15 and luhn(value)
        return len(value) >= self.shapes.digits.get(kind, _WHOLE.get(kind, _LONGEST))

    def _next_carry(self, tokens: tuple[Written, ...], found: list[Found]) -> Carry | None:
        run = unfinished(tokens, found)
        if run is None:
            return None
        whole = next((one for one in found if one.start <= run.start and run.end <= one.end), None)
        value = whole.value if whole is not None and whole.value.isdigit() else run.digits
        kind = whole.kind if whole is not None else None
        if kind is not None and self._whole(kind, value):
            return None
        token = self.token(kind or cues.NUMBER, value)
        return Carry(token=token, since=self._turn, kind=kind, digits=len(value))


_LEADS = frozenset(
    [
        "and",
        "then",
        "um",
        "uh",
        "er",
        "erm",
        "okay",
        "so",
        "yes",
        "yeah",
        "it's",
        "its",
        "is",
        "the",
        "rest",
        "next",
    ]
) | {".", "-"}


def _a_cards(token: str, value: str) -> bool:
    """Whether it is a card's whole number, or said to be and one digit off: misheard, mistyped."""
    return is_card(value) or (
        _kind_of(token) == cues.CARD and value.isdigit() and len(value) >= _SHORTEST_CARD
    )


def _free(one: Found, found: Sequence[Found]) -> bool:
    """Whether nothing that was found stands there."""
    return all(one.end <= other.start or other.end <= one.start for other in found)


def _places(tokens: tuple[Written, ...], value: str) -> list[tuple[int, int]]:
    """Where a value of words stands: a name, an address, an e-mail."""
    wanted = value.lower().split()
    size = len(wanted)
    return [
        (tokens[at].start, tokens[at + size - 1].end)
        for at in range(len(tokens) - size + 1)
        if [token.text for token in tokens[at : at + size]] == wanted
    ]


def _kind_of(token: str) -> str:
    return token[1:-1].rpartition(" ")[0]


def _asked(expected: Expected) -> Asked:
    return "date" if expected.kind == cues.BIRTH else "free"


def _key(value: str) -> str:
    """How values are compared: without case, spaces and dashes, dates excepted."""
    return re.sub(r"[\s]", "", value.lower())
