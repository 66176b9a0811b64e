"""Which recordings of a conversation lie on this machine, opened, examined, and kept at hand for a while."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from voicebot.audio.recording.examining import Examined, examine
from voicebot.audio.recording.format import AUDIO_SUFFIX, EVENTS_SUFFIX, RecordingError
from voicebot.audio.recording.muting import Mute, mute
from voicebot.dialogue.evidence import COMMITTED
from voicebot.safety.pii.masking import TOKEN

Kept = Literal["here", "gone", "erased"]
"""``gone``: removed, or on the machine of another node. ``erased``: nothing opens it any more."""

AT_HAND = 8
"""Sessions that stay examined: an hour of sound is 700 kB of loudness and its events."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A session of which nothing can be read, and why."""

    why: str


class Shelf:
    """One per node.

    Args:
        folder: of all recordings: a folder for each conversation, a pair of files for each media session.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._at_hand: OrderedDict[tuple[Any, ...], Examined | Unreadable] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()

    def names(self, conversation_id: str) -> list[str]:
        """The media sessions of a conversation, oldest first, such as ``001`` and ``002``."""
        there = (self._folder / conversation_id).glob("[0-9][0-9][0-9]*")
        return sorted(
            {p.name.removesuffix(p.suffix) for p in there if p.suffix in (AUDIO_SUFFIX, EVENTS_SUFFIX)}
        )

    def path(self, conversation_id: str, name: str) -> Path:
        """Of one of `names`, without suffix."""
        return self._folder / conversation_id / name

    async def examined(
        self, conversation_id: str, name: str, key: bytes, turns: Mapping[int, Mapping[str, Any]]
    ) -> Examined | Unreadable:
        """One session, as far as it can be read.

        Args:
            conversation_id: whose.
            name: one of `names`.
            key: of the conversation's recordings.
            turns: as they are stored, by number: where their words stand masked, the sound is silent.
        """
        path = self.path(conversation_id, name)
        hidden = frozenset(number for number, row in turns.items() if _hides(row))
        known = (
            path,
            hidden,
            *(_stamp(path.with_name(path.name + s)) for s in (AUDIO_SUFFIX, EVENTS_SUFFIX)),
        )
        async with self._one_at_a_time:
            if known not in self._at_hand:
                self._at_hand[known] = await asyncio.to_thread(_examine, path, key, hidden)
                while len(self._at_hand) > AT_HAND:
                    self._at_hand.popitem(last=False)
            self._at_hand.move_to_end(known)
            return self._at_hand[known]


def _examine(path: Path, key: bytes, hidden: frozenset[int]) -> Examined | Unreadable:
    def also(events: Sequence[dict[str, Any]]) -> Sequence[Mute]:
        return [
            mute(
                "caller", event["input"]["started_ms"], event["input"].get("last_voiced_ms") or event["at_ms"]
            )
            for event in events
            if event.get("type") == COMMITTED
            and event["turn"] in hidden
            and event["input"].get("started_ms") is not None
        ]

    try:
        return examine(path, key, also)
    except RecordingError as error:
        return Unreadable(str(error))
    except OSError as error:
        return Unreadable(f"it cannot be read: {error.strerror or type(error).__name__}")


def _hides(row: Mapping[str, Any]) -> bool:
    """Whether a stored turn's words hold a token: also one that was put there after the turn was recorded."""
    return TOKEN.search(str(row["input"].get("text") or "")) is not None


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
