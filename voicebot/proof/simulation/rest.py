"""Twilio's REST API, as far as this stand-in goes: calls, numbers, messages; conferences and streams beside.

Refuses what Twilio refuses, with its HTTP status and code. Not promised by any document, and said so here:
20001 for ``Url`` together with ``Twiml`` and for ``Twiml`` above 4000 characters.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from .account import E164, Message, RestError, call_json, check_url, not_found, page
from .call import LocalCall
from .callbacks import StatusTarget
from .formats import API_VERSION
from .forms import detection_of, seconds
from .program import Start
from .rest_conferences import add_conferences
from .rest_streams import add_streams
from .twiml import Jump, TwimlError, read

if TYPE_CHECKING:
    from .exchange import LocalTwilio

MAX_TWIML = 4000
_EVENTS = ("initiated", "ringing", "answered", "completed")


def rest_app(twilio: LocalTwilio) -> FastAPI:
    """The API of one account, as an ASGI app."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    base = f"/{API_VERSION}/Accounts/{{account}}"

    @app.exception_handler(RestError)
    async def refused(request: Request, error: RestError) -> Response:  # pyright: ignore[reportUnusedFunction]
        twilio.refusals.append(error)
        return JSONResponse(error.body(), status_code=error.status)

    @app.middleware("http")
    async def authorised(  # pyright: ignore[reportUnusedFunction]
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        if not _authorised(twilio, request.headers.get("authorization", "")):
            error = RestError(401, 20003, "Authenticate")
            twilio.refusals.append(error)
            return JSONResponse(error.body(), status_code=401)
        parts = request.url.path.split("/")
        if len(parts) < 5 or parts[3] != twilio.account_sid or not _addressed(parts):
            error = not_found(request.url.path)
            twilio.refusals.append(error)
            return JSONResponse(error.body(), status_code=404)
        fault = next((f for f in twilio.faults if f.fits(request.method, request.url.path)), None)
        if fault is None:
            return await call_next(request)
        fault.times -= 1
        if fault.how != "refused":
            await call_next(request)
        if fault.how == "done_then_silent":
            await asyncio.sleep(fault.silent_s)
        error = RestError(fault.status, fault.code, "on demand")
        twilio.refusals.append(error)
        return JSONResponse(error.body(), status_code=fault.status)

    add_streams(app, twilio)
    add_conferences(app, twilio)

    @app.get(f"{base}/Calls/{{sid}}.json")
    async def fetch_call(account: str, sid: str) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        return JSONResponse(call_json(_call(twilio, sid)))

    @app.post(f"{base}/Calls/{{sid}}.json")
    async def update_call(  # pyright: ignore[reportUnusedFunction]
        account: str, sid: str, request: Request
    ) -> JSONResponse:
        call = _call(twilio, sid)
        form = await _form(request)
        call.log.add("rest", form=form)
        _update(call, form)
        return JSONResponse(call_json(call))

    @app.get(f"{base}/Calls.json")
    async def list_calls(account: str, request: Request) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        wanted = request.query_params
        found = [
            call_json(c)
            for c in reversed(twilio.calls)
            if wanted.get("Status", c.status) == c.status
            and wanted.get("To", c.to) == c.to
            and wanted.get("From", c.from_) == c.from_
            and wanted.get("ParentCallSid", c.parent_sid) == c.parent_sid
        ]
        return JSONResponse(page(request.url.path, "calls", found))

    @app.post(f"{base}/Calls.json")
    async def create_call(account: str, request: Request) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        call = _create(twilio, await _form(request), await _events(request))
        return JSONResponse(call_json(call), status_code=201)

    @app.get(f"{base}/IncomingPhoneNumbers.json")
    async def list_numbers(account: str, request: Request) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        wanted = request.query_params.get("PhoneNumber", "")
        found = [n.json(account) for n in twilio.numbers.values() if wanted in n.phone_number]
        return JSONResponse(page(request.url.path, "incoming_phone_numbers", found))

    @app.api_route(f"{base}/IncomingPhoneNumbers/{{sid}}.json", methods=["GET", "POST"])
    async def number(  # pyright: ignore[reportUnusedFunction]
        account: str, sid: str, request: Request
    ) -> JSONResponse:
        found = next((n for n in twilio.numbers.values() if n.sid == sid), None)
        if found is None:
            raise not_found(request.url.path)
        if request.method == "POST":
            found.update(await _form(request))
        return JSONResponse(found.json(account))

    @app.post(f"{base}/Messages.json")
    async def send_message(account: str, request: Request) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        message = _message(twilio, await _form(request))
        twilio.messages.append(message)
        return JSONResponse(message.json(account), status_code=201)

    @app.get(f"{base}/Messages.json")
    async def list_messages(account: str, request: Request) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        found = [m.json(account) for m in reversed(twilio.messages)]
        return JSONResponse(page(request.url.path, "messages", found))

    @app.api_route("/{path:path}", methods=["GET", "POST", "PUT", "DELETE"])
    async def unknown(path: str) -> Response:  # pyright: ignore[reportUnusedFunction]
        raise not_found(f"/{path}")

    return app


def _addressed(parts: list[str]) -> bool:
    """Everything is asked for as JSON but the sound of a recording."""
    return parts[-1].endswith(".json") or (len(parts) == 6 and parts[4] == "Recordings")


def _authorised(twilio: LocalTwilio, header: str) -> bool:
    scheme, _, encoded = header.partition(" ")
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return False
    expected = {twilio.account_sid: twilio.auth_token, twilio.api_key_sid: twilio.api_key_secret}
    known = expected.get(user, secrets.token_hex(16))
    return scheme.lower() == "basic" and secrets.compare_digest(known, password)


async def _form(request: Request) -> dict[str, str]:
    return {k: v for k, v in (await request.form()).items() if isinstance(v, str)}


async def _events(request: Request) -> tuple[str, ...]:
    given = [str(v) for v in (await request.form()).getlist("StatusCallbackEvent")]
    return tuple(word for v in given for word in v.split()) or ("completed",)


def _call(twilio: LocalTwilio, sid: str) -> LocalCall:
    call = next((c for c in twilio.calls if c.call_sid == sid), None)
    if call is None:
        raise not_found(f"/{API_VERSION}/Accounts/{twilio.account_sid}/Calls/{sid}.json")
    return call


def _start(form: dict[str, str], *, bad_url: int) -> Start | None:
    """What ``Url`` or ``Twiml`` of a request ask to run."""
    if "Url" in form:
        method = form.get("Method", "POST").upper()
        if method not in ("GET", "POST"):
            raise RestError(400, 20001, f"Method {method} is neither GET nor POST")
        return Jump(check_url(form["Url"], code=bad_url), method)
    if "Twiml" in form:
        if len(form["Twiml"]) > MAX_TWIML:
            raise RestError(400, 20001, f"Twiml has {len(form['Twiml'])} characters; at most {MAX_TWIML}")
        try:
            return read(form["Twiml"], url="")
        except TwimlError as error:
            raise RestError(400, error.code, error.reason) from error
    return None


def _update(call: LocalCall, form: dict[str, str]) -> None:
    status = form.get("Status")
    if "Url" in form and "Twiml" in form:
        raise RestError(400, 20001, "Url and Twiml are both given; one of them")
    if status is not None and status not in ("completed", "canceled"):
        raise RestError(400, 20001, f"Status {status}: completed or canceled")
    start = _start(form, bad_url=21205)
    if start is not None and call.status != "in-progress":
        raise RestError(400, 21220, "Call is not in-progress. Cannot redirect.")
    if status is not None and call.ended:
        raise not_found(f"/{API_VERSION}/Accounts/{call.account_sid}/Calls/{call.call_sid}.json")
    if status == "canceled" and call.status not in ("queued", "initiated", "ringing"):
        raise RestError(400, 21220, "Call is not queued or ringing. Cannot cancel.")
    if "FallbackUrl" in form:
        call.fallback = Jump(check_url(form["FallbackUrl"], code=21205), form.get("FallbackMethod", "POST"))
    if status is not None:
        call.complete()
    elif start is not None:
        call.redirect(start)


def _create(twilio: LocalTwilio, form: dict[str, str], events: tuple[str, ...]) -> LocalCall:
    to, from_ = form.get("To", ""), form.get("From", "")
    if not to:
        raise RestError(400, 21201, "No 'To' number is specified")
    if not E164.match(to):
        raise RestError(400, 21211, f"The 'To' number {to} is not a valid phone number.")
    if not from_:
        raise RestError(400, 21213, "'From' phone number is required")
    if not E164.match(from_):
        raise RestError(400, 21212, f"The 'From' number {from_} is not a valid phone number")
    if from_ not in twilio.numbers:
        raise RestError(400, 21210, f"Source number is not yet verified: {from_}")
    start = _start(form, bad_url=21205)
    if start is None:
        raise RestError(400, 21205, "Url parameter is required")
    target = None
    if form.get("StatusCallback"):
        callback = check_url(form["StatusCallback"], code=21609)
        # a misspelt event gets its 201 all the same, and no callbacks come (seen in the field)
        target = StatusTarget(Jump(callback, form.get("StatusCallbackMethod", "POST").upper()), events)
    fallback = None
    if form.get("FallbackUrl"):
        fallback = Jump(
            check_url(form["FallbackUrl"], code=21205), form.get("FallbackMethod", "POST").upper()
        )
    ring_s = seconds(form, "Timeout", 60, 1, 600) * twilio.options.second_s
    limit_s = seconds(form, "TimeLimit", 14400, 1, 86400) * twilio.options.second_s
    detection = detection_of(form)
    person = twilio.person(to)
    call = LocalCall(
        twilio,
        direction="outbound-api",
        from_=from_,
        to=to,
        ear=person.ear(),
        fallback=fallback,
        target=target,
    )
    if target is not None and any(event not in _EVENTS for event in events):
        call.log.notify(21626, f"StatusCallbackEvent {' '.join(events)} is not understood", level="warning")
    call.begin(start, person=person, ring_s=ring_s, limit_s=limit_s, detection=detection)
    return call


def _message(twilio: LocalTwilio, form: dict[str, str]) -> Message:
    to, from_, body = form.get("To", ""), form.get("From", ""), form.get("Body", "")
    if not E164.match(to):
        raise RestError(400, 21211, f"The 'To' number {to} is not a valid phone number.")
    if from_ not in twilio.numbers:
        raise RestError(400, 21606, f"The 'From' phone number {from_} is not one of this account")
    if len(body) > 1600:
        raise RestError(400, 21617, "The concatenated message body exceeds the 1600 character limit.")
    if not body:
        raise RestError(400, 21602, "Message body is required.")
    return Message(to=to, from_=from_, body=body)
