"""The local Twilio: one account on this machine, with phones to ring and a REST API on loopback.

```python
async with LocalTwilio() as twilio:
    call = await twilio.phone("http://127.0.0.1:8080/twilio/voice", ear=Quiet())
    await call.wait_ended()
    assert call.violations == []
```
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections import deque
from collections.abc import Mapping
from types import TracebackType

import uvicorn

from .account import Message, OwnNumber, RestError
from .call import LocalCall
from .callbacks import StatusTarget
from .conference import Conference
from .ear import Ear
from .faults import RestFault
from .formats import new_sid
from .metronome import Metronome
from .options import Options
from .people import Person
from .rest import rest_app
from .verbs import Jump
from .voicemail import Recording
from .webhooks import Routes, tls_context

DEFAULT_NUMBER = "+15005550006"
DEFAULT_CALLER = "+14155550100"


class LocalTwilio:
    """Stands in for Twilio. Use as an async context manager, in one event loop.

    Args:
        routes: public origin -> where it is really served, e.g. ``{"https://voice.example.com":
            "http://127.0.0.1:8080"}``; requests then carry the public Host and are signed for the public URL.
        options: how it behaves where Twilio varies; may be changed while it runs.
        account_sid, auth_token: the credentials; made up when absent.
        numbers: phone numbers of the account, E.164.
        metronome: ticks all calls, and is run by whoever gives it; None: each call has a clock of its own.
    """

    def __init__(
        self, *, routes: Mapping[str, str] | None = None, options: Options | None = None,
        account_sid: str | None = None, auth_token: str | None = None,
        numbers: tuple[str, ...] = (DEFAULT_NUMBER,), metronome: Metronome | None = None,
    ) -> None:  # fmt: skip
        self.account_sid = account_sid or new_sid("AC")
        self.auth_token = auth_token or secrets.token_hex(16)
        self.api_key_sid = new_sid("SK")
        self.api_key_secret = secrets.token_hex(16)
        self.options = options or Options()
        self.routes = Routes(routes)
        self.numbers = {number: OwnNumber(number) for number in numbers}
        self.people: dict[str, Person] = {}
        self.metronome = metronome
        self.default_person = Person()
        self.turns: dict[str, deque[Person]] = {}
        """Who answers a number (``""``: any) the next times it is rung, before ``people``."""
        self.calls: list[LocalCall] = []
        self.conferences: list[Conference] = []
        """Those that are over too, oldest first."""
        self.recordings: dict[str, Recording] = {}
        self.faults: list[RestFault] = []
        """What goes wrong with the next REST requests."""
        self.messages: list[Message] = []
        self.refusals: list[RestError] = []
        """REST requests that were refused, in order."""
        self._server: uvicorn.Server | None = None
        self._socket: socket.socket | None = None

    @property
    def api_url(self) -> str:
        """Base URL of the REST API, for ``VOICEBOT_TWILIO_API``."""
        assert self._socket is not None, "use `async with LocalTwilio()`"
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    async def __aenter__(self) -> LocalTwilio:
        tls_context()  # takes tens of milliseconds once; not during a call
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            rest_app(self),
            lifespan="off",
            log_config=None,
            access_log=False,
            ws="none",
            timeout_graceful_shutdown=1,
        )
        # its start and end without its main loop: no signal handlers, no 100 ms ticks
        self._server = uvicorn.Server(config)
        config.load()
        self._server.lifespan = config.lifespan_class(config)
        await self._server.startup(sockets=[self._socket])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for call in self.calls:
            call.complete()
        await asyncio.gather(*(call.wait_ended() for call in self.calls), return_exceptions=True)
        await asyncio.gather(*(call.settle(2.0) for call in self.calls))
        await asyncio.gather(*(conference.settle(2.0) for conference in self.conferences))
        if self._server is not None:
            await self._server.shutdown()
        if self._socket is not None:
            self._socket.close()

    # --- phones -----------------------------------------------------------------------

    async def phone(
        self, voice_url: str | None = None, *, ear: Ear, from_: str = DEFAULT_CALLER, to: str | None = None,
        status_callback: str | None = None, fallback_url: str | None = None,
    ) -> LocalCall:  # fmt: skip
        """Somebody phones ``to`` (default: the account's first number). Returns while it rings.

        Without ``voice_url`` the number's own webhooks are used, as ``voicebot twilio connect`` set them;
        with it, that URL, and ``status_callback`` and ``fallback_url`` beside it.
        """
        called = to or next(iter(self.numbers))
        own = self.numbers.get(called)
        method = "POST"
        status_method = fallback_method = "POST"
        if voice_url is None:
            if own is None or not own.voice_url:
                raise ValueError(
                    f"{called} has no voice URL: give voice_url, or set the number's webhooks by REST"
                )
            voice_url, method = own.voice_url, own.voice_method
            status_callback = status_callback or own.status_callback or None
            fallback_url = fallback_url or own.voice_fallback_url or None
            status_method, fallback_method = own.status_callback_method, own.voice_fallback_method
        self.routes.add_plain(voice_url)
        target = StatusTarget(Jump(status_callback, status_method)) if status_callback else None
        call = LocalCall(
            self, direction="inbound", from_=from_, to=called, ear=ear, target=target,
            fallback=Jump(fallback_url, fallback_method) if fallback_url else None,
        )  # fmt: skip
        call.begin(Jump(voice_url, method))
        return call

    def person(self, number: str) -> Person:
        """Who answers a number that is dialled: the next in ``turns``, or else of ``people``."""
        turns = self.turns.get(number) or self.turns.get("")
        return turns.popleft() if turns else self.people.get(number, self.default_person)

    def conference(self, name: str) -> Conference | None:
        """The running conference of that name."""
        return next((c for c in self.conferences if c.friendly_name == name and not c.over), None)

    def open_conference(self, name: str) -> Conference:
        """A new one; names are unique among those that run."""
        conference = Conference(self, name)
        self.conferences.append(conference)
        return conference

    def register(self, call: LocalCall) -> None:
        """Makes a call known to REST."""
        self.calls.append(call)

    def forget(self, call: LocalCall) -> None:
        """Drops a call that is over and settled, with all that it holds; for runs of thousands."""
        self.calls.remove(call)

    def call(self, call_sid: str) -> LocalCall:
        """The call with that SID."""
        return next(c for c in self.calls if c.call_sid == call_sid)

    def legs_of(self, call: LocalCall) -> list[LocalCall]:
        """The legs that were dialled from a call, oldest first."""
        return [c for c in self.calls if c.parent_sid == call.call_sid]
