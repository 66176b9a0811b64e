"""PCM16 from an engine to mu-law for the line."""

from __future__ import annotations

import numpy as np

from voicebot.audio import mulaw


class UlawEncoder:
    """For one clause: chunks may split a sample, the half waits for the next chunk."""

    def __init__(self) -> None:
        self._half = b""

    def encode(self, pcm16: bytes) -> bytes:
        """As many mu-law bytes as there are whole samples so far."""
        data = self._half + pcm16
        whole = len(data) - len(data) % 2
        self._half = data[whole:]
        return mulaw.encode(np.frombuffer(data[:whole], dtype="<i2").astype(np.int16, copy=False))
