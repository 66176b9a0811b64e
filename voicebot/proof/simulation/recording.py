"""The two-channel record of a call on one clock: what the caller said, what the caller heard."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from voicebot.audio.mulaw import RATE_HZ, decode


@dataclass
class CallRecording:
    """Mu-law, 8 kHz. Byte n of either channel is 1/8 ms times n after the call was placed."""

    said: bytearray = field(default_factory=bytearray)
    heard: bytearray = field(default_factory=bytearray)

    @property
    def duration_ms(self) -> float:
        """Length of the longer channel."""
        return max(len(self.said), len(self.heard)) / 8

    def samples(self) -> npt.NDArray[np.int16]:
        """PCM16 of shape ``[n, 2]``: column 0 said, column 1 heard."""
        n = max(len(self.said), len(self.heard))
        both = [decode(bytes(c).ljust(n, b"\xff")) for c in (self.said, self.heard)]
        return np.stack(both, axis=1)

    def save(self, path: Path) -> None:
        """Writes a stereo PCM16 WAV: left the caller, right what the caller heard."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wav_bytes(self.samples()))


def wav_bytes(samples: npt.NDArray[np.int16], rate_hz: int = RATE_HZ) -> bytes:
    """A PCM16 WAV file of ``[n]`` or ``[n, channels]`` samples."""
    data = np.ascontiguousarray(samples, dtype="<i2").tobytes()
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    block = 2 * channels
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, channels,
                       rate_hz, rate_hz * block, block, 16, b"data", len(data))  # fmt: skip
    return head + data
