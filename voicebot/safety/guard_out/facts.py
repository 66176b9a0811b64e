"""What may be said in one utterance, and why: the values of its sources. Pure; made once per utterance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from voicebot.safety.guard_out.tokens import tokens
from voicebot.safety.guard_out.values import Fact, Value, values

_SHINGLE = 5
_STOP = frozenset(
    [
        "a",
        "an",
        "the",
        "and",
        "or",
        "but",
        "if",
        "so",
        "of",
        "to",
        "in",
        "on",
        "at",
        "by",
        "for",
        "with",
        "from",
        "as",
        "is",
        "are",
        "was",
        "were",
        "be",
        "been",
        "it",
        "its",
        "this",
        "that",
        "these",
        "those",
        "you",
        "your",
        "we",
        "our",
        "us",
        "i",
        "me",
        "my",
        "they",
        "them",
        "their",
        "he",
        "she",
        "his",
        "her",
        "not",
        "no",
        "yes",
        "do",
        "does",
        "did",
        "can",
        "could",
        "will",
        "would",
        "should",
        "may",
        "might",
        "must",
        "have",
        "has",
        "had",
        "there",
        "here",
        "what",
        "which",
        "who",
        "how",
        "when",
        "where",
        "why",
        "all",
        "any",
        "some",
        "more",
        "most",
        "also",
        "just",
        "only",
        "very",
        "too",
        "than",
        "then",
        "up",
        "out",
        "about",
        "into",
        "over",
    ]
)


class Facts:
    """Sources of an utterance.

    Args:
        cited: articles that the answer may go by, titles too.
        results: what tools of this call gave, as it would be spoken.
        caller: the caller's words in this call: they back a number that is read back, not a price.
        states: states of the caller's own records, as tools of this call gave them.
        secret: texts that must never be said: the prompts.
        own: the verified customer, as the index of customers names him; None before the gate.
    """

    def __init__(
        self,
        cited: Iterable[str] = (),
        results: Iterable[str] = (),
        caller: Iterable[str] = (),
        states: Iterable[str] = (),
        secret: frozenset[str] = frozenset(),
        own: str | None = None,
    ) -> None:
        self.own = own
        self.states = frozenset(states)
        self.secret = secret
        cited, caller = tuple(cited), tuple(caller)
        self._ours = _Values()
        for text in (*cited, *results):
            self._ours.add(text)
        self._callers = _Values()
        for text in caller:
            self._callers.add(text)
        self._shingles = frozenset(one for text in cited for one in shingles(text))
        self._topic = frozenset(
            word[:5] for text in (*cited, *caller) for word in tokens(text) if word not in _STOP
        )

    def backs(self, value: Value, *, read_back: bool) -> bool:
        """Whether a value has a source. ``read_back``: the clause repeats what the caller said."""
        if value.kind is Fact.STATUS:
            return value.value in self.states
        if self._ours.hold(value):
            return True
        plain = value.kind in {Fact.CODE, Fact.NUMBER, Fact.MAIL}
        return (plain or read_back) and self._callers.hold(value)

    def quotes(self, text: str) -> bool:
        """Whether the words stand in an article as they are."""
        own = shingles(text)
        return bool(own) and own <= self._shingles

    def said_by_caller(self, digits: str) -> bool:
        """Whether the caller himself said these figures."""
        return any(digits in code for code in self._callers.codes)

    def caller_said(self, words: str) -> bool:
        """Whether the caller himself said these words, one after another."""
        return words in self._callers.text

    def cites(self, words: str) -> bool:
        """Whether an article or a tool's result holds these words, one after another."""
        return words in self._ours.text

    def overlap(self, words: Iterable[str]) -> tuple[int, int]:
        """Of the words with a meaning: how many stand in a source, and how many there are."""
        meant = {word[:5] for word in words if word.isalpha() and len(word) > 2 and word not in _STOP}
        return len(meant & self._topic), len(meant)


@dataclass
class _Values:
    """The values of some texts, for comparison."""

    exact: set[tuple[Fact, str]] = field(default_factory=set[tuple[Fact, str]])
    vague: set[tuple[Fact, str]] = field(default_factory=set[tuple[Fact, str]])
    numbers: set[str] = field(default_factory=set[str])
    codes: set[str] = field(default_factory=set[str])
    text: str = " "

    def add(self, text: str) -> None:
        self.text += " ".join(tokens(text)) + " "
        for value in values(text):
            self.exact.add((value.kind, value.value))
            if value.vague:
                self.vague.add((value.kind, value.value))
            head = value.value.split(" ")[0]
            if value.kind is Fact.TIME:
                self.exact.add((Fact.TIME, head))
                self.numbers.add(head.split(":")[0])
                self.numbers.add(head.split(":")[1].lstrip("0") or "0")
            elif value.kind is Fact.DATE:
                month, _, day = value.value.partition("-")
                self.exact |= {(Fact.DATE, f"{month}-"), (Fact.DATE, f"-{day}")}
                self.numbers.add(day)
            elif value.kind is Fact.MAIL:
                self.exact.add((Fact.SITE, value.value.partition("@")[2]))
            elif value.kind is Fact.CODE:
                self.codes.add(value.value)
            elif value.kind not in {Fact.STATUS, Fact.MAIL, Fact.SITE, Fact.WEEKDAY, Fact.RELATIVE}:
                self.numbers.add(head)
                if head.isdigit():
                    self.codes.add(head)

    def hold(self, value: Value) -> bool:
        if value.vague and (value.kind, value.value) not in self.vague:
            return False
        if (value.kind, value.value) in self.exact:
            return True
        match value.kind:
            case Fact.NUMBER:
                return value.value in self.numbers or value.value in self.codes
            case Fact.CODE:
                return any(value.value in code for code in self.codes)
            case Fact.TIME:
                clock, _, part = value.value.partition(" ")
                if part:
                    opposite = "am" if part == "pm" else "pm"
                    return (Fact.NUMBER, clock.split(":")[0]) in self.exact and (
                        (Fact.TIME, f"{clock} {opposite}") not in self.exact
                    )
                return (Fact.TIME, clock) in self.exact or clock.removesuffix(":00") in self.numbers
            case Fact.WEEKDAY | Fact.RELATIVE:
                return f" {value.value} " in self.text
            case _:
                return False


def shingles(text: str, size: int = _SHINGLE) -> frozenset[str]:
    """Every run of ``size`` words; of a shorter text the whole."""
    words = [word for word in tokens(text) if word not in ".;!?"]
    if len(words) <= size:
        return frozenset({" ".join(words)}) if words else frozenset()
    return frozenset(" ".join(words[at : at + size]) for at in range(len(words) - size + 1))
