"""Reads TwiML into verbs, strictly.

Pure. What Twilio answers with an error raises ``TwimlError`` with its code; what it only warns about
(12200: a misspelt verb, an unknown attribute, wrong nesting) is listed in ``Document.warnings``, and
counts as a violation of the call. Source: twilio.com/docs/voice/twiml.
"""

from __future__ import annotations

from collections.abc import Callable
from xml.etree import ElementTree

from .pay_verb import pay
from .reading import Reader, TwimlError
from .twiml_legs import conference, gather, record, start, stop
from .verbs import (
    ConferenceRoom,
    Dial,
    Document,
    Gather,
    Hangup,
    Jump,
    Number,
    Pause,
    Play,
    Record,
    Redirect,
    Reject,
    Say,
    StartStream,
    StopStream,
    Stream,
    Verb,
)

__all__ = [
    "ConferenceRoom",
    "Dial",
    "Document",
    "Gather",
    "Hangup",
    "Jump",
    "Number",
    "Pause",
    "Play",
    "Record",
    "Redirect",
    "Reject",
    "Say",
    "StartStream",
    "StopStream",
    "Stream",
    "TwimlError",
    "Verb",
    "read",
]

MAX_BYTES = 64 * 1024


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
    reader = Reader(base=url)
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


_NOT_YET = frozenset({"Enqueue", "Leave", "Refer", "Prompt"})


def _connect(reader: Reader, element: ElementTree.Element) -> Verb | None:
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
    return Stream(
        url=reader.stream_url(given.get("url", "")),
        name=given.get("name"),
        parameters=reader.parameters(noun),
        status_callback=reader.jump(given.get("statusCallback"), given.get("statusCallbackMethod")),
        action=reader.jump(attributes.get("action"), attributes.get("method")),
    )


def _redirect(reader: Reader, element: ElementTree.Element) -> Verb | None:
    method = reader.attributes(element, "method").get("method")
    reader.no_children(element)
    to = reader.jump((element.text or "").strip() or reader.base, method)
    assert to is not None
    return Redirect(to)


def _say(reader: Reader, element: ElementTree.Element) -> Verb | None:
    given = reader.attributes(element, "voice", "language", "loop")
    text = " ".join("".join(element.itertext()).split())
    if len(text) > 4096:
        raise TwimlError(13520, "<Say> of more than 4096 characters")
    return Say(text, loop=int(reader.number(given.get("loop"), 1, "loop")))


def _play(reader: Reader, element: ElementTree.Element) -> Verb | None:
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


def _pause(reader: Reader, element: ElementTree.Element) -> Verb | None:
    given = reader.attributes(element, "length")
    reader.no_children(element)
    return Pause(reader.number(given.get("length"), 1.0, "length"))


def _hangup(reader: Reader, element: ElementTree.Element) -> Verb | None:
    reader.attributes(element)
    reader.no_children(element)
    return Hangup()


def _reject(reader: Reader, element: ElementTree.Element) -> Verb | None:
    reason = reader.attributes(element, "reason").get("reason", "rejected")
    if reason not in ("rejected", "busy"):
        reader.warn(12200, f"<Reject reason={reason!r}>: rejected or busy")
        reason = "rejected"
    return Reject(reason)


def _dial(reader: Reader, element: ElementTree.Element) -> Verb | None:
    given = reader.attributes(
        element, "action", "method", "timeout", "timeLimit", "hangupOnStar", "callerId", "answerOnBridge"
    )
    numbers: list[Number] = []
    room: ConferenceRoom | None = None
    text = (element.text or "").strip()
    if text:
        numbers.append(Number(text))
    for child in element:
        match child.tag:
            case "Number":
                numbers.append(_number(reader, child))
            case "Conference":
                room = conference(reader, child)
            case "Client" | "Sip" | "Queue" | "Sim":
                raise TwimlError(12200, f"<Dial><{child.tag}>: this stand-in does not run it yet")
            case _:
                reader.warn(12200, f"<{child.tag}> may not stand in <Dial>")
    for number in numbers:
        if not number.number.startswith("+") or not number.number[1:].isdigit():
            reader.warn(13223, f"<Dial> of {number.number!r}: not E.164")
    if room is not None and (numbers or sum(child.tag == "Conference" for child in element) > 1):
        reader.warn(12200, "<Dial> holds a <Conference> and somebody else")
    if not numbers and room is None:
        reader.warn(12200, "<Dial> names nobody")
        return None
    return Dial(
        numbers=tuple(numbers),
        action=reader.jump(given.get("action"), given.get("method")),
        timeout_s=reader.number(given.get("timeout"), 30.0, "timeout"),
        time_limit_s=reader.number(given.get("timeLimit"), 14400.0, "timeLimit"),
        caller_id=given.get("callerId"),
        answer_on_bridge=reader.flag(given.get("answerOnBridge"), False, "answerOnBridge"),
        room=room,
        hangup_on_star=reader.flag(given.get("hangupOnStar"), False, "hangupOnStar"),
    )


def _number(reader: Reader, element: ElementTree.Element) -> Number:
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


def _gather(reader: Reader, element: ElementTree.Element) -> Verb | None:
    prompts: list[Say | Play | Pause] = []
    for child in element:
        reads = {"Say": _say, "Play": _play, "Pause": _pause}.get(child.tag)
        found = None if reads is None else reads(reader, child)
        if reads is None:
            reader.warn(12200, f"<{child.tag}> may not stand in <Gather>")
        elif isinstance(found, Say | Play | Pause):
            prompts.append(found)
    return gather(reader, element, tuple(prompts))


_READERS: dict[str, Callable[[Reader, ElementTree.Element], Verb | None]] = {
    "Connect": _connect,
    "Redirect": _redirect,
    "Say": _say,
    "Play": _play,
    "Pause": _pause,
    "Hangup": _hangup,
    "Reject": _reject,
    "Dial": _dial,
    "Pay": pay,
    "Start": start,
    "Stop": stop,
    "Gather": _gather,
    "Record": record,
}
