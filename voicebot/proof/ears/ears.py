"""A caller's ears, seen from the call: clauses go in without waiting, words come back when they are read."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType


class EarsError(Exception):
    """The listening process did not start or ended; the message says why."""


@dataclass(frozen=True)
class HeardClause:
    """Words of one clause, placed on the call clock."""

    text: str
    start_ms: int
    end_ms: int


class Ears:
    """Listens in a process of its own. Async context manager; ``on_words`` is called in its event loop.

    Args:
        cues: phrases that matter to the caller.
        also: other phrases the bot may say.
        on_words: gets each clause when it has been read, in order, also when no word was found.

    Raises:
        EarsError: on entering: a cue has unknown words, or the process did not start.
    """

    def __init__(
        self, cues: Iterable[str], also: Iterable[str], on_words: Callable[[HeardClause], None]
    ) -> None:
        self._setup = {"cues": sorted(set(cues)), "also": sorted(set(also))}
        self._on_words = on_words
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._asked: dict[int, tuple[int, int]] = {}
        self._next = 0

    @property
    def busy(self) -> bool:
        """Whether clauses are still being read."""
        return bool(self._asked)

    async def __aenter__(self) -> Ears:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "voicebot.proof.ears.process"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1024 * 1024,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(self._setup).encode() + b"\n")
        first = await self._process.stdout.readline()
        answer = json.loads(first) if first else {"error": "it ended at once"}
        if "error" in answer:
            await self._process.wait()
            raise EarsError(f"the caller cannot listen: {answer['error']}")
        self._reading = asyncio.create_task(self._read(self._process.stdout), name="ears")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading
        if self._process is not None:
            if self._process.stdin is not None:
                self._process.stdin.close()
            try:
                await asyncio.wait_for(self._process.wait(), 5)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()

    def listen(self, ulaw: bytes, start_ms: int, end_ms: int) -> None:
        """Hands over one clause; never waits."""
        assert self._process is not None, "use `async with Ears(...)`"
        assert self._process.stdin is not None
        number = self._next
        self._next += 1
        self._asked[number] = (start_ms, end_ms)
        message = {"id": number, "ulaw": base64.b64encode(ulaw).decode("ascii")}
        self._process.stdin.write(json.dumps(message).encode() + b"\n")

    async def _read(self, answers: asyncio.StreamReader) -> None:
        while line := await answers.readline():
            answer = json.loads(line)
            start_ms, end_ms = self._asked.pop(answer["id"])
            self._on_words(HeardClause(answer["text"], start_ms, end_ms))
        self._asked.clear()  # it ended: nobody waits for its words any more


class Deaf:
    """In the place of ``Ears``: understands nothing, and costs nothing."""

    busy = False

    async def __aenter__(self) -> Deaf:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def listen(self, ulaw: bytes, start_ms: int, end_ms: int) -> None:
        """Nobody does."""
