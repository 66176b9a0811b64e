"""Signs what the local Twilio sends, by twilio's own validator.

Source: twilio.com/docs/usage/webhooks/webhooks-security; the string is URL + sorted form.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urldefrag

from twilio.request_validator import RequestValidator

HEADER = "X-Twilio-Signature"
UPGRADE_HEADER = "x-twilio-signature"
"""On a WebSocket upgrade the name arrives in lower case."""


def signature(auth_token: str, url: str, parameters: Mapping[str, str] | None = None) -> str:
    """The header's value for one request.

    ``parameters``: the form of a POST, blank values included; None for GET and for upgrades,
    whose query is part of ``url``. A fragment takes no part.
    """
    bare, _ = urldefrag(url)
    return RequestValidator(auth_token).compute_signature(bare, dict(parameters or {}))
