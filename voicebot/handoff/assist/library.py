"""What a deployment reminds its agents of while they talk: ``business/assist.yaml``. Reviewed, as patterns.

Without the file there are no promises and no actions of its own; warnings have words of their own.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from voicebot.core.conversation import Strict
from voicebot.handoff.assist.suggestion import Books
from voicebot.handoff.document import read_document
from voicebot.handoff.patterns import PatternsError, Reviewed

UNVERIFIED = "unverified"
IDENTITY_ASKED = "identity_asked"
UPSET = "upset"
SIGNS = (UNVERIFIED, IDENTITY_ASKED, UPSET)
"""Signs that are seen without a word of the file; each promise adds ``promised_NAME``."""

_LONGEST = 200
_NAME = r"^[a-z][a-z0-9_]*$"


class Promise(Strict):
    """Something that an agent may promise. ``words``: how it sounds behind "I'll", "we will" and the like."""

    words: tuple[str, ...] = Field(min_length=1)
    books: Books | None = None

    @field_validator("words")
    @classmethod
    def _plain(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [one for one in words if one != one.lower() or len(one.split()) < 2]:
            raise ValueError(f"{wrong}: two words or more, in lower case")
        return words


class During(Strict):
    """Conditions of an action; all that are given must hold, of a list one entry.

    ``sign``: one of `SIGNS` or ``promised_NAME``. ``intent``: of what is spoken of now.
    """

    sign: tuple[str, ...] = Field(min_length=1)
    intent: tuple[str, ...] = ()


class LiveAction(Strict):
    """One action with its conditions. ``next``: one line, to the agent."""

    name: str = Field(pattern=_NAME)
    when: During
    next: str = Field(min_length=1, max_length=_LONGEST)
    reviewed: Reviewed


class Cautions(Strict):
    """What a warning says. ``{topic}``, ``{fact}``: what it is about."""

    card_said: str = "A card number was said: do not repeat it and do not write it down. It is kept nowhere."
    card_asked: str = "Take no card data on the line or in the chat: it would be recorded."
    code_said: str = "A code or password was said: do not repeat it and do not write it down."
    distress: str = "Somebody may be in danger or despair: ask, stay with them, and get the shift lead."
    regulated: str = "This is a topic for specialists ({topic}): promise and admit nothing."
    no_fact: str = "No article gives {fact} for what was named: do not name one from memory."


class Assistance(Strict):
    """The file. Immutable; one per node. ``identity_words``: what an agent asks for to check who it is."""

    promises: dict[str, Promise] = Field(default_factory=dict[str, Promise])
    actions: tuple[LiveAction, ...] = ()
    warnings: Cautions = Cautions()
    identity_words: tuple[str, ...] = ()
    topics: dict[str, str] = Field(default_factory=dict[str, str])
    """Topics that only specialists may speak about, in words."""

    @classmethod
    def read(cls, folder: Path) -> Assistance:
        """Reads ``business/assist.yaml`` of a deployment's folder, if it is there.

        Raises:
            PatternsError: it has another shape.
        """
        path = folder / "business" / "assist.yaml"
        if not path.exists():
            return cls()
        return read_document(cls, path, PatternsError, hint=" (a day needs quotes)")

    def overdue(self, today: date, *, after_days: int = 365) -> tuple[str, ...]:
        """Names of the actions that nobody has looked at for so long."""
        return tuple(one.name for one in self.actions if (today - one.reviewed.day).days > after_days)

    @model_validator(mode="after")
    def _known(self) -> Self:
        names = [one.name for one in self.actions]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"actions: {twice} stand there twice")
        signs = {*SIGNS, *map(promised, self.promises)}
        if strange := sorted({sign for one in self.actions for sign in one.when.sign} - signs):
            raise ValueError(f"actions: there are no signs {strange}: they are {sorted(signs)}")
        return self


def promised(name: str) -> str:
    """The sign of a promise."""
    return f"promised_{name}"
