"""Sound that is passed on must not pile up: a burst after a gap would stay as delay for good. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Literal

from voicebot.audio.mulaw import SILENCE

FRAME_MS = 20
FRAME_BYTES = 160
"""Of mu-law at 8 kHz."""

CUSHION_MS = 40
"""Silence before the first sound after a pause: two frames may then come late without a gap. Frames come
paced from the desk; between it and the node lie one socket and two event loops."""

TARGET_MS = 80
"""What always waits beyond this is delay that nobody needs: the cushion, and a frame each way of it."""

MOST_MS = 400
"""Nothing waits for longer, whatever it is: Twilio's own gaps are up to 233 ms (seen in the field)."""

WINDOW = 50
"""Frames (1 s) in which the least that waits must be too much before a frame is given up."""

_QUIET = frozenset(range(0x60, 0x80)) | frozenset(range(0xE0, 0x100))
"""Mu-law codes below 475 of 32767 (-37 dBFS): between words, or a breath."""

Verdict = Literal["send", "late", "over"]
"""``late``: given up so that the delay shrinks; ``over``: there is no room."""


def is_quiet(ulaw: bytes) -> bool:
    """Whether a frame may be missing without a word being missing."""
    return all(code in _QUIET for code in ulaw[::8])


class Playhead:
    """How far what was sent runs ahead of what is heard, where the other side plays as it comes."""

    def __init__(self) -> None:
        self._until_s = float("-inf")

    def ahead_ms(self, now_s: float) -> float:
        """What was sent and is not heard yet, ms."""
        return max(0.0, self._until_s - now_s) * 1000

    def send(self, ulaw: bytes, now_s: float) -> bytes:
        """What is to be sent for this sound: itself, after a pause with the cushion before it."""
        if self._until_s <= now_s:
            self._until_s = now_s
            ulaw = bytes([SILENCE]) * (CUSHION_MS * 8) + ulaw
        self._until_s += len(ulaw) / 8000
        return ulaw

    def cleared(self) -> None:
        """What was sent and is not heard was dropped."""
        self._until_s = float("-inf")


class Backlog:
    """Says of each frame whether it is sent.

    What waits too long is given up in the next pause; while somebody speaks on, by a frame a second.
    """

    def __init__(self, target_ms: float = TARGET_MS, most_ms: float = MOST_MS) -> None:
        self._target_ms = target_ms
        self._most_ms = most_ms
        self._seen: deque[float] = deque(maxlen=WINDOW)
        self._patience = 0

    def offer(self, ulaw: bytes, waiting_ms: float) -> Verdict:
        """Whether this frame is sent, when ``waiting_ms`` wait before it."""
        if waiting_ms + FRAME_MS > self._most_ms:
            return "over"
        self._seen.append(waiting_ms)
        if len(self._seen) < WINDOW or min(self._seen) <= self._target_ms:
            self._patience = 0
            return "send"
        self._patience += 1
        if not is_quiet(ulaw) and self._patience < WINDOW:
            return "send"
        self._patience = 0
        self._seen = deque((one - FRAME_MS for one in self._seen), maxlen=WINDOW)
        return "late"


def frames(ulaw: bytes) -> Iterable[bytes]:
    """Sound of any length in frames of 20 ms; the last one may be shorter."""
    return (ulaw[at : at + FRAME_BYTES] for at in range(0, len(ulaw), FRAME_BYTES))
