"""Writes a call's recording while it runs: placing on the loop, sealing and disk in a thread."""

from __future__ import annotations

import asyncio
import base64
import errno
import json
import os
import struct
import threading
import weakref
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Protocol

import structlog

from voicebot.audio.recording.format import (
    AUDIO_SUFFIX,
    EVENTS_SUFFIX,
    RECORD_HEAD,
    Header,
    Kind,
    RecordingError,
    Seal,
    magic_of,
    packed,
)
from voicebot.audio.recording.pausing import Pauses
from voicebot.audio.recording.scrubbing import Stretch, scrub
from voicebot.audio.recording.tracks import BOT, CALLER, Chunk, Tracks
from voicebot.audio.recording.wirelog import Message, WireLog, pack

log = structlog.get_logger(__name__)

MAX_QUEUED = 64
"""Chunks that may wait for a slow disk (1 MB, a minute); beyond that audio becomes a gap."""

MANY_QUEUED = 8
"""Chunks that are not left waiting for those of other calls."""

MAX_QUEUED_EVENTS = 4096

CLOSE_DEADLINE_S = 5.0

_TRIES = 4
"""Records that are given up, one after the other, to make room for the word that the disk failed."""


WRITE_WITHIN_S = 0.5
"""What was told is written so soon: beside the seconds that sound is held for its other channel, nothing."""


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    """Shared by all recorders of the process; each keeps its own order."""
    return ThreadPoolExecutor(max_workers=2, thread_name_prefix="recording")


class _Disk:
    """Brings what recorders have queued to the disk, many of them by one job: a job for each wakes a thread
    up, and the threads and the loop then take the interpreter from each other, dozens of times a second.

    One per event loop.
    """

    def __init__(self) -> None:
        self._due: list[Recorder] = []

    def write_soon(self, recorder: Recorder, loop: asyncio.AbstractEventLoop) -> None:
        """What ``recorder`` has queued is written within ``WRITE_WITHIN_S``."""
        self._due.append(recorder)
        if len(self._due) == 1:
            loop.call_later(WRITE_WITHIN_S, self._write)

    def _write(self) -> None:
        due, self._due = self._due, []
        _threads().submit(_drain_all, due)


_DISKS: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Disk] = weakref.WeakKeyDictionary()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _drain_all(recorders: list[Recorder]) -> None:
    for recorder in recorders:
        recorder.drain()


class Tape(Protocol):
    """What a call tells of itself; nothing of it blocks or raises. `Recorder` writes it down."""

    def caller(self, ulaw: bytes, timestamp_ms: int) -> None:
        """See `Recorder`, here and below."""
        ...

    def bot(self, ulaw: bytes, at_ms: int | None) -> None: ...  # noqa: D102

    def event(self, event: dict[str, Any]) -> None: ...  # noqa: D102

    def message(self, message: Message) -> None: ...  # noqa: D102

    def pause(self, why: str) -> None: ...  # noqa: D102

    def resume(self) -> None: ...  # noqa: D102

    def unsay(self, channel: str, at_ms: int, until_ms: int) -> None: ...  # noqa: D102

    async def close(self) -> None: ...  # noqa: D102


class Recorder:
    """One per media session. ``caller``, ``bot`` and ``event`` never block and never raise.

    Writes ``PATH.vbrec`` (audio) and ``PATH.vbevents`` (events), mode 0600; where they exist already (the
    session before a lost socket), ``PATH.2.vbrec`` and so on, as ``audio_path`` says after ``close``. A disk
    that fails or hangs costs the recording, not the call: ``failed`` then says why, and so does the log.

    Args:
        path_base: path without suffix; its folder is made.
        key: 32 bytes, the recording's own (derived from the subject's key).
        conversation_id: written in the clear in the header.
    """

    def __init__(self, path_base: Path, key: bytes, conversation_id: str) -> None:
        self.audio_path = path_base.with_name(path_base.name + AUDIO_SUFFIX)
        self.events_path = path_base.with_name(path_base.name + EVENTS_SUFFIX)
        self.failed: str | None = None
        self.dropped_events = 0
        self._conversation_id = conversation_id
        self._tracks = Tracks()
        self._pauses = Pauses()
        self._key = key
        self._unsaid: list[Stretch] = []
        self._audio_header = Header.new("audio", conversation_id, key)
        self._events_header = Header.new("events", conversation_id, key)
        self._audio_seal = Seal(key, self._audio_header)
        self._events_seal = Seal(key, self._events_header)
        self._audio_file: IO[bytes] | None = None
        self._events_file: IO[bytes] | None = None
        self._wire = WireLog()
        self._audio_tail = _Tail()
        self._events_tail = _Tail()
        self._queue: deque[Chunk | dict[str, Any] | list[Message]] = deque()
        self._queued_chunks = 0
        self._guard = threading.Lock()  # the queue
        self._writing = threading.Lock()  # the files
        self._samples = 0
        self._events = 0
        self._scheduled = False
        self._at_once = False
        self._closing = False
        self._ended = False
        self._schedule()  # opens the files: a call of no sound leaves a recording of none

    # --- on the event loop ------------------------------------------------------------

    def caller(self, ulaw: bytes, timestamp_ms: int) -> None:
        """What the caller said: mu-law whose first sample Twilio stamped ``timestamp_ms``."""
        self._place(CALLER, ulaw, timestamp_ms)

    def bot(self, ulaw: bytes, at_ms: int | None) -> None:
        """What the caller heard, from ``at_ms`` of the media clock on (None: unknown, so not recorded)."""
        if at_ms is not None:
            self._place(BOT, ulaw, at_ms)

    def event(self, event: dict[str, Any]) -> None:
        """A fact beside the sound; ``at_ms`` (media clock) is added where it is missing."""
        if self._closing:
            return
        self._hand_over({"at_ms": self._tracks.head_ms, **event})

    def message(self, message: Message) -> None:
        """A message of the media socket, as it came or went; its sound is told to ``caller`` and ``bot``."""
        if not self._closing and self._wire.add(message):
            self._hand_over(self._wire.take())

    def pause(self, why: str) -> None:
        """Silence on both channels from here on, until `resume`; an event says so."""
        if not self._pauses.open:
            self._pauses.begin(self._tracks.head_ms)
            self.event({"type": "paused", "why": why})

    def resume(self) -> None:
        """Recorded again from here on; an event gives the stretch that is missing."""
        span = self._pauses.end(self._tracks.head_ms)
        if span is not None:
            self.event({"type": "resumed", "at_ms": span[1], "paused_from_ms": span[0]})

    def unsay(self, channel: str, at_ms: int, until_ms: int) -> None:
        """Takes a stretch of a channel out for good when the recording is closed; an event says so."""
        self._unsaid.append(Stretch(channel, max(0, at_ms), until_ms))
        self.event({"type": "unsaid", "channel": channel, "at_ms": max(0, at_ms), "until_ms": until_ms})

    async def close(self) -> None:
        """Writes what is held and the end; afterwards the files are whole. Safe to call twice.

        Waits for a slow disk, but not for ever: then ``failed`` is set.
        """
        if self._closing:
            return
        self._closing = True
        if messages := self._wire.take():
            self._hand_over(messages)
        self._enqueue(self._tracks.rest())
        writing = asyncio.get_running_loop().run_in_executor(_threads(), self.drain, True)
        done, _ = await asyncio.wait([writing], timeout=CLOSE_DEADLINE_S)
        if not done:
            self._fail("the disk does not answer")
        log.info(
            "recording_closed",
            conversation=self._conversation_id,
            seconds=self._samples // 8000,
            late_ms=self._tracks.late_ms,
            dropped_ms=self._tracks.dropped_ms,
            dropped_events=self.dropped_events,
            failed=self.failed,
        )

    def _hand_over(self, item: dict[str, Any] | list[Message]) -> None:
        with self._guard:
            if len(self._queue) - self._queued_chunks >= MAX_QUEUED_EVENTS:
                self.dropped_events += 1
                return
            self._queue.append(item)
        self._schedule()

    def _place(self, channel: int, ulaw: bytes, at_ms: int) -> None:
        if self._closing or not ulaw:
            return
        chunks = self._tracks.place(channel, self._pauses.hushed(ulaw, at_ms), at_ms)
        if chunks:
            self._enqueue(chunks)
            self._schedule(at_once=self._queued_chunks >= MANY_QUEUED)

    def _enqueue(self, chunks: list[Chunk]) -> None:
        with self._guard:
            for chunk in chunks:
                if self._queued_chunks < MAX_QUEUED:
                    self._queue.append(chunk)
                    self._queued_chunks += 1
                    continue
                last = self._queue[-1]
                if self.failed is None:
                    log.error(
                        "recording_gap",
                        conversation=self._conversation_id,
                        reason="the disk does not keep up",
                    )
                if isinstance(last, Chunk) and last.lost:
                    self._queue[-1] = Chunk(last.samples + chunk.samples, lost=True)
                else:
                    self._queue.append(Chunk(chunk.samples, lost=True))
                    self._queued_chunks += 1

    def _schedule(self, *, at_once: bool = False) -> None:
        with self._guard:
            if self._at_once or (self._scheduled and not at_once):
                return
            self._scheduled, self._at_once = True, at_once
        loop = None if at_once else _running_loop()
        if loop is None:
            _threads().submit(self.drain)
        else:
            _DISKS.setdefault(loop, _Disk()).write_soon(self, loop)

    # --- in the thread ----------------------------------------------------------------

    def drain(self, end: bool = False) -> None:
        """Writes what is queued; for the threads of this module only."""
        with self._writing:
            if self._ended:
                return
            self._ended = end
            try:
                self._write(end)
            except OSError as error:
                self._fail(f"{type(error).__name__}: {error.strerror}")
            except Exception as error:  # those of other calls are written by the same job
                log.exception("recording_broken", conversation=self._conversation_id)
                self._fail(type(error).__name__)
            finally:
                if end:
                    self._break_off()
                    self._close_files()
                    self._scrub()

    def _scrub(self) -> None:
        """What was said and must not be kept. A file that cannot be rewritten is not kept either."""
        if not self._unsaid:
            return
        try:
            scrub(self.audio_path, self._key, self._unsaid)
        except (OSError, RecordingError) as error:
            self._fail(f"it holds what must not be kept ({type(error).__name__}), so it was deleted")
            self.audio_path.unlink(missing_ok=True)

    def _write(self, end: bool) -> None:
        if self._audio_file is None and self.failed is None:
            self._open_files()
        while True:
            with self._guard:
                if not self._queue:
                    self._scheduled = self._at_once = False
                    break
                item = self._queue.popleft()
                self._queued_chunks -= isinstance(item, Chunk)
            if self.failed is None:
                self._write_one(item)
        if end and self.failed is None:
            self._record(Kind.END, json.dumps({"samples": self._samples}).encode())
            self._line(Kind.END, {"events": self._events})
        for file in (self._audio_file, self._events_file):
            if file is not None and end:
                os.fsync(file.fileno())

    def _write_one(self, item: Chunk | dict[str, Any] | list[Message]) -> None:
        if isinstance(item, list):
            self._seal_line(Kind.WIRE, pack(item))
        elif not isinstance(item, Chunk):
            self._events += 1
            self._line(Kind.EVENT, item)
        elif item.ulaw:
            self._record(Kind.PACKED, packed(item.ulaw))
            self._samples += item.samples
        else:
            self._record(Kind.LOST if item.lost else Kind.GAP, struct.pack("<Q", item.samples))
            self._samples += item.samples

    def _record(self, kind: Kind, plaintext: bytes) -> None:
        assert self._audio_file is not None
        sealed = self._audio_seal.close(kind, plaintext)
        self._append(self._audio_file, self._audio_tail, RECORD_HEAD.pack(len(sealed), kind) + sealed)

    def _line(self, kind: Kind, value: dict[str, Any]) -> None:
        self._seal_line(kind, json.dumps(value, ensure_ascii=False, default=str).encode())

    def _seal_line(self, kind: Kind, plaintext: bytes) -> None:
        assert self._events_file is not None
        sealed = self._events_seal.close(kind, plaintext)
        self._append(self._events_file, self._events_tail, b"%d %s\n" % (kind, base64.b64encode(sealed)))

    @staticmethod
    def _append(file: IO[bytes], tail: _Tail, data: bytes) -> None:
        """Writes a record whole."""
        tail.begins()
        if file.write(data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        tail.ended(len(data))

    def _break_off(self) -> None:
        """Where the disk failed, both files say so behind what they could take; else nothing happens."""
        if self.failed is None:
            return
        why = json.dumps({"why": self.failed}).encode()
        for file, tail, seal, framed in (
            (self._audio_file, self._audio_tail, self._audio_seal, _record_of),
            (self._events_file, self._events_tail, self._events_seal, _line_of),
        ):
            if file is None:
                continue
            for number, at in tail.places():
                if _put(file, at, framed(seal.break_off(why, number))):
                    break

    def _open_files(self) -> None:
        self.audio_path.parent.mkdir(parents=True, exist_ok=True)
        base = self.audio_path.name.removesuffix(AUDIO_SUFFIX)
        session = 1
        while True:
            try:
                self._audio_file = open_private(self.audio_path)
                break
            except FileExistsError:
                session += 1
                self.audio_path = self.audio_path.with_name(f"{base}.{session}{AUDIO_SUFFIX}")
                self.events_path = self.audio_path.with_name(f"{base}.{session}{EVENTS_SUFFIX}")
        self._events_file = open_private(self.events_path)
        self._audio_tail.ended(self._audio_file.write(magic_of(self._audio_header)), record=False)
        header = self._events_header.to_json() + b"\n"
        self._events_tail.ended(self._events_file.write(header), record=False)

    def _close_files(self) -> None:
        for file in (self._audio_file, self._events_file):
            if file is not None:
                try:
                    file.close()
                except OSError as error:
                    self._fail(f"{type(error).__name__}: {error.strerror}")

    def _fail(self, reason: str) -> None:
        if self.failed is None:
            self.failed = reason
            log.error(
                "recording_lost",
                conversation=self._conversation_id,
                reason=reason,
                remedy="free or mend the disk; the call goes on",
            )


class _Tail:
    """Where the last records of a file begin, and where the next one will: (number, offset)."""

    def __init__(self) -> None:
        self._last: deque[tuple[int, int]] = deque(maxlen=_TRIES)
        self._number = self._at = 0
        self._whole = True

    def begins(self) -> None:
        """A record is being written."""
        self._last.append((self._number, self._at))
        self._whole = False

    def ended(self, size: int, *, record: bool = True) -> None:
        """It is there."""
        self._at += size
        self._number += record
        self._whole = True

    def places(self) -> list[tuple[int, int]]:
        """Where the file may be broken off, the last place first."""
        after = [(self._number, self._at)] if self._whole else []
        return [*after, *reversed(self._last)]


def _put(file: IO[bytes], at: int, data: bytes) -> bool:
    """Ends a file with ``data`` at ``at``; False: there is no room even there."""
    try:
        os.ftruncate(file.fileno(), at)
        return os.pwrite(file.fileno(), data, at) == len(data)
    except OSError:  # full to the last byte: another record has to go
        return False


def open_private(path: Path) -> IO[bytes]:
    """A new file that only we may read.

    Raises:
        FileExistsError: it is there already.
    """
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=0)


def _record_of(sealed: bytes) -> bytes:
    return RECORD_HEAD.pack(len(sealed), Kind.BROKEN) + sealed


def _line_of(sealed: bytes) -> bytes:
    return b"%d %s\n" % (Kind.BROKEN, base64.b64encode(sealed))
