"""Twilio's REST API, the few calls we need, asynchronously.

httpx instead of the vendor's client: the base URL can be set (so that tests and the demo
use the local Twilio) and nothing blocks the event loop.

    async with TwilioRest.from_settings(settings) as rest:
        call = await rest.call("CA...")
        await rest.update_call("CA...", twiml="<Response><Hangup/></Response>")

Raises, everywhere:
    TwilioRefusedError: Twilio refused (``status`` 400-599 and Twilio's own ``code``).
    TwilioUnreachableError: no answer within the deadline, or no connection.

Both are ``TwilioError``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self, cast

import httpx
import structlog

from voicebot.channels.twilio.addresses import is_loopback
from voicebot.core.settings import Settings

log = structlog.get_logger(__name__)

API_VERSION = "2010-04-01"

_TIMEOUT = httpx.Timeout(5.0, connect=2.0)
_ATTEMPTS = 3
_BACKOFF_S = 0.25
_TOO_MANY = 429
_NOT_FOUND = 404

MAX_TWIML_CHARS = 4000
"""Of TwiML handed over by REST (https://www.twilio.com/docs/voice/api/call-resource)."""

MAX_SMS_CHARS = 1600

FINAL_STATUSES = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
"""Call statuses that never change again."""

_REMEDIES: dict[int, str] = {
    20003: "check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN",
    20404: "check the SID: it is not of this account, or is gone",
    20429: "too many requests at once; try again in a moment",
    21205: "the URL must be absolute and reachable",
    21210: "use a caller number of this account, or verify this one",
    21211: "write the number in E.164, like +4930123456",
    21212: "write the caller number in E.164, like +4930123456",
    21215: "allow the destination under Voice > Geo permissions",
    21220: "the call is not in progress any more",
    21405: "set the voice URL together with its fallback URL",
    21617: "a message has at most 1600 characters",
}


class TwilioError(Exception):
    """Something with Twilio's side did not work. The message says what to do."""


class TwilioRefusedError(TwilioError):
    """Twilio said no. The message names Twilio's code and what to do."""

    def __init__(self, status: int, code: int | None, message: str) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.remedy = _REMEDIES.get(code or 0, f"see https://www.twilio.com/docs/errors/{code or status}")
        super().__init__(f"Twilio answered {status} (error {code or 'unknown'}): {message}; {self.remedy}")

    @property
    def call_is_over(self) -> bool:
        """The call this was about does not run any more (or never existed)."""
        return self.code in {21220, 20404} or self.status == _NOT_FOUND


class TwilioUnreachableError(TwilioError):
    """No answer from Twilio's REST API; whether the request was carried out is unknown."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call as Twilio sees it. ``status``: queued, ringing, in-progress, or a final one."""

    sid: str
    status: str

    @property
    def over(self) -> bool:
        """Nothing can happen on it any more."""
        return self.status in FINAL_STATUSES


@dataclass(frozen=True, slots=True)
class MadeCall(Call):
    """A call in a list. ``created`` None: Twilio did not say."""

    created: datetime | None = None


@dataclass(frozen=True, slots=True)
class Number:
    """A phone number of the account with its webhooks ("" = not set)."""

    sid: str
    phone_number: str
    voice_url: str
    voice_fallback_url: str
    status_callback: str
    sms_url: str
    voice_application_sid: str
    sms_application_sid: str
    trunk_sid: str


class TwilioRest:
    """One account's REST API. Many tasks may share it; close it (or use ``async with``).

    Args:
        account_sid: ``AC...``; also the user name.
        auth_token: the password.
        base_url: ``https://api.twilio.com``, or a stand-in.
        transport: for tests; None means the network.
    """

    def __init__(
        self,
        account_sid: str,
        auth_token: str,
        base_url: str = "https://api.twilio.com",
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.account_sid = account_sid
        self._http = httpx.AsyncClient(
            base_url=f"{base_url}/{API_VERSION}/Accounts/{account_sid}",
            auth=(account_sid, auth_token),
            timeout=_TIMEOUT,
            transport=transport,
            trust_env=not is_loopback(httpx.URL(base_url).host),  # a stand-in is not behind the proxy
        )

    @classmethod
    def from_settings(cls, settings: Settings) -> TwilioRest | None:
        """From account SID and auth token; None if either is missing."""
        sid, token = settings.twilio_account_sid, settings.twilio_auth_token
        if not sid or token is None or not token.get_secret_value():
            return None
        return cls(sid, token.get_secret_value(), settings.twilio_api)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    # --- calls ---------------------------------------------------------------------------

    async def call(self, call_sid: str) -> Call:
        """The call's present status (eventually consistent, says Twilio)."""
        return _call(await self._send("GET", f"/Calls/{call_sid}.json"))

    async def calls_to(self, to: str, from_: str) -> list[MadeCall]:
        """The latest calls of this account between two numbers, newest first (at most 50)."""
        query = {"To": to, "From": from_, "PageSize": "50"}
        answer = await self._send("GET", "/Calls.json", query=query)
        rows = cast(list[dict[str, Any]], answer.get("calls") or [])
        return [MadeCall(_call(row).sid, _call(row).status, _created(row)) for row in rows]

    async def create_call(
        self,
        *,
        to: str,
        from_: str,
        url: str | None = None,
        twiml: str | None = None,
        status_callback: str | None = None,
        status_events: Sequence[str] = (),
        **more: str,
    ) -> Call:
        """Places a call; ``url`` or ``twiml`` says what it does. ``more`` takes Twilio's own names.

        Not repeated after a time-out: the call may exist all the same.
        """
        form: dict[str, str | list[str]] = {"To": to, "From": from_, **_either(url, twiml), **more}
        if status_callback is not None:
            form["StatusCallback"] = status_callback
        if status_events:
            form["StatusCallbackEvent"] = list(status_events)
        return _call(await self._send("POST", "/Calls.json", form))

    async def update_call(
        self, call_sid: str, *, twiml: str | None = None, url: str | None = None, status: str | None = None
    ) -> Call:
        """Gives a live call new TwiML, or ends it (``status="completed"``)."""
        form: dict[str, str | list[str]] = dict(_either(url, twiml, none_is_fine=status is not None))
        if status is not None:
            form["Status"] = status
        return _call(await self._send("POST", f"/Calls/{call_sid}.json", form))

    # --- conferences ---------------------------------------------------------------------

    async def labels_in(self, room: str) -> frozenset[str]:
        """Labels of who is in the conference that runs under this name; empty if none runs.

        A phone that still rings for it is not in it.
        """
        query = {"FriendlyName": room, "PageSize": "20"}
        answer = await self._send("GET", "/Conferences.json", query=query)
        rows = cast(list[dict[str, Any]], answer.get("conferences") or [])
        labels: set[str] = set()
        for row in rows:
            if row.get("status") == "completed":
                continue
            found = await self._send("GET", f"/Conferences/{row.get('sid')}/Participants.json")
            people = cast(list[dict[str, Any]], found.get("participants") or [])
            labels |= {str(one.get("label")) for one in people if one.get("status") == "connected"}
        return frozenset(labels)

    # --- numbers -------------------------------------------------------------------------

    async def numbers(self, phone_number: str | None = None) -> list[Number]:
        """The account's numbers (first 50), or the one that is exactly ``phone_number``."""
        query = {"PageSize": "50"} if phone_number is None else {"PhoneNumber": phone_number}
        answer = await self._send("GET", "/IncomingPhoneNumbers.json", query=query)
        rows = cast(list[dict[str, Any]], answer.get("incoming_phone_numbers") or [])
        found = [_number(row) for row in rows]
        return [n for n in found if phone_number is None or n.phone_number == phone_number]

    async def set_webhooks(self, number_sid: str, **fields: str) -> Number:
        """Sets a number's webhooks; ``fields`` by Twilio's names (``VoiceUrl``, ``SmsUrl``, ...)."""
        return _number(await self._send("POST", f"/IncomingPhoneNumbers/{number_sid}.json", dict(fields)))

    # --- messages ------------------------------------------------------------------------

    async def send_message(self, *, to: str, from_: str, body: str, status_url: str | None = None) -> str:
        """Sends a text message (at most 1600 characters); returns its SID.

        ``status_url``: where Twilio reports what becomes of it.
        """
        form: dict[str, str | list[str]] = {"To": to, "From": from_, "Body": body}
        if status_url is not None:
            form["StatusCallback"] = status_url
        answer = await self._send("POST", "/Messages.json", form)
        return str(answer.get("sid", ""))

    # --- notices -------------------------------------------------------------------------

    async def notices(self, call_sid: str) -> list[str]:
        """Error codes Twilio noted for a call (``31921``, ``12200``, ...)."""
        answer = await self._send("GET", f"/Calls/{call_sid}/Notifications.json")
        rows = cast(list[dict[str, Any]], answer.get("notifications") or [])
        return [str(row.get("error_code", "")) for row in rows]

    async def _send(
        self,
        method: str,
        path: str,
        form: Mapping[str, str | list[str]] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """One request. Tried again only where Twilio cannot have acted: no connection, or 429."""
        for attempt in range(1, _ATTEMPTS + 1):
            last = attempt == _ATTEMPTS
            try:
                response = await self._http.request(method, path, data=form, params=query)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                if last:
                    raise TwilioUnreachableError(
                        f"cannot reach Twilio's REST API at {self._http.base_url.host}:"
                        f" {type(error).__name__}; check the network and VOICEBOT_TWILIO_API"
                    ) from error
            except httpx.HTTPError as error:
                raise TwilioUnreachableError(
                    f"Twilio's REST API did not answer ({type(error).__name__});"
                    " whether it acted is unknown, so look before trying again"
                ) from error
            else:
                if response.status_code != _TOO_MANY or last:
                    return _body(response)
                log.warning("twilio_rest_too_many_requests", attempt=attempt)
            await asyncio.sleep(_BACKOFF_S * 2 ** (attempt - 1))
        raise AssertionError("unreachable")


def _either(url: str | None, twiml: str | None, *, none_is_fine: bool = False) -> dict[str, str]:
    if url is not None and twiml is not None:
        raise ValueError("give url or twiml, not both: Twilio would ignore the TwiML")
    if url is not None:
        return {"Url": url, "Method": "POST"}
    if twiml is not None:
        if len(twiml) > MAX_TWIML_CHARS:
            raise ValueError(f"TwiML handed over by REST has at most {MAX_TWIML_CHARS} characters")
        return {"Twiml": twiml}
    if none_is_fine:
        return {}
    raise ValueError("give url or twiml")


def _body(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        body = None
    fields = cast(dict[str, Any], body) if isinstance(body, dict) else {}
    if response.is_success:
        return fields
    code = fields.get("code")
    # Older errors say `message`, RFC 9457 ones `detail` or `title`.
    message = fields.get("message") or fields.get("detail") or fields.get("title") or response.reason_phrase
    raise TwilioRefusedError(response.status_code, code if isinstance(code, int) else None, str(message))


def _created(row: Mapping[str, Any]) -> datetime | None:
    try:
        return parsedate_to_datetime(str(row.get("date_created")))
    except ValueError:
        return None


def _call(row: Mapping[str, Any]) -> Call:
    return Call(sid=str(row.get("sid", "")), status=str(row.get("status", "")))


def _number(row: Mapping[str, Any]) -> Number:
    def text(name: str) -> str:
        return str(row.get(name) or "")

    return Number(
        sid=text("sid"),
        phone_number=text("phone_number"),
        voice_url=text("voice_url"),
        voice_fallback_url=text("voice_fallback_url"),
        status_callback=text("status_callback"),
        sms_url=text("sms_url"),
        voice_application_sid=text("voice_application_sid"),
        sms_application_sid=text("sms_application_sid"),
        trunk_sid=text("trunk_sid"),
    )
