"""The emergency lines: spoken words that need no engine, shipped as mu-law WAV files in this package.

``scripts/make_lines.py`` makes them from the texts here. ``/twilio/lines/{name}.wav`` serves the files.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from voicebot.audio.speaking.wavefile import SpokenAudio, from_wav

LINES: dict[str, str] = {
    "one_moment": "One moment, please.",
    "trouble_hearing": "I am having trouble hearing you. You can also use the keys of your phone.",
    "handing_over": "Please hold the line. I will put you through to a person.",
    "sorry_ended": "I am sorry, I can not help you right now. Please call again later. Goodbye.",
    "recovered": "I am sorry, the line dropped for a moment. I am back.",
}
"""Name and text of each line."""

FOLDER = Path(__file__).with_name("lines")


class UnknownLine(KeyError):  # names what is wrong with the name
    """There is no emergency line of that name; the known ones are the keys of ``LINES``."""


def line_path(name: str) -> Path:
    """Where the line's WAV file lies.

    Raises:
        UnknownLine: ``name`` is not in ``LINES`` (so no path outside the folder can be asked for).
    """
    if name not in LINES:
        raise UnknownLine(name)
    return FOLDER / f"{name}.wav"


@lru_cache(maxsize=len(LINES))
def line(name: str) -> SpokenAudio:
    """The line, read once per process (about 20 KB).

    Raises:
        UnknownLine: no such line.
    """
    return from_wav(line_path(name).read_bytes())


def load_lines() -> None:
    """Reads them all, so that none needs the disk in its emergency. Call it at start."""
    for name in LINES:
        line(name)
