"""The desk's socket at a node: 20 ms of mu-law both ways in binary frames, a few JSON words beside them."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketDisconnected

from voicebot.channels.talk.pacing import FRAME_BYTES

OVER, TAKEN_UP, GOING_AWAY = 1000, 4001, 1012
"""Close codes: the talk is over; another socket of the same talk took this one's place; the node stops."""

MOST_BYTES = FRAME_BYTES * 50
"""Longest message of sound (1 s); a longer one is no sound of ours."""
MOST_WORDS = 2000
_MOST_WAITING = 50
_SEND_S = 5.0
_GONE = (WebSocketDisconnect, WebSocketDisconnected, RuntimeError, TimeoutError, OSError)


class DeskLine:
    """One accepted socket. ``run`` reads and writes until it is gone; the rest may be called at any time.

    Attributes:
        closed: set once it is gone.
        on_sound, on_word: called with what comes; set by whoever is connected with it.
    """

    def __init__(self, socket: WebSocket) -> None:
        self.closed = asyncio.Event()
        self.on_sound: Callable[[bytes], None] = lambda ulaw: None
        self.on_word: Callable[[dict[str, Any]], None] = lambda word: None
        self.dropped = 0
        self._socket = socket
        self._sound: deque[bytes] = deque(maxlen=_MOST_WAITING)
        self._words: deque[str] = deque(maxlen=_MOST_WAITING)
        self._woken = asyncio.Event()
        self._code: int | None = None
        self._told_over = False

    def send(self, ulaw: bytes) -> None:
        """Sends sound; who does not read loses the oldest."""
        if self.closed.is_set():
            return
        self.dropped += len(self._sound) == _MOST_WAITING
        self._sound.append(ulaw)
        self._woken.set()

    def tell(self, **word: Any) -> None:
        """Sends a JSON object; that the talk is over is told once, whoever notices it."""
        over = word.get("type") == "over"
        if self.closed.is_set() or (over and self._told_over):
            return
        self._told_over = over
        self._words.append(json.dumps(word))
        self._woken.set()

    def pass_on(self, text: str) -> None:
        """Sends what another node has told."""
        with suppress(ValueError, RecursionError):
            self.tell(**json.loads(text))

    def end(self, code: int = OVER) -> None:
        """Closes it, once what was told has left."""
        if self._code is None:
            self._code = code
            self._woken.set()

    async def run(self) -> None:
        """Until the socket is gone."""
        work = [asyncio.ensure_future(one) for one in (self._read(), self._write())]
        try:
            await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.closed.set()
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)

    async def _read(self) -> None:
        while True:
            try:
                came = await self._socket.receive()
            except _GONE:
                return
            if came["type"] == "websocket.disconnect":
                return
            ulaw, text = came.get("bytes"), came.get("text")
            if isinstance(ulaw, bytes) and 0 < len(ulaw) <= MOST_BYTES:
                self.on_sound(ulaw)
            elif isinstance(text, str) and len(text) <= MOST_WORDS:
                with suppress(ValueError, RecursionError):  # no word of ours
                    word: Any = json.loads(text)
                    if isinstance(word, dict):
                        self.on_word(cast("dict[str, Any]", word))

    async def _write(self) -> None:
        try:
            while True:
                while self._words or self._sound:
                    async with asyncio.timeout(_SEND_S):
                        if self._words:
                            await self._socket.send_text(self._words.popleft())
                        else:
                            await self._socket.send_bytes(self._sound.popleft())
                if self._code is not None:
                    async with asyncio.timeout(_SEND_S):
                        await self._socket.close(self._code)
                    return
                self._woken.clear()
                await self._woken.wait()
        except _GONE:
            return
