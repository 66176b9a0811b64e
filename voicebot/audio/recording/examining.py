"""A recording as far as it can be read, with everything that is wrong with it by name: for people.

`read_recording` refuses what is damaged, as a replay must; here a record that was altered ends the reading,
and what was sound before it is shown. The sound is the muted copy's and no other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voicebot.audio.recording.format import AudioMissing, RecordingAltered, RecordingError
from voicebot.audio.recording.muting import Mute, mutes, unchecked
from voicebot.audio.recording.reader import Problem, Reading, event_records, paths_of
from voicebot.audio.recording.seeking import Sound

Also = Callable[[Sequence[dict[str, Any]]], Sequence[Mute]]
"""Further stretches that must be silent, from the events."""


@dataclass(frozen=True)
class Examined:
    """One media session. ``sound``: None where there is none that may be heard; ``problems`` say why.

    ``events``: as they are in the file, for who masks them; ``mutes``: what is silent in ``sound``.
    """

    sound: Sound | None
    events: list[dict[str, Any]]
    mutes: tuple[Mute, ...]
    problems: tuple[Problem, ...]
    version: int
    whole: bool

    @property
    def ends_ms(self) -> int:
        """How long it is."""
        if self.sound is not None:
            return self.sound.samples // 8
        return max((int(e["at_ms"]) for e in self.events if e.get("at_ms") is not None), default=0)


def examine(path: Path, key: bytes, also: Also = lambda events: ()) -> Examined:
    """Reads what can be read of both files. Synchronous, some 10 ms for a minute: for a thread.

    Args:
        path: with or without suffix.
        key: the recording's.
        also: what must be silent besides what the recording itself says.

    Raises:
        RecordingError: nothing can be read (`NotARecording`, `NewerFormat`, `WrongKey`).
        OSError: the disk.
    """
    audio_path, events_path = paths_of(path)
    reading = Reading(accept_truncated=True)
    events, known = _events(events_path, key, reading)
    told_whole = reading.whole and known
    if not known:
        text = "its events are missing: what is personal in its sound is not known, so none of it is played"
        reading.problems.append(Problem("sound_missing", 0, text))
    silent = (*mutes(events), *unchecked(events, whole=told_whole), *also(events))
    sound: Sound | None = None
    if not audio_path.exists():
        reading.problems.append(Problem("sound_missing", 0, str(AudioMissing(audio_path.name))))
    elif known:
        reading.whole = True
        sound = Sound.examined(audio_path, key, silent, reading)
        reading.look(sound.samples)
    return Examined(
        sound,
        events,
        silent,
        tuple(_once(reading.problems)),
        reading.version,
        told_whole and reading.whole and sound is not None,
    )


def _events(path: Path, key: bytes, reading: Reading) -> tuple[list[dict[str, Any]], bool]:
    """The events up to where they end, and whether there is such a file at all."""
    events: list[dict[str, Any]] = []
    try:
        for event in event_records(path, key, reading):
            events.append(event)  # noqa: PERF402  # what came before an error counts
    except FileNotFoundError:
        return events, False
    except RecordingAltered as error:
        reading.whole = False
        at_ms = max((int(e["at_ms"]) for e in events if e.get("at_ms") is not None), default=0)
        reading.problems.append(Problem("altered", at_ms, f"its events are damaged: {error}"))
    return events, True


def _once(problems: Sequence[Problem]) -> list[Problem]:
    """Both files of a recording that was cut short say so; one of it is enough."""
    found: dict[tuple[str, str], Problem] = {}
    for problem in problems:
        found.setdefault((problem.kind, problem.text), problem)
    return list(found.values())


__all__ = ["Also", "Examined", "RecordingError", "examine"]
