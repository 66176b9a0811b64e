"""How fast one media socket may send, so that none takes the loop from the others' calls. Pure.

Twilio sends one message per track every 20 ms, marks as they are played, and what has collected in bursts
after a gap in its network. A peer that sends as fast as it can would have a node's loop for itself: what has
arrived is read without a break.
"""

from __future__ import annotations

from voicebot.channels.twilio.refusals import Refusal
from voicebot.channels.twilio.wire import Media, Message, WireError
from voicebot.core.clock import Clock

PER_S_MS = 3000.0
"""Of sound in a second, in the long run: two tracks of a leg, and half as much again."""

BURST_MS = 15_000.0
"""Of sound at once: after a gap of fifteen seconds a call is over for other reasons."""

LEAST_MS = 4.0
"""What a message counts at least, sound or not: 750 a second."""

_BYTES_PER_MS = 8

BREATH = 25
"""Messages after which others get the loop, however many have arrived."""


class Pace:
    """A token bucket, filled with ``PER_S_MS`` up to ``BURST_MS``; one per socket."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._left_ms = BURST_MS
        self._at_s = clock()

    def take(self, message: Message) -> None:
        """Counts a message.

        Raises:
            WireError: ``too_fast``.
        """
        now_s = self._clock()
        self._left_ms = min(BURST_MS, self._left_ms + (now_s - self._at_s) * PER_S_MS)
        self._at_s = now_s
        sound_ms = len(message.ulaw) / _BYTES_PER_MS if isinstance(message, Media) else 0.0
        self._left_ms -= max(LEAST_MS, sound_ms)
        if self._left_ms < 0:
            raise WireError(Refusal.TOO_FAST, "more sound than time")
