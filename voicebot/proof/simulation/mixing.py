"""Adds several parties' sound. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from voicebot.audio.mulaw import decode, encode

from .ear import FRAME_BYTES, SILENCE


def mix(frames: Iterable[bytes]) -> bytes:
    """The sum of mu-law frames of up to 20 ms, clipped; a single sound passes as it is, none is ``b""``."""
    sounding = [frame for frame in frames if frame and frame != SILENCE[: len(frame)]]
    if len(sounding) < 2:
        return sounding[0] if sounding else b""
    total = np.zeros(FRAME_BYTES, dtype=np.int32)
    for frame in sounding:
        samples = decode(frame)
        total[: len(samples)] += samples
    return encode(np.clip(total, -32768, 32767).astype(np.int16))
