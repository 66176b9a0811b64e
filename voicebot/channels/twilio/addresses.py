"""The URLs by which Twilio reaches this server. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

_DEFAULT_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Addresses:
    """Every URL we give to Twilio, from one base (``https://voice.example.com``, a path allowed).

    The media socket is always ``wss``: Twilio takes no other scheme (error 31922), so a
    plain-http base stands for a server whose TLS ends in front of it.
    """

    base: str

    @classmethod
    def at(cls, url: str) -> Addresses:
        """From a URL: default port, trailing slash, query and fragment are left off."""
        parts = urlsplit(url)
        host = parts.netloc
        if parts.port is not None and parts.port == _DEFAULT_PORTS.get(parts.scheme):
            host = host.rpartition(":")[0]
        return cls(urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", "")))

    def http(self, path: str) -> str:
        """Absolute URL of ``path`` (which begins with a slash)."""
        return self.base + path

    def websocket(self, path: str) -> str:
        """The same as ``wss://``."""
        _, _, rest = self.base.partition("://")
        return f"wss://{rest}{path}"

    @property
    def stream(self) -> str:
        """The media socket: no query (Twilio drops it), no trailing slash."""
        return self.websocket("/twilio/media")

    @property
    def host(self) -> str:
        """Host and port, without scheme."""
        return urlsplit(self.base).netloc


def is_loopback(host: str | None) -> bool:
    """True for ``localhost``, 127.0.0.0/8 and ::1 (IPv4 addresses written as IPv6 too)."""
    if host is None:
        return False
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
