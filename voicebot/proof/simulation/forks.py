"""The unidirectional streams of one call: which may start, which one is stopped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .fork import MAX_TRACKS, Fork
from .verbs import StartStream
from .webhooks import is_loopback

if TYPE_CHECKING:
    from .call import LocalCall


class Forks:
    """Iterates over all that were started, those that are over too, oldest first."""

    def __init__(self, call: LocalCall) -> None:
        self._call = call
        self._all: list[Fork] = []

    def __iter__(self) -> Iterator[Fork]:
        return iter(tuple(self._all))

    def start(self, spec: StartStream) -> Fork | None:
        """Starts one; None when Twilio would not, which is reported."""
        call = self._call
        parts = urlsplit(spec.url)
        running = [fork for fork in self._all if not fork.over]
        if parts.scheme == "ws" and not (call.options.plain_loopback and is_loopback(parts.hostname)):
            return self._refused(spec, 31922, f"<Stream url={spec.url!r}>: the scheme must be wss")
        if any(fork.name == spec.name for fork in running):
            return self._refused(spec, 12200, f"a stream named {spec.name!r} runs on this call")
        wanted = 2 if spec.track == "both_tracks" else 1
        if sum(len(fork.tracks) for fork in running) + wanted > MAX_TRACKS:
            return self._refused(spec, 31900, f"more than {MAX_TRACKS} tracks on one call")
        fork = Fork(
            spec, account_sid=call.account_sid, auth_token=call.auth_token, call_sid=call.call_sid,
            routes=call.routes, options=call.options, log=call.log, tell=self._tell,
        )  # fmt: skip
        self._all.append(fork)
        call.line.listeners.append(fork.said)
        call.line.hearers.append(fork.heard)
        call.spawn(self._run(fork))
        return fork

    def stop(self, sid_or_name: str) -> Fork | None:
        """Stops one; None when there is none of that name, which is reported."""
        named = [fork for fork in self._all if sid_or_name in (fork.name, fork.stream_sid)]
        running = [fork for fork in named if not fork.over]
        if running:
            running[-1].stop()
        elif not named:
            self._call.log.notify(12200, f"no stream named {sid_or_name!r} to stop", level="warning")
        return (running or named or [None])[-1]

    def stop_all(self) -> None:
        """The call ends."""
        for fork in self._all:
            fork.stop()

    async def _run(self, fork: Fork) -> None:
        line = self._call.line
        try:
            await fork.run()
        finally:
            line.listeners.remove(fork.said)
            line.hearers.remove(fork.heard)

    def _refused(self, spec: StartStream, code: int, why: str) -> None:
        self._call.log.notify(code, why)
        self._call.tell_stream(spec.status_callback, spec.name or "", "", "stream-error", why)

    def _tell(self, fork: Fork, event: str, error: str) -> None:
        self._call.tell_stream(fork.spec.status_callback, fork.name, fork.stream_sid, event, error)
