"""Every way the Twilio channel says no, with the code it says it with. Pure.

A refusal closes one socket or answers one request; it never touches another call. Each
is logged with its reason and kept in the audit table (``refusal_log``).
"""

from __future__ import annotations

from enum import StrEnum


class Refusal(StrEnum):
    """Why a request, a socket or a message was refused."""

    # before any socket is open
    UNSIGNED = "unsigned"
    FORGED = "forged_signature"
    NO_AUTH_TOKEN = "no_auth_token"  # noqa: S105  # a reason's name
    NOT_LOOPBACK = "not_loopback"
    BAD_REQUEST = "bad_request"
    TOO_MANY_SOCKETS = "too_many_sockets"

    # before `start` was accepted
    START_TIMEOUT = "start_timeout"
    GONE_BEFORE_START = "gone_before_start"
    MEDIA_BEFORE_START = "media_before_start"
    TOKEN_MISSING = "token_missing"  # noqa: S105  # a reason's name
    TOKEN_UNKNOWN = "token_unknown"  # noqa: S105  # a reason's name
    TOKEN_USED = "token_used"  # noqa: S105  # a reason's name
    TOKEN_EXPIRED = "token_expired"  # noqa: S105  # a reason's name
    WRONG_CALL = "wrong_call"
    CALL_UNKNOWN = "call_unknown"
    CALL_OVER = "call_over"
    STREAM_TAKEN = "stream_taken"
    BAD_MEDIA_FORMAT = "bad_media_format"
    OFF = "off"
    DRAINING = "draining"
    NO_ROOM = "no_room"
    UNAVAILABLE = "unavailable"

    # any message
    BINARY_FRAME = "binary_frame"
    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    UNKNOWN_EVENT = "unknown_event"
    BAD_FIELD = "bad_field"
    BAD_BASE64 = "bad_base64"
    START_TWICE = "start_twice"
    OUT_OF_ORDER = "out_of_order"
    FOREIGN_STREAM = "foreign_stream"
    TOO_FAST = "too_fast"


# RFC 6455 section 7.4.1. 1000 is kept for the call's own end: Twilio then runs the next verb.
_CLOSE_CODES: dict[Refusal, int] = {
    Refusal.BINARY_FRAME: 1003,
    Refusal.NOT_JSON: 1007,
    Refusal.BAD_FIELD: 1007,
    Refusal.BAD_BASE64: 1007,
    Refusal.UNKNOWN_EVENT: 1002,
    Refusal.START_TWICE: 1002,
    Refusal.OUT_OF_ORDER: 1002,
    Refusal.FOREIGN_STREAM: 1002,
    Refusal.MEDIA_BEFORE_START: 1002,
    Refusal.TOO_LARGE: 1009,
    Refusal.UNAVAILABLE: 1011,
    Refusal.TOO_MANY_SOCKETS: 1013,
    Refusal.OFF: 1013,
    Refusal.DRAINING: 1013,
    Refusal.NO_ROOM: 1013,
}


def close_code(refusal: Refusal) -> int:
    """The WebSocket close code for ``refusal``; 1008 (policy) where nothing fits better."""
    return _CLOSE_CODES.get(refusal, 1008)


class Refused(Exception):  # an answer, not a fault of ours
    """A socket or request goes no further.

    ``reason`` is for machines (logs, audit, tests); ``detail`` names the offending part
    and never holds values that came over the wire.
    """

    def __init__(self, reason: Refusal, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason
        self.detail = detail
