"""Is this request Twilio's? The one check in front of every route."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from voicebot.channels.twilio import signature
from voicebot.channels.twilio.addresses import Addresses, is_loopback
from voicebot.channels.twilio.refusals import Refusal, Refused
from voicebot.channels.twilio.signature import Form
from voicebot.core.settings import Settings

_FORWARDED = ("x-forwarded-for", "forwarded", "x-real-ip")


@dataclass(frozen=True, slots=True)
class Proven:
    """Who asks. ``local``: nobody signed it, but it comes from this machine and that is allowed."""

    at: Addresses
    local: bool
    signed_as: str | None = None


class CallerCheck:
    """Checks signatures against the public URL; one per node.

    Without ``VOICEBOT_PUBLIC_URL`` the request's own scheme and host are used (a server that Twilio
    reaches without a proxy). Forwarded headers are never believed.
    """

    def __init__(self, settings: Settings, *, insecure_local: bool) -> None:
        self._public = Addresses.at(settings.public_url) if settings.public_url is not None else None
        token = settings.twilio_auth_token
        self._token = token.get_secret_value() if token is not None else ""
        self._insecure_local = insecure_local

    def webhook(self, request: HTTPConnection, form: Form) -> Proven:
        """A POST from Twilio.

        Raises:
            Refused: ``unsigned``, ``forged_signature``, ``no_auth_token`` or ``not_loopback``.
        """
        tail = _tail(request)
        for at in self._bases(request):
            if self._signed(request, [at.http(tail)], form) is not None:
                return Proven(at, local=False)
        return self._unsigned(request)

    def upgrade(self, request: HTTPConnection) -> Proven:
        """The request that opens a media socket: signed over its ``wss://`` URL alone.

        Raises:
            Refused: as ``webhook``.
        """
        tail = _tail(request)
        for at in self._bases(request):
            spellings = list(signature.upgrade_spellings(at.websocket(tail)))
            signed_as = self._signed(request, spellings, Form())
            if signed_as is not None:
                return Proven(at, local=False, signed_as=signed_as)
        return self._unsigned(request)

    def _bases(self, request: HTTPConnection) -> list[Addresses]:
        own = Addresses.at(f"{request.url.scheme}://{request.url.netloc}")
        if self._public is None:
            return [own]
        return [self._public, own] if self._insecure_local and is_local(request) else [self._public]

    def _signed(self, request: HTTPConnection, urls: list[str], form: Form) -> str | None:
        header = request.headers.get(signature.HEADER)
        if not self._token or header is None:
            return None
        algorithm = request.headers.get(signature.SETTINGS_HEADER, "")
        for url in urls:
            if signature.valid(url, form, header, self._token, algorithm):
                return url
        return None

    def _unsigned(self, request: HTTPConnection) -> Proven:
        signed = signature.HEADER in request.headers
        if signed and self._token:
            raise Refused(Refusal.FORGED, "check VOICEBOT_PUBLIC_URL and TWILIO_AUTH_TOKEN")
        if self._insecure_local:
            if not is_local(request):
                raise Refused(Refusal.NOT_LOOPBACK, "--insecure-local takes requests of this machine only")
            return Proven(self._public or self._bases(request)[-1], local=True)
        if not self._token:
            raise Refused(Refusal.NO_AUTH_TOKEN, "set TWILIO_AUTH_TOKEN")
        raise Refused(Refusal.UNSIGNED, "no X-Twilio-Signature")


def _tail(request: HTTPConnection) -> str:
    """Path and query as they stood in the request line, percent-encoding untouched."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    query: bytes = request.scope["query_string"]
    path = raw.partition(b"?")[0].decode("latin-1")
    return f"{path}?{query.decode('latin-1')}" if query else path


def is_local(request: HTTPConnection) -> bool:
    """From this machine, and not through a proxy or tunnel that runs on it."""
    client = request.client
    if client is None or any(name in request.headers for name in _FORWARDED):
        return False
    return is_loopback(client.host)
