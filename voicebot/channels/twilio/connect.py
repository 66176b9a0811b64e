"""Points a Twilio number at this server: ``voicebot twilio connect NUMBER``."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import httpx

from voicebot.channels.twilio.addresses import Addresses, is_loopback
from voicebot.channels.twilio.rest import Number, TwilioError, TwilioRest
from voicebot.core.settings import Settings

_E164 = re.compile(r"^\+[1-9]\d{4,14}$")
_LOOK_S = 3.0
_OK = 200


class ConnectError(TwilioError):
    """A number cannot be pointed at this server; the message says what to do first."""


async def connect(settings: Settings, number: str, *, fallback_url: str | None = None) -> list[str]:
    """Sets the number's voice URL, fallback URL, status callback and SMS URL.

    Args:
        settings: credentials and public URL.
        number: one of the account's, E.164 (blanks and dashes are dropped).
        fallback_url: what Twilio asks when this server does not answer; None: this server's own, which
            helps with errors but not when the machine is gone. A TwiML Bin that dials a person is better.

    Returns:
        Lines for a person to read: what was set, and what was there before.

    Raises:
        ConnectError: public URL or credentials are missing, the number is not the account's or is on a
            SIP trunk, or Twilio kept something else than it was told.
        TwilioError: Twilio refused, or cannot be reached.
    """
    at = public_addresses(settings)
    wanted = normal_number(number)
    async with rest_of(settings) as rest:
        found = await find_number(rest, wanted)
        if found.trunk_sid:
            raise ConnectError(
                f"{wanted} is on a SIP trunk, which overrides its webhooks: take it off the trunk in the"
                " Twilio console (Elastic SIP Trunking), then try again"
            )
        fields = webhooks_of(at, fallback_url)
        lines: list[str] = []
        if found.voice_application_sid:
            fields["VoiceApplicationSid"] = ""
            lines.append(
                "voice application: taken off the number, since it would override the webhooks"
                f" (was {found.voice_application_sid})"
            )
        if found.sms_application_sid:
            fields["SmsApplicationSid"] = ""
            lines.append(
                "SMS application: taken off the number, since it would override the webhooks"
                f" (was {found.sms_application_sid})"
            )
        now = await rest.set_webhooks(found.sid, **fields)
    _same(fields, now)
    lines += [
        _changed("voice URL", found.voice_url, now.voice_url),
        _changed("fallback URL", found.voice_fallback_url, now.voice_fallback_url),
        _changed("status callback", found.status_callback, now.status_callback),
        _changed("SMS URL", found.sms_url, now.sms_url),
    ]
    lines.append(await _answers(at))
    if settings.fallback_number is None:
        lines.append(
            "note: VOICEBOT_FALLBACK_NUMBER is not set, so callers who need a person hear an apology"
        )
    return lines


def public_addresses(settings: Settings) -> Addresses:
    """Where Twilio reaches this server.

    Raises:
        ConnectError: not set, or not https (Twilio opens media sockets over TLS only).
    """
    if settings.public_url is None:
        raise ConnectError(
            "VOICEBOT_PUBLIC_URL is not set: write the https:// address at which Twilio reaches this"
            " server (a tunnel or a reverse proxy), e.g. VOICEBOT_PUBLIC_URL=https://voice.example.com"
        )
    at = Addresses.at(settings.public_url)
    if at.base.startswith("http://") and not is_loopback(urlsplit(at.base).hostname):
        raise ConnectError(
            f"VOICEBOT_PUBLIC_URL is {at.base}: Twilio opens media sockets over TLS only, so it must be https://"
        )
    return at


def rest_of(settings: Settings) -> TwilioRest:
    """The account's REST API.

    Raises:
        ConnectError: no credentials.
    """
    rest = TwilioRest.from_settings(settings)
    if rest is None:
        missing = [
            name
            for name, value in (
                ("TWILIO_ACCOUNT_SID", settings.twilio_account_sid),
                ("TWILIO_AUTH_TOKEN", settings.twilio_auth_token),
            )
            if not value
        ]
        raise ConnectError(
            f"no Twilio credentials: set {' and '.join(missing)} (Twilio console, Account Info)"
        )
    return rest


def normal_number(number: str) -> str:
    """E.164 without blanks, dashes and brackets.

    Raises:
        ConnectError: it is no phone number in international form.
    """
    bare = re.sub(r"[\s().-]", "", number)
    if not _E164.match(bare):
        raise ConnectError(f"{number!r} is not a phone number in international form, like +4930123456")
    return bare


async def find_number(rest: TwilioRest, wanted: str) -> Number:
    """The account's number ``wanted``.

    Raises:
        ConnectError: it is not the account's; the message lists what is.
    """
    found = await rest.numbers(wanted)
    if found:
        return found[0]
    owned = sorted(n.phone_number for n in await rest.numbers())
    has = f"it has {', '.join(owned)}" if owned else "it has none yet: buy one in the Twilio console"
    raise ConnectError(f"{wanted} does not belong to account {rest.account_sid}; {has}")


def webhooks_of(at: Addresses, fallback_url: str | None = None) -> dict[str, str]:
    """A number's webhooks by Twilio's names."""
    return {
        "VoiceUrl": at.http("/twilio/voice"),
        "VoiceMethod": "POST",
        "VoiceFallbackUrl": fallback_url or at.http("/twilio/resume"),
        "VoiceFallbackMethod": "POST",
        "StatusCallback": at.http("/twilio/status"),
        "StatusCallbackMethod": "POST",
        "SmsUrl": at.http("/twilio/sms"),
        "SmsMethod": "POST",
    }


def _same(fields: dict[str, str], now: Number) -> None:
    kept = {
        "VoiceUrl": now.voice_url,
        "VoiceFallbackUrl": now.voice_fallback_url,
        "StatusCallback": now.status_callback,
        "SmsUrl": now.sms_url,
    }
    wrong = sorted(name for name, value in kept.items() if value != fields[name])
    if wrong:
        raise ConnectError(f"Twilio answered, but did not keep {', '.join(wrong)}; look at the number there")


def _changed(what: str, before: str, now: str) -> str:
    if before == now:
        return f"{what}: {now} (as before)"
    return f"{what}: {now} (was {before or 'not set'})"


async def _answers(at: Addresses) -> str:
    """Whether the server answers at its public address, as far as that can be seen from here."""
    url = at.http("/healthz")
    try:
        async with httpx.AsyncClient(timeout=_LOOK_S) as client:
            status = (await client.get(url)).status_code
    except httpx.HTTPError as error:
        return f"note: {url} does not answer from here ({type(error).__name__}); is the server running?"
    if status != _OK:
        return f"note: {url} answers {status}; does this address lead to the server?"
    return f"server: {url} answers"
