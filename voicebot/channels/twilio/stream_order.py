"""Which message of a media socket may come now. Pure."""

from __future__ import annotations

from typing import Literal

from voicebot.channels.twilio.refusals import Refusal
from voicebot.channels.twilio.wire import Connected, Message, Start, Stop, WireError


class StreamOrder:
    """The life of one socket: ``connected``, ``start`` once, then anything, ``stop``.

    ``connected`` may be missing (a stand-in may begin with ``start``). Gaps and repeats in
    ``sequenceNumber`` are counted, not refused: sound that is missing is the listener's matter.

    Attributes:
        stream_sid: set by ``start``; every later message must carry it.
        missing: messages that never came, by sequence number.
        repeated: messages that came twice or late, by sequence number.
    """

    def __init__(self) -> None:
        self.stream_sid: str | None = None
        self.missing = 0
        self.repeated = 0
        self._state: Literal["new", "connected", "started", "stopped"] = "new"
        self._sequence: int | None = None

    def take(self, message: Message) -> None:
        """Accepts ``message`` as the next one.

        Raises:
            WireError: ``media_before_start``, ``start_twice``, ``out_of_order`` or ``foreign_stream``.
        """
        match message:
            case Connected():
                if self._state != "new":
                    raise WireError(Refusal.OUT_OF_ORDER, "connected comes first and once")
                self._state = "connected"
                return
            case Start():
                if self._state not in {"new", "connected"}:
                    raise WireError(Refusal.START_TWICE)
                self._state = "started"
                self.stream_sid = message.stream_sid
            case _:
                if self._state in {"new", "connected"}:
                    raise WireError(Refusal.MEDIA_BEFORE_START, type(message).__name__.lower())
                if self._state == "stopped":
                    raise WireError(Refusal.OUT_OF_ORDER, "nothing comes after stop")
                if message.stream_sid != self.stream_sid:
                    raise WireError(Refusal.FOREIGN_STREAM, type(message).__name__.lower())
                if isinstance(message, Stop):
                    self._state = "stopped"
        self._count(message.sequence)

    def _count(self, sequence: int | None) -> None:
        if sequence is None:
            return
        if self._sequence is not None:
            step = sequence - self._sequence
            if step <= 0:
                self.repeated += 1
                return
            self.missing += step - 1
        self._sequence = sequence
