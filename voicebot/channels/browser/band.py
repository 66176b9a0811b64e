"""From the 48 kHz of Opus to the 8 kHz of the house. Pure.

The engines' streaming resampler hands out its sound in blocks, up to 157 ms late from 48 to 8 kHz (soxr HQ):
good for speech that is made ahead, bad for a conversation. Here the ratio is a whole number, so a short
symmetrical filter does: 193 taps, Kaiser window, flat to 3.4 kHz; what would fold below that is 60 dB down.
It is 2 ms late.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from voicebot.audio.mulaw import RATE_HZ
from voicebot.channels.browser import packets

RATIO = packets.RATE_HZ // RATE_HZ
TAPS = 193
DELAY_MS = (TAPS // 2) * 1000 / packets.RATE_HZ


def _filter() -> npt.NDArray[np.float32]:
    at = np.arange(TAPS) - TAPS // 2
    middle_hz = 4000.0
    ideal = 2 * middle_hz / packets.RATE_HZ * np.sinc(2 * middle_hz / packets.RATE_HZ * at)
    shaped = ideal * np.kaiser(TAPS, 6.8)
    return (shaped / shaped.sum()).astype(np.float32)


_TAPS = _filter()


class Narrowing:
    """One stream's: 48 kHz in, exactly a sixth as many samples out, over its whole length."""

    def __init__(self) -> None:
        self._kept: npt.NDArray[np.float32] = np.zeros(TAPS - 1, np.float32)

    def feed(self, pcm: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
        """The next piece, shape ``[n]``; what does not make a sample yet waits for the next one."""
        sound = np.concatenate([self._kept, pcm.astype(np.float32)])
        count = max(0, (len(sound) - TAPS) // RATIO + 1)
        windows = np.lib.stride_tricks.sliding_window_view(sound, TAPS)[::RATIO][:count]
        self._kept = sound[count * RATIO :]
        return np.clip(np.rint(windows @ _TAPS), -32768, 32767).astype(np.int16)
