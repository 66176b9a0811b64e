"""The media sessions that run on this node."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager

from voicebot.channels.legs import EndKind, Leg
from voicebot.channels.twilio.refusals import Refusal, Refused


class LiveSessions:
    """By call and by stream. One per node; one event loop, no locks."""

    def __init__(self) -> None:
        self._by_call: dict[str, Leg] = {}
        self._starting: set[str] = set()

    def __len__(self) -> int:
        return len(self._by_call)

    def __iter__(self) -> Iterator[Leg]:
        return iter(list(self._by_call.values()))

    def of_call(self, call_sid: str) -> Leg | None:
        """The session of a call that has not ended."""
        session = self._by_call.get(call_sid)
        return session if session is not None and session.end is None else None

    def holds(self, call_sid: str) -> bool:
        """A session of the call is here, or about to be."""
        return call_sid in self._by_call or call_sid in self._starting

    @contextmanager
    def reserve(self, call_sid: str, stream_sid: str, *, proven: bool) -> Generator[None]:
        """Holds the call's place while a new stream is being checked.

        A stream is never served twice. Another stream of the same call may take over if it
        ``proven`` itself with a token: the old socket is then dead for Twilio.

        Raises:
            Refused: ``stream_taken``.
        """
        old = self.of_call(call_sid)
        held = any(s.stream_sid == stream_sid and s.end is None for s in self._by_call.values())
        if held or call_sid in self._starting or (old is not None and not proven):
            raise Refused(Refusal.STREAM_TAKEN, "another socket serves it")
        self._starting.add(call_sid)
        try:
            yield
        finally:
            self._starting.discard(call_sid)

    async def begin(self, session: Leg) -> None:
        """Enters a session; an older one of the same call is taken over."""
        old = self._by_call.get(session.call_sid)
        self._by_call[session.call_sid] = session
        if old is not None:
            await old.leave(EndKind.TAKEN_OVER)

    def finish(self, session: Leg) -> bool:
        """Removes it; False if a newer session of the same call stands in its place."""
        if self._by_call.get(session.call_sid) is not session:
            return False
        del self._by_call[session.call_sid]
        return True
