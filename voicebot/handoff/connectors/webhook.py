"""Sends handoffs to one address by POST, signed. The address is the deployment's alone (`people.yaml`).

The answer's status is all that counts: its body is not read, a redirect is not followed.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable

import httpx
from pydantic import SecretStr

from voicebot.core.settings import Settings, SettingsError
from voicebot.handoff.connectors.connector import Answer, Delivered, Later, Message, Refused
from voicebot.handoff.connectors.signing import DELIVERY, EVENT, SIGNATURE, signature
from voicebot.handoff.people import People, Webhook, is_here

_NEVER = frozenset({400, 410, 413, 415, 422})
"""Answers that no repeat changes. A wrong path or key (404, 401, 403) may be mended, so it is tried again."""
_SLACK_S = 5.0
_SHORTEST_SECRET = 16


class WebhookConnector:
    """One address. Shared by all deliveries of a node.

    Args:
        webhook: address, time and number of tries.
        secret: signs.
        clock: seconds since 1970.
        transport: for tests.
    """

    name = "webhook"
    outside = True

    def __init__(
        self,
        webhook: Webhook,
        secret: SecretStr,
        clock: Callable[[], float] = time.time,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.tries = webhook.tries
        self.lease_s = webhook.timeout_s + _SLACK_S
        self._webhook = webhook
        self._secret = secret.get_secret_value().encode()
        self._clock = clock
        self._http = httpx.AsyncClient(
            timeout=webhook.timeout_s,
            follow_redirects=False,
            transport=transport,
            trust_env=not is_here(httpx.URL(webhook.url).host),
        )

    async def send(self, message: Message) -> Answer:
        """One try, in its time all in all, however slowly the other side drips."""
        body = json.dumps(message.body, ensure_ascii=False, separators=(",", ":")).encode()
        headers = {
            "Content-Type": "application/json",
            DELIVERY: message.id,
            EVENT: message.event,
            SIGNATURE: signature(self._secret, message.id, body, int(self._clock())),
        }
        request = self._http.build_request("POST", self._webhook.url, content=body, headers=headers)
        try:
            async with asyncio.timeout(self._webhook.timeout_s):
                response = await self._http.send(request, stream=True)
                await response.aclose()
        except TimeoutError:
            return Later("no answer in time")
        except httpx.HTTPError as error:
            return Later(type(error).__name__)
        return _answer(response)

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()


def webhook_of(settings: Settings, people: People) -> WebhookConnector | None:
    """The webhook of the deployment, None if it has none.

    Raises:
        SettingsError: it has one, and no secret to sign with.
    """
    secret = secret_of(settings, people)
    return None if people.webhook is None or secret is None else WebhookConnector(people.webhook, secret)


def secret_of(settings: Settings, people: People) -> SecretStr | None:
    """What signs, None if nothing is sent.

    Raises:
        SettingsError: there is a webhook, and no secret to sign with.
    """
    if people.webhook is None:
        return None
    secret = settings.handoff_secret
    if secret is None or len(secret.get_secret_value()) < _SHORTEST_SECRET:
        raise SettingsError(
            f"business/people.yaml names a webhook: set VOICEBOT_HANDOFF_SECRET, {_SHORTEST_SECRET} "
            "characters or more, which the receiver knows too"
        )
    return secret


def _answer(response: httpx.Response) -> Answer:
    status = response.status_code
    if 200 <= status < 300:
        return Delivered()
    if status in _NEVER:
        return Refused(f"status {status}")
    asked = response.headers.get("retry-after", "")
    return Later(f"status {status}", float(asked) if asked.isascii() and asked.isdigit() else None)
