"""What a synthetic caller wants, says and does: the script of a call, read from YAML, strictly.

The format is described in ``docs/local-twilio.md``. A script names lines (recorded files) and cues (words
the caller listens for in what it hears); it knows nothing of the bot.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from voicebot.core.documents import parse_yaml

from .clips import ClipError, read_wav
from .people import Does


class ScriptError(Exception):
    """A script that cannot be used; the message names the place and what to write instead."""


def _listed(value: Any) -> Any:
    """One phrase may stand for a list of one; a YAML list becomes a tuple."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType]


Phrases = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_listed)]
Lines = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_listed)]
Digits = Annotated[str, Field(pattern=r"^[0-9*#]+$")]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Interruption(_Strict):
    """Speaking into the bot's answer."""

    after_s: float = Field(gt=0.2, le=30)
    """Seconds of the bot's speech before it is interrupted."""
    say: Lines
    """The line; several are taken in turn, one per try."""


class Step(_Strict):
    """One thing the caller wants. Exactly one of ``say press wait_s hang_up`` says how it begins."""

    say: Lines | None = None
    """The line to say; several are taken in turn, one per try."""
    press: Digits | None = None
    wait_s: float | None = Field(default=None, gt=0, le=300)
    """Only listens, for so long."""
    hang_up: bool | None = None
    name: str | None = None
    until: Phrases = ()
    """Answered when one of these was heard; without, when the bot has spoken and stopped."""
    at_once: bool = False
    """Goes on as soon as it was said or pressed, without waiting for an answer."""
    tries: int = Field(default=3, ge=1, le=10)
    interrupt: Interruption | None = None
    """Counts as done only if the bot really was interrupted."""
    murmur: Interruption | None = None
    """Says something into the answer that must not end it ("uh huh"), and goes on listening."""

    @model_validator(mode="after")
    def _one_beginning(self) -> Step:
        given = [n for n in ("say", "press", "wait_s", "hang_up") if getattr(self, n) not in (None, False)]
        if len(given) != 1:
            raise ValueError(
                f"a step needs exactly one of say, press, wait_s, hang_up; it has {given or 'none'}"
            )
        if self.at_once and (self.until or (self.say is None and self.press is None)):
            raise ValueError("at_once is for what is said or pressed without waiting for an answer")
        if self.interrupt is not None and self.murmur is not None:
            raise ValueError("an answer that is interrupted cannot be murmured into")
        spoken_into = self.interrupt or self.murmur
        if spoken_into is not None and self.say is None and self.press is None:
            raise ValueError("only a step that says or presses something has an answer to interrupt")
        return self

    @property
    def label(self) -> str:
        """What reports call it."""
        if self.name:
            return self.name
        if self.say:
            return self.say[0]
        return (
            f"press {self.press}"
            if self.press
            else ("hang up" if self.hang_up else f"wait {self.wait_s:g} s")
        )


class Rule(_Strict):
    """What the caller answers whenever the bot asks for it. Checked in order when the bot stops talking."""

    when: Phrases = Field(min_length=1)
    """Any of these was heard ..."""
    also: Phrases = ()
    """... and, if given, any of these ..."""
    unless: Phrases = ()
    """... and none of these."""
    say: Lines | None = None
    """Lines taken in turn each time it is asked; the last one stays."""
    press: Digits | None = None
    times: int = Field(default=6, ge=1, le=50)
    """So often at most; then the rule is ignored."""

    @model_validator(mode="after")
    def _one_answer(self) -> Rule:
        if (self.say is None) == (self.press is None):
            raise ValueError("an answer needs exactly one of say, press")
        return self


class PartyScript(_Strict):
    """What one party of a call wants and does."""

    voice: str
    """Folder of the lines. ``VOICE/LINE`` in a step is somebody else's line: the phone was passed on."""
    steps: tuple[Step, ...] = Field(min_length=1, strict=False)
    answers: tuple[Rule, ...] = Field(default=(), strict=False)
    hears: Phrases = ()
    """More phrases the bot may say (names of goods): they help the ears tell things apart."""
    silence_ms: int = Field(default=900, ge=300, le=5000)
    """The bot has finished when it was silent for so long."""
    pause_ms: int = Field(default=200, ge=0, le=10000)
    """Then the caller thinks for so long."""
    patience_s: float = Field(default=5.0, gt=0.5, le=60)
    """With nothing understood, or nothing said, for so long, the caller says it again. Keep it below the time
    after which the bot asks whether anybody is there."""
    greeting_s: float = Field(default=10.0, ge=0, le=60)
    """Waits so long for the bot to speak first."""
    limit_s: float = Field(default=240.0, gt=1, le=3600)
    """Hangs up after this, whatever happened."""

    @property
    def cues(self) -> tuple[str, ...]:
        """Everything the caller listens for."""
        found = [*(c for s in self.steps for c in s.until)]
        for rule in self.answers:
            found += [*rule.when, *rule.also, *rule.unless]
        return tuple(dict.fromkeys(found))

    @property
    def line_names(self) -> tuple[str, ...]:
        """Every line that may be said."""
        found: list[str] = []
        for step in self.steps:
            found += [*(step.say or ()), *(step.interrupt.say if step.interrupt else ())]
            found += step.murmur.say if step.murmur else ()
        for rule in self.answers:
            found += rule.say or ()
        return tuple(dict.fromkeys(found))


class AgentScript(PartyScript):
    """Somebody whom the bot may have rung: whether they answer, and what they then do, by what they hear."""

    voice: str = ""
    """Of its lines; needed where it says something."""
    steps: tuple[Step, ...] = Field(default=(), strict=False)
    """After the last one it hangs up; ``wait_s`` stays on the line. None: it answers and says nothing."""
    number: str | None = Field(default=None, pattern=r"^\+[1-9]\d{4,14}$")
    """The number it answers, once; without one, any."""
    does: Does = "answer"
    told: Phrases = ()
    """One of these must have been understood by the end, e.g. words of the briefing."""
    rings_s: float = Field(default=2.0, ge=0, le=120)
    """So long its phone rings before it answers, is busy or turns the call away."""
    name: str = ""

    @model_validator(mode="after")
    def _acts_only_when_there(self) -> AgentScript:
        if self.steps and self.does != "answer":
            raise ValueError(f"an agent that does {self.does} takes no steps")
        if self.line_names and not self.voice and not all("/" in name for name in self.line_names):
            raise ValueError("an agent that says something needs a voice")
        return self

    @property
    def cues(self) -> tuple[str, ...]:
        """Everything the agent listens for."""
        return tuple(dict.fromkeys((*super().cues, *self.told)))

    @property
    def label(self) -> str:
        """What reports call it."""
        return self.name or self.number or "agent"


class CallScript(PartyScript):
    """A whole script: the caller's wishes, and who is there when the bot rings somebody."""

    agents: tuple[AgentScript, ...] = Field(default=(), strict=False)


def read_script(path: Path) -> CallScript:
    """Reads a script file.

    Raises:
        ScriptError: missing, no YAML, or not of the format; each wrong place is named.
    """
    try:
        data = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScriptError(f"cannot read the script {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ScriptError(f"{path} is no YAML: {error}") from error
    try:
        return CallScript.model_validate(data)
    except ValidationError as error:
        places = [f"{'.'.join(map(str, e['loc'])) or 'the script'}: {e['msg']}" for e in error.errors()]
        raise ScriptError(f"{path} is no caller's script:\n  " + "\n  ".join(places)) from error


class Line(BaseModel):
    """A recorded line."""

    model_config = ConfigDict(frozen=True)

    name: str
    text: str
    ulaw: bytes
    voiced_ms: tuple[int, int] | None = None
    """Where its words begin and end, where noise on it hides that; None: as its sound says."""


def load_lines(folder: Path, script: PartyScript) -> dict[str, Line]:
    """The lines of a script: ``<folder>/<voice>/<name>.wav`` with their words from ``<folder>/lines.yaml``.

    Raises:
        ScriptError: a line is missing or unusable; the message names those that exist.
    """
    try:
        listed = parse_yaml((folder / "lines.yaml").read_text(encoding="utf-8"))
    except OSError as error:
        raise ScriptError(f"cannot read {folder / 'lines.yaml'}: {error.strerror}") from error
    texts = {(str(e.get("voice")), e["name"]): e.get("text", "") for e in listed}
    lines: dict[str, Line] = {}
    for spoken in script.line_names:
        voice, _, name = spoken.rpartition("/")
        lines[spoken] = _line(folder, voice or script.voice, name, spoken, texts)
    return lines


def _line(folder: Path, voice: str, name: str, spoken: str, texts: dict[tuple[str, str], str]) -> Line:
    own = sorted(line for other, line in texts if other == voice)
    if not own:
        there = ", ".join(sorted({other for other, _ in texts}))
        raise ScriptError(f"no lines in voice {voice!r}; there are {there}")
    path = folder / voice / f"{name}.wav"
    if not path.exists():
        raise ScriptError(f"no line {name!r} in voice {voice!r}; there are {', '.join(own)}")
    try:
        return Line(name=spoken, text=texts.get((voice, name), name), ulaw=read_wav(path))
    except ClipError as error:
        raise ScriptError(str(error)) from error
