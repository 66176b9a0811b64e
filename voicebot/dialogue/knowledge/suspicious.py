"""Articles that give orders to the bot: found before they are written, file and line named. Pure but for
reading.
"""

from __future__ import annotations

from pathlib import Path

from voicebot.core.conversation import Strict
from voicebot.safety.guard_in import InputGuard, Source

_LINES = 3
"""An order may run over so many lines."""


class Suspicious(Strict):
    """A place in an article that the input guard refuses."""

    file: str
    line: int
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: reads like an order to the bot ({', '.join(self.reasons)})"


def suspicious(folder: Path, guard: InputGuard) -> tuple[Suspicious, ...]:
    """Every such place in the ``*.md`` under a folder, by file and line; each named once."""
    found: list[Suspicious] = []
    for path in sorted(folder.rglob("*.md")):
        lines = path.read_text(encoding="utf-8").splitlines()
        skip = 0
        for at in range(len(lines)):
            if at < skip or not lines[at].strip():
                continue
            for count in range(1, _LINES + 1):
                seen = guard.read("\n".join(lines[at : at + count]), Source.ARTICLE)
                if not seen.allowed:
                    here = at + count
                    found.append(
                        Suspicious(file=str(path.relative_to(folder)), line=here, reasons=seen.reasons)
                    )
                    skip = here
                    break
    return tuple(found)
