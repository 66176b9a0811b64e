"""What came and went on the media socket beside its sound, message by message. Pure.

The sound itself lies in the channels, where its timestamp says; here stands when each message came, in which
order, and what it was. With both a call can be run again as it was.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

BATCH = 100
"""Messages per record: about 2 s of a call, which is what a crash loses at most."""

WITHHELD = "?"
"""Stands for a key that is not kept: of a card, or of a one-time code."""

_LEVEL = 6
_MOST_BYTES = 1 << 24


class What(StrEnum):
    """The closed set of messages. The last three are ours, to the caller."""

    MEDIA = "media"
    KEY = "key"
    MARK = "mark"
    STOP = "stop"
    SENT = "sent"
    ASKED = "asked"
    CLEAR = "clear"


FROM_CALLER = frozenset({What.MEDIA, What.KEY, What.MARK, What.STOP})


class Message(NamedTuple):
    """One message; a tuple, since there are a hundred a second of each call.

    ``at_ms``: our clock, ms since the pipeline began. ``sequence``: Twilio's number, None where it gave none.
    ``timestamp_ms`` and ``size`` (samples): of media; ``size`` also of what was sent. ``name``: the key, or
    the mark's name.
    """

    what: What
    at_ms: float
    sequence: int | None = None
    timestamp_ms: int | None = None
    size: int = 0
    name: str = ""


class Damaged(ValueError):
    """A batch of messages cannot be read."""


@dataclass(frozen=True)
class Hole:
    """Messages that never came: ``missing`` of them, before the one at ``at_ms``."""

    at_ms: int
    missing: int


class WireLog:
    """Collects messages into batches."""

    def __init__(self) -> None:
        self._messages: list[Message] = []

    def add(self, message: Message) -> bool:
        """Notes one; True: a batch is full, `take` it."""
        self._messages.append(message)
        return len(self._messages) >= BATCH

    def take(self) -> list[Message]:
        """The messages so far, for `pack`; none are kept."""
        messages, self._messages = self._messages, []
        return messages


def pack(messages: Sequence[Message]) -> bytes:
    """A batch as it is sealed: JSON, deflated."""
    rows = [_row(message) for message in messages]
    return zlib.compress(json.dumps(rows, separators=(",", ":")).encode(), _LEVEL)


def _row(message: Message) -> list[Any]:
    row = [message.what.value, round(message.at_ms, 1), message.sequence]
    match message.what:
        case What.MEDIA:
            return [*row, message.timestamp_ms, message.size]
        case What.SENT:
            return [*row, message.size]
        case What.KEY | What.MARK | What.ASKED:
            return [*row, message.name]
        case What.STOP | What.CLEAR:
            return row


def unpack(data: bytes) -> Iterator[Message]:
    """The messages of a batch.

    Raises:
        Damaged: it is none.
    """
    try:
        inflate = zlib.decompressobj()
        rows: list[list[Any]] = json.loads(inflate.decompress(data, _MOST_BYTES))
        for row in rows:
            yield _message(row)
    except (zlib.error, ValueError, TypeError, IndexError) as error:
        raise Damaged(f"a batch of messages cannot be read ({type(error).__name__})") from error


def _message(row: list[Any]) -> Message:
    what, at_ms, sequence = What(row[0]), float(row[1]), row[2]
    match what:
        case What.MEDIA:
            return Message(what, at_ms, sequence, timestamp_ms=int(row[3]), size=int(row[4]))
        case What.SENT:
            return Message(what, at_ms, sequence, size=int(row[3]))
        case What.KEY | What.MARK | What.ASKED:
            return Message(what, at_ms, sequence, name=str(row[3]))
        case What.STOP | What.CLEAR:
            return Message(what, at_ms, sequence)


def holes(messages: Iterable[Message]) -> tuple[Hole, ...]:
    """Where numbers are missing in what came from Twilio; messages without a number say nothing."""
    found: list[Hole] = []
    last: int | None = None
    for message in messages:
        if message.what not in FROM_CALLER or message.sequence is None:
            continue
        if last is not None and message.sequence > last + 1:
            found.append(Hole(round(message.at_ms), message.sequence - last - 1))
        last = message.sequence if last is None else max(last, message.sequence)
    return tuple(found)
