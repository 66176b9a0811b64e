"""The dialogue's door: what a caller says comes in masked, what is stored goes out masked.

    entered = enter(turn_input, stored_state, values, ...)    # tokens in the words, values in the state
    ... plan with entered.given and entered.stored ...
    hidden = entered.masks.state(dump)                         # tokens again, for storing

Between the two, values stand in memory only, and only where they are needed: with the identity gate, in the
arguments of tools, in the words that are spoken back. The monitor, the writers, the articles and the history
see tokens. Pure; `core.store.vault` holds the values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from voicebot.core.conversation import (
    AgentDecision,
    Keys,
    LateResult,
    NotHeard,
    TurnInput,
    Utterance,
    Whispered,
)
from voicebot.dialogue.flow.promising import PHONE_NUMBER
from voicebot.dialogue.flow.questions import PHONE_DIGITS
from voicebot.dialogue.generation.spoken import spoken
from voicebot.dialogue.state import Asked, AskedKind, ConversationState
from voicebot.safety.identity import FactorKind, GateRules
from voicebot.safety.pii import cues
from voicebot.safety.pii.checksums import is_card
from voicebot.safety.pii.finding import NOTHING, Expected, Shapes
from voicebot.safety.pii.masking import TOKEN, Carry, Masked, Masker
from voicebot.safety.pii.own_values import OwnValue

OPENED = ("gate", "slots", "asked", "open_turns", "last_said", "owed", "held", "notes", "pending", "filling")
"""Fields of the state in which values stand while a turn is planned; the others keep their tokens."""
_WORDS = frozenset({"text", "last_said", "words", "question"})
_KEYED_FROM = 3
_OF_SHAPE = frozenset({FactorKind.DIGITS, FactorKind.POST_CODE})
"""Factors that are known by their length alone."""
_MASKED_AS = {
    FactorKind.NAME: cues.NAME,
    FactorKind.DATE: cues.BIRTH,
    FactorKind.CARD: cues.CARD,
    FactorKind.CODE: cues.CODE,
}
_SLOT_KINDS = {PHONE_NUMBER: cues.PHONE}


def _tells_card(masked: Masked) -> bool:
    return any(is_card(one.value) for one in masked.found)


def kind_of_factor(rules: GateRules, name: str) -> str:
    """How a factor of the gate is masked: ``order_number`` is an ``order number``."""
    for one in rules.factors:
        if one.name == name and one.kind in _MASKED_AS:
            return _MASKED_AS[one.kind]
    return name.replace("_", " ")


def shapes_of(rules: GateRules, ordinary: frozenset[str] = frozenset()) -> Shapes:
    """The deployment's numbers, as its gate asks for them."""
    digits = {kind_of_factor(rules, one.name): one.digits for one in rules.factors if one.kind in _OF_SHAPE}
    return Shapes(digits, ordinary)


@dataclass(frozen=True)
class Masks:
    """What one plan masks with: before the planner, and whatever is stored of it."""

    masker: Masker = field(repr=False)
    rules: GateRules
    expected: Expected = NOTHING
    joined: tuple[str, str] | None = None
    """Digits of an earlier turn turned out to be part of a number: (token of the piece, of the whole)."""
    since: int = 0
    """The turn that began it."""

    @property
    def fresh(self) -> Mapping[str, str]:
        """Values that belong into the vault with this turn: never a card's whole number."""
        return self.masker.kept

    @property
    def unkept(self) -> tuple[str, ...]:
        """Tokens of the vault whose values turned out to be the beginning of a card's number."""
        return self.masker.unkept

    def given(self, given: TurnInput) -> TurnInput:
        """The input with tokens; the gate still reads its ``raw``."""
        match given:
            case Utterance():
                masked = self.masker.mask(given.text, self.expected)
                others = (
                    self.masker.mask(one, self.expected, learn=False).text for one in given.alternatives
                )
                return given.masked(masked.text, tuple(others), card=_tells_card(masked))
            case Keys():
                digits = given.raw.strip("#*")
                if len(digits) < _KEYED_FROM:
                    return given
                self.masker.token(self._kind_of_keys(digits), digits)
                return given.masked()
            case NotHeard() if given.text:
                masked = self.masker.mask(given.text, self.expected, learn=False)
                return given.model_copy(update={"text": masked.text})
            case _:
                return given

    def _kind_of_keys(self, digits: str) -> str:
        shapes = self.masker.shapes.digits
        by_length = next((kind for kind, length in shapes.items() if length == len(digits)), cues.NUMBER)
        return self.expected.kind or by_length

    def stored(self, given: TurnInput) -> dict[str, Any]:
        """The input as it is stored."""
        dumped = given.model_dump(mode="json")
        of_others = isinstance(given, LateResult | AgentDecision | Whispered)
        return self.masker.hide(dumped) if of_others else dumped

    def hide(self, value: Any) -> Any:
        """Plain JSON values without any value of the vault."""
        return self.masker.hide(value)

    def state(self, dumped: dict[str, Any]) -> dict[str, Any]:
        """A conversation's state as it is stored."""
        out = dict(dumped)
        if self.masker.values or out["gate"]["given"] or out["slots"] or out["gate"]["match"]:
            out["gate"] = self._gate(out["gate"])
            out["slots"] = {name: self._slot(name, value) for name, value in out["slots"].items()}
            names = OPENED if self.joined is None else out.keys() - {"gate", "slots"}
            for name in names:
                if name not in {"gate", "slots"}:
                    out[name] = self.masker.hide(out[name])
        return out

    def _gate(self, gate: dict[str, Any]) -> dict[str, Any]:
        given = {
            name: {
                **one,
                "candidates": [
                    self._token(kind_of_factor(self.rules, name), value) for value in one["candidates"]
                ],
                "before": [self._token(kind_of_factor(self.rules, name), value) for value in one["before"]],
            }
            for name, one in gate["given"].items()
        }
        match = gate["match"]
        if match is not None:
            kind = kind_of_factor(self.rules, self.rules.factors[0].name)
            match = {**match, "reference": self._token(kind, match["reference"])}
        return {**gate, "given": given, "match": match}

    def _slot(self, name: str, value: str) -> str:
        kind = _SLOT_KINDS.get(name)
        return self._token(kind, value) if kind is not None else self.masker.hide(value)

    def _token(self, kind: str, value: str) -> str:
        return value if TOKEN.fullmatch(value) else self.masker.token(kind, value)


@dataclass(frozen=True)
class Entered:
    """A turn behind the door. ``stored``: the state with its values, for planning."""

    given: TurnInput
    stored: dict[str, Any] = field(repr=False)
    carry: Carry | None
    masks: Masks = field(repr=False)


def enter(
    given: TurnInput,
    stored: dict[str, Any],
    values: Mapping[str, str],
    rules: GateRules,
    shapes: Shapes,
    *,
    asked: Asked | None,
    turn: int,
    today: date | None = None,
    own: Sequence[OwnValue] = (),
) -> Entered:
    """Masks an input, and opens the state it is planned in.

    Args:
        given: as it came in.
        stored: the state as it is stored.
        values: the conversation's vault.
        rules: what the gate asks for.
        shapes: the deployment's numbers.
        asked: the question that is open.
        turn: number of the turn.
        today: where the business is.
        own: what the records hold of the customer, once verified.
    """
    before = Carry.model_validate(stored["carry"]) if stored.get("carry") else None
    masker = Masker(shapes, values, carry=before, turn=turn, today=today, own=own)
    expected = expects(asked, rules)
    joined, carry = None, before
    masks = Masks(masker, rules, expected)
    if isinstance(given, Utterance):
        masked = masker.mask(given.text, expected)
        joined, carry = masked.joined, masked.carry
        others = (masker.mask(one, expected, learn=False).text for one in given.alternatives)
        earlier = stored.get("cut_off")
        earlier = earlier and masker.resolve(earlier, _said)
        given = given.masked(masked.text, tuple(others), earlier, card=_tells_card(masked))
        masks = Masks(masker, rules, expected, joined, before.since if before and joined else turn)
    else:
        given = masks.given(given)
    return Entered(given, opened(stored, masker), carry, masks)


@dataclass(frozen=True)
class Veil:
    """What those who watch a conversation live may see of it. In memory, for the turn that is under way."""

    shapes: Shapes
    values: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    carry: Carry | None = None
    expected: Expected = NOTHING
    own: tuple[OwnValue, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, masks: Masks, state: ConversationState) -> Veil:
        """After a turn was committed."""
        asked = open_question(state)
        return cls(
            masks.masker.shapes,
            dict(masks.masker.values),
            state.carry,
            expects(asked, masks.rules),
            masks.masker.own,
        )

    def partial(self, text: str) -> str:
        """The caller's words so far."""
        masker = Masker(self.shapes, self.values, carry=self.carry, own=self.own)
        return masker.open_end(masker.mask(text, self.expected, learn=False).text)

    def bot(self, text: str) -> str:
        """A clause of the bot."""
        return Masker(self.shapes, self.values).hide_cut(text)


def open_question(state: ConversationState) -> Asked | None:
    """The question that counts for the caller's next words: one just being spoken, else the last heard."""
    return next((one.asked for one in reversed(state.open_turns) if one.asked is not None), state.asked)


def opened(stored: dict[str, Any], masker: Masker) -> dict[str, Any]:
    """A stored state with its values: as digits, and in sentences as they are spoken."""
    if not masker.values:
        return stored
    out = dict(stored)
    for name in OPENED:
        if name in out:
            out[name] = _open(out[name], masker, name in _WORDS)
    return out


def expects(asked: Asked | None, rules: GateRules) -> Expected:
    """What the open question asks for."""
    if asked is None:
        return NOTHING
    if asked.factor is not None:
        digits = next((one.keys or None for one in rules.factors if one.name == asked.factor), None)
        return Expected(kind_of_factor(rules, asked.factor), digits or None)
    if asked.kind is AskedKind.CONTACT:
        return Expected(cues.PHONE, PHONE_DIGITS)
    return NOTHING


def _open(value: Any, masker: Masker, words: bool) -> Any:
    match value:
        case str():
            return masker.resolve(value, _said) if words else masker.resolve(value)
        case dict():
            return {key: _open(one, masker, key in _WORDS) for key, one in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        case list():
            return [_open(one, masker, words) for one in value]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return value


def _said(value: str) -> str:
    """A value inside of a sentence, as it is spoken."""
    return spoken(value) if re.fullmatch(r"\d+", value) else value
