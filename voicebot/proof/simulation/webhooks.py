"""Asks the server for TwiML and tells it what happened: limits, retry, redirects, signature.

Limits: 5 s to connect, 15 s in all; one more try, and only when the connection failed
(twilio.com/docs/usage/webhooks/webhooks-connection-overrides; overrides in the URL fragment are
followed). An answer of 4xx or 5xx is never asked again.
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qs, urldefrag, urlencode, urljoin, urlsplit, urlunsplit

import httpx

from .log import CallLog
from .options import Options
from .signing import HEADER, signature

MAX_REDIRECTS = 10
_REDIRECTS = (301, 302, 303, 307, 308)


class WebhookError(Exception):
    """The server could not be asked, or gave no usable answer. ``code`` is Twilio's."""

    def __init__(self, code: int, reason: str, url: str) -> None:
        super().__init__(f"{code}: {reason} ({url})")
        self.code = code
        self.reason = reason
        self.url = url


@dataclass(frozen=True)
class Answer:
    """What came back. ``url`` is where it came from after redirects."""

    url: str
    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True)
class _Rules:
    connect_s: float
    total_s: float
    retries: int
    on: frozenset[str]


class Routes:
    """Which public origin is really served where: ``{"https://voice.example.com": "http://127.0.0.1:9"}``.

    So a server can be told its public URL and be signed for it, as behind a proxy that ends TLS.
    """

    def __init__(self, routes: Mapping[str, str] | None = None) -> None:
        self._routes = {_origin(k): v.rstrip("/") for k, v in (routes or {}).items()}

    def add_plain(self, url: str) -> None:
        """A loopback server spoken to without TLS: its https and wss addresses lead there too."""
        parts = urlsplit(url)
        if parts.scheme == "http" and is_loopback(parts.hostname):
            self._routes.setdefault(f"https://{parts.netloc}", f"http://{parts.netloc}")

    def resolve(self, url: str) -> tuple[str, dict[str, str]]:
        """(URL to connect to, headers a proxy in between would add)."""
        parts = urlsplit(url)
        real = self._routes.get(_origin(url))
        if real is None:
            return url, {}
        target = urlsplit(real)
        scheme = target.scheme
        if parts.scheme in ("ws", "wss"):
            scheme = "wss" if target.scheme == "https" else "ws"
        plain = urlunsplit((scheme, target.netloc, target.path + parts.path, parts.query, ""))
        return plain, {
            "Host": parts.netloc,
            "X-Forwarded-Host": parts.netloc,
            "X-Forwarded-Proto": "https" if parts.scheme in ("https", "wss") else "http",
        }


def _origin(url: str) -> str:
    parts = urlsplit(url)
    scheme = {"wss": "https", "ws": "http"}.get(parts.scheme, parts.scheme)
    return f"{scheme}://{parts.netloc}"


def is_loopback(host: str | None) -> bool:
    """Whether a host name means this machine."""
    if host is None:
        return False
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@lru_cache(maxsize=1)
def tls_context() -> ssl.SSLContext:
    """One for all calls of the process: certificates are read once."""
    return ssl.create_default_context()


class Webhooks:
    """The HTTP client of one call: cookies are kept through it. Close it with the call."""

    def __init__(self, *, auth_token: str, routes: Routes, options: Options, log: CallLog) -> None:
        self._token = auth_token
        self._routes = routes
        self._options = options
        self._log = log
        self._client = httpx.AsyncClient(verify=tls_context(), trust_env=False, follow_redirects=False)

    async def close(self) -> None:
        """Gives back connections."""
        await self._client.aclose()

    async def request(self, url: str, method: str, form: Mapping[str, str], *, purpose: str) -> Answer:
        """One signed request, redirects followed, retried as Twilio does.

        Raises:
            WebhookError: 11100 bad URL, 11205 no connection, 11206 not HTTP, 11200 status or time,
                11215 redirects, 11220 TLS, 11750 too large.
        """
        rules = self._rules(url)
        token = secrets.token_hex(16)
        attempt = 0
        while True:
            self._log.add(
                "webhook", purpose=purpose, url=url, method=method, form=dict(form), attempt=attempt
            )
            try:
                async with asyncio.timeout(rules.total_s):
                    answer = await self._follow(url, method, form, token, rules)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                if attempt < rules.retries and "ct" in rules.on:
                    attempt += 1
                    continue
                code = 11220 if "SSL" in str(error) or "certificate" in str(error) else 11205
                raise WebhookError(code, f"cannot connect: {error}", url) from error
            except httpx.RemoteProtocolError as error:
                raise WebhookError(11206, f"not HTTP: {error}", url) from error
            except TimeoutError as error:
                if attempt < rules.retries and "rt" in rules.on:
                    attempt += 1
                    continue
                raise WebhookError(11200, f"no answer in {rules.total_s:g} s", url) from error
            except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
                raise WebhookError(11100, f"unusable URL: {error}", url) from error
            except httpx.HTTPError as error:
                raise WebhookError(11200, f"{type(error).__name__}: {error}", url) from error
            self._log.add("answer", purpose=purpose, url=answer.url, status=answer.status)
            if answer.status >= 500 and attempt < rules.retries and "5xx" in rules.on:
                attempt += 1
                continue
            if not 200 <= answer.status < 300:
                raise WebhookError(11200, f"answered {answer.status}", answer.url)
            return answer

    def _rules(self, url: str) -> _Rules:
        given = parse_qs(urldefrag(url).fragment)

        def number(name: str, default: float) -> float:
            try:
                return float(given[name][0])
            except (KeyError, ValueError):
                return default

        return _Rules(
            connect_s=number("ct", self._options.webhook_connect_s * 1000) / 1000,
            total_s=number("tt", number("rt", self._options.webhook_total_s * 1000)) / 1000,
            retries=int(number("rc", 1)),
            on=frozenset(given.get("rp", ["ct"])[0].split(",")),
        )

    async def _follow(
        self, url: str, method: str, form: Mapping[str, str], token: str, rules: _Rules
    ) -> Answer:
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._send(url, method, form, token, rules)
            if response.status_code not in _REDIRECTS or "location" not in response.headers:
                return Answer(
                    url=urldefrag(url).url,
                    status=response.status_code,
                    content_type=response.headers.get("content-type", ""),
                    body=response.content,
                )
            if response.status_code in (301, 302, 303) and method == "POST":
                method, form = "GET", {}  # the form is lost, as with Twilio
            url = urljoin(url, response.headers["location"])
        raise WebhookError(11215, f"more than {MAX_REDIRECTS} redirects", url)

    async def _send(
        self, url: str, method: str, form: Mapping[str, str], token: str, rules: _Rules
    ) -> httpx.Response:
        bare = urldefrag(url).url
        body: bytes | None = None
        headers = {"I-Twilio-Idempotency-Token": token, "User-Agent": "TwilioProxy/1.1", "Accept": "*/*"}
        if method == "GET":
            if form:
                bare += ("&" if urlsplit(bare).query else "?") + urlencode(form)
            headers[HEADER] = signature(self._token, bare)
        else:
            body = urlencode(form).encode("ascii")
            headers[HEADER] = signature(self._token, bare, form)
            headers["Content-Type"] = "application/x-www-form-urlencoded; charset=UTF-8"
        target, proxied = self._routes.resolve(bare)
        return await self._client.request(
            method,
            target,
            content=body,
            headers=headers | proxied,
            timeout=httpx.Timeout(rules.total_s, connect=rules.connect_s),
        )
