"""One answer on its way to the caller: messages, pacing, marks, pauses, and what was played. A thin shell.

Pacing and the ledger decide; this holds the queue between the producer (synthesis) and the wire, and what
left lately: Twilio cannot pause, so a pause clears its buffer, and going on sends from here again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import structlog

from voicebot.audio.engines.types import SpokenWord
from voicebot.audio.speaking.ledger import SAMPLES_PER_MS, PlayoutLedger
from voicebot.audio.speaking.pacer import MESSAGE_MS, Pacer
from voicebot.core.clock import Clock
from voicebot.core.conversation import Heard

log = structlog.get_logger(__name__)

MESSAGE_BYTES = MESSAGE_MS * SAMPLES_PER_MS

BUFFERED_BYTES = 10 * 8000
"""Audio that may wait here (10 s); the engine is not read further until some has left."""

MARK_MARGIN_S = 1.0
"""How long after its estimated end the last mark is waited for."""

PAUSE_LIMIT_S = 3.0
"""A pause that nobody ended by then ends itself: whoever decides has failed, and the caller waits."""

KEPT_BYTES = 4 * 8000
"""Audio behind the caller's ear that is kept (4 s): a pause goes back to its word, or to the beginning of a
clause of which less than two words were heard."""

MOVED_MS = 10.0
"""Audio that plays by more than this off the time that was told is told again."""

UNMARKED_MARGIN_S = 0.15
"""The same once a peer has shown that it returns none."""


class Wire(Protocol):
    """The outgoing half of a media stream. Calls leave in the order in which they were made."""

    async def media(self, ulaw: bytes) -> None:
        """Sends audio; it plays behind what was sent before."""
        ...

    async def mark(self, name: str) -> None:
        """Asks to be told when everything before it has played."""
        ...

    async def clear(self) -> None:
        """Drops what has not played yet; every pending mark comes back."""
        ...


class WireLost(Exception):  # a state the caller of the line ends in, not a bug
    """A message could not be sent: the socket is gone. The answer ends where it was heard to."""


class PlayoutObserver(Protocol):
    """What the speaker wants to know, as it happens."""

    def clause_left(self, text: str) -> None:
        """The first audio of a clause was sent ("" = an emergency line)."""
        ...

    def first_heard(self, at_s: float) -> None:
        """The first mark came back; playing began at ``at_s`` of our clock."""
        ...


@dataclass
class _Message:
    ulaw: bytes
    first: int  # on the ledger's axis of samples
    opens: int | None = None  # the number of the clause whose first audio it is

    @property
    def end(self) -> int:
        return self.first + len(self.ulaw)

    def split(self, sample: int) -> tuple[_Message, _Message]:
        """What lies before ``sample`` and what from it on; either may be empty."""
        cut = min(len(self.ulaw), max(0, sample - self.first))
        tail = _Message(self.ulaw[cut:], self.first + cut, None if cut else self.opens)
        return _Message(self.ulaw[:cut], self.first, self.opens), tail


class Playout:
    """One per ``say``.

    Args:
        generation: names the marks.
        wire: where to.
        clock: seconds.
        lead_ms: audio kept ahead of the caller's ear.
        observer: told of clauses and of the first mark.
        on_played: gets each piece of audio once it has played, with the moment (our clock, s) its first
            sample did; never audio that was dropped.
        on_sent: gets each piece as it leaves, with the moment its first sample will play as far as is known
            by now; b"" and a moment when what was to play from then on was dropped, or will play at another
            time, which is told again.
        marks_return: whether this peer has returned marks so far.
        round_trip_ms: what an earlier answer measured.
    """

    def __init__(
        self,
        generation: int,
        *,
        wire: Wire,
        clock: Clock,
        lead_ms: int,
        observer: PlayoutObserver,
        on_played: Callable[[bytes, float], None],
        on_sent: Callable[[bytes, float], None] = lambda _ulaw, _at_s: None,
        marks_return: bool = True,
        round_trip_ms: float | None = None,
    ) -> None:
        self._wire = wire
        self._clock = clock
        self._observer = observer
        self._on_played = on_played
        self._on_sent = on_sent
        self._margin_s = MARK_MARGIN_S if marks_return else UNMARKED_MARGIN_S
        self._ledger = PlayoutLedger(generation, round_trip_ms)
        self._pacer = Pacer(lead_ms)
        self._pending = bytearray()
        self._texts: list[str] = []
        self._opens: int | None = None
        self._opened: set[int] = set()
        self._ready: deque[_Message] = deque()
        self._unconfirmed: deque[_Message] = deque()
        self._left: deque[_Message] = deque()  # what was sent lately, played or not
        self._waiting = 0  # bytes in _pending and _ready
        self._packed_bytes = 0
        self._sent_bytes = 0
        self._started = False
        self._paused_at: float | None = None
        self._making = True
        self._made_all = False
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._heard: Heard | None = None

    # --- producer ---------------------------------------------------------------------

    def clause(self, text: str) -> int:
        """A clause begins; ``text`` "" for sound that is not part of the answer."""
        self._texts.append(text)
        self._opens = self._ledger.clause(text)
        return self._opens

    def again(self, number: int) -> None:
        """The same clause from its beginning."""
        self._opens = number
        self._ledger.again(number)

    async def add(self, ulaw: bytes, words: Iterable[SpokenWord] = ()) -> None:
        """More audio of the clause at hand. Waits while enough is buffered."""
        self._ledger.audio(len(ulaw), words)
        self._pending += ulaw
        self._waiting += len(ulaw)
        while len(self._pending) >= MESSAGE_BYTES:
            self._pack(MESSAGE_BYTES)
        if self._waiting > BUFFERED_BYTES:
            self._room.clear()
        await self._room.wait()

    def clause_made(self) -> None:
        """The clause at hand has all its audio."""
        self._ledger.clause_made()
        self._flush()

    def no_more(self, *, complete: bool) -> None:
        """Nothing follows. ``complete``: everything that was to be said has its audio."""
        self._made_all = complete
        self._making = False
        self._flush()
        self._changed.set()

    # --- wire -------------------------------------------------------------------------

    async def run(self) -> None:
        """Sends everything and returns when it was heard (or cut).

        Raises:
            WireLost: the socket is gone.
        """
        while self._heard is None:
            wait_s = self._wait_s()
            if wait_s is None:
                break
            if wait_s > 0:
                await self._change(wait_s)
            elif self._paused_at is not None:
                log.warning("pause_undecided", generation=self._ledger.generation)
                self.resume()
            else:
                await self._send(self._ready.popleft())
        self._end(self._sent_bytes)

    def returned(self, name: str) -> bool:
        """A mark came back; False if it is not of this answer."""
        if self._heard is not None:
            return False
        first = not self._ledger.first_returned
        thought_ms = self._plays_next_ms()
        if not self._ledger.returned(name, self._clock() * 1000):
            return False
        if abs(self._plays_next_ms() - thought_ms) > MOVED_MS:
            self._tell_again(min(thought_ms, self._plays_next_ms()))
        if first:
            self._observer.first_heard(self._ledger.first_played_ms / 1000)
        self._hand_over(self._ledger.settled)
        self._changed.set()
        return True

    def pause(self, generation: int) -> Heard:
        """A ``clear`` is being sent now: what was heard by then. Nothing leaves until ``resume``.

        ``generation`` names the marks of what is sent from then on.
        """
        if self._heard is not None:
            return self._heard
        if self._paused_at is None:
            self._paused_at = self._clock()
            self._hand_over(self._ledger.played_when_cut(self._clock() * 1000), partly=True)
            played = self._ledger.paused(self._clock() * 1000, generation)
            self._take_back(self._ledger.resumes_at(played))
            self._cleared()
        return self._ledger.heard(0, ended=self._made_all)

    def resume(self) -> None:
        """Goes on from the word that was interrupted. Without a pause it does nothing."""
        if self._paused_at is not None:
            self._paused_at = None
            self._changed.set()

    def cut(self) -> Heard:
        """A ``clear`` is being sent now: what was heard by then. Nothing more leaves.

        During a pause that is what was heard when it began.
        """
        if self._heard is None:
            self._end(self._ledger.played_when_cut(self._clock() * 1000), partly=True)
            self._cleared()
        return self.heard

    def lost(self) -> None:
        """The wire is gone: what was played so far was heard, nothing more will be."""
        self._end(self._ledger.played(self._clock() * 1000), partly=True)

    # --- state ------------------------------------------------------------------------

    @property
    def started(self) -> bool:
        """Whether any audio has left."""
        return self._started

    @property
    def paused(self) -> bool:
        """Between ``pause`` and what ends it."""
        return self._paused_at is not None and self._heard is None

    @property
    def left_ms(self) -> float | None:
        """How much of the answer the caller has not heard; None while it is still being made."""
        if self._making:
            return None
        return (self._ledger.made - self._ledger.played(self._clock() * 1000)) / SAMPLES_PER_MS

    @property
    def waiting(self) -> bool:
        """Whether there is audio that has not left yet."""
        return self._waiting > 0

    @property
    def sounds_until_s(self) -> float:
        """When everything that has audio by now will have been heard (our clock); now, if that is over."""
        now = self._clock()
        sent = self._ledger.plays_until_ms / 1000 if self.started else now
        return max(now, sent) + self._waiting / SAMPLES_PER_MS / 1000 if self._waiting else sent

    @property
    def marks_returned(self) -> bool:
        """Whether any mark came back."""
        return self._ledger.first_returned

    @property
    def round_trip_ms(self) -> float:
        """As far as marks told."""
        return self._ledger.round_trip_ms

    @property
    def over(self) -> bool:
        """Heard to the end, cut or lost."""
        return self._heard is not None

    @property
    def heard(self) -> Heard:
        """What the caller heard; after the end only."""
        assert self._heard is not None, "the answer is not over"
        return self._heard

    # --- inside -----------------------------------------------------------------------

    def _flush(self) -> None:
        if self._pending:
            self._pack(len(self._pending))

    def _pack(self, length: int) -> None:
        self._ready.append(_Message(bytes(self._pending[:length]), self._packed_bytes, self._opens))
        self._packed_bytes += length
        self._opens = None
        del self._pending[:length]
        self._changed.set()

    async def _send(self, message: _Message) -> None:
        now_ms = self._clock() * 1000
        self._waiting -= len(message.ulaw)
        if self._waiting <= BUFFERED_BYTES:
            self._room.set()
        if now_ms > self._ledger.plays_until_ms:
            self._hand_over(self._sent_bytes)  # the buffer ran dry: all of it has played
        self._unconfirmed.append(message)
        self._left.append(message)
        while self._left[0].end < self._sent_bytes - KEPT_BYTES:
            self._left.popleft()
        self._sent_bytes = message.end
        self._started = True
        name = self._ledger.sent(len(message.ulaw), now_ms)
        self._on_sent(message.ulaw, self._ledger.plays_at_ms(message.first) / 1000)
        self._pacer.sent(len(message.ulaw) / SAMPLES_PER_MS, now_ms / 1000)
        try:
            await self._wire.media(message.ulaw)
            self._tell_clause(message)
            await self._wire.mark(name)
        except Exception as error:
            # Whatever a socket may raise, it means the same here.
            raise WireLost(f"{type(error).__name__} while sending") from error
        self._hand_over_overdue()

    def _tell_clause(self, message: _Message) -> None:
        if message.opens is None or message.opens in self._opened:
            return
        self._opened.add(message.opens)
        try:
            self._observer.clause_left(self._texts[message.opens])
        except Exception:
            log.exception("observer_failed")  # the caller hears the answer all the same

    def _wait_s(self) -> float | None:
        """Until the next thing to do, whatever changes first; None: the answer is over."""
        if self._paused_at is not None:
            return max(0.0, self._paused_at + PAUSE_LIMIT_S - self._clock())
        if self._ready:
            return self._pacer.wait_s(self._clock())
        if self._making:
            return float("inf")
        if self._ledger.all_returned:
            return None
        left_s = self._ledger.plays_until_ms / 1000 + self._margin_s - self._clock()
        if left_s <= 0:
            log.warning("marks_missing", generation=self._ledger.generation)
            return None
        return left_s

    async def _change(self, within_s: float) -> None:
        self._changed.clear()
        if within_s == float("inf"):
            await self._changed.wait()
            return
        timer = asyncio.get_running_loop().call_later(within_s, self._changed.set)
        try:
            await self._changed.wait()
        finally:
            timer.cancel()

    def _take_back(self, first: int) -> None:
        """What was sent and lies behind ``first`` is to be sent again."""
        parts = [message.split(first) for message in self._left]
        again = [tail for _, tail in parts if tail.ulaw]
        self._waiting += sum(len(message.ulaw) for message in again)
        self._ready.extendleft(reversed(again))
        self._left = deque(head for head, _ in parts if head.ulaw)
        self._sent_bytes = first
        self._pacer.cleared()

    def _plays_next_ms(self) -> float:
        return self._ledger.plays_at_ms(self._unconfirmed[0].first) if self._unconfirmed else 0.0

    def _tell_again(self, from_ms: float) -> None:
        """What was sent plays at another time than was thought (the round trip was not known)."""
        self._on_sent(b"", from_ms / 1000)
        for message in self._unconfirmed:
            self._on_sent(message.ulaw, self._ledger.plays_at_ms(message.first) / 1000)

    def _cleared(self) -> None:
        self._on_sent(b"", self._clock() + self._ledger.round_trip_ms / 1000)

    def _hand_over(self, played: int, *, partly: bool = False) -> None:
        while self._unconfirmed:
            sent = self._unconfirmed[0]
            if sent.first + len(sent.ulaw) > played:
                break
            self._unconfirmed.popleft()
            self._on_played(sent.ulaw, self._ledger.plays_at_ms(sent.first) / 1000)
        if partly and self._unconfirmed and self._unconfirmed[0].first < played:
            sent = self._unconfirmed[0]
            self._on_played(sent.ulaw[: played - sent.first], self._ledger.plays_at_ms(sent.first) / 1000)
        if partly:
            self._unconfirmed.clear()

    def _hand_over_overdue(self) -> None:
        """A peer that returns no marks must not make us hold the whole answer; others tell by them."""
        unconfirmed = self._sent_bytes - self._unconfirmed[0].first if self._unconfirmed else 0
        if unconfirmed <= MARK_MARGIN_S * 1000 * SAMPLES_PER_MS:
            return
        self._hand_over(self._ledger.played((self._clock() - MARK_MARGIN_S) * 1000))

    def _end(self, played: int, *, partly: bool = False) -> None:
        if self._heard is not None:
            return
        self._hand_over(played, partly=partly)
        self._heard = self._ledger.heard(played, ended=self._made_all)
        self._ready.clear()
        self._pending.clear()
        self._room.set()
        self._changed.set()
