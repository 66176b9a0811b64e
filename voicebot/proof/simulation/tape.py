"""Records what a conference says, on a clock of its own."""

from __future__ import annotations

import asyncio
import time

from .ear import FRAME_BYTES, FRAME_MS, SILENCE
from .leg import Bridge
from .mixing import mix


class Tape:
    """Mixes everybody's voice into one channel, 20 ms at a time, from ``run`` until ``stop``."""

    def __init__(self) -> None:
        self.ulaw = bytearray()
        self._voices: dict[str, Bridge] = {}
        self._stopped = False

    def put(self, call_sid: str, frame: bytes) -> None:
        """20 ms of one participant."""
        self._voices.setdefault(call_sid, Bridge()).put(frame)

    def stop(self) -> None:
        """Nothing more is recorded."""
        self._stopped = True

    async def run(self) -> None:
        """Ticks until stopped."""
        began = time.monotonic()
        for n in range(24 * 3600 * 1000 // FRAME_MS):
            if self._stopped:
                return
            frame = mix(voice.next_frame() for voice in self._voices.values()) or SILENCE
            self.ulaw += frame.ljust(FRAME_BYTES, b"\xff")
            await asyncio.sleep(max(0.0, began + (n + 1) * FRAME_MS / 1000 - time.monotonic()))
