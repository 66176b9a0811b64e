"""One utterance's guard: each clause is ruled on before it may become sound. Pure; holds what was said so far.

    guard = ClauseGuard(Facts(cited=[...]), index)
    guard.check("You have thirty days.")        # Pass
    guard.check("Anna Miller had forty.")       # Block(other_customer)

A number, an address or a name may be spread over clauses: what was said last is read with what comes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from voicebot.safety.guard_out.customers import CustomerIndex, identifiers
from voicebot.safety.guard_out.facts import Facts, shingles
from voicebot.safety.guard_out.manner import claims_human, forbidden_tone, promises, speaks_of_itself
from voicebot.safety.guard_out.tokens import is_number, runs, tokens
from voicebot.safety.guard_out.values import Fact, values

_TAIL = 6
"""Words of the clauses before that are read with a clause; a row of numbers at their end is kept whole."""
_LONGEST_TAIL = 30
_ON_TOPIC_FROM = 6
"""A clause of fewer words with a meaning is not judged for its topic."""
LEAK_WORDS = 7
"""So many words of a prompt in a row are a leak."""
_READ_BACK = re.compile(
    r"\b(?:you (?:said|mentioned|asked|told|gave|want(?:ed)?|were asking)|i (?:heard|have|understood|got)|did you (?:say|mean)|is that|you're asking|your (?:order )?number is)\b"
)


class BlockReason(StrEnum):
    """The closed set of why a clause may not be said."""

    NO_SOURCE = "no_source"
    """A value that no source of this answer holds."""
    OTHER_CUSTOMER = "other_customer"
    PROMISE = "promise"
    CLAIMS_HUMAN = "claims_human"
    ITSELF = "itself"
    """It speaks of its prompt or its making."""
    PROMPT_LEAK = "prompt_leak"
    TONE = "tone"
    OFF_TOPIC = "off_topic"


@dataclass(frozen=True, slots=True)
class Pass:
    """It may be said."""


@dataclass(frozen=True, slots=True)
class Block:
    """It may not. ``line``: the key of the approved line that is said in its place. ``what``: the kind of value."""

    reason: BlockReason
    line: str = "guard.out"
    what: str = ""


Ruling = Pass | Block
_PASS = Pass()


class ClauseGuard:
    """Rules on the clauses of one utterance, in order.

    Args:
        facts: what may be said.
        index: identifiers of all customers; None: nobody's are known.
    """

    def __init__(self, facts: Facts, index: CustomerIndex | None = None) -> None:
        self._facts = facts
        self._index = index
        self._tail = ""
        self._digits = ""

    def check(self, clause: str) -> Ruling:
        """The ruling on the next clause of a model, its slots left out. What is blocked leaves no trace here."""
        joined = f"{self._tail} {clause}".strip()
        ruling = self._rule(clause, joined)
        if isinstance(ruling, Pass):
            self._keep(joined, clause)
        return ruling

    def quoted(self, clause: str) -> Ruling:
        """The ruling on a clause out of an article: its values need their source, its wording is approved."""
        for value in values(clause):
            if value.kind is not Fact.STATUS and not self._facts.backs(value, read_back=True):
                return Block(BlockReason.NO_SOURCE, what=value.kind)
        return _PASS

    def customers(self, clause: str) -> Ruling:
        """Only whether it names somebody else's data: for words that are not a model's."""
        joined = f"{self._tail} {clause}".strip()
        ruling = self._others(joined)
        if isinstance(ruling, Pass):
            self._keep(joined, clause)
        return ruling

    def _rule(self, clause: str, joined: str) -> Ruling:
        others = self._others(joined)
        if isinstance(others, Block):
            return others
        words = " ".join(word for word in tokens(joined) if word not in ".;!?")
        if self._facts.secret and shingles(joined, LEAK_WORDS) & self._facts.secret:
            return Block(BlockReason.PROMPT_LEAK)
        quoted = self._facts.quotes(clause)
        if not quoted:
            if speaks_of_itself(words):
                return Block(BlockReason.ITSELF)
            if claims_human(words):
                return Block(BlockReason.CLAIMS_HUMAN, line="say.chitchat")
            if promises(words):
                return Block(BlockReason.PROMISE)
            if forbidden_tone(words):
                return Block(BlockReason.TONE)
        read_back = _READ_BACK.search(words) is not None
        for text in (joined, clause) if self._tail else (clause,):
            for value in values(text):
                if quoted and value.kind is Fact.STATUS:
                    continue  # "your order has left our warehouse" as an article says it, of any order
                if not self._facts.backs(value, read_back=read_back):
                    return Block(BlockReason.NO_SOURCE, what=value.kind)
        if not quoted:
            shared, meant = self._facts.overlap(tokens(clause))
            if meant >= _ON_TOPIC_FROM and shared == 0:
                return Block(BlockReason.OFF_TOPIC)
        return _PASS

    def _others(self, joined: str) -> Ruling:
        if self._index is None or not len(self._index):
            return _PASS
        facts = self._facts
        for kind, value in identifiers(joined, self._digits):
            if not self._index.others(kind, value, facts.own):
                continue
            digits = value.isdigit()
            if facts.said_by_caller(value) if digits else facts.caller_said(f" {value} "):
                continue
            if not digits and facts.cites(f" {value} "):
                continue
            return Block(BlockReason.OTHER_CUSTOMER, what=kind)
        return _PASS

    def _keep(self, joined: str, clause: str) -> None:
        words = joined.split()
        keep = min(_TAIL, len(words))
        while keep < min(len(words), _LONGEST_TAIL):
            before = tokens(words[-keep - 1])
            if not before or not (is_number(before[-1]) or before[-1] in {"and", "point", "$"}):
                break
            keep += 1
        self._tail = " ".join(words[-keep:])
        said = "".join(
            run.digits for run in runs(tokens(clause)) if all(len(atom) == 1 for atom in run.atoms)
        )
        self._digits = (self._digits + said)[-_LONGEST_TAIL:]


def check(clause: str, facts: Facts, index: CustomerIndex | None = None) -> Ruling:
    """One clause by itself.

    >>> check("You have sixty days.", Facts(cited=["Returns are free for 30 days."]))
    Block(reason=<BlockReason.NO_SOURCE: 'no_source'>, line='guard.out', what=<Fact.DURATION: 'duration'>)
    """
    return ClauseGuard(facts, index).check(clause)
