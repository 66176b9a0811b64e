"""Reads TwiML into verbs, strictly.

Pure. What Twilio answers with an error raises ``TwimlError`` with its code; what it only warns about
(12200: a misspelt verb, an unknown attribute, wrong nesting) is listed in ``Document.warnings``, and
counts as a violation of the call. Source: twilio.com/docs/voice/twiml.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit, urlunsplit
from xml.etree import ElementTree

MAX_BYTES = 64 * 1024


class TwimlError(Exception):
    """A document that Twilio refuses. ``code`` is Twilio's."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


@dataclass(frozen=True)
class Jump:
    """Ask this URL for the next document."""

    url: str
    method: str = "POST"


@dataclass(frozen=True)
class Stream:
    """``<Connect><Stream>``: blocks until the socket is over, then ``action`` or the next verb."""

    url: str
    name: str | None
    parameters: dict[str, str]
    status_callback: Jump | None
    action: Jump | None


@dataclass(frozen=True)
class Redirect:
    """Everything after it is dead."""

    to: Jump


@dataclass(frozen=True)
class Say:
    """Speech of Twilio's own."""

    text: str
    loop: int = 1


@dataclass(frozen=True)
class Play:
    """A file (``url``) or keys (``digits``)."""

    url: str
    digits: str
    loop: int = 1


@dataclass(frozen=True)
class Pause:
    """Silence."""

    length_s: float = 1.0


@dataclass(frozen=True)
class Hangup:
    """Ends the call."""


@dataclass(frozen=True)
class Reject:
    """As the first verb: not answered, not billed."""

    reason: str = "rejected"


@dataclass(frozen=True)
class Number:
    """Who is dialled. ``whisper``: TwiML the called party gets before the two are joined."""

    number: str
    whisper: Jump | None = None
    status_callback: Jump | None = None
    status_events: tuple[str, ...] = ("completed",)


@dataclass(frozen=True)
class Dial:
    """Joins a second leg to the call."""

    numbers: tuple[Number, ...]
    action: Jump | None
    timeout_s: float = 30.0
    time_limit_s: float = 14400.0
    caller_id: str | None = None
    answer_on_bridge: bool = False


Verb = Stream | Redirect | Say | Play | Pause | Hangup | Reject | Dial


@dataclass(frozen=True)
class Document:
    """A document that Twilio would run."""

    url: str
    verbs: tuple[Verb, ...]
    warnings: tuple[tuple[int, str], ...] = ()


@dataclass
class _Reader:
    """Collects warnings while elements are read."""

    base: str
    warnings: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])

    def warn(self, code: int, text: str) -> None:
        self.warnings.append((code, text))

    def attributes(self, element: ElementTree.Element, *known: str) -> dict[str, str]:
        for name in element.attrib:
            if name not in known:
                self.warn(12200, f"<{element.tag}> has no attribute {name!r}")
        return {k: v for k, v in element.attrib.items() if k in known}

    def no_children(self, element: ElementTree.Element) -> None:
        for child in element:
            self.warn(12200, f"<{child.tag}> may not stand in <{element.tag}>")

    def jump(self, url: str | None, method: str | None) -> Jump | None:
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
        if text is None:
            return default
        try:
            return float(text)
        except ValueError:
            self.warn(12200, f"{what} {text!r} is not a number")
            return default


def read(body: str | bytes, *, url: str) -> Document:
    """Reads a document; ``url`` is where it came from, for relative addresses in it.

    Raises:
        TwimlError: 11750 above 64 KB, 11770 empty, 12100 not XML or no ``<Response>``, 31922 stream not
            wss, 31941 track other than inbound on ``<Connect>``, 13201 and others as the verbs say.
    """
    raw = body.encode() if isinstance(body, str) else body
    if len(raw) > MAX_BYTES:
        raise TwimlError(11750, f"document of {len(raw)} bytes; at most {MAX_BYTES}")
    if not raw.strip():
        raise TwimlError(11770, "the answer is empty")
    try:
        root = ElementTree.fromstring(raw)  # noqa: S314  # from the server under test
    except ElementTree.ParseError as error:
        raise TwimlError(12100, f"not XML: {error}") from error
    if root.tag != "Response":
        raise TwimlError(12100, f"the root is <{root.tag}>, not <Response>")
    reader = _Reader(base=url)
    verbs: list[Verb] = []
    for element in root:
        verb = _READERS.get(element.tag)
        if verb is None:
            if element.tag in _NOT_YET:
                raise TwimlError(12200, f"<{element.tag}> is TwiML, but this stand-in does not run it yet")
            reader.warn(12200, f"<{element.tag}> is no verb (names are case-sensitive)")
            continue
        found = verb(reader, element)
        if found is not None:
            verbs.append(found)
    return Document(url=url, verbs=tuple(verbs), warnings=tuple(reader.warnings))


_NOT_YET = frozenset({"Start", "Stop", "Gather", "Record", "Enqueue", "Leave", "Pay", "Refer", "Prompt"})


def _connect(reader: _Reader, element: ElementTree.Element) -> Verb | None:
    attributes = reader.attributes(element, "action", "method")
    streams = [child for child in element if child.tag == "Stream"]
    for child in element:
        if child.tag != "Stream":
            reader.warn(12200, f"<{child.tag}> in <Connect> is not run by this stand-in")
    if len(streams) != 1:
        reader.warn(12200, f"<Connect> holds {len(streams)} <Stream>, not one")
        return None
    noun = streams[0]
    given = reader.attributes(noun, "url", "name", "track", "statusCallback", "statusCallbackMethod")
    if given.get("track", "inbound_track") != "inbound_track":
        raise TwimlError(31941, f"track {given['track']!r}: on <Connect> only inbound_track")
    parameters: dict[str, str] = {}
    for child in noun:
        if child.tag != "Parameter":
            reader.warn(12200, f"<{child.tag}> may not stand in <Stream>")
            continue
        pair = reader.attributes(child, "name", "value")
        name, value = pair.get("name", ""), pair.get("value", "")
        if not name or len(name) + len(value) >= 500 or len(name) >= 500:
            raise TwimlError(
                12200, f"<Parameter name={name[:40]!r}>: name and value must be below 500 characters"
            )
        parameters[name] = value
    return Stream(
        url=_stream_url(reader, given.get("url", "")),
        name=given.get("name"),
        parameters=parameters,
        status_callback=reader.jump(given.get("statusCallback"), given.get("statusCallbackMethod")),
        action=reader.jump(attributes.get("action"), attributes.get("method")),
    )


def _stream_url(reader: _Reader, url: str) -> str:
    if not url:
        raise TwimlError(31923, "<Stream> has no url")
    absolute = urljoin(reader.base, url)
    parts = urlsplit(absolute)
    if "://" not in url:  # relative to the document: same host, other scheme
        scheme = {"https": "wss", "http": "ws"}.get(parts.scheme, parts.scheme)
        parts = parts._replace(scheme=scheme)
    if not parts.hostname:
        raise TwimlError(31923, f"<Stream url={url!r}> names no host")
    if parts.scheme not in ("wss", "ws"):
        raise TwimlError(31922, f"<Stream url={url!r}>: the scheme must be wss")
    if parts.query:
        reader.warn(31920, "<Stream url> has a query string; Twilio drops it: use <Parameter>")
    return urlunsplit(parts._replace(query="", fragment=""))


def _redirect(reader: _Reader, element: ElementTree.Element) -> Verb | None:
    method = reader.attributes(element, "method").get("method")
    reader.no_children(element)
    to = reader.jump((element.text or "").strip() or reader.base, method)
    assert to is not None
    return Redirect(to)


def _say(reader: _Reader, element: ElementTree.Element) -> Verb | None:
    given = reader.attributes(element, "voice", "language", "loop")
    text = " ".join("".join(element.itertext()).split())
    if len(text) > 4096:
        raise TwimlError(13520, "<Say> of more than 4096 characters")
    return Say(text, loop=int(reader.number(given.get("loop"), 1, "loop")))


def _play(reader: _Reader, element: ElementTree.Element) -> Verb | None:
    given = reader.attributes(element, "loop", "digits")
    reader.no_children(element)
    url = (element.text or "").strip()
    if not url and not given.get("digits"):
        reader.warn(13420, "<Play> has neither URL nor digits")
        return None
    target = reader.jump(url, "GET")
    return Play(
        url=target.url if target else "",
        digits=given.get("digits", ""),
        loop=int(reader.number(given.get("loop"), 1, "loop")),
    )


def _pause(reader: _Reader, element: ElementTree.Element) -> Verb | None:
    given = reader.attributes(element, "length")
    reader.no_children(element)
    return Pause(reader.number(given.get("length"), 1.0, "length"))


def _hangup(reader: _Reader, element: ElementTree.Element) -> Verb | None:
    reader.attributes(element)
    reader.no_children(element)
    return Hangup()


def _reject(reader: _Reader, element: ElementTree.Element) -> Verb | None:
    reason = reader.attributes(element, "reason").get("reason", "rejected")
    if reason not in ("rejected", "busy"):
        reader.warn(12200, f"<Reject reason={reason!r}>: rejected or busy")
        reason = "rejected"
    return Reject(reason)


def _dial(reader: _Reader, element: ElementTree.Element) -> Verb | None:
    given = reader.attributes(
        element, "action", "method", "timeout", "timeLimit", "hangupOnStar", "callerId", "answerOnBridge"
    )
    numbers: list[Number] = []
    text = (element.text or "").strip()
    if text:
        numbers.append(Number(text))
    for child in element:
        match child.tag:
            case "Number":
                numbers.append(_number(reader, child))
            case "Conference" | "Client" | "Sip" | "Queue" | "Sim":
                raise TwimlError(12200, f"<Dial><{child.tag}>: this stand-in does not run it yet")
            case _:
                reader.warn(12200, f"<{child.tag}> may not stand in <Dial>")
    for number in numbers:
        if not number.number.startswith("+") or not number.number[1:].isdigit():
            reader.warn(13223, f"<Dial> of {number.number!r}: not E.164")
    if not numbers:
        reader.warn(12200, "<Dial> names nobody")
        return None
    return Dial(
        numbers=tuple(numbers),
        action=reader.jump(given.get("action"), given.get("method")),
        timeout_s=reader.number(given.get("timeout"), 30.0, "timeout"),
        time_limit_s=reader.number(given.get("timeLimit"), 14400.0, "timeLimit"),
        caller_id=given.get("callerId"),
        answer_on_bridge=given.get("answerOnBridge", "false").lower() == "true",
    )


def _number(reader: _Reader, element: ElementTree.Element) -> Number:
    given = reader.attributes(
        element,
        "sendDigits",
        "url",
        "method",
        "statusCallback",
        "statusCallbackMethod",
        "statusCallbackEvent",
    )
    reader.no_children(element)
    events = tuple(given.get("statusCallbackEvent", "completed").split())
    for event in events:
        if event not in ("initiated", "ringing", "answered", "completed"):
            reader.warn(12200, f"statusCallbackEvent {event!r} is unknown")
    return Number(
        number=(element.text or "").strip(),
        whisper=reader.jump(given.get("url"), given.get("method")),
        status_callback=reader.jump(given.get("statusCallback"), given.get("statusCallbackMethod")),
        status_events=events,
    )


_READERS: dict[str, Callable[[_Reader, ElementTree.Element], Verb | None]] = {
    "Connect": _connect,
    "Redirect": _redirect,
    "Say": _say,
    "Play": _play,
    "Pause": _pause,
    "Hangup": _hangup,
    "Reject": _reject,
    "Dial": _dial,
}
