"""The sound of a recording from any place: where each record lies, found once, opened when it is asked for.

A recording of an hour is read once to know where its seconds are and how loud they are (`Sound.examined`);
after that a second costs one record. Synchronous: for a thread, and not for an event loop.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from voicebot.audio.recording.format import RECORD_HEAD, RecordingAltered, RecordingError, Seal, read_header
from voicebot.audio.recording.muting import Mute, hushed
from voicebot.audio.recording.peaks import Loudness
from voicebot.audio.recording.reader import Problem, Reading, audio_chunks, paths_of, samples_of

_BREATHE = 32
"""Records between two moments in which other threads of the process have their turn."""


@dataclass
class Sound:
    """The sound of one media session. ``samples``: per channel, as far as it can be read."""

    path: Path
    key: bytes = field(repr=False)
    samples: int
    loudness: Loudness
    _places: list[tuple[int, int, int]] = field(repr=False)  # offset, record, first sample

    @classmethod
    def examined(cls, path: Path, key: bytes, mutes: Sequence[Mute], reading: Reading) -> Sound:
        """Reads it through. What is wrong from some place on is told to ``reading``; it ends there.

        Args:
            path: with or without suffix.
            key: the recording's.
            mutes: stretches that are silent, also in what is told of its loudness.
            reading: learns what is wrong.

        Raises:
            RecordingError: nothing of it can be read (`NewerFormat`, `WrongKey`, ...).
            OSError: the file is missing or cannot be read.
        """
        audio = paths_of(path)[0]
        with audio.open("rb") as file:
            read_header(file)
        places: list[tuple[int, int, int]] = []
        loudness = Loudness()
        samples = 0

        def placed(offset: int, record: int, first: int) -> None:
            places.append((offset, record, first))

        chunks = audio_chunks(audio, key, reading, placed)
        try:
            for number, ulaw in enumerate(chunks):
                loudness.add(hushed(ulaw, samples, mutes))
                samples += ulaw.shape[0]
                if number % _BREATHE == 0:
                    time.sleep(0)
        except RecordingAltered as error:
            ends_ms = samples * 1000 // 8000
            reading.whole = False
            reading.problems.append(Problem("altered", ends_ms, f"the sound is damaged: {error}"))
            places = [place for place in places if place[2] < samples]
        return cls(audio, key, samples, loudness, places)

    def read(self, first: int, last: int, mutes: Sequence[Mute]) -> Iterator[npt.NDArray[np.uint8]]:
        """Mu-law ``[n, 2]`` from sample ``first`` to before ``last``, a record or less at a time.

        Raises:
            RecordingError: the file is not any more what was examined.
            OSError: it cannot be read.
        """
        last = min(last, self.samples)
        if not 0 <= first < last:
            return
        place = bisect_right(self._places, first, key=lambda one: one[2]) - 1
        with self.path.open("rb") as file:
            seal = Seal(self.key, read_header(file))
            for offset, number, begins in self._places[place:]:
                if begins >= last:
                    return
                file.seek(offset)
                length, kind = RECORD_HEAD.unpack(_exactly(file.read(RECORD_HEAD.size), RECORD_HEAD.size))
                seal.number = number
                plain = seal.open(kind, _exactly(file.read(length), length))
                at = begins
                for ulaw in samples_of(kind, plain, number):
                    a, b = max(0, first - at), min(ulaw.shape[0], last - at)
                    if a < b:
                        yield hushed(ulaw[a:b], at + a, mutes)
                    at += ulaw.shape[0]


def _exactly(data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise RecordingError("the file became shorter while it was read")
    return data
