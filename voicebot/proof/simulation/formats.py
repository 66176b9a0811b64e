"""How Twilio writes identifiers and dates."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from email.utils import format_datetime

API_VERSION = "2010-04-01"


def new_sid(prefix: str) -> str:
    """A SID: two letters (``CA`` call, ``MZ`` stream, ``PN`` number, ...) and 32 hex digits."""
    return prefix + secrets.token_hex(16)


def now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


def rfc2822(moment: datetime | None) -> str | None:
    """As in REST answers and call callbacks: ``Tue, 31 Aug 2010 20:36:28 +0000``."""
    return None if moment is None else format_datetime(moment)


def iso8601(moment: datetime) -> str:
    """As in stream callbacks, which differ from call callbacks: ``2026-01-31T20:36:28.123Z``."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
