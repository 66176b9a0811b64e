"""Whether a frame holds somebody's voice. Pure."""

from __future__ import annotations

import numpy as np

from voicebot.audio.mulaw import decode


class VoiceMeter:
    """Tells a voice from the line's own noise: it is louder than that."""

    def __init__(self) -> None:
        self._floor = 20.0

    def loud(self, ulaw: bytes) -> bool:
        """One 20 ms frame of mu-law."""
        rms = float(np.sqrt(np.mean(decode(ulaw).astype(np.float32) ** 2)))
        # the floor follows quiet at once and loudness slowly: 4 s of steady noise become the floor
        self._floor = min(max(rms, 20.0), self._floor * 1.02 + 0.2)
        return rms > max(180.0, 3.0 * self._floor)
