"""Whatever is sent to the Twilio side, in whatever order: one socket closes or one request is answered, the
call beside it goes on, nothing is left behind, and nothing that came over the wire gets into a log.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.datastructures import ImmutableMultiDict
from structlog.testing import capture_logs
from twilio.request_validator import RequestValidator
from twilio_kit import AUTH_TOKEN, Channel, Echo, Stream, eventually, new_sid, twilio_channel
from websockets.exceptions import ConnectionClosed

from voicebot.core.store.database import Database
from voicebot.core.store.keys import KeyRing

CANARY = "zq7Maria"
"""In every text that is made up; never in a log."""

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "20"))
"""More of them when somebody looks for something."""

CODES = {1000, 1002, 1003, 1007, 1008, 1009}
fuzzed = settings(
    derandomize=True,
    deadline=None,
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest_asyncio.fixture
async def channel(database: Database, keys: KeyRing, echo: Echo) -> AsyncIterator[Channel]:
    """A call that is let in and never starts keeps its place for a while; here many do."""
    async with twilio_channel(database, keys, run_call=echo, start_within_s=60.0, max_calls=500) as made:
        yield made


@pytest_asyncio.fixture
async def other(channel: Channel) -> AsyncIterator[Stream]:
    """A call that must not notice anything."""
    call = new_sid("CA")
    async with channel.stream(call, await channel.voice(call)) as stream:
        yield stream


texts = st.text(max_size=12).map(lambda text: CANARY + text)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts | st.just("A" * 70_000),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
EVENTS = ("connected", "start", "media", "dtmf", "mark", "stop")
good = st.sampled_from(
    [("media", b"\xff" * 160), ("media", b""), ("mark", "m"), ("dtmf", "5"), ("start", None)]
)
bad = st.one_of(
    st.tuples(
        st.just("event"), st.sampled_from(EVENTS) | texts, st.dictionaries(st.sampled_from(EVENTS), values)
    ),
    st.tuples(st.just("field"), st.sampled_from(EVENTS), st.dictionaries(texts, values, max_size=2)),
    st.tuples(st.just("text"), texts | st.just("[" * 5000) | st.just("{}")),
    st.tuples(st.just("bytes"), st.binary(max_size=300)),
    st.tuples(st.just("large"), st.integers(60_000, 70_000)),
)  # fmt: skip


async def sent(stream: Stream, what: tuple[Any, ...]) -> None:
    match what:
        case ("media", bytes() as ulaw):
            await stream.media(ulaw)
        case ("mark", str() as name):
            await stream.send("mark", mark={"name": name})
        case ("dtmf", str() as digit):
            await stream.key(digit)
        case ("start", _):
            await stream.start()
        case ("event", event, dict() as more):
            await stream.send(event, **{name: value for name, value in more.items() if name != "event"})
        case ("field", event, dict() as body):
            await stream.send(event, **{event: body})
        case ("text", str() as text):
            await stream.ws.send(text)
        case ("bytes", bytes() as data):
            await stream.ws.send(data)
        case ("large", int() as size):
            await stream.ws.send(json.dumps({"event": "media", "x": "A" * size}))
        case _:
            raise AssertionError(what)


@fuzzed
@given(started=st.booleans(), messages=st.lists(good | bad, min_size=1, max_size=6))
async def test_any_messages_in_any_order(
    channel: Channel, other: Stream, echo: Echo, started: bool, messages: list[tuple[Any, ...]]
) -> None:
    call = new_sid("CA")
    token = await channel.voice(call)
    with capture_logs() as logs:
        async with channel.stream(call, token, start=started) as stream:
            with suppress(ConnectionClosed):  # one of them was enough
                for message in messages:
                    await sent(stream, message)
                await stream.ws.send(b"and that is no message")  # whatever came before, this ends it
            code = await stream.closed()
        assert await other.echoed(20)
        await eventually(lambda: channel.services.node.calls == 1 and echo.running == 1)
    assert code in CODES, code
    assert not [entry for entry in logs if entry["log_level"] == "error"], logs
    assert CANARY not in json.dumps(logs, default=str)
    await channel.post("/twilio/status", CallSid=call, CallStatus="completed")


ROUTES = (
    "voice", "resume", "status", "stream-status", "sms", "transfer/done", "texts/{}", "pay/{}",
    "pay/{}/status",
)  # fmt: skip
FIELDS = (
    "CallStatus", "From", "To", "StreamEvent", "StreamSid", "StreamError", "ErrorCode",
    "DialCallStatus", "MessageStatus", "MessageSid", "Result", "PaymentCardNumber", "Digits",
)  # fmt: skip
odd = st.one_of(
    texts,
    st.sampled_from(
        ["", "\x00", "completed", "in-progress", "stream-error", "stream-stopped", "failed", "busy"]
    ),
    st.integers(1, 40).map(lambda n: CANARY + "x" * n * 1000),
    st.just("\ud7ff\U0010ffff' OR 1=1 --"),
)
sids = st.sampled_from([new_sid("CA"), new_sid("CA"), "", "../etc", "CA" + "0" * 80, "\x00"])


@fuzzed
@given(
    route=st.sampled_from(ROUTES),
    part=texts | st.sampled_from(["x", "0", "00000000-0000-0000-0000-000000000000", "%00", "..%2f"]),
    call=sids,
    form=st.dictionaries(st.sampled_from(FIELDS) | texts, odd, max_size=8)
    | st.fixed_dictionaries(dict.fromkeys(FIELDS, odd)),
)
async def test_any_signed_form(
    channel: Channel, other: Stream, route: str, part: str, call: str, form: dict[str, str]
) -> None:
    """Even what is signed is answered without an error of ours: Twilio adds fields and values as it likes."""
    path = "/twilio/" + route.replace("{}", part if part.startswith(("%", "..")) else quote(part, safe=""))
    form = form | {"CallSid": call}
    header = RequestValidator(AUTH_TOKEN).compute_signature(channel.base + path, ImmutableMultiDict(form))
    with capture_logs() as logs:
        answer = await channel.http.post(
            channel.url + path,
            content=urlencode(form).encode(),
            headers={"x-twilio-signature": header, "content-type": "application/x-www-form-urlencoded"},
        )
    assert answer.status_code < 500, (path, form, answer.text)
    assert not [entry for entry in logs if entry["log_level"] in {"error", "critical"}
                and entry["event"] != "twilio_could_not_get_twiml"], logs  # fmt: skip
    assert all(len(str(value)) <= 300 for entry in logs for value in entry.values()), logs
    assert await other.echoed(20)


async def test_a_socket_that_sends_faster_than_time_is_closed(channel: Channel, other: Stream) -> None:
    """A flood of good messages: refused, and the other call is answered meanwhile."""
    call = new_sid("CA")
    async with channel.stream(call, await channel.voice(call)) as stream:
        frame = b"\xff" * 8000
        for n in range(40):
            with suppress(ConnectionClosed):
                await stream.media(frame, n * 1000)
        assert await other.echoed(20)
        assert await stream.closed() == 1008
    await channel.refused("too_fast")
