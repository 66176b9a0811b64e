"""TwiML is read as Twilio reads it: errors refuse the document, slips are warnings that a test counts."""

from __future__ import annotations

import pytest

from voicebot.proof.simulation.twiml import (
    Dial,
    Hangup,
    Jump,
    Number,
    Pause,
    Play,
    Redirect,
    Reject,
    Say,
    Stream,
    TwimlError,
    read,
)

URL = "https://voice.example.com/twilio/voice?x=1"


def verbs(body: str):
    document = read(f"<Response>{body}</Response>", url=URL)
    assert document.warnings == ()
    return document.verbs


def test_connect_stream_with_everything():
    body = """
    <Connect action="/done"><Stream url="wss://voice.example.com/twilio/media" name="s" track="inbound_track"
      statusCallback="https://voice.example.com/twilio/stream-status" statusCallbackMethod="GET">
      <Parameter name="token" value="t-1"/><Parameter name="empty" value=""/>
    </Stream></Connect><Redirect method="GET">/twilio/resume</Redirect>"""
    assert verbs(body) == (
        Stream(
            url="wss://voice.example.com/twilio/media",
            name="s",
            parameters={"token": "t-1", "empty": ""},
            status_callback=Jump("https://voice.example.com/twilio/stream-status", "GET"),
            action=Jump("https://voice.example.com/done"),
        ),
        Redirect(Jump("https://voice.example.com/twilio/resume", "GET")),
    )


def test_a_relative_stream_url_becomes_wss_of_the_same_host():
    (stream,) = verbs('<Connect><Stream url="/twilio/media"/></Connect>')
    assert stream.url == "wss://voice.example.com/twilio/media"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<Say>Hello\n   there</Say>", Say("Hello there")),
        ('<Play loop="2">/beep.wav</Play>', Play("https://voice.example.com/beep.wav", "", 2)),
        ('<Play digits="ww12"/>', Play("", "ww12")),
        ("<Pause/>", Pause(1.0)),
        ('<Pause length="40"/>', Pause(40.0)),
        ("<Hangup/>", Hangup()),
        ('<Reject reason="busy"/>', Reject("busy")),
        ("<Redirect>https://a.example/b</Redirect>", Redirect(Jump("https://a.example/b"))),
        ("<Dial>+14155550123</Dial>", Dial((Number("+14155550123"),), None)),
        (
            '<Dial action="/a" timeout="10" callerId="+14155550100"><Number>+14155550123</Number></Dial>',
            Dial(
                (Number("+14155550123"),),
                Jump("https://voice.example.com/a"),
                timeout_s=10,
                caller_id="+14155550100",
            ),
        ),
    ],
)
def test_verbs(body, expected):
    assert verbs(body) == (expected,)


REFUSED = {
    "not xml": ("<Response>", 12100),
    "text": ("hello", 12100),
    "another root": ("<Reply/>", 12100),
    "root in lower case": ("<response/>", 12100),
    "empty": ("  ", 11770),
    "too large": ("<Response><Say>" + "x" * 66000 + "</Say></Response>", 11750),
    "plain http stream": (
        '<Response><Connect><Stream url="https://a.example/m"/></Connect></Response>',
        31922,
    ),
    "stream without url": ("<Response><Connect><Stream/></Connect></Response>", 31923),
    "stream without host": ('<Response><Connect><Stream url="wss://"/></Connect></Response>', 31923),
    "both tracks on connect": (
        '<Response><Connect><Stream url="wss://a.example/m" track="both_tracks"/></Connect></Response>',
        31941,
    ),
    "parameter too long": (
        '<Response><Connect><Stream url="wss://a.example/m"><Parameter name="t" value="'
        + "x" * 500
        + '"/></Stream></Connect></Response>',
        12200,
    ),
    "redirect to another scheme": ("<Response><Redirect>ftp://a.example/</Redirect></Response>", 11100),
    "a verb that the stand-in does not run": ("<Response><Enqueue>q</Enqueue></Response>", 12200),
    "keys and speech": ('<Response><Gather input="dtmf speech"/></Response>', 12200),
    "a conference without name": ("<Response><Dial><Conference/></Dial></Response>", 16002),
    "a conference event that there is not": (
        '<Response><Dial><Conference statusCallbackEvent="start begin">r</Conference></Dial></Response>',
        16002,
    ),
    "a conference for more than there may be": (
        '<Response><Dial><Conference maxParticipants="251">r</Conference></Dial></Response>',
        16002,
    ),
    "a label with a slash": (
        '<Response><Dial><Conference participantLabel="a%2Fb">r</Conference></Dial></Response>',
        16023,
    ),
    "a label like a CallSid": (
        f'<Response><Dial><Conference participantLabel="CA{"0" * 32}">r</Conference></Dial></Response>',
        16023,
    ),
    "a track that there is not": (
        '<Response><Start><Stream url="wss://a.example/m" track="inbound"/></Start></Response>',
        31941,
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_documents_that_are_refused(case):
    body, code = REFUSED[case]
    with pytest.raises(TwimlError) as refused:
        read(body, url=URL)
    assert refused.value.code == code


WARNED = {
    "a misspelt verb": ("<say>hi</say>", 12200),
    "an unknown attribute": ('<Hangup now="1"/>', 12200),
    "a child where none may be": ("<Redirect><Say>x</Say>/x</Redirect>", 12200),
    "a number that is not E.164": ("<Dial>030 1234</Dial>", 13223),
    "a length that is no number": ('<Pause length="long"/>', 12200),
    "a method that is none": ('<Redirect method="PUT">/x</Redirect>', 12200),
    "two streams in one connect": (
        '<Connect><Stream url="wss://a.example/m"/><Stream url="wss://a.example/m"/></Connect>',
        12200,
    ),
    "a query on the stream url": ('<Connect><Stream url="wss://a.example/m?t=1"/></Connect>', 31920),
    "a start that is neither true nor false": (
        '<Dial><Conference startConferenceOnEnter="yes">r</Conference></Dial>',
        13232,
    ),
    "a verb in a gather that may not stand there": ("<Gather><Dial>+4930111</Dial></Gather>", 12200),
    "a stop of no stream": ("<Stop><Stream/></Stop>", 12200),
    "attributes that the document page lacks": (
        '<Connect><Stream url="wss://a.example/m" sampleRate="8000"/></Connect>',
        12200,
    ),
}


@pytest.mark.parametrize("case", WARNED)
def test_slips_that_twilio_only_warns_about(case):
    body, code = WARNED[case]
    document = read(f"<Response>{body}</Response>", url=URL)
    assert [found for found, _ in document.warnings] == [code]


def test_the_query_of_a_stream_url_never_arrives():
    document = read(
        '<Response><Connect><Stream url="wss://a.example/m?token=secret"/></Connect></Response>', url=URL
    )
    assert document.verbs[0].url == "wss://a.example/m"


def test_a_parameter_just_below_the_limit_passes():
    """Near miss: 499 characters."""
    value = "x" * 498
    (stream,) = verbs(
        f'<Connect><Stream url="wss://a.example/m"><Parameter name="t" value="{value}"/></Stream></Connect>'
    )
    assert stream.parameters == {"t": value}
