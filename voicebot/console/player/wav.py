"""A call's sound as a WAV that can be asked for in parts: which bytes are which samples. Pure.

Stereo, PCM16, 8 kHz: the caller left, the bot right.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from voicebot.audio.recording.format import RATE_HZ

HEADER_BYTES = 44
FRAME_BYTES = 4
"""A sample of each channel."""
MOST_SAMPLES = (2**32 - 1 - HEADER_BYTES) // FRAME_BYTES
"""What the header can say: 37 hours."""

_ASKED = re.compile(r"^bytes=(\d*)-(\d*)$")


class OutsideRange(ValueError):
    """Bytes were asked for that the file does not have: 416."""


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes ``first`` to ``last`` (both in it) of ``size``; ``whole``: nothing else was asked for."""

    first: int
    last: int
    size: int
    whole: bool

    @property
    def length(self) -> int:
        """In bytes."""
        return self.last - self.first + 1

    @property
    def samples(self) -> tuple[int, int]:
        """From which sample to before which, so that they hold all of its bytes that are sound."""
        return (
            max(0, self.first - HEADER_BYTES) // FRAME_BYTES,
            max(0, self.last + 1 - HEADER_BYTES + FRAME_BYTES - 1) // FRAME_BYTES,
        )


def header(samples: int) -> bytes:
    """What stands before the sound."""
    data = samples * FRAME_BYTES
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", HEADER_BYTES - 8 + data, b"WAVE", b"fmt ", 16, 1, 2),
        *(RATE_HZ, RATE_HZ * FRAME_BYTES, FRAME_BYTES, 16, b"data", data),
    )


def part(asked: str | None, samples: int) -> Part:
    """What a ``Range`` header asks for. What is not understood is the whole file, as RFC 9110 has it.

    Raises:
        OutsideRange: nothing of it is there.
    """
    size = HEADER_BYTES + samples * FRAME_BYTES
    found = _ASKED.match((asked or "").replace(" ", ""))
    if found is None or found.groups() == ("", ""):
        return Part(0, size - 1, size, True)
    begin, end = found.groups()
    first = int(begin) if begin else max(0, size - int(end))
    last = min(int(end), size - 1) if begin and end else size - 1
    if first >= size or (begin and end and int(end) < first) or (not begin and int(end) == 0):
        raise OutsideRange(f"the file has {size} bytes")
    return Part(first, last, size, False)
