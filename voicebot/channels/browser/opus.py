"""Opus to 8 kHz samples and back, by libopus in FFmpeg. One of each per stream; a packet costs some 50 us."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt
from av.error import FFmpegError

from voicebot.audio.mulaw import RATE_HZ
from voicebot.channels.browser import packets
from voicebot.channels.browser.band import Narrowing

Pcm = npt.NDArray[np.int16]

BITS_PER_S = 24_000
"""Plenty for a band of 4 kHz; a telephone's mu-law has 64 000."""


class OpusDecoder:
    """Packets to samples at 8 kHz."""

    def __init__(self) -> None:
        self._codec = av.CodecContext.create("libopus", "r")
        self._codec.format = "s16"
        self._codec.layout = "mono"
        self._codec.sample_rate = packets.RATE_HZ
        self._narrowing = Narrowing()

    def decode(self, payload: bytes) -> Pcm | None:
        """A packet's sound; None: it cannot be decoded."""
        try:
            frames = self._codec.decode(av.Packet(payload))
        except FFmpegError:
            return None
        sound = [frame.to_ndarray().reshape(-1).astype(np.int16, copy=False) for frame in frames]
        return self._narrowing.feed(np.concatenate(sound)) if sound else None

    def skip(self, samples: int) -> None:
        """So many samples at 48 kHz never came."""
        self._narrowing.feed(np.zeros(samples, np.int16))


class OpusEncoder:
    """Frames of 20 ms at 8 kHz to packets. Opus takes 8 kHz as they are, so nothing is resampled here."""

    def __init__(self) -> None:
        self._codec = av.CodecContext.create("libopus", "w")
        self._codec.bit_rate = BITS_PER_S
        self._codec.format = "s16"
        self._codec.layout = "mono"
        self._codec.sample_rate = RATE_HZ
        self._codec.time_base = Fraction(1, RATE_HZ)
        self._codec.options = {
            "application": "voip",
            "frame_duration": "20",
            "fec": "1",
            "packet_loss": "5",
        }
        self._at = 0

    def encode(self, pcm: Pcm) -> bytes:
        """One packet from 160 samples."""
        frame = av.AudioFrame.from_ndarray(pcm[np.newaxis, :], format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        frame.pts = self._at
        frame.time_base = Fraction(1, RATE_HZ)
        self._at += len(pcm)
        return b"".join(bytes(packet) for packet in self._codec.encode(frame))
