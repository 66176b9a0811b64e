"""Looks at a server before many phone it: is it there, ready, one of ours, does it take our signature?"""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

import httpx

from voicebot.proof.simulation.formats import new_sid
from voicebot.proof.simulation.signing import HEADER, signature
from voicebot.proof.simulation.webhooks import is_loopback

from .plan import LoadError

_WITHIN_S = 10.0


def checked_url(url: str, *, own: bool) -> str:
    """The server's address without a slash at its end.

    Raises:
        LoadError: no http(s) address, or another machine's without ``own``.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.path.strip("/"):
        raise LoadError(f"--url {url}: give a server's address, e.g. http://127.0.0.1:8080")
    if not own and not is_loopback(parts.hostname):
        raise LoadError(
            f"{parts.hostname} is not this machine. Phoning somebody else's server with many callers is an "
            "attack; if it is yours, add --i-own-this-server"
        )
    return url.rstrip("/")


async def look(url: str, public_url: str | None, auth_token: str) -> None:
    """Passes when the server takes calls that are signed like ours.

    Nothing is left there: the request it is tried with tells of a call that nobody made.

    Args:
        url: where it answers.
        public_url: what signatures are made for, when that is another address.
        auth_token: what they are made with.

    Raises:
        LoadError: nobody answers, it is not ready, not voicebot, or refuses the signature.
    """
    async with httpx.AsyncClient(timeout=_WITHIN_S, trust_env=False) as client:
        await _ready(client, url)
        await _signed(client, url, public_url or url, auth_token)


async def _ready(client: httpx.AsyncClient, url: str) -> None:
    try:
        answer = await client.get(f"{url}/readyz")
    except httpx.ConnectError as error:
        raise LoadError(f"nobody answers at {url}: is the server running there? (voicebot serve)") from error
    except httpx.HTTPError as error:
        raise LoadError(f"{url} does not speak HTTP with us: {type(error).__name__}") from error
    said = _json(answer)
    if answer.status_code == 503 and "wrong" in said:
        wrong = said["wrong"]
        parts = ", ".join(f"{k}: {v}" for k, v in wrong.items()) if isinstance(wrong, dict) else str(wrong)
        raise LoadError(f"the server at {url} is not ready ({parts}); wait for /readyz, or see its log")
    if answer.status_code != 200 or said.get("status") != "ready":
        raise LoadError(
            f"{url} is not a voicebot: /readyz answered {answer.status_code} and not what ours does"
        )


async def _signed(client: httpx.AsyncClient, url: str, base: str, auth_token: str) -> None:
    form = {
        "AccountSid": new_sid("AC"),
        "CallSid": new_sid("CA"),
        "CallStatus": "ringing",
        "Probe": secrets.token_hex(4),
    }
    headers = {HEADER: signature(auth_token, f"{base}/twilio/status", form)}
    try:
        answer = await client.post(f"{url}/twilio/status", data=form, headers=headers)
    except httpx.HTTPError as error:
        raise LoadError(f"{url}/twilio/status: {type(error).__name__}") from error
    if answer.status_code == 403:
        raise LoadError(
            f"the server refuses our signature ({answer.text.strip()}): set TWILIO_AUTH_TOKEN as the server "
            "has it, and --public-url to its VOICEBOT_PUBLIC_URL; or run it with --insecure-local"
        )
    if answer.status_code not in {200, 204}:
        raise LoadError(f"{url} is not a voicebot: /twilio/status answered {answer.status_code}")


def _json(answer: httpx.Response) -> dict[str, object]:
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}  # pyright: ignore[reportUnknownVariableType]
