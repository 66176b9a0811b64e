"""How browser and server find each other: this host's own addresses, and servers that an operator names."""

from __future__ import annotations

import json
import re
from typing import Any

from aiortc import RTCIceServer
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

_URL = re.compile(r"(stun|turns?):[^\s,]+")


class IceServer(BaseModel):
    """One STUN or TURN server, as browsers write them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    urls: str | list[str]
    username: str | None = None
    credential: str | None = None

    def for_browser(self) -> dict[str, Any]:
        """As in ``RTCPeerConnection``'s configuration."""
        return self.model_dump(exclude_none=True)


_MANY = TypeAdapter(list[IceServer])


class IceRefused(ValueError):
    """The setting cannot be used."""


def parse(setting: str) -> tuple[IceServer, ...]:
    """Servers from a setting: addresses with commas between them, or a JSON list with user names.

    Raises:
        IceRefused: says what is wrong, without any credential.
    """
    text = setting.strip()
    if not text:
        return ()
    if text.startswith("["):
        try:
            servers = tuple(_MANY.validate_python(json.loads(text), strict=True))
        except (json.JSONDecodeError, ValidationError):
            raise IceRefused(
                'VOICEBOT_WEBRTC_ICE is no list of {"urls": ..., "username": ..., "credential": ...}'
            ) from None
    else:
        servers = tuple(IceServer(urls=one.strip()) for one in text.split(",") if one.strip())
    for server in servers:
        for url in [server.urls] if isinstance(server.urls, str) else server.urls:
            if not _URL.fullmatch(url):
                raise IceRefused("VOICEBOT_WEBRTC_ICE: an address begins with stun:, turn: or turns:")
    return servers


def for_aiortc(servers: tuple[IceServer, ...]) -> list[RTCIceServer]:
    """For the server's end. An empty list means host candidates only; None would mean Google's."""
    return [RTCIceServer(urls=s.urls, username=s.username, credential=s.credential) for s in servers]
