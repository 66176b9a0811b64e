"""Reads the elements that concern a call's legs: rooms, copies of a stream, keys, voicemail.

Pure. Source: twilio.com/docs/voice/twiml/conference, /stream, /gather, /record.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, urljoin, urlsplit
from xml.etree import ElementTree

from .reading import Reader, TwimlError
from .verbs import (
    HOLD_MUSIC,
    ConferenceRoom,
    Gather,
    Jump,
    Pause,
    Play,
    Record,
    Say,
    StartStream,
    StopStream,
    Track,
)

MAX_PARTICIPANTS = 250
EVENTS = ("start", "end", "join", "leave", "mute", "hold", "modify", "speaker", "announcement")
BEEPS = ("true", "false", "onEnter", "onExit")
TRACKS = ("inbound_track", "outbound_track", "both_tracks")
_CALL_SID = re.compile(r"^CA[0-9a-f]{32}$")
_KEYS = re.compile(r"^[0-9*#]*$")


def check_label(label: str) -> str:
    """A participant's label, if Twilio would take it.

    Raises:
        TwimlError: 16023 above 128 characters, like a CallSid, or with a slash (errors/16023).
    """
    if len(label) > 128 or _CALL_SID.match(label) or "/" in unquote(label):
        raise TwimlError(16023, f"participant label {label[:40]!r}: at most 128 characters, no CallSid, no /")
    return label


def conference(reader: Reader, element: ElementTree.Element) -> ConferenceRoom:
    """``<Conference>`` in ``<Dial>``.

    Raises:
        TwimlError: 16002 an attribute that cannot be validated (errors/16002), 16023 a label.
    """
    given = reader.attributes(
        element, "muted", "beep", "startConferenceOnEnter", "endConferenceOnExit", "participantLabel",
        "waitUrl", "waitMethod", "maxParticipants", "jitterBufferSize", "coach", "record", "trim", "region",
        "statusCallback", "statusCallbackMethod", "statusCallbackEvent", "recordingStatusCallback",
        "recordingStatusCallbackMethod", "recordingStatusCallbackEvent", "eventCallbackUrl",
    )  # fmt: skip
    reader.no_children(element)
    name = (element.text or "").strip()
    if not name:
        raise TwimlError(16002, "<Conference> has no name")
    beep = given.get("beep", "true")
    if beep not in BEEPS:
        reader.warn(12200, f"beep {beep!r}: one of {', '.join(BEEPS)}")
        beep = "true"
    if given.get("jitterBufferSize", "large") not in ("off", "small", "medium", "large"):
        raise TwimlError(16002, f"jitterBufferSize {given['jitterBufferSize']!r}")
    if given.get("record", "do-not-record") not in ("do-not-record", "record-from-start"):
        raise TwimlError(16002, f"record {given['record']!r}")
    return ConferenceRoom(
        name=name,
        label=check_label(given.get("participantLabel", "")),
        muted=reader.flag(given.get("muted"), False, "muted"),
        beep=beep,
        start_on_enter=_start_on_enter(reader, given.get("startConferenceOnEnter")),
        end_on_exit=reader.flag(given.get("endConferenceOnExit"), False, "endConferenceOnExit"),
        wait=_wait(reader, given),
        max_participants=_most(given.get("maxParticipants")),
        coach=given.get("coach") or None,
        record=given.get("record") == "record-from-start",
        recording_callback=_address(
            reader, given.get("recordingStatusCallback"), given.get("recordingStatusCallbackMethod")
        ),
        status_callback=_address(reader, given.get("statusCallback"), given.get("statusCallbackMethod")),
        status_events=events(given.get("statusCallbackEvent")),
    )


def events(given: str | None) -> tuple[str, ...]:
    """The conference events that are asked for; ``start end`` by default.

    Raises:
        TwimlError: 16002 an event that there is not.
    """
    wanted = tuple((given or "start end").split())
    for event in wanted:
        if event not in EVENTS:
            raise TwimlError(16002, f"statusCallbackEvent {event!r}: one of {', '.join(EVENTS)}")
    return wanted


def _start_on_enter(reader: Reader, given: str | None) -> bool:
    if given is not None and given not in ("true", "false"):
        reader.warn(13232, f"startConferenceOnEnter {given!r}: true or false")
        return True
    return given != "false"


def _wait(reader: Reader, given: dict[str, str]) -> Jump | None:
    if "waitUrl" not in given:
        return HOLD_MUSIC
    return _address(reader, given["waitUrl"], given.get("waitMethod"))


def _address(reader: Reader, url: str | None, method: str | None) -> Jump | None:
    if not url:
        return None
    if (method or "POST").upper() not in ("GET", "POST"):
        raise TwimlError(16002, f"method {method!r} is neither GET nor POST")
    absolute = urljoin(reader.base, url.strip())
    if urlsplit(absolute).scheme not in ("http", "https"):
        raise TwimlError(16002, f"URL {url!r} is not http or https")
    return Jump(absolute, (method or "POST").upper())


def _most(given: str | None) -> int:
    if given is None:
        return MAX_PARTICIPANTS
    if not given.isdigit() or not 1 <= int(given) <= MAX_PARTICIPANTS:
        raise TwimlError(16002, f"maxParticipants {given!r}: 1 to {MAX_PARTICIPANTS}")
    return int(given)


def start(reader: Reader, element: ElementTree.Element) -> StartStream | None:
    """``<Start><Stream>``.

    Raises:
        TwimlError: 31941 a track that there is not, 31922 and 31923 its URL.
    """
    action = reader.attributes(element, "action", "method")
    noun = _only_stream(reader, element)
    if noun is None:
        return None
    if action:
        reader.warn(12200, "<Start> goes on at once; this stand-in knows no action of it")
    given = reader.attributes(noun, "url", "name", "track", "statusCallback", "statusCallbackMethod")
    return StartStream(
        url=reader.stream_url(given.get("url", "")),
        name=given.get("name"),
        track=check_track(given.get("track", "inbound_track")),
        parameters=reader.parameters(noun),
        status_callback=reader.jump(given.get("statusCallback"), given.get("statusCallbackMethod")),
    )


def check_track(track: str) -> Track:
    """The tracks of a unidirectional stream.

    Raises:
        TwimlError: 31941.
    """
    if track not in TRACKS:
        raise TwimlError(31941, f"track {track!r}: one of {', '.join(TRACKS)}")
    return track


def stop(reader: Reader, element: ElementTree.Element) -> StopStream | None:
    """``<Stop><Stream name>``."""
    reader.attributes(element)
    noun = _only_stream(reader, element)
    if noun is None:
        return None
    name = reader.attributes(noun, "name").get("name", "")
    if not name:
        reader.warn(12200, "<Stop><Stream> names no stream")
        return None
    return StopStream(name)


def _only_stream(reader: Reader, element: ElementTree.Element) -> ElementTree.Element | None:
    streams = [child for child in element if child.tag == "Stream"]
    for child in element:
        if child.tag != "Stream":
            reader.warn(12200, f"<{child.tag}> in <{element.tag}> is not run by this stand-in")
    if len(streams) != 1:
        reader.warn(12200, f"<{element.tag}> holds {len(streams)} <Stream>, not one")
        return None
    return streams[0]


def gather(reader: Reader, element: ElementTree.Element, prompts: tuple[Say | Play | Pause, ...]) -> Gather:
    """``<Gather>`` of keys. Speech is not taken here: nothing in this stand-in knows words.

    Raises:
        TwimlError: 12200 for ``input`` with speech.
    """
    given = reader.attributes(
        element, "input", "action", "method", "timeout", "finishOnKey", "numDigits", "actionOnEmptyResult"
    )
    if "speech" in given.get("input", "dtmf"):
        raise TwimlError(12200, "<Gather input> with speech: this stand-in takes keys only")
    finish = given.get("finishOnKey", "#")
    if not _KEYS.match(finish) or len(finish) > 1:
        reader.warn(13310, f"finishOnKey {finish!r}: one of 0-9 * # or nothing")
        finish = "#"
    count = given.get("numDigits")
    if count is not None and (not count.isdigit() or int(count) < 1):
        reader.warn(13314, f"numDigits {count!r} is no positive whole number")
        count = None
    return Gather(
        prompts=prompts,
        action=_action(reader, given),
        timeout_s=reader.number(given.get("timeout"), 5.0, "timeout"),
        finish_on_key=finish,
        num_digits=int(count) if count else None,
        action_on_empty=reader.flag(given.get("actionOnEmptyResult"), False, "actionOnEmptyResult"),
    )


def record(reader: Reader, element: ElementTree.Element) -> Record:
    """``<Record>``: voicemail."""
    given = reader.attributes(
        element, "action", "method", "timeout", "finishOnKey", "maxLength", "playBeep", "trim",
        "recordingStatusCallback", "recordingStatusCallbackMethod", "recordingStatusCallbackEvent",
        "transcribe", "transcribeCallback",
    )  # fmt: skip
    reader.no_children(element)
    return Record(
        action=_action(reader, given),
        timeout_s=reader.number(given.get("timeout"), 5.0, "timeout"),
        finish_on_key=given.get("finishOnKey", "1234567890*#"),
        max_length_s=reader.number(given.get("maxLength"), 3600.0, "maxLength"),
        play_beep=reader.flag(given.get("playBeep"), True, "playBeep"),
        status_callback=reader.jump(
            given.get("recordingStatusCallback"), given.get("recordingStatusCallbackMethod")
        ),
        status_events=tuple(given.get("recordingStatusCallbackEvent", "completed").split()),
    )


def _action(reader: Reader, given: dict[str, str]) -> Jump | None:
    """Where the result goes: this same document when no ``action`` is given, if it has an address."""
    return reader.jump(given.get("action") or reader.base, given.get("method"))
