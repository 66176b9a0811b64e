"""uvicorn's WebSocket with a short way for what a call's line carries: whole, masked text frames, one after
the other.

The long way of a frame is a parser written as a generator, a queue, a task that wakes up, and reading that
is paused and resumed: for fifty frames a second each way of every call that is most of what a node does. The
short way reads the frame where it lies and tells whoever listens at once. All else (the handshake, control
frames, fragments, what breaks the protocol, text that nobody takes) goes the long way, which knows the rules.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State
from websockets.speedups import apply_mask

from voicebot.channels.twilio.line import LINE

_TEXT = 0x81
"""First byte of a whole text frame without extensions."""
_TEXT_BEGINS = 0x01
_BINARY_BEGINS = 0x02
_MASKED = 0x80
_HEAD = 2
_MASK = 4
_SHORT = 126
_LONG = 127
_USUAL = _MASKED | _SHORT
_USUAL_HEAD = _HEAD + 2 + _MASK


class LineSocket(WebSocketsSansIOProtocol):
    """For ``uvicorn.Config(ws=LineSocket)``; applications find it in the scope's extensions as a ``Line``."""

    _rest = b""
    _open = False
    """The handshake is over, and the long way's parser stands between two frames."""
    _long_way = False
    """From now on everything goes there: it is in the middle of something."""
    _take: Callable[[str], bool] | None = None

    def listen(self, take: Callable[[str], bool]) -> None:
        """See ``Line.listen``."""
        self._take = take

    def send_now(self, text: str) -> bool:
        """See ``Line.send_now``."""
        if not self.handshake_complete or self.close_sent or self.disconnected or not self.writable.is_set():
            return False
        if self.conn.state is not State.OPEN or self.transport.is_closing():
            return False
        data = text.encode()
        size = len(data)
        if size < _SHORT:
            head = bytes((_TEXT, size))
        elif size < 1 << 16:
            head = bytes((_TEXT, _SHORT)) + size.to_bytes(2)
        else:
            head = bytes((_TEXT, _LONG)) + size.to_bytes(8)
        self.transport.write(head + data)
        return True

    def handle_connect(self, event: Any) -> None:
        """Puts itself into the scope."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            cast("dict[str, Any]", self.scope).setdefault("extensions", {})[LINE] = self

    def data_received(self, data: bytes) -> None:
        """Whole frames as they come; half of one waits here for its other half."""
        if not self._open:
            if not self.handshake_complete or self._long_way:
                # Who talks before the handshake is over has put the parser into the middle of a frame.
                self._long_way = self._long_way or self.handshake_initiated
                super().data_received(data)
                return
            self._open = True
        if self._long_way:
            super().data_received(data)
            return
        if not self._rest and _is_one(data):  # as nearly always
            if not self._short_way(data, 0, len(data)):
                self._along(data)
            return
        data = self._rest + data if self._rest else data
        at, end = 0, len(data)
        while at < end:
            size = frame_size(data, at)
            if size is None or at + size > end:
                if size is not None and size > self.config.ws_max_size:
                    self._long_way = True  # it is refused by its head
                break
            if self._long_way or not self._short_way(data, at, size):
                self._along(data[at : at + size])
            at += size
        self._rest = data[at:]
        if self._rest and self._long_way:
            rest, self._rest = self._rest, b""
            super().data_received(rest)

    def _short_way(self, data: bytes, at: int, size: int) -> bool:
        """Tells one frame; False: it is not for this way, or nobody takes it."""
        if data[at] != _TEXT or not data[at + 1] & _MASKED or size > self.config.ws_max_size:
            return False
        if self._take is None or self.close_sent or not self.queue.empty():
            return False
        if self.conn.state is not State.OPEN:
            return False
        length = data[at + 1] & ~_MASKED
        body = at + _HEAD + (0 if length < _SHORT else 2 if length == _SHORT else 8)
        try:
            text = apply_mask(data[body + _MASK : at + size], data[body : body + _MASK]).decode()
        except UnicodeDecodeError:
            return False
        return self._take(text)

    def _along(self, frame: bytes) -> None:
        """One whole frame, the long way. What may have a continuation stays there."""
        if frame[0] in {_TEXT_BEGINS, _BINARY_BEGINS}:
            self._long_way = True
        super().data_received(frame)


def _is_one(data: bytes) -> bool:
    """Whether it is one masked text frame of a usual length, and nothing else."""
    return (
        len(data) > _USUAL_HEAD
        and data[0] == _TEXT
        and data[1] == _USUAL
        and _USUAL_HEAD + (data[2] << 8) + data[3] == len(data)
    )


def frame_size(data: bytes, at: int) -> int | None:
    """Bytes of the frame that begins at ``at``, its head included; None: too little of it is there.

    An unmasked frame, which no client may send, has a size all the same.
    """
    if len(data) - at < _HEAD:
        return None
    masked = _MASK if data[at + 1] & _MASKED else 0
    length = data[at + 1] & ~_MASKED
    if length < _SHORT:
        return _HEAD + masked + length
    more = 2 if length == _SHORT else 8
    head = at + _HEAD + more
    if len(data) < head:
        return None
    return _HEAD + more + masked + int.from_bytes(data[at + _HEAD : head])
