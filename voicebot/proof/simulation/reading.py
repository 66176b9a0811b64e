"""Reads attributes and addresses of TwiML elements, and keeps what Twilio would warn about. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit, urlunsplit
from xml.etree import ElementTree

from .verbs import Jump


class TwimlError(Exception):
    """A document that Twilio refuses. ``code`` is Twilio's."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


@dataclass
class Reader:
    """Collects warnings while elements are read."""

    base: str
    warnings: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])

    def warn(self, code: int, text: str) -> None:
        """What Twilio would only warn about."""
        self.warnings.append((code, text))

    def attributes(self, element: ElementTree.Element, *known: str) -> dict[str, str]:
        """The known ones; others are warned about."""
        for name in element.attrib:
            if name not in known:
                self.warn(12200, f"<{element.tag}> has no attribute {name!r}")
        return {k: v for k, v in element.attrib.items() if k in known}

    def no_children(self, element: ElementTree.Element) -> None:
        """Warns about nested elements."""
        for child in element:
            self.warn(12200, f"<{child.tag}> may not stand in <{element.tag}>")

    def jump(self, url: str | None, method: str | None) -> Jump | None:
        """An address, absolute; None when there is none.

        Raises:
            TwimlError: 11100 it is not http or https.
        """
        if not url:
            return None
        verb = (method or "POST").upper()
        if verb not in ("GET", "POST"):
            self.warn(12200, f"method {method!r} is neither GET nor POST")
            verb = "POST"
        absolute = urljoin(self.base, url.strip())
        if urlsplit(absolute).scheme not in ("http", "https"):
            raise TwimlError(11100, f"URL {url!r} is not http or https")
        return Jump(absolute, verb)

    def number(self, text: str | None, default: float, what: str) -> float:
        """A number, or the default with a warning."""
        if text is None:
            return default
        try:
            return float(text)
        except ValueError:
            self.warn(12200, f"{what} {text!r} is not a number")
            return default

    def flag(self, text: str | None, default: bool, what: str) -> bool:
        """``true`` or ``false``."""
        if text is None:
            return default
        if text.lower() not in ("true", "false"):
            self.warn(12200, f"{what} {text!r}: true or false")
            return default
        return text.lower() == "true"

    def stream_url(self, url: str) -> str:
        """Where a stream goes: absolute, without query.

        Raises:
            TwimlError: 31923 malformed, 31922 a scheme that is neither ``wss`` nor ``ws``.
        """
        if not url:
            raise TwimlError(31923, "<Stream> has no url")
        absolute = urljoin(self.base, url)
        parts = urlsplit(absolute)
        if "://" not in url:  # relative to the document: same host, other scheme
            scheme = {"https": "wss", "http": "ws"}.get(parts.scheme, parts.scheme)
            parts = parts._replace(scheme=scheme)
        if not parts.hostname:
            raise TwimlError(31923, f"<Stream url={url!r}> names no host")
        if parts.scheme not in ("wss", "ws"):
            raise TwimlError(31922, f"<Stream url={url!r}>: the scheme must be wss")
        if parts.query:
            self.warn(31920, "<Stream url> has a query string; Twilio drops it: use <Parameter>")
        return urlunsplit(parts._replace(query="", fragment=""))

    def parameters(self, element: ElementTree.Element) -> dict[str, str]:
        """The ``<Parameter>`` pairs of a ``<Stream>``.

        Raises:
            TwimlError: 12200 a pair of 500 characters or more.
        """
        found: dict[str, str] = {}
        for child in element:
            if child.tag != "Parameter":
                self.warn(12200, f"<{child.tag}> may not stand in <Stream>")
                continue
            pair = self.attributes(child, "name", "value")
            add_parameter(found, pair.get("name", ""), pair.get("value", ""))
        return found


def add_parameter(found: dict[str, str], name: str, value: str) -> None:
    """Adds one custom parameter of a stream.

    Raises:
        TwimlError: 12200 no name, or 500 characters and over.
    """
    if not name or len(name) + len(value) >= 500:
        raise TwimlError(12200, f"parameter {name[:40]!r}: name and value must be below 500 characters")
    found[name] = value
