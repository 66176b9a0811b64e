"""Opens the WebSocket of a media stream, and keeps what is sent on it in order."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidStatus
from websockets.protocol import State

from .options import Options
from .signing import UPGRADE_HEADER, signature
from .webhooks import Routes

_MAX_MESSAGE = 16 * 1024 * 1024  # ten minutes of audio in base64 and some more


class StreamRefused(Exception):
    """The socket never came up. ``code`` is Twilio's: 31901, 31902, 31904, 31910, 31920."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Outbox:
    """Messages on their way to the server, in order; putting one never waits for the socket.

    They are written at once, below the library's ``send``, which costs a task's turn per frame. What the
    server does not read collects in the transport.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    def put(self, message: str) -> None:
        """Sends it after those before it; on a socket that is closing or closed it is dropped."""
        protocol = self._socket.protocol
        if protocol.state is not State.OPEN:
            return  # the receiving side reports it
        protocol.send_text(message.encode())
        self._socket.transport.writelines(protocol.data_to_send())

    @property
    def unread_bytes(self) -> int:
        """What the kernel no longer takes, since the server does not read."""
        return self._socket.transport.get_write_buffer_size()


async def open_socket(url: str, *, auth_token: str, routes: Routes, options: Options) -> ClientConnection:
    """Upgrades to a media stream's socket, signed, without compression.

    Raises:
        StreamRefused: it did not come up.
    """
    target, proxied = routes.resolve(url)
    parts = urlsplit(target)
    host = urlsplit(url)
    # The Host header follows the URL given here; the connection goes where the route leads.
    shown = target if not proxied else f"{parts.scheme}://{host.netloc}{parts.path}"
    headers = {k: v for k, v in proxied.items() if k != "Host"}
    headers[UPGRADE_HEADER] = signature(auth_token, url)
    try:
        return await connect(
            shown,
            host=parts.hostname,
            port=parts.port or (443 if parts.scheme == "wss" else 80),
            additional_headers=headers,
            user_agent_header="Twilio.TmeWs/1.0",
            compression=None,
            proxy=None,
            ping_interval=None,
            open_timeout=options.webhook_connect_s,
            close_timeout=1.0,
            max_size=_MAX_MESSAGE,
            max_queue=None,
        )
    except InvalidStatus as error:
        raise StreamRefused(31920, f"upgrade answered with {error.response.status_code}") from error
    except (InvalidMessage, InvalidHandshake) as error:
        raise StreamRefused(31920, f"no upgrade: {error}") from error
    except TimeoutError as error:
        raise StreamRefused(31901, "connection timed out") from error
    except ssl.SSLError as error:
        raise StreamRefused(31910, f"TLS failed: {error}") from error
    except ConnectionRefusedError as error:
        raise StreamRefused(31902, "connection refused") from error
    except OSError as error:
        raise StreamRefused(31904, f"host unreachable: {error}") from error
