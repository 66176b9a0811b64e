"""The Media Streams codec takes what Twilio sends, refuses the rest by name, and writes what Twilio takes."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicebot.channels.twilio import wire
from voicebot.channels.twilio.refusals import Refusal
from voicebot.channels.twilio.stream_order import StreamOrder
from voicebot.channels.twilio.wire import Connected, Dtmf, Mark, Media, Start, Stop, WireError

repeatable = settings(derandomize=True, deadline=None)

# As Twilio's documentation shows them.
CONNECTED = '{"event":"connected","protocol":"Call","version":"1.0.0"}'
START = (
    '{"event":"start","sequenceNumber":"1","streamSid":"MZ1","start":{"accountSid":"AC1","callSid":"CA1",'
    '"streamSid":"MZ1","tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,'
    '"channels":1},"customParameters":{"token":"t-1"}}}'
)
MEDIA = (
    '{"event":"media","sequenceNumber":"2","streamSid":"MZ1","media":{"track":"inbound","chunk":"1",'
    '"timestamp":"20","payload":"//7+/w=="}}'
)
DTMF = '{"event":"dtmf","sequenceNumber":"7","streamSid":"MZ1","dtmf":{"track":"inbound_track","digit":"5"}}'
MARK = '{"event":"mark","sequenceNumber":"9","streamSid":"MZ1","mark":{"name":"turn-3/2"}}'
STOP = '{"event":"stop","sequenceNumber":"10","streamSid":"MZ1","stop":{"accountSid":"AC1","callSid":"CA1"}}'


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        (MARK, Mark("MZ1", "turn-3/2", 9)),
        (MARK.replace("turn-3/2", "g12.7"), Mark("MZ1", "g12.7", 9)),
        (MARK.replace("turn-3/2", "g12.7").replace(":", ": "), Mark("MZ1", "g12.7", 9)),
        (
            '{"event":"mark","sequenceNumber":"9","mark":{"name":"g1.0"},"streamSid":"MZ1"}',
            Mark("MZ1", "g1.0", 9),
        ),
        ('{"event":"mark","streamSid":"MZ1","mark":{"name":"\\u00e9"}}', Mark("MZ1", "\u00e9", None)),
        ('{"event":"mark","sequenceNumber":"9","mark":{"name":"g1.0"}}', None),
        (MARK.replace("turn-3/2", "x" * 257), None),
        (MARK.replace("turn-3/2", 'x"'), None),
    ],
)
def test_a_mark_is_the_same_by_the_short_way_and_by_the_models(text: str, mark: Mark | None) -> None:
    """However Twilio writes it; one without its stream, or with too long a name, is refused as ever."""
    if mark is not None:
        assert wire.parse(text) == mark
        return
    with pytest.raises(WireError):
        wire.parse(text)


def test_what_twilio_sends() -> None:
    """Every documented message becomes its value."""
    assert wire.parse(CONNECTED) == Connected("Call", "1.0.0")
    assert wire.parse(START) == Start("MZ1", "CA1", "AC1", 1, {"token": "t-1"})
    assert wire.parse(MEDIA) == Media("MZ1", b"\xff\xfe\xfe\xff", 20, 1, 2, "inbound")
    assert wire.parse(DTMF) == Dtmf("MZ1", "5", 7)
    assert wire.parse(MARK) == Mark("MZ1", "turn-3/2", 9)
    assert wire.parse(STOP) == Stop("MZ1", "CA1", 10)


@pytest.mark.parametrize("space", ["", " "])
@pytest.mark.parametrize("stream_first", [True, False])
def test_sound_is_the_same_by_the_short_way_and_by_the_models(space: str, stream_first: bool) -> None:
    """What is read by a pattern has every field, wherever the stream's name stands; a wrong one is named."""

    def message(sid: str = '"streamSid": "MZ1"', **fields: str) -> str:
        body = {"track": "inbound", "chunk": "3", "timestamp": "60", "payload": "//7+/w=="} | fields
        media = ", ".join(f'"{name}": "{value}"' for name, value in body.items())
        parts = ['"event": "media"', '"sequenceNumber": "4"', f'"media": {{{media}}}']
        parts.insert(2 if stream_first else 3, sid)
        return (
            ("{" + ", ".join(filter(None, parts)) + "}")
            .replace('": ', f'":{space}')
            .replace(", ", f",{space}")
        )

    assert wire.usual(message()) == Media("MZ1", b"\xff\xfe\xfe\xff", 60, 3, 4, "inbound")
    assert wire.usual(DTMF) is None
    assert wire.parse(message()) == Media("MZ1", b"\xff\xfe\xfe\xff", 60, 3, 4, "inbound")
    for wrong, reason in (
        (message(payload="//7+/w="), Refusal.BAD_BASE64),
        (message(timestamp="999999999"), Refusal.BAD_FIELD),
        (message(sid=""), Refusal.BAD_FIELD),
        (message(chunk="x"), Refusal.BAD_FIELD),
        (message() + "x", Refusal.NOT_JSON),
    ):
        with pytest.raises(WireError) as refused:
            wire.parse(wrong)
        assert refused.value.reason is reason


def test_new_fields_are_ignored() -> None:
    """Twilio adds fields without notice."""
    message = json.loads(MEDIA)
    message["newField"] = {"a": 1}
    message["media"]["codecHint"] = "x"
    assert wire.parse(json.dumps(message)) == wire.parse(MEDIA)


def test_counters_may_be_numbers() -> None:
    """Stand-ins write 20 where Twilio writes "20"."""
    message = json.loads(MEDIA)
    message["sequenceNumber"] = 2
    message["media"] |= {"chunk": 1, "timestamp": 20}
    assert wire.parse(json.dumps(message)) == wire.parse(MEDIA)


def changed(text: str, path: str, value: Any) -> str:
    """``text`` with one field replaced (or removed: ``...``)."""
    message = json.loads(text)
    *parents, last = path.split(".")
    here = message
    for name in parents:
        here = here[name]
    if value is ...:
        del here[last]
    else:
        here[last] = value
    return json.dumps(message)


REFUSED: list[tuple[str, Refusal]] = [
    ("", Refusal.NOT_JSON),
    ("{", Refusal.NOT_JSON),
    ("[" * 10_000, Refusal.NOT_JSON),
    ("[]", Refusal.UNKNOWN_EVENT),
    ("null", Refusal.UNKNOWN_EVENT),
    ('"media"', Refusal.UNKNOWN_EVENT),
    ("{}", Refusal.UNKNOWN_EVENT),
    ('{"event":null}', Refusal.UNKNOWN_EVENT),
    ('{"event":"Media"}', Refusal.UNKNOWN_EVENT),
    ('{"event":"clear","streamSid":"MZ1"}', Refusal.UNKNOWN_EVENT),
    (changed(MEDIA, "media", ...), Refusal.BAD_FIELD),
    (changed(MEDIA, "media", []), Refusal.BAD_FIELD),
    (changed(MEDIA, "streamSid", ...), Refusal.BAD_FIELD),
    (changed(MEDIA, "streamSid", 'MZ1","x":"'), Refusal.BAD_FIELD),
    (changed(MEDIA, "streamSid", ""), Refusal.BAD_FIELD),
    (changed(MEDIA, "streamSid", "M" * 65), Refusal.BAD_FIELD),
    (changed(MEDIA, "sequenceNumber", "two"), Refusal.BAD_FIELD),
    (changed(MEDIA, "sequenceNumber", "-1"), Refusal.BAD_FIELD),
    (changed(MEDIA, "sequenceNumber", "٣"), Refusal.BAD_FIELD),
    (changed(MEDIA, "sequenceNumber", True), Refusal.BAD_FIELD),
    (changed(MEDIA, "sequenceNumber", 1.5), Refusal.BAD_FIELD),
    (changed(MEDIA, "media.timestamp", ...), Refusal.BAD_FIELD),
    (changed(MEDIA, "media.timestamp", "9" * 12), Refusal.BAD_FIELD),
    (changed(MEDIA, "media.timestamp", "9" * 5000), Refusal.BAD_FIELD),
    (changed(MEDIA, "media.payload", ...), Refusal.BAD_FIELD),
    (changed(MEDIA, "media.payload", 7), Refusal.BAD_FIELD),
    (changed(MEDIA, "media.payload", "abc"), Refusal.BAD_BASE64),
    (changed(MEDIA, "media.payload", "a b="), Refusal.BAD_BASE64),
    (changed(MEDIA, "media.payload", "====" * 4), Refusal.BAD_BASE64),
    (changed(MEDIA, "media.payload", "äöü="), Refusal.BAD_BASE64),
    (changed(MEDIA, "media.payload", "A" * 70_000), Refusal.TOO_LARGE),
    (changed(DTMF, "dtmf.digit", "55"), Refusal.BAD_FIELD),
    (changed(DTMF, "dtmf.digit", ""), Refusal.BAD_FIELD),
    (changed(DTMF, "dtmf.digit", 5), Refusal.BAD_FIELD),
    (changed(MARK, "mark.name", None), Refusal.BAD_FIELD),
    (changed(START, "start.callSid", ...), Refusal.BAD_FIELD),
    (changed(START, "start.customParameters", {"token": 5}), Refusal.BAD_FIELD),
    (changed(START, "start.streamSid", "MZ2"), Refusal.FOREIGN_STREAM),
    (changed(START, "start.mediaFormat.encoding", "audio/x-l16"), Refusal.BAD_MEDIA_FORMAT),
    (changed(START, "start.mediaFormat.sampleRate", 16000), Refusal.BAD_MEDIA_FORMAT),
    (changed(START, "start.mediaFormat.channels", 2), Refusal.BAD_MEDIA_FORMAT),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_what_is_refused(text: str, reason: Refusal) -> None:
    """Each by its own name."""
    with pytest.raises(WireError) as refused:
        wire.parse(text)
    assert refused.value.reason == reason


def test_a_refusal_names_the_field_and_not_its_value() -> None:
    """What came over the wire may be personal; it never gets into a log."""
    with pytest.raises(WireError) as refused:
        wire.parse(changed(START, "start.customParameters", {"Maria Secret": 5}))
    assert refused.value.detail == "start.customParameters"
    with pytest.raises(WireError) as refused:
        wire.parse(changed(DTMF, "dtmf.digit", "4711"))
    assert "4711" not in str(refused.value)


@repeatable
@given(st.text(max_size=300))
def test_any_text_is_a_message_or_a_refusal(text: str) -> None:
    """Nothing else ever comes out of the codec."""
    try:
        wire.parse(text)
    except WireError:
        return


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@repeatable
@given(
    st.sampled_from([CONNECTED, START, MEDIA, DTMF, MARK, STOP]),
    st.sampled_from(["streamSid", "sequenceNumber", "start", "media", "dtmf", "mark", "stop", "protocol"]),
    json_values,
)
def test_any_value_in_any_field_is_a_message_or_a_refusal(text: str, name: str, value: Any) -> None:
    """Wrong types included."""
    message = json.loads(text) | {name: value}
    try:
        wire.parse(json.dumps(message))
    except WireError:
        return


@repeatable
@given(st.binary(max_size=2000))
def test_sound_goes_through_unchanged(ulaw: bytes) -> None:
    """What we send is what Twilio documents, byte for byte, no file header."""
    message = json.loads(wire.media("MZ1", ulaw))
    assert message.keys() == {"event", "streamSid", "media"}
    assert message["media"].keys() == {"payload"}
    assert base64.b64decode(message["media"]["payload"], validate=True) == ulaw


def test_mark_and_clear() -> None:
    """Exactly the documented fields: Twilio warns (31951) about any other."""
    assert json.loads(wire.mark("MZ1", 'g1."2"')) == {
        "event": "mark",
        "streamSid": "MZ1",
        "mark": {"name": 'g1."2"'},
    }
    assert json.loads(wire.clear("MZ1")) == {"event": "clear", "streamSid": "MZ1"}


def order_after(*texts: str) -> StreamOrder:
    order = StreamOrder()
    for text in texts:
        order.take(wire.parse(text))
    return order


def test_the_documented_order() -> None:
    """`connected`, `start`, anything, `stop`."""
    order = order_after(CONNECTED, START, MEDIA, DTMF, MARK, STOP)
    assert order.stream_sid == "MZ1"


def test_connected_may_be_missing() -> None:
    """A stand-in may begin with `start`."""
    assert order_after(START, MEDIA).stream_sid == "MZ1"


@pytest.mark.parametrize(
    ("before", "then", "reason"),
    [
        ([], MEDIA, Refusal.MEDIA_BEFORE_START),
        ([CONNECTED], STOP, Refusal.MEDIA_BEFORE_START),
        ([CONNECTED], CONNECTED, Refusal.OUT_OF_ORDER),
        ([START], CONNECTED, Refusal.OUT_OF_ORDER),
        ([CONNECTED, START], START, Refusal.START_TWICE),
        ([START, STOP], MEDIA, Refusal.OUT_OF_ORDER),
        ([START, STOP], START, Refusal.START_TWICE),
        ([START], changed(MEDIA, "streamSid", "MZ2"), Refusal.FOREIGN_STREAM),
        ([START], changed(STOP, "streamSid", "MZ2"), Refusal.FOREIGN_STREAM),
    ],
)
def test_what_may_not_come_now(before: list[str], then: str, reason: Refusal) -> None:
    """Each by its own name."""
    order = order_after(*before)
    with pytest.raises(WireError) as refused:
        order.take(wire.parse(then))
    assert refused.value.reason == reason


def test_gaps_and_repeats_are_counted() -> None:
    """Sequence numbers run over all kinds of messages; sound that is missing is not a reason to hang up."""
    order = order_after(
        START,  # 1
        changed(MEDIA, "sequenceNumber", "2"),
        changed(MEDIA, "sequenceNumber", "5"),
        changed(MEDIA, "sequenceNumber", "4"),
        changed(MEDIA, "sequenceNumber", "6"),
        changed(MEDIA, "sequenceNumber", ...),
    )
    assert (order.missing, order.repeated) == (2, 1)
