"""The TwiML we give is what Twilio takes: known verbs, absolute URLs, no secret in a URL, no dead end."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest

from voicebot.channels.twilio import twiml
from voicebot.channels.twilio.addresses import Addresses
from voicebot.channels.twilio.rest import MAX_TWIML_CHARS
from voicebot.channels.twilio.twiml import Person
from voicebot.proof.simulation.twiml import read

AT = Addresses.at("https://voice.example.com")
SOMEONE, NOBODY = Person("+4930999999"), Person(None)
TOKEN = "x" * 43

DOCUMENTS: dict[str, Callable[[], str]] = {
    "connect": lambda: twiml.connect_stream(AT, TOKEN),
    "dial": lambda: twiml.dial(AT, SOMEONE),
    "dial_nobody": lambda: twiml.dial(AT, NOBODY),
    "play_then_dial": lambda: twiml.play_then_dial(AT, "handing_over", SOMEONE),
    "apology": lambda: twiml.apology(AT),
    "hangup": twiml.hangup,
    "empty": twiml.empty,
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_twilio_takes_it_without_a_warning(name: str) -> None:
    """The local Twilio is as strict as Twilio, and it fits into a REST update."""
    text = DOCUMENTS[name]()
    assert read(text, url=AT.http("/twilio/voice")).warnings == ()
    assert len(text) < MAX_TWIML_CHARS


def verbs(text: str) -> list[str]:
    return [verb.tag for verb in ET.fromstring(text)]  # noqa: S314  # our own document


def test_connect() -> None:
    """Stream with callback, token as parameter only, and what comes after the socket."""
    root = ET.fromstring(twiml.connect_stream(AT, TOKEN))  # noqa: S314  # our own document
    stream = root.find("Connect/Stream")
    assert stream is not None
    assert stream.attrib == {
        "url": "wss://voice.example.com/twilio/media",
        "statusCallback": "https://voice.example.com/twilio/stream-status",
        "statusCallbackMethod": "POST",
    }
    assert [p.attrib for p in stream] == [{"name": "token", "value": TOKEN}]
    assert [verb.tag for verb in root] == ["Connect", "Redirect"]


def test_a_person_or_a_word_and_the_end() -> None:
    """With a number it dials; without one it apologises and hangs up."""
    assert verbs(twiml.dial(AT, SOMEONE)) == ["Dial"]
    assert verbs(twiml.play_then_dial(AT, "one_moment", SOMEONE))[1:] == ["Dial"]
    for text in (twiml.dial(AT, NOBODY), twiml.play_then_dial(AT, "one_moment", NOBODY), twiml.apology(AT)):
        assert verbs(text)[0] in {"Play", "Say"}
        assert verbs(text)[1:] == ["Hangup"]


@pytest.mark.parametrize("name", ["../secrets", "a/b", "", "no_such_line", "ünïcode", "a.wav"])
def test_lines_are_names_of_the_package(name: str) -> None:
    """No path gets out of the folder; a line that is missing is None."""
    assert twiml.recorded_line(name) is None


def test_text_is_escaped() -> None:
    """Words with markup stay words."""
    assert "&lt;Dial&gt;" in twiml.sms_reply("<Dial>")
