"""What is heard where a packet is missing: the last sound goes on and fades, then silence. Pure.

The last pitch period is repeated, as G.711 Appendix I does it, and fades within 60 ms: a longer made-up sound
would deceive a recogniser, and the end of a turn must not come later because the network failed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from voicebot.audio.mulaw import RATE_HZ

Pcm = npt.NDArray[np.int16]

FADE_MS = 60
JOIN_MS = 4
"""Over so much the real sound fades in again."""
_SHORTEST = RATE_HZ // 400
_LONGEST = RATE_HZ // 60
_KEPT = _LONGEST * 3
_PER_MS = RATE_HZ // 1000


class Concealer:
    """One stream's; samples at 8 kHz."""

    def __init__(self) -> None:
        self._past: Pcm = np.zeros(_KEPT, np.int16)
        self._period: Pcm | None = None
        self._gone = 0

    def real(self, pcm: Pcm) -> Pcm:
        """Sound that came, as it is to be heard."""
        if self._period is not None:
            pcm = pcm.copy()
            n = min(JOIN_MS * _PER_MS, len(pcm))
            rise = np.linspace(0.0, 1.0, n, endpoint=False)
            pcm[:n] = np.rint(pcm[:n] * rise + self._made(n) * (1 - rise)).astype(np.int16)
            self._period, self._gone = None, 0
        self._past = np.concatenate([self._past, pcm])[-_KEPT:]
        return pcm

    def missing(self, samples: int) -> Pcm:
        """As many samples for sound that did not come."""
        if self._period is None:
            self._period = self._past[-_period(self._past) :]
        made = self._made(samples)
        self._gone += samples
        self._past = np.concatenate([self._past, made])[-_KEPT:]
        return made

    def _made(self, samples: int) -> Pcm:
        assert self._period is not None
        at = np.arange(self._gone, self._gone + samples)
        volume = np.clip(1 - at / (FADE_MS * _PER_MS), 0.0, 1.0)
        return np.rint(self._period[at % len(self._period)] * volume).astype(np.int16)


def _period(past: Pcm) -> int:
    """The lag at which the sound is most like itself, in samples."""
    sound = past.astype(np.float64)
    last = sound[-_LONGEST:]
    best, best_score = _LONGEST, 0.0
    for lag in range(_SHORTEST, _LONGEST + 1):
        before = sound[-_LONGEST - lag : -lag]
        power = float(before @ before)
        score = float(last @ before) / power**0.5 if power > 0 else 0.0
        if score > best_score:
            best, best_score = lag, score
    return best
