"""What the stand-in for a language model says, read from ``answers.yaml`` or a file of its form."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml


@dataclass(frozen=True)
class Answers:
    """What the stand-in for a language model says: the first entry with a pattern that is heard.

    ``first_token_s`` and ``token_s`` pace it like voicebot's own responder in the same run.
    """

    entries: tuple[tuple[str, str], ...]
    otherwise: str
    first_token_s: float = 0.0
    token_s: float = 0.0

    def to(self, heard: str) -> str:
        """The answer to one turn of the caller."""
        for pattern, text in self.entries:
            if re.search(pattern, heard, re.IGNORECASE):
                return text
        return self.otherwise

    def tokens(self, heard: str) -> list[str]:
        """The same, word by word with the spaces."""
        return re.findall(r"\S+\s*", self.to(heard))


def read_answers(path: Path, *, more: bool = True) -> tuple[str, Answers]:
    """The greeting and the canned answers of ``answers.yaml`` or a file of its form.

    ``more``: with what the file says behind each answer, which voicebot says by itself.
    """
    document = yaml.safe_load(path.read_text())
    behind = f" {document['more']}" if more and "more" in document else ""
    entries = tuple((str(e["heard"]), str(e["say"]).strip() + behind) for e in document["answers"])
    answers = Answers(
        entries,
        document["otherwise"],
        document.get("first_token_ms", 0) / 1000,
        document.get("token_ms", 0) / 1000,
    )
    return document["greeting"], answers
