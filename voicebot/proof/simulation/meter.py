"""Whether a frame holds somebody's voice. Pure."""

from __future__ import annotations

import numpy as np

from voicebot.audio.mulaw import decode

from .ear import SILENCE

_POWER = decode(bytes(range(256))).astype(np.float32) ** 2
"""Of each mu-law byte."""


class VoiceMeter:
    """Tells a voice from the line's own noise: it is louder than that."""

    def __init__(self) -> None:
        self._floor = 20.0

    def loud(self, ulaw: bytes) -> bool:
        """One 20 ms frame of mu-law."""
        if ulaw == SILENCE:
            self._floor = 20.0
            return False
        rms = float(np.sqrt(_POWER[np.frombuffer(ulaw, np.uint8)].mean()))
        # the floor follows quiet at once and loudness slowly: 4 s of steady noise become the floor
        self._floor = min(max(rms, 20.0), self._floor * 1.02 + 0.2)
        return rms > max(180.0, 3.0 * self._floor)
