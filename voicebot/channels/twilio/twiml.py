"""The TwiML documents of this server, as text. Pure.

https://www.twilio.com/docs/voice/twiml
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Literal

from twilio.twiml.messaging_response import MessagingResponse
from twilio.twiml.voice_response import Connect, Dial, Stop, Stream, VoiceResponse

from voicebot.channels.twilio.addresses import Addresses

CONTENT_TYPE = "text/xml"

DIAL_TIMEOUT_S = 30

LineName = Literal["one_moment", "trouble_hearing", "handing_over", "sorry_ended", "recovered"]

# Said by Twilio's own voice only if the recorded line is missing from the package.
_SAID_INSTEAD: dict[str, str] = {
    "one_moment": "One moment, please.",
    "trouble_hearing": "I am having trouble hearing you.",
    "handing_over": "I am putting you through to a colleague. Please hold the line.",
    "sorry_ended": "I am sorry, we cannot take your call right now. Please try again later.",
    "recovered": "I am sorry, we were cut off. Let us go on.",
}


def recorded_line(name: str) -> Traversable | None:
    """The pre-rendered line ``name`` (8 kHz mu-law WAV) as shipped in the package; None if absent."""
    if not name.isidentifier() or not name.isascii():
        return None
    line = resources.files("voicebot.audio.speaking").joinpath("lines", f"{name}.wav")
    return line if line.is_file() else None


@dataclass(frozen=True, slots=True)
class Person:
    """Where a caller goes when the bot does not take them. ``number`` None: nowhere, so goodbye."""

    number: str | None


def connect_stream(at: Addresses, token: str, stops: Sequence[str] = ()) -> str:
    """The media socket, and what happens once it is over.

    The token travels as ``<Parameter>``, since Twilio drops a query from the stream's URL.
    When our side closes the socket the call goes on to ``/twilio/resume``. ``stops``: streams of the call
    that end now (they outlive the documents that began them).
    """
    response = VoiceResponse()
    for name in stops:
        stop = Stop()
        stop.stream(name=name)
        response.append(stop)
    stream = Stream(
        url=at.stream,
        status_callback=at.http("/twilio/stream-status"),
        status_callback_method="POST",
    )
    stream.parameter(name="token", value=token)
    connect = Connect()
    connect.append(stream)
    response.append(connect)
    response.redirect(at.http("/twilio/resume"), method="POST")
    return str(response)


def dial(at: Addresses, person: Person) -> str:
    """Puts the caller through at once; without a number it says so and hangs up."""
    if person.number is None:
        return apology(at)
    response = VoiceResponse()
    _dial(response, at, person.number)
    return str(response)


def play_then_dial(at: Addresses, line: LineName, person: Person) -> str:
    """An emergency line that needs no engine, then the person (or goodbye)."""
    if person.number is None:
        return apology(at)
    response = VoiceResponse()
    _say(response, at, line)
    _dial(response, at, person.number)
    return str(response)


def apology(at: Addresses) -> str:
    """Nobody can take the call: a polite line, then the end."""
    response = VoiceResponse()
    _say(response, at, "sorry_ended")
    response.hangup()
    return str(response)


def busy() -> str:
    """The busy tone; the call is not taken, and costs nothing."""
    response = VoiceResponse()
    response.reject(reason="busy")
    return str(response)


def queue(at: Addresses, since: int, *, first: bool) -> str:
    """Music, then the question again whether there is room. ``since``: seconds since 1970."""
    response = VoiceResponse()
    if first:
        _say(response, at, "one_moment")
    response.play(at.http("/twilio/hold.wav"))
    return _asking(response, at, since)


def ask_again(at: Addresses, since: int) -> str:
    """For a caller who hears the music of ``queue``: the question again, now."""
    return _asking(VoiceResponse(), at, since)


def hangup() -> str:
    """The end of the call."""
    response = VoiceResponse()
    response.hangup()
    return str(response)


def empty() -> str:
    """Nothing to do; also the answer to a request about a call that is no longer ours."""
    return str(VoiceResponse())


def sms_reply(text: str) -> str:
    """A text message in answer to a text message."""
    response = MessagingResponse()
    response.message(text)
    return str(response)


def _asking(response: VoiceResponse, at: Addresses, since: int) -> str:
    response.redirect(at.http(f"/twilio/voice?queued={since}"), method="POST")
    return str(response)


def _dial(response: VoiceResponse, at: Addresses, number: str) -> None:
    verb = Dial(action=at.http("/twilio/transfer/done"), method="POST", timeout=DIAL_TIMEOUT_S)
    verb.number(number)
    response.append(verb)


def _say(response: VoiceResponse, at: Addresses, line: LineName) -> None:
    if recorded_line(line) is not None:
        response.play(at.http(f"/twilio/lines/{line}.wav"))
    else:
        response.say(_SAID_INSTEAD[line])
