"""Who may use the chat: customers when it is open, the business's own programs, this machine.

Ids of conversations are random (128 bit) and are the only key to them; what is limited here is how
fast somebody may try.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from voicebot.channels.chat.errors import ChatCrowded, ChatError
from voicebot.channels.chat.limits import BEGINNINGS, MESSAGES, Limit, of_one_customer
from voicebot.channels.twilio.addresses import is_loopback
from voicebot.channels.twilio.caller import is_local
from voicebot.core.clock import Clock, monotonic
from voicebot.core.settings import Settings


class ChatClosed(ChatError):
    """Text chat is not open to this caller."""

    status = 403
    code = "closed"


@dataclass(frozen=True, slots=True)
class Customer:
    """Who writes. ``limited_as``: whose limits count, None: nobody's. ``origin``: the allowed page."""

    limited_as: str | None
    origin: str | None


class ChatAccess:
    """Decides; one per node.

    Args:
        settings: ``chat``, ``chat_origins``, ``api_token``, ``public_url``, ``proxies``.
        insecure_local: programs of this machine need nothing.
        clock: for the limits.
    """

    def __init__(self, settings: Settings, *, insecure_local: bool, clock: Clock = monotonic) -> None:
        self._open = settings.chat == "open"
        self._token = settings.api_token
        self._insecure_local = insecure_local
        self._proxies = settings.proxies
        self._origins = frozenset(filter(None, settings.chat_origins.split(",")))
        if settings.public_url is not None:
            parts = urlsplit(settings.public_url.lower())
            self._origins |= {f"{parts.scheme}://{parts.netloc}"}
        self._messages = Limit(MESSAGES, clock)
        self._beginnings = Limit(BEGINNINGS, clock)

    def admit(self, request: HTTPConnection) -> Customer:
        """Who asks.

        Raises:
            ChatClosed: chat is off, or the page it comes from may not use it.
        """
        origin = request.headers.get("origin")
        if self._insecure_local and is_local(request) and is_loopback(request.url.hostname):
            if origin is not None and not is_loopback(urlsplit(origin).hostname):
                raise ChatClosed("--insecure-local takes no messages from pages of other hosts")
            return Customer(None, origin)
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self._token is not None and secrets.compare_digest(
            given.encode(), self._token.get_secret_value().encode()
        ):
            return Customer(None, origin)
        if not self._open:
            raise ChatClosed(
                "text chat is closed: set VOICEBOT_CHAT=open for customers, "
                "or send VOICEBOT_API_TOKEN as bearer token"
            )
        if origin is not None and not self._known(origin.lower(), request):
            raise ChatClosed("pages of this origin may not chat: add it to VOICEBOT_CHAT_ORIGINS")
        return Customer(of_one_customer(self._address(request)), origin)

    def count(self, customer: Customer, *, beginning: bool) -> None:
        """One more message of a customer; ``beginning``: it begins a conversation.

        Raises:
            ChatCrowded: too many.
        """
        if customer.limited_as is None:
            return
        wait_s = self._messages.take(customer.limited_as)
        if not wait_s and beginning:
            wait_s = self._beginnings.take(customer.limited_as)
        if wait_s:
            raise ChatCrowded(wait_s)

    def _known(self, origin: str, request: HTTPConnection) -> bool:
        return origin in self._origins or urlsplit(origin).netloc == request.url.netloc.lower()

    def _address(self, request: HTTPConnection) -> str:
        """The peer, or the address that the outermost of our own proxies saw."""
        peer = request.client.host if request.client is not None else ""
        seen = [one.strip() for one in request.headers.get("x-forwarded-for", "").split(",") if one.strip()]
        if not self._proxies or len(seen) < self._proxies:
            return peer
        return seen[-self._proxies]
