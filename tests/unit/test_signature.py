"""Only Twilio gets in: the signature covers the exact public URL and every form value."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import HTTPConnection
from twilio.request_validator import RequestValidator

from voicebot.channels.twilio import signature
from voicebot.channels.twilio.addresses import Addresses, is_loopback
from voicebot.channels.twilio.caller import CallerCheck
from voicebot.channels.twilio.refusals import Refusal, Refused
from voicebot.channels.twilio.signature import BadFormError, Form, read_form
from voicebot.core.settings import Settings

TOKEN = "0123456789abcdef0123456789abcdef"
VOICE = "https://voice.example.com/twilio/voice"
MEDIA = "wss://voice.example.com/twilio/media"

# Made with twilio-python 9.13.0.
FORM_BODY = (
    b"CallSid=CA00000000000000000000000000000001&From=%2B4930111111&To=%2B4930222222"
    b"&CallStatus=ringing&Direction=inbound&CallerName="
)
FORM_SIGNATURE = "EP85FcY36Al/VUul69Wd3khUSTo="
UPGRADE_SIGNATURE = "3Wv0T80qzAY3OCARW9y1gnUJZtE="


def sign(url: str, form: Form | None = None, token: str = TOKEN) -> str:
    return RequestValidator(token).compute_signature(url, form)


def test_a_known_signature() -> None:
    """With a blank value, which is part of what is signed."""
    assert signature.valid(VOICE, read_form(FORM_BODY), FORM_SIGNATURE, TOKEN)


@pytest.mark.parametrize(
    ("url", "body", "header"),
    [
        ("https://voice.example.com/twilio/voice/", FORM_BODY, FORM_SIGNATURE),
        ("http://voice.example.com/twilio/voice", FORM_BODY, FORM_SIGNATURE),
        ("https://voice.example.com/twilio/voice?x=1", FORM_BODY, FORM_SIGNATURE),
        (VOICE, FORM_BODY.replace(b"&CallerName=", b""), FORM_SIGNATURE),
        (VOICE, FORM_BODY.replace(b"ringing", b"completed"), FORM_SIGNATURE),
        (VOICE, FORM_BODY + b"&New=1", FORM_SIGNATURE),
        (VOICE, FORM_BODY, FORM_SIGNATURE.lower()),
        (VOICE, FORM_BODY, FORM_SIGNATURE[:-1]),
        (VOICE, FORM_BODY, ""),
        (VOICE, FORM_BODY, None),
        (VOICE, FORM_BODY, "ünïcode"),
    ],
)
def test_anything_else_is_forged(url: str, body: bytes, header: str | None) -> None:
    """Scheme, slash, query, a missing, changed or added value, a mutilated or missing header."""
    assert not signature.valid(url, read_form(body), header, TOKEN)


def test_another_token() -> None:
    """The secret matters."""
    assert not signature.valid(VOICE, read_form(FORM_BODY), FORM_SIGNATURE, "f" * 32)


def test_repeated_fields_are_all_signed() -> None:
    """A form is a multidict."""
    form = read_form(b"A=2&A=1&B=")
    assert signature.valid(VOICE, form, sign(VOICE, form), TOKEN)
    assert not signature.valid(VOICE, read_form(b"A=2&B="), sign(VOICE, form), TOKEN)


def test_the_shared_key_algorithm() -> None:
    """The settings header names SHA-256; one we do not know is no signature."""
    form = read_form(b"A=1")
    header = RequestValidator(TOKEN).compute_signature(VOICE, form, "HMAC_SHA256")
    assert signature.valid(VOICE, form, header, TOKEN, "key=k,algorithm=HMAC_SHA256")
    assert not signature.valid(VOICE, form, header, TOKEN)
    assert not signature.valid(VOICE, form, header, TOKEN, "key=k,algorithm=NONE")


@settings(derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.text("Aa%+&=; ü", min_size=1, max_size=5), st.text(max_size=8)), max_size=6))
def test_whatever_twilio_posts_can_be_read(pairs: list[tuple[str, str]]) -> None:
    """Blank, repeated and foreign values keep the signature good."""
    from urllib.parse import urlencode

    form = read_form(urlencode(pairs).encode())
    assert form.multi_items() == pairs
    assert signature.valid(VOICE, form, sign(VOICE, Form(pairs)), TOKEN)


@pytest.mark.parametrize("body", [b"\xff", b"a=%ff", b"a=1&" * 300])
def test_what_is_no_form(body: bytes) -> None:
    """Not ASCII, not UTF-8, or too many fields."""
    with pytest.raises(BadFormError):
        read_form(body)


def test_the_upgrade_is_signed_over_wss() -> None:
    """The documented string passes; the https one does not."""
    assert signature.signed_upgrade(MEDIA, UPGRADE_SIGNATURE, TOKEN) == MEDIA
    assert (
        signature.signed_upgrade(MEDIA, sign("https://voice.example.com/twilio/media", Form()), TOKEN) is None
    )


@pytest.mark.parametrize(
    "signed", [MEDIA, "wss://voice.example.com:443/twilio/media", MEDIA + "/", "wss://voice.example.com:443/twilio/media/"]
)  # fmt: skip
def test_spellings_that_no_document_rules_out(signed: str) -> None:
    """Default port or trailing slash: the same resource, so accepted and named."""
    assert signature.signed_upgrade(MEDIA, sign(signed, Form()), TOKEN) == signed


def request(
    path: str = "/twilio/voice",
    *,
    scheme: str = "http",
    host: str = "127.0.0.1:8080",
    client: str = "127.0.0.1",
    query: str = "",
    **headers: str,
) -> HTTPConnection:
    named = {"host": host} | {name.replace("_", "-"): value for name, value in headers.items()}
    return HTTPConnection(
        {
            "type": "http" if scheme.startswith("http") else "websocket",
            "scheme": scheme,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in named.items()],
            "client": (client, 5),
            "server": ("127.0.0.1", 8080),
        }
    )


def check(
    public_url: str | None = "https://voice.example.com", *, token: str | None = TOKEN, local: bool = False
) -> CallerCheck:
    settings = Settings(_env_file=None, public_url=public_url, twilio_auth_token=token)  # pyright: ignore
    return CallerCheck(settings, insecure_local=local)


def test_behind_a_proxy_the_public_url_counts() -> None:
    """Host, scheme and port that the proxy shows us do not."""
    form = read_form(b"CallSid=CA1")
    asked = request(x_twilio_signature=sign(VOICE, form), x_forwarded_host="evil.example.net")
    assert check().webhook(asked, form).at == Addresses("https://voice.example.com")
    with pytest.raises(Refused) as refused:
        check("https://other.example.com").webhook(asked, form)
    assert refused.value.reason is Refusal.FORGED


def test_a_public_url_with_a_path_and_a_query() -> None:
    """The proxy serves us below a path; the query is signed as it stood."""
    form = read_form(b"CallSid=CA1")
    url = "https://example.com/bot/twilio/voice?a=1%20b"
    asked = request(query="a=1%20b", x_twilio_signature=sign(url, form))
    assert check("https://example.com/bot/").webhook(asked, form).at.base == "https://example.com/bot"


def test_without_a_public_url_the_request_names_itself() -> None:
    """A server that Twilio reaches directly."""
    form = read_form(b"CallSid=CA1")
    url = "http://127.0.0.1:8080/twilio/voice"
    assert check(None).webhook(request(x_twilio_signature=sign(url, form)), form).at.http("/x") == (
        "http://127.0.0.1:8080/x"
    )
    upgrade = request("/twilio/media", scheme="ws", x_twilio_signature=sign(
        "wss://127.0.0.1:8080/twilio/media", Form()))  # fmt: skip
    assert check(None).upgrade(upgrade).local is False


@pytest.mark.parametrize(
    ("headers", "token", "local", "client", "reason"),
    [
        ({}, TOKEN, False, "127.0.0.1", Refusal.UNSIGNED),
        ({}, None, False, "127.0.0.1", Refusal.NO_AUTH_TOKEN),
        ({"x_twilio_signature": "x"}, TOKEN, False, "127.0.0.1", Refusal.FORGED),
        ({"x_twilio_signature": "x"}, TOKEN, True, "127.0.0.1", Refusal.FORGED),
        ({}, TOKEN, True, "192.0.2.1", Refusal.NOT_LOOPBACK),
        ({"x_forwarded_for": "127.0.0.1"}, TOKEN, True, "127.0.0.1", Refusal.NOT_LOOPBACK),
        ({"forwarded": "for=127.0.0.1"}, TOKEN, True, "127.0.0.1", Refusal.NOT_LOOPBACK),
        ({}, TOKEN, True, "127.0.0.1", None),
        ({}, TOKEN, True, "::1", None),
        ({}, TOKEN, True, "::ffff:127.0.0.1", None),
        ({"x_twilio_signature": "x"}, None, True, "127.0.0.1", None),
    ],
)
def test_who_else_gets_in(
    headers: dict[str, str], token: str | None, local: bool, client: str, reason: Refusal | None
) -> None:
    """Nobody, unless --insecure-local says so, and then only this very machine."""
    asked = request(client=client, **headers)
    if reason is None:
        assert check(token=token, local=local).webhook(asked, Form()).local
        return
    with pytest.raises(Refused) as refused:
        check(token=token, local=local).webhook(asked, Form())
    assert refused.value.reason is reason


@pytest.mark.parametrize(
    ("url", "base", "stream"),
    [
        ("https://a.example", "https://a.example", "wss://a.example/twilio/media"),
        ("https://a.example:443/", "https://a.example", "wss://a.example/twilio/media"),
        ("https://a.example:8443/x/", "https://a.example:8443/x", "wss://a.example:8443/x/twilio/media"),
        ("http://127.0.0.1:80", "http://127.0.0.1", "wss://127.0.0.1/twilio/media"),
        ("https://a.example/?x=1#f", "https://a.example", "wss://a.example/twilio/media"),
    ],
)
def test_addresses(url: str, base: str, stream: str) -> None:
    """Default port, slash, query and fragment left off; the stream is always wss."""
    assert (Addresses.at(url).base, Addresses.at(url).stream) == (base, stream)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("127.8.8.8", True), ("[::1]", True), ("10.0.0.1", False), ("testclient", False),
     ("127.0.0.1.example.com", False), (None, False), ("", False)],
)  # fmt: skip
def test_what_is_this_machine(host: str | None, expected: bool) -> None:
    """Names and addresses."""
    assert is_loopback(host) is expected
