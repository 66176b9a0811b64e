"""The process of the agents' pages: ``voicebot desk``, or started by the supervisor with a ``DeskBoot``."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import structlog
import uvicorn

from voicebot.channels.browser import ice
from voicebot.channels.twilio.addresses import is_loopback
from voicebot.core.process import die_with_parent
from voicebot.core.settings import Settings, SettingsError, load_settings
from voicebot.core.store.keys import KeyRing
from voicebot.core.telemetry import configure_logging
from voicebot.handoff.people import People, PeopleError
from voicebot.handoff.roster import Roster
from voicebot.runtime.boot import DeskBoot

log = structlog.get_logger(__name__)


class DeskError(Exception):
    """The desk cannot start; the message says what to do."""


async def run_desk(settings: Settings, *, host: str, port: int, api_url: str, insecure_local: bool) -> None:
    """Serves the pages until SIGTERM or SIGINT.

    Args:
        settings: as read.
        host: the address it listens on.
        port: of it.
        api_url: of any node.
        insecure_local: no key is asked for; on loopback only.

    Raises:
        DeskError: it would be open to everybody, or closed to all.
        PeopleError: ``business/people.yaml`` cannot be used.
    """
    from voicebot.console.desk.client import DeskApi
    from voicebot.console.desk.site import Desk, desk_site  # NiceGUI takes a second to import

    if insecure_local and not is_loopback(host):
        raise DeskError(f"--insecure-local refuses to listen on {host}: use --host 127.0.0.1")
    if settings.api_token is None and not insecure_local:
        raise DeskError(
            "VOICEBOT_API_TOKEN is not set, so nobody could sign in: set it for nodes and desk alike, "
            "or use --insecure-local to try things on this machine"
        )
    people = People.read(settings.deployment)
    if not people.agents:
        raise DeskError("business/people.yaml lists no agents: add them under `agents`")
    token = None if insecure_local else settings.api_token
    try:
        servers = ice.parse(settings.webrtc_ice)
    except ice.IceRefused as error:
        raise DeskError(str(error)) from None
    api = DeskApi(api_url, settings.api_token.get_secret_value() if settings.api_token else None, servers)
    secret = KeyRing.from_settings(settings).index("desk sessions", "signing")
    https = (settings.desk_url or "").startswith("https://")
    site = desk_site(Desk(Roster(settings.deployment, people), api, token, secret, https=https))
    server = uvicorn.Server(
        uvicorn.Config(
            site, host=host, port=port, log_config=None, access_log=False, server_header=False, lifespan="on"
        )
    )
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    serving = asyncio.create_task(server.serve())
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    stop = asyncio.create_task(stopped.wait())
    await asyncio.wait([serving, stop], return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await serving


def main() -> None:
    """Entry point of the process that the supervisor starts."""
    boot = DeskBoot.model_validate_json(sys.stdin.readline(), strict=False)
    die_with_parent(boot.parent_pid, signal.SIGTERM)
    configure_logging("desk")
    try:
        settings = load_settings(**boot.overrides)
        asyncio.run(
            run_desk(
                settings,
                host=boot.host,
                port=boot.port,
                api_url=boot.api_url,
                insecure_local=boot.insecure_local,
            )
        )
    except (DeskError, PeopleError, SettingsError) as error:
        log.error("desk.refused", reason=str(error))
        sys.exit(os.EX_CONFIG)


if __name__ == "__main__":
    main()
