"""``/`` and what its page asks for: the prebuilt client of Pipecat, and signalling under ``/webrtc/``.

The client knows two addresses of its own, ``/start`` and ``/sessions/{id}/api/offer``: they are served too.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, Literal, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from voicebot.channels.browser.access import BrowserAccess, BrowserRefused
from voicebot.channels.browser.gate import BrowserGate
from voicebot.channels.browser.ice import IceServer
from voicebot.channels.browser.session import new_call
from voicebot.core import metrics

CLIENT = "/webrtc/client"
_MICROPHONE = Path(__file__).with_name("microphone.js")
_TRANSPORT = "as SmallWebRTCTransport}"
MOST_BODY = 96 * 1024
"""An offer, escaped."""

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "media-src 'self' blob: mediastream:; worker-src 'self' blob:; "
        "script-src 'self' 'wasm-unsafe-eval' blob:; connect-src 'self'; "
        "frame-ancestors 'none'; base-uri 'self'; form-action 'none'"
    ),
    "Permissions-Policy": "microphone=(self), camera=(), display-capture=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


B = TypeVar("B", bound=BaseModel)


class _Start(_Body):
    """What the page asks a call with; of the rest of Pipecat's settings none applies."""

    transport: Literal["webrtc"] = "webrtc"
    createDailyRoom: bool = False  # noqa: N815  # the client's name
    enableDefaultIceServers: bool = False  # noqa: N815
    body: dict[str, Any] | None = None


class _Offer(_Body):
    sdp: str = Field(max_length=64 * 1024)
    type: str = Field(max_length=16)
    pc_id: str | None = Field(default=None, max_length=64)
    restart_pc: bool | None = False
    requestData: dict[str, Any] | None = None  # noqa: N815
    request_data: dict[str, Any] | None = None


class _Candidate(_Body):
    candidate: str = Field(max_length=1024)
    sdp_mid: str | None = Field(default=None, max_length=64)
    sdp_mline_index: int | None = Field(default=None, ge=0, le=64)


class _Candidates(_Body):
    pc_id: str = Field(max_length=64)
    candidates: list[_Candidate] = Field(max_length=40)


class _Malformed(BrowserRefused):
    status = 422
    code = "malformed"


class _TooLarge(BrowserRefused):
    status = 413
    code = "too_large"


class _NotJson(BrowserRefused):
    status = 415
    code = "not_json"


def client_folder() -> Path:
    """Where the prebuilt client lies. Its module is not imported: it prints, and sets up a server of its own.

    Raises:
        RuntimeError: the package is missing.
    """
    spec = importlib.util.find_spec("pipecat_ai_prebuilt")
    folder = Path(spec.origin).parent / "client" / "dist" if spec is not None and spec.origin else None
    if folder is None or not (folder / "index.html").is_file():
        raise RuntimeError("the page of browser calls is missing: pip install pipecat-ai-prebuilt==1.3.0")
    return folder


def browser_router(gate: BrowserGate, access: BrowserAccess, servers: tuple[IceServer, ...]) -> APIRouter:
    """The routes of browser calls, for one node. `ClientFiles` serves the client's own files."""
    routes = _Routes(gate, access, servers, client_folder())
    router = APIRouter(tags=["browser call"])
    router.add_api_route("/", routes.page, methods=["GET", "HEAD"], include_in_schema=False)
    for prefix, shown in (("/webrtc", True), ("", False)):
        offers = f"{prefix}/sessions/{{call}}/api/offer"
        router.add_api_route(f"{prefix}/start", routes.start, methods=["POST"], include_in_schema=shown)
        router.add_api_route(offers, routes.offer, methods=["POST"], include_in_schema=shown)
        router.add_api_route(offers, routes.candidates, methods=["PATCH"], include_in_schema=shown)
    return router


class ClientFiles(StaticFiles):
    """The client's files, to be mounted at `CLIENT`: public code, the same for everybody.

    In place of its WebRTC transport stands ``microphone.js``, which asks for that one with ``?prebuilt``.

    Raises:
        RuntimeError: the package is missing, or another version.
    """

    def __init__(self) -> None:
        folder = client_folder()
        super().__init__(directory=folder)
        found = [one for one in (folder / "assets").glob("*.js") if _TRANSPORT in one.read_text()]
        if len(found) != 1:
            raise RuntimeError(
                "the page of browser calls has no transport of its own: install the pinned one"
            )
        self._transport = f"assets/{found[0].name}"

    async def get_response(self, path: str, scope: Scope) -> Response:
        """See Starlette's StaticFiles."""
        if path == self._transport and scope["query_string"] != b"prebuilt":
            return FileResponse(
                _MICROPHONE, media_type="text/javascript", headers={"Cache-Control": "no-cache"}
            )
        return await super().get_response(path, scope)


class _Routes:
    def __init__(
        self, gate: BrowserGate, access: BrowserAccess, servers: tuple[IceServer, ...], folder: Path
    ) -> None:
        self._gate = gate
        self._access = access
        self._ice = [server.for_browser() for server in servers]
        index = (folder / "index.html").read_text()
        self._index = index.replace("<head>", f'<head><base href="{CLIENT}/">', 1)

    async def page(self, request: Request) -> Response:
        """The page with which somebody talks to the bot."""
        try:
            self._access.admit(request)
        except BrowserRefused as error:
            return _refused(error)
        return HTMLResponse(self._index, headers=_HEADERS)

    async def start(self, request: Request) -> Response:
        """A name for a new call, and the servers that help to connect it."""
        try:
            self._access.admit(request)
            _parse(_Start, await _body(request) or b"{}")
        except BrowserRefused as error:
            return _refused(error)
        return JSONResponse({"sessionId": new_call(), "iceConfig": {"iceServers": self._ice}})

    async def offer(self, request: Request, call: str) -> Response:
        """An SDP offer, answered. The call begins once the connection stands."""
        try:
            caller = self._access.admit(request)
            given = _parse(_Offer, await _body(request))
            name = None if given.restart_pc else given.pc_id
            answer = await self._gate.offer(call, caller, given.sdp, given.type, name)
        except BrowserRefused as error:
            return _refused(error)
        return JSONResponse({"sdp": answer.sdp, "type": "answer", "pc_id": answer.name})

    async def candidates(self, request: Request, call: str) -> Response:
        """More addresses of the browser's."""
        try:
            self._access.admit(request)
            given = _parse(_Candidates, await _body(request))
            for one in given.candidates:
                await self._gate.candidate(call, given.pc_id, one.candidate, one.sdp_mid, one.sdp_mline_index)
        except BrowserRefused as error:
            return _refused(error)
        return JSONResponse({"status": "success"})


async def _body(request: Request) -> bytes:
    """The request's body, read no further than an offer can be long."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise _NotJson("send JSON, with 'Content-Type: application/json'")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BODY:
            raise _TooLarge(f"at most {MOST_BODY} bytes")
    return body


def _parse(model: type[B], body: bytes) -> B:
    try:
        return model.model_validate_json(body, strict=True)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['type']}" for e in error.errors())
        raise _Malformed(wrong) from None


def _refused(error: BrowserRefused) -> Response:
    metrics.refusals.labels(f"browser_{error.code}").inc()
    detail = {"code": error.code, "detail": str(error)}
    return JSONResponse(detail, error.status, headers=dict(error.headers))
