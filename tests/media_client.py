"""A plain Media Streams client, as an outside program would write one: a socket, 20 ms frames, marks echoed.

It plays out in real time like a phone, knows nothing of the server, and shares no code with it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import websockets

FRAME = 160
SILENCE = b"\xff" * FRAME
STOOD_STILL_S = 0.3
"""A phone's clock goes on; a process that was stopped for as long goes on where it was."""
LOUD = 300  # mean absolute sample of a frame that holds speech


def line(voice: str, name: str) -> bytes:
    """A caller's recorded line as raw mu-law."""
    data = (Path(__file__).parents[1] / "recordings" / "lines" / voice / f"{name}.wav").read_bytes()
    begin = data.index(b"data") + 8
    return data[begin : begin + int.from_bytes(data[begin - 4 : begin], "little")]


def _loudness(ulaw: bytes) -> float:
    total = 0.0
    for byte in ulaw:
        value = ~byte & 0xFF
        total += ((((value & 0x0F) << 3) + 0x84) << ((value & 0x70) >> 4)) - 0x84
    return total / max(1, len(ulaw))


@dataclass
class MediaClient:
    """One call. ``say`` queues a line; ``heard_frames`` says which frames of what was played out were speech.

    ``stood_still``: its media clock did, which no phone's does.
    """

    url: str
    call_sid: str
    stream_sid: str = ""
    clears: int = 0
    stood_still: bool = False
    heard_frames: list[bool] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.stream_sid = self.stream_sid or "MZ" + self.call_sid[2:]
        self._mouth = b""
        self._keys: list[str] = []
        self._buffer: list[bytes | str] = []  # mu-law to play, or the name of a mark
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> MediaClient:
        self._socket = await websockets.connect(self.url.replace("http", "ws") + "/twilio/media")
        await self._send({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        start = {
            "accountSid": "AC" + "0" * 32,
            "callSid": self.call_sid,
            "streamSid": self.stream_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {},
        }
        await self._send(
            {"event": "start", "sequenceNumber": "1", "streamSid": self.stream_sid, "start": start}
        )
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait({self._task})
        await self._socket.close()

    def say(self, ulaw: bytes) -> None:
        """Speaks from the next frame on."""
        self._mouth += ulaw + SILENCE

    def press(self, digits: str) -> None:
        """Presses keys, one after the other."""
        for digit in digits:
            self._keys.append(digit)

    async def spoken_to(self, seconds: float, within_s: float) -> None:
        """Waits until the bot has been heard for ``seconds`` from now on."""
        begin = len(self.heard_frames)
        await self._until(lambda: sum(self.heard_frames[begin:]) * 0.02 >= seconds, within_s)

    async def quiet(self, seconds: float, within_s: float) -> None:
        """Waits until the bot has said nothing for ``seconds``."""
        frames = int(seconds / 0.02)
        await self._until(
            lambda: len(self.heard_frames) > frames and not any(self.heard_frames[-frames:]), within_s
        )

    async def _until(self, true: Callable[[], bool], within_s: float) -> None:
        async with asyncio.timeout(within_s):
            while not true():
                await asyncio.sleep(0.02)

    async def _send(self, message: dict[str, object]) -> None:
        await self._socket.send(json.dumps(message))

    async def _run(self) -> None:
        reader = asyncio.create_task(self._read())
        try:
            began = time.monotonic()
            sequence, chunk = 2, 1
            while not self.closed.is_set():
                await asyncio.sleep(max(0.0, began + chunk * 0.02 - time.monotonic()))
                late_s = time.monotonic() - began - chunk * 0.02
                if late_s > STOOD_STILL_S:
                    began += late_s  # else it would hear what has not come yet as silence
                    self.stood_still = True
                frame, self._mouth = self._mouth[:FRAME].ljust(FRAME, b"\xff"), self._mouth[FRAME:]
                media = {
                    "track": "inbound",
                    "chunk": str(chunk),
                    "timestamp": str((chunk - 1) * 20),
                    "payload": base64.b64encode(frame).decode(),
                }
                await self._message("media", sequence, media=media)
                sequence += 1
                if self._keys:
                    dtmf = {"track": "inbound_track", "digit": self._keys.pop(0)}
                    await self._message("dtmf", sequence, dtmf=dtmf)
                    sequence += 1
                for name in self._play():
                    await self._message("mark", sequence, mark={"name": name})
                    sequence += 1
                chunk += 1
        except websockets.ConnectionClosed:
            self.closed.set()
        finally:
            reader.cancel()
            await asyncio.wait({reader})

    async def _message(self, event: str, sequence: int, **body: object) -> None:
        await self._send(
            {"event": event, "sequenceNumber": str(sequence), "streamSid": self.stream_sid, **body}
        )

    def _play(self) -> list[str]:
        marks: list[str] = []
        frame = b""
        while self._buffer and len(frame) < FRAME:
            head = self._buffer[0]
            if isinstance(head, str):
                marks.append(head)
                self._buffer.pop(0)
                continue
            taken, rest = head[: FRAME - len(frame)], head[FRAME - len(frame) :]
            frame += taken
            if rest:
                self._buffer[0] = rest
            else:
                self._buffer.pop(0)
        while self._buffer and isinstance(self._buffer[0], str):
            marks.append(str(self._buffer.pop(0)))
        self.heard_frames.append(bool(frame) and _loudness(frame) > LOUD)
        return marks

    async def _read(self) -> None:
        async for text in self._socket:
            message = json.loads(text)
            assert message["streamSid"] == self.stream_sid, "a message for another stream"
            match message["event"]:
                case "media":
                    self._buffer.append(base64.b64decode(message["media"]["payload"]))
                case "mark":
                    self._buffer.append(message["mark"]["name"])
                case "clear":
                    self.clears += 1
                    self._buffer = [item for item in self._buffer if isinstance(item, str)]
                case other:
                    raise AssertionError(f"the server sent {other!r}")
        self.closed.set()
