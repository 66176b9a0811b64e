"""The lines the bot says by itself: fixed phrases, templates with slots, and one line per tool outcome."""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import Formatter
from typing import Any, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, PrivateAttr, field_validator, model_validator

from voicebot.core.conversation import Channel, Clause, Strict
from voicebot.dialogue.generation.clauses import split
from voicebot.dialogue.generation.spoken import spoken

# Every key the dialogue can ask for: a deployment that misses one refuses to load.
REQUIRED = frozenset(
    [
        "greeting.notice",
        "greeting.person",
        "greeting.question",
        "owed.notice",
        "recall.offer.today",
        "recall.offer.week",
        "recall.offer.yesterday",
        "recall.same.today",
        "recall.same.week",
        "recall.same.yesterday",
        "recovery.sorry",
        "recovery.question",
        "filler",
        "fallback",
        "act.again",
        "act.anew",
        "act.changed",
        "act.sure",
        "act.why",
        "act.changed_since",
        "act.disagrees",
        "act.earlier",
        "act.hint",
        "act.hold",
        "act.over_limit",
        "act.unavailable",
        "act.unclear",
        "act.unknown",
        "act.value_again",
        "act.value_missing",
        "ask.more",
        "ask.what",
        "ask.confirm",
        "ask.waiting",
        "ask.person",
        "ask.continue",
        "ask.choice",
        "ask.about",
        "ask.thing",
        "promise.needs",
        "promise.offer",
        "promise.confirm",
        "promise.contact",
        "promise.wish",
        "promise.callback",
        "promise.request",
        "promise.already",
        "promise.standing",
        "promise.failed",
        "whisper.hand_over",
        "whisper.say",
        "whisper.steer",
        "draft.about_one",
        "draft.filler",
        "draft.hold",
        "draft.still",
        "draft.thanks",
        "draft.about",
        "draft.rejected",
        "draft.overdue",
        "tool.wait",
        "identity.passed",
        "identity.refused",
        "identity.no_reference",
        "identity.why",
        "heard.again",
        "heard.keys",
        "heard.engine",
        "heard.empty",
        "heard.unsure",
        "heard.noise",
        "heard.deaf",
        "heard.last",
        "heard.noise_last",
        "keypad.menu",
        "keypad.yes_no",
        "keypad.choice",
        "keypad.contact",
        "understood.not",
        "understood.circles",
        "guard.end",
        "guard.extraction",
        "guard.injection",
        "guard.out",
        "guard.warn",
        "scope.out",
        "scope.language",
        "know.not",
        "know.not_but",
        "know.no_fact",
        "answer.again",
        "answer.yes",
        "answer.no",
        "answer.page",
        "answer.reason",
        "answer.all",
        "answer.unhelpful",
        "why.nothing",
        "why.page",
        "why.page_sure",
        "why.records",
        "why.records_sure",
        "tool.failed",
        "silence.first",
        "silence.second",
        "silence.end",
        "handoff.now",
        "transfer.waiting",
        "transfer.another",
        "transfer.coming",
        "transfer.sending",
        "transfer.over",
        "transfer.take",
        "transfer.take_again",
        "transfer.thanks",
        "transfer.failed.declined",
        "transfer.failed.busy",
        "transfer.failed.no_answer",
        "transfer.failed.agent_left",
        "transfer.failed.failed",
        "transfer.failed.cancelled",
        "transfer.failed.handed_back",
        "desk.coming",
        "desk.hold",
        "desk.back",
        "desk.goodbye",
        "handoff.sorry",
        "handoff.team",
        "handoff.circles",
        "handoff.also",
        "handoff.why",
        "handoff.distress",
        "handoff.taken",
        "handoff.waiting",
        "handoff.person_needed",
        "handoff.slow",
        "handoff.long",
        "end.goodbye",
        "repeat.nothing",
        "repeat.enough",
        "say.greeting",
        "say.thanks",
        "say.sorry",
        "say.help",
        "say.chitchat",
        "say.wait",
        "say.yes",
        "say.no",
        "say.dropped",
    ]
)
_KEY = re.compile(r"^[a-z]+(\.[a-z_]+)*$")


class UnknownPhrase(KeyError):
    """No such line; the message names the key to add to phrases.yaml."""


class Phrases(Strict):
    """``business/phrases.yaml`` without its recognition part. Immutable; shared by all conversations."""

    brand: str = Field(min_length=1)
    time_zone: str = "UTC"
    """The business's, by its IANA name: what "tomorrow" and "at night" mean."""
    spoken: dict[str, str | tuple[str, ...]]
    results: dict[str, str] = Field(default_factory=dict[str, str])
    menu: dict[str, str] = Field(default_factory=dict[str, str])
    choices: dict[str, dict[str, tuple[str, ...]]] = Field(
        default_factory=dict[str, dict[str, tuple[str, ...]]]
    )
    """For a value of an act with a few cases (``tool.field``): the words by which callers mean each."""
    channels: dict[Channel, dict[str, str | tuple[str, ...]]] = Field(
        default_factory=dict[Channel, dict[str, str | tuple[str, ...]]]
    )
    """Lines of `spoken` that a channel puts differently; an empty one is left out there."""
    recognition: dict[str, Any] = Field(default_factory=dict[str, Any])
    """Read by the recogniser; kept here so that the whole file has one shape."""
    _on: dict[Channel, Phrases] = PrivateAttr(default_factory=dict["Channel", "Phrases"])

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{name!r} is no time zone of this system (such as America/Chicago)") from error
        return name

    @model_validator(mode="after")
    def _whole(self) -> Self:
        missing = sorted(REQUIRED - set(self.spoken))
        if missing:
            raise ValueError(f"spoken: lines missing: {', '.join(missing)}")
        for key, lines in self.spoken.items():
            if not _KEY.match(key) or not lines or not all(self._lines(key)):
                raise ValueError(f"spoken.{key}: needs a dotted lower-case key and at least one line")
        bad = sorted(key for key in self.menu if not re.fullmatch(r"[1-9]", key))
        if bad:
            raise ValueError(f"menu: {bad} cannot be chosen; use keys 1 to 9 (0 is always a person)")
        for channel, lines in self.channels.items():
            self._check_channel(channel, lines)
            whole = {**self.spoken, **lines}
            self._on[channel] = self.model_copy(update={"spoken": whole, "channels": {}})
        return self

    def on(self, channel: Channel) -> Phrases:
        """The lines as this channel puts them."""
        return self._on.get(channel, self)

    def text(self, key: str, nth: int = 0, /, **slots: Any) -> str:
        """A line's words. ``nth`` counts how often it was said: each time the next wording, then the last.

        Raises:
            UnknownPhrase: no such line.
            KeyError: a slot of the line was not given.
        """
        lines = self._lines(key)
        line = lines[min(nth, len(lines) - 1)]
        return _fill(line, slots)

    def wordings(self, key: str) -> tuple[str, ...]:
        """All wordings of a line, with their slots."""
        return self._lines(key)

    def variants(self, key: str) -> int:
        """How many wordings a line has."""
        return len(self._lines(key))

    def has(self, key: str) -> bool:
        """Whether there is such a line."""
        return key in self.spoken

    def result(self, tool: str, outcome: str, fields: Mapping[str, Any]) -> str:
        """What is said for a tool's outcome, its fields rendered for speech.

        Raises:
            UnknownPhrase: the deployment has no line for it.
        """
        line = self.results.get(f"{tool}.{outcome}")
        if line is None:
            raise UnknownPhrase(f"phrases.yaml has no results line {tool}.{outcome}")
        return _fill(line, fields)

    def is_fixed(self, key: str) -> bool:
        """Whether a line has no slots, so that its sound can be kept."""
        return not any(slots_of(line) for line in self._lines(key))

    def fixed_phrases(self) -> tuple[str, ...]:
        """Texts of all clauses that never change: what the phrase cache renders before the first call."""
        texts = [
            clause
            for key in sorted(self.spoken)
            for line in self._lines(key)
            if not slots_of(line)
            for clause in split(line)
        ]
        return tuple(dict.fromkeys(texts))

    def filler(self, nth: int = 0) -> Clause:
        """Said when an answer is slow to come; ``nth`` counts those that were said, so that they vary."""
        return Clause(text=self.text("filler", nth % self.variants("filler")), fixed=True)

    def held(self, nth: int = 0) -> Clause:
        """Said while a colleague looks at what waits for approval; as `filler`."""
        return Clause(text=self.text("draft.filler", nth % self.variants("draft.filler")), fixed=True)

    def fallback(self) -> Clause:
        """Said when an answer does not come at all."""
        return Clause(text=self.text("fallback"), fixed=True)

    def _check_channel(self, channel: Channel, lines: Mapping[str, str | tuple[str, ...]]) -> None:
        for key, put in lines.items():
            if key not in self.spoken:
                raise ValueError(f"channels.{channel}.{key}: no such line under `spoken`")
            known = frozenset().union(*(slots_of(line) for line in self._lines(key)))
            for line in (put,) if isinstance(put, str) else put:
                if strange := sorted(slots_of(line) - known):
                    raise ValueError(f"channels.{channel}.{key}: slots {strange} are not in spoken.{key}")

    def _lines(self, key: str) -> tuple[str, ...]:
        lines = self.spoken.get(key)
        if lines is None:
            raise UnknownPhrase(f"phrases.yaml has no spoken line {key}")
        return (lines,) if isinstance(lines, str) else lines


def slots_of(line: str) -> frozenset[str]:
    """Names of a line's slots.

    Raises:
        ValueError: a brace is not closed, or a slot is more than a name.
    """
    names: set[str] = set()
    for _, name, spec, conversion in Formatter().parse(line):
        if name is None:
            continue
        if spec or conversion or not name.isidentifier():
            raise ValueError(f"{line!r}: a slot is a plain name in braces, not {{{name}}}")
        names.add(name)
    return frozenset(names)


def _fill(line: str, slots: Mapping[str, Any]) -> str:
    return line.format_map({name: spoken(slots[name]) for name in slots_of(line)})
