"""Prompts: versioned files of the deployment. The version (a digest) stands on every turn they wrote."""

from __future__ import annotations

import hashlib
from pathlib import Path

from voicebot.core.conversation import Strict
from voicebot.dialogue.phrases import slots_of

_SLOTS = {"answer": frozenset({"sentences", "passages", "history"})}


class PromptsError(Exception):
    """The prompts cannot be used; the message names the file and the slot."""


class Prompt(Strict):
    """One prompt: ``text`` with slots, ``version`` a digest of it."""

    name: str
    text: str
    version: str


class Prompts(Strict):
    """All prompts of a deployment."""

    answer: Prompt

    @classmethod
    def read(cls, folder: Path) -> Prompts:
        """Reads ``answer.md``.

        Raises:
            PromptsError: a file is missing, or its slots are not the ones that are filled.
        """
        return cls(answer=_read(folder / "answer.md", _SLOTS["answer"]))


def _read(path: Path, slots: frozenset[str]) -> Prompt:
    try:
        text = path.read_text(encoding="utf-8")
        found = slots_of(text)
    except OSError as error:
        raise PromptsError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise PromptsError(f"{path}: {error}") from error
    if found != slots:
        raise PromptsError(f"{path}: must use the slots {sorted(slots)}, found {sorted(found)}")
    return Prompt(name=path.stem, text=text, version=hashlib.sha256(text.encode()).hexdigest()[:12])
