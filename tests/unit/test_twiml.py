"""The TwiML we give is what Twilio takes: known verbs, absolute URLs, no secret in a URL, no dead end."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from voicebot.channels.twilio import twiml
from voicebot.channels.twilio.addresses import Addresses
from voicebot.channels.twilio.leg_media import leg_stream
from voicebot.channels.twilio.rest import MAX_TWIML_CHARS
from voicebot.channels.twilio.transfer import documents
from voicebot.channels.twilio.twiml import Person
from voicebot.handoff.transfer.states import Transfer
from voicebot.proof.simulation.twiml import read

AT = Addresses.at("https://voice.example.com")
SOMEONE, NOBODY = Person("+4930999999"), Person(None)
TOKEN = "x" * 43

WAITING = Transfer(
    id="tr_" + "a" * 32,
    conversation="cv_1",
    call="CA" + "0" * 32,
    destinations=("desk",),
    entry=1,
    asked=1,
    requested_at=datetime(2026, 11, 21, tzinfo=UTC),
    since=datetime(2026, 11, 21, tzinfo=UTC),
    dialled_at=datetime(2026, 11, 21, tzinfo=UTC),
)
SPOKEN = [("A caller about an order.", None), ("Press one.", "/twilio/transfer/words/take/0.wav")]

DOCUMENTS: dict[str, Callable[[], str]] = {
    "connect": lambda: twiml.connect_stream(AT, TOKEN),
    "connect_again": lambda: twiml.connect_stream(AT, TOKEN, ["caller-0123456789ab"]),
    "dial": lambda: twiml.dial(AT, SOMEONE),
    "dial_nobody": lambda: twiml.dial(AT, NOBODY),
    "play_then_dial": lambda: twiml.play_then_dial(AT, "handing_over", SOMEONE),
    "apology": lambda: twiml.apology(AT),
    "hangup": twiml.hangup,
    "caller_waits": lambda: documents.caller_waits(AT, WAITING),
    "caller_is_heard": lambda: documents.caller_waits(AT, WAITING, leg_stream(AT, "caller", TOKEN)),
    "agent_is_asked": lambda: documents.briefing(AT, WAITING, SPOKEN),
    "agent_joins": lambda: documents.agent_joins(AT, WAITING, leg_stream(AT, "agent", TOKEN)),
    "agent_is_let_go": lambda: documents.goodbye(AT, "Goodbye.", None),
    "database_away": lambda: documents.ask_again(AT, "/twilio/transfer/tr_1/brief/1"),
    "empty": twiml.empty,
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_twilio_takes_it_without_a_warning(name: str) -> None:
    """The local Twilio is as strict as Twilio, and it fits into a REST update."""
    text = DOCUMENTS[name]()
    assert read(text, url=AT.http("/twilio/voice")).warnings == ()
    assert len(text) < MAX_TWIML_CHARS


@pytest.mark.parametrize("nth", [1, 2, 30])
def test_hold_audio_is_what_a_wait_url_may_play(nth: int) -> None:
    """Play, Say, Pause and Redirect, for ever: our own sound, and a word between the rounds."""
    text = documents.hold(AT, WAITING.id, nth, "Still trying.", None)
    assert read(text, url=AT.http("/hold")).warnings == ()
    assert verbs(text) == [*(["Say"] if nth > 1 else []), "Play", "Redirect"]
    assert f"/hold/{nth + 1}<" in text


def test_the_room_belongs_to_both() -> None:
    """It begins with the person and ends with either; each leg has its own label, and asks us afterwards."""
    caller = ET.fromstring(documents.caller_waits(AT, WAITING)).find("Dial")  # noqa: S314  # our own
    agent = ET.fromstring(documents.agent_joins(AT, WAITING)).find("Dial")  # noqa: S314  # our own
    assert caller is not None
    assert agent is not None
    rooms = [leg.find("Conference") for leg in (caller, agent)]
    assert [room.text for room in rooms if room is not None] == [WAITING.room] * 2
    assert all(room is not None and room.attrib["endConferenceOnExit"] == "true" for room in rooms)
    assert [room.attrib["startConferenceOnEnter"] for room in rooms if room is not None] == ["false", "true"]
    assert [room.attrib["participantLabel"] for room in rooms if room is not None] == ["caller-1", "agent-1"]
    assert "+" not in documents.caller_waits(AT, WAITING), "no number, no name"
    for leg in (caller, agent):
        assert leg.attrib["action"].startswith(AT.http("/twilio/transfer/tr_"))


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
