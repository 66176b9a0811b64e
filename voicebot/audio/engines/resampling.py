"""Audio from an engine's rate to the one that was asked for, piece by piece, nothing lost at the end."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import soxr


class Resampler:
    """A stream of PCM16 from ``from_hz`` to ``to_hz``; a stream of its own for every clause."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        same = from_hz == to_hz
        self._stream = None if same else soxr.ResampleStream(from_hz, to_hz, 1, dtype="int16")

    def feed(self, pcm16: npt.NDArray[np.int16], *, last: bool = False) -> bytes:
        """The resampled piece; ``last`` gives what was held back, too."""
        if self._stream is None:
            return pcm16.tobytes()
        return self._stream.resample_chunk(pcm16, last=last).tobytes()
