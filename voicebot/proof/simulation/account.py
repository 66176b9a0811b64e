"""What an account holds: its numbers, its calls, its messages, and how REST shows them.

Shapes: twilio-oai ``twilio_api_v2010.json``; durations and prices are strings, dates RFC 2822.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from .call import LocalCall
from .formats import API_VERSION, new_sid, now, rfc2822

E164 = re.compile(r"^\+[1-9]\d{4,14}$")


class RestError(Exception):
    """A request that Twilio refuses: HTTP status, Twilio's code, message."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    def body(self) -> dict[str, Any]:
        """Twilio's error body."""
        return {
            "code": self.code,
            "message": self.message,
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "status": self.status,
        }


def not_found(path: str) -> RestError:
    """404 20404."""
    return RestError(404, 20404, f"The requested resource {path} was not found")


@dataclass
class OwnNumber:
    """A phone number of the account and its webhooks."""

    phone_number: str
    voice_url: str = ""
    voice_method: str = "POST"
    voice_fallback_url: str = ""
    voice_fallback_method: str = "POST"
    status_callback: str = ""
    status_callback_method: str = "POST"
    sms_url: str = ""
    sms_method: str = "POST"
    sms_fallback_url: str = ""
    sms_fallback_method: str = "POST"
    friendly_name: str = ""
    voice_application_sid: str = ""
    trunk_sid: str = ""
    sid: str = field(default_factory=lambda: new_sid("PN"))
    created: datetime = field(default_factory=now)

    def update(self, form: dict[str, str]) -> None:
        """Sets what the form names.

        Raises:
            RestError: 21502 for a URL that is none, 21405 fallback without URL.
        """
        known = {
            _camel(f.name): f.name for f in fields(self) if f.name not in ("sid", "created", "phone_number")
        }
        for name, value in form.items():
            if name in known:
                if name.endswith("Url") or name == "StatusCallback":
                    check_url(value, code=21502, blank=True)
                setattr(self, known[name], value)
        if self.voice_fallback_url and not self.voice_url:
            raise RestError(400, 21405, "VoiceFallbackUrl needs a VoiceUrl")

    def json(self, account_sid: str) -> dict[str, Any]:
        """As REST shows it."""
        shown = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "created"}
        return shown | {
            "account_sid": account_sid,
            "address_requirements": "none",
            "address_sid": None,
            "api_version": API_VERSION,
            "beta": False,
            "bundle_sid": None,
            "capabilities": {"voice": True, "sms": True, "mms": False, "fax": False},
            "date_created": rfc2822(self.created),
            "date_updated": rfc2822(self.created),
            "emergency_address_sid": None,
            "emergency_address_status": "unregistered",
            "emergency_status": "Inactive",
            "friendly_name": self.friendly_name or self.phone_number,
            "identity_sid": None,
            "origin": "twilio",
            "sms_application_sid": "",
            "status": "in-use",
            "trunk_sid": self.trunk_sid or None,
            "uri": f"/{API_VERSION}/Accounts/{account_sid}/IncomingPhoneNumbers/{self.sid}.json",
            "voice_application_sid": self.voice_application_sid or None,
            "voice_caller_id_lookup": False,
            "voice_receive_mode": "voice",
        }


@dataclass
class Message:
    """An SMS that was sent through REST. It is only stored."""

    to: str
    from_: str
    body: str
    sid: str = field(default_factory=lambda: new_sid("SM"))
    created: datetime = field(default_factory=now)

    def json(self, account_sid: str) -> dict[str, Any]:
        """As REST shows it, right after it was taken."""
        uri = f"/{API_VERSION}/Accounts/{account_sid}/Messages/{self.sid}"
        return {
            "account_sid": account_sid,
            "api_version": API_VERSION,
            "body": self.body,
            "date_created": rfc2822(self.created),
            "date_sent": None,
            "date_updated": rfc2822(self.created),
            "direction": "outbound-api",
            "error_code": None,
            "error_message": None,
            "from": self.from_,
            "messaging_service_sid": None,
            "num_media": "0",
            "num_segments": str(-(-max(1, len(self.body)) // 160)),
            "price": None,
            "price_unit": None,
            "sid": self.sid,
            "status": "queued",
            "subresource_uris": {"media": f"{uri}/Media.json"},
            "to": self.to,
            "uri": f"{uri}.json",
        }


def call_json(call: LocalCall) -> dict[str, Any]:
    """A call as REST shows it."""
    uri = f"/{API_VERSION}/Accounts/{call.account_sid}/Calls/{call.call_sid}"
    return {
        "account_sid": call.account_sid,
        "annotation": None,
        "answered_by": call.answered_by,
        "api_version": API_VERSION,
        "caller_name": None,
        "date_created": rfc2822(call.created),
        "date_updated": rfc2822(call.ended_at or call.created),
        "direction": call.direction,
        "duration": str(call.duration_s) if call.ended else None,
        "end_time": rfc2822(call.ended_at),
        "forwarded_from": None,
        "from": call.from_,
        "from_formatted": call.from_,
        "group_sid": None,
        "parent_call_sid": call.parent_sid,
        "phone_number_sid": None,
        "price": None,
        "price_unit": "USD",
        "queue_time": "0",
        "sid": call.call_sid,
        "start_time": rfc2822(call.answered_at),
        "status": "queued" if call.status == "initiated" else call.status,  # a word of callbacks only
        "subresource_uris": {
            name: f"{uri}/{path}.json"
            for name, path in (("streams", "Streams"), ("recordings", "Recordings"))
        },
        "to": call.to,
        "to_formatted": call.to,
        "trunk_sid": None,
        "uri": f"{uri}.json",
    }


def page(uri: str, name: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    """A list as REST shows it; everything fits on one page here."""
    return {
        name: items,
        "page": 0,
        "page_size": 50,
        "start": 0,
        "end": max(0, len(items) - 1),
        "first_page_uri": f"{uri}?PageSize=50&Page=0",
        "next_page_uri": None,
        "previous_page_uri": None,
        "uri": f"{uri}?PageSize=50&Page=0",
    }


def check_url(value: str, *, code: int, blank: bool = False) -> str:
    """A usable webhook address, or the given refusal."""
    if (blank and not value) or re.match(r"^https?://[^/\s]+", value):
        return value
    raise RestError(400, code, f"Url is not a valid URL: {value}")


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
