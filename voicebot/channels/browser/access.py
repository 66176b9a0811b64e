"""Who may call from a browser: anybody when it is open, who knows the password, programs, this machine.

A browser asks for the password by itself (HTTP Basic), at the page and for everything the page then asks for.
Names of calls are random (128 bit) and are the only key to a call under way; what is limited here is how fast
somebody may begin calls, how many they have at once, and how fast they may try passwords.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from voicebot.channels.chat.limits import BEGINNINGS, Limit, Rate, of_one_customer
from voicebot.channels.twilio.addresses import is_loopback
from voicebot.channels.twilio.caller import is_local
from voicebot.core.clock import Clock, monotonic
from voicebot.core.settings import Settings

CALLS_EACH = 2
"""Calls of one address at once: a page that connects anew has two for a moment."""
TRIES = Rate(burst=10, per_s=1 / 30)
"""Wrong passwords from one address."""


class BrowserRefused(Exception):
    """Base: ``status`` for HTTP, ``code`` for programs, the text for people."""

    status = 403
    code = "closed"
    headers: dict[str, str] = {}  # noqa: RUF012  # replaced, never changed


class BrowserClosed(BrowserRefused):
    """Browser calls are not open to this caller."""


class PasswordNeeded(BrowserRefused):
    """The browser asks for it, and comes again."""

    status = 401
    code = "password"
    headers = {"WWW-Authenticate": 'Basic realm="voicebot", charset="UTF-8"'}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__("send the password (VOICEBOT_BROWSER_PASSWORD) by HTTP Basic; any user name will do")


class TooMany(BrowserRefused):
    """From this address, or altogether."""

    status = 429
    code = "too_many"

    def __init__(self, text: str, retry_after_s: int) -> None:
        super().__init__(text)
        self.headers = {"Retry-After": str(retry_after_s)}


@dataclass(frozen=True, slots=True)
class Caller:
    """``limited_as``: whose limits count; None: nobody's."""

    limited_as: str | None


class BrowserAccess:
    """Decides; one per node.

    Args:
        settings: those of the browser, ``api_token``, ``public_url``, ``proxies``.
        insecure_local: this machine needs nothing.
        clock: for the limits.
    """

    def __init__(self, settings: Settings, *, insecure_local: bool, clock: Clock = monotonic) -> None:
        self._open = settings.browser
        self._password = settings.browser_password
        self._token = settings.api_token
        self._most = settings.browser_calls
        self._insecure_local = insecure_local
        self._proxies = settings.proxies
        self._origins: frozenset[str] = frozenset()
        if settings.public_url is not None:
            parts = urlsplit(settings.public_url.lower())
            self._origins = frozenset({f"{parts.scheme}://{parts.netloc}"})
        self._beginnings = Limit(BEGINNINGS, clock)
        self._tries = Limit(TRIES, clock)
        self._calls: Counter[str] = Counter()

    @property
    def calls(self) -> int:
        """Browser calls of this node, those that are being connected among them."""
        return self._calls.total()

    def admit(self, request: HTTPConnection) -> Caller:
        """Who asks.

        Raises:
            BrowserRefused: they may not; says what would help.
        """
        origin = request.headers.get("origin")
        if self._insecure_local and is_local(request) and is_loopback(request.url.hostname):
            if origin is not None and not is_loopback(urlsplit(origin).hostname):
                raise BrowserClosed("--insecure-local takes no calls from pages of other hosts")
            return Caller(None)
        authorization = request.headers.get("authorization", "")
        if self._token is not None and _same(
            authorization.removeprefix("Bearer "), self._token.get_secret_value()
        ):
            return Caller(None)
        caller = Caller(of_one_customer(self._address(request)))
        if self._open == "off":
            raise BrowserClosed(
                "calls from a browser are off: set VOICEBOT_BROWSER=password or open, or send "
                "VOICEBOT_API_TOKEN as bearer token"
            )
        if self._open == "password":
            self._check_password(authorization, caller.limited_as or "")
        if origin is not None and not self._known(origin.lower(), request):
            raise BrowserClosed("pages of this origin may not call: open the page of this server")
        return caller

    @contextmanager
    def place(self, caller: Caller) -> Generator[None]:
        """A call's place, while the block lasts; a new one counts against the address's rate.

        Raises:
            TooMany: none is left.
        """
        name = caller.limited_as or ""
        if self.calls >= self._most:
            raise TooMany("all lines for browsers are busy: try again in a minute", 60)
        if caller.limited_as is not None and self._calls[name] >= CALLS_EACH:
            raise TooMany("you are in a call already: end it first", 10)
        self._calls[name] += 1
        try:
            yield
        finally:
            self._calls[name] -= 1
            self._calls += Counter()  # those at zero go

    def begin(self, caller: Caller) -> None:
        """One more call of theirs begins.

        Raises:
            TooMany: too fast.
        """
        if caller.limited_as is None:
            return
        wait_s = self._beginnings.take(caller.limited_as)
        if wait_s:
            raise TooMany(f"too many calls: try again in {wait_s} s", wait_s)

    def _check_password(self, authorization: str, address: str) -> None:
        given = _password_of(authorization)
        if given is None:
            raise PasswordNeeded
        assert self._password is not None  # the settings see to it
        wait_s = self._tries.wait_s(address)
        if wait_s:  # the right one, too: else whoever tries fast learns it all the same
            raise TooMany(f"too many passwords: try again in {wait_s} s", wait_s)
        if not _same(given, self._password.get_secret_value()):
            self._tries.take(address)
            raise PasswordNeeded

    def _known(self, origin: str, request: HTTPConnection) -> bool:
        return origin in self._origins or urlsplit(origin).netloc == request.url.netloc.lower()

    def _address(self, request: HTTPConnection) -> str:
        """The peer, or the address that the outermost of our own proxies saw."""
        peer = request.client.host if request.client is not None else ""
        seen = [one.strip() for one in request.headers.get("x-forwarded-for", "").split(",") if one.strip()]
        if not self._proxies or len(seen) < self._proxies:
            return peer
        return seen[-self._proxies]


def _same(given: str, wanted: str) -> bool:
    return secrets.compare_digest(given.encode(), wanted.encode())


def _password_of(authorization: str) -> str | None:
    """What stands behind the colon of HTTP Basic; None: nothing was sent."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""
