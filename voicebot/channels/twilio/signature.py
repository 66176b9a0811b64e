"""Was this request made by Twilio? Pure.

HMAC-SHA1 (or SHA-256 with a shared key) over the URL exactly as Twilio was given it plus
the form's values, https://www.twilio.com/docs/usage/security#validating-requests. Behind a
proxy the URL is built from the configured public URL, never from forwarded headers. A
WebSocket upgrade is signed over its ``wss://`` URL alone.
"""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.datastructures import ImmutableMultiDict
from twilio.request_validator import RequestValidator, get_signature_algorithm

HEADER = "x-twilio-signature"
SETTINGS_HEADER = "x-twilio-webhooks-signature-settings"

MAX_FIELDS = 200

Form = ImmutableMultiDict[str, str]


class BadFormError(ValueError):
    """The body is no form we can read."""


def read_form(body: bytes) -> Form:
    """The form's fields, blank values kept: they are part of the signed string.

    Raises:
        BadFormError: not ASCII with percent-encoded UTF-8, or more than ``MAX_FIELDS`` fields.
    """
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"
        )
    except ValueError as error:  # UnicodeDecodeError is one
        raise BadFormError("the body is not a form") from error
    return ImmutableMultiDict(pairs)


def valid(url: str, params: Form | str, header: str | None, token: str, settings_header: str = "") -> bool:
    """True if ``header`` signs ``url`` and ``params`` with ``token``.

    Args:
        url: as Twilio was given it, query included, fragment left off.
        params: the form, or the body's text when it is JSON.
        header: ``X-Twilio-Signature``; None when the request has none.
        token: the account's auth token (or the shared key's secret).
        settings_header: ``X-Twilio-Webhooks-Signature-Settings``, which names the algorithm.
    """
    if not header or not header.isascii():
        return False
    algorithm = str(get_signature_algorithm(settings_header))
    return bool(RequestValidator(token).validate(url, params, header, algorithm))


def upgrade_spellings(url: str) -> tuple[str, ...]:
    """The ways Twilio may write the ``wss://`` URL it signs; the first is the documented one.

    No document says whether the default port or a trailing slash is part of it; all of these
    name the same resource, so accepting each gives nothing away.
    """
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    spellings = [url]
    if ":" not in host:
        spellings.append(f"{scheme}://{host}:443{slash}{path}")
    return (*spellings, *(spelling + "/" for spelling in spellings))


def signed_upgrade(url: str, header: str | None, token: str, settings_header: str = "") -> str | None:
    """Which spelling of ``url`` the upgrade was signed with; None: with none of them."""
    for spelling in upgrade_spellings(url):
        if valid(spelling, ImmutableMultiDict[str, str](), header, token, settings_header):
            return spelling
    return None
