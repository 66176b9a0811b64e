"""REST requests are never carried out twice, and every refusal says what to do."""

from __future__ import annotations

import httpx
import pytest

from voicebot.channels.twilio import rest as rest_module
from voicebot.channels.twilio.rest import TwilioRefusedError, TwilioRest, TwilioUnreachableError

SID = "AC" + "0" * 32
CALL = "CA" + "1" * 32


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries at once: the waits are not what these tests are about."""
    monkeypatch.setattr(rest_module, "_BACKOFF_S", 0.0)


class Api:
    """Answers as scripted, one entry per request, and keeps what was asked."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def rest(self) -> TwilioRest:
        return TwilioRest(SID, "secret", "http://twilio.test", httpx.MockTransport(self))


def ok(**fields: object) -> httpx.Response:
    return httpx.Response(200, json={"sid": CALL, "status": "in-progress"} | fields)


def refused(status: int, code: int | None = None, message: str = "no") -> httpx.Response:
    body = {"message": message, "status": status} | ({"code": code} if code is not None else {})
    return httpx.Response(status, json=body)


async def test_a_live_call_gets_new_twiml() -> None:
    """Form-encoded, with the account's credentials."""
    api = Api(ok())
    call = await api.rest().update_call(CALL, twiml="<Response/>")
    assert (call.sid, call.over) == (CALL, False)
    request = api.asked[0]
    assert request.url == f"http://twilio.test/2010-04-01/Accounts/{SID}/Calls/{CALL}.json"
    assert request.content == b"Twiml=%3CResponse%2F%3E"
    assert request.headers["authorization"].startswith("Basic ")


async def test_repeated_fields() -> None:
    """Status events are repeated, not joined: a joined value gets a 201 and no callbacks."""
    api = Api(ok())
    await api.rest().create_call(
        to="+4930111111",
        from_="+4930222222",
        url="https://a.example/x",
        status_callback="https://a.example/s",
        status_events=("initiated", "completed"),
    )
    body = api.asked[0].content.decode()
    assert "StatusCallbackEvent=initiated&StatusCallbackEvent=completed" in body


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        ([httpx.ConnectError("no"), ok()], 2),
        ([refused(429, 20429), refused(429, 20429), ok()], 3),
    ],
)
async def test_tried_again_where_twilio_cannot_have_acted(
    answers: list[httpx.Response | Exception], asked: int
) -> None:
    """No connection, or 429, which Twilio says it never processes."""
    api = Api(*answers)
    await api.rest().create_call(to="+49", from_="+49", twiml="<Response/>")
    assert len(api.asked) == asked


async def test_a_time_out_is_not_tried_again() -> None:
    """The call may exist all the same."""
    api = Api(httpx.ReadTimeout("slow"), ok())
    with pytest.raises(TwilioUnreachableError, match="look before trying again"):
        await api.rest().create_call(to="+49", from_="+49", twiml="<Response/>")
    assert len(api.asked) == 1


@pytest.mark.parametrize(
    ("answer", "status", "code", "words"),
    [
        (refused(401, 20003), 401, 20003, "TWILIO_AUTH_TOKEN"),
        (refused(400, 21220), 400, 21220, "not in progress"),
        (refused(400, 99999), 400, 99999, "docs/errors/99999"),
        (httpx.Response(502, text="<html>"), 502, None, "docs/errors/502"),
        (httpx.Response(400, json={"type": "x", "title": "Bad thing"}), 400, None, "Bad thing"),
        (httpx.Response(400, json=["odd"]), 400, None, "400"),
    ],
)
async def test_a_refusal_says_what_to_do(
    answer: httpx.Response, status: int, code: int | None, words: str
) -> None:
    """Twilio's code and message, and a remedy; whatever the body looks like."""
    with pytest.raises(TwilioRefusedError, match=words) as error:
        await Api(answer).rest().call(CALL)
    assert (error.value.status, error.value.code) == (status, code)


@pytest.mark.parametrize(
    ("answer", "over"),
    [(refused(400, 21220), True), (refused(404, 20404), True), (refused(404), True), (refused(500), False)],
)
async def test_a_call_that_is_over(answer: httpx.Response, over: bool) -> None:
    """Told apart from a failure."""
    with pytest.raises(TwilioRefusedError) as error:
        await Api(answer).rest().update_call(CALL, status="completed")
    assert error.value.call_is_over is over


async def test_what_twilio_would_ignore_is_refused_here() -> None:
    """URL and TwiML together, TwiML that is too long, nothing at all: no request is made."""
    api = Api()
    for form in ({"url": "https://a", "twiml": "<R/>"}, {"twiml": "x" * 4001}, {}):
        with pytest.raises(ValueError, match=r"url|TwiML"):
            await api.rest().update_call(CALL, **form)
    assert api.asked == []
