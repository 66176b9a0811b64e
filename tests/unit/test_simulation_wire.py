"""What the local Twilio sends is signed, counted and timed like Twilio's."""

from __future__ import annotations

import json

import pytest

from voicebot.proof.simulation.options import Options, late, on_time, out_of_order, twice
from voicebot.proof.simulation.signing import signature
from voicebot.proof.simulation.uplink import Uplink
from voicebot.proof.simulation.webhooks import Routes
from voicebot.proof.simulation.wire import Clear, Mark, Media, Outgoing, WireViolation, parse

TOKEN = "0123456789abcdef0123456789abcdef"
SID = "MZ" + "1" * 32


def test_signatures_are_those_of_twilios_own_library():
    """Vectors made with twilio-python 9.13.0."""
    form = {
        "CallSid": "CA00000000000000000000000000000001",
        "From": "+4930111111",
        "To": "+4930222222",
        "CallStatus": "ringing",
        "Direction": "inbound",
        "CallerName": "",
    }
    assert signature(TOKEN, "https://voice.example.com/twilio/voice", form) == "EP85FcY36Al/VUul69Wd3khUSTo="
    assert signature(TOKEN, "wss://voice.example.com/twilio/media") == "3Wv0T80qzAY3OCARW9y1gnUJZtE="


def test_a_fragment_takes_no_part_in_the_signature():
    plain = signature(TOKEN, "https://a.example/v", {"a": "1"})
    assert signature(TOKEN, "https://a.example/v#rc=2&rp=5xx", {"a": "1"}) == plain


def test_sequence_numbers_count_every_kind_and_chunks_only_media():
    out = Outgoing(account_sid="AC1", call_sid="CA1", stream_sid=SID)
    sent = [
        out.connected(),
        out.start({"a": "b"}),
        out.media(b"\x00", 20),
        out.dtmf("5"),
        out.media(b"\x00", 40),
        out.mark("m"),
        out.stop(),
    ]
    messages = [json.loads(text) for text in sent]
    assert "sequenceNumber" not in messages[0]
    assert "streamSid" not in messages[0]
    assert [m["sequenceNumber"] for m in messages[1:]] == ["1", "2", "3", "4", "5", "6"]
    assert [m["media"]["chunk"] for m in messages if m["event"] == "media"] == ["1", "2"]
    assert messages[3]["dtmf"] == {"track": "inbound_track", "digit": "5"}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            {"event": "media", "streamSid": SID, "media": {"payload": "//7+/w=="}},
            Media(ulaw=b"\xff\xfe\xfe\xff"),
        ),
        ({"event": "mark", "streamSid": SID, "mark": {"name": "turn-3/2"}}, Mark(name="turn-3/2")),
        ({"event": "clear", "streamSid": SID}, Clear()),
    ],
)
def test_the_three_messages_of_a_server(message, expected):
    assert parse(json.dumps(message), SID) == expected


def test_a_violation_does_not_end_in_another_error():
    """Deeply wrong input is still one typed refusal."""
    for text in ("", "null", "[]", '{"event": 3}', '{"event":"media","streamSid":"x","media":[]}', "{" * 500):
        with pytest.raises(WireViolation) as refused:
            parse(text, SID)
        assert refused.value.code == 31951


def arrivals(uplink: Uplink, frames: int) -> list[tuple[int, int]]:
    """(when, timestamp) of each frame spoken in `frames` ticks of 20 ms."""
    got: list[tuple[int, int]] = []
    for n in range(1, frames + 1):
        uplink.push(b"\x7f" * 160, n * 20)
        got += [(n * 20, stamp) for stamp, _ in uplink.due(n * 20)]
    return got


def test_frames_arrive_when_they_were_spoken():
    assert arrivals(Uplink(Options()), 3) == [(20, 20), (40, 40), (60, 60)]


def test_a_gap_holds_frames_and_lets_them_go_in_a_burst():
    got = arrivals(Uplink(Options(uplink_gaps=[(50, 100)])), 10)
    assert [stamp for _, stamp in got] == list(range(20, 220, 20))
    assert [when for when, stamp in got if 60 <= stamp <= 140] == [160] * 5


def test_jitter_never_reorders():
    got = arrivals(Uplink(Options(uplink_jitter_ms=90)), 200)
    assert [stamp for _, stamp in got] == sorted(stamp for _, stamp in got)
    delays = {when - stamp for when, stamp in got}
    assert len(delays) > 2
    assert max(delays) <= 100


def test_longer_frames_carry_the_timestamp_of_their_first_twenty_ms():
    uplink = Uplink(Options(frame_ms=60))
    assert arrivals(uplink, 6) == [(60, 20), (120, 80)]


def test_plans_say_when_each_copy_of_a_callback_goes_out():
    assert [on_time(n) for n in range(2)] == [(0.0,), (0.0,)]
    assert late(2.0)(0) == (2.0,)
    assert twice(0.1)(3) == (0.0, 0.1)
    assert [out_of_order(0.2)(n) for n in range(3)] == [(0.2,), (0.0,), (0.2,)]


@pytest.mark.parametrize(
    ("url", "target", "host"),
    [
        ("https://v.example/a?b=1", "http://127.0.0.1:9/a?b=1", "v.example"),
        ("wss://v.example/m", "ws://127.0.0.1:9/m", "v.example"),
        ("https://other.example/a", "https://other.example/a", None),
        ("http://v.example/a", "http://v.example/a", None),
    ],
)
def test_routes_lead_public_addresses_to_loopback(url, target, host):
    found, headers = Routes({"https://v.example": "http://127.0.0.1:9"}).resolve(url)
    assert (found, headers.get("Host")) == (target, host)


def test_a_loopback_server_answers_for_its_own_https_and_wss():
    routes = Routes()
    routes.add_plain("http://127.0.0.1:8080/twilio/voice")
    assert routes.resolve("wss://127.0.0.1:8080/m")[0] == "ws://127.0.0.1:8080/m"
    routes.add_plain("http://v.example/voice")
    assert routes.resolve("wss://v.example/m")[0] == "wss://v.example/m"
