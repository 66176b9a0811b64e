"""How much of what the caller's line carries is our own voice coming back. Pure, numpy; no clock.

The other end of a line returns what we sent, 20 dB and more below it and up to half a second later. We know
what we sent and about when it played, so the last 96 ms heard are compared with it at every delay: one
correlation by FFT at 4 kHz, some 0.2 ms, and only for windows that could be a voice. Where the same delay
explains window after window, less proof is asked of the next.

A sound that is not at least ``RETURN_LOSS_DB`` softer than what it would be the echo of is none, so a caller
who speaks over their own line's echo is heard.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from voicebot.audio.hearing.vad import WINDOW, WINDOW_MS
from voicebot.audio.mulaw import decode

RETURN_LOSS_DB = 10.0
"""Echo is softer than what we sent by this at least: lines promise 20 dB and more, and keep half of it."""

LONGEST_MS = 700
"""The longest delay looked for: 500 ms of the line, and the round trip that is not known before the first
mark."""

EARLIEST_MS = -100
"""Our idea of when something plays may be late by so much."""

_RATE = 4000  # Hz
_PER_MS = _RATE // 1000
_SPAN = 3 * WINDOW // 2  # samples compared: 96 ms
_LAGS = (LONGEST_MS - EARLIEST_MS) * _PER_MS
_FFT = 4096
_KEPT = 3 * _RATE  # what we sent, around the present
_LOSS = 10 ** (RETURN_LOSS_DB / 10)
_SURE = 0.6  # explained share that is believed at any delay
_FADES = 0.75  # of the evidence for a delay, from window to window
_KNOWN = 0.2  # evidence from which a delay is known
_EMPHASIS = 0.9
_TOLD = 64  # messages of 100 ms that wait to be looked at: older ones no longer matter
_NOTHING = np.zeros(0, dtype=np.float32)
_SEAM_MS = 5  # windows of a sender whose clock is a little off follow each other all the same


class EchoEstimate:
    """One per call. ``sent`` and ``dropped`` follow the outgoing audio, ``share`` judges the incoming."""

    def __init__(self) -> None:
        self._told: deque[tuple[npt.NDArray[np.int16] | bytes, int]] = deque(maxlen=_TOLD)
        self._sent = _NOTHING
        self._sent_from = 0  # ms
        self._last_sent_ms = -(10**9)
        self._heard: deque[npt.NDArray[np.int16]] = deque(maxlen=_SPAN // (WINDOW // 2))
        self._heard_to = -1  # ms
        self._evidence = _NOTHING

    def sent(self, audio: npt.NDArray[np.int16] | bytes, at_ms: int) -> None:
        """Audio on its way to the caller (PCM16 at 8 kHz, or mu-law), from ``at_ms`` on (media clock).

        Only kept: most of it is never asked about.
        """
        self._told.append((audio, at_ms))
        self._last_sent_ms = max(self._last_sent_ms, at_ms + len(audio) // 2 // _PER_MS)

    def dropped(self, from_ms: int) -> None:
        """What was to play from ``from_ms`` on will not."""
        self._told.append((b"", from_ms))
        self._last_sent_ms = min(self._last_sent_ms, from_ms)

    def _place_all(self) -> None:
        """What was told since the last look."""
        if self._sent.size == 0:
            self._sent = np.zeros(_KEPT, dtype=np.float32)
            self._evidence = np.zeros(_LAGS, dtype=np.float32)
        while self._told:
            audio, at_ms = self._told.popleft()
            if len(audio):
                self._place(decode(audio) if isinstance(audio, bytes) else audio, at_ms)
            else:
                self._sent[max(0, (at_ms - self._sent_from) * _PER_MS) :] = 0.0

    def _place(self, pcm: npt.NDArray[np.int16], at_ms: int) -> None:
        audio = _reduced(pcm)
        self._make_room(at_ms + audio.size // _PER_MS)
        first = (at_ms - self._sent_from) * _PER_MS
        if first < 0:
            audio, first = audio[-first:], 0
        self._sent[first : first + audio.size] = audio[: max(0, _KEPT - first)]

    def hears(self, window: npt.NDArray[np.int16], at_ms: int) -> None:
        """The next ``WINDOW`` samples of the caller's line, from ``at_ms`` on. Cheap: every window."""
        if abs(at_ms - self._heard_to) > _SEAM_MS:
            self._heard.clear()
        self._heard.append(window)
        self._heard_to = at_ms + WINDOW_MS

    def share(self) -> float:
        """The share of what was heard last that our own sound explains, 0..1; 0 where none may come back."""
        if self._heard_to - LONGEST_MS - 96 > self._last_sent_ms:
            return 0.0
        self._place_all()
        explained = self._explained()
        if explained is None:
            return 0.0
        self._evidence *= _FADES
        self._evidence += (1.0 - _FADES) * explained
        best = float(explained.max())
        known = int(self._evidence.argmax())
        if self._evidence[known] >= _KNOWN:
            near = explained[max(0, known - 4) : known + 5]
            return float(near.max())
        return best if best >= _SURE else 0.0

    def _explained(self) -> npt.NDArray[np.float32] | None:
        """For every delay, the squared correlation; 0 where what we sent is too soft to be the cause."""
        heard_from = self._heard_to * _PER_MS - _SPAN
        first = heard_from - LONGEST_MS * _PER_MS - self._sent_from * _PER_MS
        length = _LAGS + _SPAN
        reference = np.zeros(_FFT, dtype=np.float32)
        begin, end = max(0, first), min(_KEPT, first + length)
        if begin >= end:
            return None
        reference[begin - first : end - first] = self._sent[begin:end]
        energy = np.concatenate(([0.0], np.cumsum(reference[:length].astype(np.float64) ** 2)))
        under = energy[_SPAN : _SPAN + _LAGS] - energy[:_LAGS]
        heard = np.zeros(_SPAN, dtype=np.float32)
        for nth, window in enumerate(reversed(self._heard), start=1):
            audio = _reduced(window)
            heard[_SPAN - nth * audio.size :][: audio.size] = audio
        own = float(np.dot(heard, heard))
        if own <= 0.0 or float(under.max()) < own * _LOSS:
            return None
        spectrum = np.fft.rfft(reference) * np.conj(np.fft.rfft(heard, _FFT))
        product = np.fft.irfft(spectrum, _FFT)[:_LAGS]
        loud = under >= own * _LOSS
        explained = np.zeros(_LAGS, dtype=np.float32)
        explained[loud] = product[loud] ** 2 / (under[loud] * own)
        return explained

    def _make_room(self, end_ms: int) -> None:
        over_ms = end_ms - self._sent_from - _KEPT // _PER_MS
        if over_ms <= 0:
            return
        shift = min(_KEPT, (over_ms + 500) * _PER_MS)
        self._sent[: _KEPT - shift] = self._sent[shift:]
        self._sent[_KEPT - shift :] = 0.0
        self._sent_from += over_ms + 500


def _reduced(pcm: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
    """At 4 kHz, with the loud low frequencies of a voice lowered: they correlate with everything."""
    pairs = pcm[: pcm.size & ~1].astype(np.float32).reshape(-1, 2).mean(axis=1)
    emphasised = pairs.copy()
    emphasised[1:] -= _EMPHASIS * pairs[:-1]
    return emphasised
