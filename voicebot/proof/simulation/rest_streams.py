"""Unidirectional streams and recordings in Twilio's REST API.

Sources: twilio.com/docs/voice/api/stream-resource, docs/voice/api/recording.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from .account import RestError, not_found, page
from .call import LocalCall
from .fork import Fork
from .formats import API_VERSION, now, rfc2822
from .forms import Form, form_of, jump_of
from .reading import Reader, TwimlError, add_parameter
from .twiml_legs import check_track
from .verbs import StartStream
from .voicemail import Recording

if TYPE_CHECKING:
    from .exchange import LocalTwilio

_PARAMETER = re.compile(r"^Parameter(\d{1,2})\.Name$")


def add_streams(app: FastAPI, twilio: LocalTwilio) -> None:
    """Adds ``Calls/{sid}/Streams`` and ``Recordings`` to the API."""
    base = f"/{API_VERSION}/Accounts/{{account}}"

    @app.post(f"{base}/Calls/{{sid}}/Streams.json")
    async def start_stream(  # pyright: ignore[reportUnusedFunction]
        account: str, sid: str, request: Request
    ) -> JSONResponse:
        call = _call(twilio, sid, request)
        if call.status != "in-progress":
            raise RestError(400, 21220, "Call is not in-progress. Cannot start a stream.")
        fork = call.forks.start(_spec(await form_of(request)))
        if fork is None:
            last = call.log.notifications[-1]
            raise RestError(400, last.code, last.what)
        return JSONResponse(_stream_json(fork, call))

    @app.post(f"{base}/Calls/{{sid}}/Streams/{{stream}}.json")
    async def stop_stream(  # pyright: ignore[reportUnusedFunction]
        account: str, sid: str, stream: str, request: Request
    ) -> JSONResponse:
        call = _call(twilio, sid, request)
        form = await form_of(request)
        if form.get("Status") != "stopped":
            raise RestError(400, 20001, f"Status {form.get('Status')}: stopped")
        if not any(stream in (fork.name, fork.stream_sid) for fork in call.forks):
            raise not_found(request.url.path)
        fork = call.forks.stop(stream)
        assert fork is not None
        return JSONResponse(_stream_json(fork, call, stopped=True))

    @app.get(f"{base}/Recordings.json")
    async def list_recordings(account: str, request: Request) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        wanted = request.query_params.get("CallSid")
        found = [r.json(account) for r in twilio.recordings.values() if wanted in (None, r.call_sid)]
        return JSONResponse(page(request.url.path, "recordings", found))

    @app.api_route(f"{base}/Recordings/{{sid}}.json", methods=["GET", "DELETE"])
    async def recording(  # pyright: ignore[reportUnusedFunction]
        account: str, sid: str, request: Request
    ) -> Response:
        found = _recording(twilio, sid, request)
        if request.method == "DELETE":
            del twilio.recordings[sid]
            return Response(status_code=204)
        return JSONResponse(found.json(account))

    @app.get(f"{base}/Recordings/{{sid}}")
    async def sound(account: str, sid: str, request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        found = _recording(twilio, sid.removesuffix(".wav"), request)
        return Response(found.wav(), media_type="audio/x-wav")


def _call(twilio: LocalTwilio, sid: str, request: Request) -> LocalCall:
    call = next((c for c in twilio.calls if c.call_sid == sid), None)
    if call is None:
        raise not_found(request.url.path)
    return call


def _recording(twilio: LocalTwilio, sid: str, request: Request) -> Recording:
    if sid not in twilio.recordings:
        raise not_found(request.url.path)
    return twilio.recordings[sid]


def _spec(form: Form) -> StartStream:
    parameters: dict[str, str] = {}
    try:
        for field, name in form.items():
            if found := _PARAMETER.match(field):
                add_parameter(parameters, name, form.get(f"Parameter{found[1]}.Value", ""))
        return StartStream(
            url=Reader(base="").stream_url(form.get("Url", "")),
            name=form.get("Name"),
            track=check_track(form.get("Track", "inbound_track")),
            parameters=parameters,
            status_callback=jump_of(form, "StatusCallback", code=21609, whole=True),
        )
    except TwimlError as error:
        raise RestError(400, error.code, error.reason) from error


def _stream_json(fork: Fork, call: LocalCall, *, stopped: bool = False) -> dict[str, Any]:
    uri = f"/{API_VERSION}/Accounts/{call.account_sid}/Calls/{call.call_sid}/Streams/{fork.stream_sid}.json"
    return {
        "account_sid": call.account_sid,
        "call_sid": call.call_sid,
        "date_updated": rfc2822(now()),
        "name": fork.spec.name,
        "sid": fork.stream_sid,
        "status": "stopped" if stopped or fork.over else "in-progress",
        "uri": uri,
    }
